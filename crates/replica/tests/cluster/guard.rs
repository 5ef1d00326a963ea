//! Nodes that know each other by their disks: whoever comes back with an emptied or an older disk is
//! refused (rule N1).
//!
//! A real node's transport greets a peer before it takes a message of it. Here each message carries the
//! greeting of the incarnation that sent it, and the real [`Identity`] on the simulated disk judges it.
//! As a transport asks at a peer's own address before it believes in another incarnation, so is the
//! [`Ledger`] asked here.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use synod_replica::sim::{Core, Packet, SimDisk, SimNode, SimRequest, Witness as _};
use synod_replica::{Birth, GroupId, Identity, NodeId};
use synod_sim::page::{Portrait, View};
use synod_sim::{self as sim, Context, Coverage, Process, Rng, Start};
use synod_transport::{ClusterId, Hello, Refused};

use super::observer::Observer;
use super::options::ms;
use super::{Group, Noted, Subject, Verdict, must};

/// A node, and what it knows of the disks of others where disks are lost.
pub(crate) struct Guard<S: Subject> {
    id: u64,
    node: SimNode<Group<S>>,
    gate: Option<Gate<S>>,
    /// Where it is of interest what clocks show.
    timed: Option<Observer<S>>,
    sent: Vec<(sim::NodeId, Packet<Core<Group<S>>>)>,
}

struct Gate<S: Subject> {
    identity: Identity<SimDisk>,
    hello: Rc<Hello>,
    /// Whom this incarnation has admitted last.
    admitted: BTreeMap<NodeId, Rc<Hello>>,
    /// When this node next dials those that have not met it.
    dials_at: Duration,
    observer: Observer<S>,
}

/// A message, and who says that it is the sender; only that on a connection that is new.
pub(crate) struct Greeted<P> {
    hello: Option<Rc<Hello>>,
    packet: Option<Packet<P>>,
}

/// Who runs where, who has durably met whom, and which disks were lost.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    running: BTreeMap<NodeId, Hello>,
    /// By the node that met and the one that was met: in which incarnation.
    met: BTreeMap<(NodeId, NodeId), u64>,
    lost: BTreeSet<NodeId>,
    /// Those of them that have not started since: nobody is at their address.
    away: BTreeSet<NodeId>,
    /// Who has refused which of them.
    refused: BTreeSet<(NodeId, NodeId)>,
    emptied: u64,
    put_back: BTreeSet<NodeId>,
    replaced: u64,
}

impl Ledger {
    pub(crate) fn has_lost(&self, node: NodeId) -> bool {
        self.lost.contains(&node)
    }

    /// The number of a node's last incarnation.
    pub(crate) fn boot(&self, node: NodeId) -> Option<u64> {
        self.running.get(&node).map(|hello| hello.boot)
    }

    /// Whether all these nodes have met this one in a later incarnation than `boot`, or are lost too.
    pub(crate) fn is_known(&self, node: NodeId, among: &[NodeId], boot: u64) -> bool {
        let has_met = |by: &NodeId| self.met.get(&(*by, node)).is_some_and(|met| *met > boot);
        let among = among.iter().filter(|by| **by != node);
        among
            .into_iter()
            .all(|by| self.has_lost(*by) || has_met(by))
    }

    fn begin(&mut self, hello: Hello) {
        self.away.remove(&hello.node);
        self.running.insert(hello.node, hello);
    }

    /// Whether it is confirmed at the node's address that this is its incarnation. What an earlier one has sent
    /// may arrive long after its end.
    fn confirms(&self, hello: &Hello) -> bool {
        self.running.get(&hello.node) == Some(hello) && !self.away.contains(&hello.node)
    }

    /// Whether a disk that was put back has counted further than a peer has met it, which is a known
    /// limit: its operator must have taken it away before.
    fn looks_honest(&self, hello: &Hello) -> bool {
        let met = |((by, node), met): (&(NodeId, NodeId), &u64)| {
            *node == hello.node && !self.has_lost(*by) && *met < hello.boot
        };
        self.put_back.contains(&hello.node) && self.met.iter().any(met)
    }

    /// The nodes that have not met this one in this incarnation.
    fn strangers(&self, (node, boot): (NodeId, u64)) -> Vec<NodeId> {
        let has_met = |by: &NodeId| self.met.get(&(*by, node)) == Some(&boot);
        let others = self.running.keys().copied().filter(|by| *by != node);
        others.filter(|by| !has_met(by)).collect()
    }

    /// The disk of a node was emptied or put back.
    pub(crate) fn lose(&mut self, node: NodeId, empties: bool) {
        self.lost.insert(node);
        self.away.insert(node);
        match empties {
            true => self.emptied += 1,
            false => drop(self.put_back.insert(node)),
        }
    }

    /// A lost node is no member any more.
    pub(crate) fn replaced(&mut self) {
        self.replaced += 1;
    }

    pub(crate) fn cover(&self, coverage: &mut Coverage) {
        coverage.add("disks emptied", self.emptied);
        coverage.add("disks put back", self.put_back.len() as u64);
        coverage.add("refusals of lost nodes", self.refused.len() as u64);
        coverage.add("lost nodes replaced", self.replaced);
    }

    /// # Errors
    /// If the node has lost what it had promised to this one, or to others.
    fn admits(&mut self, by: NodeId, hello: &Hello) -> Verdict {
        let is_refused = !self.lost.contains(&hello.node) || self.lost.contains(&by);
        must(is_refused, "identity", || {
            format!("n{} admits {hello:?}, which has lost its disk", by.0)
        })
    }
}

impl<S: Subject> Gate<S> {
    fn open(start: &Start, shared: &Group<S>) -> Result<Option<Self>, Box<dyn Error>> {
        if !shared.options.load.loses_disks() {
            return Ok(None);
        }
        let config = S::config(&shared.options, NodeId(1), 0);
        let birth = Birth::new(ClusterId(1), NodeId(start.id.0)).group(GroupId(1), &config);
        let mut rng = Rng::new(start.seed ^ IDENTITY);
        let identity = Identity::load(SimDisk(start.disk.clone()), &birth, || rng.next_u64())?;
        let hello = identity.hello();
        let observer = shared.observer.clone();
        if observer.ledger(|ledger| ledger.looks_honest(&hello)) {
            return Err("the machine was taken away".into());
        }
        observer.ledger(|ledger| ledger.begin(hello));
        Ok(Some(Self {
            identity,
            hello: Rc::new(hello),
            admitted: BTreeMap::new(),
            dials_at: Duration::ZERO,
            observer,
        }))
    }

    /// Greets those that have not met this incarnation.
    fn dial<P>(&mut self, context: &mut Context<Greeted<P>>) {
        if context.now < self.dials_at {
            return;
        }
        self.dials_at = context.now + DIAL_PAUSE;
        let here = (self.hello.node, self.hello.boot);
        for to in self.observer.ledger(|ledger| ledger.strangers(here)) {
            let hello = Some(Rc::clone(&self.hello));
            let packet = None;
            context.send(sim::NodeId(to.0), Greeted { hello, packet });
        }
    }

    fn admits(&mut self, hello: &Rc<Hello>) -> bool {
        let (here, node) = (self.hello.node, hello.node);
        if self.admitted.get(&node) == Some(hello) {
            return true;
        }
        if !self.observer.ledger(|ledger| ledger.confirms(hello)) {
            return false;
        }
        let judged = self.identity.admit(hello);
        if let Err(refused) = judged {
            if matches!(refused, Refused::Stale | Refused::Twin) {
                self.identity.note_rollback(hello);
            }
            self.observer.ledger(|ledger| {
                if ledger.has_lost(node) {
                    ledger.refused.insert((here, node));
                }
            });
            return false;
        }
        // What could not be stored is tried again.
        let stored = self.identity.met().get(&node).map(|met| met.boot);
        if stored == Some(hello.boot) {
            self.admitted.insert(node, Rc::clone(hello));
            self.observer
                .ledger(|ledger| ledger.met.insert((here, node), hello.boot));
        }
        let verdict = self.observer.ledger(|ledger| ledger.admits(here, hello));
        self.observer.judge(verdict);
        true
    }
}

impl<S: Subject> Guard<S> {
    /// Runs a step of the node, and puts the greeting on what it sends.
    fn within<R>(
        sent: &mut Vec<(sim::NodeId, Packet<Core<Group<S>>>)>,
        hello: Option<&Rc<Hello>>,
        context: &mut Context<Greeted<Core<Group<S>>>>,
        step: impl FnOnce(&mut Context<Packet<Core<Group<S>>>>) -> R,
    ) -> R {
        let mut inner = Context::new(context.now);
        inner.wall = context.wall;
        inner.true_now = context.true_now;
        inner.sent = std::mem::take(sent);
        inner.timer = context.timer;
        inner.sync_at = context.sync_at;
        inner.sync_delay = context.sync_delay;
        let done = step(&mut inner);
        context.timer = inner.timer;
        context.sync_at = inner.sync_at;
        for (to, packet) in inner.sent.drain(..) {
            let hello = hello.cloned();
            let packet = Some(packet);
            context.send(to, Greeted { hello, packet });
        }
        *sent = inner.sent;
        done
    }
}

impl<S: Subject> Process for Guard<S> {
    type Message = Greeted<Core<Group<S>>>;
    type Input = SimRequest<Noted>;
    type Shared = Group<S>;

    fn start(
        start: Start,
        shared: &Group<S>,
        context: &mut Context<Self::Message>,
    ) -> io::Result<Self> {
        let gate = Gate::open(&start, shared).map_err(|error| {
            let told = with_causes(&*error);
            shared.observer.eye(NodeId(start.id.0)).refused(&told);
            io::Error::other(told)
        })?;
        let (id, mut sent) = (start.id.0, Vec::new());
        let hello = gate.as_ref().map(|gate| &gate.hello);
        let node = Self::within(&mut sent, hello, context, |context| {
            SimNode::start(start, shared, context)
        })?;
        let timed = shared.options.load.bounded;
        let timed = timed.then(|| shared.observer.clone());
        Ok(Self {
            id,
            node,
            gate,
            timed,
            sent,
        })
    }

    fn handle(
        &mut self,
        event: sim::Event<Self::Message, Self::Input>,
        context: &mut Context<Self::Message>,
    ) -> io::Result<()> {
        if let Some(gate) = &mut self.gate {
            gate.dial(context);
        }
        if let Some(observer) = &self.timed {
            observer.saw(self.id, context.now, context.true_now);
        }
        let event = match event {
            sim::Event::Message { from, message } => {
                if let (Some(gate), Some(hello)) = (&mut self.gate, &message.hello)
                    && !gate.admits(hello)
                {
                    return Ok(());
                }
                let Some(message) = message.packet else {
                    return Ok(());
                };
                sim::Event::Message { from, message }
            }
            sim::Event::Input(input) => sim::Event::Input(input),
            sim::Event::SyncDone => sim::Event::SyncDone,
            _ => sim::Event::Timer,
        };
        let (sent, node) = (&mut self.sent, &mut self.node);
        let hello = self.gate.as_ref().map(|gate| &gate.hello);
        Self::within(sent, hello, context, |context| node.handle(event, context))
    }

    fn leads(&self) -> bool {
        self.node.leads()
    }

    fn rot(disk: &sim::Disk, rng: &mut Rng) -> bool {
        SimNode::<Group<S>>::rot(disk, rng)
    }
}

impl<S: Subject> Portrait for Guard<S> {
    fn view(&self) -> View {
        self.node.view()
    }

    fn caption(message: &Self::Message) -> (String, String) {
        match &message.packet {
            Some(packet) => SimNode::<Group<S>>::caption(packet),
            None => ("Hello".to_owned(), "hello".to_owned()),
        }
    }
}

impl<S: Subject> Deref for Guard<S> {
    type Target = SimNode<Group<S>>;

    fn deref(&self) -> &Self::Target {
        &self.node
    }
}

impl<P> Clone for Greeted<P> {
    fn clone(&self) -> Self {
        Self {
            hello: self.hello.clone(),
            packet: self.packet.clone(),
        }
    }
}

impl<P> Hash for Greeted<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(hello) = &self.hello {
            (hello.boot, hello.nonce).hash(state);
        }
        self.packet.hash(state);
    }
}

impl<P> fmt::Debug for Greeted<P>
where
    Packet<P>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.packet {
            Some(packet) => packet.fmt(f),
            None => f.write_str("hello"),
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        told += &format!(": {cause}");
        next = cause.source();
    }
    told
}

/// How long a transport waits between two attempts to connect.
const DIAL_PAUSE: Duration = ms(50);
const IDENTITY: u64 = 0x6964_656e_7469_7479;
