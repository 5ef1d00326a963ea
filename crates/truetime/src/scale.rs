use core::fmt;

/// The time scale of a source. The same number is a different instant on another scale, so scales are never
/// mixed.
///
/// NTP does not indicate whether a server smears leap seconds (Google's and Amazon's do, over a day, by up to half a
/// second; chrony does with `smoothtime`), so a source cannot detect it: the user specifies the scale with
/// [`OnScale`](crate::source::OnScale). A clock accepts only samples of the scale in its [`Config`](crate::Config).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scale {
    /// Plain UTC: a leap second is a step of one second, or a repeated second.
    #[default]
    Utc,
    /// UTC with leap seconds spread over the hours around them. There are several methods: all nodes need servers
    /// with the same one.
    SmearedUtc,
    /// International atomic time, without leap seconds: 37 s ahead of UTC since 2017.
    Tai,
}

impl Scale {
    /// The byte that a peer sends.
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Utc => 0,
            Self::SmearedUtc => 1,
            Self::Tai => 2,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Utc),
            1 => Some(Self::SmearedUtc),
            2 => Some(Self::Tai),
            _ => None,
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utc => "UTC",
            Self::SmearedUtc => "smeared UTC",
            Self::Tai => "TAI",
        })
    }
}

/// A sample or a reading is on another scale than expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is {found}, and not {expected}")]
pub struct WrongScale {
    /// The scale of the sample.
    pub found: Scale,
    /// The scale of the clock.
    pub expected: Scale,
}
