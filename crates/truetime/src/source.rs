//! Where intervals come from.
//!
//! A [`Source`] is asked for a [`Sample`] now and then; between samples a
//! [`Disciplined`](crate::Disciplined) clock lets the interval grow. A source does not judge how old
//! a sample may become, it only says how long the sample may be used at most.
//!
//! | source | asks | the wall clock is wrong by at most | needs |
//! |---|---|---|---|
//! | `Kernel` | `adjtimex` | `maxerror`, a second's growth, what is to be slewed | `kernel`, Linux |
//! | [`Chrony`], [`ChronySocket`] | `chronyd` | half the root delay, dispersion, correction | `std` |
//! | [`ClockBound`] | its segment, by `pread` | the bound, grown since it was written | `std`, Unix |
//! | [`Phc`] | a PTP hardware clock | tells its own time: what the caller states | Linux, or a [`HardwareClock`] |
//! | [`FixedEpsilon`] | nobody | what it was told | |
//! | [`peer`], [`PeerSource`] | another node, by any transport | speaks of true time itself: the round trip | |
//!
//! All but hardware clocks and peers relate the wall clock to the oscillator by a [`Question`]. Each is some plain
//! arithmetic on what was answered, and a thin caller around it, so another way to ask needs no other
//! arithmetic.
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

/// Something that can be asked for the time. Asking may take a system call or a round trip.
///
/// A clock looks for sleep and freezes from before the question on. A source that answers with what it was
/// told earlier, as [`PeerSource`] does, must look itself whether the oscillator has counted ever since:
/// [`Combined`](crate::Combined) moves all samples to the present, where nobody sees their age.
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
    /// Asks.
    ///
    /// # Errors
    /// [`SourceError`] if there is no answer, or none that can be believed. A source that is not
    /// synchronised has no interval, however wide.
    fn sample(&self) -> Result<Sample, SourceError>;
}

/// An answer of a [`Source`]: where true time was, at an instant of the local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, by the same [`Clocks::local`](crate::Clocks::local) that the interval is extrapolated
    /// with: read before the source was asked.
    pub at: Local,
    /// True time at `at` lies in it. What the question took must be in it already, see
    /// [`between`](Self::between).
    pub interval: Interval,
    /// What the source says about the drift of the local oscillator, in parts per thousand million;
    /// 0 if nothing. The greater of this and the clock's own drift bound counts.
    pub drift_ppb: u32,
    /// How long after `at` the source lets the sample be used at most; [`Duration::MAX`] if it does
    /// not say. The clock has a limit of its own, and the smaller one counts.
    pub valid_for: Duration,
    /// What kind of promise the interval is.
    pub bound: BoundKind,
    /// How far the source is from whoever knows the time; [`Stratum::NONE`] if it does not say.
    pub stratum: Stratum,
    /// On which scale the interval is: UTC, unless the source or its user says otherwise.
    pub scale: Scale,
}

impl Sample {
    /// A sample from an interval that held true time at some instant between two readings of the
    /// local clock.
    ///
    /// Brought back to `before`, the earliest end moves down by all of what the question took, by the
    /// oscillator's slowest rate, and a granule for the readings; the latest end stays. So the
    /// round trip is counted once, and not left to the growth, which would only count its drift.
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

    /// Of the local oscillator during a question, when the source says less: 500 ppm.
    pub const DRIFT_PPB_LEAST: u32 = 500_000;
}

/// Why a source gave no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It answered, and does not know the time: by its own word, or by what its answer gives away.
    #[error("the source is not synchronised: {0}")]
    NotSynchronized(Unsynchronized),
    /// It is not there: no daemon, no file, no such call on this system.
    #[error("the source is not there")]
    Unavailable,
    /// It may not be asked by this user.
    #[error("no permission to ask the source")]
    Denied,
    /// It did not answer in time.
    #[error("the source did not answer in time")]
    TimedOut,
    /// It answered what cannot be an answer.
    #[error("the answer makes no sense")]
    Malformed,
    /// It speaks another version of the protocol or the layout.
    #[error("the source speaks version {found}")]
    UnknownVersion {
        /// What it speaks.
        found: u32,
    },
    /// It knows that something happened to the clocks, and not yet what.
    #[error("the source was disrupted")]
    Disrupted,
    /// It tells another time than the clock goes by.
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
