//! No timestamp comes again after a restart, whatever the physical clock does and wherever the
//! crash falls.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::execution::START;
use proptest::collection::vec;
use proptest::prelude::*;
use synod_lamport::hlc::{
    HybridClock, Layout, Millis42, Millis48, Nanos64, NowError, ReceiveError, ReserveError,
    RestoreError, Timestamp,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Now,
    /// A message from a node whose clock is so many milliseconds ahead.
    Receive(u64),
    Wall(u64),
    Reserve(Write, u64),
    Crash,
}

/// How the write of a bound goes.
#[derive(Clone, Copy, Debug)]
enum Write {
    Succeeds,
    Fails,
    /// It reaches the disk, and the clock never hears of it.
    CrashBehind,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop_oneof![
        4 => Just(Write::Succeeds),
        1 => Just(Write::Fails),
        1 => Just(Write::CrashBehind),
    ];
    let step = prop_oneof![
        8 => Just(Step::Now),
        3 => (0..700_u64).prop_map(Step::Receive),
        3 => (0..20_000_u64).prop_map(Step::Wall),
        3 => (write, 0..3_000_u64).prop_map(|(write, ahead)| Step::Reserve(write, ahead)),
        1 => Just(Step::Crash),
    ];
    vec(step, 1..200)
}

/// Gives how many timestamps came out.
fn run<L: Layout>(steps: &[Step]) -> Result<usize, TestCaseError> {
    let wall = Cell::new(START);
    let mut disk = Timestamp::<L>::ZERO;
    let mut given = BTreeSet::new();
    let physical = || wall.get();
    let mut clock = HybridClock::restore(physical, disk).unwrap();
    for step in steps {
        let mut crashes = matches!(step, Step::Crash);
        let stamp = match *step {
            Step::Now => clock.now().ok(),
            Step::Receive(ahead) => {
                let since_1970 = Duration::from_nanos(wall.get()) + Duration::from_millis(ahead);
                clock.receive(Timestamp::at_unix(since_1970).unwrap()).ok()
            }
            // Forth and back again.
            Step::Wall(ms) => {
                wall.set(START + ms * 1_000_000);
                None
            }
            Step::Reserve(write, ahead) => {
                let reservation = clock.reserve(Duration::from_millis(ahead)).unwrap();
                prop_assert!(reservation.bound() >= disk, "what is stored never falls");
                match write {
                    Write::Fails => {}
                    Write::Succeeds => {
                        disk = reservation.bound();
                        reservation.persisted();
                    }
                    Write::CrashBehind => {
                        disk = reservation.bound();
                        crashes = true;
                    }
                }
                None
            }
            Step::Crash => None,
        };
        if let Some(stamp) = stamp {
            prop_assert!(
                given.last().is_none_or(|last| *last < stamp),
                "it came again"
            );
            prop_assert!(stamp <= disk, "a crash now would forget it");
            given.insert(stamp);
        }
        if crashes {
            clock = HybridClock::restore(physical, disk).unwrap();
        }
    }
    Ok(given.len())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_a_restart_every_timestamp_is_above_all_that_were_given(steps in steps()) {
        run::<Millis48>(&steps)?;
        run::<Millis42>(&steps)?;
        run::<Nanos64>(&steps)?;
    }
}

#[test]
fn a_restored_clock_goes_on_at_once_although_its_physical_clock_fell_behind() {
    let stored: Timestamp = "2026-11-23T07:00:03.000Z-0000".parse().unwrap();
    let clock = HybridClock::restore(|| START, stored).unwrap();
    assert_eq!(clock.now(), Err(NowError::AboveBound));
    clock.reserve(Duration::from_secs(1)).unwrap().persisted();
    let stamps: Vec<_> = (0..65_535).map(|_| clock.now().unwrap()).collect();
    assert!(stamps[0] > stored && stamps.is_sorted_by(|one, two| one < two));
    // And then the tick of the stored bound is used up: the next one counts against the bound, too.
    assert_eq!(clock.now().unwrap().as_u64(), stored.as_u64() + 65_536);
    assert_eq!(clock.now(), Err(NowError::AboveBound));
}

/// A node that restarts again and again does not run away from the time.
#[test]
fn crash_loops_do_not_carry_the_bound_off() {
    let mut disk = Timestamp::<Millis48>::ZERO;
    for _ in 0..100 {
        let clock = HybridClock::restore(|| START, disk).unwrap();
        let reservation = clock.reserve(Duration::from_secs(3)).unwrap();
        disk = reservation.bound();
        reservation.persisted();
        clock.now().unwrap();
    }
    assert_eq!(disk.to_string(), "2026-11-23T07:00:03.099Z-0000");
}

#[test]
fn one_reservation_at_a_time_and_none_without_a_bound() {
    let clock = HybridClock::restore(|| START, Timestamp::<Millis48>::ZERO).unwrap();
    let second = Duration::from_secs(1);
    let first = clock.reserve(second).unwrap();
    assert_eq!(clock.reserve(second).err(), Some(ReserveError::Pending));
    first.persisted();
    assert!(clock.reserve(second).is_ok(), "the first is done");
    assert_eq!(
        HybridClock::new(|| START).reserve(second).err(),
        Some(ReserveError::Unbounded)
    );
    for ahead in [Duration::MAX, Duration::from_secs(1 << 40)] {
        assert_eq!(clock.reserve(ahead).err(), Some(ReserveError::OutOfRange));
    }
    assert!(clock.reserve(second).is_ok(), "what is refused is not open");
}

/// All bits set is what an erased flash page reads as. It is a bound that leaves nothing, not a
/// clock without one.
#[test]
fn a_stored_bound_at_the_end_of_time_is_out_of_range_and_not_no_bound() {
    fn nothing_is_left<L: Layout>() {
        let clock =
            HybridClock::restore_within(|| START, Timestamp::<L>::MAX, Duration::MAX).unwrap();
        let doubted = HybridClock::restore(|| START, Timestamp::<L>::MAX);
        assert!(matches!(doubted, Err(RestoreError::TooFarAhead { .. })));
        assert!(clock.bound().is_some());
        assert_eq!(clock.now(), Err(NowError::OutOfRange));
        let reserved = clock.reserve(Duration::from_secs(1));
        assert_eq!(reserved.err(), Some(ReserveError::OutOfRange));
    }
    nothing_is_left::<Millis48>();
    nothing_is_left::<Millis42>();
    nothing_is_left::<Nanos64>();
}

/// As the README does it: with the guards as they are, peers take what a restarted node sends, if
/// it waits until its physical clock has caught up with what was stored.
#[test]
fn a_restored_clock_that_waited_for_its_lead_is_believed_by_its_peers() {
    let wall = Cell::new(START);
    let peer = HybridClock::new(|| wall.get());
    let before = HybridClock::restore(|| wall.get(), Timestamp::<Millis48>::ZERO).unwrap();
    let reservation = before.reserve(Duration::from_secs(3)).unwrap();
    let stored = reservation.bound();
    let restored = || {
        let clock = HybridClock::restore(|| wall.get(), stored).unwrap();
        clock.reserve(Duration::from_secs(3)).unwrap().persisted();
        clock
    };
    let hasty = restored().now().unwrap();
    assert!(matches!(
        peer.receive(hasty),
        Err(ReceiveError::TooFarAhead { .. })
    ));
    let patient = restored();
    wall.set(wall.get() + patient.lead().unwrap().as_nanos() as u64);
    assert!(peer.receive(patient.now().unwrap()).is_ok());
}
