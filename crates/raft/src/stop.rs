use crate::{Index, Term};

/// Why this node must take no part any more, see [`Output::Stop`](crate::Output::Stop). Its disk, or
/// that of its leader, does not hold what it held: somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Stop {
    /// An entry that is committed here is another one in its leader's log, or in a snapshot that a
    /// leader offered. Of honest nodes whose disks keep what they stored this cannot come about
    /// (Leader Completeness, §5.4).
    #[error(
        "entry {} is committed here in term {} and is of term {} at the leader", index.0, own.0, leaders.0
    )]
    Diverged {
        /// Where.
        index: Index,
        /// The term of the entry that is committed here.
        own: Term,
        /// The term of the leader's entry.
        leaders: Term,
    },
    /// This node acknowledged more to the leader of its term than its log holds: its disk lost it.
    #[error(
        "the log was acknowledged up to entry {} and holds what it should up to {} only", acknowledged.0, holds.0
    )]
    Forgot {
        /// What it acknowledged in this term.
        acknowledged: Index,
        /// How far its log can still equal the leader's.
        holds: Index,
    },
}
