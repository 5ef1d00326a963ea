//! Draws that a seed decides.

use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// A generator of its own for each purpose, so that what one draws leaves the others as they were.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut draws = Self(seed ^ purpose.wrapping_mul(0xd134_2543_de82_ef95));
        draws.next();
        draws
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0, at most 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() <= probability
    }

    pub(crate) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        min + (max - min).mul_f64(self.unit())
    }

    /// Exponential, with this mean.
    pub(crate) fn exponential(&mut self, mean: Duration) -> Duration {
        whole_micros(mean.as_secs_f64() * -self.unit().ln())
    }

    /// Pareto's, from `min` on: its mean is finite above 1, its deviation above 2.
    pub(crate) fn pareto(&mut self, min: Duration, shape: f64, max: Duration) -> Duration {
        whole_micros(min.as_secs_f64() * self.unit().powf(-1.0 / shape)).min(max)
    }
}

/// Machines differ in the last digit of a logarithm, and hardly ever in a microsecond.
fn whole_micros(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6) as u64)
}
