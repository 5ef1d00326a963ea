//! Random schedules: everything that may happen, in any order, from a seed. Then the faults stop,
//! and the group must make progress.

use std::time::Duration;

use synod_paxos::{Config, Drift, Kind, Lease, NodeId, Quorums, Value};
use synod_sim::Rng;
use synod_sim::cluster::{self, Schedule, play_seeds};
use synod_sim::page::Recorder;

use crate::harness::cluster::Cluster;
use crate::harness::core::Cores;

fn group(seed: u64, rng: &mut Rng) -> cluster::Cluster<Cores> {
    let size = rng.pick(&[1, 2, 3, 3, 3, 4, 4, 5, 5]);
    let quorums = match (size, rng.below(3)) {
        (4, 0) => Quorums::flexible((1..=4).map(NodeId), 3, 2),
        (5, 0) => Quorums::flexible((1..=5).map(NodeId), 4, 2),
        (3, 0) => Quorums::flexible((1..=3).map(NodeId), 1, 3),
        (4, 1) => Quorums::grid([[1, 2], [3, 4]].map(|row| row.map(NodeId))),
        _ => Quorums::majority((1..=size).map(NodeId)),
    };
    let accept = rng.pick(&[40, 150, 1 << 20]);
    let cache = rng.pick(&[0, 100, 1 << 20]);
    let inflight = rng.pick(&[1, 3, 64]);
    let unchosen = rng.pick(&[200, 1 << 20]);
    let joining = rng.pick(&[0, 1, 2, 3]);
    let alpha = rng.pick(&[1, 2, 5, 40]);
    let lease = rng.pick(&[None, Some(150), Some(50)]);
    let drift = rng.pick(&[0, 1_000, 99_999]);
    let priorities = [[100; 3], [1, 100, 200], [5, 5, 1]][seed as usize % 3];
    let cluster = Cluster::joined(&quorums.unwrap(), joining, |config: &mut Config| {
        if let Some(first) = &mut config.first {
            first.alpha = alpha;
        }
        config.catch_up_max = Duration::from_millis(600);
        config.seed = seed;
        config.priority = priorities[config.id.0 as usize % 3];
        config.write_stall_max = Duration::from_millis(300);
        config.accept_bytes_max = accept;
        config.cache_bytes_max = cache;
        config.inflight_messages_max = inflight;
        config.unchosen_bytes_max = unchosen;
        config.lease = lease.map(|length| Lease {
            length: Duration::from_millis(length),
            drift: Drift(drift),
        });
    });
    let mut cluster = cluster.0;
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    for id in ids {
        let rate = rng.pick(&[-1, -1, 0, 1, 1]) * i64::from(drift);
        cluster.clocks.insert(id, rate);
    }
    cluster
}

/// `PAXOS_SEED=n` replays one seed, and `PAXOS_SEEDS=n` runs that many.
#[test]
fn any_schedule_is_safe_and_recovers() {
    let met = |schedule: &Schedule<Cores>| {
        let nodes = schedule.cluster.nodes.values();
        let replaced = nodes.map(|node| node.disk.replaced).sum();
        let watch = &schedule.cluster.watch;
        let noop = |value: &&Value| value.kind == Kind::Noop;
        let noops = watch.chosen.iter().filter(noop).count() as u64;
        let elections = watch.elections();
        let mut met = vec![
            ("votes replaced", replaced),
            ("no-ops", noops),
            ("elections", elections),
        ];
        let nodes = schedule.cluster.nodes.values();
        let removed = nodes.filter(|node| node.stopped.is_some()).count();
        met.push(("removed nodes", removed as u64));
        let nodes = schedule.cluster.nodes.values();
        let cores = nodes.filter_map(|node| node.core.as_ref());
        let leased = cores.map(|core| core.counters().leased).sum();
        met.push(("refused because of a lease", leased));
        met.extend(watch.steps.clone());
        met
    };
    play_seeds(
        "PAXOS",
        "cargo test -p synod-paxos --test cluster any_schedule",
        group,
        met,
        &[
            ("elections", 2),
            ("votes replaced", 2),
            ("no-ops", 20),
            ("changes", 1),
            ("proposed", 2),
            ("decided", 4),
            ("in force", 2),
            ("done", 1),
            ("inherited", 4),
            ("leader lost", 8),
            ("aborted", 30),
            ("too slow", 20),
            ("removed nodes", 4),
            ("handed to one that is preferred", 20),
            ("handed over for a cause", 100),
            ("Voted", 1),
            ("reads by lease", 2),
            ("reads by lease after a pause", 8),
            ("refused because of a lease", 20),
            // Answers to leaders that lacked chosen values.
            ("Learned", 20),
            ("Offer", 20),
        ],
    );
}

/// The same seed gives the same run, down to every core's state, also while it is recorded.
#[test]
fn a_seed_is_a_schedule() {
    let end = |seed, recorder: Option<&Recorder>| {
        let mut rng = Rng::new(seed);
        let mut cluster = group(seed, &mut rng);
        if let Some(recorder) = recorder {
            cluster.record(recorder);
        }
        let mut run = Schedule::new(cluster, rng);
        (0..1500).for_each(|_| run.step());
        let cores = run.cluster.nodes.values().map(|node| node.core.clone());
        (cores.collect::<Vec<_>>(), run.cluster.watch.chosen)
    };
    for seed in 0..5 {
        let (first, second) = (end(seed, None), end(seed, None));
        assert!(first == second, "seed {seed}");
        let recorder = Recorder::new("schedule");
        assert!(first == end(seed, Some(&recorder)), "seed {seed}, recorded");
        assert!(
            recorder.events() > 100,
            "seed {seed}: {}",
            recorder.events()
        );
    }
}
