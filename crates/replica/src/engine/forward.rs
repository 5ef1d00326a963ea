//! Forwarding commands from a follower to the leader.

use std::collections::BTreeMap;

use bytes::Bytes;
use synod_transport::{Lane, NodeId};

use super::Engine;
use crate::body::{self, Name};
use crate::frame::{Denial, Frame};
use crate::log::RECORD_SPARE_BYTES;
use crate::protocol::{Epoch, Leadership, Protocol};
use crate::time::Instant;

/// The forwarded names that this node has decided upon while it leads in `epoch`.
#[derive(Default)]
pub(super) struct Accepted {
    epoch: Epoch,
    names: BTreeMap<NodeId, (u64, u64)>,
    /// The current incarnation of each peer, where the transport knows it.
    lives: BTreeMap<NodeId, u64>,
}

impl Accepted {
    /// This node leads in this epoch.
    pub(super) fn enter(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            (self.epoch, self.names) = (epoch, BTreeMap::new());
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Decides upon a name, unless one that is not below it was decided upon in this epoch.
    fn decide(&mut self, from: NodeId, name: &Name) -> bool {
        let last = self.names.entry(from).or_default();
        let rises = (name.incarnation, name.sequence) > *last;
        if rises {
            *last = (name.incarnation, name.sequence);
        }
        rises
    }

    /// Whether the peer may use this name: it must be the peer's own, and of its current
    /// incarnation. Names only rise, so a name of a future incarnation would use up all names
    /// before it.
    fn is_of(&self, from: NodeId, name: &Name) -> bool {
        let incarnation = self.lives.get(&from);
        name.node == from.0
            && incarnation.is_none_or(|incarnation| *incarnation == name.incarnation)
    }
}

impl<P: Protocol, T> Engine<P, T> {
    /// Sets a peer's current incarnation, its boot counter as in its hello, for the frames that
    /// follow. Commands that it forwards under another incarnation are ignored and counted. Without
    /// this call the names of a peer are trusted.
    pub fn meet(&mut self, peer: NodeId, incarnation: u64) {
        self.accepted.lives.insert(peer, incarnation);
    }

    pub(super) fn forward(&mut self, now: Instant, leader: Leadership) {
        while self.may_forward(now, leader)
            && let Some((_, body)) =
                self.proposals
                    .seal(now, leader, self.config.bounds.body_bytes_max)
        {
            let frame = Frame::Forward {
                round: leader.epoch.round,
            };
            self.send(leader.node, Lane::Bulk, &frame, vec![body]);
        }
    }

    fn may_forward(&self, now: Instant, leader: Leadership) -> bool {
        let (under_way, newest) = self.proposals.under_way(leader);
        under_way < self.config.bounds.forwards_max
            || newest.is_some_and(|sealed| now.since(sealed) >= self.config.bounds.retry_after)
    }

    /// When a full window of forwards stops delaying what is queued: the answers may have been
    /// lost.
    pub(super) fn forward_at(&self) -> Option<Instant> {
        let leader = self
            .core
            .leadership()
            .filter(|leader| leader.node != self.config.node)?;
        if self.proposals.is_over(leader) {
            return None;
        }
        let (under_way, newest) = self.proposals.under_way(leader);
        let waits = self.proposals.has_queued() && under_way >= self.config.bounds.forwards_max;
        newest
            .filter(|_| waits)
            .map(|sealed| sealed + self.config.bounds.retry_after)
    }

    /// The epoch of this round, if this node leads in it.
    pub(super) fn leads_in(&self, round: u64) -> Option<Epoch> {
        let leadership = self.core.leadership()?;
        let here = leadership.node == self.config.node && leadership.epoch.round == round;
        here.then_some(leadership.epoch)
    }

    /// A follower's body, to be proposed here if this node leads as the follower believes. While it hands
    /// its leadership over the body waits for the end of that.
    ///
    /// If it led as the follower believes, and leads no more, a body that it has not decided upon is in
    /// no log, and will be in none. Of any other it says nothing: it may have proposed this very body
    /// before it lost its leadership.
    pub(super) fn handle_forward(&mut self, now: Instant, from: NodeId, round: u64, body: Bytes) {
        let name = body::name(&body).filter(|name| self.accepted.is_of(from, name));
        let Some(name) = name else {
            self.frames_ignored += 1;
            return;
        };
        let leads_in = self.leads_in(round);
        if let Some(epoch) = leads_in {
            self.accepted.enter(epoch);
        }
        let led_in = self.accepted.epoch.round == round && round > 0;
        if !led_in || !self.accepted.decide(from, &name) {
            self.frames_ignored += 1;
        } else if leads_in.is_none() {
            self.refuse_forwarded(from, name, Denial::NotLeader);
        } else if self.core.transfers_to().is_some() {
            self.hold_forwarded(from, name, body);
        } else {
            self.propose_forwarded(now, from, name, body);
        }
    }

    pub(super) fn propose_forwarded(
        &mut self,
        now: Instant,
        from: NodeId,
        name: Name,
        body: Bytes,
    ) {
        let refusal = if body.len() > self.config.bounds.body_bytes_max {
            Some(Denial::TooLarge)
        } else if self.disk.has_room && self.space.take(body.len() + RECORD_SPARE_BYTES) {
            self.core.propose(now, body).err().map(Denial::from)
        } else {
            // As for its own commands, so that a client sees the same reason through a follower.
            Some(Denial::Full)
        };
        if let Some(refusal) = refusal {
            self.refuse_forwarded(from, name, refusal);
        }
    }

    pub(super) fn refuse_forwarded(&mut self, from: NodeId, name: Name, reason: Denial) {
        let frame = Frame::Refused {
            incarnation: name.incarnation,
            sequence: name.sequence,
            reason,
        };
        self.send(from, Lane::Control, &frame, Vec::new());
    }
}
