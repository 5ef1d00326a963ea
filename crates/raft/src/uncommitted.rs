use alloc::collections::VecDeque;

use crate::Index;

/// What a leader's entries take of the bound on proposals, until they are both committed and durable
/// here: run by run, as they are sent and written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Uncommitted {
    /// The last entry of each run, and its bytes.
    runs: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Uncommitted {
    /// Whether an entry of so many bytes has its place below the bound. Alone it always has, else one
    /// that is larger could never be proposed.
    pub(crate) fn fits(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// The next entry has so many bytes; the open tail, which it is in, begins at `open_from`.
    pub(crate) fn hold(&mut self, index: Index, bytes: usize, open_from: Index) {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.runs.back_mut() {
            Some((last, sum)) if *last >= open_from => {
                *last = index;
                *sum = sum.saturating_add(bytes);
            }
            _ => self.runs.push_back((index, bytes)),
        }
    }

    /// Runs that end at `index` or before it count no more.
    pub(crate) fn release_to(&mut self, index: Index) {
        while self.runs.front().is_some_and(|(last, _)| *last <= index) {
            self.bytes -= self.runs.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }
}
