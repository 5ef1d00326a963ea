//! The thread that polls: it goes on by itself, while many read, and it ends.

#![cfg(target_os = "linux")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use synod_truetime::sim::{Machine, World};
use synod_truetime::{
    Clocks, Config, Disciplined, Interval, Local, Sample, Source, SourceError, SystemClocks,
    Timestamp, TrueTime,
};

/// Takes its machine's oscillator for true time, and tells of each question.
struct Telling<C> {
    clocks: C,
    tell: Mutex<Sender<()>>,
}

impl<C: Clocks> Source for Telling<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let at = self.clocks.local();
        let told = self.tell.lock().expect("no panic").send(());
        told.map_err(|_| SourceError::Unavailable)?;
        let interval = Interval::at(true_time(at));
        Ok(Sample::between(at, at, interval, 0))
    }
}

fn true_time(at: Local) -> Timestamp {
    Timestamp::UNIX_EPOCH.later(at.as_nanos())
}

type Clock<C> = Arc<Disciplined<Telling<C>, C>>;

fn clock<C: Clocks + Clone>(clocks: C) -> (Clock<C>, Receiver<()>) {
    let (tell, told) = channel();
    let source = Telling {
        clocks: clocks.clone(),
        tell: Mutex::new(tell),
    };
    let clock = Disciplined::new(source, clocks, Config::default());
    (Arc::new(clock), told)
}

/// On clocks that stand still, so that nothing happens to them on a machine that does much else.
#[test]
fn it_goes_on_until_it_is_dropped() {
    let (clock, told) = clock(Machine::new(&World::new(1), 0));
    let poller = clock.spawn(Duration::from_millis(1)).unwrap();
    for _ in 0..5 {
        told.recv().unwrap();
    }
    drop(poller);
    assert!(clock.now().is_ok());
    let _ = told.try_iter().count();
    assert!(told.try_recv().is_err(), "the thread has ended");
    // It waits for an hour, and is stopped at once.
    let poller = clock.spawn(Duration::from_secs(3600)).unwrap();
    told.recv().unwrap();
    drop(poller);
}

/// Real clocks, real threads: true time is this machine's oscillator, so that everybody can check.
#[test]
fn readers_are_right_while_it_polls() {
    let (clock, told) = clock(SystemClocks::new());
    let _poller = clock.spawn(Duration::from_micros(100)).unwrap();
    told.recv().unwrap();
    while clock.now().is_err() {
        thread::yield_now();
    }
    let clocks = SystemClocks::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut known = 0;
                for _ in 0..20_000 {
                    let before = true_time(clocks.local());
                    let interval = clock.now();
                    let after = true_time(clocks.local());
                    // A thread that was stopped at the wrong moment may see a disruption, and no lie.
                    let Ok(interval) = interval else { continue };
                    assert!(interval.earliest() <= after && before <= interval.latest());
                    known += 1;
                }
                assert!(known > 0);
            });
        }
    });
}
