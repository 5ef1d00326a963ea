//! Wide timestamps: 128 bits, for nanoseconds with a counter, and recovery from a poisoned future.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::{Layout, Nanos64, ParseTimestampError, Timestamp};

/// A hybrid time in 128 bits: an epoch, nanoseconds since 1970, and a counter.
///
/// ```text
///   127        96 95                                  32 31         0
///  ┌─────────────┬──────────────────────────────────────┬────────────┐
///  │ epoch       │ nanoseconds since 1970, until 2554   │ counter    │   big-endian on the wire
///  └─────────────┴──────────────────────────────────────┴────────────┘
/// ```
///
/// Words are ordered as the times are. The highest bits are the epoch, for which 64 bits have no room:
/// after the time was poisoned, for instance by a wall clock that was ten years ahead, an operator
/// starts a new epoch, whose timestamps have the right time again and are all later than those of the
/// previous epoch.
///
/// Nodes that exchange timestamps use one kind. To migrate, stamp what exists with
/// [`from_narrow`](Self::from_narrow), which keeps the order, and continue from the greatest of
/// these.
///
/// ```
/// use synod_lamport::hlc::{Timestamp, WideTimestamp};
///
/// let old: [Timestamp; 2] = [0x01a2_0734_5580_0002, 0x01a2_0734_5580_0003].map(Timestamp::from_u64);
/// let wide = old.map(|stamp| WideTimestamp::from_narrow(stamp).unwrap());
/// assert!(wide[0] < wide[1]);
/// assert_eq!(wide[1].to_string(), "0/2026-11-23T07:00:00.000000000Z-00000003");
/// assert_eq!("0/2026-11-23T07:00:00.000000000Z-00000003".parse(), Ok(wide[1]));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WideTimestamp(u128);

impl WideTimestamp {
    /// The first of all.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::ZERO.to_string(), "0/1970-01-01T00:00:00.000000000Z-00000000");
    /// ```
    pub const ZERO: Self = Self(0);

    /// The last of all.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::MAX.epoch(), u32::MAX);
    /// ```
    pub const MAX: Self = Self(u128::MAX);

    /// The timestamp of an epoch, a time in nanoseconds since 1970, and a counter.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// let stamp = WideTimestamp::from_parts(1, 2, 3);
    /// assert_eq!((stamp.epoch(), stamp.unix_nanos(), stamp.logical()), (1, 2, 3));
    /// ```
    #[must_use]
    pub const fn from_parts(epoch: u32, unix_nanos: u64, logical: u32) -> Self {
        Self((epoch as u128) << 96 | (unix_nanos as u128) << 32 | logical as u128)
    }

    /// A narrow timestamp as one of epoch 0: the same time, the same counter, the same order. `None`
    /// after 2554.
    ///
    /// ```
    /// # use synod_lamport::hlc::{Timestamp, WideTimestamp};
    /// let stamp: Timestamp = Timestamp::from_parts(1, 2).unwrap();
    /// assert_eq!(WideTimestamp::from_narrow(stamp), Some(WideTimestamp::from_parts(0, 1_000_000, 2)));
    /// ```
    #[must_use]
    pub fn from_narrow<L: Layout>(stamp: Timestamp<L>) -> Option<Self> {
        let unix_nanos = u64::try_from(stamp.since_unix_epoch().as_nanos()).ok()?;
        // A counter has at most 32 bits.
        let logical = u32::try_from(stamp.logical()).ok()?;
        Some(Self::from_parts(0, unix_nanos, logical))
    }

    /// The epoch.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_parts(1, 2, 3).epoch(), 1);
    /// ```
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_parts(1, 2, 3).unix_nanos(), 2);
    /// ```
    #[must_use]
    pub const fn unix_nanos(self) -> u64 {
        (self.0 >> 32) as u64
    }

    /// The counter, which orders timestamps of the same nanosecond.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_parts(1, 2, 3).logical(), 3);
    /// ```
    #[must_use]
    pub const fn logical(self) -> u32 {
        self.0 as u32
    }

    /// The physical part as time since 1970.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_parts(1, 2, 3).since_unix_epoch().as_nanos(), 2);
    /// ```
    #[must_use]
    pub const fn since_unix_epoch(self) -> Duration {
        Duration::from_nanos(self.unix_nanos())
    }

    /// The word.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_parts(0, 0, 3).as_u128(), 3);
    /// ```
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The timestamp with this word; all are valid.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_u128(3).logical(), 3);
    /// ```
    #[must_use]
    pub const fn from_u128(word: u128) -> Self {
        Self(word)
    }

    /// Sixteen bytes, most significant first: they sort as the timestamps do.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// let bytes = WideTimestamp::from_parts(1, 2, 3).to_be_bytes();
    /// assert_eq!(bytes, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]);
    /// assert_eq!(WideTimestamp::from_be_bytes(bytes), WideTimestamp::from_parts(1, 2, 3));
    /// ```
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The timestamp with these bytes; all of them are valid.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideTimestamp;
    /// assert_eq!(WideTimestamp::from_be_bytes([0xff; 16]), WideTimestamp::MAX);
    /// ```
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// `epoch/time-counter`: the time in UTC with nanoseconds, the counter in eight hexadecimal digits.
impl fmt::Display for WideTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::<Nanos64>::from_u64(self.unix_nanos());
        write!(f, "{}/{time}-{:08x}", self.epoch(), self.logical())
    }
}

impl fmt::Debug for WideTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WideTimestamp({self})")
    }
}

/// Accepts exactly what `Display` writes.
impl FromStr for WideTimestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let error = ParseTimestampError;
        let (epoch, rest) = text.split_once('/').ok_or(error)?;
        let (time, logical) = rest.rsplit_once('-').ok_or(error)?;
        let plain = epoch.bytes().all(|digit| digit.is_ascii_digit());
        if !plain || (epoch.len() > 1 && epoch.starts_with('0')) {
            return Err(error);
        }
        let hexadecimal = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if logical.len() != 8 || !logical.bytes().all(hexadecimal) {
            return Err(error);
        }
        Ok(Self::from_parts(
            epoch.parse().map_err(|_| error)?,
            time.parse::<Timestamp<Nanos64>>()?.as_u64(),
            u32::from_str_radix(logical, 16).map_err(|_| error)?,
        ))
    }
}
