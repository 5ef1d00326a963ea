use core::time::Duration;

use crate::{Interval, Timestamp};

/// The timed vote of one replica, which it grants to one candidate at a time.
///
/// A granted vote must be durable before the candidate is notified, or a restart could grant it
/// twice; therefore [`ask`](Self::ask) returns an [`Unstored`] promise.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::lease::LeaseVote;
/// use synod_truetime::{Interval, Timestamp};
///
/// let at = |s: i64| Interval::around(Timestamp::from_nanos(s * 1_000_000_000), Duration::from_millis(4));
/// let mut vote = LeaseVote::new(Duration::from_secs(10));
/// let unstored = vote.ask("one", &at(100)).unwrap();
/// // unstored.promise() goes to the disk, and then
/// let promise = unstored.stored(); // goes to the candidate
/// assert_eq!(promise.until, at(110).latest());
/// assert!(vote.ask("two", &at(110)).is_err());
/// assert!(vote.ask("two", &at(111)).is_ok());
/// ```
///
/// Invariants: `until` never decreases for one holder; the holder changes only when `until` has
/// certainly passed, or the holder returned the vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseVote<N> {
    length: Duration,
    promise: Option<Promise<N>>,
}

/// The holder of a vote and its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Promise<N> {
    /// The holder.
    pub to: N,
    /// No other candidate is granted the vote before this has certainly passed.
    pub until: Timestamp,
}

/// A promise that must be durable before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the promise must be stored, and then sent"]
pub struct Unstored<N> {
    promise: Promise<N>,
}

impl<N: Copy> Unstored<N> {
    /// The promise to store, replacing the previous one.
    pub fn promise(&self) -> Promise<N> {
        self.promise
    }

    /// To be called once it is durable; returns the answer to the candidate.
    #[must_use]
    pub fn stored(self) -> Promise<N> {
        self.promise
    }
}

impl<N: Copy + Eq> LeaseVote<N> {
    /// A vote that was never granted. All voters and candidates must use the same length.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self {
            length,
            promise: None,
        }
    }

    /// Restores a vote after a restart from the promise stored last.
    #[must_use]
    pub const fn restore(length: Duration, stored: Option<Promise<N>>) -> Self {
        Self {
            length,
            promise: stored,
        }
    }

    /// Handles a candidate's request, the first one or an extension. The reading must have been taken
    /// after the request arrived.
    ///
    /// # Errors
    /// [`LeaseHeld`] while another candidate may still hold the vote.
    pub fn ask(&mut self, candidate: N, now: &Interval) -> Result<Unstored<N>, LeaseHeld<N>> {
        let mut until = now.latest() + self.length;
        if let Some(held) = self.promise {
            if held.to == candidate {
                until = until.max(held.until);
            } else if now.earliest() <= held.until {
                return Err(LeaseHeld {
                    by: held.to,
                    until: held.until,
                });
            }
        }
        let promise = Promise {
            to: candidate,
            until,
        };
        self.promise = Some(promise);
        Ok(Unstored { promise })
    }

    /// The holder returned this promise, and will not act on it again: see
    /// [`LeaseInterval::give_back`](super::LeaseInterval::give_back).
    ///
    /// Any promise but the last one is ignored, so a delayed or duplicated message does not revoke a later
    /// promise.
    pub fn given_back(&mut self, promise: &Promise<N>) {
        if self.promise.as_ref() == Some(promise) {
            self.promise = None;
        }
    }

    /// The last promise, even if it has expired.
    #[must_use]
    pub fn promise(&self) -> Option<Promise<N>> {
        self.promise
    }
}

/// Another candidate may still hold the vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vote is granted to another until {until}")]
#[non_exhaustive]
pub struct LeaseHeld<N> {
    /// The holder.
    pub by: N,
    /// The vote is free when this has certainly passed.
    pub until: Timestamp,
}
