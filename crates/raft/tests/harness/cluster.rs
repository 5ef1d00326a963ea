//! Nodes with a core of this crate, and a network that does nothing on its own.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{
    ChangeError, Config, Instant, LogId, Membership, Message, NodeId, ProposeError, Role, Status,
    Term,
};
use synod_sim::cluster;

use super::core::Cores;
use super::disk::Disk;
use super::watch::Watch;

pub(crate) type Packet = cluster::Packet<NodeId, Message>;
pub(crate) type Node = cluster::Node<Cores>;

#[derive(Debug)]
pub(crate) struct Cluster(pub(crate) cluster::Cluster<Cores>);

impl Deref for Cluster {
    type Target = cluster::Cluster<Cores>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Cluster {
    /// For a story that a test tells by hand: if it fails, and `PAGES` is set, its page is left.
    pub(crate) fn new(size: u64, tweak: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self::in_term(size, Term(0), tweak);
        // Some stories are long, and to record them takes longer than to play them.
        if std::env::var_os("PAGES").is_some() {
            cluster.leave_page_on_panic();
        }
        cluster
    }

    /// Nodes that have stored a term, and nothing else.
    pub(crate) fn in_term(size: u64, term: Term, tweak: impl Fn(&mut Config)) -> Self {
        Self::joined(size, 0, term, tweak)
    }

    /// The same, and as many empty nodes that do not know a membership.
    pub(crate) fn joined(size: u64, joining: u64, term: Term, tweak: impl Fn(&mut Config)) -> Self {
        let ids: Vec<NodeId> = (1..=size + joining).map(NodeId).collect();
        let node = |id: NodeId| {
            let is_first = id.0 <= size;
            let voters = 1..=if is_first { size } else { 0 };
            let mut config = Config::new(id, voters.map(NodeId));
            tweak(&mut config);
            let disk = Disk {
                vote: (is_first && term > Term(0)).then_some((term, None)),
                ..Disk::default()
            };
            let node = Node::start(config, disk, Instant::ZERO);
            (id, node.expect("a disk of our own recovers"))
        };
        let nodes: Vec<(NodeId, Node)> = ids.iter().map(|id| node(*id)).collect();
        Self(cluster::Cluster::new(nodes, Watch::default()))
    }

    pub(crate) fn status(&self, id: u64) -> Status {
        let core = self.nodes[&NodeId(id)].core.as_ref();
        core.expect("the node is up").status()
    }

    /// Fires only this node's timer, long after any contact with a leader.
    pub(crate) fn campaign(&mut self, id: u64) {
        self.timeout_after(id, SILENCE);
    }

    pub(crate) fn elect(&mut self, id: u64) {
        self.campaign(id);
        self.settle();
        assert_eq!(self.status(id).role, Role::Leader, "{id} is elected");
    }

    /// Fires a leader's timer for a round of heartbeats.
    pub(crate) fn heartbeat(&mut self, id: u64) {
        self.timeout_after(id, HEARTBEAT);
    }

    /// Sends as many heartbeats, each with an echo, as a leader waits before it sends an unanswered
    /// append again.
    pub(crate) fn exhaust_backoff(&mut self, id: u64) {
        for _ in 0..BACKOFF_HEARTBEATS {
            self.heartbeat(id);
            self.settle();
        }
    }

    /// Asks a node to change the membership to these voters.
    pub(crate) fn change(&mut self, id: u64, voters: &[u64]) -> Result<(), ChangeError> {
        self.change_to(
            id,
            Membership::of_voters(voters.iter().copied().map(NodeId)),
        )
    }

    pub(crate) fn change_to(&mut self, id: u64, target: Membership) -> Result<(), ChangeError> {
        self.step(id, |raft, now| raft.change_membership(now, target))
    }

    pub(crate) fn propose(&mut self, id: u64, body: &'static str) -> Result<LogId, ProposeError> {
        self.step(id, |raft, now| {
            raft.propose(now, Bytes::from_static(body.as_bytes()))
        })
    }

    /// The terms of a node's stored log, from its start.
    pub(crate) fn terms(&self, id: u64) -> Vec<u64> {
        self.nodes[&NodeId(id)]
            .disk
            .log
            .values()
            .map(|entry| entry.id.term.0)
            .collect()
    }
}

/// After this time no node is in contact any more.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(40);
const BACKOFF_HEARTBEATS: usize = 3;

pub(crate) fn to(id: u64) -> impl Fn(&Packet) -> bool {
    move |packet| packet.to.0 == id
}

pub(crate) fn from(id: u64) -> impl Fn(&Packet) -> bool {
    move |packet| packet.from.0 == id
}

pub(crate) fn between(from: u64, to: u64) -> impl Fn(&Packet) -> bool {
    move |packet| (packet.from.0, packet.to.0) == (from, to)
}
