use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::mem::replace;
use core::ops::{Deref, Range};
use core::{fmt, slice};

use synod_durable::Few;

use crate::Entry;

/// A shared run of entries. Cloning it, or taking a [part](Self::part) of it, costs one reference
/// count, whatever its length. Entries that were proposed together go to the disk, to every peer
/// and to the state machine as one run.
///
/// It dereferences to a slice, and equality compares contents, not the allocation. It is moved more
/// often than it is read, so it is only two words.
///
/// ```
/// # use bytes::Bytes;
/// # use synod_raft::{Entries, Entry, Index, Kind, LogId, Term};
/// let id = |index| LogId { term: Term(1), index: Index(index) };
/// let entry = |index| Entry { id: id(index), kind: Kind::Noop, body: Bytes::new() };
/// let entries = Entries::from(vec![entry(4), entry(5)]);
/// assert_eq!(entries.part(1..2), Entries::from(vec![entry(5)]));
/// assert_eq!(entries.iter().map(|entry| entry.id.index.0).sum::<u64>(), 9);
/// ```
#[derive(Clone, Default)]
pub struct Entries {
    /// `None` if there are no entries.
    shared: Option<Arc<Shared>>,
    from: u32,
    to: u32,
}

#[derive(Debug)]
struct Shared {
    entries: Few<Entry>,
    bytes: usize,
    /// Whether each entry follows the one before it.
    is_sound: bool,
}

impl Entries {
    /// Shares the entries of an open tail: at least one, contiguous, of `bytes` in total.
    pub(crate) fn seal(open: &mut Vec<Entry>, bytes: usize) -> Self {
        let count = open.len();
        let mut entries = Few::default();
        match open.pop_if(|_| count == 1) {
            Some(entry) => entries.push(entry),
            None => entries = Few::from(replace(open, Vec::with_capacity(count))),
        }
        Self::share(entries, bytes, true)
    }

    fn share(entries: Few<Entry>, bytes: usize, is_sound: bool) -> Self {
        let to = u32::try_from(entries.len()).expect("no memory holds so many");
        let shared = Shared {
            entries,
            bytes,
            is_sound,
        };
        Self {
            shared: Some(Arc::new(shared)),
            from: 0,
            to,
        }
    }

    /// The number of entries.
    #[expect(
        clippy::len_without_is_empty,
        reason = "it reads as a slice, which has that"
    )]
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// The entries at these positions of the run, without copying them.
    ///
    /// # Panics
    /// If the range is not within the run, as with slices.
    #[must_use]
    pub fn part(&self, places: Range<usize>) -> Self {
        let len = self[places.clone()].len();
        if len == 0 {
            return Self::default();
        }
        let place = |at: usize| self.from + u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            shared: self.shared.clone(),
            from: place(places.start),
            to: place(places.end),
        }
    }

    /// As many entries as fit, at least one, starting at this position.
    pub(crate) fn fitting(&self, from: usize, bytes_max: usize, entries_max: usize) -> Self {
        if from == 0 && self.len() <= entries_max && self.bytes() <= bytes_max {
            return self.clone();
        }
        let (count, _) = fitting(self[from..].iter(), bytes_max, entries_max);
        self.part(from..from + count)
    }

    /// The bytes that these entries count towards the bounds of [`Config`](crate::Config). Stored
    /// for a whole run, computed for a part.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.shared {
            Some(shared) if self.len() == shared.entries.len() => shared.bytes,
            _ => self.iter().map(Entry::size).sum(),
        }
    }

    /// Whether each entry follows the one before it: without a gap, and with no earlier term.
    pub(crate) fn is_sound(&self) -> bool {
        let known = self.shared.as_ref().is_none_or(|shared| shared.is_sound);
        known || is_sound(self)
    }
}

/// How many of these entries fit, at least one, and their bytes.
pub(crate) fn fitting<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    bytes_max: usize,
    entries_max: usize,
) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0usize);
    for entry in entries.take(entries_max) {
        let more = bytes.saturating_add(entry.size());
        if count > 0 && more > bytes_max {
            break;
        }
        (count, bytes) = (count + 1, more);
    }
    (count, bytes)
}

fn is_sound(entries: &[Entry]) -> bool {
    entries.windows(2).all(|pair| {
        let (before, id) = (pair[0].id, pair[1].id);
        id.index == before.index.next() && id.term >= before.term
    })
}

impl Deref for Entries {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        match &self.shared {
            Some(shared) => &shared.entries[self.from as usize..self.to as usize],
            None => &[],
        }
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Entry>> for Entries {
    fn from(entries: Vec<Entry>) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let bytes = entries.iter().map(Entry::size).sum();
        let is_sound = is_sound(&entries);
        Self::share(Few::from(entries), bytes, is_sound)
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        entries.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Serialized as a sequence of entries, like a vector.
#[cfg(feature = "serde")]
impl serde::Serialize for Entries {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Index, Kind, LogId, Term};
    use bytes::Bytes;

    fn run(ids: &[(u64, u64)]) -> Entries {
        let entry = |(term, index): &(u64, u64)| Entry {
            id: LogId {
                term: Term(*term),
                index: Index(*index),
            },
            kind: Kind::Command,
            body: Bytes::from_static(b"0123"),
        };
        ids.iter().map(entry).collect()
    }

    #[test]
    fn a_part_is_equal_to_a_run_of_its_own() {
        let whole = run(&[(1, 1), (1, 2), (2, 3)]);
        let part = whole.part(1..3);
        assert_eq!(part, run(&[(1, 2), (2, 3)]));
        assert_eq!((part.bytes(), whole.bytes()), (2 * 36, 3 * 36));
        assert_eq!(part.part(1..1), Entries::default());
        assert!(part.part(0..1).is_sound());
    }

    #[test]
    fn what_fits_is_never_nothing() {
        let whole = run(&[(1, 1), (1, 2), (1, 3)]);
        let count = |from, bytes, entries| whole.fitting(from, bytes, entries).len();
        assert_eq!(
            (count(0, 0, 9), count(0, 71, 9), count(0, 72, 9)),
            (1, 1, 2)
        );
        assert_eq!((count(1, 1000, 9), count(0, 1000, 2)), (2, 2));
    }

    #[test]
    fn what_does_not_follow_is_seen() {
        assert!(run(&[(1, 4), (3, 5)]).is_sound() && Entries::default().is_sound());
        for ids in [[(1, 4), (1, 6)], [(1, 4), (1, 4)], [(2, 4), (1, 5)]] {
            assert!(!run(&ids).is_sound());
            assert!(run(&ids).part(0..1).is_sound());
        }
    }
}
