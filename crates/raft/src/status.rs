use alloc::vec::Vec;

use crate::progress::Flow;
use crate::role::Duty;
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
    /// Handed out as `Apply`, or covered by a `Restore` that is or will be handed out.
    pub handed: Index,
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
    /// A leader's view of the others; empty for everyone else.
    pub peers: Vec<PeerStatus>,
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

/// Input that was ignored, by reason. A peer's nonsense never becomes an error; it is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Messages from nodes outside the membership, or from this node itself.
    pub strangers: u64,
    /// Messages of an earlier term.
    pub stale: u64,
    /// Messages that no correct peer sends: gaps, falling terms, indexes or terms beyond the end.
    pub malformed: u64,
    /// Messages of a term more than [`Term::LEAP_MAX`] above the stored one: as good as lost.
    pub leaps: u64,
    /// Messages that make no sense in this role, most of them late.
    pub out_of_role: u64,
    /// Requests for votes while a leader is heard.
    pub votes_while_led: u64,
    /// Entries or snapshots that contradict what is committed here, or what its leader has sent.
    pub conflicts_with_commit: u64,
    /// Snapshots that cover nothing new.
    pub snapshots_stale: u64,
    /// Receipts for no write in flight.
    pub receipts_unknown: u64,
    /// Fetched entries that nobody waits for any more, or that are not what was asked for.
    pub fetches_stale: u64,
    /// Elections not begun because no term or index is left.
    pub exhausted: u64,
}

/// Counts one more, and stays at the top instead of wrapping.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl Raft {
    /// Where this node stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.duty.role(),
            term: self.term,
            leader: self.leader(),
            commit: self.committed,
            handed: self.handed,
            persisted: self.log.persisted(),
            last: self.log.last().index,
            start: self.log.start().index,
            cache_bytes: self.log.cache_bytes(),
            stepped_down: self.stepped_down,
            peers: self.peers(),
        }
    }

    /// What was ignored so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let Duty::Leader(leader) = &self.duty else {
            return Vec::new();
        };
        let status = |(id, progress): (&NodeId, &crate::progress::Progress)| {
            let (state, inflight_bytes) = match &progress.flow {
                _ if progress.forgot => (PeerState::Forgot, 0),
                Flow::Probe { sent } => {
                    let bytes = sent.as_ref().map_or(0, |sent| sent.bytes);
                    (PeerState::Probe, bytes)
                }
                Flow::Replicate(inflight) => (PeerState::Replicate, inflight.bytes()),
                Flow::Snapshot { .. } => (PeerState::Snapshot, 0),
            };
            PeerStatus {
                id: *id,
                matched: progress.matched,
                next: progress.next,
                state,
                inflight_bytes,
                contact: progress.contact,
            }
        };
        leader.peers.iter().map(status).collect()
    }
}
