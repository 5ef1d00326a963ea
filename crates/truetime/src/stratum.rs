use core::fmt;

/// The number of hops between an interval and a reference clock, as reported by sources.
///
/// 0 is a reference clock (a hardware clock), or unknown. Each hop adds one. Nodes that synchronise only with each
/// other, in a cycle, therefore count upwards until they reject each other; otherwise they would pass on the same
/// outdated time forever.
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
    /// A reference clock, or unknown.
    pub const NONE: Self = Self(0);

    /// NTP's number for an unsynchronised clock.
    pub const UNSYNCHRONIZED: Self = Self(16);

    /// The highest stratum accepted by default: below 10, chrony's default stratum for its local clock (`local`).
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
