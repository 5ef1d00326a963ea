//! A group of this node at a glance.

use synod_transport::NodeId;

use crate::closed::Closed;
use crate::engine::EngineStatus;
use crate::log::LogStats;
use crate::protocol::{PeerStatus, Role};

/// What a group looks like from this node; see [`Group::watch`](crate::Group::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The consensus protocol: `raft`, `paxos`.
    pub protocol: &'static str,
    /// This node.
    pub id: NodeId,
    /// Its part. A group that is closed has none, and is shown as a follower of nobody.
    pub role: Role,
    /// Who is believed to lead.
    pub leader: Option<NodeId>,
    /// The term, or the ballot's round.
    pub term: u64,
    /// The last index known to be decided.
    pub commit: u64,
    /// The last index applied to the machine here.
    pub applied: u64,
    /// The last index of the log here.
    pub last: u64,
    /// The index the log begins after.
    pub start: u64,
    /// Of each peer what the leader knows; empty elsewhere.
    pub peers: Vec<PeerStatus>,
    /// Bytes of records the node's log has written since it was opened, of all groups.
    pub log_bytes: u64,
    /// Syncs of the node's log since it was opened, for all groups.
    pub log_syncs: u64,
    /// Requests whose end is open.
    pub requests: usize,
    /// Frames and messages ignored because they made no sense.
    pub ignored: u64,
    /// Snapshots taken here.
    pub snapshots_taken: u64,
    /// Snapshots received whole from a peer.
    pub snapshots_received: u64,
    /// Snapshots that could not be taken or received.
    pub snapshots_failed: u64,
    /// Why the group serves nothing any more, if so.
    pub closed: Option<Closed>,
}

impl Status {
    pub(crate) fn new(protocol: &'static str, id: NodeId) -> Self {
        Self {
            protocol,
            id,
            role: Role::Follower,
            leader: None,
            term: 0,
            commit: 0,
            applied: 0,
            last: 0,
            start: 0,
            peers: Vec::new(),
            log_bytes: 0,
            log_syncs: 0,
            requests: 0,
            ignored: 0,
            snapshots_taken: 0,
            snapshots_received: 0,
            snapshots_failed: 0,
            closed: None,
        }
    }

    /// Takes over what has changed; `true` when anything has.
    pub(crate) fn update(
        &mut self,
        engine: EngineStatus,
        log: LogStats,
        closed: Option<Closed>,
    ) -> bool {
        let mut new = Self {
            protocol: self.protocol,
            id: self.id,
            role: engine.core.role,
            leader: engine.leadership.map(|leader| leader.node),
            term: engine.core.epoch.round,
            commit: engine.core.commit,
            applied: engine.applied,
            last: engine.core.last,
            start: engine.core.start,
            peers: engine.core.peers,
            log_bytes: log.bytes_written,
            log_syncs: log.syncs,
            requests: engine.requests,
            ignored: engine.frames_ignored + engine.core.ignored,
            snapshots_taken: engine.snapshots_taken,
            snapshots_received: engine.snapshots_received,
            snapshots_failed: engine.snapshots_failed,
            closed,
        };
        new.rest_if_closed();
        let changed = *self != new;
        *self = new;
        changed
    }

    /// Says that the group serves nothing any more, unless it was said before; `true` when it was not.
    pub(crate) fn close(&mut self, closed: &Closed) -> bool {
        let first = self.closed.is_none();
        self.closed.get_or_insert_with(|| closed.clone());
        self.rest_if_closed();
        first
    }

    /// The core of a closed group is not driven any more, whatever part it believes to play.
    fn rest_if_closed(&mut self) {
        if self.closed.is_some() {
            self.role = Role::Follower;
            self.leader = None;
            self.peers.clear();
        }
    }
}
