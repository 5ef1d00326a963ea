//! Time sources.
//!
//! A [`Source`] is polled for a [`Sample`] from time to time; between samples a
//! [`Disciplined`](crate::Disciplined) clock widens the interval. The clock limits the age of
//! samples; a source may only state a shorter validity.
//!
//! | source | queries | bound on the error of the wall clock | needs |
//! |---|---|---|---|
//! | `Kernel` | `adjtimex` | `maxerror`, a second's growth, the remaining slew | `kernel`, Linux |
//! | [`Chrony`], [`ChronySocket`] | `chronyd` | half the root delay, dispersion, correction | `std` |
//! | [`ClockBound`] | its segment, by `pread` | the bound, grown since it was written | `std`, Unix |
//! | [`Phc`] | a PTP hardware clock | its own: the error that the caller states | Linux, or a [`HardwareClock`] |
//! | [`FixedEpsilon`] | nothing | the error that the caller states | |
//! | [`peer`], [`PeerSource`] | another node, by any transport | none, it is about true time itself: the round trip | |
//!
//! All but hardware clocks and peers relate the wall clock to the oscillator by a [`Question`]. Each consists of
//! plain arithmetic on the answer and a thin layer that makes the query, so the arithmetic can be reused with
//! another transport.
//!
//! [`ChronySocket`]: chrony::ChronySocket
//! [`Phc`]: phc::Phc
//! [`HardwareClock`]: phc::HardwareClock

pub mod chrony;
#[cfg(all(feature = "std", unix))]
pub mod clockbound;
mod fixed;
#[cfg(all(feature = "kernel", target_os = "linux"))]
mod kernel;
#[cfg(all(feature = "std", unix))]
mod named;
mod on_scale;
pub mod peer;
pub mod phc;
mod question;
mod unsynchronized;

use core::time::Duration;

#[cfg(feature = "std")]
pub use chrony::Chrony;
#[cfg(all(feature = "std", unix))]
pub use clockbound::ClockBound;
pub use fixed::FixedEpsilon;
#[cfg(all(feature = "kernel", target_os = "linux"))]
pub use kernel::{Kernel, Timex};
pub use on_scale::OnScale;
pub use peer::Peer;
#[cfg(feature = "std")]
pub use peer::PeerSource;
pub use question::Question;
pub use unsynchronized::Unsynchronized;

use crate::growth::Drift;
use crate::{BoundKind, Interval, Local, Scale, Stratum, WrongScale};

/// A source of time. Taking a sample may need a system call or a round trip.
///
/// A clock checks for suspends and freezes from before the query on. A source that returns an earlier
/// answer, as [`PeerSource`] does, must itself check that the oscillator has not been disrupted since:
/// [`Combined`](crate::Combined) extrapolates all samples to the present, which hides their age.
///
/// ```
/// use synod_truetime::source::{Sample, Source, SourceError};
/// use synod_truetime::{Clocks, Interval};
///
/// struct Server<C>(C);
/// # fn exchange() -> Result<Interval, SourceError> { Err(SourceError::TimedOut) }
///
/// impl<C: Clocks> Source for Server<C> {
///     fn sample(&self) -> Result<Sample, SourceError> {
///         let before = self.0.local();
///         let interval = exchange()?; // right at some instant between before and after
///         let after = self.0.local();
///         Ok(Sample::between(before, after, interval, 0))
///     }
/// }
/// ```
pub trait Source: Send + Sync {
    /// Takes a sample.
    ///
    /// # Errors
    /// [`SourceError`] if there is no answer, or no trustworthy one. An unsynchronised source
    /// returns an error, not a wide interval.
    fn sample(&self) -> Result<Sample, SourceError>;
}

/// An answer of a [`Source`]: the interval of true time at an instant of the local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken: a reading of the [`Clocks::local`](crate::Clocks::local) that the
    /// interval is extrapolated with, from before the query.
    pub at: Local,
    /// Contains true time at `at`. Must include the duration of the query, see
    /// [`between`](Self::between).
    pub interval: Interval,
    /// The drift of the local oscillator as reported by the source, in parts per billion; 0 if
    /// unknown. The greater of this and the clock's own drift bound is used.
    pub drift_ppb: u32,
    /// How long after `at` the sample is valid; [`Duration::MAX`] if the source sets no limit. The
    /// smaller of this and the clock's own limit is used.
    pub valid_for: Duration,
    /// What kind of promise the interval is.
    pub bound: BoundKind,
    /// The distance of the source from a reference clock; [`Stratum::NONE`] if unknown.
    pub stratum: Stratum,
    /// The scale of the interval: UTC, unless the source or its user specifies another.
    pub scale: Scale,
}

impl Sample {
    /// A sample from an interval that held true time at some instant between two readings of the
    /// local clock.
    ///
    /// To relate it to `before`, the earliest end is lowered by the whole duration of the query, at
    /// the oscillator's slowest rate, and a granule for the readings; the latest end stays. This
    /// includes the round trip, of which the later growth would only include the drift.
    #[must_use]
    pub fn between(before: Local, after: Local, interval: Interval, drift_ppb: u32) -> Self {
        let taken = Drift::from_ppb(drift_ppb.max(Self::DRIFT_PPB_LEAST));
        let most = taken.most(after.nanos_since(before).saturating_add(1));
        let earliest = interval.earliest().earlier(most);
        Self {
            at: before,
            interval: Interval::spanning(earliest, interval.latest()),
            drift_ppb,
            valid_for: Duration::MAX,
            bound: BoundKind::Hard,
            stratum: Stratum::NONE,
            scale: Scale::Utc,
        }
    }

    /// The least drift assumed for the local oscillator during a query: 500 ppm.
    pub const DRIFT_PPB_LEAST: u32 = 500_000;
}

/// Why a source returned no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It answered, but is not synchronised, by its own statement or judging by its answer.
    #[error("the source is not synchronised: {0}")]
    NotSynchronized(Unsynchronized),
    /// It is not available: no daemon, no file, or no such call on this system.
    #[error("the source is not there")]
    Unavailable,
    /// This user has no permission to query it.
    #[error("no permission to ask the source")]
    Denied,
    /// It did not answer in time.
    #[error("the source did not answer in time")]
    TimedOut,
    /// Its answer is invalid.
    #[error("the answer makes no sense")]
    Malformed,
    /// It uses another version of the protocol or the layout.
    #[error("the source speaks version {found}")]
    UnknownVersion {
        /// The version that it uses.
        found: u32,
    },
    /// It was disrupted and has not recovered yet.
    #[error("the source was disrupted")]
    Disrupted,
    /// It is on another scale than the clock.
    #[error("{0}")]
    Scale(#[from] WrongScale),
    /// Sources contradict each other.
    #[error("{0}")]
    NoAgreement(#[from] crate::NoAgreement),
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Source + ?Sized> Source for $pointer {
            fn sample(&self) -> Result<Sample, SourceError> {
                (**self).sample()
            }
        }
    )*};
}

forward!(&S);
#[cfg(feature = "std")]
forward!(std::sync::Arc<S>, std::boxed::Box<S>);
