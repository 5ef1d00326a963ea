use core::time::Duration;

use crate::{Interval, Timestamp};

/// The vote of one replica: it has one, and gives it for a while.
///
/// What is given must be durable before the candidate hears of it, or a restart could give it twice;
/// so [`ask`](Self::ask) gives no answer, but an [`Unstored`] one.
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
/// certainly passed, or the holder gave it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseVote<N> {
    length: Duration,
    promise: Option<Promise<N>>,
}

/// To whom a vote is given, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Promise<N> {
    /// The holder.
    pub to: N,
    /// No other one gets the vote before this has certainly passed.
    pub until: Timestamp,
}

/// A promise that must be durable before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the promise must be stored, and then told"]
pub struct Unstored<N> {
    promise: Promise<N>,
}

impl<N: Copy> Unstored<N> {
    /// What to store, in place of what was stored before.
    pub fn promise(&self) -> Promise<N> {
        self.promise
    }

    /// It is durable: the answer to the candidate.
    #[must_use]
    pub fn stored(self) -> Promise<N> {
        self.promise
    }
}

impl<N: Copy + Eq> LeaseVote<N> {
    /// A vote that was never given. All voters and candidates must agree on the length.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self {
            length,
            promise: None,
        }
    }

    /// After a restart: with what was stored last.
    #[must_use]
    pub const fn restore(length: Duration, stored: Option<Promise<N>>) -> Self {
        Self {
            length,
            promise: stored,
        }
    }

    /// A candidate asks, for the first time or again to extend. The reading must have been taken after
    /// the request came.
    ///
    /// # Errors
    /// [`LeaseHeld`] while the vote may still be another one's.
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

    /// The holder gave back what it was promised, and will not act on it again: see
    /// [`LeaseInterval::give_back`](super::LeaseInterval::give_back).
    ///
    /// Of any promise but the last one it means nothing: a message that comes late, or twice, does not take
    /// from the holder what it was promised since.
    pub fn given_back(&mut self, promise: &Promise<N>) {
        if self.promise.as_ref() == Some(promise) {
            self.promise = None;
        }
    }

    /// To whom it is given, even if that is over.
    #[must_use]
    pub fn promise(&self) -> Option<Promise<N>> {
        self.promise
    }
}

/// The vote may still be another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vote is given until {until}")]
#[non_exhaustive]
pub struct LeaseHeld<N> {
    /// Whose it is.
    pub by: N,
    /// Ask again when this has certainly passed.
    pub until: Timestamp,
}
