use crate::candidate::{Candidate, PreCandidate};
use crate::follower::Follower;
use crate::leader::Leader;
use crate::node::Common;
use crate::{Instant, NodeId};

/// What a node is in its term (Figure 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Listens to a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected; its term has not moved.
    PreCandidate,
    /// Asks for votes in a new term.
    Candidate,
    /// Leads.
    Leader,
}

/// The role with what only that role knows; it is gone with the role.
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

    /// Who leads the current term, as far as this node, which is `own`, knows.
    pub(crate) fn leader(&self, own: NodeId) -> Option<NodeId> {
        match self {
            Self::Leader(_) => Some(own),
            Self::Follower(follower) => follower.leader,
            Self::PreCandidate(_) | Self::Candidate(_) => None,
        }
    }

    /// A leader that hears a quorum is there: this node itself, or one heard within the shortest
    /// time after which anybody may campaign.
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
