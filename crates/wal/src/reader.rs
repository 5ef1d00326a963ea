//! The reading half of the log, shared by any number of threads.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::disk::{Disk, read_full};
use crate::index::{Entry, Index, Shared};
use crate::{GroupId, ReadError, Slot, Tag};

/// Reads slots concurrently with the writer, including those that wait for their sync.
pub struct Reader<D: Disk> {
    shared: Arc<Shared<D::File>>,
}

/// What the log holds of a group.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered<D: Disk> {
    /// The value of the last [`Op::State`](crate::Op::State).
    pub state: Option<Tag>,
    /// The value of the last [`Op::Start`](crate::Op::Start): the last slot that is not in the log,
    /// and its tag. Zeros if there was none.
    pub start: (u64, Tag),
    /// The slots above the start, ascending.
    pub slots: Slots<D>,
}

/// The slots of a group, ascending, read in portions. Ends after the first error.
#[derive(Debug)]
pub struct Slots<D: Disk> {
    reader: Reader<D>,
    group: GroupId,
    next: Option<u64>,
    buffer: VecDeque<Slot>,
}

/// A slot to read, from memory or from a file.
struct Wanted<F> {
    index: u64,
    entry: Entry,
    from: From<F>,
}

enum From<F> {
    Memory(Bytes),
    File { number: u64, file: Arc<F> },
}

impl<D: Disk> Reader<D> {
    pub(crate) fn new(shared: Arc<Shared<D::File>>) -> Self {
        Self { shared }
    }

    /// Reads the slots in `range`, ascending: at least one if there is one, then as many as fit
    /// `bytes_max`, where a slot counts its body and 48 bytes.
    ///
    /// # Errors
    /// [`ReadError::Cut`] if the range begins at or below the start; [`ReadError::Slot`] if the
    /// medium has lost its contents.
    pub fn read(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, ReadError> {
        let mut wanted = self.find(group, range.clone(), bytes_max)?;
        loop {
            match fetch(group, &wanted) {
                // If the slot has moved, its segment was overwritten during the read.
                Err(ReadError::Slot { .. }) => {
                    let again = self.find(group, range.clone(), bytes_max)?;
                    let places = |wanted: &[Wanted<_>]| {
                        wanted
                            .iter()
                            .map(|w| (w.index, w.entry))
                            .collect::<Vec<_>>()
                    };
                    if places(&again) == places(&wanted) {
                        return fetch(group, &again);
                    }
                    wanted = again;
                }
                other => return other,
            }
        }
    }

    pub(crate) fn recover(&self, group: GroupId) -> Recovered<D> {
        let index = self.shared.lock();
        let (state, start) = index
            .groups
            .get(&group)
            .map_or_else(Default::default, |g| (g.state, g.start));
        let next = start.0.checked_add(1);
        Recovered {
            state,
            start,
            slots: Slots {
                reader: self.clone(),
                group,
                next,
                buffer: VecDeque::new(),
            },
        }
    }

    fn find(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Wanted<D::File>>, ReadError> {
        let index = self.shared.lock();
        let start = index.groups.get(&group).map_or(0, |group| group.start.0);
        if *range.start() <= start {
            return Err(ReadError::Cut { start });
        }
        let Some(slots) = index.groups.get(&group).map(|group| &group.slots) else {
            return Ok(Vec::new());
        };
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = Vec::new();
        let mut bytes = 0;
        for (slot, entry) in slots.range(range) {
            bytes += entry.len as usize + SLOT_BYTES;
            if bytes > bytes_max && !wanted.is_empty() {
                break;
            }
            wanted.extend(locate(&index, *slot, *entry));
        }
        Ok(wanted)
    }
}

fn locate<F>(index: &Index<F>, slot: u64, entry: Entry) -> Option<Wanted<F>> {
    let pending = index.pending(
        entry.generation,
        u64::from(entry.offset),
        entry.len as usize,
    );
    let from = match pending {
        Some(body) => From::Memory(Bytes::copy_from_slice(body)),
        None => {
            let segment = index.segments.get(&entry.generation)?;
            From::File {
                number: segment.number,
                file: Arc::clone(&segment.file),
            }
        }
    };
    Some(Wanted {
        index: slot,
        entry,
        from,
    })
}

/// Reads the wanted slots, adjacent ones together.
fn fetch<F: crate::File>(group: GroupId, wanted: &[Wanted<F>]) -> Result<Vec<Slot>, ReadError> {
    let mut slots = Vec::with_capacity(wanted.len());
    let mut rest = wanted;
    while let Some(first) = rest.first() {
        let run = run_len(rest);
        match &first.from {
            From::Memory(body) => slots.push(slot(first, body.clone())),
            From::File { number, file } => {
                let base = u64::from(first.entry.offset);
                let last = &rest[run - 1].entry;
                let mut bytes = BytesMut::zeroed(
                    (u64::from(last.offset) + u64::from(last.len) - base) as usize,
                );
                let count = read_full(&**file, base, &mut bytes)?;
                bytes.truncate(count);
                let bytes = bytes.freeze();
                for wanted in &rest[..run] {
                    let (index, offset) = (wanted.index, u64::from(wanted.entry.offset));
                    let body = body(&bytes, (offset - base) as usize, &wanted.entry);
                    let bad = ReadError::Slot {
                        group,
                        index,
                        segment: *number,
                        offset,
                    };
                    slots.push(slot(wanted, body.ok_or(bad)?));
                }
            }
        }
        rest = &rest[run..];
    }
    Ok(slots)
}

/// How many of the first slots are adjacent in one file.
fn run_len<F>(wanted: &[Wanted<F>]) -> usize {
    let neighbours = |pair: &[Wanted<F>]| {
        let (a, b) = (&pair[0].entry, &pair[1].entry);
        let end = u64::from(a.offset) + u64::from(a.len);
        let near = (end..=end + GAP_BYTES_MAX).contains(&u64::from(b.offset));
        near && a.generation == b.generation && matches!(pair[1].from, From::File { .. })
    };
    match wanted[0].from {
        From::Memory(_) => 1,
        From::File { .. } => {
            1 + wanted
                .windows(2)
                .take_while(|pair| neighbours(pair))
                .count()
        }
    }
}

fn body(bytes: &Bytes, at: usize, entry: &Entry) -> Option<Bytes> {
    let end = at + entry.len as usize;
    let is_good = bytes
        .get(at..end)
        .is_some_and(|body| crc32c::crc32c(body) == entry.checksum);
    is_good.then(|| bytes.slice(at..end))
}

fn slot<F>(wanted: &Wanted<F>, body: Bytes) -> Slot {
    Slot {
        index: wanted.index,
        tag: wanted.entry.tag,
        body,
    }
}

impl<D: Disk> Iterator for Slots<D> {
    type Item = Result<Slot, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.buffer.is_empty() {
            let from = self.next.take()?;
            match self.reader.read(self.group, from..=u64::MAX, STREAM_BYTES) {
                Ok(slots) => self.buffer = slots.into(),
                Err(error) => return Some(Err(error)),
            }
            self.next = self
                .buffer
                .back()
                .and_then(|slot| slot.index.checked_add(1));
        }
        self.buffer.pop_front().map(Ok)
    }
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<D: Disk> fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// What a slot counts besides its body.
const SLOT_BYTES: usize = 48;
/// The greatest gap between adjacent bodies: the head of a put or of a record, or the end of a
/// block.
const GAP_BYTES_MAX: u64 = 4096 + 256;
/// How much a stream of slots reads at a time.
const STREAM_BYTES: usize = 256 * 1024;
