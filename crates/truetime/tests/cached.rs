//! A cache of a dear clock: when it asks, and that it passes errors on.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use synod_truetime::sim::{Fault, Machine, World};
use synod_truetime::{
    Cached, Config, Interval, Monotonic, Reading, Status, TimeError, Timestamp, TrueTime,
};

const SECOND: Duration = Duration::from_secs(1);

/// Counts how often it is asked, and answers as it is told.
struct Dear {
    world: World,
    asked: Mutex<u32>,
    answer: Mutex<Result<Status, TimeError>>,
}

impl Dear {
    fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            asked: Mutex::new(0),
            answer: Mutex::new(Ok(Status::Synchronized)),
        }
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().expect("no panic")
    }
}

impl TrueTime for Dear {
    fn read(&self) -> Result<Reading, TimeError> {
        *self.asked.lock().expect("no panic") += 1;
        let status = (*self.answer.lock().expect("no panic"))?;
        let interval = Interval::around(self.world.now(), SECOND / 1000);
        Ok(Reading {
            status,
            ..Reading::synchronized(interval)
        })
    }
}

#[test]
fn it_asks_when_the_last_answer_is_old_and_not_before() {
    let world = World::new(1);
    let machine = Machine::new(&world, 100);
    let dear = Dear::new(&world);
    let clock = Cached::new(&dear, &machine, Config::default(), SECOND);
    for _ in 0..100 {
        assert!(world.is_in(&clock.now().unwrap()));
        world.advance(SECOND / 200);
    }
    assert_eq!(dear.asked(), 1);
    world.advance(SECOND);
    assert!(world.is_in(&clock.now().unwrap()));
    assert_eq!(dear.asked(), 2);
    // The machine slept: what is kept is of no use, so it asks.
    machine.strike(Fault::Suspend(SECOND / 10));
    assert!(world.is_in(&clock.now().unwrap()));
    assert_eq!(dear.asked(), 3);
}

#[test]
fn what_the_inner_clock_says_of_itself_is_passed_on() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100);
    let dear = Dear::new(&world);
    let clock = Cached::new(&dear, &machine, Config::default(), SECOND);
    let answer = |answer| *dear.answer.lock().unwrap() = answer;
    answer(Ok(Status::Holdover));
    assert_eq!(clock.read().unwrap().status, Status::Holdover);
    answer(Err(TimeError::NotSynchronized));
    assert!(clock.now().is_ok(), "it is not asked yet");
    assert_eq!(clock.refresh(), Err(TimeError::NotSynchronized));
    assert_eq!(clock.now(), Err(TimeError::NotSynchronized));
    answer(Ok(Status::Synchronized));
    assert_eq!(clock.read().unwrap().status, Status::Synchronized);
}

/// A clock that jumped ahead once cannot take it back.
#[test]
fn monotonic_refuses_a_clock_that_contradicts_itself() {
    struct Told(Mutex<i64>);

    impl TrueTime for Told {
        fn read(&self) -> Result<Reading, TimeError> {
            let now = Timestamp::from_nanos(*self.0.lock().expect("no panic"));
            let interval = Interval::around(now, Duration::from_nanos(10));
            Ok(Reading::synchronized(interval))
        }
    }

    let clock = Monotonic::new(Told(Mutex::new(100)));
    assert_eq!(clock.now().unwrap().earliest().as_nanos(), 90);
    *clock.inner().0.lock().unwrap() = 85;
    let narrowed = clock.now().unwrap();
    assert_eq!(
        (narrowed.earliest().as_nanos(), narrowed.latest().as_nanos()),
        (90, 95)
    );
    *clock.inner().0.lock().unwrap() = 79;
    assert!(clock.now().is_err());
}

/// A thread is stopped between its look at the clock and the end of its reading, while others read on. What
/// it has seen is old, and no contradiction.
#[test]
fn monotonic_bears_with_a_reader_that_was_stopped() {
    /// Its first reading is under way for as long as another one takes, and longer.
    struct Stopped {
        world: World,
        readings: Mutex<u32>,
        others: Mutex<Option<Arc<Monotonic<Self>>>>,
    }

    impl TrueTime for Stopped {
        fn read(&self) -> Result<Reading, TimeError> {
            let interval = Interval::around(self.world.now(), SECOND / 1000);
            let others = self.others.lock().expect("no panic").take();
            if let Some(clock) = others {
                self.world.advance(SECOND);
                assert!(self.world.is_in(&clock.now()?));
            }
            *self.readings.lock().expect("no panic") += 1;
            Ok(Reading::synchronized(interval))
        }
    }

    let world = World::new(3);
    let clock = Arc::new(Monotonic::new(Stopped {
        world: world.clone(),
        readings: Mutex::default(),
        others: Mutex::default(),
    }));
    *clock.inner().others.lock().unwrap() = Some(Arc::clone(&clock));
    let began = world.now();
    let now = clock.now().expect("the clock is right");
    assert!(now.earliest() <= world.now() && began <= now.latest());
    assert_eq!(*clock.inner().readings.lock().unwrap(), 2);
    // Whoever begins now gets no earlier one than the other had.
    assert!(clock.now().unwrap().earliest() >= world.now().earlier(1_000_000));
}
