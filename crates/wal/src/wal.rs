//! The log: append, sync, recover.

use std::fmt;
use std::sync::Arc;

use crate::disk::Disk;
use crate::format::{self, Kind};
use crate::index::Shared;
use crate::options::Need;
use crate::reader::{Reader, Recovered};
use crate::recovery::recover;
use crate::reserve::Reserve;
use crate::snapshot::{self, Snapshots};
use crate::sync::{SyncDone, SyncWork};
use crate::writer::Writer;
use crate::{AppendError, GroupId, Lsn, Mark, Op, OpenError, Options, ReadError, Stats, SyncError};

/// A durable write-ahead log of numbered slots, shared by many groups.
///
/// Invariants:
/// - What [`sync`](Self::sync) has confirmed is found by every later [`open`](Self::open), or
///   `open` fails.
/// - The operations of one [`append`](Self::append) are found together or not at all, and none
///   without everything that was appended before them.
/// - After a failed write or sync nothing more is accepted; reads still work.
///
/// ```
/// use bytes::Bytes;
/// use synod_wal::{Directory, GroupId, Op, Options, Tag, Wal};
///
/// # let temporary = tempfile::tempdir()?;
/// # let path = temporary.path();
/// let mut wal = Wal::open(Directory::open(path)?, Options::default())?;
/// let (group, body) = (GroupId(1), Bytes::from_static(b"hello"));
/// let vote = Op::State(Tag([7; 32]));
/// let slot = Op::Put { index: 1, tag: Tag::default(), body: &body };
/// let lsn = wal.append(group, &mut [vote, slot].into_iter())?;
/// wal.sync()?;                             // one sync for all groups: now it is durable
/// assert!(wal.durable() >= lsn);
///
/// let slots = wal.reader().read(group, 1..=9, 4096)?;
/// assert_eq!(slots[0].body, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Wal<D: Disk> {
    disk: D,
    snapshots: Snapshots<D>,
    shared: Arc<Shared<D::File>>,
    writer: Writer<D>,
    /// The payload of the current record.
    payload: Vec<u8>,
}

impl<D: Disk> Wal<D> {
    /// Opens the log on `disk`, or creates one, and recovers its contents.
    ///
    /// A torn final batch, for which no sync has returned, is cut at its first bad record.
    /// Everything that remains is durable.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] if a record is bad that was durable once; the others as documented
    /// there.
    pub fn open(disk: D, options: Options) -> Result<Self, OpenError> {
        options.validate()?;
        // First, because the next steps may need space.
        snapshot::remove_unwritten(&disk)?;
        let mut recovery = recover(&disk, options.least)?;
        // A log without durable records has no salt yet, but its snapshots may be durable.
        let owners = snapshot::owners(&disk)?;
        let first = owners.first().map(|(.., salt)| *salt);
        let salt = recovery.salt.or(options.salt).or(first);
        recovery.salt = salt;
        if let Some((group, index, _)) = owners.iter().find(|(.., owner)| Some(*owner) != salt) {
            let (group, index) = (*group, *index);
            return Err(OpenError::AnotherSnapshot { group, index });
        }
        let shared = Arc::new(Shared::new(std::mem::take(&mut recovery.index)));
        let reserve = Reserve::find(&disk, options.reserve_bytes)?;
        let writer = Writer::new(
            disk.clone(),
            options,
            Arc::clone(&shared),
            recovery,
            reserve.clone(),
        )?;
        Ok(Self {
            snapshots: Snapshots::new(disk.clone(), writer.salt, reserve),
            disk,
            shared,
            writer,
            payload: Vec::new(),
        })
    }

    /// The mark that the next [`open`](Self::open) must find, to be stored elsewhere at any time.
    /// Its generation changes when a segment is begun.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.writer.mark()
    }

    /// Appends operations on a group: all of them are durable when [`durable`](Self::durable)
    /// reaches the returned number.
    ///
    /// Copies into the pending batch and does not wait, unless a segment is needed before one could
    /// be allocated ahead.
    ///
    /// # Errors
    /// Nothing of the operations is in the log then. [`AppendError::Full`] may pass; see there for
    /// the others.
    pub fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, AppendError> {
        let bytes_max = self.writer.options().record_bytes_max;
        self.payload.clear();
        let mut need = Need::State;
        for op in ops {
            let bytes = self.payload.len() + format::op_len(&op);
            if bytes > bytes_max {
                return Err(AppendError::TooLarge { bytes, bytes_max });
            }
            need = need.min(match op {
                Op::Put { body, .. } if !body.is_empty() => Need::Body,
                Op::Put { .. } => Need::Empty,
                _ => Need::State,
            });
            format::encode_op(&mut self.payload, &op);
        }
        self.writer.append(Kind::Ops, group, &self.payload, need)
    }

    /// Makes everything appended durable: writes the pending batch and syncs once. Without anything
    /// pending it does nothing. If a segment ended within the batch, it is two batches and two
    /// syncs.
    ///
    /// # Errors
    /// [`SyncError::UnderWay`] while a sync that was [begun](Self::begin_sync) is in progress,
    /// which is not overtaken. After any other error the log is closed for good: a retried sync
    /// might succeed without having done anything.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        self.writer.sync()
    }

    /// Begins a sync that any thread may do: what [`sync`](Self::sync) would do on this one, as a
    /// value. `None` if there is nothing to do, or while another one is in progress: what is
    /// appended meanwhile waits for the next, which can be begun when this one is finished. The
    /// work may be upkeep only, so `durable` may not change, and more may be due afterwards.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use synod_wal::{Directory, GroupId, Op, Options, Tag, Wal};
    /// # let temporary = tempfile::tempdir()?;
    /// # let mut wal = Wal::open(Directory::open(temporary.path())?, Options::default())?;
    /// # let body = Bytes::from_static(b"command");
    /// let put = Op::Put { index: 1, tag: Tag::default(), body: &body };
    /// let lsn = wal.append(GroupId(1), &mut [put].into_iter())?;
    /// while let Some(work) = wal.begin_sync()? {
    ///     let done = std::thread::spawn(|| work.run());
    ///     // Appends and reads are possible meanwhile.
    ///     wal.finish_sync(done.join().unwrap())?;
    /// }
    /// assert!(wal.durable() >= lsn);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Latched`].
    pub fn begin_sync(&mut self) -> Result<Option<SyncWork<D>>, SyncError> {
        self.writer.begin_sync()
    }

    /// Finishes a sync that was begun.
    ///
    /// # Errors
    /// [`SyncError::Io`] if it failed: the log is then closed for good. [`SyncError::OtherLife`] if
    /// it was not begun by this value; then nothing has changed.
    pub fn finish_sync(&mut self, done: SyncDone<D>) -> Result<(), SyncError> {
        self.writer.finish_sync(done)
    }

    /// Up to where, inclusive, the log is durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.writer.durable()
    }

    /// Whether a record of `bytes` with a body would be accepted now. If not, tries to allocate a
    /// segment first: so a caller that asks before it accepts work learns of a full disk in time.
    ///
    /// `false` means that space may come; after it, `true` comes only when a whole segment is free
    /// again. A log that is closed has nothing to wait for and returns `true`: the next append
    /// reports the failure.
    pub fn has_room(&mut self, bytes: usize) -> bool {
        self.writer.find_room(bytes)
    }

    /// How many bytes of records with bodies, headers included, are certain to be accepted even if
    /// the disk has no space left: what fits into the current segment, or into the next one.
    pub fn room_bytes(&self) -> u64 {
        self.writer.room_bytes()
    }

    /// Like [`has_room`](Self::has_room), without trying to make room.
    pub fn is_roomy(&mut self, bytes: usize) -> bool {
        self.writer.is_roomy(bytes)
    }

    /// Whether there was no space for a segment when room was last to be made.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Begins to make room, as work for any thread; see [`begin_sync`](Self::begin_sync). `None` if
    /// there is room, or while a sync is in progress. When the work is finished,
    /// [`is_roomy`](Self::is_roomy) has the result.
    pub fn begin_room(&mut self, bytes: usize) -> Option<SyncWork<D>> {
        self.writer.begin_room(bytes)
    }

    /// Whether [`begin_sync`](Self::begin_sync) has upkeep to do, for which nobody waits.
    #[must_use]
    pub fn is_upkeep_due(&self) -> bool {
        self.writer.is_upkeep_due()
    }

    /// The bounds of the log: those it was opened with, except that segments are as long as its
    /// longest existing one.
    #[must_use]
    pub fn options(&self) -> &Options {
        self.writer.options()
    }

    /// The log's contents for a group: its state and start, and its slots as a stream.
    ///
    /// # Errors
    /// None at present; errors of the slots come with the stream.
    pub fn recover(&self, group: GroupId) -> Result<Recovered<D>, ReadError> {
        Ok(self.reader().recover(group))
    }

    /// The groups of which the log holds anything, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        self.shared.lock().groups.keys().copied().collect()
    }

    /// A handle to read slots, usable from any thread.
    #[must_use]
    pub fn reader(&self) -> Reader<D> {
        Reader::new(Arc::clone(&self.shared))
    }

    /// The snapshot files beside the log, usable from any thread.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots<D> {
        self.snapshots.clone()
    }

    /// The medium.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The log's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.writer.stats()
    }

    /// Bytes that the live slots of a group take in the log.
    #[must_use]
    pub fn log_bytes(&self, group: GroupId) -> u64 {
        self.shared
            .lock()
            .groups
            .get(&group)
            .map_or(0, |group| group.live_bytes)
    }
}

impl<D: Disk> fmt::Debug for Wal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal")
            .field("durable", &self.durable())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
