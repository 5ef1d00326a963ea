use alloc::collections::BTreeMap;

use crate::leader::Leader;
use crate::{AcceptorSet, Instant, NodeId, Slot, Snapshot, Vote};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Listens to a leader, or waits for one.
    Follower,
    /// Asks whether others miss a leader too; its promise has not moved.
    Asking,
    /// Asks for promises in a ballot of its own.
    Candidate,
    /// Leads: the distinguished proposer (Paxos Made Simple §2.4).
    Leader,
}

/// The role with what only that role knows; it is gone with the role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "a node has one, and a leader looks into it with every message"
)]
pub(crate) enum Duty {
    Follower(Follower),
    Asking(Asking),
    Candidate(Candidate),
    Leader(Leader),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    /// The node of the promised ballot, once it was heard to lead.
    pub(crate) leader: Option<NodeId>,
    /// When the leader was last heard.
    pub(crate) heard: Option<Instant>,
    /// What the leader says to be chosen, held here or not.
    pub(crate) told: Slot,
    /// Up to here each slot is known to be chosen or has a vote in this leader's ballot.
    pub(crate) through: Slot,
    /// The snapshot whose bytes the driver is pulling. Other offers wait until it has ended.
    pub(crate) pulling: Option<Snapshot>,
}

/// Who else misses a leader. A set: a repeated answer counts once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asking {
    pub(crate) attempt: u64,
    pub(crate) unhappy: AcceptorSet,
    /// Somebody who answered knows much more to be chosen.
    pub(crate) behind: bool,
    /// It was behind and lets others go first, until its next attempt.
    pub(crate) waits: bool,
    /// It has waited once.
    pub(crate) waited: bool,
}

/// Phase 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    /// The first slot that it asks about.
    pub(crate) from: Slot,
    /// Who has promised and told all of its votes.
    pub(crate) promised: AcceptorSet,
    /// How far each has told.
    pub(crate) answers: BTreeMap<NodeId, Answer>,
    /// The vote of the highest ballot for each slot, of those that were told (P2c).
    pub(crate) found: BTreeMap<Slot, Vote>,
    pub(crate) retry_deadline: Instant,
}

/// What one acceptor has told in phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    /// Where its next page begins; none after the last.
    pub(crate) next: Option<Slot>,
    /// The last slot of which it has told a vote, or its chosen prefix.
    pub(crate) told: Slot,
    /// Slots between its votes, and before them, of which it told nothing.
    pub(crate) gaps: u64,
    /// Its chosen prefix.
    pub(crate) chosen: Slot,
}

impl Duty {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::Asking(_) => Role::Asking,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}
