//! One run: a world in which everything goes wrong, then one in which nothing does, and what must hold of both.

use std::time::Duration;

use bytes::Bytes;
use synod_replica::NodeId;
use synod_replica::sim::{Application, SimNode};
use synod_sim::{self as sim, Coverage, Ended, FaultKind, Rng, Swarm, Trial, World};

use super::cluster::{Groups, Options, SERVERS, Subject, group};
use super::customer::Customer;
use super::facts::Facts;
use super::server::{Context, Server};
use crate::bank::SHARDS;

/// What runs on a node: a server where the shards are, clients elsewhere.
#[derive(Debug)]
pub(super) enum Program {
    Server(Box<Server>),
    Customer(Customer),
}

impl<S: Subject> Application<Groups<S>> for Program {
    fn start(groups: &Groups<S>, seed: u64, context: &mut Context<'_, S>) -> Self {
        let (id, options, facts) = (context.id().0, groups.options, groups.facts.clone());
        if id <= SERVERS {
            let server = Server::start(id, options, facts, seed);
            return Self::Server(Box::new(server));
        }
        context.set_timer(Some(context.now()));
        Self::Customer(Customer::start(id, options, facts, seed))
    }

    fn handle_message(&mut self, from: NodeId, message: Bytes, context: &mut Context<'_, S>) {
        match self {
            Self::Server(server) => server.receive(from, &message, context),
            Self::Customer(customer) => customer.receive(from, &message, context),
        }
    }

    fn handle_timeout(&mut self, context: &mut Context<'_, S>) {
        match self {
            Self::Server(server) => server.time_out(context),
            Self::Customer(customer) => customer.time_out(context),
        }
    }

    fn handle_progress(&mut self, context: &mut Context<'_, S>) {
        if let Self::Server(server) = self {
            server.progress(context);
        }
    }
}

type Nodes<S> = World<SimNode<Groups<S>, Program>>;

/// The trial of a seed.
pub(super) fn draw(seed: u64) -> Trial {
    let horizon = Duration::from_millis(2500);
    Trial {
        seed,
        nodes: SERVERS + 2,
        clients: 2,
        horizon,
        options: Swarm::new(horizon).without(FaultKind::Rot).draw(seed),
    }
}

fn options(seed: u64) -> Options {
    let mut rng = Rng::new(seed ^ OPTIONS);
    let ms = Duration::from_millis;
    Options {
        epsilon_us: [1000, 4000, 24_000][rng.index(3)],
        follows_role: rng.chance(0.5),
        pauses_permille: [0, 5, 20][rng.index(3)],
        hands_over_every: [ms(200), ms(600), ms(5000)][rng.index(3)],
        snapshot_log_bytes: [2 << 10, 8 << 10, 1 << 20][rng.index(3)],
        gap: [ms(8), ms(20), ms(40)][rng.index(3)],
    }
}

/// Runs a trial to its end.
///
/// # Panics
/// If anything that must hold does not. The text begins with the rule's name.
pub(super) fn run<S: Subject>(trial: &Trial) -> Ended {
    let facts = Facts::new();
    let groups = Groups::<S> {
        options: options(trial.seed),
        facts: facts.clone(),
        protocol: std::marker::PhantomData,
    };
    let mut world = Nodes::<S>::new(trial.seed, trial.nodes, trial.options.clone(), groups);
    while world.now() < trial.horizon {
        work(&mut world, &facts);
    }
    facts.lock().is_calm = true;
    world.stop_faults();
    let limit = world.now() + CALM;
    while !is_over(&world, &facts) {
        assert!(world.now() < limit, "liveness: {}", waits(&world));
        work(&mut world, &facts);
    }
    let mut ended = Ended::of(&world);
    // The clients of the last nodes write down how far they came.
    drop(world);
    let mut facts = facts.lock();
    facts.book.is_over = true;
    match facts.book.check() {
        Ok(counts) => counts.cover(&mut facts.coverage),
        Err(violation) => panic!("{violation}"),
    }
    ended.coverage.merge(&facts.coverage);
    ended
}

fn work<S: Subject>(world: &mut Nodes<S>, facts: &Facts) {
    let until = world.now() + Duration::from_millis(20);
    world.run_until(until);
    if let Some(found) = &facts.lock().book.watch.found {
        panic!("{found}");
    }
}

/// Nothing is under way, and all replicas are equal.
fn is_over<S: Subject>(world: &Nodes<S>, facts: &Facts) -> bool {
    let facts = facts.lock();
    let is_settled = |id: &synod_spanner::ShardId| {
        let shard = facts.book.watch.shards[id].machine.state();
        shard.prepared().is_empty()
    };
    SHARDS.iter().all(is_settled)
        && world.node_ids().into_iter().all(|id| {
            let Some(node) = world.process(id) else {
                return false;
            };
            let has_all = SHARDS.iter().all(|shard| {
                let of = node.group(group(*shard));
                of.is_none_or(|of| of.machine().state().applied() == facts.last(*shard))
            });
            has_all
                && match node.application() {
                    Program::Server(server) => server.is_idle(),
                    Program::Customer(customer) => customer.is_idle(),
                }
        })
}

/// Of a run that does not end.
fn waits<S: Subject>(world: &Nodes<S>) -> String {
    let nodes = world.node_ids().into_iter();
    let nodes = nodes.map(|id: sim::NodeId| match world.process(id) {
        Some(node) => format!("{id}: {:#?}\n{:#?}", node.application(), node),
        None => format!("{id} is down"),
    });
    nodes.collect::<Vec<_>>().join("\n")
}

impl crate::bank::witness::Counts {
    fn cover(&self, coverage: &mut Coverage) {
        for (what, times) in self.all() {
            coverage.add(what, times);
        }
    }
}

const CALM: Duration = Duration::from_secs(20);
const OPTIONS: u64 = 0x5bd1_e995_9a3f_1c27;
