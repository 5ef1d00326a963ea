use crate::asking::Asking;
use crate::candidate::Candidate;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::node::Common;
use crate::{Instant, NodeId, Snapshot};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether others miss a leader too; its promise has not moved.
    Asking,
    /// Asks for promises in a ballot of its own.
    Candidate,
    /// Leads: the distinguished proposer (Paxos Made Simple §2.4).
    Leader,
}

/// The role with its own state, which is dropped when the role ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "a node has one, and a leader looks into it with every message"
)]
pub(crate) enum RoleState {
    Follower(Follower),
    Asking(Asking),
    Candidate(Candidate),
    Leader(Leader),
}

impl RoleState {
    pub(crate) fn kind(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::Asking(_) => Role::Asking,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }

    /// Who leads, as far as this node, which is `own`, knows.
    pub(crate) fn leader(&self, own: NodeId) -> Option<NodeId> {
        match self {
            Self::Leader(_) => Some(own),
            Self::Follower(follower) => follower.leader,
            Self::Asking(_) | Self::Candidate(_) => None,
        }
    }

    /// Whether a leader that works is known to be there, so that nobody need campaign.
    pub(crate) fn has_leader_contact(&self, common: &Common, now: Instant) -> bool {
        match self {
            Self::Leader(leader) => leader.has_quorum_contact(common, now),
            Self::Follower(follower) => follower.has_leader_contact(common, now),
            Self::Asking(_) | Self::Candidate(_) => false,
        }
    }

    /// A pull is over, also if it is of no use any more: its place must not stay taken.
    pub(crate) fn end_pull_if(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        match self {
            Self::Follower(follower) => follower.end_pull_if(is_over),
            Self::Leader(leader) => leader.end_pull_if(is_over),
            Self::Asking(_) | Self::Candidate(_) => {}
        }
    }
}
