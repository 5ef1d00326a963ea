use alloc::vec::Vec;

use crate::progress::{Flow, Progress};
use crate::role::RoleState;
use crate::{Index, Instant, NodeId, Raft, Role, StepDown, Term};

/// Where a node stands, for people and for the driver's policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// The node.
    pub id: NodeId,
    /// Its role in `term`.
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// Who leads this term, if known.
    pub leader: Option<NodeId>,
    /// Known to be committed.
    pub commit: Index,
    /// Delivered as `Apply`, or covered by a `Restore` that is or will be delivered.
    pub delivered: Index,
    /// Durable here.
    pub persisted: Index,
    /// The last entry in memory.
    pub last: Index,
    /// The log begins after this index.
    pub start: Index,
    /// Bytes of entries in the cache.
    pub cache_bytes: usize,
    /// Why it last ceased to lead, in the life of this value; `None` if it never did.
    pub stepped_down: Option<StepDown>,
    /// The last [`Leap`], in the life of this value; how many there were is in
    /// [`Counters::leaps`](crate::Counters::leaps).
    pub leap: Option<Leap>,
    /// To whom this leader is handing its leadership.
    pub transfer: Option<NodeId>,
    /// A leader's view of the others; empty for everyone else.
    pub peers: Vec<PeerStatus>,
}

/// A message of a term more than [`Term::LEAP_MAX`] above the one stored here. It is taken for a lost
/// one. If no leader is heard either, this node enters the last term within reach besides, and so
/// comes to any term in as many writes as whoever brought the others there had to wait for: what
/// cannot be believed at once locks nobody out for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leap {
    /// Who said it.
    pub from: NodeId,
    /// What it said.
    pub term: Term,
    /// What was stored here then.
    pub stored: Term,
}

/// A leader's view of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Acknowledged up to here.
    pub matched: Index,
    /// The next entry to send.
    pub next: Index,
    /// How entries are sent to it.
    pub state: PeerState,
    /// Bytes sent and not acknowledged.
    pub inflight_bytes: usize,
    /// When it was last heard in this term.
    pub contact: Instant,
}

/// How a leader sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// One append at a time, looking for the place where the logs match.
    Probe,
    /// A stream of appends.
    Replicate,
    /// Waiting for it to install a snapshot.
    Snapshot,
    /// Its disk lost what it acknowledged, and it has stopped. It counts for nothing.
    Forgot,
}

impl Raft {
    /// Where this node stands.
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
            transfer: self.transfers_to(),
            peers: match &self.role {
                RoleState::Leader(leader) => leader.peers.iter().map(PeerStatus::of).collect(),
                _ => Vec::new(),
            },
        }
    }
}

impl PeerStatus {
    fn of(progress: &Progress) -> Self {
        let (state, inflight_bytes) = match &progress.flow {
            _ if progress.forgot => (PeerState::Forgot, 0),
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
        }
    }
}
