use alloc::vec::Vec;

use crate::progress::{Flow, Progress};
use crate::role::Duty;
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
    /// Handed out as `Apply`, or covered by a `Restore` that is or will be handed out.
    pub handed: Slot,
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
    /// A leader's view of the others; empty for everyone else.
    pub peers: Vec<PeerStatus>,
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

/// Input that was ignored, by reason. A peer's nonsense never becomes an error; it is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Messages from nodes outside the group, or from this node itself.
    pub strangers: u64,
    /// Messages of a ballot below what is promised.
    pub stale: u64,
    /// Messages that no correct peer sends: another's ballot, gaps, slots or rounds beyond the end,
    /// two values in one ballot and slot.
    pub malformed: u64,
    /// Messages of a round more than [`Ballot::LEAP_MAX`] above the stored one: as good as lost.
    pub leaps: u64,
    /// Messages that make no sense in this role, most of them late.
    pub out_of_role: u64,
    /// Values too far beyond the chosen prefix to vote for.
    pub too_far_ahead: u64,
    /// Values or snapshots that contradict what is chosen here.
    pub conflicts_with_chosen: u64,
    /// Snapshots that cover nothing new.
    pub snapshots_stale: u64,
    /// Receipts for no write in flight.
    pub receipts_unknown: u64,
    /// Fetched values that nobody waits for any more, or that are not what was asked for.
    pub fetches_stale: u64,
    /// Campaigns not begun because no round or slot is left.
    pub exhausted: u64,
}

/// Counts one more, and stays at the top instead of wrapping.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl Paxos {
    /// Where this node stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.duty.role(),
            ballot: self.promised,
            leader: self.leader(),
            chosen: self.log.chosen(),
            handed: self.handed,
            persisted: self.log.settled(),
            last: self.log.last(),
            start: self.log.start().slot,
            cache_bytes: self.log.cache_bytes(),
            stepped_down: self.stepped_down,
            peers: self.peer_statuses(),
        }
    }

    /// What was ignored so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn peer_statuses(&self) -> Vec<PeerStatus> {
        let Duty::Leader(leader) = &self.duty else {
            return Vec::new();
        };
        let status = |(id, progress): (&NodeId, &Progress)| {
            let (state, inflight_bytes) = match &progress.flow {
                Flow::Silent => (PeerState::Silent, 0),
                Flow::Stream(inflight) => (PeerState::Stream, inflight.bytes()),
                Flow::Snapshot { .. } => (PeerState::Snapshot, 0),
            };
            PeerStatus {
                id: *id,
                through: progress.through,
                next: progress.next,
                state,
                inflight_bytes,
                contact: progress.contact,
            }
        };
        leader.peers.iter().map(status).collect()
    }
}
