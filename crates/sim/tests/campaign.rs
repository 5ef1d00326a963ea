//! Campaigns report the first failing seed with all that is needed to see it again, and notice what
//! would let them pass for nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod ring;

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synod_sim::{Campaign, Coverage, Ended, Report, Swarm, Trial};

const HORIZON: Duration = Duration::from_millis(300);
const NEVER: u64 = u64::MAX;

fn draw(seed: u64) -> Trial {
    Trial {
        seed,
        nodes: 3 + seed % 3,
        clients: 1,
        horizon: HORIZON,
        options: Swarm::new(HORIZON).draw(seed),
    }
}

/// Some seeds have an unlucky number.
fn run(trial: &Trial, unlucky: impl Fn(u64) -> u64) -> Ended {
    let mut world = ring::world(trial, unlucky(trial.seed));
    world.run_until(trial.horizon);
    Ended::of(&world)
}

fn sound(trial: &Trial) -> Ended {
    run(trial, |_| NEVER)
}

fn unsound(trial: &Trial) -> Ended {
    run(trial, |seed| match seed {
        1037 | 1038 | 1041.. => 13,
        _ => NEVER,
    })
}

fn campaign(threads: usize) -> Campaign {
    Campaign::new("ring")
        .seeds(1000, 120)
        .threads(NonZero::new(threads).unwrap())
        .replay("SIM_SEED={seed} cargo test --test ring")
}

#[test]
fn sound_runs_pass_and_their_coverage_is_summed_up() {
    let mut sum = Coverage::new();
    (1000..1120).for_each(|seed| sum.merge(&sound(&draw(seed)).coverage));
    for threads in [1, 3] {
        let crashes = sum.get("crashes") * 1000 / 120;
        let report = campaign(threads)
            .at_least("crashes", crashes)
            .run(draw, sound);
        assert!(report.is_ok(), "{report}");
        assert_eq!((report.runs, report.coverage), (120, sum.clone()));
    }
    assert!(
        sum.get("crashes") > 100 && sum.get("partitions") > 100,
        "{sum}"
    );
}

#[test]
fn the_first_failing_seed_is_reported_whatever_the_threads_do() {
    for threads in [1, 2, 4, 8] {
        let report = campaign(threads).run(draw, unsound);
        assert!(!report.is_ok());
        let failure = report.failure.as_ref().unwrap();
        assert_eq!(failure.seed, 1037);
        assert_eq!(
            (failure.message.as_str(), failure.rule()),
            ("unlucky number: 13", "unlucky number")
        );
        assert!(failure.location.contains("ring"), "{}", failure.location);
        assert!(failure.at > Duration::from_millis(60) && failure.at < HORIZON);
        let struck = |fault: &&(Duration, _)| fault.0 <= failure.at;
        assert_eq!(
            failure.faults.iter().filter(struck).count(),
            failure.faults.len()
        );

        let text = report.to_string();
        for part in [
            "FAILED at seed 0x40d",
            "unlucky number: 13",
            "seed 0x40d, 5 nodes, 1 clients, 300ms",
            &draw(1037).options.to_string(),
            " <- n",
            "SIM_SEED=0x40d cargo test --test ring",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert_eq!(
            failure
                .world
                .lines()
                .last()
                .unwrap()
                .trim_end()
                .chars()
                .last(),
            Some('3')
        );
    }
}

#[test]
fn one_seed_runs_alone_with_all_its_events() {
    let report = campaign(2).only(1037).run(draw, unsound);
    assert_eq!(
        (report.runs, report.failure.as_ref().unwrap().seed),
        (1, 1037)
    );
    let first = |report: &Report| {
        report
            .failure
            .as_ref()
            .unwrap()
            .world
            .contains("starts, incarnation 1\n")
    };
    assert!(first(&report), "{report}");
    assert!(campaign(2).only(1039).run(draw, unsound).is_ok());
}

#[test]
fn events_that_nobody_kept_are_there_when_it_fails() {
    let draw = |seed| {
        let mut trial = draw(seed);
        trial.options.events_kept_max = 0;
        trial
    };
    let failure = campaign(1).run(draw, unsound).failure.unwrap();
    assert!(failure.world.lines().count() > 50, "{}", failure.world);
}

#[test]
fn the_canary_is_reported_like_any_failure() {
    let report = campaign(2).canary(1007).run(draw, sound);
    let failure = report.failure.as_ref().unwrap();
    assert_eq!((failure.seed, failure.rule()), (1007, "canary"));
    assert!(failure.world.contains(" <- n"), "it has events: {report}");
    assert!(report.to_string().contains("SIM_SEED=0x3ef cargo test"));
    assert!(
        campaign(2).canary(7).run(draw, sound).is_ok(),
        "a seed that is not run"
    );
}

#[test]
fn what_is_seen_too_rarely_is_a_failure() {
    let few = |trial: &Trial| {
        let mut ended = sound(trial);
        ended
            .coverage
            .add("elections", u64::from(trial.seed.is_multiple_of(20)));
        ended
    };
    assert!(campaign(2).at_least("elections", 50).run(draw, few).is_ok());
    let report = campaign(2).at_least("elections", 60).run(draw, few);
    assert!(!report.is_ok());
    assert_eq!(report.missing, [("elections", 6, 7)]);
    assert!(
        report
            .to_string()
            .contains("VACUOUS: elections 6, and 7 are needed")
    );
    assert!(!campaign(2).at_least("tigers", 9).run(draw, few).is_ok());
    let one = campaign(2).at_least("tigers", 9).only(1000).run(draw, few);
    assert!(one.is_ok(), "one run need not see everything");
}

#[test]
fn a_campaign_without_a_run_shows_nothing() {
    let report = campaign(2).budget(Duration::ZERO).run(draw, sound);
    assert_eq!(report.runs, 0);
    assert!(!report.is_ok() && report.to_string().contains("VACUOUS"));
}

#[test]
fn runs_that_differ_are_a_failure() {
    let runs = AtomicU64::new(0);
    let report = campaign(1).run(draw, |trial| {
        let mut ended = sound(trial);
        // The 102nd run is the second one of seed 1100.
        ended.fingerprint += u128::from(runs.fetch_add(1, Ordering::Relaxed) == 102);
        ended
    });
    let failure = report.failure.unwrap();
    assert_eq!((failure.seed, failure.rule()), (1100, "determinism"));
}

#[test]
fn a_draw_that_panics_is_the_failure_of_its_seed() {
    let draw = |seed| match seed {
        1003 => panic!("no such seed: {seed}"),
        seed => draw(seed),
    };
    let failure = campaign(2).run(draw, sound).failure.unwrap();
    assert_eq!((failure.seed, failure.rule()), (1003, "no such seed"));
}

#[test]
fn the_replay_of_runs_that_differ_fails_too() {
    let runs = AtomicU64::new(0);
    let report = campaign(1).only(1100).run(draw, |trial| {
        let mut ended = sound(trial);
        ended.fingerprint += u128::from(runs.fetch_add(1, Ordering::Relaxed));
        ended
    });
    assert_eq!(report.failure.unwrap().rule(), "determinism");
}

#[test]
fn a_panic_that_the_run_has_caught_is_not_its_failure() {
    let caught = |trial: &Trial| {
        std::panic::catch_unwind(|| run(trial, |_| 5)).unwrap_err();
        sound(trial)
    };
    assert!(campaign(2).run(draw, caught).is_ok());
    let report = campaign(2).run(draw, |trial| {
        caught(trial);
        unsound(trial)
    });
    let failure = report.failure.unwrap();
    assert_eq!(
        (failure.seed, failure.message.as_str()),
        (1037, "unlucky number: 13")
    );
    assert!(failure.at > Duration::from_millis(60), "{:?}", failure.at);
    let report = campaign(2).run(draw, |trial| {
        caught(trial);
        assert!(trial.seed != 1037, "another: place");
        sound(trial)
    });
    let failure = report.failure.unwrap();
    assert!(
        failure.location.contains("campaign.rs"),
        "{}",
        failure.location
    );
    assert!(failure.world.is_empty(), "it had no world any more");
}

#[test]
fn one_run_need_not_see_what_a_thousand_see_often() {
    let one = campaign(2)
        .at_least("tigers", 5000)
        .only(1000)
        .run(draw, sound);
    assert!(one.is_ok(), "{one}");
}
