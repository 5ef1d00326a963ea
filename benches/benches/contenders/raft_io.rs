//! raft-io 1.0.0 with its own memory log.
//!
//! It sends each proposal at once and in a message of its own, so there is no way to batch. Either all are proposed and
//! then messages are exchanged in turns; or each is taken to its end before the next one is proposed, which spares the
//! leader the search for what is committed among all that is not. Both are measured. A follower learns what is
//! committed with the next entry or heartbeat, so each batch ends with a heartbeat.

use std::fmt;

use raft_io::{Action, Event, Message, RaftConfig, RaftLog, RaftNode};
use synod_benches::{Bodies, Cell, Driver, Inboxes, Machine};

pub(super) fn start_one_by_one(_cell: Cell) -> Box<dyn Driver> {
    start(Way::OneByOne)
}

pub(super) fn start_turns(_cell: Cell) -> Box<dyn Driver> {
    start(Way::Turns)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    OneByOne,
    Turns,
}

struct Node {
    core: RaftNode,
    machine: Machine,
}

struct Trio {
    nodes: Vec<Node>,
    inboxes: Inboxes<Message>,
    way: Way,
}

impl fmt::Debug for Trio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.nodes.iter().map(|it| it.core.role()).collect();
        f.debug_struct("Trio").field("roles", &roles).finish()
    }
}

fn start(way: Way) -> Box<dyn Driver> {
    let node = |id| {
        let config = RaftConfig::new(id, [1, 2, 3]);
        let config = config
            .with_heartbeat_interval(1)
            .with_max_batch(usize::MAX >> 1);
        Node {
            core: RaftNode::new(config),
            machine: Machine::default(),
        }
    };
    let mut trio = Trio {
        nodes: [1, 2, 3].map(node).into(),
        inboxes: Inboxes::default(),
        way,
    };
    for _ in 0..TICKS_MAX {
        if trio.nodes[0].core.is_leader() {
            return Box::new(trio);
        }
        trio.step(0, Event::Tick);
        trio.settle();
    }
    panic!("the first one does not lead: {trio:?}");
}

impl Trio {
    fn step(&mut self, at: usize, event: Event) {
        let node = &mut self.nodes[at];
        for action in node
            .core
            .step(event)
            .expect("it leads, and memory does not fail")
        {
            match action {
                Action::Send { to, message } => self.inboxes.send(at, to as usize - 1, message),
                Action::Apply { command, .. } => node.machine.apply(&command),
                action => unreachable!("nobody reads, reconfigures or snapshots here: {action:?}"),
            }
        }
    }

    fn settle(&mut self) {
        let mut taken = Vec::new();
        while !self.inboxes.are_empty() {
            for at in 0..self.nodes.len() {
                taken.extend(self.inboxes.take(at));
                for (_, message) in taken.drain(..) {
                    self.step(at, Event::Message(message));
                }
            }
        }
    }
}

impl Driver for Trio {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        for body in bodies {
            self.step(0, Event::Propose(body));
            if self.way == Way::OneByOne {
                self.settle();
            }
        }
        self.settle();
        self.step(0, Event::Tick);
        self.settle();
    }

    fn given(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.nodes[at].machine.given())
    }

    fn stored(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.nodes[at].core.log().last_index())
    }
}

/// An election takes a few.
const TICKS_MAX: usize = 100;
