//! Elections that take long, in virtual time: where each write, or all reports of phase 1, take
//! longer than an election timeout, a leader is elected nevertheless, and stays.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_paxos::{DiskHealth, Instant, NodeId, Paxos, Role, Slot, StepDown};

use crate::harness::cluster::Cluster;

/// Messages take a millisecond, and each write the configured time.
struct Slow {
    cluster: Cluster,
    write: Duration,
    /// When the write in flight of a node ends.
    writes: BTreeMap<NodeId, Instant>,
}

impl Slow {
    /// Reports the write times to the nodes, as drivers do.
    fn new(size: u64, seed: u64, write: Duration) -> Self {
        let mut cluster = Cluster::new(size, |config| config.seed = seed);
        cluster.slow_disks = (1..=size).map(NodeId).collect();
        let disk = DiskHealth {
            sync_time: write,
            ..DiskHealth::default()
        };
        for id in 1..=size {
            cluster.step(id, |paxos, now| paxos.handle_disk(now, disk));
        }
        Self {
            cluster,
            write,
            writes: BTreeMap::new(),
        }
    }

    /// Advances time by one millisecond.
    fn step(&mut self) {
        self.cluster.tick();
        let now = self.cluster.now;
        for id in self.cluster.nodes.keys().copied().collect::<Vec<_>>() {
            if self.writes.get(&id).is_some_and(|end| *end <= now) {
                self.writes.remove(&id);
                self.cluster.persist(id.0);
            }
            if self.cluster.node(id.0).write.is_some() {
                self.writes
                    .entry(id)
                    .or_insert_with(|| now.plus(self.write));
            }
        }
    }

    /// Steps until there is a leader.
    fn elect(&mut self) -> Option<u64> {
        while self.cluster.now < Instant(ELECTION_MAX) {
            self.step();
            if let Some(leader) = self.cluster.leaders().first() {
                return Some(*leader);
            }
        }
        None
    }
}

/// Candidates wait as long as their election takes. Messages that confirm contact wait for no
/// write, so a leader and its followers stay in contact.
#[test]
fn a_group_whose_disks_are_slower_than_its_timeouts_keeps_its_leader() {
    for seed in 0..10 {
        let mut slow = Slow::new(3, seed, Duration::from_millis(400));
        let leader = slow.elect();
        let leader = leader.unwrap_or_else(|| panic!("seed {seed}: nobody was elected"));
        let ballot = slow.cluster.status(leader).ballot;
        let mut proposed = 0;
        for at in 0..10_000 {
            if at % 100 == 0 && at < 8_000 {
                let taken = slow.cluster.propose(leader, "a");
                assert!(taken.is_ok(), "seed {seed}: {taken:?} at {at}");
                proposed += 1;
            }
            slow.step();
        }
        let status = slow.cluster.status(leader);
        assert_eq!(
            (status.role, status.ballot),
            (Role::Leader, ballot),
            "seed {seed}: it was unseated"
        );
        assert!(status.chosen.0 >= proposed, "seed {seed}: {status:?}");
    }
}

/// An election takes two writes, one after the other, and fails if two nodes campaign at once.
const ELECTION_MAX: Duration = Duration::from_secs(20);

/// Only node 3 has voted for what the last leader proposed, and it reports one value per message,
/// for longer than an election timeout. Node 4 has reported that it has nothing. If it campaigned
/// meanwhile, the candidate would have to start again, and so would node 4 once the other's timeout
/// expired in turn.
#[test]
fn a_phase_1_of_many_pages_comes_to_its_end() {
    let mut by_pages = 0;
    for seed in 0..10 {
        let mut cluster = Cluster::new(4, |config| {
            config.seed = seed;
            config.accept_bytes_max = 1;
        });
        cluster.elect(1);
        for away in [2, 4] {
            cluster.cut.insert((NodeId(1), NodeId(away)));
        }
        for _ in 0..PAGES {
            cluster.propose(1, "a").expect("it leads");
        }
        cluster.settle();
        assert_eq!(cluster.status(3).last, Slot(PAGES), "seed {seed}");
        cluster.crash(1);
        cluster.heal();
        let led = cluster.run_until(10_000, |cluster| !cluster.leaders().is_empty());
        let led = led.unwrap_or_else(|| panic!("seed {seed}: phase 1 never ends"));
        // Node 3 needs no pages for itself.
        if cluster.leaders() != [3] {
            assert!(led > 2 * PAGES, "seed {seed}: {led} ms for so many pages");
            by_pages += 1;
        }
    }
    assert!(by_pages > 0, "node 3 was the first each time");
}

/// Two milliseconds each: more than twice the longest election timeout.
const PAGES: u64 = 400;

/// C13 (openraft 5e15946d): every heartbeat resets the deadlines of all followers at the same time. Each
/// draws its next one, so usually one of them asks first, and its first ballot wins.
#[test]
fn c13_a_heartbeat_does_not_synchronise_its_followers() {
    let mut contested = 0;
    for seed in 0..ELECTIONS {
        let mut cluster = Cluster::new(5, |config| config.seed = seed);
        cluster.elect(1);
        let round = cluster.status(1).ballot.round;
        for _ in 0..5 {
            cluster.heartbeat(1);
            cluster.settle();
        }
        cluster.crash(1);
        let led = cluster.run_until(3000, |cluster| !cluster.leaders().is_empty());
        assert!(led.is_some(), "seed {seed}");
        let leader = cluster.leaders()[0];
        contested += u64::from(cluster.status(leader).ballot.round > round + 1);
    }
    assert!(
        contested <= ELECTIONS / 20,
        "{contested} of {ELECTIONS} elections took several ballots"
    );
}

const ELECTIONS: u64 = 400;

/// M6: who could not lead lets others try first. How long, and that it ends: `src/pace.rs`.
#[test]
fn m6_who_gave_up_leadership_waits_twice_as_long() {
    let mut cluster = Cluster::new(3, |_| {});
    let (min, max) = (Duration::from_millis(150), Duration::from_millis(300));
    cluster.elect(1);
    cluster.isolate(1);
    while cluster.status(1).role == Role::Leader {
        one_millisecond_of(&mut cluster, 1);
    }
    assert_eq!(cluster.status(1).stepped_down, Some(StepDown::NoQuorum));
    let deadline = cluster.node(1).core().poll_timeout();
    let wait = deadline.expect("it will campaign").since(cluster.now);
    assert!(wait >= min * 2 && wait < max * 2, "{wait:?}");
}

/// A millisecond for one node.
fn one_millisecond_of(cluster: &mut Cluster, id: u64) {
    cluster.now = cluster.now.plus(Duration::from_millis(1));
    let now = cluster.now;
    let deadline = cluster.node(id).core().poll_timeout();
    if deadline.is_some_and(|deadline| deadline <= now) {
        cluster.step(id, Paxos::handle_timeout);
    }
}
