//! What the runtime asks of a durable log, and `synod_wal` as one.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use synod_wal::{
    AppendError, Disk, GroupId, Lsn, Op, ReadError, Reader, Slot, Snapshot, SnapshotError,
    Snapshots, Wal,
};

use crate::protocol::Position;

/// Why a log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no space; nothing was written, and the same may succeed later.
    #[error("no space is left for the log")]
    Full,
    /// The range begins at or before the log's start.
    #[error("the log begins after {start}")]
    Cut {
        /// The index the log begins after.
        start: u64,
    },
    /// Storage failed. A log that failed once stays shut.
    #[error("the log has failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// What a group's log held when it was opened.
pub struct Recovered {
    /// The newest state record.
    pub state: Option<synod_wal::Tag>,
    /// The log begins after this.
    pub start: Position,
    /// The newest complete snapshot.
    pub snapshot: Option<Snapshot>,
    /// The slots in order, streamed: a core keeps its tail and the boundaries, not the log.
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

/// What a log has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Syncs that reached the medium.
    pub syncs: u64,
    /// Bytes of records written.
    pub bytes_written: u64,
}

/// The writer's half of a durable log, owned by the loop that drives its groups.
///
/// `append` copies and never waits; `sync` may be done when it returns, or later:
/// [`durable`](Self::durable) tells. A log that ends a sync later wakes the loop by the waker it
/// was built with.
pub trait Log: Send + 'static {
    /// Takes one record, all or nothing, into the batch that the next sync makes durable.
    ///
    /// # Errors
    /// [`LogError::Full`] leaves the log as it was; any other error is for ever.
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError>;
    /// Starts or does the sync of everything appended.
    ///
    /// # Errors
    /// For ever: what was appended and not durable may or may not be.
    fn sync(&mut self) -> Result<(), LogError>;
    /// Everything up to here is on stable storage.
    fn durable(&self) -> Lsn;
    /// What is stored of a group.
    ///
    /// # Errors
    /// When it cannot be read.
    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError>;
    /// The readers' half.
    fn reader(&self) -> Arc<dyn LogReader>;
    /// The snapshots beside the log.
    fn snapshots(&self) -> Arc<dyn SnapshotStore>;
    /// What to call, from any thread, when a sync ends later than the call that began it. A log whose syncs are done
    /// when they return has no use for it.
    fn wake_with(&mut self, _wake: Arc<dyn Fn() + Send + Sync>) {}
    /// What it has done so far.
    fn stats(&self) -> LogStats;
    /// Whether space is allocated for what may be appended next. A node whose log has no room falls
    /// silent until it has; so a log that has failed for good answers `true`, and the next append
    /// tells why.
    fn has_room(&mut self) -> bool;
    /// How long a sync takes at present: smoothed, and falling again when syncs become faster. Zero
    /// when it is not known.
    fn sync_time(&self) -> Duration {
        Duration::ZERO
    }
    /// The longest record that [`append`](Self::append) takes, in bytes of its operations.
    fn record_bytes_max(&self) -> usize;
}

/// Reads beside the writer, from any thread.
pub trait LogReader: Send + Sync {
    /// Slots of a range in order: at least one when one exists, then as many as fit.
    ///
    /// # Errors
    /// [`LogError::Cut`] when the range begins at or before the start.
    fn read(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, LogError>;
}

/// Snapshot files: what peers transfer is the whole file, byte for byte.
pub trait SnapshotStore: Send + Sync {
    /// Writes a snapshot; it is durable on return. Gives the file's length.
    ///
    /// # Errors
    /// The writer's or the medium's.
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError>;
    /// Stores a received piece.
    ///
    /// # Errors
    /// The medium's.
    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError>;
    /// Verifies the pieces as a whole and makes them a snapshot; it is durable on return.
    ///
    /// # Errors
    /// When the pieces are not that snapshot, or the medium's.
    fn finish_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError>;
    /// Forgets the pieces.
    ///
    /// # Errors
    /// The medium's.
    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError>;
    /// The length of a snapshot's file.
    ///
    /// # Errors
    /// When there is none.
    fn len(&self, group: GroupId, index: u64) -> Result<u64, SnapshotError>;
    /// Bytes of a snapshot's file, to send.
    ///
    /// # Errors
    /// When there is none, or the medium's.
    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError>;
    /// Verifies a snapshot and gives a reader of its body.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn io::Read + Send>), SnapshotError>;
    /// Removes what stands before `index`.
    ///
    /// # Errors
    /// The medium's.
    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError>;
}

impl<D: Disk> Log for Wal<D> {
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError> {
        Self::append(self, group, ops).map_err(|error| match error {
            AppendError::Full => LogError::Full,
            other => failed(other),
        })
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Self::sync(self).map_err(failed)
    }

    fn durable(&self) -> Lsn {
        Self::durable(self)
    }

    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError> {
        let recovered = Self::recover(self, group).map_err(read_failed)?;
        let (index, tag) = recovered.start;
        let snapshot = Self::snapshots(self).list(group).map_err(failed)?.pop();
        let slots = Box::new(recovered.slots.map(|slot| slot.map_err(read_failed)));
        Ok(Recovered {
            state: recovered.state,
            start: Position { index, tag },
            snapshot,
            slots,
        })
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(Self::reader(self))
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(Self::snapshots(self))
    }

    fn stats(&self) -> LogStats {
        let stats = Self::stats(self);
        LogStats {
            syncs: stats.syncs,
            bytes_written: stats.bytes_written,
        }
    }

    fn has_room(&mut self) -> bool {
        let bytes = self.options().record_bytes_max;
        Self::has_room(self, bytes)
    }

    fn record_bytes_max(&self) -> usize {
        self.options().record_bytes_max
    }
}

impl<D: Disk> LogReader for Reader<D> {
    fn read(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, LogError> {
        Self::read(self, group, range, bytes_max).map_err(read_failed)
    }
}

impl<D: Disk> SnapshotStore for Snapshots<D> {
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        Self::create(self, group, snapshot, write)
    }

    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        Self::write_part(self, group, snapshot, at, bytes)
    }

    fn finish_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        Self::finish_part(self, group, snapshot)
    }

    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        Self::discard_part(self, group, snapshot)
    }

    fn len(&self, group: GroupId, index: u64) -> Result<u64, SnapshotError> {
        Self::len(self, group, index)
    }

    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError> {
        Self::read(self, group, index, at, into)
    }

    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn io::Read + Send>), SnapshotError> {
        Self::open(self, group, index)
            .map(|(snapshot, reader)| (snapshot, Box::new(reader) as Box<dyn io::Read + Send>))
    }

    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        Self::remove_before(self, group, index)
    }
}

fn failed(error: impl Error + Send + Sync + 'static) -> LogError {
    LogError::Failed(Box::new(error))
}

fn read_failed(error: ReadError) -> LogError {
    match error {
        ReadError::Cut { start } => LogError::Cut { start },
        other => failed(other),
    }
}
