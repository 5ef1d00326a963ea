use crate::Interval;

/// How far an oscillator may run from true time.
///
/// A bound of ρ says that in any span of true time `t` the oscillator counts between `t (1 - ρ)` and
/// `t (1 + ρ)`: what the data sheet of an oscillator bounds. Seen from the oscillator, a span that it
/// counts as `e` lasts at most `e / (1 - ρ)`, which is more than `e (1 + ρ)`; so what is kept here is
/// `ρ / (1 - ρ)`, rounded up, which covers both sides.
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
    /// True time gained or lost per local time, in ppb.
    growth_ppb: u32,
}

impl Drift {
    /// Spanner's: 200 microseconds a second, more than any oscillator of a server that works.
    pub const DEFAULT: Self = Self::from_ppm(200);

    /// Parts per million; at most a tenth.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        Self::from_ppb(ppm.saturating_mul(1000))
    }

    /// Parts per thousand million; what is above a tenth counts as a tenth, and is no clock.
    #[must_use]
    pub const fn from_ppb(ppb: u32) -> Self {
        let ppb = if ppb < PPB_MAX { ppb } else { PPB_MAX };
        let scaled = (ppb as u64) * (GIGA as u64);
        // At most 111 111 112: the quotient of a tenth and nine tenths.
        let growth_ppb = scaled.div_ceil((GIGA - ppb) as u64) as u32;
        Self { growth_ppb }
    }

    /// By how many nanoseconds true time may have gained or lost while the oscillator counted so
    /// many, rounded up.
    #[must_use]
    #[inline]
    pub const fn growth(self, elapsed_nanos: u64) -> u64 {
        let (seconds, rest) = (elapsed_nanos / GIGA as u64, elapsed_nanos % GIGA as u64);
        let rate = self.growth_ppb as u64;
        // Both products fit: 2^35 seconds and 2^30 nanoseconds by a rate below 2^27.
        seconds * rate + (rest * rate).div_ceil(GIGA as u64)
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

    /// What [`growth`](Self::growth) counts in a second.
    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn growth_ppb(self) -> u32 {
        self.growth_ppb
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn from_growth_ppb(growth_ppb: u32) -> Self {
        Self { growth_ppb }
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const GIGA: u32 = 1_000_000_000;

const PPB_MAX: u32 = 100_000_000;
