//! The thread that polls: it goes on by itself, while many read, and it ends.

#![cfg(target_os = "linux")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use synod_truetime::sim::{Machine, World};
use synod_truetime::{
    Clocks, Config, Disciplined, Interval, Local, PollError, Sample, Source, SourceError,
    SpawnError, SystemClocks, TimeError, Timestamp, TrueTime,
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

/// Tells whenever the thread that waits looks at the oscillator.
#[derive(Clone)]
struct Watched {
    machine: Machine,
    tell: Arc<Mutex<Sender<()>>>,
}

impl Clocks for Watched {
    fn local(&self) -> Local {
        if thread::current().name() == Some(WAITS) {
            let _ = self.tell.lock().expect("no panic").send(());
        }
        self.machine.local()
    }

    fn monotonic(&self) -> u64 {
        self.machine.monotonic()
    }

    fn boottime(&self) -> u64 {
        self.machine.boottime()
    }

    fn realtime(&self) -> Timestamp {
        self.machine.realtime()
    }
}

const WAITS: &str = "waits";

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

/// Panics at the first question, once it has told of it.
struct Panics {
    machine: Machine,
    tell: Mutex<Option<Sender<()>>>,
}

impl Source for Panics {
    fn sample(&self) -> Result<Sample, SourceError> {
        let first = self.tell.lock().expect("no panic").take();
        if let Some(tell) = first {
            tell.send(()).expect("heard");
            panic!("planned");
        }
        let at = self.machine.local();
        Ok(Sample::between(at, at, Interval::at(true_time(at)), 0))
    }
}

/// The thread is gone, and whoever asks or waits learns why.
#[test]
fn a_source_that_panics_is_told() {
    let machine = Machine::new(&World::new(1), 0);
    let (tell, told) = channel();
    let source = Panics {
        machine: machine.clone(),
        tell: Mutex::new(Some(tell)),
    };
    let clock = Arc::new(Disciplined::new(source, machine, Config::default()));
    let poller = clock.spawn(Duration::from_secs(3600)).unwrap();
    told.recv().unwrap();
    drop(poller);
    let status = clock.status();
    let last = status.last_error.map(|last| last.error);
    assert_eq!(last, Some(PollError::Panicked), "nobody was told");
    assert_eq!((status.polls, status.failures), (1, 1));
    let late = clock
        .wait_synchronised(in_a_minute() - Duration::from_secs(60))
        .unwrap_err();
    assert!(late.to_string().contains("panicked"), "{late}");
    // It may be polled by another.
    assert!(clock.poll().is_ok() && clock.now().is_ok());
}

/// Real clocks, real threads: true time is this machine's oscillator, so that everybody can check.
#[test]
fn readers_are_right_while_it_polls() {
    let (clock, told) = clock(SystemClocks::new());
    let _poller = clock.spawn(Duration::from_millis(1)).unwrap();
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

/// A daemon that is not there.
struct Absent;

impl Source for Absent {
    fn sample(&self) -> Result<Sample, SourceError> {
        Err(SourceError::Unavailable)
    }
}

/// As far ahead as no machine is ever slow.
fn in_a_minute() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a deadline is on the clock of the caller"
    )]
    let now = Instant::now();
    now + Duration::from_secs(60)
}

#[test]
fn too_many_polls_are_refused() {
    let (clock, _told) = clock(Machine::new(&World::new(1), 0));
    for pause in [Duration::ZERO, Duration::from_micros(999)] {
        let refused = clock.spawn(pause);
        assert!(
            matches!(refused, Err(SpawnError::TooOften { .. })),
            "{refused:?}"
        );
    }
}

/// Without a daemon: what a user sees is why, and how long ago that was.
#[test]
fn silence_has_a_reason() {
    let clock = Arc::new(Disciplined::new(
        Absent,
        SystemClocks::new(),
        Config::default(),
    ));
    assert_eq!(clock.status().polls, 0);
    let nobody = clock
        .wait_synchronised(in_a_minute() - Duration::from_secs(60))
        .unwrap_err();
    assert_eq!(
        (nobody.time, nobody.last),
        (TimeError::NotSynchronized, None)
    );
    assert!(nobody.to_string().contains("polled at all"));

    let error = PollError::Source(SourceError::Unavailable);
    assert_eq!(clock.poll(), Err(error));
    let status = clock.status();
    assert_eq!((status.polls, status.failures), (1, 1));
    assert_eq!(status.adopted_ago, None);
    let last = status.last_error.unwrap();
    assert_eq!(last.error, error);
    assert!(last.ago < Duration::from_secs(60));
    let late = clock
        .wait_synchronised(in_a_minute() - Duration::from_secs(60))
        .unwrap_err();
    assert_eq!(late.last, Some(error));
    assert!(late.to_string().contains("not there"), "{late}");
}

#[test]
fn whoever_waits_is_woken_by_the_poll() {
    let (tell, looked) = channel();
    let clocks = Watched {
        machine: Machine::new(&World::new(1), 0),
        tell: Arc::new(Mutex::new(tell)),
    };
    let (clock, _told) = clock(clocks);
    thread::scope(|scope| {
        let waits = thread::Builder::new().name(WAITS.to_owned());
        // Nobody waits an hour for a test: who is not woken hangs.
        let deadline = in_a_minute() + Duration::from_secs(3600);
        let waits = waits
            .spawn_scoped(scope, {
                let clock = &clock;
                move || clock.wait_synchronised(deadline)
            })
            .unwrap();
        // It has found nothing, and keeps polls from being noted until it sleeps.
        looked.recv().unwrap();
        clock.poll().unwrap();
        assert!(waits.join().unwrap().is_ok());
    });
    let status = clock.status();
    assert!(status.reading.is_ok() && status.adopted_ago.is_some());
    assert_eq!(status.last_error, None);
}

#[tokio::test]
async fn a_task_that_waits_is_woken_by_the_poll() {
    let (clock, _told) = clock(Machine::new(&World::new(1), 0));
    let waits = Arc::clone(&clock);
    let deadline = tokio::time::Instant::from_std(in_a_minute());
    let waits = tokio::spawn(async move { waits.wait_synchronised_tokio(deadline).await });
    tokio::task::yield_now().await;
    clock.poll().unwrap();
    assert!(waits.await.unwrap().is_ok());

    let absent = Disciplined::new(Absent, SystemClocks::new(), Config::default());
    let _ = absent.poll();
    let late = absent
        .wait_synchronised_tokio(tokio::time::Instant::now())
        .await
        .unwrap_err();
    assert_eq!(late.last, Some(PollError::Source(SourceError::Unavailable)));
}
