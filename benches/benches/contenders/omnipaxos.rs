//! omnipaxos 0.2.4 with its own memory storage.
//!
//! A message of it has all entries that were appended since the last one was taken, so taking messages once after all
//! appends is one way to batch, and `batch_size` is another: the leader then handles so many entries at a time, and
//! its followers likewise. Both are measured, and entries are `Bytes`, which it clones more cheaply than vectors.

use std::fmt;

use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;
use synod_benches::{Bodies, Cell, Driver, Inboxes, Machine};

pub(super) fn start_single(_cell: Cell) -> Box<dyn Driver> {
    start(1)
}

pub(super) fn start_batch_64(_cell: Cell) -> Box<dyn Driver> {
    start(64)
}

pub(super) fn start_batch_all(cell: Cell) -> Box<dyn Driver> {
    start(cell.in_flight as usize)
}

#[derive(Clone, Debug)]
struct Command(Bytes);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

struct Node {
    core: OmniPaxos<Command, MemoryStorage<Command>>,
    machine: Machine,
    /// Of the log, so much went to the machine.
    applied: usize,
}

struct Trio {
    nodes: Vec<Node>,
    inboxes: Inboxes<Message<Command>>,
    outgoing: Vec<Message<Command>>,
}

impl fmt::Debug for Trio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decided: Vec<_> = self
            .nodes
            .iter()
            .map(|it| it.core.get_decided_idx())
            .collect();
        f.debug_struct("Trio").field("decided", &decided).finish()
    }
}

fn start(batch_size: usize) -> Box<dyn Driver> {
    let node = |pid| {
        let config = OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: 1,
                nodes: vec![1, 2, 3],
                ..ClusterConfig::default()
            },
            server_config: ServerConfig {
                pid,
                batch_size,
                flush_batch_tick_timeout: 1,
                leader_priority: u32::from(pid == 1),
                ..ServerConfig::default()
            },
        };
        Node {
            core: config
                .build(MemoryStorage::default())
                .expect("the configuration is valid"),
            machine: Machine::default(),
            applied: 0,
        }
    };
    let mut trio = Trio {
        nodes: [1, 2, 3].map(node).into(),
        inboxes: Inboxes::default(),
        outgoing: Vec::new(),
    };
    for _ in 0..TICKS_MAX {
        if trio
            .nodes
            .iter()
            .all(|it| it.core.get_current_leader() == Some((1, true)))
        {
            return Box::new(trio);
        }
        trio.nodes.iter_mut().for_each(|it| it.core.tick());
        trio.settle();
    }
    panic!("the first one does not lead: {trio:?}");
}

impl Trio {
    fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for (at, node) in self.nodes.iter_mut().enumerate() {
                for (_, message) in self.inboxes.take(at) {
                    node.core.handle_incoming(message);
                }
                node.apply();
                node.core.take_outgoing_messages(&mut self.outgoing);
                for message in self.outgoing.drain(..) {
                    busy = true;
                    let to = message.get_receiver() as usize - 1;
                    self.inboxes.send(at, to, message);
                }
            }
        }
    }
}

impl Node {
    fn apply(&mut self) {
        if self.core.get_decided_idx() == self.applied {
            return;
        }
        let decided = self
            .core
            .read_decided_suffix(self.applied)
            .unwrap_or_default();
        self.applied += decided.len();
        for entry in &decided {
            match entry {
                LogEntry::Decided(Command(body)) => self.machine.apply(body),
                _ => unreachable!("nobody trims, snapshots or reconfigures here: {entry:?}"),
            }
        }
    }
}

impl Driver for Trio {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        for body in bodies {
            let refused = self.nodes[0].core.append(Command(Bytes::from(body)));
            assert!(refused.is_ok(), "nobody reconfigures: {refused:?}");
        }
        self.settle();
        // What does not fill a batch waits for a tick, on the leader and then on its followers.
        while let Some(node) = self
            .nodes
            .iter_mut()
            .find(|it| it.core.get_batched_len() > 0)
        {
            node.core.tick();
            self.settle();
        }
    }

    fn given(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.nodes[at].machine.given())
    }

    fn stored(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.nodes[at].core.get_accepted_idx() as u64)
    }
}

/// An election takes a few.
const TICKS_MAX: usize = 100;
