//! Whole nodes in virtual time: the real engine, applier, core and log on disks that lose, tear and
//! reorder what was not synced, over a network that loses and repeats, with crashes, power losses
//! and partitions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;

use std::time::Duration;

use cluster::{Coverage, Options, Raft, Run};
use synod_sim::Crash;

#[test]
fn raft_keeps_its_rules() {
    let mut total = Coverage::default();
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let base: u64 = variable("SIM_SEED").unwrap_or(0);
    let runs: u64 = variable("SIM_RUNS").unwrap_or(200);
    for seed in base..base + runs {
        let options = Options::drawn(seed);
        let shown = options.to_string();
        let mut run = Run::<Raft>::new(seed, options);
        match run.whole() {
            Ok(coverage) => total += coverage,
            Err(violation) => panic!("seed {seed}\n{shown}\n{}\n{violation}", run.world),
        }
    }
    println!("{total}");
}

#[test]
fn calm_worlds_lose_nothing_and_answer_everything() {
    for seed in 0..5 {
        let mut run = Run::<Raft>::new(seed, Options::calm());
        run.wait_for_leader();
        run.whole().unwrap();
        let coverage = run.coverage();
        assert_eq!(
            coverage.of("unknown outcomes"),
            0,
            "seed {seed}: {coverage}"
        );
        assert_eq!(coverage.of("requests"), coverage.of("requests answered"));
        assert!(
            coverage.of("requests answered") > 100,
            "seed {seed}: {coverage}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let fingerprint = |seed| {
        let mut run = Run::<Raft>::new(seed, Options::drawn(seed));
        run.whole().unwrap();
        run.world.fingerprint()
    };
    for seed in 100..104 {
        assert_eq!(fingerprint(seed), fingerprint(seed), "seed {seed}");
    }
    assert_ne!(fingerprint(100), fingerprint(101));
}

#[test]
fn without_a_quorum_requests_end_by_their_deadline() {
    let mut run = Run::<Raft>::new(7, Options::calm());
    run.wait_for_leader();
    let others = run.all_but_the_leader();
    others
        .iter()
        .for_each(|node| run.world.crash(*node, Crash::Power));
    let ended = |run: &Run<Raft>| {
        let coverage = run.coverage();
        (
            coverage.of("requests answered"),
            coverage.of("requests") - coverage.of("requests answered"),
        )
    };
    let before = ended(&run);
    run.work_for(Duration::from_secs(2)).unwrap();
    let during = ended(&run);
    assert!(during.1 > before.1 + 4, "{during:?}");
    assert!(during.0 < before.0 + 4, "{during:?}");
    assert!(others.iter().all(|node| run.world.restart(*node)));
    run.whole().unwrap();
    assert!(ended(&run).0 > during.0 + 20);
}

#[test]
fn a_node_that_was_away_past_compaction_catches_up_under_load() {
    let mut run = Run::<Raft>::new(11, Options::calm());
    run.wait_for_leader();
    let away = run.all_but_the_leader()[0];
    run.world.crash(away, Crash::Power);
    run.work_for(Duration::from_secs(2)).unwrap();
    assert!(run.world.restart(away));
    run.whole().unwrap();
    let received = run.world.process(away).unwrap().status().snapshots_received;
    assert!(received > 0, "{}", run.coverage());
}
