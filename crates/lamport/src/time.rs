use core::fmt;
use core::str::FromStr;

/// The time of a Lamport clock: how many events are known to lie on a longest causal path up to
/// here. A number without a unit; only its order means anything, and only in one direction: what
/// happened before has the smaller time, but a smaller time need not have happened before.
///
/// As bytes it is big-endian, so that byte order is time order; as text it is decimal, and only
/// the text that `Display` writes is read: no sign, no zeros in front.
///
/// ```
/// use synod_lamport::LamportTime;
///
/// let time = LamportTime::new(258);
/// assert_eq!(time.to_be_bytes(), [0, 0, 0, 0, 0, 0, 1, 2]);
/// assert_eq!(LamportTime::from_be_bytes([0, 0, 0, 0, 0, 0, 1, 2]), time);
/// assert_eq!(time.to_string().parse(), Ok(time));
/// assert!(LamportTime::ZERO < time);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct LamportTime(u64);

impl LamportTime {
    /// Before every event: a new clock shows it, and no event carries it.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime};
    /// assert_eq!(LamportClock::new(LamportTime::ZERO).tick(), Ok(LamportTime::new(1)));
    /// ```
    pub const ZERO: Self = Self(0);

    /// The last time there is. A clock that shows it has no further event.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime, Overflow};
    /// assert_eq!(LamportClock::new(LamportTime::MAX).tick(), Err(Overflow));
    /// ```
    pub const MAX: Self = Self(u64::MAX);

    /// The time with this number.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// assert_eq!(LamportTime::new(7).as_u64(), 7);
    /// ```
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// assert_eq!(LamportTime::ZERO.as_u64(), 0);
    /// ```
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Eight bytes, most significant first: they sort as the times do.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// assert!(LamportTime::new(255).to_be_bytes() < LamportTime::new(256).to_be_bytes());
    /// ```
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The time with these bytes; all of them are valid.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// assert_eq!(LamportTime::from_be_bytes([0xff; 8]), LamportTime::MAX);
    /// ```
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl From<u64> for LamportTime {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<LamportTime> for u64 {
    fn from(time: LamportTime) -> Self {
        time.0
    }
}

impl fmt::Display for LamportTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for LamportTime {
    type Err = ParseLamportTimeError;

    fn from_str(text: &str) -> Result<Self, ParseLamportTimeError> {
        // Numbers are read leniently: `+5` and `05` too.
        let as_written = matches!(text.as_bytes(), [b'0'] | [b'1'..=b'9', ..]);
        let number = text.parse().ok().filter(|_| as_written);
        number.map(Self).ok_or(ParseLamportTimeError)
    }
}

/// The text is not one that a [`LamportTime`] has.
///
/// ```
/// use synod_lamport::{LamportTime, ParseLamportTimeError};
///
/// assert_eq!("5".parse(), Ok(LamportTime::new(5)));
/// assert_eq!("+5".parse::<LamportTime>(), Err(ParseLamportTimeError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not the text of a Lamport time")]
pub struct ParseLamportTimeError;
