//! The chain and the unanswered text as a page: each run behind the one before.

use std::time::Duration;

use synod_sim::NodeId;
use synod_sim::page::{Kind, OperationId, Recorder, View as Look};

use super::chain::Chain;
use super::plan::{General, Plan, Run, View};

/// Gives a recorder all runs of a chain. It opens where one attacks alone.
pub(super) fn show(recorder: &Recorder, plan: &impl Plan, chain: &Chain) {
    recorder.name(id(General::Alice), "Alice");
    recorder.name(id(General::Bob), "Bob");
    for (at, link) in chain.links.iter().enumerate() {
        let arrived = link.run.delivered.0.count_ones();
        recorder.begin_run(&match link.alike_to {
            None => format!("{arrived} messages arrive"),
            Some(who) => format!("{arrived} arrive: the same for {who:?} as before"),
        });
        let ends = carried_out(recorder, plan, &link.run);
        if chain.breaks_at == Some(at) {
            let (alice, bob) = (deed(link.run.alice.1), deed(link.run.bob.1));
            recorder.violation_at(ends, &format!("agreement: Alice {alice}, and Bob {bob}"));
        }
    }
}

/// One run; tells when it ends.
fn carried_out(recorder: &Recorder, plan: &impl Plan, run: &Run) -> Duration {
    let both = [General::Alice, General::Bob];
    let asked = both.map(|who| {
        recorder.event(Duration::ZERO, id(who), Kind::Start, "waits");
        look(recorder, Duration::ZERO, who, "waits");
        recorder.called(Duration::ZERO, &format!("{who:?}"), "attack or stay?")
    });
    let mut seen = [View::default(); 2];
    let mut now = Duration::ZERO;
    for message in 0..plan.messages() {
        let (from, to) = match plan.sender(message) {
            General::Alice => (General::Alice, General::Bob),
            General::Bob => (General::Bob, General::Alice),
        };
        if !plan.sends(message, seen[from as usize]) {
            continue;
        }
        now += HOUR;
        let name = format!("message {}", message + 1);
        recorder.event(now, id(from), Kind::Note, &format!("sends {name}"));
        let sent = recorder.sent(now, id(from), id(to), (&name, &name));
        now += HOUR;
        if run.delivered.0 & (1 << message) == 0 {
            recorder.lost(now, sent, "the messenger is caught");
        } else {
            recorder.received(now, sent);
            seen[to as usize].0 |= 1 << message;
        }
    }
    now += HOUR;
    for (who, asked) in both.into_iter().zip(asked) {
        let attacks = match who {
            General::Alice => run.alice.1,
            General::Bob => run.bob.1,
        };
        decides(recorder, now, who, asked, deed(attacks));
    }
    now
}

/// The channel between who sends texts and the account that pays, as a page shows it.
pub(super) struct Wire<'a> {
    recorder: Option<&'a Recorder>,
    now: Duration,
    text: String,
    asked: Option<OperationId>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(recorder: Option<&'a Recorder>) -> Self {
        if let Some(recorder) = recorder {
            recorder.name(PAYER, "sender");
            recorder.name(ACCOUNT, "account");
        }
        Self {
            recorder,
            now: Duration::ZERO,
            text: String::new(),
            asked: None,
        }
    }

    /// A text is to be sent until it is answered. The first few are enough to be looked at.
    pub(super) fn asks(&mut self, sequence: u64, named: bool) {
        self.recorder = self.recorder.filter(|_| sequence <= TEXTS_SHOWN);
        let Some(recorder) = self.recorder else {
            return;
        };
        self.text = match named {
            true => format!("pay one, text {sequence} of session 7"),
            false => "pay one".to_owned(),
        };
        self.now += HOUR;
        self.asked = Some(recorder.called(self.now, "sender", &self.text));
    }

    /// Once more, with this end.
    pub(super) fn sends(&mut self, is_lost: bool) {
        let Some(recorder) = self.recorder else {
            return;
        };
        self.now += HOUR;
        recorder.event(self.now, PAYER, Kind::Timer, "no answer yet: sends");
        let sent = recorder.sent(self.now, PAYER, ACCOUNT, ("text", &self.text));
        self.now += HOUR;
        match is_lost {
            true => recorder.lost(self.now, sent, "the text is lost"),
            false => drop(recorder.received(self.now, sent)),
        }
    }

    /// The account has paid so much in all, and says so.
    pub(super) fn answers(&mut self, paid: u64, answer: u64, is_answered: bool) {
        let Some(recorder) = self.recorder else {
            return;
        };
        let mut look = Look::default();
        look.text = format!("has paid {paid} in all");
        recorder.view(self.now, ACCOUNT, look);
        let text = format!("paid: {answer} in all");
        let sent = recorder.sent(self.now, ACCOUNT, PAYER, ("answer", &text));
        self.now += HOUR;
        if !is_answered {
            return recorder.lost(self.now, sent, "the answer is lost");
        }
        recorder.received(self.now, sent);
        if let Some(asked) = self.asked.take() {
            recorder.returned(self.now, asked, &text);
        }
    }
}

fn decides(recorder: &Recorder, now: Duration, who: General, asked: OperationId, deed: &str) {
    recorder.event(now, id(who), Kind::Commit, deed);
    look(recorder, now, who, deed);
    recorder.returned(now, asked, deed);
}

fn look(recorder: &Recorder, now: Duration, who: General, deed: &str) {
    let mut look = Look::default();
    look.text = deed.to_owned();
    recorder.view(now, id(who), look);
}

pub(super) fn deed(attacks: bool) -> &'static str {
    if attacks { "attacks" } else { "stays" }
}

fn id(who: General) -> NodeId {
    NodeId(1 + who as u64)
}

const PAYER: NodeId = NodeId(3);
const ACCOUNT: NodeId = NodeId(4);
const TEXTS_SHOWN: u64 = 8;
/// As long as a messenger takes.
const HOUR: Duration = Duration::from_millis(1);
