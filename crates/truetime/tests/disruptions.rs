//! What happens to clocks, and that the interval is right all along or there is none.

use core::time::Duration;

use synod_truetime::sim::{Fault, Machine, Reference, World};
use synod_truetime::{
    BoundKind, Clocks, Config, Disciplined, Disruption, Interval, PollError, Polled, Reading,
    Sample, Source, SourceError, Status, TimeError, TrueTime,
};

type Clock = Disciplined<Reference, Machine>;

const SECOND: Duration = Duration::from_secs(1);

fn clock(seed: u64) -> (World, Machine, Clock) {
    let world = World::new(seed);
    let machine = Machine::new(&world, 100);
    let source = Reference::new(&machine, Duration::from_millis(1));
    let clock = Disciplined::new(source, machine.clone(), Config::default());
    assert_eq!(clock.now(), Err(TimeError::NotSynchronized));
    assert_eq!(clock.poll(), Ok(Polled::Adopted));
    world.advance(SECOND);
    assert!(world.is_in(&clock.now().expect("it is known")));
    (world, machine, clock)
}

/// Two samples later it is known again, and right.
fn settles(world: &World, clock: &Clock, cause: Disruption) {
    assert_eq!(clock.poll(), Ok(Polled::Settling { missing: 1 }));
    assert_eq!(clock.now(), Err(TimeError::Disrupted(cause)));
    world.advance(SECOND);
    assert_eq!(clock.poll(), Ok(Polled::Adopted));
    assert!(world.is_in(&clock.now().expect("it is known")));
}

#[test]
fn sleep_is_seen_by_the_next_reader() {
    for slept in [11_000, 1_000_000, 3_600_000_000_000] {
        let (world, machine, clock) = clock(1);
        machine.strike(Fault::Suspend(Duration::from_nanos(slept)));
        let suspended = Disruption::Suspended;
        assert_eq!(clock.now(), Err(TimeError::Disrupted(suspended)), "{slept}");
        settles(&world, &clock, suspended);
    }
}

/// Sleep too short to be told from the time between two readings is within the interval.
#[test]
fn sleep_that_is_not_seen_is_covered() {
    let world = World::new(2);
    let machine = Machine::new(&world, 0);
    let source = Reference::new(&machine, Duration::ZERO).with_way_max(Duration::ZERO);
    let clock = Disciplined::new(source, &machine, Config::default());
    clock.poll().unwrap();
    machine.strike(Fault::Suspend(Duration::from_nanos(10_000)));
    assert!(world.is_in(&clock.now().unwrap()));
}

#[test]
fn a_step_is_seen_by_the_next_poll() {
    for step in [1_000_000_000, -1_000_000_000, 3_100_000, -3_100_000] {
        let (world, machine, clock) = clock(3);
        machine.strike(Fault::Step(step));
        // The oscillator does not care, so what readers have is right.
        assert!(world.is_in(&clock.now().unwrap()));
        settles(&world, &clock, Disruption::Stepped);
    }
}

#[test]
fn a_leap_within_the_question_spoils_the_answer() {
    struct Stepping(Reference, Machine);

    impl Source for Stepping {
        fn sample(&self) -> Result<Sample, SourceError> {
            self.1.strike(Fault::Step(-1_000_000_000));
            self.0.sample()
        }
    }

    let world = World::new(4);
    let machine = Machine::new(&world, 100);
    let source = Reference::new(&machine, Duration::from_millis(1));
    let source = Stepping(source, machine.clone());
    let clock = Disciplined::new(source, machine, Config::default());
    let stepped = Disruption::Stepped;
    assert_eq!(clock.poll(), Err(PollError::Disrupted(stepped)));
    assert_eq!(clock.now(), Err(TimeError::Disrupted(stepped)));
}

#[test]
fn a_frozen_oscillator_is_seen_by_the_next_poll() {
    let (world, machine, clock) = clock(5);
    machine.strike(Fault::Freeze(SECOND));
    world.advance(2 * SECOND);
    settles(&world, &clock, Disruption::Rate);
}

/// Of a machine that stood still with all its clocks only a sample tells.
#[test]
fn a_pause_is_seen_by_the_next_sample() {
    let (world, machine, clock) = clock(6);
    machine.strike(Fault::Pause(SECOND));
    let contradiction = Disruption::Contradiction;
    assert_eq!(clock.poll(), Err(PollError::Disrupted(contradiction)));
    assert_eq!(clock.now(), Err(TimeError::Disrupted(contradiction)));
    world.advance(SECOND);
    assert_eq!(clock.poll(), Ok(Polled::Adopted));
    assert!(world.is_in(&clock.now().unwrap()));
}

#[test]
fn an_oscillator_out_of_its_bound_is_seen_by_the_next_sample() {
    let (world, machine, clock) = clock(7);
    machine.strike(Fault::Rate(2_000_000));
    world.advance(10 * SECOND);
    let contradiction = Disruption::Contradiction;
    assert_eq!(clock.poll(), Err(PollError::Disrupted(contradiction)));
    assert!(clock.now().is_err());
}

#[test]
fn a_source_that_begins_to_lie_makes_the_clock_unknown() {
    let (world, _, clock) = clock(8);
    clock.source().lie(20_000_000);
    let contradiction = Disruption::Contradiction;
    assert_eq!(clock.poll(), Err(PollError::Disrupted(contradiction)));
    assert!(clock.now().is_err());
    // It goes on telling now this and now that: never known.
    for number in 0..20 {
        clock.source().lie(20_000_000 * (number % 2));
        world.advance(SECOND);
        assert!(clock.poll().is_err());
        assert!(clock.now().is_err());
    }
}

/// A daemon that corrects a great offset slews by a thousand times the drift bound.
#[test]
fn slewing_is_no_disruption() {
    let (world, machine, clock) = clock(9);
    for ppb in [83_333_000, -83_333_000, 500_000] {
        machine.strike(Fault::Slew(ppb));
        for _ in 0..10 {
            world.advance(SECOND);
            assert!(world.is_in(&clock.now().unwrap()));
        }
        // A step is told by `realtime - monotonic`, which no slew changes.
        assert_eq!(clock.poll(), Ok(Polled::Adopted));
    }
}

#[test]
fn a_silent_source_makes_the_interval_grow_and_then_fail() {
    let (world, _, clock) = clock(10);
    clock.source().silence(true);
    let mut epsilon = clock.now().unwrap().epsilon();
    let silent = PollError::Source(SourceError::TimedOut);
    let mut seconds = 1;
    let error = loop {
        assert_eq!(clock.poll(), Err(silent));
        world.advance(10 * SECOND);
        seconds += 10;
        match clock.read() {
            Ok(Reading {
                interval, status, ..
            }) => {
                assert!(world.is_in(&interval));
                assert!(interval.epsilon() > epsilon, "it must grow");
                let holdover = seconds > 60;
                assert_eq!(status == Status::Holdover, holdover, "after {seconds} s");
                epsilon = interval.epsilon();
            }
            Err(error) => break error,
        }
    };
    // 1 ms, up to 1 ms of the round trip, and 200 ppm: above 100 ms between 490 s and 495 s.
    let TimeError::BoundTooWide { epsilon_max, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(epsilon_max, Duration::from_millis(100));
    assert_eq!(seconds, 501, "the first look after that");
    clock.source().silence(false);
    assert_eq!(clock.poll(), Ok(Polled::Adopted));
    assert!(world.is_in(&clock.now().unwrap()));
}

/// A source of samples that say of themselves how long they may be used.
struct Short(Reference);

impl Source for Short {
    fn sample(&self) -> Result<Sample, SourceError> {
        let valid_for = 3 * SECOND;
        let bound = BoundKind::Statistical { miss_ppb: 30_000 };
        Ok(Sample {
            valid_for,
            bound,
            ..self.0.sample()?
        })
    }
}

#[test]
fn the_smaller_of_two_ages_counts() {
    let world = World::new(11);
    let machine = Machine::new(&world, 100);
    for age_max in [2, 5].map(Duration::from_secs) {
        let config = Config {
            age_max,
            ..Config::default()
        };
        let source = Short(Reference::new(&machine, SECOND / 1000));
        let clock = Disciplined::new(source, &machine, config);
        clock.poll().unwrap();
        let smaller = age_max.min(3 * SECOND);
        world.advance(smaller - SECOND / 10);
        let reading = clock.read().unwrap();
        assert_eq!(reading.bound, BoundKind::Statistical { miss_ppb: 30_000 });
        world.advance(SECOND / 5);
        let Err(TimeError::Stale { age, age_max }) = clock.now() else {
            panic!("it should be stale");
        };
        assert_eq!(age_max, smaller);
        assert!(age > smaller);
    }
}

/// A sample that admits more drift than the clock's bound counts.
#[test]
fn the_greater_drift_counts() {
    struct Kernel(Machine);

    impl Source for Kernel {
        fn sample(&self) -> Result<Sample, SourceError> {
            let at = self.0.local();
            let interval = Interval::at(self.0.world().now());
            Ok(Sample::between(at, at, interval, 500_000))
        }
    }

    let world = World::new(12);
    let machine = Machine::new(&world, 100);
    let clock = Disciplined::new(Kernel(machine.clone()), machine, Config::default());
    clock.poll().unwrap();
    world.advance(10 * SECOND);
    let epsilon = clock.now().unwrap().epsilon();
    assert!(epsilon > Duration::from_millis(5) && epsilon < Duration::from_micros(5_020));
}

#[test]
fn a_sample_that_is_too_wide_is_never_shown() {
    let world = World::new(13);
    let machine = Machine::new(&world, 100);
    let source = Reference::new(&machine, Duration::from_millis(100));
    let source = source.with_way_max(Duration::ZERO);
    let clock = Disciplined::new(source, machine, Config::default());
    clock.poll().unwrap();
    assert!(matches!(clock.now(), Err(TimeError::BoundTooWide { .. })));
}

/// Up to the last reading within them.
#[test]
fn limits_are_kept() {
    struct Once(Machine, Duration);

    impl Source for Once {
        fn sample(&self) -> Result<Sample, SourceError> {
            let at = self.0.local();
            let interval = Interval::around(self.0.world().now(), self.1);
            Ok(Sample::between(at, at, interval, 0))
        }
    }

    let world = World::new(14);
    let machine = Machine::new(&world, 0);
    for (epsilon, age_max) in [(0, SECOND), (99_900_000, 10 * SECOND)] {
        let config = Config {
            age_max,
            ..Config::default()
        };
        let once = Once(machine.clone(), Duration::from_nanos(epsilon));
        let clock = Disciplined::new(once, machine.clone(), config);
        clock.poll().unwrap();
        let taken = machine.local();
        let (mut last, mut nanos) = (clock.now().unwrap(), 0);
        let error = loop {
            world.advance(Duration::from_nanos(1_000_003));
            match clock.now() {
                Ok(interval) => (last, nanos) = (interval, machine.local().nanos_since(taken)),
                Err(error) => break error,
            }
        };
        assert!(last.epsilon() <= config.epsilon_max);
        match error {
            TimeError::Stale { age, .. } => {
                assert!(age > SECOND && nanos <= 1_000_000_000, "{age:?} {nanos}");
            }
            TimeError::BoundTooWide { epsilon, .. } => {
                assert!(epsilon > config.epsilon_max && nanos < 600_000_000);
            }
            other => panic!("{other}"),
        }
    }
}
