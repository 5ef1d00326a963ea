//! PTP hardware clocks: the clock in a network card that `ptp4l` or the hypervisor disciplines.

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

/// A readable hardware clock.
pub trait HardwareClock: Send + Sync {
    /// The current time of the clock.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be read.
    fn time(&self) -> Result<Timestamp, SourceError>;

    /// Its error at the last reading, in nanoseconds; `None` if unknown. Called after [`time`](Self::time).
    ///
    /// # Errors
    /// [`SourceError`] if the value should be available and is not.
    fn error_nanos(&self) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }

    /// How far it is ahead of UTC; `None` if unknown, in which case the user must state it. Called after
    /// [`time`](Self::time).
    ///
    /// # Errors
    /// [`SourceError`] if the value should be available and is not.
    fn ahead(&self) -> Result<Option<Duration>, SourceError> {
        Ok(None)
    }
}

/// A source that reads a PTP hardware clock.
///
/// The clock is read between two readings of the oscillator, so the interval includes the duration of the read:
/// some microseconds over PCI.
///
/// The clock itself reveals neither whether it is disciplined nor its scale. The caller states its bound and its
/// offset from UTC (`ptp4l` keeps it on TAI, 37 s ahead), or the daemon that disciplines it does (`Ptp4l`).
///
/// Tested with simulated clocks, never on real hardware.
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
    /// A clock on UTC with an error of at most `bound`, in addition to the error that it reports
    /// itself.
    pub const fn new(clocks: C, clock: H, bound: Duration) -> Self {
        Self {
            clocks,
            clock,
            bound,
            ahead: Duration::ZERO,
            drift: Drift::DEFAULT,
        }
    }

    /// Sets how far the clock is ahead of UTC, unless it reports that itself: 37 s for one on TAI,
    /// since 2017.
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
