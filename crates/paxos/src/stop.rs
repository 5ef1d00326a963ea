use crate::{Ballot, Slot};

/// Why this node must no longer take part, see [`Output::Stop`](crate::Output::Stop).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Stop {
    /// Its disk, or that of another node, does not hold what it held, and an operator has to look at
    /// it: a leader proposes, or a snapshot that was offered contains, a different value than the one
    /// chosen here. This cannot happen between honest nodes whose disks keep what they stored (P2b,
    /// Paxos Made Simple §2.2).
    #[error(
        "slot {} has the value of ballot {own} here and that of ballot {theirs} elsewhere", slot.0
    )]
    Diverged {
        /// The slot of the value.
        slot: Slot,
        /// The origin of the value that is chosen here.
        own: Ballot,
        /// The origin of the other value; the same if only the bytes differ.
        theirs: Ballot,
    },
    /// It was removed from its group, and the group no longer needs it: a phase-2 quorum of the
    /// configuration without it holds everything that was chosen with it.
    #[error("this node was removed from its group by configuration {number}")]
    Removed {
        /// The number of that configuration, or of a later one.
        number: u64,
    },
}
