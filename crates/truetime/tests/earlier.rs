//! Intervals for readings of the oscillator that were taken earlier.

use core::time::Duration;

use synod_truetime::sim::{Fault, Machine, Reference, World};
use synod_truetime::{Clocks, Config, Disciplined, Local, TimeError, Timestamp, TrueTime};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_earlier_reading_has_an_interval_that_was_right_then() {
    for (seed, rate) in [(1, 0), (2, 199_000), (3, -199_000)] {
        let world = World::new(seed);
        let machine = Machine::new(&world, 199);
        machine.strike(Fault::Rate(rate));
        let source = Reference::new(&machine, Duration::from_millis(1));
        let clock = Disciplined::new(source, machine.clone(), Config::default());
        clock.poll().unwrap();
        let mut events: Vec<(Local, Timestamp)> = Vec::new();
        for second in 0..400 {
            events.push((machine.local(), world.now()));
            // Sleep too short to be noticed.
            machine.strike(Fault::Suspend(Duration::from_nanos(20)));
            world.advance(SECOND / 2);
            if second % 16 == 0 {
                clock.poll().unwrap();
            }
            let latest = clock.now().unwrap().epsilon();
            for (local, then) in &events {
                let interval = clock.at(*local).expect("nothing has happened since");
                assert!(
                    interval.widen(1).contains(*then),
                    "{then} is not in {interval}"
                );
            }
            let present = clock.at(machine.local()).unwrap();
            assert!(world.is_in(&present) && present.epsilon() >= latest);
        }
        // The farther it is from the last sample, the wider.
        let (first, last) = (
            clock.at(events[0].0).unwrap(),
            clock.at(events[399].0).unwrap(),
        );
        assert!(first.epsilon() > last.epsilon() + Duration::from_millis(30));
    }
}

#[test]
fn what_lies_behind_a_disruption_has_none() {
    let world = World::new(4);
    let machine = Machine::new(&world, 100);
    let before_all = machine.local();
    world.advance(SECOND);
    let source = Reference::new(&machine, Duration::from_millis(1));
    let clock = Disciplined::new(source, machine.clone(), Config::default());
    clock.poll().unwrap();
    assert_eq!(clock.at(before_all), Err(TimeError::NotSynchronized));
    let event = machine.local();
    world.advance(SECOND);
    assert!(clock.at(event).is_ok());

    machine.strike(Fault::Suspend(SECOND));
    assert!(matches!(clock.at(event), Err(TimeError::Disrupted(_))));
    clock.poll().unwrap();
    world.advance(SECOND);
    clock.poll().unwrap();
    assert_eq!(
        clock.at(event),
        Err(TimeError::NotSynchronized),
        "the oscillator stood still in between"
    );
    assert!(clock.at(machine.local()).is_ok());

    // Two samples that contradict each other: what was before them is not known any more.
    let event = machine.local();
    machine.strike(Fault::Pause(SECOND));
    assert!(clock.poll().is_err());
    world.advance(SECOND);
    clock.poll().unwrap();
    assert_eq!(clock.at(event), Err(TimeError::NotSynchronized));
}

#[test]
fn limits_hold_backwards_too() {
    let world = World::new(5);
    let machine = Machine::new(&world, 100);
    let source = Reference::new(&machine, Duration::from_millis(1));
    let config = Config {
        age_max: 100 * SECOND,
        epsilon_max: Duration::from_millis(15),
        ..Config::default()
    };
    let clock = Disciplined::new(source, machine.clone(), config);
    clock.poll().unwrap();
    let event = machine.local();
    let mut seconds = 0;
    let error = loop {
        match clock.at(event) {
            Ok(interval) => assert!(interval.epsilon() <= config.epsilon_max),
            Err(error) => break error,
        }
        world.advance(SECOND);
        clock.poll().unwrap();
        seconds += 1;
    };
    // From 1 ms, and up to 1 ms of the round trip, to 15 ms by 200 ppm.
    assert!((64..72).contains(&seconds), "{seconds} s");
    assert!(matches!(error, TimeError::BoundTooWide { .. }), "{error:?}");
}
