//! One run: a world in which everything goes wrong, then one in which nothing does, and what must hold of both.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use synod_replica::sim::{Application, SimNode};
use synod_replica::{Members, NodeId};
use synod_sim::{self as sim, Coverage, Ended, FaultKind, Rng, Swarm, Trial, World};
use synod_spanner::ShardId;

use super::cluster::{FOUNDERS, Groups, Options, Subject, group};
use super::customer::Customer;
use super::facts::Facts;
use super::server::{Context, Server};
use crate::bank::SHARDS;
use crate::bank::witness::Counts;

/// What runs on a node: a server where the shards are, clients elsewhere.
#[derive(Debug)]
pub(super) enum Program {
    Server(Box<Server>),
    Customer(Box<Customer>),
}

impl<S: Subject> Application<Groups<S>> for Program {
    fn start(groups: &Groups<S>, seed: u64, context: &mut Context<'_, S>) -> Self {
        let (id, options, facts) = (context.id().0, groups.options, groups.facts.clone());
        if id <= options.servers {
            let server = Server::start(id, options, facts, seed);
            return Self::Server(Box::new(server));
        }
        context.set_timer(Some(context.now()));
        Self::Customer(Box::new(Customer::start(id, options, facts, seed)))
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
        nodes: options(seed).servers + CLIENTS,
        clients: CLIENTS as usize,
        horizon,
        options: Swarm::new(horizon).without(FaultKind::Rot).draw(seed),
    }
}

fn options(seed: u64) -> Options {
    let mut rng = Rng::new(seed ^ OPTIONS);
    let ms = Duration::from_millis;
    Options {
        servers: FOUNDERS + [0, 0, 2][rng.index(3)],
        epsilon_us: [1000, 4000, 24_000][rng.index(3)],
        follows_role: rng.chance(0.5),
        pauses_permille: [0, 5, 20][rng.index(3)],
        hands_over_every: [ms(200), ms(600), ms(5000)][rng.index(3)],
        replaces_every: [ms(150), ms(400)][rng.index(2)],
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
        protocol: PhantomData,
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
    for shard in SHARDS {
        let members = members(&world, shard).unwrap_or_default();
        let highest = members.voters.keys().map(|voter| voter.0).max();
        let replaced = highest.unwrap_or_default().saturating_sub(FOUNDERS);
        ended.coverage.add("members replaced", replaced);
    }
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

/// Nothing is under way, and the replicas of all members are equal.
fn is_over<S: Subject>(world: &Nodes<S>, facts: &Facts) -> bool {
    let is_idle = |id: sim::NodeId| match world.process(id).map(SimNode::application) {
        Some(Program::Server(server)) => server.is_idle(),
        Some(Program::Customer(customer)) => customer.is_idle(),
        None => false,
    };
    let is_settled = |shard: &ShardId| {
        let facts = facts.lock();
        let watched = facts.book.watch.shards[shard].machine.state();
        let (prepared, last) = (watched.prepared().len(), facts.last(*shard));
        let Some(members) = members(world, *shard) else {
            return false;
        };
        let mut all = members.iter().map(|(member, _)| sim::NodeId(member.0));
        let has_all = |id: sim::NodeId| {
            let of = world.process(id).and_then(|node| node.group(group(*shard)));
            of.is_some_and(|of| of.machine().state().applied() == last)
        };
        prepared == 0 && all.all(has_all)
    };
    world.node_ids().into_iter().all(is_idle) && SHARDS.iter().all(is_settled)
}

/// As the leader of the latest epoch knows them.
fn members<S: Subject>(world: &Nodes<S>, shard: ShardId) -> Option<Members> {
    let nodes = world.node_ids().into_iter();
    let groups = nodes.filter_map(|id| world.process(id)?.group(group(shard)));
    let leaders = groups.filter(|of| of.leads());
    let latest = leaders.max_by_key(|of| of.status().core.epoch);
    latest.map(|of| of.members())
}

/// Of a run that does not end.
fn waits<S: Subject>(world: &Nodes<S>) -> String {
    let nodes = world.node_ids().into_iter();
    let nodes = nodes.map(|id: sim::NodeId| {
        let Some(node) = world.process(id) else {
            return format!("{id} is down");
        };
        let groups = node.groups().iter().map(|of| {
            let (status, members) = (of.status(), of.members());
            let voters: Vec<u64> = members.voters.keys().map(|voter| voter.0).collect();
            let role = status.core.role;
            format!(
                "\n  {role} of {voters:?}, applied {}",
                of.machine().state().applied()
            )
        });
        let groups: String = groups.collect();
        match node.application() {
            Program::Server(server) => format!("{id}: {}{groups}", server.waits_for()),
            Program::Customer(customer) => format!("{id}: idle {}", customer.is_idle()),
        }
    });
    nodes.collect::<Vec<_>>().join("\n")
}

impl Counts {
    fn cover(&self, coverage: &mut Coverage) {
        for (what, times) in self.all() {
            coverage.add(what, times);
        }
    }
}

const CLIENTS: u64 = 2;
const CALM: Duration = Duration::from_secs(20);
const OPTIONS: u64 = 0x5bd1_e995_9a3f_1c27;
