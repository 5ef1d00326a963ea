//! Random schedules: everything that may happen, in any order, from a seed. Then the faults stop,
//! and the group must make progress.

use std::time::Duration;

use synod_raft::{Config, Drift, Lease, Term};
use synod_sim::Rng;
use synod_sim::cluster::{self, Schedule, play_seeds};
use synod_sim::page::Recorder;

use crate::harness::cluster::Cluster;
use crate::harness::core::Cores;

fn group(seed: u64, rng: &mut Rng) -> cluster::Cluster<Cores> {
    let size = rng.pick(&[1, 2, 3, 3, 3, 4, 5, 5]);
    let (pre_vote, check_quorum) = (rng.below(3) > 0, rng.below(3) > 0);
    let append = rng.pick(&[40, 100, 1 << 20]);
    let cache = rng.pick(&[0, 100, 1 << 20]);
    let inflight = rng.pick(&[1, 3, 64]);
    let uncommitted = rng.pick(&[100, 1 << 20]);
    let joining = rng.pick(&[0, 1, 2, 3]);
    let cluster = Cluster::joined(size, joining, Term(0), |config: &mut Config| {
        config.seed = seed;
        config.write_stall_max = Duration::from_millis(300);
        // Without a draw of its own, so that seeds stay what they are.
        config.priority = [100, 100, 0, 200][((seed / 3 + config.id.0) % 4) as usize];
        if seed % 5 == 3 && size > 2 {
            config.witnesses = config.voters.last().copied().into_iter().collect();
        }
        config.pre_vote = pre_vote;
        config.check_quorum = check_quorum;
        config.append_bytes_max = append;
        config.cache_bytes_max = cache;
        config.inflight_messages_max = inflight;
        config.uncommitted_bytes_max = uncommitted;
        config.lease = (!seed.is_multiple_of(4)).then_some(Lease {
            length: config.election_timeout_min,
            drift: Drift(99_999),
        });
    });
    // Without a draw of their own, so that seeds stay what they are.
    let mut cluster = cluster.0;
    for id in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        let rate = [-99_999, 0, 99_999][((seed + id.0) % 3) as usize];
        cluster.clocks.insert(id, rate);
    }
    cluster
}

/// `RAFT_SEED=n` replays one seed, and `RAFT_SEEDS=n` runs that many.
#[test]
fn any_schedule_is_safe_and_recovers() {
    let met = |schedule: &Schedule<Cores>| {
        let nodes = schedule.cluster.nodes.values();
        let truncations = nodes.map(|node| node.disk.truncations).sum();
        let elections = schedule.cluster.watch.elections();
        let mut met = vec![("truncations", truncations), ("elections", elections)];
        met.extend(schedule.cluster.watch.steps.clone());
        let nodes = schedule.cluster.nodes.values();
        let stopped = nodes.filter(|node| node.stopped.is_some()).count();
        met.push(("removed nodes", stopped as u64));
        met
    };
    play_seeds(
        "RAFT",
        "cargo test -p synod-raft --test cluster any_schedule",
        group,
        met,
        &[
            ("reads by lease", 1),
            ("reads by lease after a pause", 4),
            ("truncations", 2),
            ("elections", 2),
            ("transfers", 2),
            ("to a higher priority", 4),
            ("gives up by a transfer", 60),
            ("changes", 1),
            ("catching up", 3),
            ("joint", 2),
            ("a witness added", 20),
            ("ended", 2),
            ("inherited", 4),
            ("aborts", 10),
            ("rolled back", 20),
            ("removed nodes", 5),
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
        (cores.collect::<Vec<_>>(), run.cluster.watch.applied)
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
