//! The recent gaps between arrivals, with their mean and standard deviation.

use std::collections::VecDeque;
use std::time::Duration;

/// Gaps in nanoseconds, the newest last. The sums are integers, so they accumulate no rounding error.
///
/// Invariants: never empty, never longer than its length; `sum` and `squares` are those of `gaps`.
#[derive(Clone, Debug)]
pub(super) struct Window {
    gaps: VecDeque<u64>,
    gaps_max: usize,
    sum: u128,
    squares: u128,
}

impl Window {
    /// A window with an initial estimate, represented by two gaps: `mean` plus and minus
    /// `deviation`.
    pub(super) fn guess(mean: Duration, deviation: Duration, gaps_max: usize) -> Self {
        let mut window = Self {
            gaps: VecDeque::new(),
            gaps_max: gaps_max.max(2),
            sum: 0,
            squares: 0,
        };
        window.push(mean.saturating_sub(deviation));
        window.push(mean.saturating_add(deviation));
        window
    }

    pub(super) fn push(&mut self, gap: Duration) {
        if self.gaps.len() == self.gaps_max
            && let Some(oldest) = self.gaps.pop_front()
        {
            self.sum -= u128::from(oldest);
            self.squares -= u128::from(oldest).pow(2);
        }
        let gap = u64::try_from(gap.as_nanos()).map_or(GAP_NS_MAX, |gap| gap.min(GAP_NS_MAX));
        self.gaps.push_back(gap);
        self.sum += u128::from(gap);
        self.squares += u128::from(gap).pow(2);
    }

    /// In nanoseconds.
    pub(super) fn mean(&self) -> f64 {
        self.sum as f64 / self.gaps.len() as f64
    }

    /// In nanoseconds: the population deviation of these gaps, not a sample estimate.
    pub(super) fn deviation(&self) -> f64 {
        let count = self.gaps.len() as u128;
        // n² times the variance, exactly. In floating point the difference would cancel to nothing for regular gaps.
        let spread = count * self.squares - self.sum.pow(2);
        (spread as f64).sqrt() / count as f64
    }
}

/// Thirteen days. The sum of [`GAPS_MAX`] squares of it does not overflow.
const GAP_NS_MAX: u64 = 1 << 50;
/// The most gaps that a window may have.
pub(super) const GAPS_MAX: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_the_guess_with_it() {
        let ms = Duration::from_millis;
        let mut window = Window::guess(ms(100), ms(25), 3);
        assert_eq!((window.mean(), window.deviation()), (100e6, 25e6));
        for gap in [10, 20, 30] {
            window.push(ms(gap));
        }
        assert_eq!(window.mean(), 20e6);
        assert!((window.deviation() - (200.0_f64 / 3.0).sqrt() * 1e6).abs() < 1.0);
    }

    #[test]
    fn the_longest_gaps_fit() {
        let mut window = Window::guess(Duration::MAX, Duration::MAX, GAPS_MAX);
        for _ in 0..2 * GAPS_MAX {
            window.push(Duration::MAX);
        }
        assert_eq!((window.mean(), window.deviation()), (2.0_f64.powi(50), 0.0));
    }
}
