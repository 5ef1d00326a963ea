//! Whole nodes in virtual time: the real engine, applier, core and log on disks that lose, tear,
//! stall, fill up and rot, over a network that loses, repeats, delays and cuts, with crashes, pauses
//! and clocks that err. Which of it, and how strong, is drawn from a seed.
//!
//! `SIM_RUNS`, `SIM_BASE` and `SIM_BUDGET` make the campaign larger, `SIM_SEED` runs one seed with
//! all its events, `SIM_SCRIPT` names a file of faults to replay; `cargo xtask sim` sets them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;

use std::path::Path;
use std::time::Duration;

use cluster::{MINIMUMS, Options, Run, Subject, script};
use synod_sim::{Campaign, Crash, Ended, NodeId, Script, Shrink, Trial};

#[cfg(feature = "raft")]
#[test]
fn raft_keeps_its_rules() {
    keeps_its_rules::<cluster::Raft>();
}

#[cfg(feature = "raft")]
#[test]
#[ignore = "for a seed that fails, by `cargo xtask shrink`"]
fn raft_shrinks() {
    shrinks::<cluster::Raft>();
}

#[cfg(feature = "paxos")]
#[test]
fn paxos_keeps_its_rules() {
    keeps_its_rules::<cluster::Paxos>();
}

#[cfg(feature = "paxos")]
#[test]
#[ignore = "for a seed that fails, by `cargo xtask shrink`"]
fn paxos_shrinks() {
    shrinks::<cluster::Paxos>();
}

/// Of each protocol.
macro_rules! tests {
    ($($name:ident,)*) => {
        #[cfg(feature = "raft")]
        mod raft {
            $(#[test] fn $name() { super::$name::<super::cluster::Raft>(); })*
        }
        #[cfg(feature = "paxos")]
        mod paxos {
            $(#[test] fn $name() { super::$name::<super::cluster::Paxos>(); })*
        }
    };
}

tests! {
    the_canary_is_reported,
    a_script_of_faults_strikes_as_written,
    calm_worlds_lose_nothing_and_answer_everything,
    without_a_quorum_requests_end_by_their_deadline,
    a_node_that_was_away_past_compaction_catches_up_under_load,
    rot_on_a_majority_halts_and_never_lies,
}

/// Two hundred seeds unless the environment wants others.
fn keeps_its_rules<S: Subject>() {
    let campaign = Campaign::new(S::NAME).seeds(0, 200).replay(replay::<S>());
    let minimums = MINIMUMS.iter().chain(S::MINIMUMS);
    let campaign = minimums.fold(campaign, |campaign, (what, least)| {
        campaign.at_least(what, *least)
    });
    let mut campaign = campaign
        .with_environment()
        .unwrap_or_else(|e| panic!("{e}"));
    let given = std::env::var("SIM_SCRIPT").ok();
    let given = given.map(|path| std::fs::read_to_string(path).unwrap());
    if let Some(seed) = given.as_deref().and_then(script::seed) {
        campaign = campaign.only(seed);
    }
    let draw = |seed| {
        let mut trial = Options::drawn::<S>(seed).trial(seed);
        if let Some(text) = &given {
            script::read(text, &mut trial);
        }
        trial
    };
    let report = campaign.run(draw, run::<S>);
    // A few seeds, looked at one by one, need not show everything.
    let few = report.failure.is_none() && (1..RUNS_FEW).contains(&report.runs);
    assert!(report.is_ok() || few, "{report}");
    println!("{report}");
}

fn run<S: Subject>(trial: &Trial) -> Ended {
    let options = Options::of::<S>(trial);
    let shown = options.to_string();
    let mut run = Run::<S>::new(trial.seed, options);
    match run.whole() {
        Ok(coverage) => Ended {
            fingerprint: run.world.fingerprint(),
            coverage,
        },
        Err(violation) => panic!("{violation}\n{shown}"),
    }
}

fn replay<S: Subject>() -> String {
    format!("cargo xtask sim --protocol {} --seed {{seed}}", S::NAME)
}

/// Makes the failure of `SIM_SEED` small and leaves it as a file.
fn shrinks<S: Subject>() {
    let text = std::env::var("SIM_SEED").expect("SIM_SEED names the seed");
    let seed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    };
    let drawn = Options::drawn::<S>(seed).trial(seed);
    let shrink = Shrink::new().tries_max(500);
    let Some(shrunk) = shrink.run(&drawn, run::<S>) else {
        println!("seed {seed:#x} does not fail");
        return;
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{seed:x}.sim", S::NAME));
    std::fs::write(&path, script::write(&shrunk.trial, &drawn)).unwrap();
    println!("{shrunk}");
    println!(
        "--- replay:\ncargo xtask sim --protocol {} --script {}",
        S::NAME,
        path.display()
    );
}

/// If this were not told, a real failure would not be either.
fn the_canary_is_reported<S: Subject>() {
    let draw = |seed| Options::drawn::<S>(seed).trial(seed);
    let campaign = Campaign::new("canary").seeds(0, 4).canary(2);
    let report = campaign.replay(replay::<S>()).run(draw, run::<S>);
    assert!(!report.is_ok());
    let failure = report.failure.as_ref().unwrap();
    assert_eq!((failure.seed, failure.rule()), (2, "canary"));
    let text = report.to_string();
    for part in [
        "seed 0x2",
        "--seed 0x2",
        "nodes",
        "restart after",
        "incarnation",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

fn a_script_of_faults_strikes_as_written<S: Subject>() {
    let script: Script = "
        0.6s crash n1 power now for 0.3s
        0.7s partition n2>n3 for 0.2s
        1s   sync-error n2
        1.2s clock n3 freeze 0.1s
    "
    .parse()
    .unwrap();
    let mut options = Options::calm();
    options.load.horizon = Duration::from_secs(2);
    options.world.script = Some(script.clone());
    let mut run = Run::<S>::new(1, options);
    run.whole().unwrap();
    assert_eq!(run.world.faults(), script.0);
}

fn calm_worlds_lose_nothing_and_answer_everything<S: Subject>() {
    for seed in 0..5 {
        let mut run = Run::<S>::new(seed, Options::calm());
        run.wait_for_leader();
        let coverage = run.whole().unwrap();
        assert_eq!(
            coverage.get("unknown outcomes"),
            0,
            "seed {seed}: {coverage}"
        );
        assert_eq!(coverage.get("requests"), coverage.get("requests answered"));
        assert!(coverage.get("requests") > 100, "seed {seed}: {coverage}");
    }
}

fn without_a_quorum_requests_end_by_their_deadline<S: Subject>() {
    let mut run = Run::<S>::new(7, Options::calm());
    run.wait_for_leader();
    let others = run.all_but_the_leader();
    others
        .iter()
        .for_each(|node| run.world.crash(*node, Crash::Power));
    let before = run.coverage();
    run.work_for(Duration::from_secs(2)).unwrap();
    let during = run.coverage();
    let unanswered = during.get("unknown outcomes") + during.get("rejected: expired");
    assert!(unanswered > 4, "{during}");
    let answered = during.get("requests answered") - before.get("requests answered");
    assert!(answered < 4, "{during}");
    assert!(others.iter().all(|node| run.world.restart(*node)));
    let after = run.whole().unwrap();
    assert!(after.get("requests answered") > during.get("requests answered") + 20);
}

fn a_node_that_was_away_past_compaction_catches_up_under_load<S: Subject>() {
    let mut run = Run::<S>::new(11, Options::calm());
    run.wait_for_leader();
    let away = run.all_but_the_leader()[0];
    run.world.crash(away, Crash::Power);
    run.work_for(Duration::from_secs(2)).unwrap();
    assert!(run.world.restart(away));
    let coverage = run.whole().unwrap();
    let received = run.world.process(away).unwrap().status().snapshots_received;
    assert!(received > 0, "{coverage}");
}

/// With rot on a majority there is nothing right to be said: the nodes do not start, nothing is
/// answered any more, and nothing that is said is wrong.
fn rot_on_a_majority_halts_and_never_lies<S: Subject>() {
    for seed in 0..10 {
        let mut run = Run::<S>::new(seed, Options::calm());
        run.wait_for_leader();
        run.work_for(Duration::from_secs(1)).unwrap();
        for node in [1, 2] {
            let node = NodeId(node);
            // One bit may be in a record that nobody needs any more.
            let mut rots = 0;
            while !run.refuses_to_start(node) {
                rots += 1;
                assert!(rots < 100, "seed {seed}: nothing rots at {node}");
                run.rot(node, seed * 1000 + rots);
            }
        }
        let before = run.coverage().get("requests answered");
        run.work_for(Duration::from_secs(2)).unwrap();
        let coverage = run.coverage();
        assert_eq!(
            coverage.get("requests answered"),
            before,
            "seed {seed}: {coverage}"
        );
        assert!(run.world.process(NodeId(1)).is_none() && run.world.process(NodeId(2)).is_none());
    }
}

/// Fewer runs than this are not held against the minimums.
const RUNS_FEW: u64 = 100;
