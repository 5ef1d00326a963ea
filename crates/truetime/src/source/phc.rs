//! PTP hardware clocks: the clock in a network card that `ptp4l` or the hypervisor keeps right.

use core::time::Duration;

use crate::source::{Sample, Source, SourceError, Unsynchronized};
use crate::timestamp::nanos;
use crate::{Clocks, Drift, Interval, Timestamp};

#[cfg(all(feature = "std", target_os = "linux"))]
mod device;
#[cfg(all(feature = "std", unix))]
mod management;
#[cfg(all(feature = "std", unix))]
mod ptp4l;

#[cfg(all(feature = "std", target_os = "linux"))]
pub use device::PtpDevice;
#[cfg(all(feature = "std", unix))]
pub use ptp4l::Ptp4l;

/// A clock that can be read, and is not one of the machine's own.
pub trait HardwareClock: Send + Sync {
    /// What it shows.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be read.
    fn time(&self) -> Result<Timestamp, SourceError>;

    /// By how much it was wrong when it was read last, in nanoseconds; `None` if it does not say. Asked after
    /// [`time`](Self::time).
    ///
    /// # Errors
    /// [`SourceError`] if it should say and does not.
    fn error_nanos(&self) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }

    /// How far it is ahead of UTC; `None` if it does not say, and its user must. Asked after [`time`](Self::time).
    ///
    /// # Errors
    /// [`SourceError`] if it should say and does not.
    fn ahead(&self) -> Result<Option<Duration>, SourceError> {
        Ok(None)
    }
}

/// Asks a PTP hardware clock.
///
/// The clock is read between two readings of the oscillator, so the interval holds whatever the reading takes: some
/// microseconds over PCI.
///
/// It does not tell whether anybody keeps it right, nor on which scale it runs. Both are the caller's word, the bound
/// and what to take off to make it UTC (`ptp4l` keeps it on TAI, 37 s ahead), or that of who keeps it (`Ptp4l`).
///
/// Tested against clocks of a simulated machine; it has never run on a card.
///
/// ```no_run
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// use std::time::Duration;
/// use synod_truetime::source::Source;
/// use synod_truetime::source::phc::{Phc, PtpDevice};
/// use synod_truetime::SystemClocks;
///
/// let card = PtpDevice::open("/dev/ptp0")?;
/// let source = Phc::new(SystemClocks::new(), card, Duration::from_micros(1)).ahead_by(Duration::from_secs(37));
/// println!("{}", source.sample()?.interval);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Phc<C, H> {
    clocks: C,
    clock: H,
    bound: Duration,
    ahead: Duration,
    drift: Drift,
}

impl<C: Clocks, H: HardwareClock> Phc<C, H> {
    /// A clock on UTC that is wrong by at most `bound`, beside what it says itself.
    pub const fn new(clocks: C, clock: H, bound: Duration) -> Self {
        Self {
            clocks,
            clock,
            bound,
            ahead: Duration::ZERO,
            drift: Drift::DEFAULT,
        }
    }

    /// The clock is that far ahead of UTC, unless it says itself: 37 s for one on TAI, since 2017.
    #[must_use]
    pub const fn ahead_by(mut self, ahead: Duration) -> Self {
        self.ahead = ahead;
        self
    }

    /// The clock.
    pub const fn clock(&self) -> &H {
        &self.clock
    }
}

impl<C: Clocks, H: HardwareClock> Source for Phc<C, H> {
    /// As [`HardwareClock::time`]; [`Unsynchronized::Unmeasured`] if neither the caller nor the clock states an error.
    fn sample(&self) -> Result<Sample, SourceError> {
        let before = self.clocks.local();
        let time = self.clock.time()?;
        let after = self.clocks.local();
        let error_nanos = self.clock.error_nanos()?.unwrap_or(0);
        let bound_nanos = nanos(self.bound).saturating_add(error_nanos);
        if bound_nanos == 0 {
            return Err(SourceError::NotSynchronized(Unsynchronized::Unmeasured));
        }
        let ahead = self.clock.ahead()?.unwrap_or(self.ahead);
        let utc = time.earlier(nanos(ahead));
        // The clock counts nanoseconds, and so does the oscillator in its steps: a reading is that much behind.
        let granule = u64::from(self.clocks.granularity());
        let interval =
            Interval::at(utc).widen(bound_nanos.saturating_add(self.drift.most(granule) + 1));
        Ok(Sample::between(before, after, interval, 0))
    }
}
