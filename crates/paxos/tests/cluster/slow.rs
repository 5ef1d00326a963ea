//! Slow disks, in virtual time: where each write takes longer than an election timeout, a leader is
//! elected all the same, and stays.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_paxos::{DiskHealth, Instant, NodeId, Role};

use crate::harness::cluster::Cluster;

/// Messages take a millisecond, and each write of each node as long as it says.
struct Slow {
    cluster: Cluster,
    write: Duration,
    /// When the write in flight of a node ends.
    writes: BTreeMap<NodeId, Instant>,
}

impl Slow {
    /// The drivers tell how long their writes take.
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

    /// One millisecond.
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

/// The candidates wait for what their election takes; and what peers say waits for no write, so that
/// a leader and its followers go on hearing each other.
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

/// An election takes two writes, one after the other, and where two nodes campaign at once it fails.
const ELECTION_MAX: Duration = Duration::from_secs(20);
