//! Physical clocks that are set, lost or wrong from the start, and what the clocks above them and their
//! peers say and do.

use std::cell::Cell;
use std::time::Duration;

use synod_lamport::hlc::{
    HybridClock, Jump, JumpDetector, Layout, Millis42, Millis48, Nanos64, NowError, PhysicalClock,
    ReceiveError, ReserveError, RestoreError, Through, Timestamp, WideClock, WideTimestamp,
};

/// A node was a minute ahead and is set back to the truth. Its peers refuse it until its lead is within
/// what they take; both sides say so, and for the same time.
#[test]
fn set_back_to_the_truth_peers_refuse_until_the_lead_is_gone() {
    let wall = Cell::new(START + MINUTE);
    let truth = Cell::new(START);
    let node = HybridClock::new(|| wall.get());
    let peer = HybridClock::new(|| truth.get());
    node.now().unwrap();
    wall.set(START);
    assert_eq!(node.lead(), Some(Duration::from_secs(60)));
    let peers_take = Duration::from_millis(500);
    for second in 0..59 {
        let sent = node.now().unwrap();
        let refused = peer.receive(sent);
        assert!(
            matches!(refused, Err(ReceiveError::TooFarAhead { lead_max, .. }) if lead_max == peers_take),
            "{second}: {refused:?}"
        );
        let wait = Duration::from_millis(59_500 - 1_000 * second);
        assert_eq!(node.now_within(peers_take), Err(NowError::Ahead { wait }));
        // What the peer sends is in order here all the same.
        let answer = peer.now().unwrap();
        assert!(node.receive(answer).unwrap() > sent.max(answer));
        wall.set(wall.get() + SECOND);
        truth.set(truth.get() + SECOND);
    }
    // The wait is over when the lead is 500 ms.
    for clock in [&wall, &truth] {
        clock.set(clock.get() + SECOND / 2);
    }
    let sent = node.now_within(peers_take).unwrap();
    assert!(peer.receive(sent).unwrap() > sent);
}

/// A node was right and is set back wrongly: it goes on in order, at the time of its peers, and they refuse nothing.
/// With a `lead_max` that covers the step it refuses nothing either; with the default it says that it and they are
/// apart.
#[test]
fn set_back_wrongly_all_go_on() {
    for (lead_max, hears) in [(HALF, false), (Duration::from_secs(61), true)] {
        let wall = Cell::new(START);
        let truth = Cell::new(START);
        let node = HybridClock::new(|| wall.get()).with_lead_max(lead_max);
        let peer = HybridClock::new(|| truth.get());
        let mut latest = node.now().unwrap();
        wall.set(START - MINUTE);
        for _ in 0..59 {
            let sent = node.now().unwrap();
            assert!(sent > latest);
            let answer = peer.receive(sent).unwrap();
            assert!(answer > sent);
            match node.receive(answer) {
                Ok(received) => {
                    assert!(hears && received > answer);
                    latest = received;
                }
                // It stands beside the truth, and its own guard thinks that the peer is ahead: it says so.
                Err(error) => {
                    let apart = matches!(error, ReceiveError::TooFarAhead { .. });
                    assert!(!hears && apart, "{error:?}");
                    latest = sent;
                }
            }
            wall.set(wall.get() + SECOND);
            truth.set(truth.get() + SECOND);
        }
        // What it lacks is what it leads by, if it hears; if not, it is itself again when its clock is.
        let lead = node.lead().unwrap();
        let expected = if hears {
            Duration::from_secs(59)
        } else {
            Duration::from_secs(1)
        };
        assert_eq!(lead, expected);
    }
}

/// 65,536 stamps cost a millisecond of lead: a clock that gives far more than its counter holds is still
/// believed by its peers.
#[test]
fn a_carried_lead_fits_what_peers_take() {
    let node = HybridClock::new(|| START);
    let peer = HybridClock::new(|| START);
    let mut last = node.now().unwrap();
    for _ in 0..200_000 {
        last = node.now().unwrap();
    }
    assert_eq!(node.lead(), Some(Duration::from_millis(3)));
    assert!(peer.receive(last).unwrap() > last);
}

/// A carried lead counts against the stored bound, and where both are in the way the bound is told.
#[test]
fn the_bound_wins_over_the_lead() {
    let clock = HybridClock::restore(|| START, Timestamp::<Millis48>::ZERO).unwrap();
    clock.reserve(Duration::from_millis(1)).unwrap().persisted();
    let given = (0..100_000).take_while(|_| clock.now().is_ok()).count();
    assert_eq!(given, 65_537, "one tick, and the first of the next one");
    assert_eq!(clock.now(), Err(NowError::AboveBound));
    assert_eq!(
        clock.now_within(Duration::ZERO),
        Err(NowError::AboveBound),
        "waiting would not help"
    );
    clock.reserve(Duration::from_millis(2)).unwrap().persisted();
    let wait = Duration::from_millis(1);
    assert_eq!(
        clock.now_within(Duration::ZERO),
        Err(NowError::Ahead { wait })
    );
}

/// A wall clock that was ten years ahead when the bound was stored: refused, by how much, with each way
/// out.
#[test]
fn a_poisoned_future_is_refused_and_has_ways_out() {
    let ten_years = Duration::from_secs(3_650 * 86_400);
    let poisoned = Duration::from_nanos(START) + ten_years;
    let stored = Timestamp::<Millis48>::at_unix(poisoned).unwrap();
    let error = HybridClock::restore(|| START, stored).err();
    let ahead_max = Duration::from_secs(3_600);
    assert_eq!(
        error,
        Some(RestoreError::TooFarAhead {
            ahead: ten_years,
            ahead_max
        })
    );
    // A peer would not have taken it either.
    let peer = HybridClock::new(|| START);
    assert!(matches!(
        peer.receive(stored),
        Err(ReceiveError::TooFarAhead { ahead, .. }) if ahead == ten_years
    ));
    // Whoever knows better may.
    assert!(HybridClock::restore_within(|| START, stored, ten_years).is_ok());
    // The newest stamp of a durable log is what was really given.
    let newest = Timestamp::<Millis48>::at_unix(Duration::from_nanos(START)).unwrap();
    let clock = HybridClock::after(|| START - MINUTE, newest).unwrap();
    assert!(clock.now().unwrap() > newest);
    assert!(HybridClock::after(|| START, stored).is_err());
    // Or an epoch more: later than all that was poisoned, and at the right time.
    let wide = WideTimestamp::from_narrow(stored).unwrap();
    let mut clock = WideClock::reset(|| START, wide).unwrap();
    assert_eq!(
        clock.now(),
        Err(NowError::AboveBound),
        "nothing before it is stored"
    );
    let bound = clock.reserve(Duration::from_secs(3)).unwrap();
    clock.persisted(bound);
    let stamp = clock.now().unwrap();
    assert!(stamp > wide && bound > stamp);
    assert_eq!((stamp.epoch(), stamp.unix_nanos()), (1, START));
    // At the very limit.
    let limit = Timestamp::<Millis48>::at_unix(Duration::from_nanos(START) + ahead_max).unwrap();
    assert!(HybridClock::restore(|| START, limit).is_ok());
    let beyond = Timestamp::<Millis48>::from_u64(limit.as_u64() + (1 << 16));
    assert!(HybridClock::restore(|| START, beyond).is_err());
}

/// Peers of a clock that was reset come along when they are told to, and not before.
#[test]
fn a_new_epoch_is_followed_and_not_caught() {
    let stored = WideTimestamp::from_parts(0, START, 7);
    let mut reset = WideClock::reset(|| START, stored).unwrap();
    let bound = reset.reserve(Duration::from_secs(3)).unwrap();
    reset.persisted(bound);
    let mut peer = WideClock::new(|| START);
    let old = peer.now().unwrap();
    // What the old epoch says is past, and taken as that.
    assert!(reset.receive(old).unwrap() > old);
    let sent = reset.now().unwrap();
    let refused = ReceiveError::NewEpoch { epoch: 1, own: 0 };
    assert_eq!(peer.receive(sent), Err(refused));
    assert_eq!(peer.latest(), old, "nothing is changed");
    peer.follow(1);
    assert!(peer.receive(sent).unwrap() > sent);
    peer.follow(0);
    assert_eq!(peer.now().unwrap().epoch(), 1, "never back");
    // The time is never carried into the epoch.
    let mut last = WideClock::new(|| u64::MAX).with_lead_max(Duration::MAX);
    let end = WideTimestamp::from_parts(0, u64::MAX, u32::MAX);
    assert_eq!(
        last.receive(end),
        Err(ReceiveError::Now(NowError::OutOfRange))
    );
    let ended = WideClock::reset(|| 0, WideTimestamp::MAX).err();
    assert_eq!(ended, Some(ReserveError::OutOfRange));
}

/// A source that knows nothing gives no time: neither a standing one nor that of 1970.
#[test]
fn an_unknown_time_is_an_error_of_everything() {
    let wall = Cell::new(Some(START));
    let clock = HybridClock::restore(|| wall.get(), Timestamp::<Millis48>::ZERO).unwrap();
    clock.reserve(Duration::from_secs(3)).unwrap().persisted();
    let latest = clock.now().unwrap();
    wall.set(None);
    assert_eq!(clock.now(), Err(NowError::Unknown));
    assert_eq!(clock.now_within(Duration::MAX), Err(NowError::Unknown));
    assert_eq!(
        clock.receive(latest),
        Err(ReceiveError::Now(NowError::Unknown))
    );
    assert_eq!(
        clock.reserve(Duration::ZERO).err(),
        Some(ReserveError::Unknown)
    );
    assert_eq!((clock.lead(), clock.latest()), (None, latest));
    let restored = HybridClock::restore(|| None::<u64>, latest).err();
    assert_eq!(restored, Some(RestoreError::Unknown));
    let mut wide = WideClock::new(|| None::<u64>);
    assert_eq!(wide.now(), Err(NowError::Unknown));
    wall.set(Some(START + SECOND));
    assert!(clock.now().is_ok());
}

/// `lead_max` that follows a bound which is known anew each time.
#[test]
fn a_live_bound_decides_what_is_taken() {
    struct Bounded {
        error: Cell<u64>,
    }
    impl PhysicalClock for Bounded {
        fn now_nanos(&self) -> Option<u64> {
            Some(START)
        }
        fn lead_max(&self) -> Option<Duration> {
            Some(Duration::from_nanos(2 * self.error.get()))
        }
    }
    let physical = Bounded {
        error: Cell::new(1_000_000),
    };
    // What is set by hand does not count beside it.
    let clock = HybridClock::new(Through(&physical)).with_lead_max(Duration::MAX);
    let ahead = |ms| {
        let time = Duration::from_nanos(START) + Duration::from_millis(ms);
        Timestamp::at_unix(time).unwrap()
    };
    assert!(clock.receive(ahead(2)).is_ok());
    let lead_max = Duration::from_millis(2);
    assert_eq!(
        clock.receive(ahead(3)),
        Err(ReceiveError::TooFarAhead {
            ahead: Duration::from_millis(3),
            lead_max
        })
    );
    physical.error.set(2_000_000);
    assert!(clock.receive(ahead(3)).is_ok());
}

#[test]
fn jumps_are_told_both_ways_and_slewing_is_not() {
    let mut detector = JumpDetector::new(Duration::from_millis(100));
    let (mut unix, mut monotonic) = (START, 5 * SECOND);
    assert_eq!(detector.observe(unix, monotonic), None);
    for step in [0, 80, -80, 8, 99, -99] {
        (unix, monotonic) = (unix + SECOND, monotonic + SECOND);
        unix = unix.checked_add_signed(step * 1_000_000).unwrap();
        assert_eq!(detector.observe(unix, monotonic), None, "{step} ms");
    }
    (unix, monotonic) = (unix + SECOND - 60 * SECOND, monotonic + SECOND);
    let minute = Duration::from_secs(60);
    assert_eq!(detector.observe(unix, monotonic), Some(Jump::Back(minute)));
    // A machine that slept: both went on, or the monotonic one stood.
    (unix, monotonic) = (unix + 3_600 * SECOND, monotonic + 3_600 * SECOND);
    assert_eq!(detector.observe(unix, monotonic), None);
    unix += 61 * SECOND;
    monotonic += SECOND;
    assert_eq!(
        detector.observe(unix, monotonic),
        Some(Jump::Forward(minute))
    );
    assert_eq!((detector.forward(), detector.back()), (1, 1));
    assert!(detector.observe(0, u64::MAX).is_some());
    assert!(detector.observe(u64::MAX, 0).is_some());
}

/// A thread that waits gets its stamp as soon as the clock has caught up, and no later than it wants.
#[test]
fn a_now_that_waits_waits_for_the_physical_clock() {
    // Each reading is a millisecond on, so that no real time matters.
    let readings = Cell::new(0);
    let clock = HybridClock::new(|| {
        readings.set(readings.get() + 1);
        START + readings.get() * 1_000_000
    });
    let half = Duration::from_millis(500);
    clock.receive(tick(510)).unwrap_err();
    let clock = clock.with_lead_max(Duration::from_secs(1));
    clock.receive(tick(510)).unwrap();
    let wait_max = Duration::from_secs(5);
    let stamp = clock.now_waiting(half, wait_max).unwrap();
    assert!(clock.lead() <= Some(half));
    assert!(stamp > tick(510));
    // With nothing to spare it does not wait.
    clock.receive(tick(1_000)).unwrap();
    let refused = clock.now_waiting(half, Duration::ZERO);
    assert!(matches!(refused, Err(NowError::Ahead { .. })));
}

#[test]
fn a_clock_may_be_a_static() {
    static CLOCK: HybridClock<fn() -> u64> = HybridClock::new(|| START);
    assert!(CLOCK.now().unwrap() < CLOCK.now().unwrap());
}

/// Timestamps of every layout through NTP's 64 bits, as uhlc has them, and back.
#[test]
fn ntp_times_come_back() {
    fn comes_back<L: Layout>() {
        for nanos in [0, 1, 999_999_999, 500_000_000, 123_456_789, 1_000_000] {
            let time = Duration::from_nanos(START + nanos);
            let stamp = Timestamp::<L>::at_unix(time).unwrap();
            let ntp = stamp.to_ntp64().unwrap();
            assert_eq!(ntp >> 32, START / SECOND);
            assert_eq!(Timestamp::at_ntp64(ntp), Some(stamp), "{stamp}");
        }
    }
    comes_back::<Millis48>();
    comes_back::<Millis42>();
    comes_back::<Nanos64>();
    let after_the_era = Timestamp::<Millis48>::at_unix(Duration::from_secs(1 << 32)).unwrap();
    assert_eq!(after_the_era.to_ntp64(), None);
    assert_eq!(
        Timestamp::<Millis42>::at_ntp64(1 << 32),
        None,
        "before 2024"
    );
}

/// The order of wide timestamps is that of their parts, their words and their bytes, and of the narrow
/// ones that they come from.
#[test]
fn wide_timestamps_keep_the_order() {
    let narrow = [(5, 0), (5, 1), (5, 65_535), (6, 0), (6, 7)]
        .map(|(ticks, logical)| Timestamp::<Millis48>::from_parts(ticks, logical).unwrap());
    let mut wide: Vec<_> = narrow
        .iter()
        .map(|stamp| WideTimestamp::from_narrow(*stamp).unwrap())
        .collect();
    wide.push(WideTimestamp::from_parts(0, u64::MAX, u32::MAX));
    wide.push(WideTimestamp::from_parts(1, 0, 0));
    for pair in wide.windows(2) {
        assert!(pair[0] < pair[1]);
        assert!(pair[0].to_be_bytes() < pair[1].to_be_bytes());
    }
    for stamp in wide {
        assert_eq!(stamp.to_string().parse(), Ok(stamp));
        assert_eq!(WideTimestamp::from_be_bytes(stamp.to_be_bytes()), stamp);
    }
    for text in [
        "",
        "0",
        "0/",
        "1970-01-01T00:00:00.000000000Z-00000000",
        "00/1970-01-01T00:00:00.000000000Z-00000000",
        "+0/1970-01-01T00:00:00.000000000Z-00000000",
        "/1970-01-01T00:00:00.000000000Z-00000000",
        "0/1970-01-01T00:00:00.000000000Z-0000000",
        "0/1970-01-01T00:00:00.000000000Z-0000000A",
        "0/1970-01-01T00:00:00.000Z-00000000",
        "4294967296/1970-01-01T00:00:00.000000000Z-00000000",
    ] {
        assert!(text.parse::<WideTimestamp>().is_err(), "{text}");
    }
}

fn tick(ahead: u64) -> Timestamp {
    Timestamp::from_parts(START / 1_000_000 + ahead, 0).expect("the tick fits")
}

/// 2026-11-23T07:00:00Z, in nanoseconds.
const START: u64 = 1_795_417_200_000_000_000;
const SECOND: u64 = 1_000_000_000;
const HALF: Duration = Duration::from_millis(500);
const MINUTE: u64 = 60 * SECOND;
