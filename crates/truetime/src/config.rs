use core::time::Duration;

use crate::{Drift, Scale};

/// Limits of a clock that is extrapolated from samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The drift bound of the oscillator. Default 200 ppm, as in Spanner. It must also cover the error of the
    /// frequency that the kernel assumes for the oscillator: what `chronyc tracking` shows as `Frequency`.
    ///
    /// A sample that reports a greater drift takes precedence until pairs of samples have shown that the oscillator
    /// keeps this bound. If pairs show that it does not, reading fails with
    /// [`TimeError::OutOfBound`](crate::TimeError::OutOfBound).
    pub drift: Drift,
    /// By how many parts per billion the rate of the oscillator may wander while samples measure it. Default 10 ppm,
    /// which corresponds to a quartz that warms by some ten degrees.
    pub wander_ppb: u32,
    /// The scale of the clock. Default UTC. Samples of another scale are rejected.
    pub scale: Scale,
    /// The age of a sample from which on the clock is [`Stale`](crate::TimeError::Stale). Default 1000
    /// s. A shorter validity of the sample takes precedence.
    pub age_max: Duration,
    /// The age of a sample beyond which a reading is [`Holdover`](crate::Status::Holdover). Default
    /// 60 s. To exclude holdover, set `age_max` to the same value.
    pub fresh_max: Duration,
    /// Half the width of the widest usable interval. Default 100 ms.
    pub epsilon_max: Duration,
    /// The largest step of the wall clock that is ignored. Default 1 ms.
    pub step_max: Duration,
    /// How many samples in a row must agree after a disruption before the clock is synchronised
    /// again. Default 2.
    pub settling_samples: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            drift: Drift::DEFAULT,
            wander_ppb: 10_000,
            scale: Scale::Utc,
            age_max: Duration::from_secs(1000),
            fresh_max: Duration::from_secs(60),
            epsilon_max: Duration::from_millis(100),
            step_max: Duration::from_millis(1),
            settling_samples: 2,
        }
    }
}
