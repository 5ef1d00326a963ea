//! Snapshots as the engine sees them: taking, pulling, keeping them for peers, and cutting the log.

use std::fmt;

use bytes::Bytes;
use synod_transport::{Lane, NodeId};
use synod_wal::{Seal, Snapshot, SnapshotError};

use super::transfer::{Arrived, Keeping, Next};
use super::{Effect, Engine, Poisoned};
use crate::applier::Job;
use crate::closed::WithCauses;
use crate::events::Event;
use crate::frame::Frame;
use crate::log::LogError;
use crate::protocol::Protocol;
use crate::task::{Chunk, SnapshotName, Task};
use crate::time::Instant;

impl<P: Protocol, T> Engine<P, T> {
    /// A snapshot was taken, or failed. After a failure the log stays as it is, and the next
    /// snapshot is taken at its usual time.
    pub(super) fn handle_saved(&mut self, saved: Result<(Snapshot, u64), SnapshotError>) {
        let event = match &saved {
            Ok((snapshot, bytes)) => {
                self.snapshots_taken += 1;
                let (index, bytes) = (snapshot.index, *bytes);
                Event::SnapshotTaken { index, bytes }
            }
            Err(error) => {
                self.snapshots_failed += 1;
                let (what, why) = ("taken", WithCauses(error).to_string());
                Event::SnapshotFailed { what, why }
            }
        };
        self.note(event);
        self.transfer.taken(saved.ok());
    }

    /// Bytes of entries applied between two snapshots.
    pub(super) fn snapshot_interval(&self) -> u64 {
        self.transfer
            .interval(self.config.bounds.snapshot_log_bytes)
    }

    fn keeping(&self) -> Keeping {
        let interval = self.snapshot_interval();
        let least = interval.saturating_mul(KEPT_INTERVALS_MIN);
        Keeping {
            silence_max: self.config.bounds.retry_after * SERVING_TIMEOUTS,
            margin_bytes: interval / MARGIN_PARTS,
            kept_bytes_max: self.config.bounds.kept_log_bytes_max.max(least),
            has_room: self.disk.has_room,
        }
    }

    /// Cuts the log at a snapshot, once enough has been applied since. Without space for the log it
    /// is cut at once, and a snapshot is taken if there is none.
    pub(super) fn cut(&mut self, now: Instant) {
        let keeping = self.keeping();
        if !keeping.has_room && self.transfer.hurries(now, keeping) {
            self.jobs.push_back(Job::Freeze);
        }
        if !self.transfer.holds() {
            return;
        }
        let peers = self.core.status().peers;
        let matched = |id| {
            let peer = peers.iter().find(|peer| peer.id == id);
            peer.map(|peer| peer.matched)
        };
        if let Some(cut) = self.transfer.cut(now, keeping, matched) {
            let index = cut.snapshot.index;
            for peer in cut.left_behind {
                self.note(Event::PeerLeftBehind { peer });
            }
            self.core.handle_snapshot(now, cut.snapshot);
            self.prune(now, index);
        }
    }

    /// Removes the snapshots before `newest`, except those that peers are reading.
    pub(super) fn prune(&mut self, now: Instant, newest: u64) {
        self.newest = newest;
        let keep_from = self.transfer.keep_from(now, newest, self.keeping());
        self.ready
            .push_back(Effect::Task(Task::Prune { keep_from }));
    }

    /// Requests the next chunk, or gives up.
    pub(super) fn pull(&mut self, now: Instant) {
        match self
            .transfer
            .next(now, self.config.bounds.retry_after, UNANSWERED_MAX)
        {
            Next::Wait => {}
            Next::Discard(snapshot) => self
                .ready
                .push_back(Effect::Task(Task::DiscardPart(snapshot))),
            Next::Ask(from, name, at) => {
                self.send(from, Lane::Control, &Frame::pull(name, at), Vec::new());
            }
            Next::GiveUp(from, snapshot) => {
                self.end_pull(Some((from, snapshot.clone())), false);
                self.fail_pull(now, snapshot, &"no answer, or no space, for too long");
            }
        }
    }

    /// A snapshot was received completely and is durable.
    pub(super) fn handle_received(&mut self, now: Instant, snapshot: Snapshot) {
        self.snapshots_received += 1;
        let (index, holder) = (snapshot.index, self.transfer.whole(&snapshot));
        self.end_pull(holder.map(|holder| (holder, snapshot.clone())), true);
        self.note(Event::SnapshotReceived { index });
        self.core.handle_snapshot(now, snapshot);
    }

    /// A chunk could not be stored. On a full disk the pull waits; any other error ends it.
    pub(super) fn handle_not_stored(
        &mut self,
        now: Instant,
        snapshot: Snapshot,
        error: &SnapshotError,
    ) {
        if matches!(error, SnapshotError::Full) {
            if let Some(from) = self.transfer.full(now, &snapshot) {
                let frame = Frame::waits(SnapshotName::from(&snapshot));
                self.send(from, Lane::Control, &frame, Vec::new());
                let index = snapshot.index;
                self.note(Event::SnapshotWaits { index, from });
            }
            return;
        }
        let Some(holder) = self.transfer.failed(&snapshot) else {
            self.snapshots_failed += 1;
            return;
        };
        // The holder cannot know that its file is damaged: it sends the bytes as it reads them.
        if matches!(
            error,
            SnapshotError::Corrupt { .. } | SnapshotError::Seal { .. }
        ) {
            let frame = Frame::damaged(SnapshotName::from(&snapshot));
            self.send(holder, Lane::Control, &frame, Vec::new());
        }
        self.end_pull(Some((holder, snapshot.clone())), false);
        self.fail_pull(now, snapshot, &WithCauses(error));
    }

    /// Ends a pull without success and removes its chunks.
    pub(super) fn fail_pull(&mut self, now: Instant, snapshot: Snapshot, why: &dyn fmt::Display) {
        self.snapshots_failed += 1;
        let (what, why) = ("received", why.to_string());
        self.note(Event::SnapshotFailed { what, why });
        let discard = Task::DiscardPart(snapshot.clone());
        self.ready.push_back(Effect::Task(discard));
        self.core.handle_pull_failed(now, snapshot);
    }

    /// Tells the holder that no more chunks are needed.
    pub(super) fn end_pull(&mut self, pull: Option<(NodeId, Snapshot)>, whole: bool) {
        if let Some((holder, snapshot)) = pull {
            let frame = Frame::done(SnapshotName::from(&snapshot), whole);
            self.send(holder, Lane::Control, &frame, Vec::new());
        }
    }

    /// A peer received a snapshot of this node damaged, in transit or because the file is damaged
    /// here. In the latter case a leader that needs the peer's acknowledgements would wait for
    /// ever, so the file is verified.
    pub(super) fn handle_damaged(&mut self, peer: NodeId, snapshot: SnapshotName) {
        if self.transfer.verify() {
            let index = snapshot.index;
            self.note(Event::SnapshotDamaged { index, peer });
            self.ready.push_back(Effect::Task(Task::Verify(snapshot)));
        }
    }

    pub(super) fn handle_verified(
        &mut self,
        result: Result<(), SnapshotError>,
    ) -> Result<(), Poisoned> {
        self.transfer.verified();
        match result {
            // It could not be opened for want of a file descriptor, which proves nothing; a peer
            // that receives it damaged again will report it again.
            Err(error @ SnapshotError::Full) => {
                let (what, why) = ("verified", WithCauses(&error).to_string());
                self.note(Event::SnapshotFailed { what, why });
                Ok(())
            }
            result => result.map_err(|error| Poisoned(LogError::Failed(error.into()))),
        }
    }

    pub(super) fn handle_chunk_read(
        &mut self,
        now: Instant,
        to: NodeId,
        name: SnapshotName,
        at: u64,
        chunk: Chunk,
    ) {
        self.reading.remove(&to);
        match chunk {
            Chunk::Read { seal, bytes } => {
                self.transfer.serve(now, to, name.index);
                self.send(to, Lane::Bulk, &Frame::chunk(name, at, seal), vec![bytes]);
            }
            Chunk::Gone => self.send(to, Lane::Control, &Frame::gone(name), Vec::new()),
            // If told that the snapshot is gone, the peer would discard its chunks. It asks again
            // by itself.
            Chunk::NotNow => {}
        }
    }

    pub(super) fn handle_pull(&mut self, from: NodeId, snapshot: SnapshotName, at: u64) {
        if !self.reading.insert(from) {
            return;
        }
        let bytes_max = self.config.bounds.chunk_bytes_max;
        self.ready.push_back(Effect::Task(Task::ReadChunk {
            to: from,
            snapshot,
            at,
            bytes_max,
        }));
    }

    pub(super) fn handle_chunk(
        &mut self,
        now: Instant,
        from: NodeId,
        name: SnapshotName,
        (at, seal): (u64, Seal),
        bytes: Bytes,
    ) {
        match self.transfer.chunk(from, name, (at, seal), bytes.len()) {
            Arrived::Next(snapshot, last) => {
                self.ready.push_back(Effect::Task(Task::WriteChunk {
                    snapshot,
                    seal,
                    at,
                    bytes,
                    last,
                }));
            }
            Arrived::Stray => self.frames_ignored += 1,
            Arrived::Other(snapshot) => {
                self.end_pull(Some((from, snapshot.clone())), false);
                self.fail_pull(
                    now,
                    snapshot,
                    &"its length or hash changed during the transfer",
                );
            }
        }
    }
}

/// How many times `retry_after` a snapshot is kept for a peer that has not requested its next
/// chunk.
const SERVING_TIMEOUTS: u32 = 50;
/// The log is cut once this fraction of a snapshot interval was applied after the snapshot.
const MARGIN_PARTS: u64 = 4;
/// How many snapshot intervals of log are kept at least for a peer that reads a snapshot: while it
/// reads one as large as an interval, twice as much may be written.
const KEPT_INTERVALS_MIN: u64 = 2;
/// How many unanswered requests for a chunk end a pull.
const UNANSWERED_MAX: u32 = 10;
