//! What the runtime asks of a durable log, and `synod_wal` as one: by itself, or with its slow syncs
//! on a thread.

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

/// Why a log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no space, or no descriptor; nothing was written, and the same may succeed later.
    #[error("no space or no descriptor is left for the log")]
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

impl Recovered {
    /// Whether there is nothing of the group, no slot either.
    pub(crate) fn is_empty(&mut self) -> bool {
        let slots = std::mem::replace(&mut self.slots, Box::new(std::iter::empty()));
        let mut slots = slots.peekable();
        let has_slots = slots.peek().is_some();
        self.slots = Box::new(slots);
        let begins_at_zero = self.start == Position::default();
        !has_slots && begins_at_zero && self.state.is_none() && self.snapshot.is_none()
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

/// What a record takes beside the body of an entry, at the most.
pub const RECORD_SPARE_BYTES: usize = 1024;

/// The writer's half of a durable log, owned by the loop that drives its groups.
///
/// `append` copies and never waits; `sync` may be done when it returns, or later:
/// [`durable`](Self::durable) tells. A log that ends a sync later wakes the loop by the waker that it
/// was delivered, and the loop calls [`settle`](Self::settle).
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
    /// Takes in what became of a sync that ended later than the call that began it. A driver calls
    /// it first in each turn, before it looks at [`durable`](Self::durable) and before it says
    /// anything: a node whose sync has failed must not speak as if nothing had happened.
    ///
    /// # Errors
    /// For ever, as those of [`sync`](Self::sync), which tells of the failure as well.
    fn settle(&mut self) -> Result<(), LogError> {
        Ok(())
    }
    /// Everything up to here is on stable storage, as far as it was taken in.
    fn durable(&self) -> Lsn;
    /// What is stored of a group.
    ///
    /// # Errors
    /// When it cannot be read; [`LogError::Full`] when nothing is wrong with it and no descriptor is
    /// left to read it by.
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
    /// How long a sync takes at present: smoothed over the last ones, not below the one that is under
    /// way, and less with each second in which there is none. Zero when it is not known.
    fn sync_time(&self) -> Duration {
        Duration::ZERO
    }
    /// Whether space is allocated for what may be appended next. A node whose log has no room takes
    /// nothing new until it has; so a log that has failed for good answers `true`, and the next
    /// append tells why. What had none has room again only when there is more than a little: a
    /// driver waits some seconds more before it believes it.
    fn has_room(&mut self) -> bool;
    /// How many bytes of records [`append`](Self::append) takes for sure, whatever becomes of the disk:
    /// a record counts as its bodies and [`RECORD_SPARE_BYTES`]. A driver hands it no more between two
    /// looks, or one record that it [`takes`](Self::takes_a_record): a log that does not take what a core
    /// has given away ends its group. Of a log that has its own space for everything, without bound.
    fn room_bytes(&self) -> u64 {
        u64::MAX
    }
    /// Which log it is and how far it has come, for one that notices at its next opening what was lost; see
    /// [`Wal::mark`](synod_wal::Wal::mark). It is noted whenever its generation has changed. `None` for a log
    /// of which nobody could note anything; one that is around another log hands on what that says.
    fn mark(&self) -> Option<Mark>;
    /// Whether one record is taken for sure, be it as long as any, while there [`has_room`](Self::has_room).
    /// A log that makes its room elsewhere may have room, and not know yet of how much.
    fn takes_a_record(&self) -> bool {
        true
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
    /// Stores a received chunk of the file that `seal` describes. Of one that does not fit the disk no
    /// chunk is to be taken.
    ///
    /// # Errors
    /// [`SnapshotError::Full`], also when the whole would not fit; the medium's.
    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError>;
    /// Verifies the chunks as a whole, also against `seal`, and makes them a snapshot; it is durable on
    /// return.
    ///
    /// # Errors
    /// When the chunks are not that snapshot or not that file, or the medium's.
    fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError>;
    /// Forgets the chunks.
    ///
    /// # Errors
    /// The medium's.
    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError>;
    /// The length of a snapshot's file and its hash, as it says them itself.
    ///
    /// # Errors
    /// When there is none.
    fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError>;
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
