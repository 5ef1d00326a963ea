//! Exponential backoff with jitter, without a clock.

use crate::draws::Draws;
use std::time::Duration;

/// Waits that double from `min` to `max`, each drawn from the upper half of its range.
///
/// The jitter keeps nodes that lost the same peer at the same moment from reconnecting at the same
/// moment. It comes from its own generator, seeded by the owner, so that a run is reproducible.
///
/// Invariant: every wait is within `ceiling / 2 ..= ceiling`, and `min <= ceiling <= max`.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    draws: Draws,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        let max = max.min(WAIT_MAX);
        let min = min.min(max);
        Self {
            min,
            max,
            ceiling: min,
            draws: Draws::new(seed),
        }
    }

    /// The time to wait before the next attempt. Doubles the ceiling for the one after.
    pub(crate) fn wait(&mut self) -> Duration {
        let half = self.ceiling / 2;
        let part = half.mul_f64(self.draws.next() as f64 / u64::MAX as f64);
        let wait = (half + part).min(self.ceiling);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        wait
    }

    /// Resets the ceiling to the minimum after a successful attempt.
    pub(crate) fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

/// The upper bound of a wait, whatever is configured.
const WAIT_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_millis(500);

    #[test]
    fn waits_double_within_their_bounds() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            let mut ceiling = MIN;
            for _ in 0..12 {
                let wait = backoff.wait();
                assert!(
                    wait >= ceiling / 2 && wait <= ceiling,
                    "{wait:?} of {ceiling:?}"
                );
                ceiling = (ceiling * 2).min(MAX);
            }
            backoff.reset();
            assert!(backoff.wait() <= MIN);
        }
    }

    #[test]
    fn seeds_part_and_repeat() {
        let waits = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            std::iter::repeat_with(|| backoff.wait())
                .take(8)
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn extreme_bounds_do_no_harm() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::ZERO, 0);
        assert_eq!(
            backoff.wait(),
            Duration::ZERO,
            "`max` is the stronger bound"
        );
        let mut patient = Backoff::new(Duration::MAX, Duration::MAX, 0);
        assert!(patient.wait() <= WAIT_MAX && patient.wait() >= WAIT_MAX / 2);
        let mut never = Backoff::new(Duration::ZERO, Duration::ZERO, 0);
        assert_eq!(never.wait(), Duration::ZERO);
    }
}
