use crate::candidate::{Candidate, PreCandidate};
use crate::follower::Follower;
use crate::leader::Leader;
use crate::node::Common;
use crate::{Instant, NodeId};

/// The role of a node in its term (Figure 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected, without raising its term.
    PreCandidate,
    /// Requests votes in a new term.
    Candidate,
    /// Leads the term.
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
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

impl RoleState {
    pub(crate) fn kind(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::PreCandidate(_) => Role::PreCandidate,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }

    /// The leader of the current term, as far as this node knows; `own` is its id.
    pub(crate) fn leader(&self, own: NodeId) -> Option<NodeId> {
        match self {
            Self::Leader(_) => Some(own),
            Self::Follower(follower) => follower.leader,
            Self::PreCandidate(_) | Self::Candidate(_) => None,
        }
    }

    /// Whether there is a leader with a quorum: this node itself, or one that was in contact within
    /// the shortest time after which a node may campaign.
    pub(crate) fn has_leader_contact(&self, common: &Common, now: Instant) -> bool {
        if !common.config.check_quorum {
            return false;
        }
        match self {
            Self::Leader(_) => true,
            Self::Follower(follower) => follower.has_leader_contact(common, now),
            Self::PreCandidate(_) | Self::Candidate(_) => false,
        }
    }
}
