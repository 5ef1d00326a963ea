use crate::{Ballot, Slot};

/// Why this node must take no part any more, see [`Output::Stop`](crate::Output::Stop). Its disk, or
/// that of another, does not hold what it held: somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Stop {
    /// A value that is chosen here is another one at a leader that proposes it, or in a snapshot
    /// that was offered. Of honest nodes whose disks keep what they stored this cannot come about
    /// (P2b, Paxos Made Simple §2.2).
    #[error(
        "slot {} has the value of ballot {own} here and that of ballot {theirs} elsewhere", slot.0
    )]
    Diverged {
        /// Where.
        slot: Slot,
        /// The origin of the value that is chosen here.
        own: Ballot,
        /// The origin of the other; the same, if only their bytes differ.
        theirs: Ballot,
    },
}
