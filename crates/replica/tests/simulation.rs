//! Whole nodes in virtual time: the real engine, applier, core and log, on disks that lose, tear,
//! stall, fill up and rot, over a network that loses, duplicates, delays and cuts, with crashes,
//! pauses and inaccurate clocks. A seed determines the faults and their strength.
//!
//! `SIM_RUNS`, `SIM_BASE` and `SIM_BUDGET` enlarge the campaign, `SIM_SEED` runs one seed and
//! prints its events, `SIM_SCRIPT` names a file of faults to replay; `cargo xtask sim` sets them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{MINIMUMS, Options, Run, Subject, script};
use synod_sim::page::{self, Recorder};
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

/// The tests of each protocol.
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
    a_run_that_is_shown_is_the_same,
    a_script_of_faults_strikes_as_written,
    calm_worlds_lose_nothing_and_answer_everything,
    without_a_quorum_requests_end_by_their_deadline,
    a_node_that_was_away_past_compaction_catches_up_under_load,
    rot_on_a_majority_halts_and_never_lies,
    a_full_leader_makes_way_and_writes_go_on,
    one_full_follower_stops_nobody,
    where_all_are_full_reads_go_on_and_writes_are_refused_as_that,
    syncs_slower_than_election_timeouts_keep_their_leader,
}

/// Runs two hundred seeds unless the environment asks for others.
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
    if let Ok(path) = std::env::var("SIM_HTML") {
        let seed = std::env::var("SIM_SEED").ok();
        let seed = seed.or_else(|| Some(given.as_deref().and_then(script::seed)?.to_string()));
        let seed = seed.expect("a page shows one run: SIM_SEED or SIM_SCRIPT names it");
        let trial = draw(parse_seed(&seed));
        return show::<S>(&trial, &replay_of::<S>(trial.seed), Path::new(&path));
    }
    let report = campaign.run(draw, run::<S>);
    if let Some(failure) = report.failure.as_ref().filter(|_| !report.is_ok()) {
        let trial = draw(failure.seed);
        show::<S>(
            &trial,
            &replay_of::<S>(trial.seed),
            &page_of::<S>(trial.seed),
        );
    }
    // A few seeds, run one by one, need not show everything.
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

/// Lets a run come again and leaves it as a page, with the command that repeats it.
fn show<S: Subject>(trial: &Trial, replay: &str, path: &Path) {
    let recorder = Recorder::new(format!("{}, seed {:#x}", S::NAME, trial.seed));
    recorder.about("replay", replay);
    recorder.about("drawn", trial);
    let options = Options::of::<S>(trial);
    Run::<S>::recorded(trial.seed, options, Some(recorder.clone())).show();
    page::leave(&recorder, path);
}

fn replay_of<S: Subject>(seed: u64) -> String {
    replay::<S>().replace("{seed}", &format!("{seed:#x}"))
}

fn page_of<S: Subject>(seed: u64) -> PathBuf {
    page::beside_tests(&format!("{}-{seed:x}.html", S::NAME))
}

fn parse_seed(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn replay<S: Subject>() -> String {
    format!("cargo xtask sim --protocol {} --seed {{seed}}", S::NAME)
}

/// Shrinks the failure of `SIM_SEED` and leaves it as a file.
fn shrinks<S: Subject>() {
    let seed = parse_seed(&std::env::var("SIM_SEED").expect("SIM_SEED names the seed"));
    let drawn = Options::drawn::<S>(seed).trial(seed);
    let shrink = Shrink::new().tries_max(500);
    let Some(shrunk) = shrink.run(&drawn, run::<S>) else {
        println!("seed {seed:#x} does not fail");
        return;
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{seed:x}.sim", S::NAME));
    std::fs::write(&path, script::write(&shrunk.trial, &drawn)).unwrap();
    println!("{shrunk}");
    let again = format!(
        "cargo xtask sim --protocol {} --script {}",
        S::NAME,
        path.display()
    );
    println!("--- replay:\n{again}");
    let page = std::env::var_os("SIM_HTML").map_or_else(|| page_of::<S>(seed), PathBuf::from);
    show::<S>(&shrunk.trial, &again, &page);
}

/// If this failure were not reported, a real one would not be either.
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
        // The last events, each with its time and its node.
        " ms   n",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

/// A page is of the run that failed, and not of one like it.
fn a_run_that_is_shown_is_the_same<S: Subject>() {
    for seed in 0..5 {
        let trial = Options::drawn::<S>(seed).trial(seed);
        let recorder = Recorder::new("shown");
        let options = Options::of::<S>(&trial);
        let mut shown = Run::<S>::recorded(seed, options, Some(recorder.clone()));
        shown.show();
        let same = run::<S>(&trial).fingerprint == shown.world.fingerprint();
        assert!(same, "seed {seed}: another run is shown");
        let page = recorder.html();
        for part in [
            "leader of ",
            "commits up to ",
            "propose ",
            "\"violation\":null",
        ] {
            assert!(page.contains(part), "seed {seed}: no {part}");
        }
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

/// With damage on a majority no correct answer is possible: the nodes do not start, nothing is
/// answered any more, and no wrong answer is given.
fn rot_on_a_majority_halts_and_never_lies<S: Subject>() {
    for seed in 0..10 {
        let mut run = Run::<S>::new(seed, Options::calm());
        run.wait_for_leader();
        run.work_for(Duration::from_secs(1)).unwrap();
        for node in [1, 2] {
            let node = NodeId(node);
            // One bit may be in a record that is not needed any more.
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

/// Only writes, and nothing that frees a disk by itself.
fn writers() -> Options {
    let mut options = Options::calm();
    options.load.reads_percent = 0;
    options.load.gap = Duration::from_millis(20);
    options.engine.snapshot_log_bytes = 1 << 30;
    options
}

/// Works until the log of a node has no room, as its clients learn.
fn fill_up<S: Subject>(run: &mut Run<S>, nodes: &[NodeId]) {
    nodes.iter().for_each(|node| run.fill(*node, true));
    let refused = |run: &Run<S>| run.coverage().get("rejected: no space");
    let before = refused(run);
    for _ in 0..100 {
        run.work_for(Duration::from_millis(100)).unwrap();
        if refused(run) > before {
            return;
        }
    }
    panic!("nothing fills up");
}

/// Rule D3. Without it the leader stayed, and the group refused writes for as long as its disk was
/// full.
fn a_full_leader_makes_way_and_writes_go_on<S: Subject>() {
    for seed in 0..5 {
        let mut run = Run::<S>::new(seed, writers());
        run.wait_for_leader();
        let full = run.leader();
        fill_up(&mut run, &[full]);
        run.work_for(Duration::from_secs(2)).unwrap();
        let before = run.coverage().get("requests answered");
        run.work_for(Duration::from_secs(2)).unwrap();
        let coverage = run.coverage();
        // A third of the clients' requests go to the full node, which rejects them.
        let answered = coverage.get("requests answered") - before;
        assert!(answered > 40, "seed {seed}: {answered}: {coverage}");
        assert_ne!(run.leader(), full, "seed {seed}: it wins again");
        run.fill(full, false);
        run.whole().unwrap();
    }
}

/// The group does not need it, and it catches up when it has space again.
fn one_full_follower_stops_nobody<S: Subject>() {
    for seed in 0..5 {
        let mut run = Run::<S>::new(seed, writers());
        run.wait_for_leader();
        let (leader, full) = (run.leader(), run.all_but_the_leader()[0]);
        let epoch = run.epoch();
        fill_up(&mut run, &[full]);
        let before = run.coverage().get("requests answered");
        run.work_for(Duration::from_secs(2)).unwrap();
        let coverage = run.coverage();
        let answered = coverage.get("requests answered") - before;
        assert!(answered > 40, "seed {seed}: {answered}: {coverage}");
        assert_eq!((run.leader(), run.epoch()), (leader, epoch), "seed {seed}");
        run.fill(full, false);
        run.whole().unwrap();
    }
}

fn where_all_are_full_reads_go_on_and_writes_are_refused_as_that<S: Subject>() {
    for seed in 0..5 {
        let mut options = writers();
        options.load.reads_percent = 50;
        let mut run = Run::<S>::new(seed, options);
        run.wait_for_leader();
        let all = run.world.node_ids();
        fill_up(&mut run, &all);
        run.work_for(Duration::from_secs(3)).unwrap();
        let (leader, epoch, before) = (run.leader(), run.epoch(), run.coverage());
        run.work_for(Duration::from_secs(2)).unwrap();
        let coverage = run.coverage();
        let news = |what| coverage.get(what) - before.get(what);
        assert_eq!(
            (run.leader(), run.epoch()),
            (leader, epoch),
            "seed {seed}: leaders unseat each other"
        );
        assert!(news("requests answered") > 50, "seed {seed}: {coverage}");
        assert!(news("rejected: no space") > 50, "seed {seed}: {coverage}");
        assert_eq!(news("unknown outcomes"), 0, "seed {seed}: {coverage}");
        all.iter().for_each(|node| run.fill(*node, false));
        run.whole().unwrap();
    }
}

/// Rule D2. An election needs a write of the candidate and then one of a voter, and each takes
/// longer than the longest timeout.
fn syncs_slower_than_election_timeouts_keep_their_leader<S: Subject>() {
    for seed in 0..10 {
        let mut options = Options::calm();
        options.world.sync_min = Duration::from_millis(250);
        options.world.sync_mean = Duration::from_millis(50);
        options.load.timeout = Duration::from_secs(10);
        let mut run = Run::<S>::new(seed, options);
        run.work_for(Duration::from_secs(6)).unwrap();
        let (leader, epoch, before) = (run.leader(), run.epoch(), run.coverage());
        run.work_for(Duration::from_secs(20)).unwrap();
        let coverage = run.coverage();
        assert_eq!((run.leader(), run.epoch()), (leader, epoch), "seed {seed}");
        assert!(epoch <= 5, "seed {seed}: {epoch} epochs");
        let answered = coverage.get("requests answered") - before.get("requests answered");
        assert!(answered > 20, "seed {seed}: {answered}: {coverage}");
    }
}

/// Fewer runs than this are not checked against the minimums.
const RUNS_FEW: u64 = 100;
