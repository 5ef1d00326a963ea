//! The network: delay, loss, duplication, old copies, and links that are cut, clogged or full.

use std::time::Duration;

use crate::rng::Rng;
use crate::world::options::WorldOptions;
use crate::world::queue::Ticket;

/// One direction between two nodes.
#[derive(Debug)]
pub(super) struct Link<T> {
    /// Draws one word per message that determines its whole fate, so that no rate or link changes
    /// the draws of another.
    rng: Rng,
    /// Cut by hand.
    pub(super) cut: bool,
    /// Cut by a partition until then.
    pub(super) cut_until: Option<Duration>,
    pub(super) clogged_until: Option<Duration>,
    /// Messages that have reached the end of a clogged link.
    pub(super) backlog: Vec<T>,
    /// Messages in flight, if the link has a limit.
    pub(super) under_way: Vec<Ticket>,
    /// Permanently healed: messages are only delayed.
    pub(super) sound: bool,
}

/// The fate of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// The delay of the message, if it is not lost.
    pub(super) once: Option<Duration>,
    /// The delay of another copy.
    pub(super) twice: Option<Duration>,
    /// The delay of an old copy.
    pub(super) old: Option<Duration>,
    /// The seed for the choice of the dropped message if the link is full.
    pub(super) full: u64,
}

impl<T> Link<T> {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            cut: false,
            cut_until: None,
            clogged_until: None,
            backlog: Vec::new(),
            under_way: Vec::new(),
            sound: false,
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut || self.cut_until.is_some()
    }

    pub(super) fn fate(&mut self, options: &WorldOptions) -> Fate {
        let word = self.rng.next_u64();
        let mut draws = Rng::new(word);
        let once = options.delay_min + draws.exponential(options.delay_mean);
        let mut fate = Fate {
            once: Some(once),
            twice: None,
            old: None,
            full: word ^ FULL,
        };
        if self.sound {
            return fate;
        }
        // Each of these has a share of the word for itself.
        if options.old_copies > 0.0 && Rng::new(word ^ OLD).chance(options.old_copies) {
            let mut draws = Rng::new(word ^ OLD_DELAY);
            fate.old = Some(once + draws.exponential(options.old_copies_after));
        }
        if options.loss > 0.0 && Rng::new(word ^ LOSS).chance(options.loss) {
            fate.once = None;
        } else if options.duplication > 0.0 && Rng::new(word ^ TWICE).chance(options.duplication) {
            fate.twice = Some(options.delay_min + draws.exponential(options.delay_mean));
        }
        fate
    }

    /// The state of its generator.
    pub(super) fn rng(&self) -> &Rng {
        &self.rng
    }
}

const OLD: u64 = 0x3c6e_f372_fe94_f82b;
const OLD_DELAY: u64 = 0xa54f_f53a_5f1d_36f1;
const LOSS: u64 = 0x510e_527f_ade6_82d1;
const TWICE: u64 = 0x9b05_688c_2b3e_6c1f;
const FULL: u64 = 0x1f83_d9ab_fb41_bd6b;
