use core::time::Duration;

use super::timestamp::time_of;

/// How a 64-bit hybrid timestamp is divided: the upper bits count ticks of physical time since an
/// epoch, the lower ones are the logical counter. Nodes that exchange timestamps use one layout;
/// the type parameter prevents comparing different ones.
///
/// ```text
///   63                                     LOGICAL_BITS                0
///  ┌──────────────────────────────────────┬─────────────────────────────┐
///  │ ticks of TICK_NANOS since the epoch  │ logical counter             │   big-endian on the wire
///  └──────────────────────────────────────┴─────────────────────────────┘
/// ```
///
/// ```
/// use synod_lamport::hlc::{Millis42, Millis48, Timestamp};
///
/// let (one, two) = (Timestamp::<Millis48>::ZERO, Timestamp::<Millis48>::ZERO);
/// assert!(one == two);
/// ```
///
/// ```compile_fail,E0308
/// use synod_lamport::hlc::{Millis42, Millis48, Timestamp};
///
/// let (one, two) = (Timestamp::<Millis48>::ZERO, Timestamp::<Millis42>::ZERO);
/// assert!(one == two);
/// ```
///
/// The three layouts here should suffice; another one is an empty type with three constants:
///
/// ```
/// use synod_lamport::hlc::{HybridClock, Layout, Timestamp};
///
/// /// Microseconds in 52 bits, until 2112.
/// enum Micros52 {}
/// impl Layout for Micros52 {
///     const LOGICAL_BITS: u32 = 12;
///     const TICK_NANOS: u64 = 1_000;
///     const EPOCH_UNIX_SECONDS: u64 = 0;
/// }
///
/// let clock = HybridClock::<_, Micros52>::with_layout(|| 1_795_417_200_000_001_999);
/// let stamp = clock.now()?;
/// assert_eq!((stamp.ticks(), stamp.logical()), (1_795_417_200_000_001, 0));
/// assert_eq!(stamp.to_string(), "2026-11-23T07:00:00.000001Z-000");
/// # Ok::<(), synod_lamport::hlc::NowError>(())
/// ```
///
/// Constants out of their bounds do not compile:
///
/// ```compile_fail,E0080
/// use core::time::Duration;
/// use synod_lamport::hlc::{Layout, Timestamp};
///
/// enum Standing {}
/// impl Layout for Standing {
///     const LOGICAL_BITS: u32 = 12;
///     const TICK_NANOS: u64 = 0;
///     const EPOCH_UNIX_SECONDS: u64 = 0;
/// }
///
/// let stamp = Timestamp::<Standing>::at_unix(Duration::ZERO);
/// ```
pub trait Layout {
    /// Bits of the logical counter, at most 32. A timestamp beyond the physical clock's reading
    /// takes the next counter value, or the next tick after an overflow.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Layout, Millis48};
    /// assert_eq!(Millis48::LOGICAL_BITS, 16);
    /// ```
    const LOGICAL_BITS: u32;

    /// Nanoseconds of a tick, at most 10^9.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Layout, Millis48};
    /// assert_eq!(Millis48::TICK_NANOS, 1_000_000);
    /// ```
    const TICK_NANOS: u64;

    /// Where tick 0 begins: seconds since 1970-01-01T00:00:00Z, not counting leap seconds.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Layout, Millis42, Timestamp};
    /// let epoch = Timestamp::<Millis42>::ZERO.since_unix_epoch();
    /// assert_eq!(epoch.as_secs(), Millis42::EPOCH_UNIX_SECONDS);
    /// ```
    const EPOCH_UNIX_SECONDS: u64;
}

/// 48 bits of milliseconds since 1970 and a counter of 16: 65,536 stamps for each millisecond of lead,
/// until the year 10889. The division of the paper, but with ticks that outlast NTP's era, and with the
/// time field of a ULID or a version 7 UUID.
///
/// ```
/// use synod_lamport::hlc::{Millis48, Timestamp};
///
/// let stamp = Timestamp::<Millis48>::from_u64(0x01a2_0734_5580_0002);
/// assert_eq!(stamp.to_string(), "2026-11-23T07:00:00.000Z-0002");
/// ```
#[derive(Debug)]
pub enum Millis48 {}

impl Layout for Millis48 {
    const LOGICAL_BITS: u32 = 16;
    const TICK_NANOS: u64 = 1_000_000;
    const EPOCH_UNIX_SECONDS: u64 = 0;
}

/// 42 bits of milliseconds since 2024-01-01 and a counter of 22: 4,194,304 stamps a millisecond,
/// until May 2163. Bit-compatible with the crate `hlc-gen` 2.0.
///
/// ```
/// use synod_lamport::hlc::{Millis42, Timestamp};
///
/// let stamp = Timestamp::<Millis42>::from_parts(1, 2).unwrap();
/// assert_eq!(stamp.as_u64(), (1 << 22) | 2);
/// assert_eq!(stamp.to_string(), "2024-01-01T00:00:00.001Z-000002");
/// ```
#[derive(Debug)]
pub enum Millis42 {}

impl Layout for Millis42 {
    const LOGICAL_BITS: u32 = 22;
    const TICK_NANOS: u64 = 1_000_000;
    const EPOCH_UNIX_SECONDS: u64 = 1_704_067_200;
}

/// 64 bits of nanoseconds since 1970 and no counter, until the year 2554. A timestamp is a plain
/// Unix time to everybody who reads it.
///
/// The counter is part of the nanoseconds: a timestamp beyond the physical clock's reading is the
/// latest one plus one. So the time of a timestamp is not necessarily a reading of a physical clock
/// in its past, only not below one, and it runs ahead where timestamps are made faster than one a
/// nanosecond, or than the granularity of a coarse clock; it falls back into step in the first
/// pause.
///
/// ```
/// use synod_lamport::hlc::{HybridClock, Nanos64};
///
/// let clock = HybridClock::<_, Nanos64>::with_layout(|| 1_000);
/// assert_eq!(clock.now()?.as_u64(), 1_000);
/// assert_eq!(clock.now()?.as_u64(), 1_001);
/// # Ok::<(), synod_lamport::hlc::NowError>(())
/// ```
#[derive(Debug)]
pub enum Nanos64 {}

impl Layout for Nanos64 {
    const LOGICAL_BITS: u32 = 0;
    const TICK_NANOS: u64 = 1;
    const EPOCH_UNIX_SECONDS: u64 = 0;
}

/// Properties derived from a layout's three constants.
pub(crate) trait Divided: Layout + Sized {
    const LOGICAL_MAX: u64 = {
        assert!(Self::LOGICAL_BITS <= 32, "the counter has at most 32 bits");
        assert!(
            Self::TICK_NANOS > 0 && Self::TICK_NANOS <= 1_000_000_000,
            "a tick is not longer than a second"
        );
        (1 << Self::LOGICAL_BITS) - 1
    };
    const TICKS_MAX: u64 = u64::MAX >> Self::LOGICAL_BITS;
    const EPOCH_UNIX_NANOS: u64 = Self::EPOCH_UNIX_SECONDS * 1_000_000_000;

    /// The tick that contains `unix_nanos`; before the epoch, the first one. `None` after the last.
    #[inline]
    fn ticks_at(unix_nanos: u64) -> Option<u64> {
        let ticks = unix_nanos.saturating_sub(Self::EPOCH_UNIX_NANOS) / Self::TICK_NANOS;
        (ticks <= Self::TICKS_MAX).then_some(ticks)
    }

    /// The number of ticks that cover the time, saturating.
    fn ticks_covering(nanos: u128) -> u64 {
        let ticks = nanos.div_ceil(u128::from(Self::TICK_NANOS));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// When a tick begins, since 1970.
    fn time_of_tick(ticks: u64) -> Duration {
        Duration::from_secs(Self::EPOCH_UNIX_SECONDS).saturating_add(time_of::<Self>(ticks))
    }

    /// The word of the event that follows all of `latest`, with the physical clock at `ticks`: the
    /// greater of the two, and the next word if that is `latest`. So a counter overflow is carried
    /// into the time, which is then one tick ahead, and never wraps; failing instead would be an
    /// outage until the physical clock has caught up. `None` if there is no next word.
    #[inline]
    fn following(latest: u64, ticks: u64) -> Option<u64> {
        let physical = ticks << Self::LOGICAL_BITS;
        if physical > latest {
            return Some(physical);
        }
        latest.checked_add(1)
    }
}

impl<L: Layout> Divided for L {}
