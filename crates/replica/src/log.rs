//! What the runtime requires of a durable log, and its implementations by `synod_wal`: directly, or
//! with slow syncs on a thread.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use synod_wal::{GroupId, Lsn, Mark, Op, Seal, Slot, Snapshot, SnapshotError};

use crate::protocol::Position;

mod keeper;
mod pace;
mod room;
mod space;
mod threaded;
mod wal;

pub(crate) use keeper::Keeper;
pub(crate) use room::Room;
pub(crate) use space::Claim;
pub use space::LogSpace;
pub use threaded::ThreadedLog;

/// Why an operation of a log failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// No space or no file descriptor is left. Nothing was written, and the same call may succeed
    /// later.
    #[error("no space or no descriptor is left for the log")]
    Full,
    /// The range begins at or before the log's start.
    #[error("the log begins after {start}")]
    Cut {
        /// The index after which the log begins.
        start: u64,
    },
    /// Storage failed. A log that failed once stays closed.
    #[error("the log has failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// What a log holds of a group when it is opened.
pub struct Recovered {
    /// The newest state record.
    pub state: Option<synod_wal::Tag>,
    /// The position after which the log begins.
    pub start: Position,
    /// The newest complete snapshot.
    pub snapshot: Option<Snapshot>,
    /// The slots in order, streamed: a core keeps the tail and the boundaries, not the whole log.
    pub slots: Box<dyn Iterator<Item = Result<Slot, LogError>> + Send>,
}

impl fmt::Debug for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovered")
            .field("start", &self.start)
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}

impl Recovered {
    /// What an empty log holds.
    #[cfg(any(feature = "raft", feature = "paxos"))]
    pub(crate) fn nothing() -> Self {
        Self {
            state: None,
            start: Position::default(),
            snapshot: None,
            slots: Box::new(std::iter::empty()),
        }
    }

    /// Whether the log holds nothing of the group, not even a slot.
    pub(crate) fn is_empty(&mut self) -> bool {
        let slots = std::mem::replace(&mut self.slots, Box::new(std::iter::empty()));
        let mut slots = slots.peekable();
        let has_slots = slots.peek().is_some();
        self.slots = Box::new(slots);
        let begins_at_zero = self.start == Position::default();
        !has_slots && begins_at_zero && self.state.is_none() && self.snapshot.is_none()
    }
}

/// Counters of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Syncs that reached the medium.
    pub syncs: u64,
    /// Bytes of records written.
    pub bytes_written: u64,
}

/// The most bytes that a record takes in addition to the body of its entry.
pub const RECORD_SPARE_BYTES: usize = 1024;

/// The writing half of a durable log, owned by the loop that drives its groups.
///
/// `append` copies and never waits. `sync` may complete before it returns, or later:
/// [`durable`](Self::durable) tells. A log that completes a sync later calls the function given to
/// [`wake_with`](Self::wake_with), and the loop then calls [`settle`](Self::settle).
pub trait Log: Send + 'static {
    /// Takes one record, all or nothing, into the batch that the next sync makes durable.
    ///
    /// # Errors
    /// [`LogError::Full`] leaves the log as it was; any other error is final.
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError>;
    /// Starts or completes the sync of everything appended.
    ///
    /// # Errors
    /// Final: what was appended and is not durable may or may not be on the medium.
    fn sync(&mut self) -> Result<(), LogError>;
    /// Takes in the result of a sync that completed later than the call that began it. A driver
    /// calls this first in each turn, before it reads [`durable`](Self::durable) and before it
    /// sends anything: a node whose sync failed must not continue as if nothing had happened.
    ///
    /// # Errors
    /// Final, like those of [`sync`](Self::sync), which reports the failure as well.
    fn settle(&mut self) -> Result<(), LogError> {
        Ok(())
    }
    /// The end of what is on stable storage, as far as results were taken in.
    fn durable(&self) -> Lsn;
    /// Reads what is stored of a group.
    ///
    /// # Errors
    /// If it cannot be read; [`LogError::Full`] if it is intact but no file descriptor is left to
    /// read it with.
    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError>;
    /// The reading half.
    fn reader(&self) -> Arc<dyn LogReader>;
    /// The snapshots beside the log.
    fn snapshots(&self) -> Arc<dyn SnapshotStore>;
    /// Sets the function to call, from any thread, when a sync completes later than the call that
    /// began it. A log whose syncs complete before they return ignores it.
    fn wake_with(&mut self, _wake: Arc<dyn Fn() + Send + Sync>) {}
    /// Counters since the log was opened.
    fn stats(&self) -> LogStats;
    /// How long a sync takes at present: smoothed over the last ones, at least as long as the one
    /// in progress, and decaying while there are none. Zero if unknown.
    fn sync_time(&self) -> Duration {
        Duration::ZERO
    }
    /// Whether space is allocated for the next appends. A node whose log has no room accepts no new
    /// work until it has some; so a log that has failed for good returns `true`, and the next
    /// append reports the failure. A log that was full has room again only when there is more than
    /// a little: the driver waits some seconds more before it relies on it.
    fn has_room(&mut self) -> bool;
    /// How many bytes of records [`append`](Self::append) is certain to accept, whatever becomes of
    /// the disk; each record counts as its bodies plus [`RECORD_SPARE_BYTES`]. Between two calls a
    /// driver appends no more than this, or one record if [`takes_a_record`](Self::takes_a_record):
    /// if a log refuses what a core has already released, its group ends. Unbounded for a log that
    /// needs no space of its own.
    fn room_bytes(&self) -> u64 {
        u64::MAX
    }
    /// Identifies the log and its end, so that the next opening notices what was lost; see
    /// [`Wal::mark`](synod_wal::Wal::mark). It is recorded whenever its generation has changed.
    /// `None` for a log that cannot be identified; a log that wraps another one passes on the mark
    /// of that.
    fn mark(&self) -> Option<Mark>;
    /// Whether one record of any length is certain to be accepted while the log
    /// [`has_room`](Self::has_room). A log that makes room on another thread may have room before
    /// it knows how much.
    fn takes_a_record(&self) -> bool {
        true
    }
    /// The longest record that [`append`](Self::append) accepts, in bytes of its operations.
    fn record_bytes_max(&self) -> usize;
}

/// The reading half of a log, usable from any thread.
pub trait LogReader: Send + Sync {
    /// Reads slots of a range in order: at least one if there is any, then as many as fit
    /// `bytes_max`.
    ///
    /// # Errors
    /// [`LogError::Cut`] if the range begins at or before the start of the log.
    fn read(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, LogError>;
}

/// The snapshot files beside a log. Peers transfer the whole file, byte for byte.
pub trait SnapshotStore: Send + Sync {
    /// Writes a snapshot and returns its file's length. It is durable on return.
    ///
    /// # Errors
    /// Errors of `write` or of the medium.
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError>;
    /// Stores a received chunk of the file that `seal` describes. A file that does not fit on the
    /// disk must be refused with its first chunk.
    ///
    /// # Errors
    /// [`SnapshotError::Full`], also if the whole file would not fit; errors of the medium.
    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError>;
    /// Verifies the whole file, also against `seal`, and makes it a snapshot. It is durable on
    /// return.
    ///
    /// # Errors
    /// If the chunks are not that snapshot or not that file; errors of the medium.
    fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError>;
    /// Discards the chunks received so far.
    ///
    /// # Errors
    /// Errors of the medium.
    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError>;
    /// The length and hash of a snapshot's file, as stored in the file itself.
    ///
    /// # Errors
    /// If there is no such snapshot.
    fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError>;
    /// Reads bytes of a snapshot's file, to send them.
    ///
    /// # Errors
    /// If there is no such snapshot; errors of the medium.
    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError>;
    /// Verifies a snapshot and returns a reader of its body.
    ///
    /// # Errors
    /// If there is no such snapshot, or it is damaged.
    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn io::Read + Send>), SnapshotError>;
    /// Removes the snapshots before `index`.
    ///
    /// # Errors
    /// Errors of the medium.
    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError>;
}

fn failed(error: impl Error + Send + Sync + 'static) -> LogError {
    LogError::Failed(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use synod_wal::Tag;

    fn recovered(slots: Vec<Slot>) -> Recovered {
        Recovered {
            state: None,
            start: Position::default(),
            snapshot: None,
            slots: Box::new(slots.into_iter().map(Ok)),
        }
    }

    #[test]
    fn a_group_of_which_anything_is_stored_is_not_empty_and_nothing_of_it_is_lost() {
        assert!(recovered(Vec::new()).is_empty());
        let mut other = recovered(Vec::new());
        other.state = Some(Tag([0; 32]));
        assert!(!other.is_empty());
        let mut other = recovered(Vec::new());
        other.start.index = 1;
        assert!(!other.is_empty());
        let (index, tag) = (1, Tag([0; 32]));
        let mut other = recovered(Vec::new());
        let meta = Bytes::new();
        other.snapshot = Some(Snapshot { index, tag, meta });
        assert!(!other.is_empty());
        let body = Bytes::from_static(b"a");
        let mut other = recovered(vec![Slot { index, tag, body }; 2]);
        assert!(!other.is_empty());
        assert_eq!(other.slots.count(), 2);
    }
}
