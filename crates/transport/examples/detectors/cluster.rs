//! Nodes that gossip, on one thread, in one order.

use super::measures::Record;
use super::traces::{Link, Pauses, Trace};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;
use synod_transport::NodeId;
use synod_transport::detector::{
    Detector, Gossip, GossipSettings, Incarnation, Instant, Message, Output, SettingsError,
};

/// A cluster of nodes 1, 2 and so on.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) links: BTreeMap<(NodeId, NodeId), Link>,
    under_way: BinaryHeap<Reverse<Parcel>>,
    sent: u64,
    now: Duration,
    /// Who speaks and hears no more.
    crashed: Option<NodeId>,
}

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) detector: Gossip,
    /// When time is next told to it.
    due: Duration,
    pauses: Pauses,
    records: BTreeMap<NodeId, Record>,
}

/// A message on its way: earlier ones first, and of those the one that was sent first.
#[derive(Clone)]
struct Parcel {
    at: Duration,
    number: u64,
    from: NodeId,
    to: NodeId,
    message: Message,
}

impl Cluster {
    pub(crate) fn new(
        trace: Trace,
        seed: u64,
        count: u64,
        settings: GossipSettings,
    ) -> Result<Self, SettingsError> {
        let ids = || (1..=count).map(NodeId);
        let mut nodes = BTreeMap::new();
        for id in ids() {
            let mut settings = settings;
            settings.seed = seed ^ id.0;
            let detector = Gossip::new(Instant::default(), id, Incarnation(1), ids(), settings)?;
            let pausing = match id {
                WATCHER => trace.watcher,
                WATCHED => trace.sender,
                _ => None,
            };
            let node = Node {
                due: detector.poll_timeout().0,
                detector,
                pauses: Pauses::new(pausing, seed ^ (id.0 << 8)),
                records: ids()
                    .filter(|peer| *peer != id)
                    .map(|peer| (peer, Record::default()))
                    .collect(),
            };
            nodes.insert(id, node);
        }
        let pairs = ids().flat_map(|from| ids().map(move |to| (from, to)));
        let links = pairs
            .map(|(from, to)| {
                let seed = seed ^ (from.0 << 16) ^ (to.0 << 24);
                ((from, to), Link::new(trace, seed))
            })
            .collect();
        Ok(Self {
            nodes,
            links,
            under_way: BinaryHeap::new(),
            sent: 0,
            now: Duration::ZERO,
            crashed: None,
        })
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Until `until`, exclusively.
    pub(crate) fn run(&mut self, until: Duration) {
        while self.step(until) {}
        self.now = until;
    }

    /// How long after a crash of `id` each of the others suspects it, behind the last that was on its way.
    pub(crate) fn crash(mut self, id: NodeId, timeout: Duration) -> BTreeMap<NodeId, Duration> {
        let crash = self.now;
        self.crashed = Some(id);
        let mut detected: BTreeMap<NodeId, Duration> = BTreeMap::new();
        let all = self.nodes.len() - 1;
        while detected.len() < all || self.is_under_way(id) {
            if !self.step(crash + timeout) {
                break;
            }
            for (watcher, node) in self.nodes.iter().filter(|(watcher, _)| **watcher != id) {
                match node.detector.suspects(id) {
                    true => {
                        detected.entry(*watcher).or_insert(self.now - crash);
                    }
                    false => drop(detected.remove(watcher)),
                }
            }
        }
        detected
    }

    fn is_under_way(&self, from: NodeId) -> bool {
        self.under_way
            .iter()
            .any(|Reverse(parcel)| parcel.from == from)
    }

    /// Of each watcher about each peer.
    pub(crate) fn into_records(self) -> impl Iterator<Item = ((NodeId, NodeId), Record)> {
        let nodes = self.nodes.into_iter();
        nodes.flat_map(|(watcher, node)| {
            let records = node.records.into_iter();
            records.map(move |(peer, record)| ((watcher, peer), record))
        })
    }

    /// The next thing that happens, if it is before `until`.
    fn step(&mut self, until: Duration) -> bool {
        let alive = self
            .nodes
            .iter()
            .filter(|(id, _)| self.crashed != Some(**id));
        let timer = alive.map(|(id, node)| (node.due, *id)).min();
        let parcel = self.under_way.peek().map(|Reverse(parcel)| parcel.at);
        // What has come goes before what is due.
        match (parcel, timer) {
            (Some(at), timer) if timer.is_none_or(|(due, _)| at <= due) => {
                at < until && self.deliver()
            }
            (_, Some((due, id))) if due < until => {
                self.now = due;
                self.tell_time(id);
                true
            }
            _ => false,
        }
    }

    fn tell_time(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let awake = node.pauses.awake(self.now);
        if awake > self.now {
            node.due = awake;
        } else {
            node.detector.handle_timeout(Instant(self.now));
            self.take_outputs(id);
        }
    }

    fn deliver(&mut self) -> bool {
        let Some(Reverse(mut parcel)) = self.under_way.pop() else {
            return false;
        };
        self.now = parcel.at;
        let id = parcel.to;
        let alive = self.crashed != Some(id);
        if let Some(node) = self.nodes.get_mut(&id).filter(|_| alive) {
            let awake = node.pauses.awake(parcel.at);
            if awake > parcel.at {
                parcel.at = awake;
                self.under_way.push(Reverse(parcel));
                return true;
            }
            let (at, from) = (Instant(parcel.at), parcel.from);
            let detector = &mut node.detector;
            detector.handle_message(at, from, Incarnation(1), &parcel.message);
            self.take_outputs(id);
        }
        true
    }

    fn take_outputs(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.due = node.detector.poll_timeout().0.max(self.now);
        while let Some(output) = node.detector.poll_output() {
            match output {
                Output::Suspect(peer) => node.records.entry(peer).or_default().suspect(self.now),
                Output::Trust(peer) => node.records.entry(peer).or_default().trust(self.now),
                Output::Send(to, message) => {
                    let carried = self.links.get_mut(&(id, to)).and_then(Link::carry);
                    if let Some(takes) = carried {
                        self.sent += 1;
                        let parcel = Parcel {
                            at: self.now + takes,
                            number: self.sent,
                            from: id,
                            to,
                            message,
                        };
                        self.under_way.push(Reverse(parcel));
                    }
                }
            }
        }
    }
}

impl Ord for Parcel {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Parcel {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Parcel {}

/// Who stands still in a world in which watchers do.
pub(crate) const WATCHER: NodeId = NodeId(1);
/// Who does where those do that are watched.
pub(crate) const WATCHED: NodeId = NodeId(2);
