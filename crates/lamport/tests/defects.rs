//! What published clocks get wrong, reproduced in them and shown to be absent here. Each test is
//! named for the crate and the defect.
//!
//! Three more are elsewhere: `uhlc_system_time_before_1970_panics` beside the clock that reads it,
//! `uhlc_deserialised_id_may_be_zero` in `serde.rs`, and `cockroach_119369_...` among the
//! interleavings that loom runs.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use synod_lamport::hlc::{
    HybridClock, Layout, Millis42, Millis48, Nanos64, NowError, PhysicalClock, ReceiveError,
    SystemClock, Timestamp,
};
use synod_lamport::{AtomicLamportClock, LamportClock, LamportTime, Overflow, Stamp};

/// lamport 0.2.0: in release builds `witness(usize::MAX)` makes the clock 0. One hostile message
/// resets time.
#[test]
fn lamport_witness_of_the_greatest_time_makes_the_clock_zero() {
    let time = LamportTime::new(1_000);
    for jump_max in [LamportClock::JUMP_MAX_DEFAULT, u64::MAX] {
        let mut owned = LamportClock::new(time).with_jump_max(jump_max);
        let shared = AtomicLamportClock::new(time).with_jump_max(jump_max);
        assert!(owned.receive(LamportTime::MAX).is_err());
        assert!(shared.receive(LamportTime::MAX).is_err());
        assert_eq!((owned.now(), shared.now()), (time, time));
        assert_eq!(owned.tick(), shared.tick());
        assert_eq!(owned.now(), LamportTime::new(1_001));
    }
    let mut spent = LamportClock::new(LamportTime::MAX);
    assert_eq!(spent.tick(), Err(Overflow));
    assert_eq!(spent.now(), LamportTime::MAX);
}

/// hlc 0.1.1: the 16 bits of the counter wrap, so that 65535 is followed by 0 at the same wall
/// time.
#[test]
fn hlc_logical_counter_wraps() {
    let wall = Cell::new(5_000_000);
    let clock = HybridClock::new(|| wall.get());
    let stamps: Vec<_> = (0..65_536).map(|_| clock.now().unwrap()).collect();
    assert!(stamps.is_sorted_by(|one, two| one < two));
    assert_eq!(stamps[65_535].logical(), 65_535);
    // What follows is carried, and not 0 of the same tick.
    assert_eq!(clock.now(), Ok(Timestamp::from_parts(6, 0).unwrap()));
    // A received counter at its end is carried in the same way.
    let full = Timestamp::from_parts(6, 65_535).unwrap();
    let after = Timestamp::from_parts(7, 0).unwrap();
    assert_eq!(clock.receive(full), Ok(after));
    assert_eq!(clock.now(), Ok(Timestamp::from_parts(7, 1).unwrap()));
    wall.set(8_000_000);
    assert_eq!(clock.now().unwrap(), Timestamp::from_parts(8, 0).unwrap());
}

/// A clock that refuses while its counter is used up, as this one did: with 16 bits, 10,000 stamps a
/// second and a wall clock that is set back by a minute it is out of order for 53 seconds. uhlc carries
/// the counter into the time, and so does this.
#[test]
fn a_step_back_is_no_outage() {
    fn goes_on<L: Layout>(further: Duration) {
        let wall = Cell::new(START);
        let clock = HybridClock::<_, L>::with_layout(|| wall.get());
        let mut latest = clock.now().unwrap();
        let minute = Duration::from_secs(60);
        wall.set(START - minute.as_nanos() as u64);
        for _ in 0..600_000 {
            wall.set(wall.get() + 100_000);
            let stamp = clock.now().unwrap();
            assert!(stamp > latest);
            latest = stamp;
        }
        let lead = clock.lead().unwrap();
        assert_eq!(lead, further, "what the carries cost");
    }
    goes_on::<Millis48>(Duration::from_millis(9));
    goes_on::<Millis42>(Duration::ZERO);
    goes_on::<Nanos64>(Duration::from_micros(600));
}

/// uhlc 0.9.0: `get_diff_duration` of an earlier and a later time is 4,294,967,296 seconds in
/// release builds, and a panic in others.
#[test]
fn uhlc_difference_to_a_later_time_wraps() {
    fn difference<L: Layout>(tick: Duration) {
        let at = |ticks| Timestamp::<L>::from_parts(ticks, 0).unwrap();
        assert_eq!(at(5).duration_since(at(9)), None);
        assert_eq!(at(9).duration_since(at(5)), Some(4 * tick));
        assert_eq!(at(9).duration_since(at(9)), Some(Duration::ZERO));
        let widest = Timestamp::<L>::MAX.duration_since(Timestamp::ZERO);
        assert!(widest > Some(Duration::from_secs(100 * 365 * 86_400)));
    }
    difference::<Millis48>(Duration::from_millis(1));
    difference::<Millis42>(Duration::from_millis(1));
    difference::<Nanos64>(Duration::from_nanos(1));
}

/// uhlc 0.9.0: 32 bits of seconds end on 7 February 2106, and time begins again in 1970.
#[test]
fn uhlc_seconds_end_in_2106() {
    fn goes_on<L: Layout>(last_year: &str) {
        let wall = Cell::new((u64::from(u32::MAX) * 1_000 + 999) * 1_000_000);
        let clock = HybridClock::<_, L>::with_layout(|| wall.get());
        let before = clock.now().unwrap();
        wall.set(wall.get() + 1_000_000);
        let after = clock.now().unwrap();
        assert!(before < after);
        assert!(before.to_string().starts_with("2106-02-07T06:28:15.999"));
        assert!(after.to_string().starts_with("2106-02-07T06:28:16.000"));
        assert!(Timestamp::<L>::MAX.to_string().starts_with(last_year));
    }
    goes_on::<Millis48>("10889-");
    goes_on::<Millis42>("2163-");
    goes_on::<Nanos64>("2554-");
    // And behind a layout's last tick there is an error, not 1970.
    let year_2200 = 7_258_118_400_000_000_000;
    let clock = HybridClock::<_, Millis42>::with_layout(|| year_2200);
    assert_eq!(clock.now(), Err(NowError::OutOfRange));
    assert_eq!(
        clock.receive(Timestamp::ZERO),
        Err(ReceiveError::Now(NowError::OutOfRange))
    );
    // The last timestamp of all is given once.
    let clock = HybridClock::<_, Nanos64>::with_layout(|| u64::MAX);
    assert_eq!(clock.now(), Ok(Timestamp::MAX));
    assert_eq!(clock.now(), Err(NowError::OutOfRange));
}

/// uhlc 0.9.0 and hlc 0.1.1 lock for every timestamp: a thread that stops there stops all. Here
/// one event can happen in the middle of another, which under a lock would never end.
#[test]
fn uhlc_and_hlc_take_a_lock_for_every_timestamp() {
    struct Nested<'a> {
        clock: &'a OnceCell<HybridClock<Self>>,
        inside: Cell<Option<Timestamp>>,
        depth: Cell<u32>,
    }
    impl PhysicalClock for Nested<'_> {
        fn now_nanos(&self) -> Option<u64> {
            self.depth.set(self.depth.get() + 1);
            if self.depth.get() == 1 {
                let clock = self.clock.get().expect("it is set before the first event");
                self.inside.set(clock.now().ok());
            }
            Some(START)
        }
    }
    let cell = OnceCell::new();
    let clock = cell.get_or_init(|| {
        HybridClock::new(Nested {
            clock: &cell,
            inside: Cell::new(None),
            depth: Cell::new(0),
        })
    });
    let outside = clock.now().unwrap();
    let inside = clock.physical().inside.get().unwrap();
    assert!(inside < outside);
}

/// uhlc 0.9.0: `update_with_timestamp` gives nothing, and between it and the next call another
/// thread may stamp: which timestamp the receipt has is unknown.
#[test]
fn uhlc_receive_does_not_give_the_events_own_timestamp() {
    let clock = HybridClock::new(|| START);
    let ahead = Timestamp::at_unix(Duration::from_nanos(START) + Duration::from_millis(9)).unwrap();
    let received = clock.receive(ahead).unwrap();
    assert_eq!(received.as_u64(), ahead.as_u64() + 1);
    assert_eq!(clock.latest(), received);
}

/// uhlc 0.9.0 takes a bare `fn()` for a clock, which can hold nothing; of hlc-gen 2.0 only its own
/// two can be reached.
#[test]
fn uhlc_and_hlc_gen_clocks_cannot_hold_state() {
    struct Offset<'a> {
        true_time: &'a Cell<u64>,
        off_by: u64,
    }
    impl PhysicalClock for Offset<'_> {
        fn now_nanos(&self) -> Option<u64> {
            Some(self.true_time.get() + self.off_by)
        }
    }
    let true_time = Cell::new(START);
    let fast = HybridClock::new(Offset {
        true_time: &true_time,
        off_by: 80_000_000,
    });
    let right = HybridClock::new(|| true_time.get());
    let apart = |one: Timestamp, two: Timestamp| two.duration_since(one);
    let (one, two) = (right.now().unwrap(), fast.now().unwrap());
    assert_eq!(apart(one, two), Some(Duration::from_millis(80)));
}

/// hlc-gen 2.0 has no node in its timestamps: two nodes give the same one.
#[test]
fn hlc_gen_timestamps_of_two_nodes_are_equal() {
    let (one, two) = (HybridClock::new(|| START), HybridClock::new(|| START));
    let stamps = [(one.now(), 1_u64), (two.now(), 2)]
        .map(|(timestamp, node)| Stamp::new(timestamp.unwrap(), node));
    assert_eq!(stamps[0].time, stamps[1].time);
    assert!(
        stamps[0] < stamps[1],
        "the node decides, for everybody alike"
    );
    assert_ne!(stamps[0].to_be_bytes(), stamps[1].to_be_bytes());
}

/// hlc-gen 2.0: the guard against a peer's far future is off unless it is asked for; lamport
/// 0.2.0, hlc 0.1.1 have none. Here it is on.
#[test]
fn hlc_gen_guard_against_the_future_is_off_by_default() {
    let clock = HybridClock::new(|| START);
    let year_2100 = Timestamp::at_unix(Duration::from_secs(4_102_444_800)).unwrap();
    assert!(matches!(
        clock.receive(year_2100),
        Err(ReceiveError::TooFarAhead { .. })
    ));
    assert_eq!(
        clock.now().unwrap().since_unix_epoch().as_nanos(),
        START.into()
    );
    let mut lamport = LamportClock::default();
    assert!(lamport.receive(LamportTime::new(1 << 60)).is_err());
    assert_eq!(lamport.now(), LamportTime::ZERO);
}

/// elixir-toniq/hlclock#22: drift is looked at when a message comes and never when one goes, so a
/// node whose own clock was set back hears of it from others, if at all. Here the clock goes on,
/// in order, and tells its lead.
#[test]
fn hlclock_22_a_clock_that_leads_its_own_machine_is_not_seen() {
    let wall = Cell::new(START);
    let clock = HybridClock::new(|| wall.get());
    let before = clock.now().unwrap();
    assert_eq!(clock.lead(), Some(Duration::ZERO));
    wall.set(START - 10_000_000_000);
    assert!(clock.now().unwrap() > before);
    assert_eq!(clock.lead(), Some(Duration::from_secs(10)));
}

/// calimero-network/core#2635 and others: in the receive rule the counter is taken from the wrong
/// side, or begins at 0 where the physical parts are equal, or is not raised. One line for each
/// case of the paper's figure 5.
#[test]
fn calimero_2635_wrong_receive_rule() {
    // Own latest, message, wall: all in (ticks, counter); and the receipt.
    let cases = [
        ((9, 4), (9, 7), 8, (9, 8)),
        ((9, 7), (9, 4), 8, (9, 8)),
        ((9, 7), (9, 4), 9, (9, 8)),
        ((9, 4), (8, 7), 8, (9, 5)),
        ((8, 4), (9, 7), 8, (9, 8)),
        ((8, 4), (9, 7), 9, (9, 8)),
        ((8, 4), (8, 7), 9, (9, 0)),
    ];
    for (own, message, wall, receipt) in cases {
        let stamp = |(ticks, logical)| Timestamp::<Millis48>::from_parts(ticks, logical).unwrap();
        let physical = Cell::new(0);
        let clock = HybridClock::new(|| physical.get() * 1_000_000);
        // A receipt of the one before brings the clock to its own latest.
        let before = Timestamp::from_u64(stamp(own).as_u64() - 1);
        assert_eq!(clock.receive(before), Ok(stamp(own)));
        physical.set(wall);
        assert_eq!(
            clock.receive(stamp(message)),
            Ok(stamp(receipt)),
            "{own:?} {message:?} {wall}"
        );
    }
}

/// Threads on the clocks as they are, for what loom's words cannot show.
#[test]
fn threads_get_timestamps_of_their_own() {
    let hybrid = HybridClock::<_, Nanos64>::with_layout(SystemClock);
    let lamport = AtomicLamportClock::default();
    let given: Vec<_> = thread::scope(|scope| {
        let work = || {
            let stamp = |_| (hybrid.now().unwrap(), lamport.tick().unwrap());
            (0..5_000).map(stamp).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
        threads.into_iter().map(join).collect()
    });
    for mine in &given {
        assert!(mine.is_sorted_by(|one, two| one.0 < two.0 && one.1 < two.1));
    }
    let timestamps: BTreeSet<_> = given.iter().flatten().map(|pair| pair.0).collect();
    let times: BTreeSet<_> = given.iter().flatten().map(|pair| pair.1).collect();
    assert_eq!((timestamps.len(), times.len()), (20_000, 20_000));
    assert_eq!(lamport.now(), LamportTime::new(20_000));
}

/// 2026-11-23T07:00:00Z, in nanoseconds.
const START: u64 = 1_795_417_200_000_000_000;
