use core::time::Duration;

use crate::{Drift, Scale};

/// Limits of a clock that is extrapolated from samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How far the oscillator may run from true time. 200 ppm unless told otherwise, as Spanner
    /// takes. It must cover the error of the frequency that the kernel takes the oscillator to have, too: what
    /// `chronyc tracking` shows as `Frequency`.
    ///
    /// A sample that admits more counts, until pairs of samples have shown that the oscillator keeps this. Pairs that
    /// show that it does not make the clock refuse ([`TimeError::OutOfBound`](crate::TimeError::OutOfBound)).
    pub drift: Drift,
    /// By how many parts per thousand million the rate of the oscillator may wander while samples measure it: 10 ppm
    /// unless told otherwise, which is a quartz that warms by some ten degrees.
    pub wander_ppb: u32,
    /// The scale that the clock is on: UTC unless told otherwise. Samples of another are refused.
    pub scale: Scale,
    /// How old a sample may become before the clock is [`Stale`](crate::TimeError::Stale): 1000 s unless
    /// told otherwise. A sample that is valid for less counts.
    pub age_max: Duration,
    /// Beyond which age of its sample a reading is [`Holdover`](crate::Status::Holdover): 60 s unless
    /// told otherwise. To refuse holdover, make `age_max` as small.
    pub fresh_max: Duration,
    /// Half the widest interval that is still of use: 100 ms unless told otherwise.
    pub epsilon_max: Duration,
    /// How far the wall clock may be set without notice: 1 ms unless told otherwise.
    pub step_max: Duration,
    /// How many samples in a row must agree after a disruption before the clock is known again: 2
    /// unless told otherwise.
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
