use alloc::vec::Vec;

use crate::progress::{Flow, Progress};
use crate::role::RoleState;
use crate::{
    ChangeEnd, ChangeStatus, Index, Instant, Membership, NodeId, Raft, Role, StepDown, Term,
};

/// The state of a node, for people and for the driver's policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// The id of the node.
    pub id: NodeId,
    /// Its role in `term`.
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// The leader of this term, if known.
    pub leader: Option<NodeId>,
    /// The commit index.
    pub commit: Index,
    /// The last index delivered as `Apply`, or covered by a `Restore` that is or will be delivered.
    pub delivered: Index,
    /// The last durable index.
    pub persisted: Index,
    /// The last index of the log in memory.
    pub last: Index,
    /// The index after which the log begins.
    pub start: Index,
    /// Bytes of entries in the cache.
    pub cache_bytes: usize,
    /// Why this node last stopped leading, since the value was created; `None` if it never did.
    pub stepped_down: Option<StepDown>,
    /// The last [`Leap`] since the value was created; their number is in
    /// [`Counters::leaps`](crate::Counters::leaps).
    pub leap: Option<Leap>,
    /// When this leader's lease ends if no further echo comes, by the clock of the driver. `None` if it
    /// can have none now; in the past if it holds none. A group with a single voter has it for ever.
    pub lease_end: Option<Instant>,
    /// To whom this leader is handing its leadership.
    pub transfer: Option<NodeId>,
    /// Why this leader is giving up leadership, if that is why it hands it over.
    pub giving_up: Option<StepDown>,
    /// The node's own setting: how much it is preferred as a leader.
    pub priority: u8,
    /// The membership in force: the last in the log, committed or not.
    pub membership: Membership,
    /// The change of membership under way.
    pub change: Option<ChangeStatus>,
    /// Why the last change of membership ended, as far as this node has seen the end.
    pub change_end: Option<ChangeEnd>,
    /// A leader's view of its peers; empty in other roles.
    pub peers: Vec<PeerStatus>,
}

/// A message whose term is more than [`Term::LEAP_MAX`] above the stored one. It is treated as
/// lost. A node without contact with a leader also enters the last term within reach. It thereby gets
/// to any term in as many writes as were needed to bring the others there, so this rule locks no
/// node out for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leap {
    /// The sender of the message.
    pub from: NodeId,
    /// The term of the message.
    pub term: Term,
    /// The term that was stored here at that time.
    pub stored: Term,
}

/// A leader's view of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The id of the peer.
    pub id: NodeId,
    /// The last acknowledged index.
    pub matched: Index,
    /// The index of the next entry to send.
    pub next: Index,
    /// How entries are sent to the peer.
    pub state: PeerState,
    /// Bytes sent and not acknowledged.
    pub inflight_bytes: usize,
    /// The time of the last contact in this term.
    pub contact: Instant,
    /// How much it is preferred as a leader, by its last echo. `None` if it has not told that yet in this
    /// term, or is not to be preferred because it gave up leadership for a cause not long ago.
    pub priority: Option<u8>,
}

/// How a leader sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// One append at a time, to find the place where the logs match.
    Probe,
    /// A pipeline of appends.
    Replicate,
    /// The peer has to install a snapshot first.
    Snapshot,
    /// The peer's disk lost what it acknowledged, and the peer has stopped. It does not count.
    Forgot,
    /// The membership in force drops it; it is sent what tells it so.
    Leaving,
}

impl Raft {
    /// The current state of this node.
    #[must_use]
    pub fn status(&self) -> Status {
        let common = &self.common;
        Status {
            id: common.config.id,
            role: self.role.kind(),
            term: common.term,
            leader: self.leader(),
            commit: common.committed,
            delivered: common.machine.delivered(),
            persisted: common.log.persisted(),
            last: common.log.last().index,
            start: common.log.start().index,
            cache_bytes: common.log.cache_bytes(),
            stepped_down: common.stepped_down,
            leap: common.leap,
            lease_end: match &self.role {
                RoleState::Leader(leader) => leader.lease_end(common),
                _ => None,
            },
            transfer: self.transfers_to(),
            giving_up: match &self.role {
                RoleState::Leader(leader) => leader.gives_up(),
                _ => None,
            },
            priority: common.config.priority,
            membership: common.membership().clone(),
            change: self.change_status(),
            change_end: common.configs.ended,
            peers: match &self.role {
                RoleState::Leader(leader) => leader.peers.iter().map(PeerStatus::of).collect(),
                _ => Vec::new(),
            },
        }
    }
}

impl Raft {
    fn change_status(&self) -> Option<ChangeStatus> {
        let membership = self.common.membership();
        Some(ChangeStatus {
            phase: membership.phase()?,
            is_committed: self.common.configs.is_committed(),
            target: membership.change.as_deref()?.clone(),
            catching_up: match &self.role {
                RoleState::Leader(leader) => leader.catching_up(),
                _ => Vec::new(),
            },
        })
    }
}

impl PeerStatus {
    fn of(progress: &Progress) -> Self {
        let (state, inflight_bytes) = match &progress.flow {
            _ if progress.forgot => (PeerState::Forgot, 0),
            _ if progress.leaving.is_some() => (PeerState::Leaving, 0),
            Flow::Probe { sent } => {
                let bytes = sent.as_ref().map_or(0, |sent| sent.bytes);
                (PeerState::Probe, bytes)
            }
            Flow::Replicate(inflight) => (PeerState::Replicate, inflight.bytes()),
            Flow::Snapshot { .. } => (PeerState::Snapshot, 0),
        };
        Self {
            id: progress.id,
            matched: progress.matched,
            next: progress.next,
            state,
            inflight_bytes,
            contact: progress.contact,
            priority: progress.priority,
        }
    }
}
