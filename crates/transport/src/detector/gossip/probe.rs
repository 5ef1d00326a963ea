//! Rounds: one peer is probed in each, and each peer once before any is probed again.

use super::Seq;
use crate::NodeId;
use crate::detector::Instant;
use crate::draws::Draws;
use std::time::Duration;

/// The current round, and the peers still to be probed in this pass.
#[derive(Clone, Debug)]
pub(super) struct Round {
    until: Instant,
    probe: Option<Probe>,
    /// The peers still to be probed in this pass; the last one is next.
    to_come: Vec<NodeId>,
    numbers: u64,
}

/// A probe that was sent.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) seq: Seq,
    pub(super) target: NodeId,
    begun: Instant,
    answered: bool,
    /// The helpers that were asked; `None` until then.
    helpers: Option<Vec<NodeId>>,
}

impl Probe {
    pub(super) fn begin(seq: Seq, now: Instant, target: NodeId) -> Self {
        Self {
            seq,
            target,
            begun: now,
            answered: false,
            helpers: None,
        }
    }

    fn wants_help(&self) -> bool {
        !self.answered && self.helpers.is_none()
    }
}

impl Round {
    /// The first round is due at once.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            until: now,
            probe: None,
            to_come: Vec::new(),
            numbers: 0,
        }
    }

    /// A number that no other probe of this node has.
    pub(super) fn number(&mut self) -> Seq {
        self.numbers += 1;
        Seq(self.numbers)
    }

    /// Records a frame from `target`.
    pub(super) fn answer(&mut self, target: NodeId) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.target == target) {
            probe.answered = true;
        }
    }

    /// Records a helper's answer. `false` when it does not match a request.
    pub(super) fn answer_of(&mut self, helper: NodeId, seq: Seq, target: NodeId) -> bool {
        let Some(probe) = &mut self.probe else {
            return false;
        };
        let asked = probe.helpers.as_ref();
        let is_asked = asked.is_some_and(|helpers| helpers.contains(&helper));
        let fits = is_asked && (probe.seq, probe.target) == (seq, target);
        probe.answered |= fits;
        fits
    }

    /// The unanswered probe whose direct answer is overdue and for which no helper was asked yet.
    pub(super) fn needs_help(&self, now: Instant, answer_max: Duration) -> Option<(Seq, NodeId)> {
        let probe = self.probe.as_ref().filter(|probe| probe.wants_help())?;
        (probe.begun + answer_max <= now).then_some((probe.seq, probe.target))
    }

    pub(super) fn ask(&mut self, helpers: Vec<NodeId>) {
        if let Some(probe) = &mut self.probe {
            probe.helpers = Some(helpers);
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// The target of this round, if it did not answer.
    pub(super) fn unanswered(&self) -> Option<NodeId> {
        let probe = self.probe.as_ref().filter(|probe| !probe.answered);
        probe.map(|probe| probe.target)
    }

    /// Voids the probe: this detector was stalled and could not receive an answer.
    pub(super) fn void(&mut self) {
        self.probe = None;
    }

    /// The next peer to probe. After a full pass the order is reshuffled.
    pub(super) fn next(
        &mut self,
        peers: impl Iterator<Item = NodeId>,
        draws: &mut Draws,
    ) -> Option<NodeId> {
        if self.to_come.is_empty() {
            self.to_come.extend(peers);
            for at in (1..self.to_come.len()).rev() {
                self.to_come.swap(at, draws.below(at as u64 + 1) as usize);
            }
        }
        self.to_come.pop()
    }

    pub(super) fn start(&mut self, until: Instant, probe: Option<Probe>) {
        (self.until, self.probe) = (until, probe);
    }

    pub(super) fn poll_timeout(&self, answer_max: Duration) -> Instant {
        let probe = self.probe.as_ref().filter(|probe| probe.wants_help());
        let help = probe.map(|probe| probe.begun + answer_max);
        help.map_or(self.until, |help| help.min(self.until))
    }
}
