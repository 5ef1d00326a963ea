use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

#[cfg(doc)]
use crate::PollError;
use crate::{Clocks, Disciplined, Polled, Source};

impl<S, C> Disciplined<S, C>
where
    S: Source + 'static,
    C: Clocks + 'static,
{
    /// Polls in a new thread, at once and then after every `pause`; while the source does not answer or the clock is
    /// settling, after an eighth of it, but at least a millisecond. The thread ends when the [`Poller`] is dropped.
    ///
    /// Errors are in [`status`](Self::status) and, with the feature `tracing`, in the log: once for each reason,
    /// and at most five lines a minute. A panic of the source ends the thread, which the status shows
    /// ([`PollError::Panicked`]).
    ///
    /// # Errors
    /// [`SpawnError`] for a pause below a millisecond, or without a thread.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use synod_truetime::source::{Sample, Source, SourceError};
    /// use synod_truetime::{Clocks, Config, Disciplined, Interval, SystemClocks};
    ///
    /// struct Trusting; // the wall clock, assumed to be right to a millisecond
    ///
    /// impl Source for Trusting {
    ///     fn sample(&self) -> Result<Sample, SourceError> {
    ///         let clocks = SystemClocks::new();
    ///         let (before, wall, after) = (clocks.local(), clocks.realtime(), clocks.local());
    ///         let interval = Interval::around(wall, Duration::from_millis(1));
    ///         Ok(Sample::between(before, after, interval, 0))
    ///     }
    /// }
    ///
    /// let clock = Arc::new(Disciplined::new(Trusting, SystemClocks::new(), Config::default()));
    /// let poller = clock.spawn(Duration::from_secs(1))?;
    /// let deadline = std::time::Instant::now() + Duration::from_secs(10);
    /// println!("{}", clock.wait_synchronised(deadline)?);
    /// drop(poller);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(self: &Arc<Self>, pause: Duration) -> Result<Poller, SpawnError> {
        if pause < PAUSE_LEAST {
            return Err(SpawnError::TooOften { pause });
        }
        let clock = Arc::clone(self);
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let run = move || loop {
            // Readers see a consistent state whenever a poll ends; the source is responsible for its own state
            // after a panic.
            let polled = catch_unwind(AssertUnwindSafe(|| clock.poll()));
            let polled = polled.unwrap_or_else(|panic| {
                clock.note_panic();
                resume_unwind(panic)
            });
            let pause = match polled {
                Ok(Polled::Adopted | Polled::Older | Polled::Busy) => pause,
                Ok(Polled::Settling { .. }) | Err(_) => (pause / 8).max(PAUSE_LEAST),
            };
            if stopped.within(pause) {
                return;
            }
        };
        let thread = thread::Builder::new().name("truetime".into());
        Ok(Poller {
            stop,
            thread: Some(thread.spawn(run)?),
        })
    }
}

/// Why the polling thread cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The pause is too short: each poll takes a system call or a round trip, and more than a thousand a
    /// second are of no use.
    #[error("a pause of {pause:?} between polls is less than {PAUSE_LEAST:?}")]
    TooOften {
        /// The requested pause.
        pause: Duration,
    },
    /// The thread cannot be created.
    #[error("no thread to poll in: {0}")]
    Thread(#[from] io::Error),
}

/// A thread that polls a clock until this is dropped; dropping waits for a poll in progress.
pub struct Poller {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            // It panics only if the source does, and that is in the status.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn now(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for `pause`; returns whether a stop was requested meanwhile.
    fn within(&self, pause: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(asked, pause, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

const PAUSE_LEAST: Duration = Duration::from_millis(1);
