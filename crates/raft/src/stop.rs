use crate::{Index, Term};

/// Why this node must no longer take part, see [`Output::Stop`](crate::Output::Stop). Unless it was
/// removed, its disk, or its leader's, does not hold what it held, and an operator has to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Stop {
    /// The leader's log, or a snapshot that a leader offered, has a different entry where this node
    /// has a committed one. This cannot happen between honest nodes whose disks keep what they
    /// stored (Leader Completeness, §5.4).
    #[error(
        "entry {} is committed here in term {} and is of term {} at the leader", index.0, own.0, leaders.0
    )]
    Diverged {
        /// The index of the entry.
        index: Index,
        /// The term of the entry that is committed here.
        own: Term,
        /// The term of the leader's entry.
        leaders: Term,
    },
    /// This node acknowledged more to the leader of its term than its log holds: its disk lost
    /// entries.
    #[error(
        "the log was acknowledged up to entry {} and holds what it should up to {} only", acknowledged.0, holds.0
    )]
    Forgot {
        /// The last index that it acknowledged in this term.
        acknowledged: Index,
        /// The last index up to which its log can still equal the leader's.
        holds: Index,
    },
    /// This node was removed from the group, and that is committed. Its id never returns.
    #[error("this node was removed from the group")]
    Removed,
}
