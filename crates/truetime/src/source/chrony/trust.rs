//! The conditions under which a `chronyd` is trusted: age, stratum, and local references.

use core::time::Duration;

use super::{Leap, Tracking};
use crate::Stratum;
use crate::source::Unsynchronized;

/// The conditions for accepting a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The greatest age of its last update. Default 40 minutes.
    pub age_max: Duration,
    /// The highest accepted stratum. Default [`Stratum::MAX_DEFAULT`]. A client of a server that follows only its own
    /// clock reports that server's address and a small error; only its stratum reveals it.
    pub stratum_max: Stratum,
    /// The one local reference that is accepted. Default none.
    pub local: Option<LocalReference>,
}

impl Default for Trust {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Trust {
    /// The default conditions.
    pub const DEFAULT: Self = Self {
        age_max: Duration::from_secs(2400),
        stratum_max: Stratum::MAX_DEFAULT,
        local: None,
    };
}

/// A clock that follows no other, used by a group of machines as their common reference.
///
/// The error of such a clock is not measured, so the caller must state its bound. If that bound does not hold,
/// intervals are comparable only among machines with the same reference: compare the `name`s before comparing
/// timestamps.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::source::chrony::LocalReference;
///
/// let bound = Duration::from_secs(2);
/// let server = LocalReference::here([10, 0, 0, 1], bound); // on 10.0.0.1, which has `local` in its configuration
/// let client = LocalReference::at([10, 0, 0, 1], bound);   // on machines that have `server 10.0.0.1`
/// assert_eq!(server.name, client.name);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalReference {
    /// The reference id that clients report: the IPv4 address of the server, or the hash of its IPv6
    /// address.
    pub name: [u8; 4],
    /// Whether this machine is that server.
    pub is_here: bool,
    /// The bound on the error of that server's clock, which is added to the one that `chronyd`
    /// reports.
    pub bound: Duration,
}

impl LocalReference {
    /// This machine's own clock, with the name that its clients report.
    #[must_use]
    pub const fn here(name: [u8; 4], bound: Duration) -> Self {
        Self {
            name,
            is_here: true,
            bound,
        }
    }

    /// The clock of the server that has this name.
    #[must_use]
    pub const fn at(name: [u8; 4], bound: Duration) -> Self {
        Self {
            name,
            is_here: false,
            bound,
        }
    }

    fn is_of(&self, tracking: &Tracking) -> bool {
        if self.is_here {
            tracking.is_local()
        } else {
            tracking.reference_id == self.name
        }
    }
}

impl Tracking {
    /// Whether the daemon follows only the clock that it disciplines: chrony's `local` (127.127.1.1), a smoothed one
    /// (127.127.1.255), or ntpd's local clock (`LOCL`, 127.127.1.x).
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(
            self.reference_id,
            [127, 127, 1, _] | [b'L', b'O', b'C', b'L']
        )
    }

    /// Checks whether its bound is trustworthy, and returns the additional error: zero, except for a local
    /// reference. [`sample`](Self::sample) checks the age.
    ///
    /// # Errors
    /// [`Unsynchronized`], with the reason.
    pub fn check(&self, trust: &Trust) -> Result<Duration, Unsynchronized> {
        if self.leap == Leap::Unsynchronized || self.stratum == 0 || self.reference_id == [0; 4] {
            return Err(Unsynchronized::Said);
        }
        if let Some(local) = trust.local.filter(|local| local.is_of(self)) {
            return Ok(local.bound);
        }
        if self.is_local() {
            return Err(Unsynchronized::LocalReference);
        }
        let stratum = Stratum::new(self.stratum);
        if stratum > trust.stratum_max {
            return Err(Unsynchronized::Stratum {
                stratum,
                stratum_max: trust.stratum_max,
            });
        }
        Ok(Duration::ZERO)
    }
}
