use alloc::vec::Vec;

use crate::progress::{Flow, Progress};
use crate::role::RoleState;
use crate::{
    Ballot, ChangeEnd, ChangeStatus, Instant, Membership, NodeId, Paxos, Role, Slot, StepDown,
};

/// The state of a node, for people and for the driver's policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// The id of the node.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// The highest ballot that it has promised: that of its leader, or its own.
    pub ballot: Ballot,
    /// The leader of this ballot, if known.
    pub leader: Option<NodeId>,
    /// The chosen prefix, whose values it holds.
    pub chosen: Slot,
    /// The last slot delivered as `Apply`, or covered by a `Restore` that is or will be delivered.
    pub delivered: Slot,
    /// The part of the chosen prefix that is durable here.
    pub persisted: Slot,
    /// The last slot with a vote; there may be gaps between `chosen` and this.
    pub last: Slot,
    /// The slot after which the log begins.
    pub start: Slot,
    /// Bytes of values in memory.
    pub cache_bytes: usize,
    /// Why this node last stopped leading, since the value was created; `None` if it never did.
    pub stepped_down: Option<StepDown>,
    /// The last [`Leap`] since the value was created; their number is in
    /// [`Counters::leaps`](crate::Counters::leaps).
    pub leap: Option<Leap>,
    /// To whom this leader is handing its leadership.
    pub transfer: Option<NodeId>,
    /// The cause for which this leader gives up leadership, while it hands it over.
    pub giving_up: Option<StepDown>,
    /// [`Config::priority`](crate::Config::priority).
    pub priority: u8,
    /// When this leader's lease ends if no further echo comes, by the clock of the driver. None if it can have
    /// none now; in the past if it holds none. A sole acceptor has it for ever.
    pub lease_end: Option<Instant>,
    /// The members that govern the next slot to be chosen, as far as this node knows; none in a node that
    /// waits to be added.
    pub in_force: Option<Membership>,
    /// The latest members that were decided: others if they are not in force yet.
    pub latest: Option<Membership>,
    /// The number of the latest configuration; 0 if it is the first.
    pub configuration: u64,
    /// The change of membership that this leader is carrying out.
    pub change: Option<ChangeStatus>,
    /// How the last change of membership ended that this node knows of, since the value was created.
    pub change_end: Option<ChangeEnd>,
    /// A leader's view of its peers; empty in other roles.
    pub peers: Vec<PeerStatus>,
}

/// A message whose round is more than [`Ballot::LEAP_MAX`] above the stored one. It is treated as
/// lost. A node without contact with a leader also promises the last round within reach. It thereby
/// gets to any round in as many writes as were needed to bring the others there, so this rule locks
/// no node out for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leap {
    /// The sender of the message.
    pub from: NodeId,
    /// The ballot of the message.
    pub ballot: Ballot,
    /// The ballot that was stored here at that time.
    pub stored: Ballot,
}

/// A leader's view of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The id of the peer.
    pub id: NodeId,
    /// The last slot acknowledged without a gap.
    pub through: Slot,
    /// The next slot to send.
    pub next: Slot,
    /// How values are sent to the peer.
    pub state: PeerState,
    /// Bytes sent and not acknowledged.
    pub inflight_bytes: usize,
    /// The time of the last contact in this ballot.
    pub contact: Instant,
    /// The priority of the peer, by its last echo. None if it has not told one to this leader, or gave up
    /// leadership for a cause and is not to be preferred to any.
    pub priority: Option<u8>,
}

/// How a leader sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// The peer's chosen prefix is not known yet: only heartbeats are sent.
    Silent,
    /// A pipeline of values.
    Stream,
    /// The peer has to install a snapshot first.
    Snapshot,
}

impl Paxos {
    /// The current state of this node.
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
            giving_up: self.giving_up(),
            priority: self.common.config.priority,
            lease_end: self.lease_end(),
            in_force: self.in_force().cloned(),
            latest: self.membership().cloned(),
            configuration: self.common.configurations.number(),
            change: self.change_status(),
            change_end: self.common.change_end,
            peers: self.peer_statuses(),
        }
    }

    fn giving_up(&self) -> Option<StepDown> {
        match &self.role {
            RoleState::Leader(leader) => leader.giving_up(),
            _ => None,
        }
    }

    fn lease_end(&self) -> Option<Instant> {
        match &self.role {
            RoleState::Leader(leader) => leader.lease_status(&self.common),
            _ => None,
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
                priority: progress.priority,
            }
        };
        match &self.role {
            RoleState::Leader(leader) => leader.peers().map(status).collect(),
            _ => Vec::new(),
        }
    }
}
