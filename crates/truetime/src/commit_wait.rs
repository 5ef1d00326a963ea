//! Waiting until a timestamp has certainly passed.

#[cfg(feature = "std")]
mod blocking;
#[cfg(feature = "tokio")]
mod tokio;

use core::time::Duration;

use crate::{Interval, TimeError, Timestamp, TrueTime};

/// Commit wait (Spanner, OSDI 2012, section 4.1.2): a transaction must not be visible before its
/// timestamp has certainly passed.
///
/// With `s = latest` chosen after the request arrived, and the result released after `earliest > s`,
/// a transaction that begins after another one's result was seen gets a greater timestamp, on
/// whichever node: external consistency.
///
/// This type does not wait itself: [`poll`](Self::poll) returns how long to sleep. Start the wait when
/// the timestamp is chosen, replicate meanwhile, and poll when replication is done: the wait is about
/// 2ε, less the time that replication took ([`overlap`](Self::overlap)). `wait` blocks, and with the
/// feature `tokio` there is `wait_tokio`.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::{CommitWait, Interval, Timestamp, Wait};
///
/// let now = |ms: i64| Interval::around(Timestamp::from_nanos(ms * 1_000_000), Duration::from_millis(4));
/// let mut wait = CommitWait::start(&now(100));
/// assert_eq!(wait.timestamp(), now(104).midpoint());
/// // Replication takes 5 of the 8 ms.
/// let Wait::Sleep(rest) = wait.poll_at(&now(105)) else { unreachable!() };
/// assert_eq!(rest, Duration::from_nanos(3_000_001)); // `earliest` must pass `s`, not reach it
/// assert_eq!(wait.poll_at(&now(109)), Wait::Done);
/// assert_eq!(wait.overlap().hidden, Duration::from_millis(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct CommitWait {
    timestamp: Timestamp,
    needed: Duration,
    exposed: Option<Duration>,
}

/// The result of polling a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Wait {
    /// The timestamp has certainly passed.
    Done,
    /// Sleep for this long, then poll again, because the clock's bound may have grown meanwhile.
    Sleep(Duration),
}

/// How much of a wait overlapped with other work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// The total wait.
    pub needed: Duration,
    /// The part that had passed when it was first polled.
    pub hidden: Duration,
    /// The remaining part: the added latency.
    pub exposed: Duration,
}

impl CommitWait {
    /// Chooses the timestamp of a transaction, `latest` of a reading taken after its request arrived,
    /// and starts to wait for it.
    pub fn start(now: &Interval) -> Self {
        Self::until(now.latest(), now)
    }

    /// Starts to wait for a timestamp chosen by the caller, for instance above all previous ones;
    /// for a transaction it must not be below `latest`.
    pub fn until(timestamp: Timestamp, now: &Interval) -> Self {
        Self {
            timestamp,
            needed: missing(timestamp, now),
            exposed: None,
        }
    }

    /// The timestamp to wait for.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Returns whether the wait is over, or how long to sleep.
    ///
    /// # Errors
    /// Errors of the clock: whether the timestamp has passed is unknown. The wait continues and can
    /// be polled again.
    pub fn poll(&mut self, time: &(impl TrueTime + ?Sized)) -> Result<Wait, TimeError> {
        Ok(self.poll_at(&time.now()?))
    }

    /// As [`poll`](Self::poll), by a reading.
    pub fn poll_at(&mut self, now: &Interval) -> Wait {
        let missing = missing(self.timestamp, now);
        self.exposed.get_or_insert(missing);
        if missing.is_zero() {
            Wait::Done
        } else {
            Wait::Sleep(missing)
        }
    }

    /// The remaining time by a reading; zero when the wait is over. Unlike a poll it changes nothing, so it can be
    /// used to find which of many waits ends first.
    #[must_use]
    pub fn left(&self, now: &Interval) -> Duration {
        missing(self.timestamp, now)
    }

    /// How much of the wait overlapped with other work, by the clock's own readings; all of it before
    /// the first poll.
    #[must_use]
    pub fn overlap(&self) -> Overlap {
        let exposed = self.exposed.unwrap_or_default();
        Overlap {
            needed: self.needed,
            hidden: self.needed.saturating_sub(exposed),
            exposed,
        }
    }
}

/// By how much `earliest` must advance to be above `timestamp`; [`Duration::MAX`] if it never can be.
fn missing(timestamp: Timestamp, now: &Interval) -> Duration {
    if timestamp < now.earliest() {
        Duration::ZERO
    } else if timestamp == Timestamp::MAX {
        Duration::MAX
    } else {
        timestamp.later(1) - now.earliest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_never_passes() {
        let mut wait = CommitWait::start(&Interval::ALL);
        let end = Interval::at(Timestamp::MAX);
        assert_eq!(wait.poll_at(&end), Wait::Sleep(Duration::MAX));
    }

    #[test]
    fn reached_is_not_passed() {
        let at = |nanos| Interval::at(Timestamp::from_nanos(nanos));
        let mut wait = CommitWait::start(&at(5));
        assert_eq!(wait.left(&at(2)), Duration::from_nanos(4));
        assert_eq!(wait.poll_at(&at(5)), Wait::Sleep(Duration::from_nanos(1)));
        assert_eq!(wait.poll_at(&at(6)), Wait::Done);
        assert_eq!(wait.left(&at(6)), Duration::ZERO);
        let exposed = wait.overlap().exposed;
        assert_eq!(exposed, Duration::from_nanos(1), "looking is not polling");
    }
}
