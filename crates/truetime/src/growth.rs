use crate::Interval;

/// The drift bound of an oscillator.
///
/// A bound of ρ says that in any span of true time `t` the oscillator counts between `t (1 - ρ)` and
/// `t (1 + ρ)`, as specified in its data sheet. Conversely, a span that it counts as `e` lasts at
/// most `e / (1 - ρ)`, which is more than `e (1 + ρ)`; therefore this type holds `ρ / (1 - ρ)`,
/// rounded up, which covers both sides.
///
/// ```
/// use synod_truetime::Drift;
///
/// let drift = Drift::from_ppm(200);
/// assert_eq!(drift.growth(1_000_000_000), 200_041); // not 200 000
/// assert_eq!(drift.growth(1), 1);                   // never rounded down
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// True time gained or lost per local time, in units of 2^-64.
    growth: u64,
}

impl Drift {
    /// Spanner's: 200 microseconds a second, more than any oscillator of a server that works.
    pub const DEFAULT: Self = Self::from_ppm(200);

    /// Parts per million; at most a tenth.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        Self::from_ppb(ppm.saturating_mul(1000))
    }

    /// Parts per billion, at most a tenth; greater values are clamped.
    #[must_use]
    pub const fn from_ppb(ppb: u32) -> Self {
        let ppb = if ppb < PPB_MAX { ppb } else { PPB_MAX } as u128;
        // A ninth at most, so it fits.
        let growth = (ppb << 64).div_ceil(GIGA - ppb) as u64;
        Self { growth }
    }

    /// By how many nanoseconds true time may have gained or lost while the oscillator counted so
    /// many, rounded up.
    #[must_use]
    #[inline]
    pub const fn growth(self, elapsed_nanos: u64) -> u64 {
        let product = elapsed_nanos as u128 * self.growth as u128;
        ((product + u64::MAX as u128) >> 64) as u64
    }

    /// For how many nanoseconds of the oscillator the growth stays within a limit.
    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn growth_stays_within(self, growth_nanos_max: u64) -> u64 {
        if self.growth == 0 {
            return u64::MAX;
        }
        let elapsed = ((growth_nanos_max as u128) << 64) / self.growth as u128;
        if elapsed < u64::MAX as u128 {
            elapsed as u64
        } else {
            u64::MAX
        }
    }

    /// The least that may have passed while the oscillator counted so many nanoseconds.
    #[must_use]
    #[inline]
    pub const fn least(self, elapsed_nanos: u64) -> u64 {
        elapsed_nanos.saturating_sub(self.growth(elapsed_nanos))
    }

    /// The most that may have passed while the oscillator counted so many nanoseconds.
    #[must_use]
    #[inline]
    pub const fn most(self, elapsed_nanos: u64) -> u64 {
        elapsed_nanos.saturating_add(self.growth(elapsed_nanos))
    }

    /// An interval, after the oscillator has counted so many nanoseconds more.
    #[must_use]
    #[inline]
    pub const fn extrapolate(self, interval: Interval, elapsed_nanos: u64) -> Interval {
        interval.after_span(self.least(elapsed_nanos), self.most(elapsed_nanos))
    }

    /// By how many nanoseconds of a second true time may gain or lose, rounded up.
    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn growth_ppb(self) -> u32 {
        // A ninth at most, so it fits.
        self.growth(GIGA as u64) as u32
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn to_word(self) -> u64 {
        self.growth
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn from_word(growth: u64) -> Self {
        Self { growth }
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const GIGA: u128 = 1_000_000_000;

const PPB_MAX: u32 = 100_000_000;

#[cfg(all(test, target_has_atomic = "64"))]
mod tests {
    use super::*;

    #[test]
    fn growth_stays_within_a_limit_up_to_that_and_no_longer() {
        for (ppb, limit) in [(200_000, 1_000_000), (1, 7), (100_000_000, 1), (3, 0)] {
            let drift = Drift::from_ppb(ppb);
            let longest = drift.growth_stays_within(limit);
            assert!(drift.growth(longest) <= limit);
            assert!(drift.growth(longest + 1) > limit);
        }
        assert_eq!(Drift::from_ppb(0).growth_stays_within(0), u64::MAX);
        assert_eq!(Drift::from_ppb(0).growth(u64::MAX), 0);
    }
}
