//! Reads by lease among nodes whose clocks run at different rates, within the bound: with pauses, crashes,
//! links that are cut or slow, transfers, and changes of membership. After each step every node is asked
//! whether it would answer a read by lease, at its own clock: at most one does, and it has everything that
//! any machine was given.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_paxos::{
    Ballot, Binding, Config, ConfigError, Drift, Instant, Lease, Message, NoLease, NodeId, Paxos,
    Quorums, Role, Slot,
};
use synod_sim::Rng;

use crate::harness::cluster::{Cluster, Packet};

fn with_leases(config: &mut Config) {
    config.lease = Some(Lease {
        length: Duration::from_millis(100),
        drift: Drift(1_000),
    });
}

fn lease(cluster: &mut Cluster, id: u64) -> Result<Slot, NoLease> {
    let now = cluster.now;
    cluster.node(id).core().read_by_lease(now)
}

#[test]
fn what_a_configuration_may_say_of_leases() {
    let mut config = Config::new(NodeId(1), Quorums::majority([NodeId(1)]).unwrap());
    let longest = config.election_timeout_min;
    let mut validate = |length, drift| {
        let drift = Drift(drift);
        config.lease = Some(Lease { length, drift });
        config.validate()
    };
    assert_eq!(validate(longest, 99_999), Ok(()));
    assert_eq!(
        validate(longest + Duration::from_nanos(1), 0),
        Err(ConfigError::LeaseLength)
    );
    assert_eq!(validate(Duration::ZERO, 0), Err(ConfigError::LeaseLength));
    assert_eq!(validate(longest, 100_000), Err(ConfigError::Drift));
}

#[test]
fn a_sole_acceptor_needs_nobody_to_grant_its_lease() {
    let mut cluster = Cluster::new(1, with_leases);
    assert_eq!(lease(&mut cluster, 1), Err(NoLease::NotLeader(None)));
    cluster.elect(1);
    cluster.now = cluster.now.plus(Duration::from_secs(3600));
    assert_eq!(lease(&mut cluster, 1), Ok(Slot(0)));
    let end = cluster.status(1).lease_end;
    assert_eq!(end, Some(Instant(Duration::MAX)));
}

/// L6: what was granted and counted by a clock that was wrong is neither kept nor used.
#[test]
fn after_a_fault_of_the_clock_a_lease_begins_anew() {
    let mut cluster = Cluster::new(3, with_leases);
    // A node that has promised nothing has granted nothing.
    cluster.step(2, Paxos::handle_clock_fault);
    cluster.elect(1);
    assert_eq!(lease(&mut cluster, 1), Ok(Slot(0)));
    let ms = Duration::from_millis;
    cluster.heartbeat(1);
    cluster.step(1, Paxos::handle_clock_fault);
    assert_eq!(lease(&mut cluster, 1), Err(NoLease::NotHeld));
    assert_eq!(cluster.status(1).lease_end, Some(Instant::ZERO));
    cluster.settle();
    let of_the_round_before = lease(&mut cluster, 1);
    assert_eq!(of_the_round_before, Err(NoLease::NotHeld));
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(lease(&mut cluster, 1), Ok(Slot(0)));
    // An acceptor keeps what it may have granted for its whole length from then on, and grants no more.
    cluster.isolate(3);
    for id in [1, 2] {
        cluster.now = cluster.now.plus(ms(60));
        cluster.step(id, Paxos::handle_clock_fault);
    }
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(lease(&mut cluster, 1), Err(NoLease::NotHeld));
    cluster.now = cluster.now.plus(ms(59));
    let prepare = Message::Binding(Binding::Prepare {
        ballot: Ballot {
            round: 2,
            node: NodeId(3),
        },
        from: Slot(1),
        number: 0,
        invited: None,
    });
    for (passes, ballot) in [(0, 1), (1, 2)] {
        cluster.now = cluster.now.plus(ms(passes));
        cluster.step(2, |paxos, now| {
            paxos.handle_message(now, NodeId(3), prepare.clone());
        });
        assert_eq!(cluster.status(2).ballot.round, ballot);
    }
}

/// `LEASE_SEED=n` replays one seed, and `LEASE_SEEDS=n` runs that many.
#[test]
fn one_node_at_most_reads_by_lease_and_what_it_reads_is_not_stale() {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("LEASE_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("LEASE_SEEDS").unwrap_or(SEEDS),
    };
    let is_one = seeds.start() == seeds.end();
    let mut met = BTreeMap::new();
    for seed in seeds.clone() {
        let played = std::panic::catch_unwind(|| play(seed));
        let of_seed = played.unwrap_or_else(|_| {
            panic!("LEASE_SEED={seed} cargo test -p synod-paxos --test cluster one_node_at_most")
        });
        for (what, times) in of_seed {
            *met.entry(what).or_insert(0) += times;
        }
    }
    println!("{seeds:?}: {met:?}");
    for (what, at_least) in MINIMUM {
        let times = met.get(what).copied().unwrap_or(0);
        let wanted = at_least * (seeds.end() - seeds.start() + 1) / SEEDS;
        assert!(is_one || times >= wanted, "{what}: {times} of {wanted}");
    }
}

const SEEDS: u64 = 30;
/// What that many seeds meet at least.
const MINIMUM: &[(&str, u64)] = &[
    ("steps with a lease", 30_000),
    ("lease over", 5_000),
    ("offered to another", 500),
    ("not ready", 1_000),
    ("refused candidates", 8),
    ("restarts within a promise", 25),
    ("pauses of a holder", 50),
    ("elections", 120),
    ("in force", 8),
];

fn play(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut world = World::new(seed);
    for _ in 0..TICKS {
        world.tick(true);
    }
    let is_calm = |world: &mut World| {
        world.tick(false);
        world.holder().is_some() || world.has_given_up()
    };
    assert!(
        (0..CALM).any(|_| is_calm(&mut world)),
        "no lease in a world without faults"
    );
    world.count_the_end();
    world.met
}

/// Milliseconds with faults, and at most without: candidates whose timeouts differ by little preempt each other
/// for a while.
const TICKS: u64 = 3_000;
const CALM: u64 = 20_000;

struct World {
    cluster: Cluster,
    rng: Rng,
    /// What is on its way, and when it arrives.
    sent: Vec<(Instant, Packet)>,
    /// Until when a node does nothing, while its clock goes on.
    paused: BTreeMap<NodeId, Instant>,
    down: BTreeMap<NodeId, Instant>,
    healed: Instant,
    /// The next node to be added.
    next: u64,
    met: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let quorums = match rng.below(5) {
            0 => Quorums::flexible((1..=4).map(NodeId), 3, 2),
            1 => Quorums::flexible((1..=3).map(NodeId), 1, 3),
            2 => Quorums::majority((1..=5).map(NodeId)),
            _ => Quorums::majority((1..=3).map(NodeId)),
        };
        let quorums = quorums.expect("a group");
        let drift: i64 = rng.pick(&[0, 1_000, 90_000, 90_000]);
        // A narrow range, so that elections come soon after the end of a promise.
        let width = rng.pick(&[5, 10, 100]);
        let alpha = rng.pick(&[1, 3, 20]);
        let tweak = |config: &mut Config| {
            config.seed = seed;
            config.election_timeout_min = Duration::from_millis(100);
            config.election_timeout_max = Duration::from_millis(100 + width);
            config.heartbeat_interval = Duration::from_millis(20);
            config.lease = Some(Lease {
                length: Duration::from_millis(100),
                drift: Drift(drift as u32),
            });
            if let Some(first) = &mut config.first {
                first.alpha = alpha;
            }
        };
        let next = quorums.acceptors().max().map_or(1, |id| id.0 + 1);
        let cluster = Cluster::joined(&quorums, JOINING, tweak);
        let mut world = Self {
            cluster,
            rng,
            sent: Vec::new(),
            paused: BTreeMap::new(),
            down: BTreeMap::new(),
            healed: Instant::ZERO,
            next,
            met: BTreeMap::new(),
        };
        for id in world.ids() {
            // At the border of what is allowed, or any rate within.
            let rate = match world.rng.below(3) {
                0 => -drift,
                1 => drift,
                _ => world.rng.below(2 * drift as u64 + 1) as i64 - drift,
            };
            world.cluster.clocks.insert(id, rate);
            if world.rng.one_in(4) {
                world.cluster.slow_disks.insert(id);
            }
        }
        world
    }

    fn met(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn is_awake(&self, id: NodeId) -> bool {
        self.cluster.nodes[&id].is_up() && !self.paused.contains_key(&id)
    }

    /// One true millisecond.
    fn tick(&mut self, faults: bool) {
        let now = self.cluster.now.plus(Duration::from_millis(1));
        self.cluster.now = now;
        self.paused.retain(|_, until| *until > now && faults);
        if self.healed <= now || !faults {
            self.cluster.heal();
        }
        let back = |until: &Instant| *until <= now || !faults;
        let down = self.down.iter().filter(|(_, until)| back(until));
        for id in down.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.down.remove(&id);
            self.cluster.restart(id.0);
            self.after();
        }
        if faults {
            self.disturb();
        }
        self.ask_for_something(faults);
        self.let_arrive(faults);
        self.let_nodes_work();
    }

    fn ids(&self) -> Vec<NodeId> {
        self.cluster.nodes.keys().copied().collect()
    }

    /// The node that would answer a read by lease now.
    fn holder(&self) -> Option<NodeId> {
        let mut ids = self.cluster.nodes.keys();
        let holder = ids.find(|id| self.cluster.read_by_lease(id.0).is_ok());
        holder.copied()
    }

    /// Whether a leader has invited another one in vain: it has no lease until somebody is elected again.
    fn has_given_up(&self) -> bool {
        let of = |id: &NodeId| {
            let core = self.cluster.nodes[id].core.as_ref()?;
            core.read_by_lease(self.cluster.clock(*id)).err()
        };
        let mut all = self.cluster.nodes.keys().filter_map(of);
        all.any(|why| why == NoLease::Transferred)
    }

    /// The cluster has asked each node, also one that is paused: it may be asked when it goes on.
    fn after(&mut self) {
        self.cluster.check_leases();
        let mut what = None;
        for (id, node) in &self.cluster.nodes {
            let core = node.core.as_ref();
            what = match core.map(|core| core.read_by_lease(self.cluster.clock(*id))) {
                Some(Ok(_)) => Some("steps with a lease"),
                Some(Err(NoLease::NotHeld)) => Some("lease over"),
                Some(Err(NoLease::Transferred)) => Some("offered to another"),
                Some(Err(NoLease::NotReady)) => Some("not ready"),
                _ => continue,
            };
        }
        if let Some(what) = what {
            self.met(what);
        }
        self.post();
    }

    /// What was sent is on its way from now on.
    fn post(&mut self) {
        for packet in self.cluster.take(|_| true) {
            let delay = match self.rng.below(20) {
                0 => self.rng.below(200),
                1..4 => self.rng.below(30),
                _ => self.rng.below(3),
            };
            if !self.rng.one_in(50) {
                let arrives = self.cluster.now.plus(Duration::from_millis(delay));
                self.sent.push((arrives, packet));
            }
        }
    }

    fn let_arrive(&mut self, faults: bool) {
        let now = self.cluster.now;
        let is_here = |world: &Self, arrives: Instant, to: NodeId| {
            (arrives <= now || !faults) && !world.paused.contains_key(&to)
        };
        let mut at = 0;
        let count = self.sent.len();
        for _ in 0..count {
            let (arrives, packet) = &self.sent[at];
            if !is_here(self, *arrives, packet.to) {
                at += 1;
                continue;
            }
            let (_, packet) = self.sent.remove(at);
            let to = packet.to;
            if self.cluster.cut.contains(&(packet.from, to)) {
                continue;
            }
            self.cluster.receive(packet);
            self.after();
        }
    }

    fn let_nodes_work(&mut self) {
        for id in self
            .ids()
            .into_iter()
            .filter(|id| self.is_awake(*id))
            .collect::<Vec<_>>()
        {
            if self.cluster.is_due(id) {
                self.cluster.timeout(id.0);
                self.after();
            }
            let is_slow = self.cluster.slow_disks.contains(&id);
            if is_slow && self.cluster.nodes[&id].write.is_some() && self.rng.one_in(4) {
                self.cluster.persist(id.0);
                self.after();
            }
        }
        self.after();
    }

    /// Proposals, transfers and changes.
    fn ask_for_something(&mut self, faults: bool) {
        let leaders = self.cluster.leaders();
        let awake = |id: &u64| self.is_awake(NodeId(*id));
        let Some(leader) = leaders.into_iter().find(awake) else {
            return;
        };
        match self.rng.below(400) {
            0..60 => drop(self.cluster.propose(leader, "x")),
            60..62 if faults => {
                let to = self.rng.pick(&self.ids());
                let _refused = self
                    .cluster
                    .step(leader, |core, now| core.transfer(now, Some(to)));
            }
            62 if faults => self.replace_one(leader),
            _ => return,
        }
        self.after();
    }

    /// One acceptor is replaced by a node that was none before.
    fn replace_one(&mut self, leader: u64) {
        let Some(members) = self.cluster.status(leader).latest else {
            return;
        };
        let mut ids: Vec<u64> = members.quorums.acceptors().map(|id| id.0).collect();
        if !self.cluster.nodes.contains_key(&NodeId(self.next)) {
            return;
        }
        let at = self.rng.index(ids.len());
        ids.remove(at);
        ids.push(self.next);
        if self.cluster.change(leader, &ids).is_ok() {
            self.next += 1;
        }
    }

    fn disturb(&mut self) {
        let ids = self.ids();
        let id = match (self.holder(), self.rng.one_in(2)) {
            (Some(holder), true) => holder,
            _ => self.rng.pick(&ids),
        };
        let time = Duration::from_millis(20 + self.rng.below(250));
        match self.rng.below(600) {
            0..3 if self.cluster.nodes[&id].is_up() => self.crash(id),
            3..7 => {
                if self.holder() == Some(id) {
                    self.met("pauses of a holder");
                }
                self.paused.insert(id, self.cluster.now.plus(time));
            }
            7..11 => {
                self.cluster.isolate(id.0);
                self.healed = self.cluster.now.plus(time);
            }
            _ => {}
        }
    }

    /// Most nodes are back at once: within what they have promised.
    fn crash(&mut self, id: NodeId) {
        self.cluster.crash(id.0);
        self.sent.retain(|(_, packet)| packet.to != id);
        self.paused.remove(&id);
        let away = match self.rng.one_in(3) {
            true => self.rng.below(200),
            false => self.rng.below(3),
        };
        let until = self.cluster.now.plus(Duration::from_millis(away));
        self.down.insert(id, until);
        if self.holder().is_some_and(|holder| holder != id) {
            self.met("restarts within a promise");
        }
    }

    fn count_the_end(&mut self) {
        let mut met = std::mem::take(&mut self.met);
        let mut add = |what, times| *met.entry(what).or_insert(0) += times;
        add("elections", self.cluster.watch.elections());
        for (what, times) in &self.cluster.watch.steps {
            add(*what, *times);
        }
        let cores = self
            .cluster
            .nodes
            .values()
            .filter_map(|node| node.core.as_ref());
        let refused: u64 = cores.map(|core| core.counters().leased).sum();
        add("refused candidates", refused);
        let leaders = self.cluster.nodes.keys().map(|id| id.0);
        let is_up = |id: &u64| self.cluster.nodes[&NodeId(*id)].is_up();
        let leads = |id: &u64| self.cluster.status(*id).role == Role::Leader;
        let leading = leaders.filter(is_up).filter(leads).count();
        add("leaders in the end", leading as u64);
        self.met = met;
    }
}

const JOINING: u64 = 2;
