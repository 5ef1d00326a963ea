//! Every reading contains true time: against an oscillator that walks at random inside its stated bound,
//! with clocks that count whole nanoseconds, or whole milliseconds, while true time counts picoseconds.
//!
//! Ten million readings.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use core::time::Duration;

use synod_truetime::sim::{Machine, Reference, World};
use synod_truetime::source::{Sample, Source, SourceError};
use synod_truetime::{
    Clocks, Combined, Config, Disciplined, Drift, Interval, Monotonic, Reading, TimeError, TrueTime,
};

/// Readings of each kind of clock; there are five kinds.
const READINGS: u64 = 2_000_000;

/// The worst oscillator that the bound allows is tried too, and so is a source without any slack: then a
/// nanosecond that is lost anywhere shows.
const DRIFT_PPM: u32 = 200;

fn config() -> Config {
    Config {
        drift: Drift::from_ppm(DRIFT_PPM),
        ..Config::default()
    }
}

/// Lets time pass in steps of all sizes, and demands that each reading is right.
fn reads(world: &World, clock: &impl TrueTime, readings: u64, mut poll: impl FnMut()) {
    for number in 0..readings {
        if number % 100 == 0 {
            poll();
        }
        // From picoseconds to a hundred milliseconds, each size as often.
        let size = world.draw(1, 11);
        let picos = world.draw(0, 10_i64.pow(size as u32));
        world.advance_picos(picos.unsigned_abs());
        let interval = clock.now().expect("it was polled not long ago");
        assert!(
            world.is_in(&interval),
            "reading {number}: {} and {} ps is not in {interval}",
            world.now(),
            world.picos(),
        );
    }
}

fn machines(world: &World) -> Vec<Machine> {
    let walking = Machine::new(world, DRIFT_PPM);
    let [fast, slow] = [1, -1].map(|sign| {
        let machine = Machine::new(world, DRIFT_PPM);
        machine.strike(synod_truetime::sim::Fault::Rate(
            sign * 1000 * DRIFT_PPM as i32,
        ));
        machine
    });
    let coarse = Machine::new(world, DRIFT_PPM).with_granularity(4_000_000);
    // No slack for sleep in their intervals.
    [walking, fast, slow, coarse].map(Machine::sleepless).into()
}

#[test]
fn growth_from_measured_samples() {
    let world = World::new(1);
    for machine in machines(&world) {
        for epsilon in [0, 1_000, 1_000_000].map(Duration::from_nanos) {
            let source = Reference::new(&machine, epsilon);
            let clock = Disciplined::new(source, &machine, config());
            reads(&world, &clock, READINGS / 12, || {
                clock.poll().expect("an honest source");
            });
        }
    }
}

/// The arithmetic with nothing around it: a sample that is exactly right, taken in no time.
struct Exact<'a>(&'a Machine);

impl Source for Exact<'_> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let world = self.0.world();
        let now = world.now();
        let ceiling = now.later(u64::from(world.picos() > 0));
        let at = self.0.local();
        let interval = Interval::spanning(now, ceiling);
        Ok(Sample::between(at, self.0.local(), interval, 0))
    }
}

#[test]
fn growth_from_exact_samples() {
    let world = World::new(2);
    for machine in machines(&world) {
        let clock = Disciplined::new(Exact(&machine), &machine, config());
        reads(&world, &clock, READINGS / 4, || {
            clock.poll().expect("an honest source");
        });
    }
}

/// The bare formula, without the granules that a clock adds: any shortcut in rounding shows.
#[test]
fn growth_alone() {
    let world = World::new(3);
    let drift = Drift::from_ppm(DRIFT_PPM);
    for machine in machines(&world).into_iter().take(3) {
        for _ in 0..READINGS / 3 {
            let (at, sampled) = (machine.local(), Interval::at(world.now()));
            let size = world.draw(1, 13);
            let picos = world.draw(0, 10_i64.pow(size as u32));
            world.advance_picos(picos.unsigned_abs());
            let elapsed = machine.local().nanos_since(at);
            // Two readings of a clock of whole nanoseconds, and a sample rounded down to one.
            let now = drift.extrapolate(sampled, elapsed).widen(1);
            let with_ceiling = Interval::spanning(now.earliest(), now.latest().later(1));
            assert!(
                world.is_in(&with_ceiling),
                "{elapsed} ns after {sampled}: {} is not in {now}",
                world.now(),
            );
        }
    }
}

#[test]
fn agreement_of_five_with_two_liars() {
    let world = World::new(4);
    let machine = Machine::new(&world, DRIFT_PPM).sleepless();
    let sources: Vec<_> = (0..5)
        .map(|_| Reference::new(&machine, Duration::from_millis(1)))
        .collect();
    // One is far off, the other close enough to overlap the right ones.
    sources[1].lie(90_000_000);
    sources[4].lie(-1_500_000);
    let combined = Combined::new(sources, &machine, 2);
    let clock = Disciplined::new(combined, &machine, config());
    reads(&world, &clock, READINGS, || {
        clock.poll().expect("three are honest");
    });
}

#[test]
fn wrappers_keep_it() {
    let world = World::new(5);
    let machine = Machine::new(&world, DRIFT_PPM).sleepless();
    // Samples that take no time, and whose earliest ends lie far apart.
    let source = Reference::new(&machine, Duration::from_millis(50)).with_way_max(Duration::ZERO);
    let clock = Monotonic::new(Disciplined::new(source, &machine, config()));
    let watched = Watched {
        clock: &clock,
        last: i64::MIN.into(),
        kept: 0.into(),
    };
    reads(&world, &watched, READINGS, || {
        clock.inner().poll().expect("an honest source");
    });
    let kept = watched.kept.into_inner();
    assert!(kept > 100, "the clock inside went back {kept} times only");
}

/// Looks at each reading whether it went back, and counts those that would have without the wrapper.
struct Watched<'a, T> {
    clock: &'a Monotonic<T>,
    last: AtomicI64,
    kept: AtomicU64,
}

impl<T: TrueTime> TrueTime for Watched<'_, T> {
    fn read(&self) -> Result<Reading, TimeError> {
        let inner = self.clock.inner().read()?.interval.earliest().as_nanos();
        let reading = self.clock.read()?;
        let earliest = reading.interval.earliest().as_nanos();
        let last = self.last.swap(earliest, Relaxed);
        assert!(earliest >= last, "it went back");
        self.kept.fetch_add(u64::from(inner < last), Relaxed);
        Ok(reading)
    }
}
