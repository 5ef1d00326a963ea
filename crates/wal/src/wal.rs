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

/// A durable log of numbered slots of many groups.
///
/// Invariants:
/// - What [`sync`](Self::sync) has answered for is found by every later [`open`](Self::open), or
///   `open` fails.
/// - The operations of one [`append`](Self::append) are found together or not at all, and none
///   without all that was appended before them.
/// - After a failed write or sync nothing is taken any more; reads go on.
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
    /// The payload of the record at hand.
    payload: Vec<u8>,
}

impl<D: Disk> Wal<D> {
    /// Opens the log on `disk`, or begins one, and recovers what it holds.
    ///
    /// A torn final batch, for which no sync has returned, is cut at its first bad record. All that
    /// is left is durable.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] when a record is bad that was durable once; the others as they say.
    pub fn open(disk: D, options: Options) -> Result<Self, OpenError> {
        options.validate()?;
        // Before anything needs space.
        snapshot::remove_unwritten(&disk)?;
        let mut recovery = recover(&disk, options.least)?;
        // A log of which nothing is durable yet has drawn no salt, and its snapshots may be.
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

    /// What must be there at the next [`open`](Self::open): to be kept elsewhere, whenever it suits. It has
    /// a new generation when a segment was begun.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.writer.mark()
    }

    /// Appends operations on a group: all of them are durable when [`durable`](Self::durable)
    /// reaches the result.
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

    /// Makes all that was appended durable: writes the pending batch and syncs once. Without
    /// anything pending it does nothing. When a segment ended within the batch, it is two batches
    /// and two syncs.
    ///
    /// # Errors
    /// [`SyncError::UnderWay`] while one is under way that was [begun](Self::begin_sync): it is not
    /// overtaken. With any other the log is latched shut for good: a sync that is tried again may
    /// succeed without having done anything.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        self.writer.sync()
    }

    /// Begins a sync that any thread may do: what [`sync`](Self::sync) would do on this one, as a
    /// value. Nothing when there is nothing to do, or while one is under way: then what is appended
    /// waits for the next, which is to be begun when this one has been given back. It may be upkeep
    /// alone, so `durable` may stay where it is, and something may be due again afterwards.
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
    ///     // Meanwhile appends and reads go on.
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

    /// Takes what came of the sync that was begun.
    ///
    /// # Errors
    /// [`SyncError::Io`] when it failed: the log is then latched shut for good.
    /// [`SyncError::OtherLife`] when it was not begun by this value, and then nothing has changed.
    pub fn finish_sync(&mut self, done: SyncDone<D>) -> Result<(), SyncError> {
        self.writer.finish_sync(done)
    }

    /// Up to here, inclusive, the log is durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.writer.durable()
    }

    /// Whether a record of `bytes` with a body in it would be taken now. If not, tries to allocate
    /// a segment first: so whoever asks before it takes on work learns of a full disk before that
    /// work is under way.
    ///
    /// `false` means that space may come; then there is none before a whole segment is free again. A log that is
    /// latched shut has none to wait for and answers `true`: the next append says what is the matter.
    pub fn has_room(&mut self, bytes: usize) -> bool {
        self.writer.find_room(bytes)
    }

    /// How many bytes of records with bodies, headers included, are taken for sure, though the disk had
    /// no space left: what is in the segment at hand, or in the one that waits.
    pub fn room_bytes(&self) -> u64 {
        self.writer.room_bytes()
    }

    /// As [`has_room`](Self::has_room), without trying to make it.
    pub fn is_roomy(&mut self, bytes: usize) -> bool {
        self.writer.is_roomy(bytes)
    }

    /// Whether there was no space for a segment when room was last to be made.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Begins to make room, as work for any thread; see [`begin_sync`](Self::begin_sync). Nothing
    /// when there is room, or while a sync is under way. When it has been given back
    /// [`is_roomy`](Self::is_roomy) knows.
    pub fn begin_room(&mut self, bytes: usize) -> Option<SyncWork<D>> {
        self.writer.begin_room(bytes)
    }

    /// Whether something is to be done by [`begin_sync`](Self::begin_sync) that nobody waits for.
    #[must_use]
    pub fn is_upkeep_due(&self) -> bool {
        self.writer.is_upkeep_due()
    }

    /// The bounds of the log: those that it was opened with, except that segments are as long as the
    /// longest that it has.
    #[must_use]
    pub fn options(&self) -> &Options {
        self.writer.options()
    }

    /// What the log holds of a group: its state and start, and its slots as a stream.
    ///
    /// # Errors
    /// None now; those of the slots come with the stream.
    pub fn recover(&self, group: GroupId) -> Result<Recovered<D>, ReadError> {
        Ok(self.reader().recover(group))
    }

    /// The groups of which the log holds anything, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        self.shared.lock().groups.keys().copied().collect()
    }

    /// A handle to read slots, for any thread.
    #[must_use]
    pub fn reader(&self) -> Reader<D> {
        Reader::new(Arc::clone(&self.shared))
    }

    /// The snapshot files beside the log, for any thread.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots<D> {
        self.snapshots.clone()
    }

    /// The medium.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// What the log has done and what it holds.
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
