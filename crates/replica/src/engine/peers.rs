//! What an engine and its peers say around the protocol: forwards, read indexes, snapshots.

use bytes::Bytes;
use synod_transport::{Lane, NodeId};
use synod_wal::{Snapshot, SnapshotError};

use super::config::RECORD_SPARE_BYTES;
use super::reads::Remote;
use super::transfer::Next;
use super::{Effect, Engine, Poisoned};
use crate::frame::{Denial, Frame, name};
use crate::log::LogError;
use crate::machine::Reason;
use crate::protocol::{Protocol, ReadId, Refusal};
use crate::task::{SnapshotName, Task};
use crate::time::Instant;

impl<P: Protocol, T> Engine<P, T> {
    /// A frame for this group, without the group's id. Nonsense is ignored and counted.
    pub fn handle_frame(&mut self, now: Instant, from: NodeId, frame: Bytes) {
        if self.closed.is_some() {
            return;
        }
        let Some((frame, rest)) = Frame::decode(frame) else {
            self.frames_ignored += 1;
            return;
        };
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
            } => {
                self.handle_ask(
                    now,
                    round,
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
            Frame::Refused { .. } | Frame::Index { .. } => self.frames_ignored += 1,
            Frame::Pull { index, tag, at } => self.handle_pull(from, name(index, tag), at),
            Frame::Piece {
                index,
                tag,
                at,
                len,
            } => self.handle_piece(from, name(index, tag), at, len, rest),
            Frame::Damaged { index, tag } => self.handle_damaged(name(index, tag)),
            Frame::Gone { index, tag } => {
                if let Some(snapshot) = self.transfer.gone(from, name(index, tag)) {
                    self.snapshots_failed += 1;
                    self.core.handle_pull_failed(now, snapshot);
                }
            }
        }
    }

    fn handle_message(&mut self, now: Instant, from: NodeId, bytes: Bytes) {
        let takes = |message: &P::Message| {
            let body = P::longest_body(message);
            body.is_none_or(|bytes| {
                self.disk.has_room && bytes + RECORD_SPARE_BYTES <= self.config.record_bytes_max
            })
        };
        match P::decode(bytes).filter(takes) {
            Some(message) => self.core.handle_message(now, from, message),
            None => self.frames_ignored += 1,
        }
    }

    /// Groups what reads are queued into a round and asks whoever leads.
    pub(super) fn ask(&mut self, now: Instant) {
        let leader = self.core.leadership();
        for id in self
            .reads
            .stale(now, leader, self.config.node, self.config.patience)
        {
            self.reads.requeue(id);
        }
        let Some(leader) = leader else { return };
        if !self.reads.has_queued() || self.reads.under_way() >= ROUNDS_MAX {
            return;
        }
        let id = self.reads.ask(now, leader);
        if leader.node != self.config.node {
            let frame = Frame::AskIndex {
                round: leader.epoch.round,
                incarnation: self.config.incarnation,
                id: id.0,
            };
            self.send(leader.node, Lane::Control, &frame, Vec::new());
        } else if let Err(refusal) = self.core.read(now, id) {
            self.refuse_round(id, refusal.into());
        }
    }

    /// The core's answer to a round of this node or of a follower.
    pub(super) fn handle_index(&mut self, id: ReadId, index: Result<u64, Refusal>) {
        if let Some(Remote {
            node,
            incarnation,
            id,
        }) = self.reads.take_remote(id)
        {
            // Without leadership there is no answer: the follower asks the next leader of its own
            // accord.
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

    /// Asks for the next piece, or gives up.
    pub(super) fn pull(&mut self, now: Instant) {
        match self
            .transfer
            .next(now, self.config.patience, UNANSWERED_MAX)
        {
            Next::Wait => {}
            Next::Discard(snapshot) => self
                .ready
                .push_back(Effect::Task(Task::DiscardPart(snapshot))),
            Next::Ask(from, name, at) => {
                self.send(from, Lane::Control, &Frame::pull(name, at), Vec::new());
            }
            Next::GiveUp(snapshot) => {
                self.snapshots_failed += 1;
                self.core.handle_pull_failed(now, snapshot);
            }
        }
    }

    /// What was pulled is of no use. Its holder cannot know: it sends the bytes as it finds them.
    pub(super) fn give_up(&mut self, now: Instant, snapshot: Snapshot, error: &SnapshotError) {
        self.snapshots_failed += 1;
        let Some(holder) = self.transfer.end(&snapshot) else {
            return;
        };
        if matches!(error, SnapshotError::Corrupt { .. }) {
            let frame = Frame::damaged(SnapshotName::from(&snapshot));
            self.send(holder, Lane::Control, &frame, Vec::new());
        }
        self.core.handle_pull_failed(now, snapshot);
    }

    /// A peer got a snapshot of this node damaged. On the way, or has it rotted here? Then a leader
    /// that needs the peer's acknowledgements would wait for ever.
    fn handle_damaged(&mut self, snapshot: SnapshotName) {
        if self.transfer.verify() {
            self.ready.push_back(Effect::Task(Task::Verify(snapshot)));
        }
    }

    pub(super) fn handle_verified(
        &mut self,
        result: Result<(), SnapshotError>,
    ) -> Result<(), Poisoned> {
        self.transfer.verified();
        result.map_err(|error| Poisoned(LogError::Failed(error.into())))
    }

    /// A snapshot was taken, or could not be; the log stays as it is then, and the next one is due
    /// in its time.
    pub(super) fn handle_saved(&mut self, saved: Option<Snapshot>) {
        match saved {
            Some(_) => self.snapshots_taken += 1,
            None => self.snapshots_failed += 1,
        }
        self.transfer.taken(saved);
    }

    /// Cuts the log behind a snapshot, once enough has been applied since.
    pub(super) fn cut(&mut self, now: Instant) {
        let worth = self.config.snapshot_log_bytes;
        let patience = self.config.patience * SERVING_PATIENCES;
        let cut = self.transfer.cut(
            now,
            patience,
            worth / MARGIN_PARTS,
            worth.saturating_mul(LAG_MAX),
        );
        if let Some(snapshot) = cut {
            let index = snapshot.index;
            self.core.handle_snapshot(now, snapshot);
            self.prune(now, index);
        }
    }

    /// Removes the snapshots before `newest`, but for those that peers are reading.
    pub(super) fn prune(&mut self, now: Instant, newest: u64) {
        let patience = self.config.patience * SERVING_PATIENCES;
        let keep_from = self.transfer.keep_from(now, newest, patience);
        self.ready
            .push_back(Effect::Task(Task::Prune { keep_from }));
    }

    pub(super) fn handle_piece_read(
        &mut self,
        now: Instant,
        to: NodeId,
        name: SnapshotName,
        at: u64,
        piece: Option<(u64, Bytes)>,
    ) {
        self.reading.remove(&to);
        match piece {
            Some((len, bytes)) => {
                self.transfer.serve(now, to, name.index);
                self.send(to, Lane::Bulk, &Frame::piece(name, at, len), vec![bytes]);
            }
            None => self.send(to, Lane::Control, &Frame::gone(name), Vec::new()),
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
        let tickets = self.proposals.take(sequence);
        tickets
            .into_iter()
            .flatten()
            .for_each(|ticket| self.reject(ticket, denial.into()));
    }

    fn handle_ask(&mut self, now: Instant, round: u64, remote: Remote) {
        if self.leads_in(round).is_none() || self.reads.remote_count() >= REMOTE_ROUNDS_MAX {
            self.frames_ignored += 1;
            return;
        }
        let id = self.reads.ask_for(remote);
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

    fn handle_pull(&mut self, from: NodeId, snapshot: SnapshotName, at: u64) {
        if !self.reading.insert(from) {
            return;
        }
        let bytes_max = self.config.piece_bytes_max;
        self.ready.push_back(Effect::Task(Task::ReadChunk {
            to: from,
            snapshot,
            at,
            bytes_max,
        }));
    }

    fn handle_piece(&mut self, from: NodeId, name: SnapshotName, at: u64, len: u64, bytes: Bytes) {
        match self.transfer.piece(from, name, at, len, bytes.len()) {
            Some((snapshot, last)) => {
                self.ready.push_back(Effect::Task(Task::WriteChunk {
                    snapshot,
                    at,
                    bytes,
                    last,
                }));
            }
            None => self.frames_ignored += 1,
        }
    }
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NotLeader => Self::NotLeader,
            Denial::Busy => Self::Busy,
            Denial::TooLarge => Self::TooLarge,
        }
    }
}

/// How many patiences a snapshot is kept for a peer that has not asked for its next piece.
const SERVING_PATIENCES: u32 = 50;
/// The log is cut this part of a snapshot's worth of log after the snapshot was taken.
const MARGIN_PARTS: u64 = 4;
/// How many snapshots' worth of log a peer may lag behind while it reads a snapshot.
const LAG_MAX: u64 = 8;
/// Rounds of reads under way at once; later reads gather into the next.
const ROUNDS_MAX: usize = 2;
/// Rounds of followers under way at a leader.
const REMOTE_ROUNDS_MAX: usize = 1024;
/// Questions for a piece that may go unanswered before a pull is given up.
const UNANSWERED_MAX: u32 = 10;
