//! Plans of two generals who have messengers that may be caught.

use synod_sim::Rng;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum General {
    /// She has the order to attack.
    Alice,
    /// He knows nothing of it before a messenger comes.
    Bob,
}

/// Which messages somebody has received: bit `i` is message `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View(pub u32);

/// A protocol of a fixed number of messages, sent one after the other, behind which each decides.
///
/// Both are deterministic. Alice has an order; what she does without one is not asked.
pub trait Plan {
    /// How many messages there are at most: below 20.
    fn messages(&self) -> usize;

    /// Who sends a message.
    fn sender(&self, message: usize) -> General;

    /// Whether the sender of a message sends it, by what it has received until then.
    fn sends(&self, message: usize, view: View) -> bool;

    /// Whether a general attacks in the end.
    fn attacks(&self, who: General, view: View) -> bool;
}

/// What came of a plan with some messengers caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Messages that arrived.
    pub delivered: View,
    /// What Alice received, and whether she attacks.
    pub alice: (View, bool),
    /// What Bob received, and whether he attacks.
    pub bob: (View, bool),
}

/// Carries a plan out: of the messages that are sent those arrive that `arrives` says.
pub fn carry_out(plan: &impl Plan, mut arrives: impl FnMut(usize) -> bool) -> Run {
    let (mut alice, mut bob) = (View::default(), View::default());
    for message in 0..plan.messages() {
        let sender = plan.sender(message);
        let (own, other) = match sender {
            General::Alice => (alice, &mut bob),
            General::Bob => (bob, &mut alice),
        };
        if plan.sends(message, own) && arrives(message) {
            other.0 |= 1 << message;
        }
    }
    Run {
        delivered: View(alice.0 | bob.0),
        alice: (alice, plan.attacks(General::Alice, alice)),
        bob: (bob, plan.attacks(General::Bob, bob)),
    }
}

/// Alice writes, Bob confirms, Alice confirms the confirmation, and so on. Each attacks if all that
/// it expects has come, but for the last few messages, which it does not insist on.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    /// How many messages.
    pub messages: usize,
    /// How many of the last ones may be missing.
    pub forgiven: usize,
}

impl Plan for Handshake {
    fn messages(&self) -> usize {
        self.messages
    }

    fn sender(&self, message: usize) -> General {
        [General::Alice, General::Bob][message % 2]
    }

    fn sends(&self, message: usize, view: View) -> bool {
        message == 0 || view.0 & (1 << (message - 1)) != 0
    }

    fn attacks(&self, who: General, view: View) -> bool {
        let insists_on = 0..self.messages.saturating_sub(self.forgiven).max(1);
        let mut expected = insists_on.filter(|message| self.sender(*message) != who);
        expected.all(|message| view.0 & (1 << message) != 0)
    }
}

/// Alice attacks, and sends the same word again and again; Bob attacks if it comes at all.
#[derive(Clone, Copy, Debug)]
pub struct Insistent {
    /// How many messages.
    pub messages: usize,
}

impl Plan for Insistent {
    fn messages(&self) -> usize {
        self.messages
    }

    fn sender(&self, _message: usize) -> General {
        General::Alice
    }

    fn sends(&self, _message: usize, _view: View) -> bool {
        true
    }

    fn attacks(&self, who: General, view: View) -> bool {
        who == General::Alice || view != View::default()
    }
}

/// Any plan at all: who sends what when, and who attacks when, is drawn. Only two things are fixed,
/// without which it would be no plan: if all arrives both attack, and if nothing does Bob stays.
#[derive(Clone, Debug)]
pub struct Drawn {
    seed: u64,
    messages: usize,
    all: [View; 2],
}

impl Drawn {
    /// The plan of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let messages = 1 + Rng::new(seed).index(8);
        let mut plan = Self {
            seed,
            messages,
            all: [View::default(); 2],
        };
        let run = carry_out(&plan, |_| true);
        plan.all = [run.alice.0, run.bob.0];
        plan
    }

    fn draw(&self, what: u64, view: View) -> bool {
        Rng::new(self.seed ^ (what << 32 | u64::from(view.0))).chance(0.5)
    }
}

impl Plan for Drawn {
    fn messages(&self) -> usize {
        self.messages
    }

    fn sender(&self, message: usize) -> General {
        match message == 0 || self.draw(message as u64, View::default()) {
            true => General::Alice,
            false => General::Bob,
        }
    }

    fn sends(&self, message: usize, view: View) -> bool {
        message == 0 || self.draw(100 + message as u64, view)
    }

    fn attacks(&self, who: General, view: View) -> bool {
        match who {
            General::Bob if view == View::default() => false,
            _ if self.all[who as usize] == view => true,
            _ => self.draw(200 + who as u64, view),
        }
    }
}
