//! Reads by lease. In virtual time: clocks that run as differently as the bound allows, links that come
//! and go, nodes that stand still between looking at their clock and reading, restarts, transfers and
//! changes of members. At every step one node at most may hold a lease, and what it would answer has all
//! that anybody could have been told.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_raft::{Config, Drift, Instant, Lease, Membership, NoLease, NodeId, Role};
use synod_sim::Rng;
use synod_sim::cluster::Watch;

use crate::harness::cluster::{Cluster, HEARTBEAT, Packet};

/// A group in virtual time, a millisecond a step.
struct Run {
    cluster: Cluster,
    rng: Rng,
    size: u64,
    /// One command in so many steps. Who is cut off is elected only if nothing was taken meanwhile.
    commands: u64,
    /// The longest delay, mostly.
    delay: u64,
    /// What is under way, and when it arrives.
    late: Vec<(Instant, Packet)>,
    /// Nodes that are down, until then.
    down: BTreeMap<u64, Instant>,
    /// Nodes that have looked at their clock and stand still until then: what it showed, and how much
    /// anybody could have been told.
    paused: BTreeMap<u64, (Instant, Instant, u64)>,
    holder: Option<u64>,
    met: BTreeMap<&'static str, u64>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (size, joining) = (rng.pick(&[3, 3, 3, 4, 5]), rng.pick(&[0, 0, 1]));
        let (pre_vote, check_quorum) = (rng.one_in(2), rng.one_in(2));
        let longest = Duration::from_millis(rng.pick(&[105, 130]));
        let length = Duration::from_millis(rng.pick(&[100, 100, 60]));
        let drift = rng.pick(&[0, 99_999, 99_999]);
        let mut cluster = Cluster::joined(size, joining, synod_raft::Term(0), |config| {
            config.seed = seed;
            config.pre_vote = pre_vote;
            config.check_quorum = check_quorum;
            config.election_timeout_min = Duration::from_millis(100);
            config.election_timeout_max = longest;
            config.heartbeat_interval = Duration::from_millis(20);
            let drift = Drift(drift);
            config.lease = Some(Lease { length, drift });
        });
        let size = size + joining;
        let delay = rng.pick(&[1, 1, 5]);
        let commands = rng.pick(&[10, 100, 400, 400]);
        for id in 1..=size {
            let rate = rng.pick(&[-1, 0, 1, 1]) * i64::from(drift);
            cluster.clocks.insert(NodeId(id), rate);
        }
        Self {
            cluster,
            rng,
            size,
            commands,
            delay,
            late: Vec::new(),
            down: BTreeMap::new(),
            paused: BTreeMap::new(),
            holder: None,
            met: BTreeMap::new(),
        }
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn stands(&mut self, id: u64) -> bool {
        self.paused.contains_key(&id) || !self.cluster.node(id).is_up()
    }

    fn step(&mut self) {
        self.cluster.now = self.cluster.now.plus(Duration::from_millis(1));
        let now = self.cluster.now;
        self.note_holder();
        self.carry(now);
        for id in 1..=self.size {
            if self.down.get(&id).is_some_and(|until| *until <= now) {
                self.down.remove(&id);
                self.cluster.restart(id);
            }
            if self
                .paused
                .get(&id)
                .is_some_and(|(until, ..)| *until <= now)
            {
                self.resume(id);
            }
            if !self.stands(id) && self.cluster.is_due(NodeId(id)) {
                self.cluster.timeout(id);
            }
        }
        let id = 1 + self.rng.below(self.size);
        if self.rng.one_in(150) {
            self.cut_links();
        }
        if !self.stands(id) {
            if self.rng.one_in(self.commands) {
                let _refused = self.cluster.propose(id, "x");
            }
            self.strike(id);
        }
    }

    /// The cluster itself checks that there are no two.
    fn note_holder(&mut self) {
        let holds = |id: &u64| self.cluster.read_by_lease(*id).is_ok();
        let Some(holder) = (1..=self.size).find(holds) else {
            return;
        };
        self.meet("held, ms");
        if self.holder.replace(holder).is_some_and(|it| it != holder) {
            self.meet("another holder");
        }
    }

    fn carry(&mut self, now: Instant) {
        for packet in self.cluster.take(|_| true) {
            let longest = if self.rng.one_in(20) { 60 } else { self.delay };
            let delay = Duration::from_millis(1 + self.rng.below(longest));
            if !self.rng.one_in(50) {
                self.late.push((now.plus(delay), packet));
            }
        }
        let paused = &self.paused;
        let arrives =
            |(at, packet): &(Instant, Packet)| *at <= now && !paused.contains_key(&packet.to.0);
        let (arrived, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(arrives);
        self.late = late;
        let arrived: Vec<(Instant, Packet)> = arrived;
        for (_, packet) in arrived {
            self.cluster.receive(packet);
        }
    }

    /// A network without faults, or in which a leader is alone, one other node does not hear it, or some
    /// pairs are not connected.
    fn cut_links(&mut self) {
        self.cluster.heal();
        let holder = self.holder.unwrap_or(1);
        let other = 1 + self.rng.below(self.size);
        match self.rng.below(4) {
            0 => {}
            1 => self.cluster.isolate(holder),
            2 => self.cut_pair(holder, other),
            _ => {
                for from in 1..=self.size {
                    for to in from + 1..=self.size {
                        if self.rng.one_in(3) {
                            self.cut_pair(from, to);
                        }
                    }
                }
            }
        }
    }

    fn cut_pair(&mut self, one: u64, other: u64) {
        let (one, other) = (NodeId(one), NodeId(other));
        self.cluster.cut.extend([(one, other), (other, one)]);
    }

    /// Something happens to a node.
    fn strike(&mut self, id: u64) {
        let now = self.cluster.now;
        match self.rng.below(800) {
            0..4 => {
                let until = now.plus(Duration::from_millis(1 + self.rng.below(20)));
                self.cluster.crash(id);
                self.down.insert(id, until);
            }
            4..6 => {
                let until = now.plus(Duration::from_millis(1 + self.rng.below(250)));
                let clock = self.cluster.clock(NodeId(id));
                let applied = self.cluster.watch.applied();
                self.paused.insert(id, (until, clock, applied));
            }
            6..9 => {
                let begun = self.cluster.step(id, |raft, now| raft.transfer(now, None));
                if begun.is_ok() {
                    self.meet("transfers");
                }
            }
            9..11 => {
                let ids = 1..=self.size;
                let voters: Vec<u64> = ids.filter(|_| !self.rng.one_in(4)).collect();
                let target = Membership::of_voters(voters.into_iter().map(NodeId));
                if self.cluster.change_to(id, target).is_ok() {
                    self.meet("changes");
                }
            }
            _ => {}
        }
    }

    /// What it read on its clock before it stood still counts: nobody could have been told more by then.
    fn resume(&mut self, id: u64) {
        let Some((_, clock, applied)) = self.paused.remove(&id) else {
            return;
        };
        let core = self.cluster.node(id).core.as_ref();
        if let Some(Ok(index)) = core.map(|core| core.read_by_lease(clock)) {
            assert!(index.0 >= applied, "a stale read by lease after a pause");
            self.meet("read after a pause");
        }
    }
}

/// `RAFT_LEASES_SEED=n` replays one seed, and `RAFT_LEASES_SEEDS=n` runs that many.
#[test]
fn no_two_leaders_hold_a_lease() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("RAFT_LEASES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RAFT_LEASES_SEEDS").unwrap_or(200),
    };
    let mut total: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in seeds.clone() {
        let played = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..STEPS).for_each(|_| run.step());
            let nodes = run.cluster.nodes.values();
            let cores = nodes.filter_map(|node| node.core.as_ref());
            let bound = cores.map(|core| core.counters().votes_while_bound).sum();
            run.met.insert("votes while bound", bound);
            run.met.insert("elections", run.cluster.watch.elections());
            run.met
        });
        let met = played.unwrap_or_else(|payload| {
            eprintln!("seed {seed}: RAFT_LEASES_SEED={seed}");
            std::panic::resume_unwind(payload)
        });
        for (what, times) in met {
            *total.entry(what).or_default() += times;
        }
    }
    println!("{total:?}");
    let count = seeds.end - seeds.start;
    for (what, least) in LEAST {
        let times = total.get(what).copied().unwrap_or_default();
        let enough = count < 100 || times >= least * count / 100;
        assert!(enough, "too few {what}: {total:?}");
    }
}

const STEPS: u64 = 3000;
/// What 100 seeds must meet at least.
const LEAST: [(&str, u64); 7] = [
    ("held, ms", 80_000),
    ("another holder", 250),
    ("read after a pause", 50),
    ("transfers", 80),
    ("changes", 50),
    ("votes while bound", 120),
    ("elections", 400),
];

fn lease(cluster: &mut Cluster, id: u64) -> Result<u64, NoLease> {
    let now = cluster.clock(NodeId(id));
    let read = cluster.node(id).core().read_by_lease(now);
    read.map(|index| index.0)
}

fn with_leases(config: &mut Config) {
    config.lease = Some(Lease {
        length: Duration::from_millis(100),
        drift: Drift(500),
    });
}

#[test]
fn a_node_without_the_setting_neither_asks_nor_grants() {
    let mut cluster = Cluster::new(3, |config| {
        if config.id == NodeId(1) {
            with_leases(config);
        }
    });
    cluster.elect(1);
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(lease(&mut cluster, 1), Err(NoLease::NotHeld));
    assert_eq!(cluster.status(1).lease_end, Some(Instant::ZERO));
    assert_eq!(
        lease(&mut cluster, 2),
        Err(NoLease::NotLeader(Some(NodeId(1))))
    );
    cluster.elect(2);
    cluster.heartbeat(2);
    cluster.settle();
    assert_eq!(lease(&mut cluster, 2), Err(NoLease::NotConfigured));
    assert_eq!(cluster.status(2).lease_end, None);
}

/// A clock that was out of its bound: at the leader nothing counts that was sent before, and a voter
/// keeps its promise for as long as if it had just given it.
#[test]
fn nothing_rests_on_a_clock_that_was_wrong() {
    let mut cluster = Cluster::new(3, with_leases);
    cluster.elect(1);
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(lease(&mut cluster, 1), Ok(1));
    cluster.step(1, |raft, now| raft.handle_clock_fault(now));
    assert_eq!(lease(&mut cluster, 1), Err(NoLease::NotHeld));
    cluster.heartbeat(1);
    cluster.step(1, |raft, now| raft.handle_clock_fault(now));
    cluster.settle();
    assert_eq!(
        lease(&mut cluster, 1),
        Err(NoLease::NotHeld),
        "an echo of what was sent before"
    );
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(lease(&mut cluster, 1), Ok(1));

    cluster.isolate(1);
    let campaigns = cluster.node(2).core().poll_timeout().unwrap();
    let length = Duration::from_millis(100);
    cluster.now = Instant(campaigns.0 - length + Duration::from_nanos(1));
    cluster.step(3, |raft, now| raft.handle_clock_fault(now));
    cluster.now = campaigns;
    cluster.timeout(2);
    cluster.settle();
    let bound = cluster.node(3).core().counters().votes_while_bound;
    assert_eq!((bound, cluster.status(2).role), (1, Role::PreCandidate));
}

/// A lone voter needs nobody's promise.
#[test]
fn a_group_of_one_has_its_lease_for_ever() {
    let mut cluster = Cluster::new(1, with_leases);
    cluster.elect(1);
    assert_eq!(lease(&mut cluster, 1), Ok(1));
    cluster.now = cluster.now.plus(HEARTBEAT * 1000);
    assert_eq!(lease(&mut cluster, 1), Ok(1));
}
