//! Whole nodes in virtual time: the real engine, applier, core and log on disks that lose, tear and
//! reorder what was not synced, over a network that loses and repeats, with crashes, power losses
//! and partitions. What clients saw must be linearizable, no two nodes may apply different entries
//! at an index, and once the faults stop the group must go on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;

use std::time::Duration;

use cluster::{Run, RunOptions, Seen};
use synod_sim::Crash;

#[test]
fn calm_worlds_lose_nothing_and_answer_everything() {
    for seed in 0..10 {
        let mut run = Run::new(seed, RunOptions::calm());
        run.clients_work_until(Duration::from_secs(3));
        let seen = run.settle();
        assert_eq!(
            (seen.unknown, seen.rejected),
            (0, 0),
            "seed {seed}: {:?}",
            run.reasons
        );
        assert!(seen.answered > 500, "seed {seed}: {seen:?}");
    }
}

#[test]
fn faulty_worlds_stay_linearizable_and_recover() {
    let mut total = Seen::default();
    for seed in 0..40 {
        let mut run = Run::new(seed, RunOptions::faulty(seed));
        run.clients_work_until(Duration::from_secs(6));
        total += run.settle();
    }
    println!("{total:?}");
    // Fewer of any of these, and the test shows nothing.
    assert!(total.answered > 100_000, "{total:?}");
    assert!(total.unknown > 100, "{total:?}");
    assert!(total.crashes > 150 && total.power_losses > 50, "{total:?}");
    assert!(total.leaders > 80, "{total:?}");
    assert!(total.compactions > 100 && total.installs > 20, "{total:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let fingerprint = |seed| {
        let mut run = Run::new(seed, RunOptions::faulty(seed));
        run.clients_work_until(Duration::from_secs(4));
        run.world.fingerprint()
    };
    for seed in 100..104 {
        assert_eq!(fingerprint(seed), fingerprint(seed), "seed {seed}");
    }
    assert_ne!(fingerprint(100), fingerprint(101));
}

#[test]
fn without_a_quorum_requests_end_by_their_deadline() {
    let mut run = Run::new(7, RunOptions::calm());
    run.clients_work_until(Duration::from_secs(1));
    let others = run.all_but_the_leader();
    others
        .iter()
        .for_each(|node| run.world.crash(*node, Crash::Power));
    let before = run.seen();
    run.clients_work_until(Duration::from_secs(8));
    let during = run.seen();
    assert!(
        during.unknown + during.rejected > before.unknown + before.rejected + 10,
        "{during:?}"
    );
    assert!(during.answered < before.answered + 10, "{during:?}");
    assert!(others.iter().all(|node| run.world.restart(*node)));
    run.clients_work_until(Duration::from_secs(12));
    let after = run.settle();
    assert!(after.answered > during.answered + 100, "{after:?}");
}

#[test]
fn a_node_that_was_away_past_compaction_catches_up_under_load() {
    let mut run = Run::new(11, RunOptions::calm());
    run.clients_work_until(Duration::from_secs(1));
    let away = run.all_but_the_leader()[0];
    run.world.crash(away, Crash::Power);
    run.clients_work_until(Duration::from_secs(6));
    let before = run.seen();
    assert!(run.world.restart(away));
    run.clients_work_until(Duration::from_secs(10));
    let after = run.settle();
    assert!(after.installs > before.installs, "{after:?}");
}
