//! Without commit wait, or with a clock that is outside of its bound, order is lost, and the history shows it: two
//! transactions, when each was in true time, and their timestamps. With the floor on every message the same clock is
//! found out, by name, before anything is done by it.

use synod_sim::serializability::Anomaly;

use super::run::{Lie, Options, Run};
use crate::bank::witness::{Counts, Violation};

const FAR_US: i64 = 50_000;
/// The first node of the first shard.
const LIAR: u64 = 0;
const LIES: [Lie; 4] = [
    off(FAR_US, true),
    off(-FAR_US, true),
    off(FAR_US, false),
    off(-FAR_US, false),
];

const fn off(us: i64, leads: bool) -> Lie {
    Lie::Off { us, leads }
}

fn run(seed: u64, lie: Option<Lie>, floor: bool) -> (Result<Counts, Violation>, Run) {
    let mut run = Run::new(seed, Options { lie, floor });
    run.storm(12_000);
    run.part();
    (run.check(), run)
}

/// Reports of the first of many seeds in which two transactions are the wrong way round by their timestamps, and of the
/// first in which clients can notice by what they read alone.
fn find(lie: Lie) -> String {
    let (mut pair, mut cycle) = (None, None);
    for seed in 0..400 {
        let (checked, run) = run(seed, Some(lie), false);
        let (by_reads, by_timestamps) = run.verdicts(&run.committed().unwrap());
        if let Some(found) = by_reads.violation() {
            assert!(checked.is_err() && !by_timestamps.is_ok(), "{found}");
            cycle.get_or_insert_with(|| format!("seed {seed}: {found}"));
        }
        match checked {
            Err(Violation::RealTime(first, second)) => {
                assert!(first.ended < second.started && second.at <= first.at);
                // A read without locks may stand elsewhere while nothing changes.
                if let Some(found) = by_timestamps.violation() {
                    assert_eq!(found.anomaly, Anomaly::WrongOrder, "{found}");
                    let report = found.to_string();
                    for part in ["was acknowledged at", "at position", "ms to"] {
                        assert!(report.contains(part), "{report}");
                    }
                    let violation = Violation::RealTime(first, second);
                    pair.get_or_insert_with(|| format!("seed {seed}: {violation}\n{report}"));
                }
            }
            // What a lie breaks first may be what a read saw; the pair is in another run.
            Err(Violation::Read(..)) | Ok(_) => {}
            Err(other) => panic!("seed {seed}, {lie:?}: {other}"),
        }
        if let (Some(pair), Some(cycle)) = (&pair, &cycle) {
            return format!("{lie:?}\n{pair}\n{cycle}");
        }
    }
    panic!("{lie:?} is not found: {pair:?}, {cycle:?}");
}

#[test]
fn without_commit_wait_order_is_lost() {
    println!("{}", find(Lie::NoCommitWait));
}

#[test]
fn a_clock_outside_of_its_bound_loses_order_wherever_it_is() {
    for lie in LIES {
        println!("{}", find(lie));
    }
}

#[test]
fn with_the_floor_the_lie_is_refused_and_the_liar_is_named() {
    for lie in LIES {
        for seed in 0..40 {
            let (checked, run) = run(seed, Some(lie), true);
            if let Err(found) = checked {
                panic!("seed {seed}, {lie:?}: {found}");
            }
            assert!(!run.refused.is_empty(), "seed {seed}: {lie:?} passes");
            for found in &run.refused {
                let pair = [found.said_by, found.contradicted_by];
                assert!(pair.contains(&LIAR), "seed {seed}, {lie:?}: {found}");
            }
        }
    }
}

#[test]
fn clocks_within_their_bounds_are_never_refused() {
    for seed in 0..40 {
        let (checked, run) = run(seed, None, true);
        assert!(checked.is_ok(), "seed {seed}: {checked:?}");
        assert_eq!(run.refused, [], "seed {seed}");
    }
}

/// So many others contradict it that it gives up to lead, and somebody else goes on.
#[test]
fn a_leader_whose_clock_lies_gives_up_and_the_others_go_on() {
    for us in [FAR_US, -FAR_US] {
        for seed in 0..20 {
            let lie = Some(off(us, true));
            let mut run = Run::new(seed, Options { lie, floor: true });
            run.storm(12_000);
            let calm = run.calm(150_000);
            assert_eq!(calm, Ok(()), "seed {seed}, {us} µs");
            let doubted: Vec<usize> = (0..run.nodes.len())
                .filter(|i| run.nodes[*i].is_doubted(run.us))
                .collect();
            assert_eq!(doubted, [LIAR as usize], "seed {seed}, {us} µs");
            if let Err(found) = run.check() {
                panic!("seed {seed}, {us} µs: {found}");
            }
        }
    }
}
