use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const LEASE: Lease = Lease {
    length: ms(100),
    drift: Drift(10_000),
};

#[test]
fn a_grant_counts_for_less_than_it_lasts_on_any_clock_within_the_bound() {
    // The leader's clock runs as slowly as it may, and the acceptor's as fast.
    for drift in [0, 1, 200, 10_000, 99_999] {
        let lease = Lease {
            drift: Drift(drift),
            ..LEASE
        };
        for granted in [1, 7, 100, 3_600_000].map(ms) {
            let usable = lease.usable(granted);
            let d = f64::from(drift) / 1e6;
            let true_time = usable.as_secs_f64() / (1.0 - d);
            assert!(true_time * (1.0 + d) <= granted.as_secs_f64() * (1.0 + 1e-12));
            let more = usable + Duration::from_nanos(1);
            let true_time = more.as_secs_f64() / (1.0 - d);
            assert!(true_time * (1.0 + d) > granted.as_secs_f64() * (1.0 - 1e-9));
        }
    }
}

#[test]
fn a_pledge_forbids_all_but_its_holder_and_whom_that_one_has_invited() {
    let at = |time| Instant(ms(time));
    let ballot = |round, node| Ballot {
        round,
        node: NodeId(node),
    };
    let pledge = Pledge {
        until: at(100),
        to: Some(ballot(3, 1)),
    };
    assert!(pledge.forbids(at(99), NodeId(2), None));
    assert!(!pledge.forbids(at(100), NodeId(2), None));
    assert!(!pledge.forbids(at(99), NodeId(1), None));
    assert!(!pledge.forbids(at(99), NodeId(2), Some(ballot(3, 1))));
    assert!(pledge.forbids(at(99), NodeId(2), Some(ballot(2, 1))));
    let earlier = Pledge::of_an_earlier_life(at(5), LEASE);
    for invited in [None, Some(ballot(3, 1))] {
        assert!(earlier.forbids(at(104), NodeId(1), invited));
        assert!(!earlier.forbids(at(105), NodeId(1), invited));
    }
    assert!(!Pledge::default().is_on(Instant::ZERO));
}
