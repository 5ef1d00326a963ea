//! Rounds: one peer is probed in each, and each peer once before any is probed again.

use super::Seq;
use crate::NodeId;
use crate::detector::Instant;
use crate::draws::Draws;
use std::time::Duration;

/// The round that is under way, and who is still to come.
#[derive(Clone, Debug)]
pub(super) struct Round {
    until: Instant,
    probe: Option<Probe>,
    /// Of the present pass through all peers; the last is next.
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
    /// Whoever was asked for help; nobody was yet, while there is none.
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

    /// A number for a probe that no other of this node has.
    pub(super) fn number(&mut self) -> Seq {
        self.numbers += 1;
        Seq(self.numbers)
    }

    /// `target` was heard.
    pub(super) fn answer(&mut self, target: NodeId) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.target == target) {
            probe.answered = true;
        }
    }

    /// A helper has heard `target`. `false` when nobody asked it, or something else.
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

    /// The probe that was not answered in time and that nobody was asked to help with.
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

    /// Whom this round was about, if it was not heard.
    pub(super) fn unanswered(&self) -> Option<NodeId> {
        let probe = self.probe.as_ref().filter(|probe| !probe.answered);
        probe.map(|probe| probe.target)
    }

    /// The probe tells nothing: whoever sent it was deaf.
    pub(super) fn void(&mut self) {
        self.probe = None;
    }

    /// Who is next. When all have been, all come again, in an order that is drawn anew.
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
