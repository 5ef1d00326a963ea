//! Conversions of timestamps to and from other time types.

use core::time::Duration;

use super::{Layout, Timestamp};

impl<L: Layout> Timestamp<L> {
    /// The first timestamp of the tick of an NTP time with the epoch of 1970, as `uhlc` has it: 32 bits
    /// of seconds, 32 of their fractions. The counter that `uhlc` keeps in the lowest four bits counts
    /// as time. `None` outside of the layout's range.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// let half_past = Timestamp::<Millis48>::at_ntp64(1 << 32 | 1 << 31).unwrap();
    /// assert_eq!(half_past.ticks(), 1_500);
    /// ```
    #[must_use]
    pub fn at_ntp64(ntp64: u64) -> Option<Self> {
        let nanos = ((ntp64 & u64::from(u32::MAX)) * NANOS_IN_SECOND) >> 32;
        // Below a second.
        let nanos = u32::try_from(nanos).unwrap_or(u32::MAX);
        Self::at_unix(Duration::new(ntp64 >> 32, nanos))
    }

    /// The physical part as such a time, rounded up, so that it round-trips; `None` after 7
    /// February 2106, where its seconds end. The counter is left out.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// let stamp = Timestamp::<Millis48>::from_parts(1_500, 3).unwrap();
    /// assert_eq!(stamp.to_ntp64(), Some(1 << 32 | 1 << 31));
    /// ```
    #[must_use]
    pub fn to_ntp64(self) -> Option<u64> {
        let since = self.since_unix_epoch();
        let seconds = u32::try_from(since.as_secs()).ok()?;
        let fraction = (u64::from(since.subsec_nanos()) << 32).div_ceil(NANOS_IN_SECOND);
        Some(u64::from(seconds) << 32 | fraction)
    }
}

/// The first timestamp of the tick in which the time lies.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use synod_lamport::hlc::{Millis48, TimeOutOfRange, Timestamp};
/// let stamp = Timestamp::<Millis48>::try_from(UNIX_EPOCH + Duration::from_micros(1_500));
/// assert_eq!(stamp, Ok(Timestamp::from_u64(1 << 16)));
/// let before: Result<Timestamp, _> = (UNIX_EPOCH - Duration::from_secs(1)).try_into();
/// assert_eq!(before, Err(TimeOutOfRange));
/// ```
#[cfg(feature = "std")]
impl<L: Layout> TryFrom<std::time::SystemTime> for Timestamp<L> {
    type Error = TimeOutOfRange;

    fn try_from(time: std::time::SystemTime) -> Result<Self, TimeOutOfRange> {
        let since = time.duration_since(std::time::UNIX_EPOCH);
        Self::at_unix(since.map_err(|_| TimeOutOfRange)?).ok_or(TimeOutOfRange)
    }
}

/// The start of the tick, if `SystemTime` can represent it.
///
/// ```
/// # use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// # use synod_lamport::hlc::{Millis48, TimeOutOfRange, Timestamp};
/// let stamp = Timestamp::<Millis48>::from_parts(1_500, 7).unwrap();
/// assert_eq!(SystemTime::try_from(stamp)?, UNIX_EPOCH + Duration::from_millis(1_500));
/// # Ok::<(), TimeOutOfRange>(())
/// ```
#[cfg(feature = "std")]
impl<L: Layout> TryFrom<Timestamp<L>> for std::time::SystemTime {
    type Error = TimeOutOfRange;

    fn try_from(stamp: Timestamp<L>) -> Result<Self, TimeOutOfRange> {
        let since = stamp.since_unix_epoch();
        std::time::UNIX_EPOCH
            .checked_add(since)
            .ok_or(TimeOutOfRange)
    }
}

/// A time outside the range of the target type.
///
/// ```
/// # use synod_lamport::hlc::TimeOutOfRange;
/// assert_eq!(TimeOutOfRange.to_string(), "the time is out of range");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the time is out of range")]
pub struct TimeOutOfRange;

const NANOS_IN_SECOND: u64 = 1_000_000_000;
