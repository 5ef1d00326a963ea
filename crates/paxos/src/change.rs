use alloc::vec::Vec;

use crate::{Membership, NodeId, Slot};

/// A change of membership that is under way, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChangeStatus {
    /// The members that the group will have.
    pub target: Membership,
    /// How far it is.
    pub phase: ChangePhase,
    /// The acceptors to come that are not acceptors now, and the slot up to which each has
    /// acknowledged everything.
    pub newcomers: Vec<(NodeId, Slot)>,
}

/// The phases of a change, in order. Up to the second one nothing is decided: if the leader is lost,
/// the change is too. From the third on any leader ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangePhase {
    /// New acceptors receive the log. Only now the change can be aborted.
    CatchUp,
    /// The configuration is proposed.
    Proposed,
    /// It is chosen, and the new acceptors are asked for promises. Then no-ops fill the slots that the
    /// old ones govern.
    Decided,
    /// It is in force. The old acceptors are needed until a phase-2 quorum of the new ones holds
    /// durably all that was chosen before.
    Settling,
}

/// How a change of membership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeEnd {
    /// It is in force, and the nodes that it drops are no longer needed.
    Done {
        /// The number of the configuration.
        number: u64,
    },
    /// It was aborted before it was proposed.
    Aborted,
    /// A new acceptor did not catch up in time.
    TooSlow {
        /// The new acceptor.
        node: NodeId,
    },
    /// Its leader stopped leading before the configuration was chosen. If it was proposed, a later
    /// leader may find it, and then ends it; otherwise it has to be asked for again.
    LeaderLost,
}
