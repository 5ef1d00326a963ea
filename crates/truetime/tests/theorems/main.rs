//! What the papers prove, on random inputs.

use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use synod_truetime::lease::{LeaseInterval, LeaseRequest, LeaseVote, LogLease, Promise};
use synod_truetime::{CausalFloor, Drift, Interval, NoAgreement, Timestamp, Wait, marzullo};

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// Of a width up to that, anywhere.
fn intervals(width_max: i64) -> impl Strategy<Value = Interval> {
    (-1_000..1_000_i64, 0..=width_max)
        .prop_map(|(earliest, width)| Interval::spanning(at(earliest), at(earliest + width)))
}

/// Close together, so that they overlap in every way.
fn near(width_max: i64) -> impl Strategy<Value = Interval> {
    (-40..40_i64, 0..=width_max)
        .prop_map(|(earliest, width)| Interval::spanning(at(earliest), at(earliest + width)))
}

/// A reading at some true time by a clock that is in bound.
fn reading(now: i64, below: i64, above: i64) -> Interval {
    Interval::spanning(at(now - below), at(now + above))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn before_is_a_strict_partial_order(a in intervals(50), b in intervals(50), c in intervals(50)) {
        prop_assert!(!a.definitely_before(&a));
        prop_assert!(!(a.definitely_before(&b) && b.definitely_before(&a)));
        if a.definitely_before(&b) && b.definitely_before(&c) {
            prop_assert!(a.definitely_before(&c));
        }
        let apart = a.definitely_before(&b) || b.definitely_before(&a);
        prop_assert_eq!(a.intersect(&b).is_none(), apart);
        prop_assert_eq!(a.intersect(&b), b.intersect(&a));
    }

    #[test]
    fn ages_are_judged_rightly(
        then in (-1_000..1_000_i64, 0..50_i64, 0..50_i64),
        passed in 0..500_i64, below in 0..50_i64, above in 0..50_i64, length in 0..500_i64,
    ) {
        let entry = reading(then.0, then.1, then.2);
        let now = reading(then.0 + passed, below, above);
        let duration = Duration::from_nanos(length.unsigned_abs());
        if entry.older_than(duration, &now) {
            prop_assert!(passed > length);
        }
        if entry.younger_than(duration, &now) {
            prop_assert!(passed < length);
        }
    }

    #[test]
    fn growth_is_monotone_and_rounded_up(
        ppb in 0..=100_000_000_u32, elapsed in 0..u64::MAX / 2, more in 0..1_000_000_u64,
    ) {
        let drift = Drift::from_ppb(ppb);
        prop_assert!(drift.growth(elapsed) <= drift.growth(elapsed + more));
        // elapsed * ppb / (1e9 - ppb), exactly, is not above it, and at most 1 ns and 1 ppb below.
        let exact = u128::from(elapsed) * u128::from(ppb);
        let growth = u128::from(drift.growth(elapsed));
        prop_assert!(growth * (1_000_000_000 - u128::from(ppb)) >= exact);
        let slack = 2 + u128::from(elapsed) / 1_000_000_000;
        prop_assert!(growth <= exact / (1_000_000_000 - u128::from(ppb)) + slack);
    }

    /// Definition: a point is covered enough if all but `faulty_max` intervals hold it.
    #[test]
    fn marzullo_is_the_hull_of_what_enough_cover(
        given in vec(near(30), 1..9), faulty in 0..4_usize,
    ) {
        let covered = |point: i64| given.iter().filter(|it| it.contains(at(point))).count();
        let points: Vec<i64> = (-40..=70)
            .filter(|point| covered(*point) + faulty >= given.len())
            .collect();
        match marzullo(&given, faulty) {
            Ok(agreement) => {
                prop_assert!(!points.is_empty(), "no point has enough cover");
                prop_assert_eq!(agreement.interval.earliest(), at(points[0]));
                prop_assert_eq!(agreement.interval.latest(), at(points[points.len() - 1]));
                for (number, interval) in given.iter().enumerate() {
                    let agrees = points.iter().any(|point| interval.contains(at(*point)));
                    prop_assert_eq!(agreement.truechimers.contains(number), agrees);
                    prop_assert_eq!(agreement.falsetickers.contains(number), !agrees);
                }
            }
            Err(NoAgreement::TooFew { .. }) => prop_assert!(given.len() <= 2 * faulty),
            Err(_) => prop_assert!(points.is_empty()),
        }
    }

    #[test]
    fn marzullo_holds_true_time_and_names_only_liars(
        honest in vec((0..300_i64, 0..300_i64), 5..9), lies in vec(intervals(300), 0..5),
        order in any::<prop::sample::Index>(),
    ) {
        let now = 17;
        let mut given: Vec<_> = honest.iter().map(|(below, above)| reading(now, *below, *above)).collect();
        given.extend(&lies);
        let rotation = order.index(given.len());
        given.rotate_left(rotation);
        let agreement = marzullo(&given, lies.len()).unwrap();
        prop_assert!(agreement.interval.contains(at(now)));
        for number in agreement.falsetickers.iter() {
            prop_assert!(!given[number].contains(at(now)), "an honest one is named");
        }
    }

    #[test]
    fn marzullo_does_not_depend_on_the_order(given in vec(intervals(900), 3..9), seed in any::<prop::sample::Index>()) {
        let mut turned = given.clone();
        turned.rotate_left(seed.index(given.len()));
        turned.swap(0, 1);
        let interval = |given: &[Interval]| marzullo(given, 1).map(|it| it.interval);
        prop_assert_eq!(interval(&given).ok(), interval(&turned).ok());
    }

    #[test]
    fn marzullo_never_shrinks_when_an_input_grows(
        given in vec(intervals(900), 3..9), which in any::<prop::sample::Index>(), by in 0..100_u64,
    ) {
        if let Ok(before) = marzullo(&given, 1) {
            let mut grown = given.clone();
            let number = which.index(given.len());
            grown[number] = given[number].widen(by);
            let after = marzullo(&grown, 1).unwrap().interval;
            prop_assert_eq!(after.hull(&before.interval), after);
        }
    }

    /// The floor's first theorem: whatever is sent, through whomever, between clocks in bound.
    #[test]
    fn the_floor_never_alarms_in_bound(
        hops in vec((0..4_usize, 0..4_usize, 0..30_i64, 0..50_i64, 0..50_i64, 0..50_i64, 0..50_i64), 1..60),
    ) {
        let floors: [CausalFloor; 4] = Default::default();
        let mut now = 0;
        for (from, to, takes, below, above, later_below, later_above) in hops {
            let carried = floors[from].outgoing(&reading(now, below, above));
            now += takes;
            let received = reading(now, later_below, later_above);
            prop_assert!(floors[to].incoming(carried, &received).is_ok());
            prop_assert!(floors[to].own(&received).is_ok());
        }
    }

    /// The second theorem: clocks anywhere, a chain of messages of any length; what is not refused is in
    /// order.
    #[test]
    fn the_floor_misses_nothing_that_commit_wait_has_ordered(
        first in near(50), waited in (1..100_i64, 0..50_i64), chain in vec(near(50), 1..6),
    ) {
        // Commit wait: released when `earliest` has passed the timestamp.
        let released = reading(first.latest().as_nanos() + waited.0, 0, waited.1);
        let mut carried = CausalFloor::new().outgoing(&released);
        for (number, received) in chain.iter().enumerate() {
            let node = CausalFloor::new();
            if node.incoming(carried, received).is_err() {
                return Ok(());
            }
            let second = received.latest();
            prop_assert!(second > first.latest(), "hop {number} is out of order");
            carried = node.outgoing(received);
        }
    }

    /// Spanner's leases: any two quorums of three voters, any delays, any clocks in bound.
    #[test]
    fn leases_of_two_leaders_are_disjoint(
        asks in vec((0..2_u8, 0..3_usize, 0..40_i64, (0..20_i64, 0..20_i64), (0..20_i64, 0..20_i64)), 1..60),
        probes in vec((0..20_i64, 0..20_i64), 10),
    ) {
        let length = Duration::from_nanos(100);
        let mut votes = [const { LeaseVote::<u8>::new(Duration::from_nanos(100)) }; 3];
        let mut requests = [[None; 3]; 2];
        // Of each leader: when it could act, in true time, and by which lease.
        let mut leases: Vec<(u8, i64, LeaseInterval)> = Vec::new();
        let mut now = 0;
        for (leader, voter, takes, asked, answered) in asks {
            let request = LeaseRequest::new(&reading(now, asked.0, asked.1));
            now += takes;
            if let Ok(unstored) = votes[voter].ask(leader, &reading(now, answered.0, answered.1)) {
                prop_assert_eq!(unstored.stored().to, leader);
                requests[usize::from(leader)][voter] = Some(request);
            }
            let voted: Vec<_> = requests[usize::from(leader)].iter().copied().flatten().collect();
            if voted.len() >= 2 {
                // The two that asked last; the third may be missing.
                let mut latest = voted.clone();
                latest.sort_by_key(|it| std::cmp::Reverse(it.asked()));
                let heard = reading(now, answered.0, answered.1);
                let lease = LeaseInterval::granted(latest.into_iter().take(2), length, &heard);
                leases.extend(lease.map(|lease| (leader, now, lease)));
            }
        }
        for (one, since, lease) in &leases {
            for (other, others_since, others) in &leases {
                if one == other || others_since < since {
                    continue;
                }
                // From then on the other one acts. By no clock in bound may the first one still do so.
                for (below, above) in &probes {
                    let clock = reading(*others_since, *below, *above);
                    prop_assert!(!lease.holds(&clock), "two leaders: {lease:?} {others:?} {clock}");
                }
                // And no timestamp of the one is among those that the other one may assign.
                prop_assert!(lease.end() <= others.start(), "two leaders assign: {lease:?} {others:?}");
            }
        }
    }

    /// Nothing that is assigned is below `latest`, or outside the lease, or given twice.
    #[test]
    fn assigned_timestamps_rise_inside_the_lease(readings in vec((0..20_i64, 0..20_i64, 0..20_i64), 1..40)) {
        let length = Duration::from_nanos(150);
        let start = reading(0, 3, 3);
        let lease = LeaseInterval::granted([LeaseRequest::new(&start)], length, &start).unwrap();
        let (mut previous, mut now) = (None, 0);
        for (passes, below, above) in readings {
            now += passes;
            let clock = reading(now, below, above);
            if let Some(given) = lease.assign(previous, &clock) {
                prop_assert!(given >= clock.latest() && given > at(now - 1));
                prop_assert!(given >= lease.start() && given < lease.end());
                prop_assert!(previous.is_none_or(|previous| previous < given));
                previous = Some(given);
            } else {
                prop_assert!(clock.latest() >= lease.end() || previous >= Some(lease.end().earlier(1)));
            }
        }
    }

    /// LeaseGuard: the old leader reads while the new one must not yet commit.
    #[test]
    fn the_log_lease_never_lets_both_act(
        entry in (0..40_i64, 0..40_i64), behind in (0..20_i64, 0..40_i64, 0..40_i64),
        probe in 60..200_i64, old in (0..40_i64, 0..40_i64), new in (0..40_i64, 0..40_i64),
    ) {
        let lease = LogLease::new(Duration::from_nanos(100));
        let committed = reading(0, entry.0, entry.1);
        // The new leader's last entry of older terms was written at the same time, or after.
        let last = if behind.0 == 0 { committed } else { reading(behind.0, behind.1, behind.2) };
        let reads = lease.may_read(&committed, &reading(probe, old.0, old.1));
        let clock = reading(probe, new.0, new.1);
        prop_assert!(!(reads && lease.may_commit(&last, &clock)));
        match lease.poll_commit(&last, &clock) {
            Wait::Done => prop_assert!(probe > 100),
            Wait::Sleep(rest) => {
                // A clock that has moved on by that is past it; one that has not is not.
                let rest = i64::try_from(rest.as_nanos()).unwrap();
                prop_assert!(lease.may_commit(&last, &reading(probe + rest, new.0, new.1)));
                prop_assert!(!lease.may_commit(&last, &reading(probe + rest - 1, new.0, new.1)));
            }
        }
    }
}

/// Two groups, each large enough, and one in the gap between them: the answer spans the gap, and yet who is
/// only there is wrong. It takes seven sources.
#[test]
fn who_is_only_in_a_gap_is_a_falseticker() {
    let interval = |earliest, latest| Interval::spanning(at(earliest), at(latest));
    let [both, low, high] = [interval(0, 100), interval(0, 10), interval(90, 100)];
    let given = [both, both, low, low, high, high, interval(50, 60)];
    let agreement = marzullo(&given, 3).unwrap();
    assert_eq!(agreement.interval, both);
    assert_eq!(agreement.falsetickers.iter().collect::<Vec<_>>(), [6]);
}

/// At every reading that overlaps the end of the promise, the vote may still be the other one's.
#[test]
fn a_vote_is_held_until_it_is_certainly_over() {
    let mut vote = LeaseVote::new(Duration::from_nanos(100));
    let until = vote.ask(1, &reading(0, 4, 4)).unwrap().stored().until;
    assert_eq!(until, at(104));
    for now in [90, 100, 104, 108] {
        assert!(vote.ask(2, &reading(now, 4, 4)).is_err(), "at {now}");
    }
    assert!(vote.ask(2, &reading(109, 4, 4)).is_ok());
}

/// After a restart a voter knows what it has promised.
#[test]
fn a_stored_promise_outlives_a_restart() {
    let length = Duration::from_secs(10);
    let now = |seconds: i64| reading(seconds * 1_000_000_000, 4_000_000, 4_000_000);
    let mut vote = LeaseVote::new(length);
    let unstored = vote.ask(1, &now(0)).unwrap();
    let mut restored = LeaseVote::restore(length, Some(unstored.promise()));
    let held = restored.ask(2, &now(10)).unwrap_err();
    assert_eq!((held.by, held.until), (1, now(10).latest()));
}

/// What was promised last, by the one that it was promised to: nothing else gives a vote back.
#[test]
fn only_the_last_promise_is_given_back() {
    let length = Duration::from_secs(10);
    let now = |seconds: i64| reading(seconds * 1_000_000_000, 4_000_000, 4_000_000);
    let mut vote = LeaseVote::new(length);
    let first = vote.ask(1, &now(0)).unwrap().stored();
    vote.given_back(&Promise { to: 2, ..first });
    assert!(vote.ask(2, &now(1)).is_err(), "it was not its to give");
    vote.given_back(&first);
    let second = vote.ask(1, &now(1)).unwrap().stored();
    // The message is heard twice.
    vote.given_back(&first);
    assert!(vote.ask(2, &now(2)).is_err(), "it holds the second promise");
    vote.given_back(&second);
    assert!(vote.ask(2, &now(2)).is_ok());
}

/// What lies between two leases of one leader may be in another one's.
#[test]
fn a_lease_that_was_over_is_not_extended_over_the_gap() {
    let length = Duration::from_nanos(100);
    let lease = |now| {
        let now = reading(now, 4, 4);
        LeaseInterval::granted([LeaseRequest::new(&now)], length, &now).unwrap()
    };
    let mut held = lease(0);
    held.extend(&lease(50));
    assert_eq!((held.start(), held.end()), (at(4), at(146)));
    held.extend(&lease(300));
    assert_eq!((held.start(), held.end()), (at(304), at(396)));
}

#[test]
fn no_agreement_is_an_error() {
    let apart: Vec<_> = (0..3).map(|it| reading(it * 100, 10, 10)).collect();
    let error = marzullo(&apart, 1).unwrap_err();
    let (count, agreeing, needed) = (3, 1, 2);
    assert_eq!(
        error,
        NoAgreement::Contradiction {
            count,
            agreeing,
            needed
        }
    );
    for (count, faulty_max) in [(0, 0), (1, 1), (2, 1), (4, 2)] {
        let given = vec![Interval::ALL; count];
        let error = marzullo(&given, faulty_max).unwrap_err();
        assert_eq!(error, NoAgreement::TooFew { count, faulty_max });
    }
    assert_eq!(marzullo(&[Interval::ALL; 65], 0), Err(NoAgreement::TooMany));
    assert!(marzullo(&[Interval::ALL; 64], 31).is_ok());
}

/// One wrong clock does not stop everybody who hears of it.
#[test]
fn what_a_refused_message_carried_is_forgotten() {
    let floor = CausalFloor::new();
    let now = reading(100, 10, 10);
    assert!(floor.incoming(at(105), &now).is_ok());
    assert!(floor.incoming(at(999), &now).is_err());
    assert_eq!(floor.floor(), at(105));
    assert!(floor.own(&now).is_ok());
    assert!(
        floor.own(&reading(90, 10, 10)).is_err(),
        "its own clock went back"
    );
}
