//! The writing half of the log: the position of the next record, and the batches to be written.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use crate::disk::{Disk, is_full};
use crate::format::{self, BLOCK_BYTES, HEADER_BYTES, Header, Kind};
use crate::index::{Batch, Index, Segment, Shared};
use crate::options::Need;
use crate::recovery::Recovery;
use crate::reserve::Reserve;
use crate::spares::Spares;
use crate::upkeep::Carrier;
use crate::{AppendError, GroupId, Lsn, Mark, OpenError, Options, Stats};

/// The only writer of a log.
///
/// Invariants:
/// - A batch is written only when everything before it is durable, so only the final batch can be
///   torn. So one [`SyncWork`](crate::SyncWork) is in progress at a time, on whichever thread, and
///   what is appended meanwhile goes into a later batch.
/// - The first batch of a process is a single record. A torn batch of an earlier process may have
///   left good records after a bad one; their batch number was used when that first batch became
///   durable, so they never look like its successors.
/// - A segment is overwritten only when a durable opening states that it is no longer part of the
///   log, and there is always space for such an opening.
#[derive(Debug)]
pub(crate) struct Writer<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared<D::File>>,
    pub(crate) spares: Spares<D::File>,
    /// Where the next record goes; `None` before the first segment.
    pub(crate) place: Option<Place>,
    pub(crate) carrier: Option<Carrier<D::File>>,
    pub(crate) stats: Stats,
    /// How many more bytes of the next segment are to be filled.
    pub(crate) fill_due: u64,
    pub(crate) reserve: Reserve,
    /// There may be space again for the reserve.
    pub(crate) reserve_due: bool,
    /// Whether there was no room at the last check.
    pub(crate) is_full: bool,
    /// Whether a segment is being filled because there is no room.
    pub(crate) is_room_wanted: bool,
    /// The last number assigned.
    pub(crate) last: Lsn,
    pub(crate) durable: Lsn,
    /// The newest segment of which something is durable; 0 for none.
    pub(crate) durable_generation: u64,
    batch: u64,
    pub(crate) pending_bytes: usize,
    /// How many of the pending bytes are being written; `None` while no work is in progress.
    pub(crate) under_way: Option<usize>,
    /// The secret in all records of the log.
    pub(crate) salt: u64,
    pub(crate) opened: bool,
    pub(crate) latched: bool,
}

/// A position in the newest segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) at: u64,
    pub(crate) len: u64,
}

impl<D: Disk> Writer<D> {
    /// Continues at the end that recovery found.
    pub(crate) fn new(
        disk: D,
        mut options: Options,
        shared: Arc<Shared<D::File>>,
        recovery: Recovery<D::File>,
        reserve: Reserve,
    ) -> Result<Self, OpenError> {
        let Recovery {
            tail,
            unused,
            number_max,
            segment_bytes,
            salt,
            ..
        } = recovery;
        options.segment_bytes = options.segment_bytes.max(segment_bytes);
        let salt = salt.or(options.salt).unwrap_or_else(random);
        let spares = Spares::new(&disk, options.segment_bytes, number_max, unused)?;
        let place = tail.map(|tail| Place {
            generation: tail.generation,
            at: tail.cursor.at.next_multiple_of(BLOCK_BYTES),
            len: tail.len / BLOCK_BYTES * BLOCK_BYTES,
        });
        let last = tail.map_or(Lsn(0), |tail| tail.cursor.lsn);
        let batch = tail.map_or(0, |tail| tail.cursor.batch);
        let (carrier, stats) = (None, Stats::default());
        let mut writer = Self {
            disk,
            options,
            shared,
            spares,
            place,
            carrier,
            stats,
            fill_due: 0,
            reserve_due: false,
            is_full: false,
            is_room_wanted: false,
            reserve,
            last,
            durable: last,
            durable_generation: tail.map_or(0, |tail| tail.generation),
            batch,
            pending_bytes: 0,
            under_way: None,
            salt,
            opened: false,
            latched: false,
        };
        let allocated = match writer.place {
            None => writer.spares.allocate(&writer.disk, 1),
            Some(_) => Ok(()),
        };
        // The log comes first: a reserve without a log is useless.
        let reserved = allocated.and_then(|()| match writer.reserve.is_wanted() {
            true => writer.reserve.fill(&writer.disk),
            false => Ok(()),
        });
        match reserved {
            Err(error) if !is_full(&error) => Err(error.into()),
            _ => Ok(writer),
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            salt: self.salt,
            generation: self.durable_generation,
            end: self.durable,
        }
    }

    pub(crate) fn durable(&self) -> Lsn {
        self.durable
    }

    pub(crate) fn stats(&self) -> Stats {
        let index = self.shared.lock();
        let segments = index.segments.len() as u64;
        let (segments_filled, live_bytes) = (self.spares.filled(), index.live_bytes);
        let segment_bytes = segments * self.options.segment_bytes;
        Stats {
            segments,
            segments_filled,
            live_bytes,
            segment_bytes,
            ..self.stats
        }
    }

    /// Adds a record to the pending batch.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        group: GroupId,
        payload: &[u8],
        need: Need,
    ) -> Result<Lsn, AppendError> {
        if self.latched || self.is_used_up() {
            return Err(AppendError::Latched);
        }
        let bytes_max = self.options.pending_bytes_max;
        if self.pending_bytes + payload.len() > bytes_max && self.pending_bytes > 0 {
            return Err(AppendError::Pending { bytes_max });
        }
        let groups_max = self.options.groups_max();
        let has_space =
            |index: &Index<_>| index.groups.contains_key(&group) || index.groups.len() < groups_max;
        if !has_space(&self.shared.lock()) {
            return Err(AppendError::TooManyGroups { groups_max });
        }
        self.make_room(format::frame_len(0, payload.len(), false), need)?;
        self.pending_bytes += HEADER_BYTES + payload.len();
        Ok(self.push(kind, group, payload))
    }

    /// Whether no numbers are left for what an append may write. No log gets there by counting, but
    /// a forged record may claim so.
    fn is_used_up(&self) -> bool {
        let generation = self.place.map_or(0, |place| place.generation);
        self.last.0.max(self.batch).max(generation) > NUMBERS_MAX
    }

    fn make_room(&mut self, frame: u64, need: Need) -> Result<(), AppendError> {
        if !self.has_room(frame, need) {
            self.allocate()?;
        }
        if !self.opened {
            self.open()?;
            return self.make_room(frame, need);
        }
        if !self.fits(frame, need) {
            self.rotate();
        } else if !self.is_open() {
            self.begin();
        }
        Ok(())
    }

    /// Appends the record that opens the incarnation of this process, in a batch of its own.
    fn open(&mut self) -> Result<(), AppendError> {
        if self.fits(BLOCK_BYTES, Need::State) {
            self.begin();
            self.push(Kind::Open, GroupId(0), &[]);
        } else {
            self.allocate()?;
            self.rotate();
        }
        self.close();
        self.opened = true;
        Ok(())
    }

    /// Begins a segment, in a batch that opens with the states of all groups.
    fn rotate(&mut self) {
        self.close();
        let Some(spare) = self.spares.take() else {
            return;
        };
        self.stats.segments_recycled += u64::from(spare.used);
        let generation = self.place.map_or(1, |place| place.generation + 1);
        self.place = Some(Place {
            generation,
            at: 0,
            len: self.options.segment_bytes,
        });
        let (oldest, payload) = {
            let mut index = self.shared.lock();
            let oldest = index.oldest_live().unwrap_or(generation);
            let segment = Segment {
                number: spare.number,
                file: spare.file,
                slots: 0,
            };
            index.segments.insert(generation, segment);
            (oldest, format::encode_head(oldest, index.heads()))
        };
        self.begin();
        self.push(Kind::Head, GroupId(0), &payload);
        if let Some(batch) = self.shared.lock().pending.back_mut() {
            batch.oldest = Some(oldest);
        }
    }

    fn is_open(&self) -> bool {
        self.shared
            .lock()
            .pending
            .back()
            .is_some_and(|batch| batch.unsealed.is_some())
    }

    /// Begins a batch at the end of the log.
    fn begin(&mut self) {
        let Some(Place {
            generation,
            at: base,
            ..
        }) = self.place
        else {
            return;
        };
        self.batch += 1;
        self.shared.lock().pending.push_back(Batch {
            generation,
            number: self.batch,
            base,
            bytes: Arc::default(),
            unsealed: None,
            durable: self.last,
            end: self.last,
            oldest: None,
        });
    }

    /// Adds a record to the open batch, which has room for it.
    fn push(&mut self, kind: Kind, group: GroupId, payload: &[u8]) -> Lsn {
        let lsn = Lsn(self.last.0 + 1);
        let mut index = self.shared.lock();
        let Some(batch) = index.pending.back_mut() else {
            return self.last;
        };
        let (generation, base) = (batch.generation, batch.base);
        let (durable, number) = (batch.durable, batch.number);
        let unsealed = batch.unsealed.take();
        let bytes = batch.bytes_mut();
        if let Some(start) = unsealed {
            format::seal(bytes, start, base, false);
        }
        let start = bytes.len();
        format::push(
            bytes,
            &Header {
                kind,
                last: false,
                generation,
                lsn,
                durable,
                batch: number,
                group,
                salt: self.salt,
            },
            payload,
        );
        let at = base + bytes.len() as u64;
        (batch.unsealed, batch.end) = (Some(start), lsn);
        if matches!(kind, Kind::Ops | Kind::Carry) {
            let applied = index.apply(
                group,
                payload,
                generation,
                base + (start + HEADER_BYTES) as u64,
            );
            debug_assert!(applied.is_ok(), "what was encoded here can be decoded");
        }
        drop(index);
        if let Some(place) = &mut self.place {
            debug_assert!(at <= place.len, "there was room for the record");
            place.at = at;
        }
        self.last = lsn;
        self.stats.records += 1;
        lsn
    }

    /// Closes the open batch: nothing more goes into it.
    pub(crate) fn close(&mut self) {
        let mut index = self.shared.lock();
        let Some(batch) = index.pending.back_mut() else {
            return;
        };
        let Some(start) = batch.unsealed.take() else {
            return;
        };
        let base = batch.base;
        format::seal(batch.bytes_mut(), start, base, true);
        if let Some(place) = &mut self.place {
            place.at = batch.end_offset();
        }
    }
}

/// Above this nothing is appended. One append takes a few numbers of each kind: for the openings of
/// a process and of a segment, and for itself.
const NUMBERS_MAX: u64 = u64::MAX - 16;

/// A number that no client can guess.
///
/// The hasher's keys come from the operating system's random number generator, once for each
/// thread, and nothing computed here is ever shown to a client. So all 64 bits are unpredictable,
/// and the log needs no generator of its own.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
