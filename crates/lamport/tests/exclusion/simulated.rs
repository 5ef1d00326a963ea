//! The three conditions of the paper, in many random worlds.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_lamport::{LamportTime, Stamp};
use synod_sim::{Context, Event, NodeId, Process, Rng, Start, World, WorldOptions};

use crate::exclusion::{Message, MutualExclusion, Output, Peer};

/// What is seen of all processes together.
#[derive(Debug, Default)]
struct Ledger {
    /// Who holds the resource.
    holder: Option<Stamp<u64>>,
    /// Everybody who has had it, in the order of real time.
    entered: Vec<Stamp<u64>>,
    requested: usize,
    withdrawn: usize,
}

struct Config {
    nodes: u64,
    ledger: RefCell<Ledger>,
}

/// A process that asks for the resource again and again, keeps it for a while, and gives it back.
struct Worker {
    exclusion: MutualExclusion<u64, Vec<Peer<u64>>>,
    rng: Rng,
    shared: Rc<Config>,
    /// When it has had the resource long enough.
    release_at: Option<Duration>,
    /// When it is tired of waiting for messages.
    ask_again_at: Option<Duration>,
    /// Requests it has yet to make.
    wanted: u32,
}

enum Order {
    Request,
    /// Stop waiting, if it does.
    Withdraw,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Withdraw => "withdraw",
        })
    }
}

impl Process for Worker {
    type Message = Message;
    type Input = Order;
    type Shared = Rc<Config>;

    fn start(start: Start, shared: &Rc<Config>, _: &mut Context<Message>) -> io::Result<Self> {
        let id = start.id.0;
        let others = (1..=shared.nodes).filter(|other| *other != id);
        let peers = others.map(Peer::new).collect();
        Ok(Self {
            exclusion: MutualExclusion::new(id, peers, LamportTime::ZERO)
                .map_err(io::Error::other)?,
            rng: Rng::new(start.seed),
            shared: Rc::clone(shared),
            release_at: None,
            ask_again_at: None,
            wanted: 0,
        })
    }

    fn handle(
        &mut self,
        event: Event<Message, Order>,
        context: &mut Context<Message>,
    ) -> io::Result<()> {
        match event {
            Event::Message { from, message } => self.exclusion.handle_message(from.0, message),
            Event::Input(Order::Request) => self.wanted += 1,
            Event::Input(Order::Withdraw) => self.withdraw(),
            Event::Timer => self.on_time(context.now),
            _ => {}
        }
        if self.wanted > 0 && self.exclusion.request().is_ok() {
            self.wanted -= 1;
            self.shared.ledger.borrow_mut().requested += 1;
            self.ask_again_at = Some(context.now + PATIENCE);
        }
        while let Some(output) = self.exclusion.poll_output() {
            match output {
                Output::Send { to, message } => context.send(NodeId(to), message),
                Output::Entered(stamp) => self.enter(stamp, context.now),
            }
        }
        context.timer = self.release_at.into_iter().chain(self.ask_again_at).min();
        Ok(())
    }
}

impl Worker {
    fn enter(&mut self, stamp: Stamp<u64>, now: Duration) {
        let mut ledger = self.shared.ledger.borrow_mut();
        let holder = ledger.holder.replace(stamp);
        assert_eq!(holder, None, "condition I: {stamp} enters beside");
        if let Some(last) = ledger.entered.last() {
            assert!(*last < stamp, "condition II: {stamp} after {last}");
        }
        ledger.entered.push(stamp);
        self.release_at = Some(now + self.rng.exponential(Duration::from_millis(3)));
        self.ask_again_at = None;
    }

    fn on_time(&mut self, now: Duration) {
        if self.release_at.is_some_and(|at| at <= now) {
            self.release_at = None;
            let held = self.shared.ledger.borrow_mut().holder.take();
            assert_eq!(held, self.exclusion.holds(), "nobody took it away");
            assert!(self.exclusion.release().is_ok());
        }
        if self.ask_again_at.is_some_and(|at| at <= now) {
            self.exclusion.handle_timeout();
            self.ask_again_at = Some(now + PATIENCE);
        }
    }

    fn withdraw(&mut self) {
        if self.exclusion.holds().is_none() && self.exclusion.release().is_ok() {
            self.ask_again_at = None;
            self.shared.ledger.borrow_mut().withdrawn += 1;
        }
    }
}

fn storm(rng: &mut Rng) -> WorldOptions {
    let mut options = WorldOptions::default();
    options.loss = 0.3 * rng.fraction();
    options.duplication = 0.3 * rng.fraction();
    options.partition_every = rng.chance(0.5).then_some(Duration::from_millis(300));
    options.partition_lasts = Duration::from_millis(100);
    options
}

#[test]
fn conditions_one_to_three_over_a_network_that_loses_repeats_and_reorders() {
    let (mut entered, mut withdrawn, mut lost, mut duplicated) = (0, 0, 0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let nodes = 2 + rng.below(4);
        let shared = Rc::new(Config {
            nodes,
            ledger: RefCell::default(),
        });
        let options = storm(&mut rng);
        let mut world = World::<Worker>::new(seed, nodes, options, Rc::clone(&shared));
        for _ in 0..60 {
            let node = NodeId(1 + rng.below(nodes));
            let at = Duration::from_millis(rng.below(2_000));
            let order = match rng.chance(0.1) {
                true => Order::Withdraw,
                false => Order::Request,
            };
            world.inject_at(at, node, order);
        }
        world.run_until(Duration::from_secs(2));
        world.stop_faults();
        // Condition III: every request is granted, unless it was withdrawn.
        let orders = |world: &World<Worker>| {
            let waits = |id| world.process(id).is_none_or(|worker| worker.wanted > 0);
            let ledger = shared.ledger.borrow();
            world.node_ids().into_iter().any(waits)
                || ledger.entered.len() + ledger.withdrawn < ledger.requested
        };
        let limit = Duration::from_secs(12);
        assert!(world.run_while(limit, orders), "condition III\n{world}");
        let ledger = shared.ledger.borrow();
        entered += ledger.entered.len();
        withdrawn += ledger.withdrawn;
        lost += world.stats().lost + world.stats().cut;
        duplicated += world.stats().duplicated;
    }
    // What the worlds have been through.
    assert!(entered > 2_500, "{entered} entered");
    assert!(withdrawn > 20, "{withdrawn} withdrawn");
    assert!(
        lost > 1_000 && duplicated > 1_000,
        "{lost} lost, {duplicated} duplicated"
    );
}

/// How long a process waits before it takes messages for lost.
const PATIENCE: Duration = Duration::from_millis(20);
