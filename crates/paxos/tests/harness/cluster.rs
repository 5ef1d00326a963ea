//! Nodes with a core of this crate, and a network that does nothing on its own.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    ChangeError, Config, Instant, Membership, Message, NodeId, Position, ProposeError, Quorums,
    Role, Status,
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
    /// Nodes 1 to `size`; quorums are majorities.
    pub(crate) fn new(size: u64, tweak: impl Fn(&mut Config)) -> Self {
        let quorums = Quorums::majority((1..=size).map(NodeId)).expect("a group");
        Self::with_quorums(&quorums, tweak)
    }

    /// For a story that a test tells by hand: if it fails, and `PAGES` is set, its page is left.
    pub(crate) fn with_quorums(quorums: &Quorums, tweak: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self::joined(quorums, 0, tweak);
        // Some stories are long, and to record them takes longer than to play them.
        if std::env::var_os("PAGES").is_some() {
            cluster.leave_page_on_panic();
        }
        cluster
    }

    /// The same without a page, and with as many empty nodes that do not know the group, with the ids
    /// after the highest.
    pub(crate) fn joined(quorums: &Quorums, joining: u64, tweak: impl Fn(&mut Config)) -> Self {
        let highest = quorums.acceptors().max().map_or(0, |id| id.0);
        let node = |id: NodeId| {
            let mut config = match quorums.contains(id) {
                true => Config::new(id, quorums.clone()),
                false => Config::joining(id),
            };
            tweak(&mut config);
            let node = Node::start(config, Disk::default(), Instant::ZERO);
            (id, node.expect("a disk of our own recovers"))
        };
        let joining = (1..=joining).map(|more| NodeId(highest + more));
        let nodes = quorums.acceptors().chain(joining).map(node);
        Self(cluster::Cluster::new(nodes, Watch::new()))
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
    /// message again.
    pub(crate) fn exhaust_backoff(&mut self, id: u64) {
        for _ in 0..BACKOFF_HEARTBEATS {
            self.heartbeat(id);
            self.settle();
        }
    }

    pub(crate) fn propose(
        &mut self,
        id: u64,
        body: &'static str,
    ) -> Result<Position, ProposeError> {
        self.step(id, |paxos, now| {
            paxos.propose(now, Bytes::from_static(body.as_bytes()))
        })
    }

    /// Asks a node to change the acceptors to these, with majorities.
    pub(crate) fn change(&mut self, id: u64, acceptors: &[u64]) -> Result<(), ChangeError> {
        let ids = acceptors.iter().copied().map(NodeId);
        let target = Membership::of(Quorums::majority(ids).expect("a group"));
        self.step(id, |paxos, now| paxos.change_membership(now, target))
    }

    /// The values that a node's state machine was given.
    pub(crate) fn commands(&self, id: u64) -> Vec<Bytes> {
        let given = self.nodes[&NodeId(id)].given.iter();
        given.map(|(_, value)| value.body.clone()).collect()
    }

    /// The leader among the nodes that are up.
    pub(crate) fn leaders(&self) -> Vec<u64> {
        let up = self.nodes.iter().filter(|(_, node)| node.is_up());
        let leads = up.filter(|(id, _)| self.status(id.0).role == Role::Leader);
        leads.map(|(id, _)| id.0).collect()
    }

    /// Advances time by one millisecond: messages arrive, and timers fire.
    pub(crate) fn tick(&mut self) {
        self.now = self.now.plus(Duration::from_millis(1));
        self.deliver(|_| true);
        self.fire_timers();
    }

    pub(crate) fn run(&mut self, milliseconds: u64) {
        (0..milliseconds).for_each(|_| self.tick());
    }

    /// The milliseconds until the condition holds, at most `limit`.
    pub(crate) fn run_until(&mut self, limit: u64, holds: impl Fn(&Self) -> bool) -> Option<u64> {
        (0..limit).find(|_| {
            let over = holds(self);
            if !over {
                self.tick();
            }
            over
        })
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
