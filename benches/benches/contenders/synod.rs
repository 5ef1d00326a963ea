//! Three replicas of a core of ours: a node is given all that there is for it, and then it says all that it has to say,
//! which is the cheapest way to drive it.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use synod_benches::{Bodies, Cell, Driver, Inboxes, Machine};

/// What the two cores have in common here.
pub(super) trait Core: Debug + Sized {
    type Message: Debug;

    /// One of a group of three that knows nothing yet.
    fn new(at: usize, cell: Cell) -> Self;

    /// When it wants to do something without being asked.
    fn wakes_at(&self) -> Option<Duration>;

    /// It is so late for all three: time goes on while a leader is elected, and then stands still.
    fn set_now(&mut self, now: Duration);

    /// Does what it wanted to do by now.
    fn wake(&mut self);

    fn is_leader(&self) -> bool;

    fn propose(&mut self, body: Bytes);

    fn handle_message(&mut self, from: usize, message: Self::Message);

    /// Does all that it wants done: stores, applies to `machine`, and sends. Whether it wanted anything.
    fn drain(&mut self, machine: &mut Machine, send: impl FnMut(usize, Self::Message)) -> bool;

    /// Entries in its log.
    fn stored(&self) -> u64;
}

#[derive(Debug)]
struct Trio<C: Core> {
    nodes: [(C, Machine); 3],
    inboxes: Inboxes<C::Message>,
}

/// Three of them, of which the first leads.
pub(super) fn elected<C: Core + 'static>(cell: Cell) -> Box<dyn Driver> {
    let node = |at| (C::new(at, cell), Machine::default());
    let mut trio = Trio {
        nodes: [0, 1, 2].map(node),
        inboxes: Inboxes::default(),
    };
    for _ in 0..WAKES_MAX {
        if trio.nodes[0].0.is_leader() {
            return Box::new(trio);
        }
        let now = trio.nodes[0].0.wakes_at().unwrap_or_default();
        trio.nodes
            .iter_mut()
            .for_each(|(core, _)| core.set_now(now));
        trio.nodes[0].0.wake();
        trio.settle();
    }
    panic!("the first one does not lead: {:?}", trio.nodes[0]);
}

impl<C: Core> Trio<C> {
    fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for (at, (core, machine)) in self.nodes.iter_mut().enumerate() {
                for (from, message) in self.inboxes.take(at) {
                    core.handle_message(from, message);
                }
                let inboxes = &mut self.inboxes;
                busy |= core.drain(machine, |to, message| inboxes.send(at, to, message));
            }
        }
    }
}

impl<C: Core> Driver for Trio<C> {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        let (leader, _) = &mut self.nodes[0];
        bodies.for_each(|body| leader.propose(Bytes::from(body)));
        self.settle();
    }

    fn given(&self) -> [u64; 3] {
        self.nodes.each_ref().map(|(_, machine)| machine.given())
    }

    fn stored(&self) -> [u64; 3] {
        self.nodes.each_ref().map(|(core, _)| core.stored())
    }
}

/// An election takes a few.
const WAKES_MAX: usize = 100;
