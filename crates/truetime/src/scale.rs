use core::fmt;

/// Which time a source tells. On different scales the same number is another instant, so no two are ever mixed.
///
/// NTP does not say whether a server smears leap seconds (Google's and Amazon's do, over a day, by up to half a second;
/// chrony does with `smoothtime`), so a source cannot find out: its user names the scale, by
/// [`OnScale`](crate::source::OnScale). A clock takes samples of the scale that its [`Config`](crate::Config) names,
/// and no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scale {
    /// UTC as it is: a leap second comes as a step of one second, or as a second that is shown twice.
    #[default]
    Utc,
    /// UTC with leap seconds spread over the hours around them. There is more than one way to do it: all nodes need
    /// servers that do it alike.
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

/// A sample or a reading tells another time than its user goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is {found}, and not {expected}")]
pub struct WrongScale {
    /// That of the sample.
    pub found: Scale,
    /// That of the clock.
    pub expected: Scale,
}
