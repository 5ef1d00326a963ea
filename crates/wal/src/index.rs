//! The log's contents in memory: the location of each slot, and no bodies except those that wait
//! for a sync.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::format::{self, GroupHead, Malformed, PUT_BYTES, Stored};
use crate::{GroupId, Lsn, Tag};

/// The index, shared by the writer and its readers; the lock is never held over I/O.
#[derive(Debug)]
pub(crate) struct Shared<F>(Mutex<Index<F>>);

/// The location of everything.
///
/// Invariants: the slots of a group are above its start; `Segment::slots` counts the entries that
/// refer to the segment; every entry refers to a segment in `segments`.
#[derive(Debug)]
pub(crate) struct Index<F> {
    pub(crate) groups: BTreeMap<GroupId, Group>,
    /// By generation, including those that exist only in a pending batch.
    pub(crate) segments: BTreeMap<u64, Segment<F>>,
    /// What was appended and is not durable, oldest first.
    pub(crate) pending: VecDeque<Batch>,
    /// The bytes that the live slots take in records.
    pub(crate) live_bytes: u64,
}

/// A group as of the last append.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) state: Option<Tag>,
    pub(crate) start: (u64, Tag),
    pub(crate) slots: BTreeMap<u64, Entry>,
    pub(crate) live_bytes: u64,
}

/// The location of a slot's body, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) generation: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) checksum: u32,
    pub(crate) tag: Tag,
}

/// A file of the log.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) number: u64,
    pub(crate) file: Arc<F>,
    pub(crate) slots: u64,
}

/// Records that are written at once, after everything before them is durable.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) generation: u64,
    pub(crate) number: u64,
    /// The offset of the batch in its segment.
    pub(crate) base: u64,
    /// Shared with the writer while it is being written.
    pub(crate) bytes: Arc<Vec<u8>>,
    /// The start of the last record, which has no checksum yet.
    pub(crate) unsealed: Option<usize>,
    /// Up to where the log is durable when this batch is written.
    pub(crate) durable: Lsn,
    /// Up to where the log is durable when this batch is.
    pub(crate) end: Lsn,
    /// The oldest generation according to the segment's opening in this batch, if it has one.
    pub(crate) oldest: Option<u64>,
}

impl<F> Shared<F> {
    pub(crate) fn new(index: Index<F>) -> Self {
        Self(Mutex::new(index))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Index<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        let (groups, segments) = (BTreeMap::new(), BTreeMap::new());
        Self {
            groups,
            segments,
            pending: VecDeque::new(),
            live_bytes: 0,
        }
    }
}

impl<F> Index<F> {
    /// Applies a payload of operations whose first byte is, or will be, at offset `at` in the
    /// segment of `generation`.
    pub(crate) fn apply(
        &mut self,
        group: GroupId,
        payload: &[u8],
        generation: u64,
        at: u64,
    ) -> Result<(), Malformed> {
        self.groups.entry(group).or_default();
        for stored in format::decode_ops(payload) {
            match stored? {
                Stored::State(tag) => self.group_mut(group).state = Some(tag),
                Stored::Truncate { from } => self.forget(group, from..=u64::MAX),
                Stored::Start { after, tag } => {
                    self.group_mut(group).start = (after, tag);
                    self.forget(group, 0..=after);
                }
                Stored::Put {
                    index,
                    tag,
                    body,
                    body_at,
                } => {
                    let offset = u32::try_from(at + body_at as u64).map_err(|_| Malformed)?;
                    let len = u32::try_from(body.len()).map_err(|_| Malformed)?;
                    let checksum = crc32c::crc32c(body);
                    self.put(
                        group,
                        index,
                        Entry {
                            generation,
                            offset,
                            len,
                            checksum,
                            tag,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    /// Takes over a group's entry in the opening of the oldest segment.
    pub(crate) fn restore(&mut self, head: GroupHead) {
        let group = self.group_mut(head.group);
        (group.state, group.start) = (head.state, head.start);
    }

    /// The entries of all groups for the opening of a segment.
    pub(crate) fn heads(&self) -> impl ExactSizeIterator<Item = GroupHead> {
        self.groups.iter().map(|(id, group)| GroupHead {
            group: *id,
            state: group.state,
            start: group.start,
        })
    }

    /// The oldest generation with a live slot.
    pub(crate) fn oldest_live(&self) -> Option<u64> {
        self.segments
            .iter()
            .find(|(_, segment)| segment.slots > 0)
            .map(|(generation, _)| *generation)
    }

    /// The bytes at `offset` of a segment, if they wait for a sync.
    pub(crate) fn pending(&self, generation: u64, offset: u64, len: usize) -> Option<&[u8]> {
        let batch = self
            .pending
            .iter()
            .rev()
            .find(|b| b.generation == generation && b.base <= offset)?;
        let at = usize::try_from(offset - batch.base).ok()?;
        batch.bytes.get(at..at.checked_add(len)?)
    }

    /// Whether a slot's body is at this location.
    pub(crate) fn is_live(&self, group: GroupId, slot: u64, generation: u64, offset: u64) -> bool {
        let entry = self
            .groups
            .get(&group)
            .and_then(|group| group.slots.get(&slot));
        entry.is_some_and(|entry| {
            entry.generation == generation && u64::from(entry.offset) == offset
        })
    }

    fn put(&mut self, group: GroupId, index: u64, entry: Entry) {
        self.forget(group, index..=index);
        let bytes = entry.bytes();
        let group = self.group_mut(group);
        if index > group.start.0 {
            group.slots.insert(index, entry);
            group.live_bytes += bytes;
            self.live_bytes += bytes;
            if let Some(segment) = self.segments.get_mut(&entry.generation) {
                segment.slots += 1;
            }
        }
    }

    fn forget(&mut self, id: GroupId, range: RangeInclusive<u64>) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let gone: Vec<Entry> = if *range.end() == u64::MAX {
            group.slots.split_off(range.start()).into_values().collect()
        } else if range.start() == range.end() {
            group.slots.remove(range.start()).into_iter().collect()
        } else {
            // The end is not the greatest number, so there is one above it.
            let kept = group.slots.split_off(&(range.end() + 1));
            std::mem::replace(&mut group.slots, kept)
                .into_values()
                .collect()
        };
        for entry in gone {
            group.live_bytes -= entry.bytes();
            self.live_bytes -= entry.bytes();
            if let Some(segment) = self.segments.get_mut(&entry.generation) {
                debug_assert!(segment.slots > 0, "each entry is counted by its segment");
                segment.slots -= 1;
            }
        }
    }

    fn group_mut(&mut self, id: GroupId) -> &mut Group {
        self.groups.entry(id).or_default()
    }
}

impl Entry {
    /// The bytes that the slot takes in a record.
    pub(crate) fn bytes(&self) -> u64 {
        PUT_BYTES as u64 + u64::from(self.len)
    }
}

impl Batch {
    /// The end of its last block.
    pub(crate) fn end_offset(&self) -> u64 {
        (self.base + self.bytes.len() as u64).next_multiple_of(format::BLOCK_BYTES)
    }

    /// The bytes, copied first if a sync in progress shares them.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.bytes)
    }
}
