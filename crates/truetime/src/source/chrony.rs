//! `chronyd` of this machine, by its command protocol over UDP.
//!
//! Only one request is ever made, for the tracking report; it needs no privilege. The report says
//! by how much the wall clock may be wrong:
//!
//! ```text
//!  bound = root_delay / 2  +  root_dispersion  +  |correction|
//!          the way there      errors of all        what is still
//!          may be all one     servers, growing     to be slewed
//!          direction          since the update     away
//! ```
//!
//! `chronyd` lets the dispersion grow by what it thinks of the oscillator and by `maxclockerror` of
//! its configuration, which is 1 ppm unless somebody says more; 50 is a better word for most
//! machines, and the only thing that has to be configured for this source.
//!
//! It goes on calling itself synchronised long after its last server is gone. So the age of its last
//! update is judged here ([`Tracking::sample`]).
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
    /// The sample that this report makes if it answers that question.
    ///
    /// `trust.age_max` bounds the time since the last update; a shorter one counts for a daemon that polls
    /// often: eight times its last interval, or two minutes if that is more.
    ///
    /// # Errors
    /// - [`SourceError::NotSynchronized`] if it says so, if it follows nobody ([`check`](Self::check)), or if the last
    ///   update is too old.
    /// - [`SourceError::Disrupted`] if the last update lies in the future of the wall clock, which
    ///   somebody must have set back, or if a leap second is due within a second and the bound.
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

    /// After how much time without an update a daemon that polls as this one has lost its servers.
    fn age_max(&self) -> Duration {
        let interval_nanos = self
            .update_interval
            .magnitude_above(NANOS_PER_SECOND as u32);
        let missed_nanos = interval_nanos.saturating_mul(UPDATES_MISSED_MAX);
        // The time of the update is told as up to a second older than it is.
        let missed_nanos = missed_nanos
            .max(nanos(AGE_LEAST))
            .saturating_add(NANOS_PER_SECOND);
        Duration::from_nanos(missed_nanos)
    }
}

const UPDATES_MISSED_MAX: u64 = 8;
/// A daemon has just started with a volley of requests, and asks again after a minute.
const AGE_LEAST: Duration = Duration::from_secs(120);
const NANOS_PER_SECOND: u64 = 1_000_000_000;
