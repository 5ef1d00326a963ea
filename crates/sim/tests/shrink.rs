//! Shrinking finds what a failure needs, and nothing else.

mod ring;

use std::cell::Cell;
use std::time::Duration;

use synod_sim::{FaultKind, Shrink, Swarm, Trial, WorldOptions};

const HORIZON: Duration = Duration::from_secs(3);

fn trial(seed: u64) -> Trial {
    let swarm = Swarm::new(HORIZON).without(FaultKind::PowerAll);
    let mut options = swarm.draw(seed);
    options.loss = 0.05;
    options.crash_every = Some(HORIZON / 20);
    options.pause_every = Some(HORIZON / 20);
    options.partition_every = Some(HORIZON / 20);
    options.disk_full_every = Some(HORIZON / 20);
    Trial {
        seed,
        nodes: 5,
        clients: 6,
        horizon: HORIZON,
        options,
    }
}

/// It takes two crashes, and a pause after them. Neither loss nor partitions nor a third node have a
/// part in it.
fn fails(trial: &Trial) {
    let mut world = ring::world(trial, u64::MAX);
    let mut crashed_at = None;
    while world.step().is_some_and(|at| at < trial.horizon) {
        let stats = world.stats();
        if stats.crashes >= 2 && crashed_at.is_none() {
            crashed_at = Some(stats.pauses);
        }
        if crashed_at.is_some_and(|pauses| stats.pauses > pauses) {
            panic!("broken: {} crashes", stats.crashes);
        }
    }
}

#[test]
fn what_is_left_is_the_known_minimal_set() {
    for seed in 0..10 {
        let shrunk = Shrink::new().run(&trial(seed), fails).expect("it fails");
        let small = &shrunk.trial;
        let script = small.options.script.clone().unwrap();
        let kinds: Vec<FaultKind> = script.0.iter().map(|(_, fault)| fault.kind()).collect();
        let known = [FaultKind::Crash, FaultKind::Crash, FaultKind::Pause];
        assert_eq!(kinds, known, "seed {seed}: {shrunk}");
        assert!(!small.options.has(FaultKind::Loss) && !small.options.has(FaultKind::Partition));
        assert!(small.nodes <= 3 && small.clients == 0, "{shrunk}");
        assert!(small.horizon <= shrunk.failure.at + Duration::from_nanos(1));
        assert_eq!(shrunk.failure.rule(), "broken");
        assert!(shrunk.to_string().contains(&script.to_string()));

        // The small trial fails by itself, and without any of its faults it does not.
        assert!(Shrink::new().tries_max(1).run(small, fails).is_some());
        for leave_out in 0..script.0.len() {
            let mut less = small.clone();
            less.options.script.as_mut().unwrap().0.remove(leave_out);
            assert!(Shrink::new().run(&less, fails).is_none(), "seed {seed}");
        }
    }
}

#[test]
fn a_smaller_trial_that_fails_in_another_way_does_not_count() {
    let shrunk = Shrink::new().run(&trial(3), |trial| {
        assert!(trial.options.has(FaultKind::Loss), "another: no loss");
        fails(trial);
    });
    let shrunk = shrunk.unwrap();
    assert_eq!(shrunk.failure.rule(), "broken");
    assert!(shrunk.trial.options.has(FaultKind::Loss));
}

#[test]
fn what_does_not_fail_is_not_shrunk() {
    assert!(Shrink::new().run(&trial(1), |_| ()).is_none());
}

#[test]
fn bounds_are_kept() {
    let tries = Cell::new(0);
    let shrink = Shrink::new().tries_max(20).nodes_min(4).clients_min(2);
    let shrunk = shrink.run(&trial(1), |trial| {
        tries.set(tries.get() + 1);
        assert!(trial.nodes >= 4 && trial.clients >= 2);
        fails(trial);
    });
    assert_eq!((shrunk.unwrap().tries, tries.get()), (20, 20));
}

#[test]
fn fewer_nodes_do_not_stretch_the_budget_of_rot() {
    let mut options = WorldOptions::default();
    options.script = "0.1s rot n1 0x1\n0.1s rot n2 0x2".parse().ok();
    let horizon = Duration::from_secs(1);
    let (seed, clients) = (1, 0);
    let trial = Trial {
        seed,
        nodes: 5,
        clients,
        horizon,
        options,
    };
    let shrunk = Shrink::new().run(&trial, |trial| {
        let script = trial.options.script.as_ref();
        let rots = script.map_or(0, |script| script.0.len());
        assert!(rots < 2, "lost: a copy");
    });
    assert_eq!(
        shrunk.expect("it fails").trial.nodes,
        5,
        "two of fewer are no minority"
    );
}
