use core::fmt;
use core::time::Duration;

use crate::Timestamp;
use crate::timestamp::nanos;

/// Two timestamps between which true time lies, both included.
///
/// All arithmetic rounds outward: results are never narrower than exact arithmetic. It saturates at
/// the ends of the range instead of failing, because a bound of [`Timestamp::MAX`] excludes no
/// timestamp.
///
/// Invariant: `earliest <= latest`, by construction.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::{Interval, Timestamp};
///
/// let around = |ms: i64| Interval::around(Timestamp::from_nanos(ms * 1_000_000), Duration::from_millis(4));
/// let (write, read) = (around(100), around(107));
/// assert!(!write.definitely_before(&read)); // they overlap: undecided
/// assert!(write.definitely_before(&around(109)));
/// assert_eq!(write.epsilon(), Duration::from_millis(4));
/// assert_eq!(write.intersect(&read).unwrap().width(), Duration::from_millis(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "[Timestamp; 2]", into = "[Timestamp; 2]")
)]
pub struct Interval {
    earliest: Timestamp,
    latest: Timestamp,
}

impl Interval {
    /// All of time: no information.
    pub const ALL: Self = Self {
        earliest: Timestamp::MIN,
        latest: Timestamp::MAX,
    };

    /// From `earliest` to `latest`, both included; `None` if they are the wrong way round.
    #[must_use]
    #[inline]
    pub const fn new(earliest: Timestamp, latest: Timestamp) -> Option<Self> {
        if earliest.as_nanos() <= latest.as_nanos() {
            Some(Self { earliest, latest })
        } else {
            None
        }
    }

    /// One instant, known exactly.
    #[must_use]
    pub const fn at(instant: Timestamp) -> Self {
        Self {
            earliest: instant,
            latest: instant,
        }
    }

    /// `centre` give or take `epsilon`.
    #[must_use]
    pub fn around(centre: Timestamp, epsilon: Duration) -> Self {
        Self::at(centre).widen(nanos(epsilon))
    }

    /// From the smaller of two timestamps to the greater.
    #[must_use]
    pub fn spanning(one: Timestamp, other: Timestamp) -> Self {
        Self {
            earliest: one.min(other),
            latest: one.max(other),
        }
    }

    /// True time is not before this.
    #[inline]
    pub const fn earliest(&self) -> Timestamp {
        self.earliest
    }

    /// True time is not after this.
    #[inline]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Half the width, rounded up: Spanner's ε.
    #[must_use]
    pub const fn epsilon(&self) -> Duration {
        Duration::from_nanos(self.width_nanos().div_ceil(2))
    }

    /// From the earliest to the latest.
    #[must_use]
    pub const fn width(&self) -> Duration {
        Duration::from_nanos(self.width_nanos())
    }

    pub(crate) const fn width_nanos(&self) -> u64 {
        self.latest.nanos_since(self.earliest)
    }

    /// Half way, rounded towards the earliest. Not the likeliest instant, only the middle.
    pub const fn midpoint(&self) -> Timestamp {
        self.earliest.later(self.width_nanos() / 2)
    }

    /// Whether it may be that instant.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.earliest <= instant && instant <= self.latest
    }

    /// Whether this instant certainly lies before the other one. A strict partial order: of two
    /// overlapping intervals neither does.
    #[must_use]
    pub fn definitely_before(&self, other: &Self) -> bool {
        self.latest < other.earliest
    }

    /// The part that is not before `bound`; `None` if there is none.
    #[must_use]
    pub fn not_before(&self, bound: Timestamp) -> Option<Self> {
        Self::new(self.earliest.max(bound), self.latest)
    }

    /// The intersection; `None` if the two are disjoint. A single common instant is an intersection.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Self::new(
            self.earliest.max(other.earliest),
            self.latest.min(other.latest),
        )
    }

    /// The smallest interval with both in it.
    #[must_use]
    pub fn hull(&self, other: &Self) -> Self {
        Self {
            earliest: self.earliest.min(other.earliest),
            latest: self.latest.max(other.latest),
        }
    }

    /// Widened by so many nanoseconds on either side.
    #[must_use]
    #[inline]
    pub const fn widen(&self, nanos: u64) -> Self {
        Self {
            earliest: self.earliest.earlier(nanos),
            latest: self.latest.later(nanos),
        }
    }

    /// The interval after a span of time that is known only to last between `least` and `most`
    /// nanoseconds; 0 and `most` if they are the wrong way round.
    #[must_use]
    #[inline]
    pub const fn after_span(&self, least: u64, most: u64) -> Self {
        let least = if least <= most { least } else { 0 };
        Self {
            earliest: self.earliest.later(least),
            latest: self.latest.later(most),
        }
    }

    /// Whether more than `duration` has certainly passed from this instant to `now`: `latest +
    /// duration < now.earliest`. Near the end of time the answer is `false`.
    ///
    /// With it a new leader knows that an old lease is over (LeaseGuard, arXiv 2512.15659).
    #[must_use]
    pub fn older_than(&self, duration: Duration, now: &Self) -> bool {
        self.latest + duration < now.earliest
    }

    /// Whether less than `duration` has certainly passed from this instant to `now`: `earliest +
    /// duration > now.latest`. Near the end of time the answer is `false`.
    ///
    /// With it a leaseholder knows that its lease still runs (LeaseGuard).
    #[must_use]
    pub fn younger_than(&self, duration: Duration, now: &Self) -> bool {
        self.earliest + duration > now.latest
    }
}

/// The ends, with the middle dropped: `1795400495.104900000..1795400495.105070436`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.earliest, self.latest)
    }
}

impl From<Interval> for [Timestamp; 2] {
    fn from(interval: Interval) -> Self {
        [interval.earliest, interval.latest]
    }
}

/// The ends of an interval are the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the interval ends before it begins")]
#[non_exhaustive]
pub struct Reversed;

impl TryFrom<[Timestamp; 2]> for Interval {
    type Error = Reversed;

    fn try_from([earliest, latest]: [Timestamp; 2]) -> Result<Self, Reversed> {
        Self::new(earliest, latest).ok_or(Reversed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(earliest: i64, latest: i64) -> Interval {
        Interval::new(
            Timestamp::from_nanos(earliest),
            Timestamp::from_nanos(latest),
        )
        .unwrap()
    }

    #[test]
    fn one_common_instant_is_an_overlap() {
        assert_eq!(
            interval(1, 5).intersect(&interval(5, 9)),
            Some(interval(5, 5))
        );
        assert_eq!(interval(1, 4).intersect(&interval(5, 9)), None);
        assert!(!interval(1, 5).definitely_before(&interval(5, 9)));
        assert!(interval(1, 4).definitely_before(&interval(5, 9)));
    }

    #[test]
    fn ages_are_strict_at_both_ends() {
        let (entry, length) = (interval(100, 110), Duration::from_nanos(50));
        assert!(!entry.older_than(length, &interval(160, 170)));
        assert!(entry.older_than(length, &interval(161, 170)));
        assert!(entry.younger_than(length, &interval(140, 149)));
        assert!(!entry.younger_than(length, &interval(140, 150)));
    }

    #[test]
    fn nothing_is_claimed_at_the_end_of_time() {
        let end = Interval::at(Timestamp::MAX);
        assert!(!end.older_than(Duration::MAX, &end));
        assert!(!end.younger_than(Duration::MAX, &end));
        assert_eq!(Interval::ALL.widen(u64::MAX), Interval::ALL);
        assert_eq!(Interval::ALL.width_nanos(), u64::MAX);
    }

    #[test]
    fn epsilon_is_rounded_up() {
        assert_eq!(interval(0, 3).epsilon(), Duration::from_nanos(2));
        assert_eq!(interval(-3, 0).midpoint(), Timestamp::from_nanos(-2));
    }
}
