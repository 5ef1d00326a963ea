//! The status of a group on this node.

use std::sync::Arc;
use std::time::Duration;

use synod_transport::NodeId;
use tokio::sync::watch;

use crate::closed::Closed;
use crate::engine::EngineStatus;
use crate::group::Clock;
use crate::log::LogStats;
use crate::members::{ChangeEnd, ChangeStatus, Members};
use crate::protocol::Role;
use crate::time::Instant;

/// A group as seen from this node; see [`Group::watch`](crate::Group::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The consensus protocol: `raft` or `paxos`.
    pub protocol: &'static str,
    /// This node's id.
    pub id: NodeId,
    /// The role of this node. A closed group is shown as a follower without a leader.
    pub role: Role,
    /// The node believed to be the leader.
    pub leader: Option<NodeId>,
    /// To whom this node is handing its leadership.
    pub transfer: Option<NodeId>,
    /// How much this node is preferred as the leader, against the others: `priority` of the
    /// configuration it was opened with.
    pub priority: u8,
    /// Until when this node, as the leader, may answer reads without asking the others, if none of
    /// them promises it more; `None` if it holds no lease. A lease is renewed with each round of
    /// heartbeats, and nobody is woken for that: only for its beginning and its end.
    pub lease_until: Option<std::time::Instant>,
    /// The term, or the ballot's round.
    pub term: u64,
    /// The last index known to be decided.
    pub commit: u64,
    /// The last index applied to the machine here.
    pub applied: u64,
    /// The last index of the log here.
    pub last: u64,
    /// The index after which the log begins.
    pub start: u64,
    /// The peers that have sent a frame, and, on a leader, all that it replicates to.
    pub peers: Vec<Peer>,
    /// The members of the group, as this node's log names them last. Nobody on a node that waits to be
    /// added.
    pub members: Arc<Members>,
    /// The change of the members that is under way. In Paxos only its leader knows.
    pub change: Option<ChangeStatus>,
    /// How the last change of the members ended, since the group was opened.
    pub change_end: Option<ChangeEnd>,
    /// Bytes of records written by the node's log since it was opened, for all groups.
    pub log_bytes: u64,
    /// Syncs of the node's log since it was opened, for all groups.
    pub log_syncs: u64,
    /// How long a sync of the node's log takes at present; zero if unknown.
    pub sync_time: Duration,
    /// Since when the node's log has had no space, if it has none.
    pub disk_full_since: Option<std::time::Instant>,
    /// The status of the node's transport, for all groups, as of a moment ago.
    pub transport: Arc<synod_transport::Status>,
    /// Requests in progress.
    pub requests: usize,
    /// Malformed or meaningless frames and messages that were ignored.
    pub ignored: u64,
    /// The ignored messages whose term or round was too far above the one stored here to be
    /// believed. While this rises, a peer may be locked out, or someone may be impersonating a
    /// peer.
    pub leaps: u64,
    /// Snapshots taken on this node.
    pub snapshots_taken: u64,
    /// Snapshots received completely from a peer.
    pub snapshots_received: u64,
    /// Attempts to take or receive a snapshot that failed.
    pub snapshots_failed: u64,
    /// Why the group no longer serves anything, once it is closed.
    pub closed: Option<Closed>,
}

/// The status of a group, with a way to wait for changes.
///
/// It lends out the status only for the duration of a call: a caller that kept the borrow would
/// block the node, which publishes the next status.
#[derive(Clone, Debug)]
pub struct StatusWatch(pub(crate) watch::Receiver<Status>);

impl StatusWatch {
    /// Runs `look` on the current status. Keep it short: the node waits meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&Status) -> R) -> R {
        look(&self.0.borrow())
    }

    /// The current status, which [`changed`](Self::changed) then treats as seen.
    pub fn latest(&mut self) -> Status {
        self.0.borrow_and_update().clone()
    }

    /// Waits for a status that was not seen yet; `None` when the node is gone.
    pub async fn changed(&mut self) -> Option<Status> {
        self.0.changed().await.ok()?;
        Some(self.latest())
    }

    /// Waits for the first status from now on that satisfies `wanted`; `None` if the node is gone
    /// before. A status may be missed if it is replaced before it is looked at.
    pub async fn wait_for(&mut self, wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        let status = self.0.wait_for(wanted).await.ok()?;
        Some(status.clone())
    }
}

/// A peer, as known to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The peer's id.
    pub id: NodeId,
    /// On a leader, the highest index that the peer is known to hold durably.
    pub matched: Option<u64>,
    /// On a leader, how many indexes of its log the peer is not known to hold.
    pub lag: Option<u64>,
    /// Whether the peer's disk lost entries that it had acknowledged to this leader. Such a peer
    /// has stopped and counts towards no quorum; an operator must repair it.
    pub forgot: bool,
    /// When its last frame arrived, to a tenth of a second.
    pub heard: Option<std::time::Instant>,
}

/// The parts of a status that belong to the node and not to the group.
pub(crate) struct Around {
    pub(crate) now: Instant,
    pub(crate) clock: Clock,
    pub(crate) log: LogStats,
    pub(crate) sync_time: Duration,
    pub(crate) full_since: Option<Instant>,
    pub(crate) transport: Arc<synod_transport::Status>,
}

/// The parts of a status that belong to the group.
pub(crate) struct Of<'a> {
    pub(crate) engine: &'a EngineStatus,
    pub(crate) members: &'a Arc<Members>,
    pub(crate) closed: Option<Closed>,
}

impl Status {
    pub(crate) fn new(protocol: &'static str, id: NodeId) -> Self {
        Self {
            protocol,
            id,
            role: Role::Follower,
            leader: None,
            transfer: None,
            priority: 0,
            lease_until: None,
            term: 0,
            commit: 0,
            applied: 0,
            last: 0,
            start: 0,
            peers: Vec::new(),
            members: Arc::default(),
            change: None,
            change_end: None,
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

    /// Takes over the current values; returns whether any has changed.
    pub(crate) fn update(&mut self, group: Of<'_>, around: &Around) -> bool {
        let engine = group.engine;
        let held = engine.core.lease_end.filter(|end| *end > around.now);
        let mut new = Self {
            protocol: self.protocol,
            id: self.id,
            role: engine.core.role,
            leader: engine.leadership.map(|leader| leader.node),
            transfer: engine.core.transfer,
            priority: engine.core.priority,
            lease_until: held.map(|end| around.clock.std(end)),
            term: engine.core.epoch.round,
            commit: engine.core.commit,
            applied: engine.applied,
            last: engine.core.last,
            start: engine.core.start,
            peers: self.peers(engine, around.clock),
            members: group.members.clone(),
            change: engine.core.change.clone(),
            change_end: engine.core.change_end,
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
            closed: group.closed,
        };
        new.rest_if_closed();
        if self.lease_until.is_some() && new.lease_until.is_some() {
            self.lease_until = new.lease_until;
        }
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
            // Rounded, so that not every frame wakes those that wait for a change.
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

    /// Marks the group as closed; returns `true` the first time.
    pub(crate) fn close(&mut self, closed: &Closed) -> bool {
        let first = self.closed.is_none();
        self.closed.get_or_insert_with(|| closed.clone());
        self.rest_if_closed();
        first
    }

    /// The core of a closed group is no longer driven, so its role means nothing.
    fn rest_if_closed(&mut self) {
        if self.closed.is_some() {
            self.role = Role::Follower;
            self.leader = None;
            self.transfer = None;
            self.lease_until = None;
            self.change = None;
            self.peers.clear();
        }
    }
}

/// The granularity at which a peer's last frame is shown.
const HEARD_GRAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// A renewal comes with each round of heartbeats: it is shown, and wakes nobody.
    #[test]
    fn a_lease_is_told_until_it_ends_and_its_renewal_wakes_nobody() {
        let (clock, members) = (Clock::start(), Arc::default());
        let mut status = Status::new("any", NodeId(1));
        let mut engine = EngineStatus::default();
        engine.core.priority = 7;
        let mut look = |now: u64, end: Option<u64>| {
            let at = |ms| Instant(Duration::from_millis(ms));
            engine.core.lease_end = end.map(at);
            let group = Of {
                engine: &engine,
                members: &members,
                closed: None,
            };
            let around = Around {
                now: at(now),
                clock,
                log: LogStats::default(),
                sync_time: Duration::ZERO,
                full_since: None,
                transport: Arc::default(),
            };
            let changed = status.update(group, &around);
            (changed, status.lease_until, status.priority)
        };
        let until = |ms| Some(clock.std(Instant(Duration::from_millis(ms))));
        assert_eq!(look(0, None), (true, None, 7));
        assert_eq!(look(10, Some(100)), (true, until(100), 7));
        assert_eq!(look(20, Some(110)), (false, until(110), 7));
        assert_eq!(look(110, Some(110)), (true, None, 7));
        assert_eq!(look(120, Some(110)), (false, None, 7));
    }
}
