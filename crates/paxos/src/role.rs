use crate::asking::Asking;
use crate::candidate::Candidate;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::node::Common;
use crate::{Instant, NodeId, Snapshot};

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether others are without a leader too, without raising its promise.
    Asking,
    /// Requests promises in a ballot of its own.
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

    /// The leader, as far as this node knows; `own` is its id.
    pub(crate) fn leader(&self, own: NodeId) -> Option<NodeId> {
        match self {
            Self::Leader(_) => Some(own),
            Self::Follower(follower) => follower.leader,
            Self::Asking(_) | Self::Candidate(_) => None,
        }
    }

    /// Whether there is a leader known to work, so that no node needs to campaign, or one may hold a lease
    /// of this node.
    pub(crate) fn has_leader_contact(&self, common: &Common, now: Instant) -> bool {
        let by_itself = match self {
            Self::Leader(leader) => leader.has_quorum_contact(common, now),
            Self::Follower(follower) => follower.has_leader_contact(common, now),
            Self::Asking(_) | Self::Candidate(_) => false,
        };
        by_itself || common.pledge.is_on(now)
    }

    /// Clears the pull if `is_over` holds for its snapshot: it has ended or is no longer needed,
    /// and must not block the next one.
    pub(crate) fn end_pull_if(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        match self {
            Self::Follower(follower) => follower.end_pull_if(is_over),
            Self::Leader(leader) => leader.end_pull_if(is_over),
            Self::Asking(_) | Self::Candidate(_) => {}
        }
    }
}
