//! What the paper of 1978 says about its clocks, on random executions against causal histories.

use crate::execution::{Execution, Physical, executions};
use proptest::prelude::*;
use synod_lamport::{
    AtomicLamportClock, LamportClock, LamportTime, Overflow, ParseStampError, ReceiveError, Stamp,
};

/// Both clocks run along each execution and must say the same.
fn times(execution: &Execution) -> Vec<LamportTime> {
    let mut owned = vec![LamportClock::default(); execution.processes];
    let shared: Vec<_> = (0..execution.processes)
        .map(|_| AtomicLamportClock::default())
        .collect();
    let by_owned = execution.stamp(|event, carried| match carried {
        None => owned[event.process].tick().unwrap(),
        Some(time) => owned[event.process].receive(time).unwrap(),
    });
    let by_shared = execution.stamp(|event, carried| match carried {
        None => shared[event.process].tick().unwrap(),
        Some(time) => shared[event.process].receive(time).unwrap(),
    });
    assert_eq!(by_owned, by_shared);
    by_owned
}

fn any_execution() -> impl Strategy<Value = Execution> {
    executions(Physical::Within(0))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// "For any events a, b: if a → b then C(a) < C(b)."
    #[test]
    fn clock_condition(execution in any_execution()) {
        let times = times(&execution);
        for (cause, effect) in execution.causes() {
            prop_assert!(times[cause] < times[effect], "{cause} → {effect}");
        }
    }

    /// "(C, id) is a total order that extends →": no two events are equal, and sorting by it puts
    /// each behind all of its past.
    #[test]
    fn total_order_extends_happened_before(execution in any_execution()) {
        let times = times(&execution);
        let mut order: Vec<_> = (0..times.len())
            .map(|event| (Stamp::new(times[event], execution.events[event].process), event))
            .collect();
        order.sort_by_key(|(stamp, _)| *stamp);
        prop_assert!(order.is_sorted_by(|one, two| one.0 < two.0), "two events are equal");
        let mut place = vec![0; order.len()];
        for (at, (_, event)) in order.iter().enumerate() {
            place[*event] = at;
        }
        for (cause, effect) in execution.causes() {
            prop_assert!(place[cause] < place[effect]);
        }
    }

    /// The least clock there is: an event's time is the number of events on the longest chain of
    /// causes that ends in it, and nothing is skipped.
    #[test]
    fn time_is_the_length_of_the_longest_causal_chain(execution in any_execution()) {
        let chains = execution.chains(|_, _| true);
        for (time, chain) in times(&execution).into_iter().zip(chains) {
            prop_assert_eq!(time.as_u64(), chain + 1);
        }
    }

    /// IR1 and IR2.
    #[test]
    fn receive_is_max_plus_one(local in 0..1_u64 << 60, remote in 0..1_u64 << 60) {
        let (local, remote) = (LamportTime::new(local), LamportTime::new(remote));
        let next = LamportTime::new(local.max(remote).as_u64() + 1);
        let mut clock = LamportClock::new(local).with_jump_max(u64::MAX);
        prop_assert_eq!(clock.receive(remote), Ok(next));
        prop_assert_eq!(clock.now(), next);
        prop_assert_eq!(clock.tick(), Ok(LamportTime::new(next.as_u64() + 1)));
    }

    /// At the end of time and beyond the jump bound: an error, and the clock stays.
    #[test]
    fn what_is_refused_changes_nothing(
        local in prop_oneof![any::<u64>(), u64::MAX - 3..=u64::MAX],
        remote in prop_oneof![any::<u64>(), u64::MAX - 3..=u64::MAX],
        jump_max in any::<u64>(),
    ) {
        let start = LamportTime::new(local);
        let mut owned = LamportClock::new(start).with_jump_max(jump_max);
        let shared = AtomicLamportClock::new(start).with_jump_max(jump_max);
        let ahead = remote.saturating_sub(local);
        let expected = match local.max(remote).checked_add(1) {
            _ if ahead > jump_max => Err(ReceiveError::TooFarAhead { ahead, jump_max }),
            Some(next) => Ok(LamportTime::new(next)),
            None => Err(ReceiveError::Overflow),
        };
        prop_assert_eq!(owned.receive(remote.into()), expected);
        prop_assert_eq!(shared.receive(remote.into()), expected);
        prop_assert_eq!(owned.now(), expected.unwrap_or(start));
        prop_assert_eq!(shared.now(), owned.now());

        let before = owned.now();
        let expected = match before.as_u64().checked_add(1) {
            Some(next) => Ok(LamportTime::new(next)),
            None => Err(Overflow),
        };
        prop_assert_eq!(owned.tick(), expected);
        prop_assert_eq!(shared.tick(), expected);
        prop_assert_eq!(owned.now(), expected.unwrap_or(before));
        prop_assert_eq!(shared.now(), owned.now());
    }

    /// Bytes and text of times and stamps come back, and bytes sort as what they tell.
    #[test]
    fn forms_come_back_and_byte_order_is_the_total_order(
        one in any::<(u64, u64)>(),
        two in any::<(u64, u64)>(),
    ) {
        let [one, two] = [one, two].map(|(time, node)| Stamp::new(LamportTime::new(time), node));
        prop_assert_eq!(one.to_be_bytes().cmp(&two.to_be_bytes()), one.cmp(&two));
        prop_assert_eq!(
            one.time.to_be_bytes().cmp(&two.time.to_be_bytes()),
            one.time.cmp(&two.time)
        );
        prop_assert_eq!(Stamp::from_be_bytes(one.to_be_bytes()), Ok(one));
        prop_assert_eq!(LamportTime::from_be_bytes(one.time.to_be_bytes()), one.time);
        prop_assert_eq!(one.to_string().parse(), Ok(one));
    }
}

/// "We cannot expect the converse condition to hold as well, since that would imply that any two
/// concurrent events must occur at the same time."
#[test]
fn the_converse_does_not_hold() {
    let (mut one, mut two) = (LamportClock::default(), LamportClock::default());
    let lonely = one.tick().unwrap();
    let (first, second) = (two.tick().unwrap(), two.tick().unwrap());
    assert_eq!(lonely, first);
    assert!(lonely < second, "and yet neither knows of the other");
}

/// The total order where times are equal: the node decides, in the same way for everybody.
#[test]
fn equal_times_are_ordered_by_node() {
    let stamp = |time, node| Stamp::new(LamportTime::new(time), node);
    let mut order = [stamp(2, 1), stamp(1, 9), stamp(2, 0), stamp(1, 2)];
    order.sort();
    assert_eq!(order, [stamp(1, 2), stamp(1, 9), stamp(2, 0), stamp(2, 1)]);
    assert_ne!(stamp(2, 0), stamp(2, 1));
}

/// What the docs of the default bound promise: so many hostile messages end time, and not one less.
#[test]
fn time_ends_after_as_many_jumps_as_the_docs_say() {
    let mut clock = LamportClock::default();
    let jump = |clock: &mut LamportClock| {
        let time = clock
            .now()
            .as_u64()
            .saturating_add(1 << 48)
            .min(u64::MAX - 1);
        clock.receive(time.into())
    };
    for _ in 0..65_535 {
        jump(&mut clock).unwrap();
    }
    assert!(clock.tick().is_ok());
    assert_eq!(jump(&mut clock), Ok(LamportTime::MAX));
    assert_eq!(clock.tick(), Err(Overflow));
}

/// As with hybrid timestamps, each time has one text.
#[test]
fn a_time_is_read_only_as_it_is_written() {
    for wrong in [
        "+5", "05", "00", "", "+", "-0", " 5", "5 ", "5_0", "0x5", "\u{665}",
    ] {
        assert!(wrong.parse::<LamportTime>().is_err(), "{wrong:?}");
        let stamp = format!("{wrong}@1").parse::<Stamp<u64>>();
        assert!(matches!(stamp, Err(ParseStampError::Time(_))), "{wrong:?}");
    }
    for right in ["0", "5", "50", "18446744073709551615"] {
        assert_eq!(right.parse::<LamportTime>().unwrap().to_string(), right);
    }
}

/// Time and node side by side, most significant byte first: what another language reads.
#[test]
fn golden_bytes_and_texts() {
    let stamp = Stamp::new(
        LamportTime::new(0x0102_0304_0506_0708),
        0x090a_0b0c_0d0e_0f10_u64,
    );
    assert_eq!(
        stamp.to_be_bytes(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    );
    assert_eq!(stamp.to_string(), "72623859790382856@651345242494996240");
    assert_eq!(
        Stamp::new(LamportTime::MAX, "a@b").to_string(),
        "18446744073709551615@a@b"
    );
    let parsed: Stamp<String> = "18446744073709551615@a@b".parse().unwrap();
    assert_eq!(parsed, Stamp::new(LamportTime::MAX, "a@b".to_owned()));
    for wrong in [
        "",
        "1",
        "@",
        "1@",
        "@1",
        "-1@1",
        "18446744073709551616@1",
        " 1@1",
    ] {
        assert!(wrong.parse::<Stamp<u64>>().is_err(), "{wrong:?}");
    }
}
