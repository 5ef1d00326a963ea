use crate::{Entries, Index};

/// A run that the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// The index of the first one, so that a search need not look into the run.
    pub(super) first: Index,
    /// At least one.
    pub(super) entries: Entries,
    /// What they keep in memory: more than their own bytes if some were cut off.
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

    /// The place of an index, which is not before this run.
    pub(super) fn place(&self, index: Index) -> usize {
        let place = usize::try_from(index.0 - self.first.0);
        place.map_or(self.entries.len(), |at| at.min(self.entries.len()))
    }

    /// Its entries from `from` to `to`.
    pub(super) fn within(&self, from: Index, to: Index) -> Entries {
        if from <= self.first && self.last() <= to {
            return self.entries.clone();
        }
        let from = self.place(from.max(self.first));
        self.entries.part(from..self.place(to.next()).max(from))
    }
}
