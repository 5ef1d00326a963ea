//! What becomes of a clock whose source loses what it goes by: no bound falls because somebody knows less.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::time::Duration;
use std::sync::Mutex;

use synod_truetime::sim::{Machine, Reference, World};
use synod_truetime::{
    Combined, Config, Disciplined, PollError, Sample, Source, SourceError, Stratum, TrueTime,
    Unsynchronized,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// A daemon that goes now by one server and now by another.
struct Daemon {
    machine: Machine,
    goes_by: Mutex<(Duration, u16)>,
}

impl Source for Daemon {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (epsilon, stratum) = *self.goes_by.lock().expect("no panic");
        let sample = Reference::new(&self.machine, epsilon)
            .with_way_max(Duration::ZERO)
            .sample()?;
        Ok(Sample {
            stratum: Stratum::new(stratum),
            ..sample
        })
    }
}

fn daemon(seed: u64) -> (World, Disciplined<Daemon, Machine>) {
    let world = World::new(seed);
    let machine = Machine::new(&world, 100);
    let goes_by = Mutex::new((5 * MILLI, 2));
    let clock = Disciplined::new(
        Daemon {
            machine: machine.clone(),
            goes_by,
        },
        machine,
        Config::default(),
    );
    clock.poll().unwrap();
    (world, clock)
}

fn switch(clock: &Disciplined<Daemon, Machine>, epsilon: Duration, stratum: u16) {
    *clock.source().goes_by.lock().unwrap() = (epsilon, stratum);
}

#[test]
fn a_bound_does_not_fall_when_a_farther_server_claims_less() {
    let (world, clock) = daemon(1);
    world.advance(10 * SECOND);
    let lost = clock.now().unwrap().epsilon();
    assert!(lost > 6 * MILLI);
    // Its server has lost its own, and goes by itself with an error of nothing.
    switch(&clock, Duration::ZERO, 5);
    for _ in 0..100 {
        clock.poll().unwrap();
        let reading = clock.read().unwrap();
        assert!(
            reading.interval.epsilon() >= lost,
            "{:?} < {lost:?}",
            reading.interval.epsilon()
        );
        assert_eq!(reading.stratum, Stratum::new(5));
        assert!(world.is_in(&reading.interval));
        world.advance(10 * SECOND);
    }
    // Nor does it grow for ever: the farther server is heard.
    assert!(clock.now().unwrap().epsilon() < 2 * lost);
    // As near as before, or nearer: that is news.
    switch(&clock, MILLI, 2);
    clock.poll().unwrap();
    assert!(clock.now().unwrap().epsilon() < 2 * MILLI);
    switch(&clock, 2 * MILLI, 1);
    clock.poll().unwrap();
    switch(&clock, MILLI, 2);
    clock.poll().unwrap();
    assert!(clock.now().unwrap().epsilon() >= 2 * MILLI, "1 was nearer");
}

/// A clock that could not be read any more has nothing that a new source could make narrower.
#[test]
fn a_clock_that_was_unknown_begins_anew() {
    let (world, clock) = daemon(2);
    world.advance(600 * SECOND);
    assert!(clock.now().is_err());
    switch(&clock, MILLI, 5);
    clock.poll().unwrap();
    assert!(clock.now().unwrap().epsilon() < 2 * MILLI);
    assert!(world.is_in(&clock.now().unwrap()));
}

/// A source that says that it knows nothing leaves the interval as it is, and growing.
#[test]
fn a_refused_reference_leaves_the_bound_growing() {
    struct Lost(Reference, Mutex<bool>);

    impl Source for Lost {
        fn sample(&self) -> Result<Sample, SourceError> {
            if *self.1.lock().expect("no panic") {
                return Err(SourceError::NotSynchronized(Unsynchronized::LocalReference));
            }
            self.0.sample()
        }
    }

    let world = World::new(3);
    let machine = Machine::new(&world, 100);
    let source = Lost(Reference::new(&machine, MILLI), Mutex::new(false));
    let clock = Disciplined::new(source, machine, Config::default());
    clock.poll().unwrap();
    *clock.source().1.lock().unwrap() = true;
    let mut epsilon = clock.now().unwrap().epsilon();
    for _ in 0..40 {
        world.advance(10 * SECOND);
        let why = SourceError::NotSynchronized(Unsynchronized::LocalReference);
        assert_eq!(clock.poll(), Err(PollError::Source(why)));
        let now = clock.now().unwrap();
        assert!(world.is_in(&now) && now.epsilon() > epsilon);
        epsilon = now.epsilon();
    }
    // What a user sees is the reason, and not only that nothing is known.
    world.advance(200 * SECOND);
    assert!(clock.now().is_err());
    let last = clock.status().last_error.unwrap();
    assert!((199..=201).contains(&last.ago.as_secs()), "{:?}", last.ago);
    assert!(
        last.error.to_string().contains("its own clock"),
        "{}",
        last.error
    );
}

/// Of several that agree the nearest tells how far all of it is.
#[test]
fn those_who_agree_are_as_far_as_the_nearest() {
    let world = World::new(4);
    let machine = Machine::new(&world, 100);
    let at = |stratum| Daemon {
        machine: machine.clone(),
        goes_by: Mutex::new((MILLI, stratum)),
    };
    let combined = Combined::new(vec![at(8), at(3), at(9)], &machine, 1);
    assert_eq!(combined.sample().unwrap().stratum, Stratum::new(3));
}
