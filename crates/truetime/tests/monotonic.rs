//! A clock whose earliest never decreases, over clocks that contradict themselves and readers that are stopped.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use synod_truetime::sim::World;
use synod_truetime::{Interval, Monotonic, Reading, TimeError, Timestamp, TrueTime};

const SECOND: Duration = Duration::from_secs(1);

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
