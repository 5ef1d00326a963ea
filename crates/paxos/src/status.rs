use alloc::vec::Vec;

use crate::progress::{Flow, Progress};
use crate::role::RoleState;
use crate::{Ballot, Instant, NodeId, Paxos, Role, Slot, StepDown};

/// Where a node stands, for people and for the driver's policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// The node.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// The highest ballot it has promised: that of the leader it follows, or its own.
    pub ballot: Ballot,
    /// Who leads in this ballot, if known.
    pub leader: Option<NodeId>,
    /// The prefix it knows to be chosen, and holds.
    pub chosen: Slot,
    /// Delivered as `Apply`, or covered by a `Restore` that is or will be delivered.
    pub delivered: Slot,
    /// The part of the chosen prefix that is durable here.
    pub persisted: Slot,
    /// The last slot with a vote; there may be gaps between `chosen` and this.
    pub last: Slot,
    /// The log begins after this slot.
    pub start: Slot,
    /// Bytes of values in memory.
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

/// A message of a round more than [`Ballot::LEAP_MAX`] above the one stored here. It is taken for a
/// lost one. If no leader is heard either, this node promises the last round within reach besides, and
/// so comes to any round in as many writes as whoever brought the others there had to wait for: what
/// cannot be believed at once locks nobody out for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leap {
    /// Who said it.
    pub from: NodeId,
    /// What it said.
    pub ballot: Ballot,
    /// What was stored here then.
    pub stored: Ballot,
}

/// A leader's view of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Acknowledged up to here without a gap.
    pub through: Slot,
    /// The next slot to send.
    pub next: Slot,
    /// How values are sent to it.
    pub state: PeerState,
    /// Bytes sent and not acknowledged.
    pub inflight_bytes: usize,
    /// When it was last heard in this ballot.
    pub contact: Instant,
}

/// How a leader sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// Where it stands is not known yet: only heartbeats are sent.
    Silent,
    /// A stream of values.
    Stream,
    /// Waiting for it to install a snapshot.
    Snapshot,
}

impl Paxos {
    /// Where this node stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.common.config.id,
            role: self.role.kind(),
            ballot: self.common.promised,
            leader: self.leader(),
            chosen: self.common.log.chosen(),
            delivered: self.common.machine.delivered(),
            persisted: self.common.log.settled(),
            last: self.common.log.last(),
            start: self.common.log.start().slot,
            cache_bytes: self.common.log.cache_bytes(),
            stepped_down: self.common.stepped_down,
            leap: self.common.leap,
            transfer: self.transfers_to(),
            peers: self.peer_statuses(),
        }
    }

    fn peer_statuses(&self) -> Vec<PeerStatus> {
        let status = |(id, progress): (NodeId, &Progress)| {
            let (state, inflight_bytes) = match &progress.flow {
                Flow::Silent => (PeerState::Silent, 0),
                Flow::Stream(inflight) => (PeerState::Stream, inflight.bytes()),
                Flow::Snapshot { .. } => (PeerState::Snapshot, 0),
            };
            PeerStatus {
                id,
                through: progress.through,
                next: progress.next,
                state,
                inflight_bytes,
                contact: progress.contact,
            }
        };
        match &self.role {
            RoleState::Leader(leader) => leader.peers(&self.common).map(status).collect(),
            _ => Vec::new(),
        }
    }
}
