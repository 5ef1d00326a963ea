//! CAP: each register gives one of the two verdicts, whichever side is asked.

use std::time::Duration;

use synod_sim::{ClientId, KvInput, NodeId, WorldOptions};
use synod_walls::cap::{
    CapOptions, LastWriter, Majority, Operation, Seen, Siblings, collide, cut, measure, run,
    sessions,
};
use synod_walls::raft_service::RaftService;
use synod_walls::scene::{Scene, Store};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Tells whether it was the read that had no answer.
fn is_silent<P: Store>(seed: u64, lasts: Duration) -> bool {
    match cut::<P>(seed, lasts, None) {
        Seen::Unanswered {
            what,
            healed,
            linearizable,
            ..
        } => {
            assert!(healed.is_some() && linearizable, "seed {seed}");
            what == Operation::Read
        }
        seen => panic!("seed {seed}: it answered: {seen:?}"),
    }
}

#[test]
fn consensus_is_silent_in_a_minority() {
    let reads = (0..100).filter(|seed| is_silent::<RaftService>(*seed, seconds(1 + seed % 2)));
    let reads = reads.count();
    assert!((10..=90).contains(&reads), "both sides were asked: {reads}");
}

#[test]
fn a_register_without_consensus_is_silent_too() {
    let reads = (0..100).filter(|seed| is_silent::<Majority>(*seed, seconds(1 + seed % 4)));
    let reads = reads.count();
    assert!((10..=90).contains(&reads), "both sides were asked: {reads}");
}

#[test]
fn two_writers_at_one_node_do_not_share_a_tag() {
    for seed in 0..100 {
        let mut scene = Scene::<Majority>::new(seed, 3, WorldOptions::default());
        scene.world.run_until(seconds(1));
        let writes = [(1, "one"), (2, "two")].map(|(client, value)| {
            scene.ask(ClientId(client), NodeId(1), KvInput::put("x", value))
        });
        for op in writes {
            assert!(scene.wait(op, seconds(10)).is_some(), "seed {seed}");
        }
        for node in [1, 2, 3, 2, 1] {
            let op = scene.ask(ClientId(3), NodeId(node), KvInput::get("x"));
            assert!(scene.wait(op, seconds(10)).is_some(), "seed {seed}");
        }
        let verdict = scene.verdict();
        assert!(verdict.is_ok(), "seed {seed}: one of two writers is read");
    }
}

#[test]
fn what_always_answers_is_wrong() {
    for seed in 0..100 {
        let seen = [
            cut::<Siblings>(seed, seconds(1), None),
            cut::<LastWriter>(seed, seconds(1), None),
        ];
        for seen in seen {
            assert!(
                matches!(seen, Seen::NotLinearizable { .. }),
                "seed {seed}: {seen:?}"
            );
        }
    }
}

#[test]
fn siblings_keep_both_writes_and_stamps_lose_one() {
    for seed in 0..100 {
        let (kept, lost) = (collide::<Siblings>(seed), collide::<LastWriter>(seed));
        assert_eq!((kept.acknowledged, lost.acknowledged), (2, 2));
        let both = Some("left and right".to_owned());
        assert!(
            kept.shown.iter().all(|it| *it == both),
            "seed {seed}: {kept:?}"
        );
        let right = Some("right".to_owned());
        assert!(
            lost.shown.iter().all(|it| *it == right),
            "seed {seed}: {lost:?}"
        );
    }
}

#[test]
fn siblings_are_causally_consistent_and_converge() {
    for seed in 0..100 {
        assert_eq!(sessions(seed, 40), Ok(()), "seed {seed}");
    }
}

#[test]
fn consistency_costs_what_a_message_takes() {
    for seed in 0..100 {
        let delay = Duration::from_millis(1 + seed % 40);
        let consistent = [
            measure::<RaftService>(seed, delay),
            measure::<Majority>(seed, delay),
        ];
        for it in consistent {
            assert!(
                it.linearizable && it.write + it.read >= delay,
                "seed {seed}: {it:?}"
            );
        }
        let quick = [
            measure::<Siblings>(seed, delay),
            measure::<LastWriter>(seed, delay),
        ];
        for it in quick {
            assert!(
                !it.linearizable && it.write + it.read < delay,
                "seed {seed}: {it:?}"
            );
        }
    }
}

#[test]
fn the_demo_stands() {
    for seed in 0..100 {
        let report = run(
            &CapOptions {
                seed,
                cuts: vec![1, 2, 3],
            },
            None,
        );
        assert!(report.stands, "the wall of CAP stands:\n{}", report.text);
    }
    // Nothing was cut, so nothing was shown.
    assert!(
        !run(
            &CapOptions {
                seed: 0,
                cuts: vec![]
            },
            None
        )
        .stands
    );
}
