use alloc::collections::BTreeSet;

use crate::leader::Leader;
use crate::{Index, Instant, NodeId, Snapshot};

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
pub(crate) enum Duty {
    Follower(Follower),
    PreCandidate(Candidate),
    Candidate(Candidate),
    Leader(Leader),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// When the leader was last heard.
    pub(crate) heard: Option<Instant>,
    /// Our log is known to equal this leader's up to here.
    pub(crate) matched: Index,
    /// So far this node has acknowledged in this term, as its leader says; perhaps in an earlier life.
    pub(crate) acknowledged: Index,
    /// The snapshot whose bytes the driver is pulling. Other offers wait until it has ended.
    pub(crate) pulling: Option<Snapshot>,
}

/// For both kinds of candidates. A set: a repeated vote counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    pub(crate) granted: BTreeSet<NodeId>,
}

impl Duty {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::PreCandidate(_) => Role::PreCandidate,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}
