use core::fmt;
use core::time::Duration;

/// An instant of true time: whole nanoseconds since 1970-01-01T00:00:00.
///
/// It does not include its scale. UTC, smeared UTC and TAI all count from there; the scale is that
/// of the source, and all nodes that compare timestamps must have sources of the same scale. (On
/// UTC without a smear the second before a leap occurs twice and is ambiguous.)
///
/// Arithmetic saturates at [`MIN`](Self::MIN) in 1677 and [`MAX`](Self::MAX) in 2262: a saturated
/// bound is still a bound, because no timestamp lies beyond.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::Timestamp;
///
/// let noon = Timestamp::from_nanos(1_795_400_495_104_985_218);
/// assert_eq!(noon.to_string(), "1795400495.104985218");
/// assert_eq!(noon + Duration::from_millis(1) - noon, Duration::from_millis(1));
/// assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
#[must_use]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last instant there is.
    pub const MAX: Self = Self(i64::MAX);
    /// The first instant there is.
    pub const MIN: Self = Self(i64::MIN);
    /// 1970-01-01T00:00:00.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The instant so many nanoseconds after 1970, or before it.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970; negative before.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Later by so many nanoseconds, at most [`MAX`](Self::MAX).
    #[inline]
    pub const fn later(self, nanos: u64) -> Self {
        Self(self.0.saturating_add_unsigned(nanos))
    }

    /// Earlier by so many nanoseconds, at least [`MIN`](Self::MIN).
    #[inline]
    pub const fn earlier(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(nanos))
    }

    /// Nanoseconds from `other` to this; 0 if this is the earlier one.
    #[must_use]
    #[inline]
    pub const fn nanos_since(self, other: Self) -> u64 {
        if self.0 > other.0 {
            self.0.abs_diff(other.0)
        } else {
            0
        }
    }
}

/// A duration in whole nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.later(nanos(duration))
    }
}

impl core::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.earlier(nanos(duration))
    }
}

/// As [`Timestamp::nanos_since`]: zero if the right side is the later one.
impl core::ops::Sub for Timestamp {
    type Output = Duration;

    fn sub(self, other: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(other))
    }
}

/// Seconds since 1970 with nine decimals.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (seconds, nanos) = (
            self.0.unsigned_abs() / 1_000_000_000,
            self.0.unsigned_abs() % 1_000_000_000,
        );
        write!(f, "{sign}{seconds}.{nanos:09}")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_ends_of_time_are_walls() {
        assert_eq!(Timestamp::MIN.earlier(1), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.later(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.later(1), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.nanos_since(Timestamp::MIN), u64::MAX);
        assert_eq!(Timestamp::MIN.nanos_since(Timestamp::MAX), 0);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }

    #[test]
    fn before_1970_there_is_a_sign() {
        assert_eq!(Timestamp::from_nanos(-1).to_string(), "-0.000000001");
        assert_eq!(
            Timestamp::MIN.to_string(),
            "-9223372036.854775808",
            "the first instant has no positive counterpart"
        );
    }
}
