//! Indirect probes on behalf of other nodes, until the target answers or the errand expires.

use super::{GossipSettings, Seq};
use crate::NodeId;
use crate::detector::Instant;

/// Invariant: at most `errands_max`; only the newest of each peer and target is kept.
#[derive(Clone, Debug)]
pub(super) struct Errands {
    under_way: Vec<Errand>,
    errands_max: usize,
}

/// A request to probe `target` on behalf of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) whose: NodeId,
    /// The probe number to return in the answer.
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

    /// Adds an errand, which expires after a round; `false` when there are too many already.
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

    /// Removes and returns the errands that a frame from `target` answers.
    pub(super) fn heard(&mut self, target: NodeId) -> Vec<Errand> {
        self.under_way
            .extract_if(.., |errand| errand.target == target)
            .collect()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.under_way.retain(|errand| errand.until > now);
    }
}
