use alloc::collections::VecDeque;

use crate::Index;

/// What a leader's entries take of the bound on proposals, until they are both committed and durable
/// here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Uncommitted {
    /// The entry that the first size is of.
    from: Index,
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl Uncommitted {
    /// None yet; the next entry is `from`.
    pub(crate) fn new(from: Index) -> Self {
        Self {
            from,
            sizes: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Whether an entry of so many bytes has its place below the bound. Alone it always has, else one
    /// that is larger could never be proposed.
    pub(crate) fn fits(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// The next entry has so many bytes.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.sizes.push_back(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// What is up to `index` counts no more.
    pub(crate) fn release_to(&mut self, index: Index) {
        while self.from <= index {
            let Some(bytes) = self.sizes.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            self.from = self.from.next();
        }
    }
}
