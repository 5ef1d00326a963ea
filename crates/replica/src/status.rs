//! A group of this node at a glance.

use std::sync::Arc;
use std::time::Duration;

use synod_transport::NodeId;
use tokio::sync::watch;

use crate::closed::Closed;
use crate::engine::EngineStatus;
use crate::group::Clock;
use crate::log::LogStats;
use crate::protocol::Role;
use crate::time::Instant;

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
    /// To whom this node is handing its leadership.
    pub transfer: Option<NodeId>,
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
    /// The peers that were heard, or that this node leads.
    pub peers: Vec<Peer>,
    /// Bytes of records the node's log has written since it was opened, of all groups.
    pub log_bytes: u64,
    /// Syncs of the node's log since it was opened, for all groups.
    pub log_syncs: u64,
    /// How long a sync of the node's log takes at present; zero when that is not known.
    pub sync_time: Duration,
    /// Since when the node's log has had no space, if it has none.
    pub disk_full_since: Option<std::time::Instant>,
    /// What the node's transport has done, for all groups, as of a moment ago.
    pub transport: Arc<synod_transport::Status>,
    /// Requests whose end is open.
    pub requests: usize,
    /// Frames and messages ignored because they made no sense.
    pub ignored: u64,
    /// Those of them whose term or round was too far above the one stored here to be believed. While they
    /// come, somebody may be locked out, or speaks in a peer's name.
    pub leaps: u64,
    /// Snapshots taken here.
    pub snapshots_taken: u64,
    /// Snapshots received whole from a peer.
    pub snapshots_received: u64,
    /// Snapshots that could not be taken or received.
    pub snapshots_failed: u64,
    /// Why the group serves nothing any more, if so.
    pub closed: Option<Closed>,
}

/// The status of a group, and a wait for its changes.
///
/// It lends the status to nobody for longer than a call: whoever kept it would hold up the node, which
/// publishes the next one.
#[derive(Clone, Debug)]
pub struct StatusWatch(pub(crate) watch::Receiver<Status>);

impl StatusWatch {
    /// Looks at the status of now. Short work only: the node waits for it.
    pub fn look<R>(&self, look: impl FnOnce(&Status) -> R) -> R {
        look(&self.0.borrow())
    }

    /// The status of now, which counts as seen by [`changed`](Self::changed).
    pub fn latest(&mut self) -> Status {
        self.0.borrow_and_update().clone()
    }

    /// The next status that was not seen yet; `None` when there will be no more, because the node is gone.
    pub async fn changed(&mut self) -> Option<Status> {
        self.0.changed().await.ok()?;
        Some(self.latest())
    }

    /// The first status from now on that is as wanted; `None` when the node is gone and none was. A status
    /// that lasts for less than it takes to look may be missed.
    pub async fn wait_for(&mut self, wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        let status = self.0.wait_for(wanted).await.ok()?;
        Some(status.clone())
    }
}

/// A peer, as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The peer.
    pub id: NodeId,
    /// The highest index that it is known to hold durably, to a leader.
    pub matched: Option<u64>,
    /// How many indexes of the leader's log it is not known to hold.
    pub lag: Option<u64>,
    /// Its disk lost what it acknowledged to this leader: it has stopped, and counts for nothing. Somebody
    /// has to look after it.
    pub forgot: bool,
    /// When a frame of it came last, to a tenth of a second.
    pub heard: Option<std::time::Instant>,
}

/// What stands around a group: of the node it is on.
pub(crate) struct Around {
    pub(crate) now: Instant,
    pub(crate) clock: Clock,
    pub(crate) log: LogStats,
    pub(crate) sync_time: Duration,
    pub(crate) full_since: Option<Instant>,
    pub(crate) transport: Arc<synod_transport::Status>,
}

impl Status {
    pub(crate) fn new(protocol: &'static str, id: NodeId) -> Self {
        Self {
            protocol,
            id,
            role: Role::Follower,
            leader: None,
            transfer: None,
            term: 0,
            commit: 0,
            applied: 0,
            last: 0,
            start: 0,
            peers: Vec::new(),
            log_bytes: 0,
            log_syncs: 0,
            sync_time: Duration::ZERO,
            disk_full_since: None,
            transport: Arc::default(),
            requests: 0,
            ignored: 0,
            leaps: 0,
            snapshots_taken: 0,
            snapshots_received: 0,
            snapshots_failed: 0,
            closed: None,
        }
    }

    /// Takes over what has changed; `true` when anything has.
    pub(crate) fn update(
        &mut self,
        engine: &EngineStatus,
        around: &Around,
        closed: Option<Closed>,
    ) -> bool {
        let mut new = Self {
            protocol: self.protocol,
            id: self.id,
            role: engine.core.role,
            leader: engine.leadership.map(|leader| leader.node),
            transfer: engine.core.transfer,
            term: engine.core.epoch.round,
            commit: engine.core.commit,
            applied: engine.applied,
            last: engine.core.last,
            start: engine.core.start,
            peers: self.peers(engine, around.clock),
            log_bytes: around.log.bytes_written,
            log_syncs: around.log.syncs,
            sync_time: around.sync_time,
            disk_full_since: around.full_since.map(|since| around.clock.std(since)),
            transport: around.transport.clone(),
            requests: engine.requests,
            ignored: engine.frames_ignored + engine.core.ignored,
            leaps: engine.core.leaps,
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

    fn peers(&self, engine: &EngineStatus, clock: Clock) -> Vec<Peer> {
        let core = &engine.core;
        let ids = core.peers.iter().map(|peer| peer.id);
        let mut ids: Vec<_> = ids.chain(engine.heard.iter().map(|(id, _)| *id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let peer = |id: NodeId| {
            let known = core.peers.iter().find(|peer| peer.id == id);
            let matched = known.map(|peer| peer.matched);
            let heard = engine.heard.iter().find(|(node, _)| *node == id);
            let heard = heard.map(|(_, at)| clock.std(*at));
            // Whoever waits for a change is not woken by every frame.
            let shown = self.peers.iter().find(|peer| peer.id == id);
            let shown = shown.and_then(|peer| peer.heard);
            let fresh = |shown: std::time::Instant| {
                heard.is_some_and(|heard| heard.saturating_duration_since(shown) < HEARD_GRAIN)
            };
            Peer {
                id,
                matched,
                forgot: known.is_some_and(|peer| peer.forgot),
                lag: matched.map(|matched| core.last.saturating_sub(matched)),
                heard: shown.filter(|shown| fresh(*shown)).or(heard),
            }
        };
        ids.into_iter().map(peer).collect()
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
            self.transfer = None;
            self.peers.clear();
        }
    }
}

/// How exactly it is told when a peer was heard.
const HEARD_GRAIN: Duration = Duration::from_millis(100);
