//! `chronyd` of this machine, by its command protocol over UDP.
//!
//! The only request is the one for the tracking report, which needs no privilege. The report yields
//! a bound on the error of the wall clock:
//!
//! ```text
//!  bound = root_delay / 2  +  root_dispersion  +  |correction|
//!          the way there      errors of all        what is still
//!          may be all one     servers, growing     to be slewed
//!          direction          since the update     away
//! ```
//!
//! `chronyd` increases the dispersion by its estimate of the oscillator's error and by
//! `maxclockerror` of its configuration, which is 1 ppm by default; 50 is a better value for most
//! machines, and is the only configuration that this source needs.
//!
//! It keeps reporting that it is synchronised long after it has lost its last server. Therefore the
//! age of its last update is checked here ([`Tracking::sample`]).
//!
//! The messages ([`request`], [`Tracking::decode`]) are plain functions on bytes; `Chrony`, which
//! carries them, needs the feature `std`.

use core::time::Duration;

use crate::source::{Question, Sample, SourceError, Unsynchronized};
use crate::timestamp::nanos;
use crate::{Stratum, Timestamp};

#[cfg(feature = "std")]
mod client;
mod float;
#[cfg(all(feature = "std", unix))]
mod socket;
mod tracking;
mod trust;

#[cfg(all(feature = "std", unix))]
pub(super) use client::unguessable;
#[cfg(feature = "std")]
pub use client::{Chrony, QueryError};
pub use float::Float;
#[cfg(all(feature = "std", unix))]
pub use socket::ChronySocket;
pub use tracking::{DATAGRAM_BYTES, Leap, ReplyError, Tracking, request};
pub use trust::{LocalReference, Trust};

impl Tracking {
    /// The sample from this report, received as the answer to that question.
    ///
    /// `trust.age_max` bounds the time since the last update; a shorter one counts for a daemon that polls
    /// often: eight times its last interval, or two minutes if that is more.
    ///
    /// # Errors
    /// - [`SourceError::NotSynchronized`] if it reports so, if it follows no other clock ([`check`](Self::check)), or
    ///   if the last update is too old.
    /// - [`SourceError::Disrupted`] if the last update is later than the wall clock, which must
    ///   have been set back, or if a leap second is due within a second plus the bound.
    pub fn sample(&self, question: &Question, trust: &Trust) -> Result<Sample, SourceError> {
        let beyond = self.check(trust).map_err(SourceError::NotSynchronized)?;
        let bound_nanos = self.bound_nanos().saturating_add(nanos(beyond));
        let updated = Timestamp::from_nanos(self.reference_time_nanos);
        if updated
            > question
                .wall()
                .later(bound_nanos.saturating_add(NANOS_PER_SECOND))
        {
            return Err(SourceError::Disrupted);
        }
        let age = question.wall() - updated;
        let valid_for = self.age_max().min(trust.age_max).saturating_sub(age);
        if valid_for.is_zero() {
            return Err(SourceError::NotSynchronized(Unsynchronized::Old));
        }
        let mut sample = question.sample(bound_nanos);
        sample.drift_ppb = u32::try_from(self.drift_ppb()).unwrap_or(u32::MAX);
        sample.valid_for = valid_for;
        sample.stratum = Stratum::new(self.stratum);
        if self.leap != Leap::Normal {
            let left = question
                .until_leap(bound_nanos)
                .ok_or(SourceError::Disrupted)?;
            sample.valid_for = valid_for.min(left);
        }
        Ok(sample)
    }

    /// The age of the last update after which a daemon with this polling interval must have lost
    /// its servers.
    fn age_max(&self) -> Duration {
        let interval_nanos = self
            .update_interval
            .magnitude_above(NANOS_PER_SECOND as u32);
        let missed_nanos = interval_nanos.saturating_mul(UPDATES_MISSED_MAX);
        // The reported time of the update may be up to a second too early.
        let missed_nanos = missed_nanos
            .max(nanos(AGE_LEAST))
            .saturating_add(NANOS_PER_SECOND);
        Duration::from_nanos(missed_nanos)
    }
}

const UPDATES_MISSED_MAX: u64 = 8;
/// A daemon starts with a burst of requests, and polls again after a minute.
const AGE_LEAST: Duration = Duration::from_secs(120);
const NANOS_PER_SECOND: u64 = 1_000_000_000;
