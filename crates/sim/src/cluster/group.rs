//! The nodes of a cluster, and what lies between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::core::{Answer, Disk, File, PacketOf, Protocol, Watch};
use super::node::Node;
use super::packet::Packet;
use super::recording::Recording;
use crate::page::Kind;

/// Nodes, and a network that does nothing by itself: a test picks what is delivered.
pub struct Cluster<P: Protocol> {
    /// All of them, those that are down too.
    pub nodes: BTreeMap<P::Id, Node<P>>,
    /// True time, which the clocks of the nodes show if they are not among `clocks`.
    pub now: P::Instant,
    /// How much faster than true time the clocks of these nodes run, in parts per million.
    pub clocks: BTreeMap<P::Id, i64>,
    /// What is on its way, in the order in which it was sent.
    pub net: Vec<PacketOf<P>>,
    /// Who watches.
    pub watch: P::Watch,
    /// Links that lose everything.
    pub cut: BTreeSet<(P::Id, P::Id)>,
    /// Disks whose writes end only when the test says so.
    pub slow_disks: BTreeSet<P::Id>,
    /// What was last told of a node's disk.
    pub health: BTreeMap<P::Id, P::Health>,
    /// Snapshots come only when the test says so.
    pub slow_pulls: bool,
    /// Nodes whose log is read only when the test says so.
    pub slow_reads: BTreeSet<P::Id>,
    /// How reads ended: up to which place they saw the log.
    pub answers: Vec<(P::Id, Answer<P>)>,
    /// Reads that wait: who was asked, and how much had been applied anywhere by then.
    asked: BTreeMap<u64, (P::Id, u64)>,
    /// Who records, if anybody does.
    pub(super) recording: Option<Box<Recording<P>>>,
}

impl<P: Protocol> fmt::Debug for Cluster<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nodes, now, net, ..
        } = self;
        let ids: Vec<&P::Id> = nodes.keys().collect();
        let cluster = &mut f.debug_struct("Cluster");
        let cluster = cluster.field("nodes", &ids).field("now", now);
        cluster.field("net", net).finish_non_exhaustive()
    }
}

impl<P: Protocol> Cluster<P> {
    /// With nodes that were just started, nothing on its way, and disks that are fast.
    pub fn new(nodes: impl IntoIterator<Item = (P::Id, Node<P>)>, watch: P::Watch) -> Self {
        let mut cluster = Self {
            nodes: nodes.into_iter().collect(),
            now: P::Instant::default(),
            clocks: BTreeMap::new(),
            net: Vec::new(),
            watch,
            cut: BTreeSet::new(),
            slow_disks: BTreeSet::new(),
            health: BTreeMap::new(),
            slow_pulls: false,
            slow_reads: BTreeSet::new(),
            answers: Vec::new(),
            asked: BTreeMap::new(),
            recording: None,
        };
        for core in cluster.nodes.values().filter_map(|node| node.core.as_ref()) {
            cluster.watch.started(core);
        }
        cluster
    }

    /// The node of that number.
    ///
    /// # Panics
    /// If there is none.
    pub fn node(&mut self, id: u64) -> &mut Node<P> {
        let node = self.nodes.get_mut(&P::id(id));
        node.expect("a node of this cluster")
    }

    /// Something happens to a node that is up, now, and what comes of it.
    ///
    /// # Panics
    /// If it is not up.
    pub fn step<R>(&mut self, id: u64, input: impl FnOnce(&mut P::Core, P::Instant) -> R) -> R {
        self.step_as(id, (Kind::Input, "is asked"), input)
    }

    fn step_as<R>(
        &mut self,
        id: u64,
        (kind, what): (Kind, &str),
        input: impl FnOnce(&mut P::Core, P::Instant) -> R,
    ) -> R {
        self.record_event(P::id(id), kind, || what.to_owned());
        let now = self.clock(P::id(id));
        let result = self.input(P::id(id), |core| input(core, now));
        self.pump(P::id(id));
        result
    }

    /// Something happens to a node, and its outputs wait.
    fn input<R>(&mut self, id: P::Id, input: impl FnOnce(&mut P::Core) -> R) -> R {
        let result = self.node(P::number(id)).input(input);
        self.stepped(id);
        result
    }

    fn stepped(&mut self, id: P::Id) {
        if self.nodes[&id].is_up() {
            self.watch.stepped(id, &self.nodes);
        }
        self.check_leases();
    }

    /// Drains a node. Disks, fetches and pulls are done at once unless they are slow.
    pub fn pump(&mut self, id: P::Id) {
        loop {
            if let Some(node) = self.nodes.get_mut(&id) {
                let sent = node.pump(&mut self.watch);
                self.watch.machine(node);
                self.send(id, sent);
            }
            self.end_reads(id);
            if !self.work(id) {
                return self.record_view(id);
            }
        }
    }

    fn work(&mut self, id: P::Id) -> bool {
        let node = &self.nodes[&id];
        if node.write.is_some() && !self.slow_disks.contains(&id) {
            self.finish_write(id);
            return true;
        }
        if !node.fetches.is_empty() && !self.reads_slowly(id) {
            let now = self.clock(id);
            self.record_event(id, Kind::Note, || READS_LOG.to_owned());
            self.node(P::number(id)).serve_fetch(now);
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
    fn reads_slowly(&self, id: P::Id) -> bool {
        self.slow_disks.contains(&id) || self.slow_reads.contains(&id)
    }

    fn finish_write(&mut self, id: P::Id) {
        let now = self.clock(id);
        if let Some(write) = &self.nodes[&id].write {
            let text = || match P::record_text(P::record(write)) {
                record if record.is_empty() => "has nothing new to store".to_owned(),
                record => format!("stored: {record}"),
            };
            self.record_event(id, Kind::Sync, text);
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            let sent = node.persist(now, &mut self.watch);
            self.send(id, sent);
        }
        self.stepped(id);
    }

    /// What is read from the log has come.
    pub fn serve_fetch(&mut self, id: u64) {
        let now = self.clock(P::id(id));
        self.record_event(P::id(id), Kind::Note, || READS_LOG.to_owned());
        self.node(id).serve_fetch(now);
        self.stepped(P::id(id));
        self.pump(P::id(id));
    }

    /// What was asked for first cannot be read from the log.
    pub fn fail_fetch(&mut self, id: u64) {
        let now = self.clock(P::id(id));
        let text = || "cannot read its log".to_owned();
        self.record_event(P::id(id), Kind::Fault, text);
        self.node(id).fail_fetch(now);
        self.stepped(P::id(id));
        self.pump(P::id(id));
    }

    /// The write in flight becomes durable, and the next one leaves.
    pub fn persist(&mut self, id: u64) {
        self.finish_write(P::id(id));
        self.pump(P::id(id));
    }

    /// The pull ends: with the file, if its owner still has that one.
    pub fn serve_pull(&mut self, id: P::Id) {
        let Some((from, snapshot)) = self.node(P::number(id)).pulls.pop() else {
            return;
        };
        let now = self.clock(id);
        match self.file(from, &snapshot) {
            Some(file) => {
                self.record_event(id, Kind::Sync, || PULLED.to_owned());
                self.node(P::number(id)).finish_pull(now, file, true);
                self.stepped(id);
            }
            None => self.fail_pull(id, &snapshot),
        }
    }

    /// The newest snapshot of a node, if it is that one.
    pub fn file(&mut self, owner: P::Id, snapshot: &P::Snapshot) -> Option<File<P>> {
        self.node(P::number(owner)).file(snapshot)
    }

    /// A snapshot file is complete at a node, which hears of it or not.
    pub fn finish_pull(&mut self, id: u64, file: File<P>, tell: bool) {
        let now = self.clock(P::id(id));
        self.record_event(P::id(id), Kind::Sync, || PULLED.to_owned());
        self.node(id).finish_pull(now, file, tell);
        self.stepped(P::id(id));
        self.pump(P::id(id));
    }

    /// The snapshot does not come.
    pub fn fail_pull(&mut self, id: P::Id, snapshot: &P::Snapshot) {
        let now = self.clock(id);
        self.record_event(id, Kind::Fault, || "pulls no snapshot".to_owned());
        self.input(id, |core| P::pull_failed(core, now, snapshot));
    }

    /// Asks for a read. Each name is used once.
    ///
    /// # Errors
    /// If the node does not take it.
    pub fn read(&mut self, id: u64, read: u64) -> Result<(), P::ReadError> {
        self.read_as(id, read, P::ask)
    }

    /// The same of a read that acceptors answer.
    ///
    /// # Errors
    /// If the node does not take it.
    pub fn read_by_quorum(&mut self, id: u64, read: u64) -> Result<(), P::ReadError> {
        self.read_as(id, read, P::ask_quorum)
    }

    fn read_as(
        &mut self,
        id: u64,
        read: u64,
        ask: impl FnOnce(&mut P::Core, P::Instant, u64) -> Result<(), P::ReadError>,
    ) -> Result<(), P::ReadError> {
        let id = P::id(id);
        let (now, applied) = (self.clock(id), self.watch.applied());
        self.record_event(id, Kind::Input, || format!("read {read}"));
        self.watch.asked(id, read);
        self.input(id, |core| ask(core, now, read))?;
        self.asked.insert(read, (id, applied));
        self.pump(id);
        Ok(())
    }

    /// A read sees everything that anybody could have been told before it was asked.
    fn end_reads(&mut self, id: P::Id) {
        for (read, answer) in std::mem::take(&mut self.node(P::number(id)).reads) {
            let (_, applied) = self.asked.remove(&read).expect("a read ends once");
            if let Ok(seen) = &answer {
                assert!(*seen >= applied, "a stale read: {seen} after {applied}");
            }
            self.answers.push((id, (read, answer)));
        }
    }

    /// Whether the read was accepted and has not ended.
    pub fn waits(&self, read: u64) -> bool {
        self.asked.contains_key(&read)
    }

    /// These messages leave, unless their link is cut.
    pub fn send(&mut self, from: P::Id, messages: Vec<(P::Id, P::Message)>) {
        for (to, message) in messages {
            if self.cut.contains(&(from, to)) {
                self.record_cut(from, to, &message);
            } else {
                self.record_sent(from, to, &message);
                self.net.push(Packet { from, to, message });
            }
        }
    }

    /// A message arrives, if its receiver is up.
    pub fn receive(&mut self, packet: PacketOf<P>) {
        let now = self.clock(packet.to);
        if !self.nodes[&packet.to].is_up() {
            return self.record_lost(&packet, "nobody there");
        }
        self.record_received(&packet);
        let Packet { from, to, message } = packet;
        self.input(to, |core| P::hear(core, now, from, message));
        self.pump(to);
    }

    /// Takes matching packets off the network, in the order they were sent.
    pub fn take(&mut self, wanted: impl Fn(&PacketOf<P>) -> bool) -> Vec<PacketOf<P>> {
        let (taken, left) = std::mem::take(&mut self.net)
            .into_iter()
            .partition(|packet| wanted(packet));
        self.net = left;
        taken
    }

    /// Delivers the packets that match now; what they cause stays on the network.
    pub fn deliver(&mut self, wanted: impl Fn(&PacketOf<P>) -> bool) -> usize {
        let packets = self.take(wanted);
        let count = packets.len();
        packets.into_iter().for_each(|packet| self.receive(packet));
        count
    }

    /// Delivers everything, and what that causes, until nothing is left.
    ///
    /// # Panics
    /// If it does not end.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.deliver(|_| true) == 0 {
                return;
            }
        }
        panic!("a storm of messages: {:?}", self.net.first());
    }

    /// Cuts all links of a node.
    pub fn isolate(&mut self, id: u64) {
        let id = P::id(id);
        let others = self.nodes.keys().copied().filter(|other| *other != id);
        let links = others.flat_map(|other| [(id, other), (other, id)]);
        self.cut.extend(links);
    }

    /// Cuts no link.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// The timer of this node fires.
    pub fn timeout(&mut self, id: u64) {
        self.step_as(id, (Kind::Timer, "timer"), P::time_out);
    }

    /// Only this node's timer fires, after so long.
    pub fn timeout_after(&mut self, id: u64, passes: Duration) {
        self.now = P::plus(self.now, passes);
        self.timeout(id);
    }

    /// Timers that are due fire, from the first node to the last.
    pub fn fire_timers(&mut self) {
        let ids: Vec<P::Id> = self.nodes.keys().copied().collect();
        for id in ids {
            if self.is_due(id) {
                self.timeout(P::number(id));
            }
        }
    }

    /// Whether the timer of this node is due.
    pub fn is_due(&self, id: P::Id) -> bool {
        let core = self.nodes[&id].core.as_ref();
        let due = core.and_then(P::timeout);
        due.is_some_and(|due| due <= self.clock(id))
    }

    /// What is not durable is lost.
    pub fn crash(&mut self, id: u64) {
        let node = P::id(id);
        self.asked.retain(|_, (asked, _)| *asked != node);
        self.record_event(node, Kind::Crash, || "crashes".to_owned());
        self.node(id).crash();
        self.watch.crashed(node);
    }

    /// What the disk of a node that is down holds behind `last` is gone.
    pub fn lose_tail(&mut self, id: u64, last: u64) {
        let text = || format!("its disk loses what is behind {last}");
        self.record_event(P::id(id), Kind::Fault, text);
        self.node(id).disk.lose_tail(last);
        self.watch.lost(P::id(id), last);
    }

    /// # Panics
    /// If what its disk holds is no storage of a node.
    pub fn restart(&mut self, id: u64) {
        let started = self.try_restart(id);
        started.expect("a disk of our own recovers");
    }

    /// # Errors
    /// If what its disk holds is no storage of a node; then it stays down.
    pub fn try_restart(&mut self, id: u64) -> Result<(), P::StartError> {
        let now = self.clock(P::id(id));
        self.node(id).restart(now)?;
        let id = P::id(id);
        self.record_event(id, Kind::Start, || "restarts".to_owned());
        if let Some(core) = &self.nodes[&id].core {
            self.watch.started(core);
        }
        if let Some(health) = self.health.get(&id).copied() {
            self.input(id, |core| P::health(core, now, health));
        }
        self.pump(id);
        Ok(())
    }

    /// The driver tells the node of its disk, and after each start again.
    pub fn tell_health(&mut self, id: u64, health: P::Health) {
        self.health.insert(P::id(id), health);
        self.step(id, |core, now| P::health(core, now, health));
    }

    /// The node takes a snapshot of its machine.
    pub fn take_snapshot(&mut self, id: u64) {
        let now = self.clock(P::id(id));
        let text = || "takes a snapshot".to_owned();
        self.record_event(P::id(id), Kind::Sync, text);
        self.node(id).take_snapshot(now);
        self.stepped(P::id(id));
        self.pump(P::id(id));
    }
}

const READS_LOG: &str = "reads its log";
const PULLED: &str = "has pulled a snapshot";
const ROUNDS_MAX: usize = 10_000;
