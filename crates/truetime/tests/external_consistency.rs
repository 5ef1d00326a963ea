//! Spanner's promise, in a world that knows the true time: if one transaction's result was seen before
//! another one began, the first has the smaller timestamp. And what is lost without commit wait, and
//! with clocks that break their bounds; and that the causal floor notices.
//!
//! 20 000 pairs, the first at node A, the second at node B; from the one's release it takes 0.1 ms, through a
//! client, to the other one's arrival.

use core::time::Duration;

use synod_truetime::sim::{Offset, World};
use synod_truetime::{CausalFloor, CommitWait, Interval, Timestamp, TrueTime, Wait};

const PAIRS: u32 = 20_000;

const HOP: Duration = Duration::from_micros(100);

/// A way to run the pairs.
#[derive(Clone, Copy, Debug)]
struct Case {
    claimed: Duration,
    /// Offsets are drawn up to that, to either side.
    offset_max: Duration,
    consensus: Duration,
    /// How far A and B are off beyond what is drawn, in nanoseconds.
    excess: [i64; 2],
    commit_wait: bool,
    /// Whether a violation of the floor keeps the second transaction from being committed.
    floor: bool,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// The second has no greater timestamp, and was committed.
    violations: u32,
    /// The floor refused, and it would have been a violation.
    caught: u32,
    /// The floor refused, and the timestamps would have been in order.
    alarms: u32,
    /// Of the first transaction, from its arrival to its release, on average.
    latency: Duration,
    /// Of a commit wait, what consensus did not hide, at most.
    exposed_max: Duration,
}

const IN_BOUND: Case = Case {
    claimed: Duration::from_millis(4),
    offset_max: Duration::from_millis(4),
    consensus: Duration::from_micros(500),
    excess: [0, 0],
    commit_wait: true,
    floor: false,
};

#[test]
fn in_bound_with_commit_wait_nothing_is_out_of_order() {
    let outcome = run(IN_BOUND);
    assert_eq!((outcome.violations, outcome.alarms), (0, 0));
    assert_millis(outcome.latency, 8.0);
    assert_millis(outcome.exposed_max, 7.5);
}

#[test]
fn consensus_hides_itself_in_the_wait() {
    let outcome = run(Case {
        consensus: Duration::from_millis(5),
        ..IN_BOUND
    });
    assert_eq!(outcome.violations, 0);
    assert_millis(outcome.latency, 8.0);
    assert_millis(outcome.exposed_max, 3.0);
    let outcome = run(Case {
        consensus: Duration::from_millis(9),
        ..IN_BOUND
    });
    assert_millis(outcome.latency, 9.0);
    assert_eq!(outcome.exposed_max, Duration::ZERO);
}

/// The rate is that of two offsets that differ by more than what lies between the two timestamps: the hop
/// and consensus. For offsets that are uniform over 8 ms it is `(8 - x)^2 / 128`.
#[test]
fn without_commit_wait_the_checker_finds_violations() {
    for (consensus_micros, expected, measured) in [(500, 0.428, 0.430), (5_000, 0.0657, 0.068)] {
        let outcome = run(Case {
            commit_wait: false,
            consensus: Duration::from_micros(consensus_micros),
            ..IN_BOUND
        });
        let rate = f64::from(outcome.violations) / f64::from(PAIRS);
        println!(
            "consensus of {consensus_micros} us, no commit wait: {:.1} % of {PAIRS} pairs out of order",
            rate * 100.0
        );
        // Three standard deviations of so many pairs are 1 %.
        assert!((rate - expected).abs() < 0.011, "{rate}");
        assert!((rate - measured).abs() < 0.011, "{rate}");
    }
}

/// Out of bound, nothing helps but the floor.
#[test]
fn out_of_bound_every_causally_linked_violation_is_caught() {
    let fast = [50_000_000, 0];
    let slow = [0, -50_000_000];
    let beyond = [9_000_000, 0];
    for (excess, share) in [(fast, 1.0), (slow, 1.0), (beyond, 0.614)] {
        let case = Case { excess, ..IN_BOUND };
        let silent = run(case);
        let rate = f64::from(silent.violations) / f64::from(PAIRS);
        println!("{excess:?}: {:.1} % out of order", rate * 100.0);
        assert!((rate - share).abs() < 0.02, "{excess:?}: {rate}");
        let guarded = run(Case {
            floor: true,
            ..case
        });
        assert_eq!(guarded.violations, 0, "{excess:?}");
        assert_eq!(guarded.caught, silent.violations, "{excess:?}");
    }
}

/// A bound that is claimed too small, by both. Beyond what it catches, the floor finds breaches that have
/// not put anything out of order.
#[test]
fn an_overconfident_bound_is_caught() {
    let fixed = [2_000_000, -2_000_000];
    for (claimed_micros, offset_millis, excess, share) in [
        (100, 0, fixed, 1.0),
        (100, 2, [0, 0], 0.361),
        (2_000, 4, [0, 0], 0.118),
    ] {
        let case = Case {
            claimed: Duration::from_micros(claimed_micros),
            offset_max: Duration::from_millis(offset_millis),
            excess,
            ..IN_BOUND
        };
        let silent = run(case);
        let guarded = run(Case {
            floor: true,
            ..case
        });
        let rates = [silent.violations, guarded.alarms].map(|it| f64::from(it) / f64::from(PAIRS));
        println!(
            "{claimed_micros} us claimed: {:.1} % out of order, {:.1} % more alarms",
            rates[0] * 100.0,
            rates[1] * 100.0
        );
        assert!((rates[0] - share).abs() < 0.011, "{silent:?}");
        assert_eq!(guarded.violations, 0);
        assert_eq!(guarded.caught, silent.violations);
    }
}

#[test]
fn the_floor_never_alarms_in_bound() {
    for commit_wait in [true, false] {
        let outcome = run(Case {
            commit_wait,
            floor: true,
            ..IN_BOUND
        });
        assert_eq!((outcome.caught, outcome.alarms), (0, 0));
        // Without the wait the floor has nothing to go by: it is no replacement for it.
        assert_eq!(outcome.violations > 0, !commit_wait);
    }
}

fn run(case: Case) -> Outcome {
    let world = World::new(6);
    let mut outcome = Outcome::default();
    let mut latency_sum = Duration::ZERO;
    for _ in 0..PAIRS {
        let [a, b] = case.excess.map(|excess| {
            let offset_max = case.offset_max.as_nanos() as i64;
            let offset = world.draw(-offset_max, offset_max) + excess;
            Offset::new(&world, offset, case.claimed)
        });
        // Floors are of this pair alone: offsets are drawn anew for the next.
        let floors = [CausalFloor::new(), CausalFloor::new()];
        let client = CausalFloor::new();
        let arrived = world.now();
        let (first, released) = first(&world, &a, case, &mut outcome);
        latency_sum += world.now() - arrived;
        let carried = floors[0].outgoing(&released);
        // The client has no clock, and only carries.
        let carried = client.outgoing(&Interval::at(carried));
        world.advance(HOP);
        // The check and the choice of the timestamp by one reading.
        let reading = b.now().expect("it always knows");
        let refused = case.floor && floors[1].incoming(carried, &reading).is_err();
        let second = reading.latest();
        match (second <= first, refused) {
            (true, true) => outcome.caught += 1,
            (true, false) => outcome.violations += 1,
            (false, true) => outcome.alarms += 1,
            (false, false) => {}
        }
    }
    outcome.latency = latency_sum / PAIRS;
    outcome
}

/// The first transaction: its timestamp, and the reading at its release.
fn first(world: &World, node: &Offset, case: Case, outcome: &mut Outcome) -> (Timestamp, Interval) {
    let mut wait = CommitWait::start(&node.now().expect("it always knows"));
    world.advance(case.consensus);
    if case.commit_wait {
        while let Wait::Sleep(duration) = wait.poll(node).expect("it always knows") {
            world.advance(duration);
        }
        let exposed = wait.overlap().exposed;
        outcome.exposed_max = outcome.exposed_max.max(exposed);
    }
    (wait.timestamp(), node.now().expect("it always knows"))
}

fn assert_millis(duration: Duration, millis: f64) {
    let taken = duration.as_secs_f64() * 1e3;
    assert!((taken - millis).abs() < 0.001, "{taken} ms");
}
