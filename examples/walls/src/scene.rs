//! A simulated cluster with clients in front of it, and a record of what they saw.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use synod_sim::page::{Portrait, Recorder};
use synod_sim::{
    ClientId, History, Kv, KvInput, KvOutput, NodeId, OpId, Operation, Outcome, Process, Value,
    Verdict, World, WorldOptions, check,
};
use synod_vclock::VersionVector;

use crate::raft_service::Stable;

/// What a client asks of a node.
#[derive(Clone)]
pub struct Ask {
    /// Its name in the history.
    pub op: OpId,
    /// The request.
    pub input: KvInput,
    /// What is to happen in the same command. Of the stores here one can do that,
    /// [`RaftService`](crate::raft_service::RaftService).
    pub with: Option<KvInput>,
    /// What the client has read before: stores that keep siblings want to know.
    pub context: VersionVector<u64>,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {:?}", self.op.0, self.input)?;
        match &self.with {
            Some(with) => write!(f, " and {with:?}"),
            None => Ok(()),
        }
    }
}

/// What all nodes of a cluster know, and what outlives them.
#[derive(Debug)]
pub struct Board {
    /// How many nodes.
    pub nodes: u64,
    /// For what the nodes draw.
    pub seed: u64,
    /// What clients saw.
    pub history: RefCell<History<KvInput, KvOutput>>,
    /// What the reader of an answer knows, where the store tells.
    pub contexts: RefCell<BTreeMap<OpId, VersionVector<u64>>>,
    /// What an administrator has told a node, where it is not what all were told.
    pub told: RefCell<BTreeMap<NodeId, Founding>>,
    /// A node that was founded on something else than it is told now does not start, and nodes that
    /// were founded on different things do not listen to each other.
    pub heeds_founding: Cell<bool>,
    /// The disks of Raft's nodes.
    pub(crate) stable: RefCell<BTreeMap<NodeId, Stable>>,
}

/// What a group is founded on: all of its nodes must mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Of the format of commands. The second has one more: compare and swap.
    pub version: u8,
}

impl Founding {
    /// What nodes compare before they listen to each other: FNV-1a of all that it says.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let voters = self.voters.iter().flat_map(|voter| voter.0.to_le_bytes());
        let bytes = voters.chain([self.version]);
        bytes.fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// A store whose nodes can be asked, and looked at.
pub trait Store: Portrait<Input = Ask, Shared = Rc<Board>> {}

impl<P: Portrait<Input = Ask, Shared = Rc<Board>>> Store for P {}

/// A cluster, and clients who ask one thing at a time.
#[derive(Debug)]
pub struct Scene<P: Process> {
    /// The cluster.
    pub world: World<P>,
    /// What all see.
    pub board: Rc<Board>,
    recorder: Option<Recorder>,
}

impl Board {
    /// What this node was told.
    pub(crate) fn founding(&self, node: NodeId) -> Founding {
        let told = self.told.borrow().get(&node).cloned();
        told.unwrap_or_else(|| Founding {
            voters: (1..=self.nodes).map(NodeId).collect(),
            version: 2,
        })
    }

    /// Notes an answer. One that comes again, or too late, is nobody's.
    pub(crate) fn answer(&self, op: OpId, at: Duration, output: KvOutput) {
        let _already_closed = self.history.borrow_mut().returned(op, at, output);
    }
}

impl<P: Store> Scene<P> {
    /// Nodes that have just been started.
    #[must_use]
    pub fn new(seed: u64, nodes: u64, options: WorldOptions) -> Self {
        Self::recorded(seed, nodes, options, None)
    }

    /// The same, for a page: what clients saw is given to the recorder when this ends.
    #[must_use]
    pub fn recorded(
        seed: u64,
        nodes: u64,
        options: WorldOptions,
        recorder: Option<&Recorder>,
    ) -> Self {
        let board = Rc::new(Board {
            nodes,
            seed,
            history: RefCell::new(History::new()),
            contexts: RefCell::default(),
            told: RefCell::default(),
            heeds_founding: Cell::new(true),
            stable: RefCell::default(),
        });
        let shared = Rc::clone(&board);
        Self {
            world: match recorder {
                Some(recorder) => World::recorded(seed, nodes, options, shared, recorder),
                None => World::new(seed, nodes, options, shared),
            },
            board,
            recorder: recorder.cloned(),
        }
    }

    /// From here on a page has seen enough: what clients saw is given to the recorder now.
    pub fn end_page(&mut self) {
        self.give_history();
        self.recorder = None;
        self.world.stop_recording();
    }

    /// Asks a node, now.
    ///
    /// # Panics
    /// If the client waits for something else.
    pub fn ask(&mut self, client: ClientId, node: NodeId, input: KvInput) -> OpId {
        self.ask_knowing(client, node, input, VersionVector::new())
    }

    /// Asks a node for two changes in one command. The history has only the first.
    ///
    /// # Panics
    /// If the client waits for something else.
    pub fn ask_both(&mut self, client: ClientId, node: NodeId, inputs: [KvInput; 2]) -> OpId {
        let [input, with] = inputs;
        self.call(client, node, input, Some(with), VersionVector::new())
    }

    /// Asks a node, as a client who has read something before.
    ///
    /// # Panics
    /// If the client waits for something else.
    pub fn ask_knowing(
        &mut self,
        client: ClientId,
        node: NodeId,
        input: KvInput,
        context: VersionVector<u64>,
    ) -> OpId {
        self.call(client, node, input, None, context)
    }

    fn call(
        &mut self,
        client: ClientId,
        node: NodeId,
        input: KvInput,
        with: Option<KvInput>,
        context: VersionVector<u64>,
    ) -> OpId {
        let now = self.world.now();
        let mut history = self.board.history.borrow_mut();
        let called = history.call(client, now, input.clone());
        let op = called.expect("a client asks one thing at a time");
        let ask = Ask {
            op,
            input,
            with,
            context,
        };
        self.world.inject(node, ask);
        op
    }

    /// Asks another node the same, under the same name.
    pub fn ask_again(&mut self, op: OpId, node: NodeId, input: KvInput) {
        let context = VersionVector::new();
        let ask = Ask {
            op,
            input,
            with: None,
            context,
        };
        self.world.inject(node, ask);
    }

    /// The answer and when it came, if it did.
    #[must_use]
    pub fn answer(&self, op: OpId) -> Option<(Duration, KvOutput)> {
        let history = self.board.history.borrow();
        let operation = history.operations().get(usize::try_from(op.0).ok()?)?;
        match &operation.outcome {
            Outcome::Returned { at, output } => Some((at.at, output.clone())),
            _ => None,
        }
    }

    /// Lets time pass until the answer is there, or the limit. Tells how long it took.
    pub fn wait(&mut self, op: OpId, limit: Duration) -> Option<Duration> {
        let began = self.world.now();
        let board = Rc::clone(&self.board);
        let is_open = |_: &World<P>| {
            let history = board.history.borrow();
            let operation = usize::try_from(op.0).map(|at| &history.operations()[at]);
            operation.is_ok_and(|it| !matches!(it.outcome, Outcome::Returned { .. }))
        };
        let answered = self.world.run_while(began + limit, is_open);
        answered.then(|| self.world.now() - began)
    }

    /// Nothing comes from one side to the other any more, also what is under way.
    pub fn cut(&mut self, side: &[NodeId]) {
        for from in self.world.node_ids() {
            for to in self.world.node_ids() {
                if side.contains(&from) != side.contains(&to) {
                    self.world.cut(from, to);
                }
            }
        }
    }

    /// Whether what clients saw is what one machine could have answered.
    ///
    /// If not, a page has the answer marked for which there was no place.
    pub fn verdict(&self) -> Verdict<synod_sim::KeyName, KvInput, KvOutput> {
        let verdict = check(Kv, &self.board.history.borrow());
        if let (Some(recorder), Verdict::Violation(violation)) = (&self.recorder, &verdict) {
            let mut shown = violation.window.iter();
            let wrong = shown.find(|operation| operation.id == violation.operation);
            if let Some(Operation {
                client,
                input,
                outcome: Outcome::Returned { at, output },
                ..
            }) = wrong
            {
                let text = format!(
                    "not linearizable: no single machine could have answered {client}'s {input:?} \
                     with {output:?}"
                );
                recorder.violation_at(at.at, &text);
            }
        }
        verdict
    }
}

impl<P: Process> Drop for Scene<P> {
    fn drop(&mut self) {
        self.give_history();
    }
}

impl<P: Process> Scene<P> {
    fn give_history(&self) {
        if let Some(recorder) = &self.recorder {
            let history = self.board.history.borrow();
            recorder.history(
                &history,
                |input| format!("{input:?}"),
                |output| format!("{output:?}"),
            );
        }
    }
}

/// On a page, if there is one, another run begins.
pub(crate) fn begin_run(recorder: Option<&Recorder>, title: &str) {
    if let Some(recorder) = recorder {
        recorder.begin_run(title);
    }
}

/// What a page shows of a map.
pub(crate) fn map_text(map: &BTreeMap<Box<[u8]>, Option<Value>>) -> String {
    let held = map.iter().filter_map(|(key, value)| {
        let key = key.escape_ascii();
        value.as_ref().map(|value| format!("{key} = {value:?}"))
    });
    held.collect::<Vec<_>>().join(", ")
}
