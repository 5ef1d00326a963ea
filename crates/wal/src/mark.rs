use std::fmt;

use crate::Lsn;

/// Identifies a log and its durable end, for storage outside of the log.
///
/// A log cannot know by itself that its newest segments, or all of them, are gone: the rest looks
/// like a log that never had them. So store its [`mark`](crate::Wal::mark) in another file, and
/// pass it to the next incarnation as [`Options::least`](crate::Options::least). What was appended
/// after a mark, and is lost with the whole end of a segment, goes unnoticed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The log's secret, which must not be shown to clients; see the documentation of the crate.
    pub salt: u64,
    /// The newest segment of which something was durable; 0 if nothing was.
    pub generation: u64,
    /// Up to where the log was durable.
    pub end: Lsn,
}

/// Leaves out the salt.
impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark")
            .field("generation", &self.generation)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Mark {
    /// Whether a log with the mark `found` is this one and holds everything that was durable at
    /// this mark.
    #[must_use]
    pub fn is_kept_by(&self, found: &Self) -> bool {
        found.salt == self.salt && found.generation >= self.generation && found.end >= self.end
    }
}
