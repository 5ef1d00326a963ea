use crate::{Entries, Index};

/// A run in the log's cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// The index of the first entry, so that a search need not look into the run.
    pub(super) first: Index,
    /// At least one entry.
    pub(super) entries: Entries,
    /// The bytes kept in memory: more than those of the entries if some were cut off.
    pub(super) bytes: usize,
}

impl Run {
    pub(super) fn new(first: Index, entries: Entries, bytes: usize) -> Self {
        Self {
            first,
            entries,
            bytes,
        }
    }

    pub(super) fn last(&self) -> Index {
        Index(self.first.0 + self.entries.len() as u64 - 1)
    }

    /// The position of an index, which must not be before this run.
    pub(super) fn place(&self, index: Index) -> usize {
        let place = usize::try_from(index.0 - self.first.0);
        place.map_or(self.entries.len(), |at| at.min(self.entries.len()))
    }

    /// The entries of this run from `from` to `to`.
    pub(super) fn within(&self, from: Index, to: Index) -> Entries {
        if from <= self.first && self.last() <= to {
            return self.entries.clone();
        }
        let from = self.place(from.max(self.first));
        self.entries.part(from..self.place(to.next()).max(from))
    }
}
