//! A log that runs slow syncs on a separate thread.
//!
//! ```text
//!  the loop                                  the log's thread
//!     │ append, sync: the disk is fast           │
//!     │ ── in place ──▶ durable                  │
//!     │ append, sync: it was slow lately         │
//!     │ ── begin_sync ──────── work ───────────▶ │ write, sync
//!     │ append: into the next batch              │   ...
//!     │ sync: remembered                         │
//!     │ ◀────────────── the result, and a wake ─ │
//!     │ settle: finish_sync ─▶ durable or closed │
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use synod_wal::{Disk, GroupId, Lsn, Mark, Op, SyncDone, SyncWork, Wal};

use super::pace::Pace;
use super::{Log, LogError, LogReader, LogStats, Recovered, SnapshotStore, failed};
use crate::time::Instant;

/// A [`Wal`] that is synced in place while its disk is fast, and by a thread while it is slow, so
/// that slow syncs delay neither messages nor timers.
///
/// A sync of a fast disk wakes no other thread. After a sync that takes longer than a few
/// milliseconds the following ones run on the thread, which is started when it is first needed.
///
/// # Invariants
/// - One sync is in progress at a time, on whichever thread; what is appended meanwhile is written
///   after it.
/// - A failure on the thread closes the log in [`settle`](Log::settle) or [`sync`](Log::sync),
///   whichever is called first.
/// - After the value is dropped, nothing writes to the disk any more. So dropping it waits for the
///   work in progress.
pub struct ThreadedLog<D: Disk> {
    wal: Wal<D>,
    pace: Pace,
    epoch: std::time::Instant,
    wake: Arc<dyn Fn() + Send + Sync>,
    thread: Option<Worker<D>>,
    /// When the work in progress began.
    running: Option<Instant>,
    last: Lsn,
    /// The end of what a sync was requested for.
    wanted: Lsn,
    room: Roomy,
    /// Whether space for a record was allocated at the last look, and not just being allocated.
    takes_a_record: bool,
    /// The thread died during its work, so what is on the disk is unknown.
    died: bool,
}

/// What is known of the log's room while more is being made on the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roomy {
    Yes,
    /// There was room, and more is being made.
    Trying,
    No,
}

struct Worker<D: Disk> {
    to: Sender<(SyncWork<D>, Bell)>,
    /// The result of the work and how long it took; `None` if the thread panicked.
    done: Receiver<(Option<SyncDone<D>>, Duration)>,
    thread: JoinHandle<()>,
}

/// Wakes the loop when it is dropped, after the result of the work was sent.
struct Bell(Arc<dyn Fn() + Send + Sync>);

impl Drop for Bell {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<D: Disk> ThreadedLog<D> {
    /// Wraps a log.
    pub fn new(wal: Wal<D>) -> Self {
        Self {
            last: wal.durable(),
            wanted: wal.durable(),
            wal,
            pace: Pace::default(),
            epoch: moment(),
            wake: Arc::new(|| {}),
            thread: None,
            running: None,
            room: Roomy::Yes,
            takes_a_record: false,
            died: false,
        }
    }

    /// Syncs on the thread when syncs take longer than this: 4 ms by default; with zero, always.
    #[must_use]
    pub fn in_place_up_to(mut self, time: Duration) -> Self {
        self.pace = Pace::new(time);
        self
    }

    /// The underlying log.
    pub fn wal(&self) -> &Wal<D> {
        &self.wal
    }

    fn now(&self) -> Instant {
        Instant(moment().duration_since(self.epoch))
    }

    fn is_alive(&self) -> Result<(), LogError> {
        match self.died {
            true => Err(LogError::Failed(
                "the thread that syncs the log died".into(),
            )),
            false => Ok(()),
        }
    }

    /// Hands work to the thread.
    fn start(&mut self, work: SyncWork<D>) -> Result<(), LogError> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => Worker::spawn()?,
        };
        let thread = self.thread.insert(thread);
        self.died = thread.to.send((work, Bell(self.wake.clone()))).is_err();
        self.running = Some(self.now());
        self.is_alive()
    }

    /// Begins the next sync if one is due and none is in progress.
    fn begin(&mut self) -> Result<(), LogError> {
        if self.running.is_none()
            && (self.wal.durable() < self.wanted || self.wal.is_upkeep_due())
            && let Some(work) = self.wal.begin_sync().map_err(failed)?
        {
            self.start(work)?;
        }
        Ok(())
    }

    fn sync_in_place(&mut self) -> Result<(), LogError> {
        let (before, started) = (self.wal.durable(), moment());
        self.wal.sync().map_err(failed)?;
        if self.wal.durable() > before {
            self.pace.note(self.now(), started.elapsed());
        }
        Ok(())
    }
}

impl<D: Disk> Worker<D> {
    fn spawn() -> Result<Self, LogError> {
        let (to, work) = channel::<(SyncWork<D>, Bell)>();
        let (end, done) = channel();
        let run = move || {
            while let Ok((work, _bell)) = work.recv() {
                let started = moment();
                // A medium is user code and may panic.
                let done = catch_unwind(AssertUnwindSafe(|| work.run())).ok();
                if end.send((done, started.elapsed())).is_err() {
                    break;
                }
            }
        };
        let builder = std::thread::Builder::new().name("synod-log".to_owned());
        let thread = builder.spawn(run).map_err(failed)?;
        Ok(Self { to, done, thread })
    }
}

impl<D: Disk> Log for ThreadedLog<D> {
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError> {
        self.is_alive()?;
        self.last = Log::append(&mut self.wal, group, ops)?;
        Ok(self.last)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.settle()?;
        self.wanted = self.last;
        if self.running.is_some() {
            // Begun when the one in progress has ended.
            return Ok(());
        }
        if self.pace.is_slow(self.now()) {
            self.begin()
        } else {
            self.sync_in_place()
        }
    }

    fn settle(&mut self) -> Result<(), LogError> {
        self.is_alive()?;
        let (Some(thread), Some(_)) = (&self.thread, self.running) else {
            return Ok(());
        };
        match thread.done.try_recv() {
            Err(TryRecvError::Empty) => return Ok(()),
            Ok((None, _)) | Err(TryRecvError::Disconnected) => {
                self.died = true;
                return self.is_alive();
            }
            Ok((Some(done), took)) => {
                self.running = None;
                self.pace.note(self.now(), took);
                self.wal.finish_sync(done).map_err(failed)?;
            }
        }
        self.begin()
    }

    fn durable(&self) -> Lsn {
        self.wal.durable()
    }

    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError> {
        Log::recover(&mut self.wal, group)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Log::reader(&self.wal)
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Log::snapshots(&self.wal)
    }

    fn wake_with(&mut self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.wake = wake;
    }

    fn stats(&self) -> LogStats {
        Log::stats(&self.wal)
    }

    fn sync_time(&self) -> Duration {
        let now = self.now();
        let under_way = self
            .running
            .map_or(Duration::ZERO, |since| now.since(since));
        // Less than a millisecond matters to nobody, and would change all the time.
        let millis = self.pace.time(now).max(under_way).as_millis();
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn has_room(&mut self) -> bool {
        let bytes = Log::record_bytes_max(self);
        self.takes_a_record = self.died || self.wal.is_roomy(bytes);
        if self.takes_a_record {
            self.room = Roomy::Yes;
        } else if self.running.is_some() {
            // Known when the work in progress has ended.
        } else if !self.pace.is_slow(self.now()) {
            self.takes_a_record = self.wal.has_room(bytes);
            self.room = match self.takes_a_record {
                true => Roomy::Yes,
                false => Roomy::No,
            };
        } else if self.room == Roomy::Trying && self.wal.is_full() {
            self.room = Roomy::No;
        } else if let Some(work) = self.wal.begin_room(bytes) {
            if self.room == Roomy::Yes {
                self.room = Roomy::Trying;
            }
            // If the thread is gone, the next append reports it.
            let _told_later = self.start(work);
        }
        self.room != Roomy::No
    }

    fn room_bytes(&self) -> u64 {
        self.wal.room_bytes()
    }

    fn mark(&self) -> Option<Mark> {
        Log::mark(&self.wal)
    }

    fn takes_a_record(&self) -> bool {
        self.takes_a_record
    }

    fn record_bytes_max(&self) -> usize {
        Log::record_bytes_max(&self.wal)
    }
}

impl<D: Disk> Drop for ThreadedLog<D> {
    fn drop(&mut self) {
        if let Some(Worker { to, thread, .. }) = self.thread.take() {
            drop(to);
            // A thread that panicked has ended too, and there is nothing left to wait for.
            let _ended = thread.join();
        }
    }
}

impl<D: Disk> fmt::Debug for ThreadedLog<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadedLog")
            .field("wal", &self.wal)
            .field("pace", &self.pace)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a sync takes is what this is about"
)]
fn moment() -> std::time::Instant {
    std::time::Instant::now()
}
