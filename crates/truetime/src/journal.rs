//! The results of a clock's polls: why it is not synchronised, and waiting until it is.

use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::{
    Clocks, Disciplined, Interval, Local, PollError, Polled, Rates, Reading, Source, TimeError,
    TrueTime,
};

/// The status of a [`Disciplined`] clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The current reading.
    pub reading: Result<Reading, TimeError>,
    /// How often the source has been polled.
    pub polls: u64,
    /// How many polls failed.
    pub failures: u64,
    /// How long ago a sample was last adopted.
    pub adopted_ago: Option<Duration>,
    /// The last failed poll, whether or not later ones succeeded.
    pub last_error: Option<LastError>,
    /// The measured limits of the oscillator's rate; see [`Disciplined::oscillator`].
    pub oscillator: Option<Rates>,
}

/// A failed poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// Why it failed.
    pub error: PollError,
    /// How long ago it failed.
    pub ago: Duration,
}

/// The deadline has passed, and the clock is not synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{time}; {}", Reason(*last))]
pub struct NotYet {
    /// The current reading's error.
    pub time: TimeError,
    /// The error of the last failed poll; `None` if none failed.
    pub last: Option<PollError>,
}

struct Reason(Option<PollError>);

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(error) => write!(f, "the last poll that failed: {error}"),
            None => f.write_str("no poll has failed: is the clock polled at all?"),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    notes: Mutex<Notes>,
    /// Notified after each poll, which may have changed the reading.
    polled: Condvar,
    #[cfg(feature = "tokio")]
    polled_async: tokio::sync::Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Notes {
    polls: u64,
    failures: u64,
    adopted_at: Option<Local>,
    last_error: Option<(PollError, Local)>,
    /// Whether the last poll failed, so that a reason is logged once and not at each poll.
    #[cfg(feature = "tracing")]
    is_failing: bool,
    #[cfg(feature = "tracing")]
    lines: Lines,
}

impl Journal {
    pub(crate) fn note(&self, polled: &Result<Polled, PollError>, at: Local) {
        let mut notes = self.lock();
        #[cfg(feature = "tracing")]
        let told = notes.tell(polled, at);
        notes.take(polled, at);
        drop(notes);
        #[cfg(feature = "tracing")]
        log(told, polled);
        self.polled.notify_all();
        #[cfg(feature = "tokio")]
        self.polled_async.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // A poisoned lock is safe to use: the notes are plain numbers, consistent between any two
        // statements.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn take(&mut self, polled: &Result<Polled, PollError>, at: Local) {
        match polled {
            Ok(Polled::Busy) => return,
            Ok(Polled::Adopted) => self.adopted_at = Some(at),
            Ok(Polled::Settling { .. } | Polled::Older) => {}
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.last_error = Some((*error, at));
            }
        }
        self.polls = self.polls.saturating_add(1);
    }

    /// Called before this poll is recorded: whether to log it, and then how many before it were
    /// suppressed.
    #[cfg(feature = "tracing")]
    fn tell(&mut self, polled: &Result<Polled, PollError>, at: Local) -> Option<u64> {
        let is_news = match polled {
            Ok(Polled::Adopted) => {
                let was_failing = core::mem::replace(&mut self.is_failing, false);
                was_failing || self.adopted_at.is_none()
            }
            Ok(_) => false,
            Err(error) => {
                let was_failing = core::mem::replace(&mut self.is_failing, true);
                !was_failing || self.last_error.is_none_or(|(last, _)| last != *error)
            }
        };
        if is_news { self.lines.admit(at) } else { None }
    }
}

/// The rate limit of log lines: two alternating reasons would be new at each poll.
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    /// The start of the window, and the lines in it.
    since: Option<Local>,
    written: u32,
    /// New reasons suppressed since the last line.
    suppressed: u64,
}

#[cfg(feature = "tracing")]
impl Lines {
    fn admit(&mut self, at: Local) -> Option<u64> {
        let is_over =
            |since: Local| at < since || at.nanos_since(since) >= LINES_WINDOW.as_nanos() as u64;
        if self.since.is_none_or(is_over) {
            (self.since, self.written) = (Some(at), 0);
        }
        if self.written >= LINES_MAX {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(core::mem::take(&mut self.suppressed))
    }
}

/// Logs a poll. `told` is `Some` if the result is new, with the number of new results suppressed
/// before it.
#[cfg(feature = "tracing")]
fn log(told: Option<u64>, polled: &Result<Polled, PollError>) {
    match (polled, told) {
        (Err(error), Some(suppressed)) => {
            tracing::warn!(%error, suppressed, "the clock was not synchronised by this poll");
        }
        (Err(error), None) => {
            tracing::debug!(%error, "the clock was not synchronised by this poll");
        }
        (Ok(_), Some(suppressed)) => tracing::info!(suppressed, "the clock is synchronised"),
        (Ok(polled), None) => tracing::trace!(?polled),
    }
}

/// The most lines above debug level in each [`LINES_WINDOW`].
#[cfg(feature = "tracing")]
const LINES_MAX: u32 = 5;
#[cfg(feature = "tracing")]
const LINES_WINDOW: Duration = Duration::from_secs(60);

impl<S: Source, C: Clocks> Disciplined<S, C> {
    /// The status of this clock, with the reason if it is not synchronised.
    ///
    /// ```
    /// use synod_truetime::source::{Sample, Source, SourceError};
    /// use synod_truetime::sim::{Machine, World};
    /// use synod_truetime::{Config, Disciplined};
    ///
    /// struct Absent;
    ///
    /// impl Source for Absent {
    ///     fn sample(&self) -> Result<Sample, SourceError> {
    ///         Err(SourceError::Unavailable)
    ///     }
    /// }
    ///
    /// let machine = Machine::new(&World::new(7), 100);
    /// let clock = Disciplined::new(Absent, machine, Config::default());
    /// let _ = clock.poll();
    /// let why = clock.status().last_error.expect("it failed");
    /// assert_eq!(why.error.to_string(), "the source is not there");
    /// ```
    #[must_use]
    pub fn status(&self) -> Health {
        let notes = *self.journal.lock();
        let now = self.clocks().local();
        let ago = |then: Local| Duration::from_nanos(now.nanos_since(then));
        Health {
            reading: self.read(),
            polls: notes.polls,
            failures: notes.failures,
            adopted_ago: notes.adopted_at.map(ago),
            last_error: notes.last_error.map(|(error, at)| LastError {
                error,
                ago: ago(at),
            }),
            oscillator: self.oscillator(),
        }
    }

    /// Records that a panic of the source or of the clocks has ended the polling thread.
    pub(crate) fn note_panic(&self) {
        self.journal
            .note(&Err(PollError::Panicked), self.clocks().local());
    }

    /// Waits until the clock is synchronised, and returns the interval. Another thread must [`poll`](Self::poll) it,
    /// for instance the one of [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// [`NotYet`] at the deadline, with the reason.
    pub fn wait_synchronised(&self, deadline: Instant) -> Result<Interval, NotYet> {
        let mut notes = self.journal.lock();
        loop {
            // Read under the lock, so that no poll is missed between this check and the wait.
            let time = match self.now() {
                Ok(interval) => return Ok(interval),
                Err(time) => time,
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "the deadline is on the caller's clock"
            )]
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last = notes.last_error.map(|(error, _)| error);
                return Err(NotYet { time, last });
            }
            let waited = self.journal.polled.wait_timeout(notes, left);
            (notes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`wait_synchronised`](Self::wait_synchronised), in a tokio task.
    ///
    /// # Errors
    /// [`NotYet`] at the deadline, with the reason.
    #[cfg(feature = "tokio")]
    pub async fn wait_synchronised_tokio(
        &self,
        deadline: tokio::time::Instant,
    ) -> Result<Interval, NotYet> {
        loop {
            let polled = self.journal.polled_async.notified();
            let mut polled = core::pin::pin!(polled);
            // Enabled before the check, so that no poll is missed.
            polled.as_mut().enable();
            let time = match self.now() {
                Ok(interval) => return Ok(interval),
                Err(time) => time,
            };
            if tokio::time::timeout_at(deadline, polled).await.is_err() {
                let last = self.journal.lock().last_error.map(|(error, _)| error);
                return Err(NotYet { time, last });
            }
        }
    }
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::SourceError;

    /// Which of these polls, one second apart, are logged, and with how many suppressed before them.
    fn told(polls: &[Result<Polled, PollError>]) -> Vec<(usize, u64)> {
        let mut notes = Notes::default();
        let mut told = Vec::new();
        for (second, polled) in polls.iter().enumerate() {
            let at = Local::from_nanos(second as u64 * 1_000_000_000);
            told.extend(notes.tell(polled, at).map(|missing| (second, missing)));
            notes.take(polled, at);
        }
        told
    }

    const ABSENT: Result<Polled, PollError> = Err(PollError::Source(SourceError::Unavailable));
    const LATE: Result<Polled, PollError> = Err(PollError::Source(SourceError::TimedOut));

    #[test]
    fn each_reason_is_told_once_and_so_is_its_end() {
        let adopted = Ok(Polled::Adopted);
        let polls = [
            adopted, adopted, ABSENT, ABSENT, LATE, LATE, adopted, adopted,
        ];
        assert_eq!(told(&polls), [(0, 0), (2, 0), (4, 0), (6, 0)]);
    }

    #[test]
    fn reasons_in_turn_make_few_lines_which_tell_how_many_are_missing() {
        let polls = [ABSENT, LATE].repeat(65);
        let first = (0..5).map(|second| (second, 0));
        let later = |window: usize| (1..5).map(move |line| (window + line, 0));
        let expected: Vec<_> = first
            .chain([(60, 55)])
            .chain(later(60))
            .chain([(120, 55)])
            .chain(later(120))
            .collect();
        assert_eq!(told(&polls), expected);
    }
}
