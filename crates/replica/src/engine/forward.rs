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

    /// Proposes a follower's body, if this node leads in that round. Otherwise it does not answer:
    /// it may have proposed this very body before it lost its leadership.
    pub(super) fn handle_forward(&mut self, now: Instant, from: NodeId, round: u64, body: Bytes) {
        let name = body::name(&body).filter(|name| self.accepted.is_of(from, name));
        let (Some(name), Some(epoch)) = (name, self.leads_in(round)) else {
            self.frames_ignored += 1;
            return;
        };
        if self.accepted.epoch != epoch {
            (self.accepted.epoch, self.accepted.names) = (epoch, BTreeMap::new());
        }
        let last = self.accepted.names.entry(from).or_default();
        if (name.incarnation, name.sequence) <= *last {
            self.frames_ignored += 1;
            return;
        }
        *last = (name.incarnation, name.sequence);
        let refusal = if body.len() > self.config.bounds.body_bytes_max {
            Some(Denial::TooLarge)
        } else if self.disk.has_room && self.space.take(body.len() + RECORD_SPARE_BYTES) {
            self.core.propose(now, body).err().map(Denial::from)
        } else {
            // As for its own commands, so that a client sees the same reason through a follower.
            Some(Denial::Full)
        };
        if let Some(refusal) = refusal {
            let frame = Frame::Refused {
                incarnation: name.incarnation,
                sequence: name.sequence,
                reason: refusal,
            };
            self.send(from, Lane::Control, &frame, Vec::new());
        }
    }
}
