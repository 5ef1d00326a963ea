//! Nodes, and a network that does nothing by itself: a test picks what is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{
    Config, DiskHealth, Envelope, Index, Instant, LogId, Message, NodeId, ProposeError, Raft,
    ReadError, ReadId, RecoverError, Refusal, Role, Snapshot, Status, Term,
};

use super::node::{Disk, Node};
use super::watch::Watch;

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) now: Instant,
    pub(crate) net: Vec<Packet>,
    pub(crate) watch: Watch,
    /// Links that lose everything.
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    /// Disks whose writes end only when the test says so.
    pub(crate) slow_disks: BTreeSet<NodeId>,
    /// What was last told of a node's disk.
    pub(crate) health: BTreeMap<NodeId, DiskHealth>,
    pub(crate) slow_pulls: bool,
    /// Nodes whose log is read only when the test says so.
    pub(crate) slow_reads: BTreeSet<NodeId>,
    /// Reads that wait: who was asked, and what had been applied anywhere by then.
    asked: BTreeMap<ReadId, (NodeId, usize)>,
    /// How the others ended.
    pub(crate) answers: Vec<(NodeId, ReadId, Result<Index, Refusal>)>,
}

impl Cluster {
    pub(crate) fn new(size: u64, tweak: impl Fn(&mut Config)) -> Self {
        Self::in_term(size, Term(0), tweak)
    }

    /// Nodes that have stored a term before, and nothing else.
    pub(crate) fn in_term(size: u64, term: Term, tweak: impl Fn(&mut Config)) -> Self {
        let ids: Vec<NodeId> = (1..=size).map(NodeId).collect();
        let node = |id: NodeId| {
            let mut config = Config::new(id, ids.iter().copied());
            tweak(&mut config);
            let disk = Disk {
                vote: (term > Term(0)).then_some((term, None)),
                ..Disk::default()
            };
            (id, Node::new(config, disk, Instant::ZERO))
        };
        let nodes: BTreeMap<NodeId, Node> = ids.iter().map(|id| node(*id)).collect();
        let mut watch = Watch::default();
        let rafts = nodes.values().filter_map(|node| node.raft.as_ref());
        rafts.for_each(|raft| watch.started(raft));
        Self {
            nodes,
            now: Instant::ZERO,
            net: Vec::new(),
            watch,
            cut: BTreeSet::new(),
            slow_disks: BTreeSet::new(),
            health: BTreeMap::new(),
            slow_pulls: false,
            slow_reads: BTreeSet::new(),
            asked: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    pub(crate) fn node(&mut self, id: u64) -> &mut Node {
        self.nodes
            .get_mut(&NodeId(id))
            .expect("a node of this cluster")
    }

    pub(crate) fn status(&self, id: u64) -> Status {
        self.nodes[&NodeId(id)]
            .raft
            .as_ref()
            .expect("the node is up")
            .status()
    }

    pub(crate) fn step<R>(&mut self, id: u64, input: impl FnOnce(&mut Raft, Instant) -> R) -> R {
        let now = self.now;
        let result = self.input(NodeId(id), |raft| input(raft, now));
        self.pump(NodeId(id));
        result
    }

    /// Something happens to a node, and its outputs wait.
    fn input<R>(&mut self, id: NodeId, input: impl FnOnce(&mut Raft) -> R) -> R {
        let result = self.node(id.0).input(input);
        self.stepped(id);
        result
    }

    fn stepped(&mut self, id: NodeId) {
        if let Some(raft) = &self.nodes[&id].raft {
            self.watch.stepped(id, raft);
        }
    }

    /// Drains a node. Disks, fetches and pulls are done at once unless they are slow.
    pub(crate) fn pump(&mut self, id: NodeId) {
        loop {
            if let Some(node) = self.nodes.get_mut(&id) {
                let sent = node.pump(&mut self.watch);
                self.watch.machine(node);
                self.send(id, sent);
            }
            self.end_reads(id);
            if !self.work(id) {
                return;
            }
        }
    }

    fn work(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[&id];
        if node.write.is_some() && !self.slow_disks.contains(&id) {
            self.finish_write(id);
            return true;
        }
        if !node.fetches.is_empty() && !self.reads_slowly(id) {
            let now = self.now;
            self.node(id.0).serve_fetch(now);
            self.stepped(id);
            return true;
        }
        if !self.slow_pulls && !self.slow_disks.contains(&id) && !node.pulls.is_empty() {
            self.serve_pull(id);
            return true;
        }
        false
    }

    /// A disk that is slow to write is slow to read.
    fn reads_slowly(&self, id: NodeId) -> bool {
        self.slow_disks.contains(&id) || self.slow_reads.contains(&id)
    }

    fn finish_write(&mut self, id: NodeId) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&id) {
            let sent = node.persist(now, &mut self.watch);
            self.send(id, sent);
        }
        self.stepped(id);
    }

    /// What is read from the log has come.
    pub(crate) fn serve_fetch(&mut self, id: u64) {
        let now = self.now;
        self.node(id).serve_fetch(now);
        self.stepped(NodeId(id));
        self.pump(NodeId(id));
    }

    /// The write in flight becomes durable, and the next one leaves.
    pub(crate) fn persist(&mut self, id: u64) {
        self.finish_write(NodeId(id));
        self.pump(NodeId(id));
    }

    /// The pull ends: with the file, if its owner still has that one.
    pub(crate) fn serve_pull(&mut self, id: NodeId) {
        let Some((from, snapshot)) = self.node(id.0).pulls.pop() else {
            return;
        };
        let now = self.now;
        let file = self.nodes[&from].disk.snapshot.clone();
        match file.filter(|(owned, _)| *owned == snapshot) {
            Some(file) => {
                self.node(id.0).finish_pull(now, file, true);
                self.stepped(id);
            }
            None => self.fail_pull(id, &snapshot),
        }
    }

    /// A snapshot file is complete at a node, which hears of it or not.
    pub(crate) fn finish_pull(&mut self, id: u64, file: (Snapshot, Vec<LogId>), tell: bool) {
        let now = self.now;
        self.node(id).finish_pull(now, file, tell);
        self.stepped(NodeId(id));
        self.pump(NodeId(id));
    }

    pub(crate) fn fail_pull(&mut self, id: NodeId, snapshot: &Snapshot) {
        let now = self.now;
        self.input(id, |raft| raft.handle_pull_failed(now, snapshot));
    }

    /// Asks for a read. Each name is used once.
    pub(crate) fn read(&mut self, id: u64, read: u64) -> Result<(), ReadError> {
        let (read, applied) = (ReadId(read), self.watch.applied.len());
        let now = self.now;
        self.input(NodeId(id), |raft| raft.read(now, read))?;
        self.asked.insert(read, (NodeId(id), applied));
        self.pump(NodeId(id));
        Ok(())
    }

    /// A read sees everything that anybody could have been told before it was asked.
    fn end_reads(&mut self, id: NodeId) {
        for (read, answer) in std::mem::take(&mut self.node(id.0).reads) {
            let (_, applied) = self.asked.remove(&read).expect("a read ends once");
            if let Ok(Index(index)) = answer {
                assert!(
                    index >= applied as u64,
                    "a stale read: {index} after {applied}"
                );
            }
            self.answers.push((id, read, answer));
        }
    }

    /// Whether the read was accepted and has not ended.
    pub(crate) fn waits(&self, read: u64) -> bool {
        self.asked.contains_key(&ReadId(read))
    }

    pub(crate) fn send(&mut self, from: NodeId, envelopes: Vec<Envelope>) {
        for envelope in envelopes {
            let Envelope { to, message } = envelope;
            if !self.cut.contains(&(from, to)) {
                self.net.push(Packet { from, to, message });
            }
        }
    }

    pub(crate) fn receive(&mut self, packet: Packet) {
        let now = self.now;
        if self.nodes[&packet.to].is_up() {
            self.input(packet.to, |raft| {
                raft.handle_message(now, packet.from, packet.message);
            });
            self.pump(packet.to);
        }
    }

    /// Takes matching packets off the network, in the order they were sent.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        let (taken, left) = std::mem::take(&mut self.net)
            .into_iter()
            .partition(|packet| wanted(packet));
        self.net = left;
        taken
    }

    /// Delivers the packets that match now; what they cause stays on the network.
    pub(crate) fn deliver(&mut self, wanted: impl Fn(&Packet) -> bool) -> usize {
        let packets = self.take(wanted);
        let count = packets.len();
        packets.into_iter().for_each(|packet| self.receive(packet));
        count
    }

    /// Delivers everything, and what that causes, until nothing is left.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.deliver(|_| true) == 0 {
                return;
            }
        }
        panic!("a storm of messages: {:?}", self.net.first());
    }

    pub(crate) fn isolate(&mut self, id: u64) {
        let others: Vec<NodeId> = self
            .nodes
            .keys()
            .copied()
            .filter(|other| other.0 != id)
            .collect();
        for other in others {
            self.cut.insert((NodeId(id), other));
            self.cut.insert((other, NodeId(id)));
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Only this node's timer fires, long after anybody heard a leader.
    pub(crate) fn campaign(&mut self, id: u64) {
        self.now = self.now.plus(Duration::from_secs(1));
        self.step(id, Raft::handle_timeout);
    }

    pub(crate) fn elect(&mut self, id: u64) {
        self.campaign(id);
        self.settle();
        assert_eq!(self.status(id).role, Role::Leader, "{id} is elected");
    }

    /// A round of heartbeats of a leader.
    pub(crate) fn heartbeat(&mut self, id: u64) {
        self.now = self.now.plus(Duration::from_millis(40));
        self.step(id, Raft::handle_timeout);
    }

    /// As many heartbeats, each echoed, as a leader waits before it sends an append again that
    /// nothing came back for.
    pub(crate) fn exhaust_patience(&mut self, id: u64) {
        for _ in 0..PATIENCE_BEATS {
            self.heartbeat(id);
            self.settle();
        }
    }

    pub(crate) fn propose(&mut self, id: u64, body: &'static str) -> Result<LogId, ProposeError> {
        self.step(id, |raft, now| {
            raft.propose(now, Bytes::from_static(body.as_bytes()))
        })
    }

    pub(crate) fn crash(&mut self, id: u64) {
        self.asked.retain(|_, (node, _)| node.0 != id);
        self.node(id).crash();
        self.watch.crashed(NodeId(id));
    }

    /// What the disk of a node that is down holds behind `last` is gone.
    pub(crate) fn lose_tail(&mut self, id: u64, last: u64) {
        let disk = &mut self.node(id).disk;
        disk.log.split_off(&(last + 1));
        self.watch.lost(NodeId(id), Index(last));
    }

    pub(crate) fn restart(&mut self, id: u64) {
        let started = self.try_restart(id);
        started.expect("a disk of our own recovers");
    }

    /// # Errors
    /// If what its disk holds is no storage of a node; then it stays down.
    pub(crate) fn try_restart(&mut self, id: u64) -> Result<(), RecoverError<Infallible>> {
        let now = self.now;
        self.node(id).restart(now)?;
        if let Some(raft) = &self.nodes[&NodeId(id)].raft {
            self.watch.started(raft);
        }
        if let Some(disk) = self.health.get(&NodeId(id)).copied() {
            self.input(NodeId(id), |core| core.handle_disk(now, disk));
        }
        self.pump(NodeId(id));
        Ok(())
    }

    pub(crate) fn take_snapshot(&mut self, id: u64) {
        let now = self.now;
        self.node(id).take_snapshot(now);
        self.stepped(NodeId(id));
        self.pump(NodeId(id));
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

const PATIENCE_BEATS: usize = 3;

pub(crate) fn to(id: u64) -> impl Fn(&Packet) -> bool {
    move |packet| packet.to.0 == id
}

pub(crate) fn from(id: u64) -> impl Fn(&Packet) -> bool {
    move |packet| packet.from.0 == id
}

pub(crate) fn between(from: u64, to: u64) -> impl Fn(&Packet) -> bool {
    move |packet| (packet.from.0, packet.to.0) == (from, to)
}
