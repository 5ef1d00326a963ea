use core::time::Duration;

use crate::{Interval, Wait};

/// LeaseGuard: the log is the lease. Each entry carries the interval of its leader's clock when it was
/// written; the lease needs no messages of its own.
///
/// - A leader serves reads from its own state while the newest entry that it has committed is certainly
///   younger than the length ([`may_read`](Self::may_read)).
/// - A new leader commits nothing before the last entry of older terms in its log is certainly older
///   than the length ([`may_commit`](Self::may_commit)).
///
/// These periods are disjoint, since the new leader's log holds every committed entry, and an entry
/// was written after those before it in the log: the old leader's limit expires before the new
/// leader's.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::lease::LogLease;
/// use synod_truetime::{Interval, Timestamp};
///
/// let at = |ms: i64| Interval::around(Timestamp::from_nanos(ms * 1_000_000), Duration::from_millis(4));
/// let lease = LogLease::new(Duration::from_secs(1));
/// let entry = at(500);
/// assert!(lease.may_read(&entry, &at(1491)) && !lease.may_commit(&entry, &at(1491)));
/// assert!(!lease.may_read(&entry, &at(1500)) && !lease.may_commit(&entry, &at(1500)));
/// assert!(!lease.may_read(&entry, &at(1509)) && lease.may_commit(&entry, &at(1509)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLease {
    length: Duration,
}

impl LogLease {
    /// All nodes must agree on the length.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self { length }
    }

    /// Whether the leader may serve a read from its own state.
    #[must_use]
    pub fn may_read(&self, newest_committed: &Interval, now: &Interval) -> bool {
        newest_committed.younger_than(self.length, now)
    }

    /// Whether a leader may commit, given the last entry of older terms in its log.
    #[must_use]
    pub fn may_commit(&self, last_of_older_terms: &Interval, now: &Interval) -> bool {
        last_of_older_terms.older_than(self.length, now)
    }

    /// As [`may_commit`](Self::may_commit), and if not, how long to wait before polling again.
    pub fn poll_commit(&self, last_of_older_terms: &Interval, now: &Interval) -> Wait {
        if self.may_commit(last_of_older_terms, now) {
            return Wait::Done;
        }
        let over = (last_of_older_terms.latest() + self.length).later(1);
        Wait::Sleep((over - now.earliest()).max(Duration::from_nanos(1)))
    }
}
