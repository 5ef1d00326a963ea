//! Frames around the protocol: forwards and read indexes. Snapshots are in `snapshots.rs`.

use bytes::Bytes;
use synod_transport::{Lane, NodeId};
use synod_wal::Seal;

use super::Engine;
use super::reads::Remote;
use crate::events::Event;
use crate::frame::{Denial, Frame, name};
use crate::log::RECORD_SPARE_BYTES;
use crate::machine::Reason;
use crate::protocol::{Protocol, ReadId, Refusal};
use crate::time::Instant;

impl<P: Protocol, T> Engine<P, T> {
    /// Handles a frame for this group, without the group's id. Malformed frames are ignored and
    /// counted.
    pub fn handle_frame(&mut self, now: Instant, from: NodeId, frame: Bytes) {
        if self.closed.is_some() {
            return;
        }
        let Some((frame, rest)) = Frame::decode(frame) else {
            self.frames_ignored += 1;
            return;
        };
        self.heard.insert(from, now);
        let here = self.config.incarnation;
        match frame {
            Frame::Message => self.handle_message(now, from, rest),
            Frame::Forward { round } => self.handle_forward(now, from, round, rest),
            Frame::Refused {
                incarnation,
                sequence,
                reason,
            } if incarnation == here => {
                self.handle_refused(from, sequence, reason);
            }
            Frame::AskIndex {
                round,
                incarnation,
                id,
                by_lease,
            } => {
                self.handle_ask(
                    now,
                    round,
                    by_lease,
                    Remote {
                        node: from,
                        incarnation,
                        id,
                    },
                );
            }
            Frame::Index {
                incarnation,
                id,
                index,
            } if incarnation == here => match index {
                Ok(index) => {
                    self.reads.confirm(from, ReadId(id), index);
                    self.serve();
                }
                Err(denial) => self.handle_denied(from, ReadId(id), denial),
            },
            frame => self.handle_transfer(now, from, frame, rest),
        }
    }

    /// Handles the frames of snapshot transfers. Answers to another incarnation of this node end up
    /// here and are ignored and counted.
    fn handle_transfer(&mut self, now: Instant, from: NodeId, frame: Frame, rest: Bytes) {
        match frame {
            Frame::Pull { index, tag, at } => self.handle_pull(from, name(index, tag), at),
            Frame::Chunk {
                index,
                tag,
                at,
                len,
                hash,
            } => {
                let seal = Seal { len, hash };
                self.handle_chunk(now, from, name(index, tag), (at, seal), rest);
            }
            Frame::Damaged { index, tag } => self.handle_damaged(from, name(index, tag)),
            Frame::Waits { index, .. } => {
                if self.transfer.waits(now, from, index) {
                    self.note(Event::PeerWaits { index, peer: from });
                }
            }
            Frame::Done { index, whole, .. } => {
                self.transfer.done(now, from, index, whole);
                self.prune(now, self.newest);
            }
            Frame::Gone { index, tag } => {
                if let Some(snapshot) = self.transfer.gone(from, name(index, tag)) {
                    self.fail_pull(now, snapshot, &"its holder no longer has it");
                }
            }
            _ => self.frames_ignored += 1,
        }
    }

    fn handle_message(&mut self, now: Instant, from: NodeId, bytes: Bytes) {
        let (len, has_room) = (bytes.len() + RECORD_SPARE_BYTES, self.disk.has_room);
        let record_bytes_max = self.config.record_bytes_max;
        let space = &mut self.space;
        let takes = |message: &P::Message| {
            let body = P::longest_body(message);
            // A new leader's first entry is empty, and every disk reserves space for it: without it
            // a full group would have no leader to serve reads.
            body.is_none_or(|bytes| {
                bytes + RECORD_SPARE_BYTES <= record_bytes_max
                    && (bytes == 0 || has_room && space.take(len))
            })
        };
        match P::decode(bytes).filter(takes) {
            Some(message) => self.core.handle_message(now, from, message),
            None => self.frames_ignored += 1,
        }
    }

    /// Groups the queued reads into a round and asks the leader for its index.
    pub(super) fn ask(&mut self, now: Instant) {
        let leader = self.core.leadership();
        for id in self.reads.stale(
            now,
            leader,
            self.config.node,
            self.config.bounds.retry_after,
        ) {
            self.reads.requeue(id);
        }
        let Some(leader) = leader else { return };
        if !self.reads.has_queued() || self.reads.under_way() >= ROUNDS_MAX {
            return;
        }
        let (id, by_lease) = self.reads.ask(now, leader);
        if leader.node != self.config.node {
            // A leader that holds a lease answers sooner.
            if self.config.quorum_reads
                && !by_lease
                && let Some(Ok(())) = self.core.read_by_quorum(now, id)
            {
                return self.reads.ask_a_quorum(id, self.config.node);
            }
            let frame = Frame::AskIndex {
                round: leader.epoch.round,
                incarnation: self.config.incarnation,
                id: id.0,
                by_lease,
            };
            self.send(leader.node, Lane::Control, &frame, Vec::new());
        } else if let Err(refusal) = self.core.read(now, id) {
            self.refuse_round(id, refusal.into());
        }
    }

    /// Handles the core's answer to a round of this node or of a follower.
    pub(super) fn handle_index(&mut self, id: ReadId, index: Result<u64, Refusal>) {
        if let Some(Remote {
            node,
            incarnation,
            id,
        }) = self.reads.take_remote(id)
        {
            // Without leadership there is no answer: the follower asks the next leader by itself.
            if index != Err(Refusal::NotLeader) {
                let frame = Frame::Index {
                    incarnation,
                    id,
                    index: index.map_err(Denial::from),
                };
                self.send(node, Lane::Control, &frame, Vec::new());
            }
            return;
        }
        match index {
            Ok(index) => {
                self.reads.confirm(self.config.node, id, index);
                self.serve();
            }
            Err(Refusal::NotLeader) => self.reads.requeue(id),
            Err(refusal) => self.refuse_round(id, refusal.into()),
        }
    }

    fn handle_refused(&mut self, from: NodeId, sequence: u64, denial: Denial) {
        if self
            .proposals
            .leadership(sequence)
            .is_none_or(|leader| leader.node != from)
        {
            self.frames_ignored += 1;
            return;
        }
        let tickets = match denial {
            Denial::NotLeader => self.proposals.give_back(sequence),
            _ => self
                .proposals
                .take(sequence)
                .into_iter()
                .flatten()
                .collect(),
        };
        tickets
            .into_iter()
            .for_each(|ticket| self.reject(ticket, denial.into()));
    }

    /// `now` was read after the frame had arrived.
    fn handle_ask(&mut self, now: Instant, round: u64, by_lease: bool, remote: Remote) {
        if self.leads_in(round).is_none() || self.reads.remote_count() >= REMOTE_ROUNDS_MAX {
            self.frames_ignored += 1;
            return;
        }
        let id = self.reads.ask_for(remote);
        if by_lease && let Some(index) = self.core.read_by_lease(now) {
            return self.handle_index(id, Ok(index));
        }
        if let Err(refusal) = self.core.read(now, id) {
            self.handle_index(id, Err(refusal));
        }
    }

    fn handle_denied(&mut self, from: NodeId, id: ReadId, denial: Denial) {
        if self.reads.asked_of(id) == Some(from) {
            self.refuse_round(id, denial.into());
        }
    }

    fn refuse_round(&mut self, id: ReadId, reason: Reason) {
        for ticket in self.reads.refuse(id) {
            self.reject(ticket, reason);
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLeader => Self::NotLeader,
            Refusal::Busy | Refusal::Transferring => Self::Busy,
            Refusal::Full => Self::Full,
            Refusal::TooLarge => Self::TooLarge,
        }
    }
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NotLeader => Self::NotLeader,
            Denial::Busy => Self::Busy,
            Denial::TooLarge => Self::TooLarge,
            Denial::Full => Self::Full,
        }
    }
}

/// Rounds of reads in progress at once; later reads gather in the next.
const ROUNDS_MAX: usize = 2;
/// Rounds of followers in progress at a leader.
const REMOTE_ROUNDS_MAX: usize = 1024;
