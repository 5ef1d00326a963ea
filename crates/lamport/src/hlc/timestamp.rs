use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::time::Duration;

use super::layout::Divided;
use super::{Layout, Millis48};

/// A hybrid logical time in 64 bits: a physical part, in ticks of the [`Layout`], and a logical
/// counter that orders timestamps of the same tick. Words, and their big-endian bytes, are ordered
/// as the times are.
///
/// Every word is a valid timestamp, so decoding cannot fail. Two nodes may produce the same one:
/// together with the node id it is a [`Stamp`](crate::Stamp), which is unique.
///
/// # Forms
///
/// | form | example, of `Millis48` | |
/// |---|---|---|
/// | word | `0x01a2_0734_5580_0002` | [`as_u64`](Self::as_u64), [`From<u64>`](From); `serde` in binary formats |
/// | bytes | `01 a2 07 34 55 80 00 02` | [`to_be_bytes`](Self::to_be_bytes) and back |
/// | text | `2026-11-23T07:00:00.000Z-0002` | `Display`, `FromStr`; `serde` in formats for people |
///
/// The text is the time of RFC 3339 in UTC, with as many decimals as a tick needs, then, if the
/// layout has a counter, `-` and the counter in lower-case hexadecimal digits, as many as its bits
/// need. So one layout's texts of the years up to 9999 have one length and sort as the times do.
/// Only the text that `Display` writes is accepted.
///
/// ```
/// use synod_lamport::hlc::{HybridClock, Timestamp};
///
/// let clock = HybridClock::new(|| 1_795_417_200_000_000_000);
/// let (first, second) = (clock.now()?, clock.now()?);
/// assert!(first < second && first.to_be_bytes() < second.to_be_bytes());
/// assert_eq!(second.to_string(), "2026-11-23T07:00:00.000Z-0001");
/// assert_eq!("2026-11-23T07:00:00.000Z-0001".parse::<Timestamp>()?, second);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct Timestamp<L = Millis48> {
    word: u64,
    // The layout is only a marker type.
    layout: PhantomData<fn() -> L>,
}

impl<L> Timestamp<L> {
    /// The first of all: the epoch, before every event.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis42, Timestamp};
    /// assert_eq!(Timestamp::<Millis42>::ZERO.to_string(), "2024-01-01T00:00:00.000Z-000000");
    /// ```
    pub const ZERO: Self = Self::from_u64(0);

    /// The last of all.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// assert_eq!(Timestamp::<Millis48>::MAX.to_string(), "10889-08-02T05:31:50.655Z-ffff");
    /// ```
    pub const MAX: Self = Self::from_u64(u64::MAX);

    /// The timestamp with this word.
    ///
    /// ```
    /// # use synod_lamport::hlc::Timestamp;
    /// let stamp: Timestamp = Timestamp::from_u64(0x1_0003);
    /// assert_eq!((stamp.ticks(), stamp.logical()), (1, 3));
    /// ```
    #[must_use]
    pub const fn from_u64(word: u64) -> Self {
        Self {
            word,
            layout: PhantomData,
        }
    }

    /// The word.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Nanos64, Timestamp};
    /// assert_eq!(Timestamp::<Nanos64>::from_u64(7).as_u64(), 7);
    /// ```
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.word
    }

    /// Eight bytes, most significant first: they sort as the timestamps do.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Nanos64, Timestamp};
    /// let stamp = Timestamp::<Nanos64>::from_u64(258);
    /// assert_eq!(stamp.to_be_bytes(), [0, 0, 0, 0, 0, 0, 1, 2]);
    /// ```
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 8] {
        self.word.to_be_bytes()
    }

    /// The timestamp with these bytes; all of them are valid.
    ///
    /// ```
    /// # use synod_lamport::hlc::Timestamp;
    /// let stamp: Timestamp = Timestamp::from_be_bytes([0xff; 8]);
    /// assert_eq!(stamp, Timestamp::MAX);
    /// ```
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 8]) -> Self {
        Self::from_u64(u64::from_be_bytes(bytes))
    }
}

impl<L: Layout> Timestamp<L> {
    /// The timestamp of a tick and a counter; `None` if one has more bits than its field.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis42, Timestamp};
    /// assert!(Timestamp::<Millis42>::from_parts(1 << 41, 1 << 21).is_some());
    /// assert!(Timestamp::<Millis42>::from_parts(1 << 42, 0).is_none());
    /// assert!(Timestamp::<Millis42>::from_parts(0, 1 << 22).is_none());
    /// ```
    #[must_use]
    pub fn from_parts(ticks: u64, logical: u64) -> Option<Self> {
        (ticks <= L::TICKS_MAX && logical <= L::LOGICAL_MAX)
            .then(|| Self::from_u64(ticks << L::LOGICAL_BITS | logical))
    }

    /// The first timestamp of the tick in which this time since 1970 lies: where a search for
    /// everything from then on begins. `None` outside of the layout's range.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::Timestamp;
    /// let monday = Timestamp::at_unix(Duration::from_secs(1_795_417_200));
    /// assert_eq!(monday, "2026-11-23T07:00:00.000Z-0000".parse::<Timestamp>().ok());
    /// ```
    #[must_use]
    pub fn at_unix(since_1970: Duration) -> Option<Self> {
        let since_epoch = since_1970.checked_sub(Duration::from_secs(L::EPOCH_UNIX_SECONDS))?;
        let ticks = since_epoch.as_nanos() / u128::from(L::TICK_NANOS);
        Self::from_parts(u64::try_from(ticks).ok()?, 0)
    }

    /// The physical part: ticks since the layout's epoch. The paper's `l`.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// assert_eq!(Timestamp::<Millis48>::from_u64(0x5_0003).ticks(), 5);
    /// ```
    #[must_use]
    pub const fn ticks(self) -> u64 {
        self.word >> L::LOGICAL_BITS
    }

    /// The logical counter, which begins at 0 in each tick. The paper's `c`.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// assert_eq!(Timestamp::<Millis48>::from_u64(0x5_0003).logical(), 3);
    /// ```
    #[must_use]
    pub fn logical(self) -> u64 {
        self.word & L::LOGICAL_MAX
    }

    /// The physical part as time since 1970-01-01T00:00:00Z.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// let stamp = Timestamp::<Millis48>::from_parts(1_500, 9).unwrap();
    /// assert_eq!(stamp.since_unix_epoch().as_millis(), 1_500);
    /// ```
    #[must_use]
    pub fn since_unix_epoch(self) -> Duration {
        Duration::from_secs(L::EPOCH_UNIX_SECONDS).saturating_add(time_of::<L>(self.ticks()))
    }

    /// The physical time from `earlier` to here; `None` if that one is later. Counters do not
    /// count.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{Millis48, Timestamp};
    /// let at = |ticks| Timestamp::<Millis48>::from_parts(ticks, 0).unwrap();
    /// assert_eq!(at(9).duration_since(at(5)), Some(Duration::from_millis(4)));
    /// assert_eq!(at(5).duration_since(at(9)), None);
    /// ```
    #[must_use]
    pub fn duration_since(self, earlier: Self) -> Option<Duration> {
        self.ticks().checked_sub(earlier.ticks()).map(time_of::<L>)
    }
}

/// The time of so many ticks, in whole seconds and the rest, so that no layout overflows.
pub(super) fn time_of<L: Layout>(ticks: u64) -> Duration {
    let nanos = u128::from(ticks) * u128::from(L::TICK_NANOS);
    // A tick is at most a second, so the seconds fit, and the rest is below 10^9.
    Duration::new(
        (nanos / NANOS_IN_SECOND) as u64,
        (nanos % NANOS_IN_SECOND) as u32,
    )
}

// Derived implementations would require the same of the layout, which is only a marker.
impl<L> Clone for Timestamp<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Timestamp<L> {}

impl<L> Default for Timestamp<L> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<L> PartialEq for Timestamp<L> {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl<L> Eq for Timestamp<L> {}

impl<L> PartialOrd for Timestamp<L> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<L> Ord for Timestamp<L> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.word.cmp(&other.word)
    }
}

impl<L> Hash for Timestamp<L> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.word.hash(state);
    }
}

impl<L: Layout> fmt::Debug for Timestamp<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl<L> From<u64> for Timestamp<L> {
    fn from(word: u64) -> Self {
        Self::from_u64(word)
    }
}

impl<L> From<Timestamp<L>> for u64 {
    fn from(timestamp: Timestamp<L>) -> Self {
        timestamp.word
    }
}

const NANOS_IN_SECOND: u128 = 1_000_000_000;
