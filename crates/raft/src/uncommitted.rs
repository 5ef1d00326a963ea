use alloc::collections::VecDeque;

use crate::Index;

/// The share of the bound on proposals that a leader's entries use until they are both committed
/// and durable here. Counted by run, as they are sent and written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Uncommitted {
    /// The last index of each run, and its bytes.
    runs: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Uncommitted {
    /// Whether an entry of this size fits below the bound. A sole entry always does, or a larger
    /// one could never be proposed.
    pub(crate) fn fits(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// Adds an entry of `bytes`; the open tail, which holds it, begins at `open_from`.
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

    /// Stops counting the runs that end at or before `index`.
    pub(crate) fn release_to(&mut self, index: Index) {
        while self.runs.front().is_some_and(|(last, _)| *last <= index) {
            self.bytes -= self.runs.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }
}
