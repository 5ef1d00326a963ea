use core::fmt;
use core::str::FromStr;

use crate::LamportTime;

/// When and where: the time of an event, and the node it happened on. Its order is Lamport's
/// total order ⇒: by time, and where times are equal by node.
///
/// The order extends "happened before" and is the same for everybody, so nodes that see the same
/// stamps agree on one sequence without asking one another. It is unique if no two nodes share a
/// name and no node gives a time twice.
///
/// `T` may be a [`LamportTime`] or a hybrid [`Timestamp`](crate::hlc::Timestamp), which alone does
/// not tell nodes apart.
///
/// As text it is `time@node`; of the node, whatever its type reads. With nodes that are numbers it
/// has sixteen bytes, which sort as the stamps do.
///
/// ```
/// use synod_lamport::{LamportTime, Stamp};
///
/// let stamp = |time, node| Stamp::new(LamportTime::new(time), node);
/// let mut events = [stamp(2, 1), stamp(1, 3), stamp(1, 2)];
/// events.sort();
/// assert_eq!(events, [stamp(1, 2), stamp(1, 3), stamp(2, 1)]);
/// assert_eq!(events[0].to_string(), "1@2");
/// assert_eq!("1@2".parse(), Ok(events[0]));
/// ```
// The order of the fields is the order of the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stamp<N, T = LamportTime> {
    /// When, by the clock of `node`.
    pub time: T,
    /// Where.
    pub node: N,
}

impl<N, T> Stamp<N, T> {
    /// The stamp of an event at `time` on `node`.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, Stamp};
    /// let mut clock = LamportClock::default();
    /// let stamp = Stamp::new(clock.tick()?, "berlin");
    /// assert_eq!(stamp.node, "berlin");
    /// # Ok::<(), synod_lamport::Overflow>(())
    /// ```
    pub const fn new(time: T, node: N) -> Self {
        Self { time, node }
    }
}

impl<N: Into<u64>, T: Into<u64>> Stamp<N, T> {
    /// The time, then the node, both as eight bytes, most significant first: they sort as the
    /// stamps do.
    ///
    /// ```
    /// # use synod_lamport::{LamportTime, Stamp};
    /// let bytes = Stamp::new(LamportTime::new(1), 2_u64).to_be_bytes();
    /// assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    /// ```
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 16] {
        let word = u128::from(self.time.into()) << 64 | u128::from(self.node.into());
        word.to_be_bytes()
    }
}

impl<N: TryFrom<u64>, T: From<u64>> Stamp<N, T> {
    /// The stamp with these bytes.
    ///
    /// # Errors
    /// If the number is not the name of a node, for example 0 for a `NonZeroU64`.
    ///
    /// ```
    /// # use synod_lamport::{LamportTime, Stamp};
    /// use core::num::NonZeroU64;
    ///
    /// let stamp = Stamp::new(LamportTime::new(1), NonZeroU64::MIN);
    /// let mut bytes = stamp.to_be_bytes();
    /// assert_eq!(Stamp::from_be_bytes(bytes), Ok(stamp));
    /// bytes[15] = 0;
    /// assert!(Stamp::<NonZeroU64>::from_be_bytes(bytes).is_err());
    /// ```
    pub fn from_be_bytes(bytes: [u8; 16]) -> Result<Self, N::Error> {
        let word = u128::from_be_bytes(bytes);
        // The lower half alone is what is wanted.
        let node = N::try_from(word as u64)?;
        Ok(Self::new(T::from((word >> 64) as u64), node))
    }
}

impl<N: fmt::Display, T: fmt::Display> fmt::Display for Stamp<N, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.time, self.node)
    }
}

impl<N: FromStr, T: FromStr> FromStr for Stamp<N, T> {
    type Err = ParseStampError<T::Err, N::Err>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A time has no `@`; the name of a node may.
        let (time, node) = text.split_once('@').ok_or(ParseStampError::NoAt)?;
        Ok(Self {
            time: time.parse().map_err(ParseStampError::Time)?,
            node: node.parse().map_err(ParseStampError::Node)?,
        })
    }
}

/// Why a text is no [`Stamp`].
///
/// ```
/// use synod_lamport::{ParseStampError, Stamp};
///
/// assert_eq!("17".parse::<Stamp<u64>>(), Err(ParseStampError::NoAt));
/// assert!(matches!("x@1".parse::<Stamp<u64>>(), Err(ParseStampError::Time(_))));
/// assert!(matches!("1@x".parse::<Stamp<u64>>(), Err(ParseStampError::Node(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseStampError<T, N> {
    /// No `@` parts the time from the node.
    #[error("no `@` parts a time from a node")]
    NoAt,
    /// What stands before the `@` is no time.
    #[error("before the `@`: {0}")]
    Time(T),
    /// What stands behind it is no node.
    #[error("behind the `@`: {0}")]
    Node(N),
}
