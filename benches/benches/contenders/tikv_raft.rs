//! raft 0.7.0 of TiKV with its own memory storage and messages of rust-protobuf.
//!
//! `RawNode::propose` takes one entry; a `MsgPropose` may have any number of them, which `RawNode::step` appends and
//! sends as one. Both are measured. Messages may be as large as they get, and with `propose` an append that was not
//! taken yet grows (`batch_append`), which is several times as fast as without.

use std::fmt;

use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use synod_benches::{Bodies, Cell, Driver, Inboxes, Machine};

pub(super) fn start_single(_cell: Cell) -> Box<dyn Driver> {
    start(Way::Propose)
}

pub(super) fn start_batch(_cell: Cell) -> Box<dyn Driver> {
    start(Way::OneMessage)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Propose,
    OneMessage,
}

struct Node {
    core: RawNode<MemStorage>,
    machine: Machine,
    stored: u64,
}

struct Trio {
    nodes: Vec<Node>,
    inboxes: Inboxes<Message>,
    way: Way,
}

impl fmt::Debug for Trio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<_> = self.nodes.iter().map(|it| it.core.status().ss).collect();
        f.debug_struct("Trio").field("states", &states).finish()
    }
}

fn start(way: Way) -> Box<dyn Driver> {
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let node = |id| {
        let config = Config {
            id,
            max_size_per_msg: u64::MAX,
            batch_append: way == Way::Propose,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
        Node {
            core: RawNode::new(&config, storage, &logger).expect("the configuration is valid"),
            machine: Machine::default(),
            stored: 0,
        }
    };
    let mut trio = Trio {
        nodes: [1, 2, 3].map(node).into(),
        inboxes: Inboxes::default(),
        way,
    };
    trio.nodes[0].core.campaign().expect("it may campaign");
    trio.settle();
    assert_eq!(trio.nodes[0].core.raft.state, StateRole::Leader, "{trio:?}");
    Box::new(trio)
}

impl Trio {
    fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for (at, node) in self.nodes.iter_mut().enumerate() {
                for (_, message) in self.inboxes.take(at) {
                    node.core.step(message).expect("nobody sends nonsense");
                }
                let inboxes = &mut self.inboxes;
                busy |= node.drain(|message| inboxes.send(at, message.to as usize - 1, message));
            }
        }
    }
}

impl Node {
    fn drain(&mut self, mut send: impl FnMut(Message)) -> bool {
        if !self.core.has_ready() {
            return false;
        }
        let mut ready = self.core.ready();
        ready.take_messages().into_iter().for_each(&mut send);
        apply(&mut self.machine, &ready.take_committed_entries());
        {
            let mut storage = self.core.store().wl();
            storage
                .append(ready.entries())
                .expect("entries follow each other");
            self.stored += ready.entries().len() as u64;
            if let Some(state) = ready.hs() {
                storage.set_hardstate(state.clone());
            }
        }
        ready
            .take_persisted_messages()
            .into_iter()
            .for_each(&mut send);
        let mut rest = self.core.advance(ready);
        if let Some(commit) = rest.commit_index() {
            self.core.store().wl().mut_hard_state().commit = commit;
        }
        rest.take_messages().into_iter().for_each(&mut send);
        apply(&mut self.machine, &rest.take_committed_entries());
        self.core.advance_apply();
        true
    }
}

fn apply(machine: &mut Machine, entries: &[Entry]) {
    // A new leader's first entry is empty.
    let commands = entries.iter().filter(|entry| !entry.data.is_empty());
    commands.for_each(|entry| machine.apply(&entry.data));
}

impl Driver for Trio {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        let leader = &mut self.nodes[0].core;
        match self.way {
            Way::Propose => bodies.for_each(|body| {
                leader.propose(Vec::new(), body).expect("it leads");
            }),
            Way::OneMessage => {
                let entry = |body| Entry {
                    data: Bytes::from(body),
                    ..Entry::default()
                };
                let mut message = Message::default();
                message.set_msg_type(MessageType::MsgPropose);
                message.from = 1;
                message.entries = bodies.map(entry).collect::<Vec<_>>().into();
                leader.step(message).expect("it leads");
            }
        }
        self.settle();
    }

    fn given(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.nodes[at].machine.given())
    }

    fn stored(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.nodes[at].stored)
    }
}
