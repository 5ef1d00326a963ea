use core::fmt;

/// How many hops an interval is away from whoever knows the time by itself, as far as sources say.
///
/// 0 is a source that knows by itself (a hardware clock), or that does not say. Each hop adds one. So nodes that learn
/// from each other, in a circle, while nobody outside tells them anything, count upwards until they refuse each other:
/// without it they would hand round the same old knowledge as news for ever.
///
/// ```
/// use synod_truetime::Stratum;
///
/// assert!(Stratum::new(2) < Stratum::new(2).next());
/// assert_eq!(Stratum::new(400), Stratum::UNSYNCHRONIZED);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stratum(u8);

impl Stratum {
    /// It knows by itself, or does not say.
    pub const NONE: Self = Self(0);

    /// NTP's number for a clock that follows nobody.
    pub const UNSYNCHRONIZED: Self = Self(16);

    /// The farthest that is believed unless the caller says otherwise: below 10, which is the stratum that chrony gives
    /// to a clock of its own (`local`) unless its configuration says otherwise.
    pub const MAX_DEFAULT: Self = Self(9);

    /// So many hops, at most [`UNSYNCHRONIZED`](Self::UNSYNCHRONIZED).
    #[must_use]
    pub const fn new(hops: u16) -> Self {
        if hops < Self::UNSYNCHRONIZED.0 as u16 {
            Self(hops as u8)
        } else {
            Self::UNSYNCHRONIZED
        }
    }

    /// The stratum of which [`get`](Self::get) gives this byte, if there is one: each has one encoding.
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        if byte <= Self::UNSYNCHRONIZED.0 {
            Some(Self(byte))
        } else {
            None
        }
    }

    /// Hops.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// One hop farther.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0 as u16 + 1)
    }
}

impl fmt::Display for Stratum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
