//! How long a group is without a leader when links fail, and whether it ever gets one:
//! `cargo run --release -p synod-replica --example partial_connectivity`
//!
//! Whole nodes in virtual time. Each topology has its own seeds; both protocols have the same
//! timeouts and run in the same networks. A group counts as recovered when a write that was
//! requested after the failure is answered, by any node. The topologies are those of *Omni-Paxos:
//! Breaking the Barriers of Partial Connectivity* (Ng, Haridi, Carbone, EuroSys 2023) and the
//! bridge of openraft's issue 2080:
//!
//! ```text
//!  failover      quorum-loss     constrained      chained        bridge
//!   ×  leader     L   B           ×  leader                       L ─── V
//!  B ─── C         ╲ ╱           B     D          L ─ B ─ C           ╱ │ ╲
//!  │  ╳  │          C             ╲   ╱                              B ─ D ─ E
//!  D ─── E         ╱ ╲              C  stale
//!                 D   E             │
//!                                   E
//! ```

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use synod_replica::embed::{EngineConfig, Instant, Ticket};
use synod_replica::sim::{Cluster, SimNode, SimRequest};
use synod_replica::{Applying, Bytes, Configured, Epoch, Failure, NodeId, Role, StateMachine};
use synod_sim::{self as sim, Crash, Rng, World, WorldOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds = match std::env::args().nth(1) {
        Some(seeds) => seeds.parse()?,
        None => SEEDS,
    };
    println!(
        "Milliseconds without a leader, {seeds} seeds a row; election timeouts {} to {} ms, heartbeats {} ms. \
         \"Never\": not within {} s.\n",
        ELECTION_MIN.as_millis(),
        ELECTION_MAX.as_millis(),
        HEARTBEAT.as_millis(),
        NEVER.as_secs(),
    );
    println!("| topology | protocol | median | p99 | max | never | new leaders, at most |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for topology in Topology::ALL {
        #[cfg(feature = "raft")]
        row::<contenders::Raft>(topology, seeds);
        #[cfg(feature = "paxos")]
        row::<contenders::Paxos>(topology, seeds);
    }
    Ok(())
}

/// A protocol, with the configuration of its groups.
trait Contender: Sized + 'static {
    type Config: Configured;
    const NAME: &'static str;

    fn config(node: NodeId, nodes: u64, seed: u64) -> Self::Config;
}

mod contenders {
    use super::{Contender, ELECTION_MAX, ELECTION_MIN, HEARTBEAT, NodeId};

    #[cfg(feature = "raft")]
    pub(super) struct Raft;

    #[cfg(feature = "raft")]
    impl Contender for Raft {
        type Config = synod_replica::raft::Config;
        const NAME: &'static str = "raft";

        fn config(node: NodeId, nodes: u64, seed: u64) -> Self::Config {
            use synod_replica::raft;

            let voters = (1..=nodes).map(raft::NodeId);
            let mut config = raft::Config::new(raft::NodeId(node.0), voters);
            config.seed = seed;
            config.election_timeout_min = ELECTION_MIN;
            config.election_timeout_max = ELECTION_MAX;
            config.heartbeat_interval = HEARTBEAT;
            config
        }
    }

    #[cfg(feature = "paxos")]
    pub(super) struct Paxos;

    #[cfg(feature = "paxos")]
    impl Contender for Paxos {
        type Config = synod_replica::paxos::Config;
        const NAME: &'static str = "paxos";

        fn config(node: NodeId, nodes: u64, seed: u64) -> Self::Config {
            use synod_replica::paxos::{self, Quorums};

            let quorums = Quorums::majority((1..=nodes).map(paxos::NodeId));
            let quorums = quorums.expect("a few nodes have majorities");
            let mut config = paxos::Config::new(paxos::NodeId(node.0), quorums);
            config.seed = seed;
            config.election_timeout_min = ELECTION_MIN;
            config.election_timeout_max = ELECTION_MAX;
            config.heartbeat_interval = HEARTBEAT;
            config
        }
    }
}

/// The failure: which links are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology {
    /// The leader dies, and nothing else fails.
    Failover,
    /// All nodes are connected to the hub only; the leader was not the hub, and lives.
    QuorumLoss,
    /// The same, but the hub lacks the last decided entries, and the leader is gone.
    Constrained,
    /// Three nodes: the leader and one other are not connected to each other, and both are to the
    /// third.
    Chained,
    /// The leader is connected to one node only, which is connected to all others too.
    Bridge,
}

impl Topology {
    const ALL: [Self; 5] = [
        Self::Failover,
        Self::QuorumLoss,
        Self::Constrained,
        Self::Chained,
        Self::Bridge,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::QuorumLoss => "quorum-loss",
            Self::Constrained => "constrained",
            Self::Chained => "chained",
            Self::Bridge => "bridge",
        }
    }

    fn nodes(self) -> u64 {
        match self {
            Self::Chained => 3,
            _ => 5,
        }
    }
}

/// The result of one trial.
struct Ended {
    /// `None`: it had no leader to the end.
    leaderless: Option<Duration>,
    /// New leaders since the failure.
    changes: usize,
}

fn row<C: Contender>(topology: Topology, seeds: u64) {
    // Each seed is an independent world, so threads may share them in any way.
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let share = move |first| (first..seeds).step_by(threads as usize);
    let all: Vec<Ended> = std::thread::scope(|scope| {
        let run = |seed| Trial::<C>::new(seed, topology).run();
        let running: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || share(first).map(run).collect::<Vec<_>>()))
            .collect();
        let ended = running.into_iter().map(|thread| thread.join());
        ended
            .flat_map(|ended| ended.expect("a trial ends"))
            .collect()
    });
    let mut times: Vec<Duration> = all.iter().filter_map(|ended| ended.leaderless).collect();
    let changes_max = all.iter().map(|ended| ended.changes).max().unwrap_or(0);
    let never = all.len() - times.len();
    times.sort_unstable();
    // A group that never recovers is slower than all others.
    let at = |share: f64| {
        let place = ((seeds as f64 * share).ceil() as usize).max(1) - 1;
        let time = times.get(place).map(|time| time.as_millis().to_string());
        time.unwrap_or_else(|| "never".into())
    };
    println!(
        "| {} | {} | {} | {} | {} | {never} | {changes_max} |",
        topology.name(),
        C::NAME,
        at(0.5),
        at(0.99),
        at(1.0),
    );
}

/// One group, and the client of its nodes.
struct Trial<C: Contender> {
    world: World<SimNode<Group<C>>>,
    topology: Topology,
    rng: Rng,
    ends: Ends,
    /// Raised when earlier requests shall no longer count.
    round: u64,
    /// The epochs that had a leader.
    epochs: BTreeSet<Epoch>,
}

impl<C: Contender> Trial<C> {
    fn new(seed: u64, topology: Topology) -> Self {
        let group = Group {
            nodes: topology.nodes(),
            contender: PhantomData,
        };
        Self {
            world: World::new(seed, topology.nodes(), WorldOptions::default(), group),
            topology,
            rng: Rng::new(seed),
            ends: Ends::default(),
            round: 0,
            epochs: BTreeSet::new(),
        }
    }

    fn run(mut self) -> Ended {
        let led = self.until_answered(&BTreeSet::new());
        assert!(led.is_some(), "a whole network has no leader");
        // The failure strikes at any time between two heartbeats.
        let phase = HEARTBEAT.mul_f64(self.rng.fraction());
        self.world
            .run_until(self.world.now() + Duration::from_millis(500) + phase);
        let (epoch, leader) = self.leaders().max().expect("somebody leads");
        let outside = self.fail(leader);
        let leaderless = self.until_answered(&outside);
        self.watch();
        let still = leaderless.and_then(|_| self.until_answered(&outside));
        Ended {
            leaderless: still.and(leaderless),
            changes: self
                .epochs
                .range((Bound::Excluded(epoch), Bound::Unbounded))
                .count(),
        }
    }

    /// Cuts the links according to the topology. Returns the nodes that get no more requests.
    fn fail(&mut self, leader: u64) -> BTreeSet<u64> {
        let ids = 1..=self.topology.nodes();
        let others: Vec<u64> = ids.filter(|id| *id != leader).collect();
        let other = others[self.rng.index(others.len())];
        let is_between = move |a, b| (a, b) == (leader, other) || (b, a) == (leader, other);
        match self.topology {
            Topology::Failover => self.world.crash(sim::NodeId(leader), Crash::Kill),
            Topology::QuorumLoss => self.leave(|a, b| a == other || b == other),
            Topology::Constrained => {
                self.leave(|a, b| !is_between(a, b));
                self.miss(other);
                self.leave(|a, b| (a == other || b == other) && a != leader && b != leader);
            }
            Topology::Chained => self.leave(|a, b| !is_between(a, b)),
            Topology::Bridge => {
                self.leave(|a, b| is_between(a, b) || (a != leader && b != leader));
            }
        }
        match self.topology {
            Topology::Failover | Topology::Constrained => BTreeSet::from([leader]),
            _ => BTreeSet::new(),
        }
    }

    /// The other nodes write entries that this node does not receive.
    fn miss(&mut self, node: u64) {
        let applied = |trial: &Self| {
            let process = trial.world.process(sim::NodeId(node));
            process.map_or(0, SimNode::applied)
        };
        let before = applied(self);
        for _ in 0..ENTRIES_MISSED {
            let answered = self.until_answered(&BTreeSet::from([node]));
            assert!(answered.is_some(), "one link less stops a group");
        }
        assert_eq!(before, applied(self), "node {node} was to miss something");
    }

    /// Cuts every link but these.
    fn leave(&mut self, is_left: impl Fn(u64, u64) -> bool) {
        for a in self.world.node_ids() {
            for b in self.world.node_ids() {
                if a != b && !is_left(a.0, b.0) {
                    self.world.cut(a, b);
                }
            }
        }
    }

    /// Requests a write from each node except those outside, and again when it fails. Returns how
    /// long it takes until one is answered.
    fn until_answered(&mut self, outside: &BTreeSet<u64>) -> Option<Duration> {
        self.round += 1;
        let begun = self.world.now();
        let ids = 1..=self.topology.nodes();
        ids.filter(|id| !outside.contains(id))
            .for_each(|node| self.ask(node));
        while self.world.now() < begun + NEVER {
            self.world.step()?;
            self.note_leaders();
            let ends = std::mem::take(&mut *lock(&self.ends));
            for end in ends {
                if end.round != self.round {
                    continue;
                }
                if end.answered {
                    return Some(self.world.now() - begun);
                }
                self.ask(end.node);
            }
        }
        None
    }

    fn ask(&mut self, node: u64) {
        let ticket = Asked {
            node,
            round: self.round,
            ends: self.ends.clone(),
        };
        let write = SimRequest::Propose {
            command: vec![1].into(),
            timeout: TIMEOUT,
            ticket,
        };
        // Not at once: a request that is refused immediately would be repeated for ever.
        let at = self.world.now() + Duration::from_millis(1);
        self.world.inject_at(at, sim::NodeId(node), write);
    }

    /// The nodes that lead, or believe so.
    fn leaders(&self) -> impl Iterator<Item = (Epoch, u64)> {
        let ids = self.world.node_ids().into_iter();
        ids.filter_map(|id| {
            let core = self.world.process(id)?.status().core;
            (core.role == Role::Leader).then_some((core.epoch, id.0))
        })
    }

    fn note_leaders(&mut self) {
        let epochs: Vec<Epoch> = self.leaders().map(|(epoch, _)| epoch).collect();
        self.epochs.extend(epochs);
    }

    /// Counts leader changes while the group is led.
    fn watch(&mut self) {
        let until = self.world.now() + AFTERWARDS;
        while self.world.now() < until {
            self.world
                .run_until(self.world.now() + Duration::from_millis(1));
            self.note_leaders();
        }
    }
}

struct Group<C> {
    nodes: u64,
    contender: PhantomData<C>,
}

impl<C: Contender> Cluster for Group<C> {
    type Config = C::Config;
    type Machine = Count;
    type Ticket = Asked;
    type Witness = ();

    fn config(&self, node: NodeId, seed: u64) -> C::Config {
        C::config(node, self.nodes, seed)
    }

    fn machine(&self) -> Count {
        Count::default()
    }

    fn witness(&self, _: NodeId) {}

    // A log is as large as its segments, and there are many worlds.
    fn log_options(&self) -> synod_wal::Options {
        let mut options = synod_wal::Options::default();
        (options.segment_bytes, options.record_bytes_max) = (64 << 10, 16 << 10);
        options.reserve_bytes = 16 << 10;
        options
    }

    fn tune(&self, engine: &mut EngineConfig) {
        engine.bounds.body_bytes_max = 4 << 10;
    }
}

#[derive(Default)]
struct Count(u64);

impl StateMachine for Count {
    type Response = u64;
    type Frozen = u64;

    fn apply(&mut self, _: Applying, _: Bytes) -> u64 {
        self.0 += 1;
        self.0
    }

    fn freeze(&self) -> u64 {
        self.0
    }

    fn write(frozen: u64, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&frozen.to_le_bytes())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// The outcome of a request.
struct End {
    node: u64,
    round: u64,
    answered: bool,
}

type Ends = Arc<Mutex<Vec<End>>>;

fn lock(ends: &Ends) -> MutexGuard<'_, Vec<End>> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Asked {
    node: u64,
    round: u64,
    ends: Ends,
}

impl Asked {
    fn end(self, answered: bool) {
        let (node, round) = (self.node, self.round);
        lock(&self.ends).push(End {
            node,
            round,
            answered,
        });
    }
}

impl Ticket<Count> for Asked {
    fn applied(self, _: u64) {
        self.end(true);
    }

    fn read(self, _: &Count, _: Option<Instant>) {
        self.end(true);
    }

    fn failed(self, _: Failure) {
        self.end(false);
    }
}

const SEEDS: u64 = 1_000;
const ELECTION_MIN: Duration = Duration::from_millis(150);
const ELECTION_MAX: Duration = Duration::from_millis(300);
const HEARTBEAT: Duration = Duration::from_millis(40);
/// How long one request waits: what a leader that lost its followers holds is requested again.
const TIMEOUT: Duration = Duration::from_millis(20);
/// More than thirty times the longest election timeout.
const NEVER: Duration = Duration::from_secs(10);
/// How long a group is watched after it recovered.
const AFTERWARDS: Duration = Duration::from_secs(5);
const ENTRIES_MISSED: u32 = 5;
