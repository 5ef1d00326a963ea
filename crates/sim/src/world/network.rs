//! The network: delay, loss, duplication, cut links.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rng::Rng;
use crate::world::options::WorldOptions;
use crate::world::process::NodeId;

/// Decides what becomes of messages.
#[derive(Debug)]
pub(super) struct Network {
    rng: Rng,
    /// Directed links over which nothing comes.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Whether messages are lost and duplicated.
    pub(super) faults: bool,
}

/// What becomes of one message: the delay of each copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Once(Duration),
    Twice(Duration, Duration),
}

impl Network {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            cut: BTreeSet::new(),
            faults: true,
        }
    }

    pub(super) fn fate(&mut self, options: &WorldOptions) -> Fate {
        if self.faults && self.rng.chance(options.loss) {
            return Fate::Lost;
        }
        let first = self.delay(options);
        if self.faults && self.rng.chance(options.duplication) {
            return Fate::Twice(first, self.delay(options));
        }
        Fate::Once(first)
    }

    /// Whether the link was open before.
    pub(super) fn cut(&mut self, from: NodeId, to: NodeId) -> bool {
        self.cut.insert((from, to))
    }

    /// Whether the link was cut before.
    pub(super) fn heal(&mut self, from: NodeId, to: NodeId) -> bool {
        self.cut.remove(&(from, to))
    }

    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    pub(super) fn cuts(&self) -> Vec<(NodeId, NodeId)> {
        self.cut.iter().copied().collect()
    }

    fn delay(&mut self, options: &WorldOptions) -> Duration {
        options.delay_min + self.rng.exponential(options.delay_mean)
    }
}
