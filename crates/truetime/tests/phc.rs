//! PTP hardware clocks, against clocks of a simulated machine; no card has been near.

use core::time::Duration;
use std::sync::Mutex;

use synod_truetime::sim::{Fault, Machine, World};
use synod_truetime::source::phc::{HardwareClock, Phc};
use synod_truetime::{
    Clocks, Config, Disciplined, Drift, Source, SourceError, Timestamp, TrueTime, Unsynchronized,
};

const NANO: Duration = Duration::from_nanos(1);
const LEAPS: Duration = Duration::from_secs(37);

/// A card on TAI that is wrong by so many nanoseconds, and is read over a bus that takes its time.
struct Card {
    world: World,
    ahead_nanos: i64,
    says_nanos: Mutex<Result<Option<u64>, SourceError>>,
}

impl Card {
    fn new(world: &World, ahead_nanos: i64) -> Self {
        Self {
            world: world.clone(),
            ahead_nanos,
            says_nanos: Mutex::new(Ok(None)),
        }
    }

    fn bus(&self) {
        let picos = self.world.draw(0, 3_000_000);
        self.world
            .advance(Duration::from_nanos(picos.unsigned_abs() / 1000));
    }
}

impl HardwareClock for Card {
    fn time(&self) -> Result<Timestamp, SourceError> {
        self.bus();
        let tai = self.world.now() + LEAPS;
        let time = Timestamp::from_nanos(tai.as_nanos() + self.ahead_nanos);
        self.bus();
        Ok(time)
    }

    fn error_nanos(&self) -> Result<Option<u64>, SourceError> {
        *self.says_nanos.lock().expect("no panic")
    }
}

/// A hundred thousand readings of a card that is as wrong as it may be, by the worst oscillator.
#[test]
fn a_card_that_is_as_wrong_as_it_may_be() {
    let world = World::new(1);
    let machine = Machine::new(&world, 200);
    for case in 0..100_000 {
        machine.strike(Fault::Rate(world.draw(-1, 1) as i32 * 200_000));
        let error = world.draw(0, 1_000);
        let sign = 1 - 2 * (case % 2);
        let phc = Phc::new(
            &machine,
            Card::new(&world, sign * error),
            Duration::from_nanos(error.unsigned_abs().max(1)),
        )
        .ahead_by(LEAPS);
        let sample = phc.sample().unwrap();
        let elapsed = machine.local().nanos_since(sample.at);
        let now = Drift::from_ppm(200)
            .extrapolate(sample.interval, elapsed)
            .widen(1);
        assert!(world.is_in(&now), "case {case}");
        world.advance(Duration::from_nanos(
            world.draw(0, 1_000_000).unsigned_abs(),
        ));
    }
}

#[test]
fn what_the_driver_says_is_added_and_what_nobody_says_is_refused() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100);
    let phc = |bound, says| {
        let card = Card::new(&world, 0);
        *card.says_nanos.lock().unwrap() = says;
        let phc = Phc::new(&machine, card, bound).ahead_by(LEAPS);
        phc.sample().map(|sample| sample.interval.epsilon())
    };
    let unmeasured = SourceError::NotSynchronized(Unsynchronized::Unmeasured);
    assert_eq!(phc(Duration::ZERO, Ok(None)), Err(unmeasured));
    assert_eq!(phc(Duration::ZERO, Ok(Some(0))), Err(unmeasured));
    assert_eq!(
        phc(NANO, Err(SourceError::Malformed)),
        Err(SourceError::Malformed)
    );
    let both = phc(Duration::from_micros(10), Ok(Some(20_000))).unwrap();
    assert!(
        both >= Duration::from_micros(30) && both < Duration::from_micros(40),
        "{both:?}"
    );
}

#[test]
fn a_clock_of_it_is_right() {
    let world = World::new(3);
    let machine = Machine::new(&world, 100);
    let phc = Phc::new(
        machine.clone(),
        Card::new(&world, 900),
        Duration::from_micros(1),
    )
    .ahead_by(LEAPS);
    let clock = Disciplined::new(phc, machine, Config::default());
    for _ in 0..100 {
        clock.poll().unwrap();
        world.advance(Duration::from_millis(500));
        let now = clock.now().unwrap();
        assert!(world.is_in(&now));
        assert!(now.epsilon() < Duration::from_micros(120));
    }
}

/// Files that are no clocks: the system call says so, and nothing is believed.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_no_clock_has_no_time() {
    use std::fs;

    use synod_truetime::SystemClocks;
    use synod_truetime::source::phc::PtpDevice;

    let folder = tempfile::tempdir().unwrap();
    let (file, bound) = (
        folder.path().join("ptp0"),
        folder.path().join("phc_error_bound"),
    );
    assert!(PtpDevice::open(&file).is_err());
    fs::write(&file, b"no clock").unwrap();
    let device = || PtpDevice::open(&file).unwrap();
    let phc = Phc::new(SystemClocks::new(), device(), Duration::from_micros(1));
    assert_eq!(phc.sample(), Err(SourceError::Unavailable));

    let with_error = device().with_error_file(&bound);
    assert_eq!(with_error.error_nanos(), Err(SourceError::Unavailable));
    fs::write(&bound, b"20583\n").unwrap();
    assert_eq!(with_error.error_nanos(), Ok(Some(20_583)));
    fs::write(&bound, b"-1\n").unwrap();
    assert_eq!(with_error.error_nanos(), Err(SourceError::Malformed));
    assert_eq!(device().error_nanos(), Ok(None));
}
