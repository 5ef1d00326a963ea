//! What of a `chronyd` is believed: its age, its stratum, and a clock that follows no other.

use core::time::Duration;

use super::{Leap, Tracking};
use crate::Stratum;
use crate::source::Unsynchronized;

/// What a report must be like to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// How old its last update may be: 40 minutes unless told otherwise.
    pub age_max: Duration,
    /// How many hops it may be away from a reference clock: [`Stratum::MAX_DEFAULT`] unless told otherwise. A client of
    /// a server that follows only itself shows that server's address and a small error; its stratum is all that tells.
    pub stratum_max: Stratum,
    /// The one local reference that is believed; none unless told otherwise.
    pub local: Option<LocalReference>,
}

impl Default for Trust {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Trust {
    /// What is believed unless told otherwise.
    pub const DEFAULT: Self = Self {
        age_max: Duration::from_secs(2400),
        stratum_max: Stratum::MAX_DEFAULT,
        local: None,
    };
}

/// A clock that follows no other, and that a group of machines has agreed to go by.
///
/// Such a clock is nobody's measure of true time, so the bound on its error is the caller's. Without one that really
/// holds, intervals are right only among machines that share the reference: compare the `name`s before comparing
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
    /// The reference id that clients show: the IPv4 address of the server, or the hash of its IPv6 address.
    pub name: [u8; 4],
    /// Whether this machine is that server.
    pub is_here: bool,
    /// By how much that server's clock may be wrong; it is added to what `chronyd` says.
    pub bound: Duration,
}

impl LocalReference {
    /// This machine's own clock, which others know by this name.
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
    /// Whether the daemon follows nothing but the clock that it keeps: chrony's `local` (127.127.1.1), a smoothed one
    /// (127.127.1.255), or ntpd's local clock (`LOCL`, 127.127.1.x).
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(
            self.reference_id,
            [127, 127, 1, _] | [b'L', b'O', b'C', b'L']
        )
    }

    /// Whether its bound may be believed, and by how much more its clock may be wrong than it says: zero, but for a
    /// local reference. Age is judged by [`sample`](Self::sample).
    ///
    /// # Errors
    /// Why not.
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
