//! The map as a replicated state machine, and a group of its replicas as a store.

use std::{collections::BTreeMap, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;
use synod_replica::{
    Applying, Change, ChangeError, Closed, Configured, Consistency, Group, GroupId, LogTime,
    LoggedTime, Members, Node, NodeId, OpenGroupError, Role, Sessions, StateMachine, Status,
    StatusWatch, Timed, TimedMachine, TransferError,
};
use synod_transport::Untrusted;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    answer::Answer,
    backup::Backups,
    clock::Clock,
    entry::{Entry, Machine, response},
    machine::Kv,
    members::{self, Manage},
    response::Response,
    snapshot,
    store::{Consensus, Failure, Peer, Store},
};

impl TimedMachine for Kv {
    fn apply_at(&mut self, _: Applying, time: &mut LoggedTime, command: Bytes) -> Response {
        self.execute_at(time, &command)
    }

    fn pass(&mut self, now: LogTime) {
        Self::pass(self, now);
    }

    fn next_due(&self) -> Option<LogTime> {
        Self::next_due(self)
    }
}

impl StateMachine for Kv {
    type Response = Response;
    /// A clone shares all of the map.
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: Bytes) -> Response {
        self.execute(&command)
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn io::Write) -> io::Result<()> {
        snapshot::write(&frozen, to)
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        self.replace(snapshot::read(from)?);
        Ok(())
    }
}

/// A group of replicated maps, and a look at the one on this node.
#[derive(Clone, Debug)]
pub(crate) struct Replicated {
    group: Group<Machine>,
    status: StatusWatch,
    clock: Clock,
    /// Where nodes are reached of which the log does not say so.
    peers: Arc<BTreeMap<NodeId, String>>,
    backups: Backups,
}

impl Replicated {
    pub(crate) async fn open(
        node: &Node,
        group: GroupId,
        config: impl Configured,
        (peers, cluster): (&BTreeMap<NodeId, String>, u128),
    ) -> Result<Self, OpenGroupError> {
        let machine = Timed::new(Sessions::new(Kv::default()));
        let applied = machine.watch();
        let group = node.open(group, config, machine).await?;
        Ok(Self {
            status: group.watch(),
            clock: Clock::start(group.clone(), applied),
            group,
            peers: Arc::new(peers.clone()),
            backups: Backups::new(cluster),
        })
    }

    /// Lets another node lead what this one leads, which is about to go. Ends when that node is known to lead,
    /// or when it is known that none will.
    pub(crate) async fn hand_over(&self) {
        if !self.status.look(|status| status.role == Role::Leader) {
            return;
        }
        match self.group.transfer(None).await {
            Ok(leader) => info!(leader = leader.0, "handed over"),
            // One of its own, alone in its group or without the others.
            Err(TransferError::Unsuitable | TransferError::NotLeader(_)) => {}
            Err(error) => warn!(%error, "not handed over"),
        }
    }

    /// The members, as this node's log decides them, once it knows some. `None` when it has closed before that.
    pub(crate) async fn members(&self) -> Option<Arc<Members>> {
        let mut status = self.status.clone();
        let known = status.wait_for(|status| status.members.iter().next().is_some());
        known.await.map(|status| status.members.clone())
    }

    /// Ends when the group serves nothing any more on this node.
    pub(crate) fn closed(&self) -> impl Future<Output = Closed> + Send + 'static {
        self.group.closed()
    }
}

impl Store for Replicated {
    fn write(
        &self,
        entry: Entry,
    ) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        let stamp = entry.counts_time().then(|| self.clock.stamp());
        let answer = self.group.propose(entry.into_bytes(stamp));
        async { answer.await.map(response).map_err(failure) }
    }

    fn read<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        let look = |machine: &Machine| with(machine.machine().machine());
        let outcome = self.group.read(Consistency::Linearizable, look);
        async { outcome.await.map_err(failure) }
    }

    fn read_as<R: Send + 'static>(
        &self,
        consistency: Consistency,
        with: impl FnOnce(&Kv, Option<Duration>) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        let look = |machine: &Machine, age| with(machine.machine().machine(), age);
        let outcome = self.group.read_with_age(consistency, look);
        async { outcome.await.map_err(failure) }
    }

    fn time(&self) -> LogTime {
        self.clock.time()
    }

    fn manage(
        &self,
        manage: Manage,
    ) -> impl Future<Output = Result<Answer, String>> + Send + 'static {
        // New voters receive everything first.
        let group = self.group.with_timeout(CHANGE_TIMEOUT);
        let (status, peers) = (self.group.status(), self.peers.clone());
        let backups = self.backups.clone();
        async move {
            match manage {
                Manage::List => {
                    let look = |machine: &Machine| machine.machine().machine().addresses().clone();
                    let clients = group.read(Consistency::Stale, look).await;
                    let clients = clients.unwrap_or_default();
                    let text = members::list(&status, &peers, &clients);
                    return Ok(Answer::Frame(BytesFrame::BulkString(text.into())));
                }
                Manage::Abort => group.abort_change().await.map_err(not_changed)?,
                Manage::Change(change) => {
                    if let Some(known) = with_addresses(&status.members, &peers) {
                        let known = group.change_members(Change::Set(known));
                        known.await.map_err(not_changed)?;
                    }
                    let changed = group.change_members(change).await;
                    changed.map_err(not_changed)?;
                }
                Manage::BeginBackup => {
                    let number = backups.begin(&group).await?;
                    return Ok(Answer::Frame(BytesFrame::Integer(number.cast_signed())));
                }
                Manage::NextOfBackup(number) => {
                    let piece = backups.next(number).await?;
                    return Ok(Answer::Frame(BytesFrame::BulkString(piece)));
                }
                Manage::Transfer(to) => {
                    let leader = group.transfer(to).await.map_err(not_handed)?;
                    return Ok(Answer::simple_text(format!("LEADER {}", leader.0)));
                }
            }
            Ok(Answer::simple("OK"))
        }
    }

    fn consensus(&self) -> Consensus {
        let status = self.group.status();
        let now = Instant::now().into_std();
        // What is closed plays no part: nobody should take it for a leader, or for a follower.
        let role = match status.closed {
            Some(_) => "closed".into(),
            None => status.role.to_string(),
        };
        Consensus {
            protocol: status.protocol,
            id: status.id.0,
            role,
            closed: status.closed.as_ref().map(one_line),
            peers: peers(&status, now),
            sync_time_us: status.sync_time.as_micros() as u64,
            disk_full_s: status
                .disk_full_since
                .map(|since| now.saturating_duration_since(since).as_secs()),
            transport: counters(&status.transport),
            leader_id: status.leader.map(|leader| leader.0),
            priority: status.priority,
            lease_ms: status.lease_until.and_then(|until| {
                let left = until.checked_duration_since(now)?;
                Some(left.as_millis() as u64)
            }),
            term: status.term,
            commit_index: status.commit,
            applied_index: status.applied,
            log_bytes: status.log_bytes,
            log_syncs: status.log_syncs,
            snapshots_taken: status.snapshots_taken,
            snapshots_received: status.snapshots_received,
            snapshots_failed: status.snapshots_failed,
            leaps_ignored: status.leaps,
        }
    }

    fn closed(&self) -> Option<String> {
        self.status
            .look(|status| status.closed.as_ref().map(one_line))
    }
}

/// It goes into an error and into a line of `INFO`, and a panic's message may be several lines.
fn one_line(closed: &Closed) -> String {
    closed.to_string().replace(|c: char| c.is_control(), " ")
}

/// The peers as a leader sees them; whoever does not lead knows only which it hears, and to which it is connected.
fn peers(status: &Status, now: std::time::Instant) -> Vec<Peer> {
    let ago = |heard| now.saturating_duration_since(heard).as_millis() as u64;
    let mut peers = BTreeMap::new();
    for (id, connection) in &status.transport.peers {
        let peer = Peer {
            id: id.0,
            is_connected: connection.connected,
            ..Peer::default()
        };
        peers.insert(id.0, peer);
    }
    for heard in &status.peers {
        let peer: &mut Peer = peers.entry(heard.id.0).or_default();
        *peer = Peer {
            id: heard.id.0,
            matched: heard.matched,
            lag: heard.lag,
            forgot: heard.forgot,
            heard_ms: heard.heard.map(ago),
            is_connected: peer.is_connected,
        };
    }
    peers.into_values().collect()
}

fn counters(transport: &synod_transport::Status) -> Vec<(&'static str, u64)> {
    [
        ("frames_in", transport.frames_in),
        ("bytes_in", transport.bytes_in),
        ("frames_out", transport.frames_out),
        ("bytes_out", transport.bytes_out),
        ("control_dropped", transport.control_dropped),
        ("bulk_dropped", transport.bulk_dropped),
        ("unsendable", transport.unsendable),
        ("connects", transport.connects),
        ("connects_failed", transport.connects_failed),
        ("silences", transport.silences),
        ("hellos_refused", transport.hellos_refused),
        ("refused_by_peers", transport.refused_by_peers),
        ("hellos_unreadable", transport.hellos_unreadable),
        ("handshakes_dropped", transport.handshakes_dropped),
        ("frames_corrupt", transport.frames_corrupt),
        ("accepts_failed", transport.accepts_failed),
        ("unprotected", transport.unprotected),
        ("reloads", transport.reloads),
        ("reloads_failed", transport.reloads_failed),
        ("authorities_expired", transport.authorities_expired),
        ("renewals", transport.renewals),
    ]
    .into_iter()
    // Those that did not come about, too, so that nobody looks for them in vain.
    .chain(Untrusted::ALL.into_iter().map(|reason| {
        let times = transport.untrusted.get(&reason).copied();
        (reason.name(), times.unwrap_or_default())
    }))
    .collect()
}

fn failure(failure: synod_replica::Failure) -> Failure {
    match failure {
        synod_replica::Failure::Rejected { reason, leader } => Failure::Rejected {
            reason,
            leader: leader.map(|leader| leader.0),
        },
        synod_replica::Failure::Unknown => Failure::Unknown,
    }
}

/// The members with the addresses that this node knows, if the log lacks some: whoever joins learns from the
/// log where the others are.
fn with_addresses(members: &Members, peers: &BTreeMap<NodeId, String>) -> Option<Members> {
    let mut known = members.clone();
    for side in [&mut known.voters, &mut known.learners] {
        for (id, member) in side {
            if member.address.is_empty()
                && let Some(address) = peers.get(id)
            {
                member.address.clone_from(address);
            }
        }
    }
    (known != *members).then_some(known)
}

fn not_changed(error: ChangeError) -> String {
    match error {
        ChangeError::NotLeader(leader) | ChangeError::LeaderLost(leader) => {
            format!("{error}{}", led_by(leader))
        }
        error => error.to_string(),
    }
}

fn not_handed(error: TransferError) -> String {
    match error {
        TransferError::NotLeader(leader) => format!("{error}{}", led_by(leader)),
        error => error.to_string(),
    }
}

fn led_by(leader: Option<NodeId>) -> String {
    match leader {
        Some(leader) => format!(": node {} does", leader.0),
        None => ", and nobody is known to".into(),
    }
}

/// New voters may have a large snapshot to receive.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use synod_replica::{Incarnation, NodeConfig, NodeId};
    use synod_transport::MemoryNetwork;
    use synod_wal::{Directory, Options, Wal};
    use tokio::time::timeout;

    use super::*;
    use crate::protocol::{Agreement, Protocol, Timeouts};

    /// A group of one that leads, then is closed: what `INFO` and a ping go by.
    #[tokio::test]
    async fn a_group_that_has_stopped_has_no_role() {
        for protocol in Protocol::all().iter().copied() {
            let directory = tempfile::TempDir::new().unwrap();
            let disk = Directory::open(directory.path()).unwrap();
            let log = Wal::open(disk, Options::default()).unwrap();
            let (id, incarnation) = (NodeId(1), Incarnation::ephemeral(NodeId(1)));
            let network = MemoryNetwork::new().join(id);
            let node = Node::start(incarnation, NodeConfig::default(), log, network);
            let agreement = Agreement {
                protocol,
                phase2: None,
            };
            let config = agreement.configure(Timeouts::default(), id, &BTreeSet::from([id]));
            let store = config
                .unwrap()
                .open(&node, &BTreeMap::new(), 1)
                .await
                .unwrap();
            let mut status = store.group.watch();
            let leads = status.wait_for(|status| status.role == Role::Leader);
            drop(timeout(TIMEOUT, leads).await.unwrap().unwrap());
            let before = store.consensus();
            assert_eq!((&*before.role, before.closed), ("leader", None));
            assert_eq!(Store::closed(&store), None);

            node.shutdown().await;
            let after = store.consensus();
            assert_eq!(after.role, "closed");
            assert_eq!(after.leader_id, None);
            assert!(after.closed.is_some() && after.closed == Store::closed(&store));
        }
    }

    #[test]
    fn a_reason_is_one_line() {
        let closed = Closed::Panicked("a\nb\r\nc".into());
        let line = one_line(&closed);
        assert!(line.ends_with("a b  c"), "{line}");
    }

    /// Nothing here takes as long.
    const TIMEOUT: Duration = Duration::from_secs(20);
}
