use std::fmt;

use crate::Lsn;

/// Which log it is and how far it had come, as somebody outside of it noted.
///
/// A log cannot know by itself that its newest segments are gone, or all of them: what is left looks
/// like a log that never had them. So whoever opens it keeps its [`mark`](crate::Wal::mark) in another
/// file, and hands it to the next incarnation by [`Options::least`](crate::Options::least). What was appended
/// behind a mark and is lost with the whole end of a segment is not missed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The log's secret. It must not be shown to clients, see the documentation of the crate.
    pub salt: u64,
    /// The newest segment of which something was durable; 0 when nothing was.
    pub generation: u64,
    /// Up to here the log was durable.
    pub end: Lsn,
}

/// Without the salt.
impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark")
            .field("generation", &self.generation)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Mark {
    /// Whether a log with the mark `found` is this one, and holds what was durable when this was noted.
    #[must_use]
    pub fn is_kept_by(&self, found: &Self) -> bool {
        found.salt == self.salt && found.generation >= self.generation && found.end >= self.end
    }
}
