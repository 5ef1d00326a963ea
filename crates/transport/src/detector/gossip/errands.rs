//! Probes for others: who asked for whom, until it is heard or too late.

use super::{GossipSettings, Seq};
use crate::NodeId;
use crate::detector::Instant;

/// Invariant: at most `errands_max`; of one peer and target the newest alone.
#[derive(Clone, Debug)]
pub(super) struct Errands {
    under_way: Vec<Errand>,
    errands_max: usize,
}

/// Somebody wants to know of `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) whose: NodeId,
    /// The number that the answer has to name.
    pub(super) seq: Seq,
    target: NodeId,
    until: Instant,
}

impl Errands {
    pub(super) fn new(errands_max: usize) -> Self {
        Self {
            under_way: Vec::new(),
            errands_max,
        }
    }

    /// `false` when there are too many already. A round later nobody waits for it any more.
    pub(super) fn take(
        &mut self,
        now: Instant,
        settings: GossipSettings,
        whose: NodeId,
        seq: Seq,
        target: NodeId,
    ) -> bool {
        self.under_way
            .retain(|errand| (errand.whose, errand.target) != (whose, target));
        if self.under_way.len() >= self.errands_max {
            return false;
        }
        self.under_way.push(Errand {
            whose,
            seq,
            target,
            until: now + settings.probe_every,
        });
        true
    }

    /// Those that end because `target` was heard.
    pub(super) fn heard(&mut self, target: NodeId) -> Vec<Errand> {
        self.under_way
            .extract_if(.., |errand| errand.target == target)
            .collect()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.under_way.retain(|errand| errand.until > now);
    }
}
