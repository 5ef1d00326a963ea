use core::time::Duration;

use crate::random::Random;

/// How long to wait before the next ballot: a random time from a range that doubles with each draw,
/// so that one of two proposers soon has enough time for a ballot (Paxos Made Simple §2.4).
///
/// Safety does not depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    random: Random,
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Draws from `min..max`, with `max` above `min`. Nodes share a seed and differ by id.
    pub(super) fn new(seed: u64, id: u64, min: Duration, max: Duration) -> Self {
        Self {
            random: Random::new(seed, id),
            min,
            max,
            ceiling: min,
        }
    }

    pub(super) fn draw(&mut self) -> Duration {
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        self.random.between(self.min, self.ceiling)
    }

    pub(super) fn forget(&mut self) {
        self.random.forget();
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_bound_and_differ_between_nodes() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(80));
        let mut first = Backoff::new(7, 1, min, max);
        let mut second = Backoff::new(7, 2, min, max);
        let mut equal = 0;
        for attempt in 0..1000 {
            let ceiling = max.min(min * 2u32.pow(attempt.min(10) + 1));
            let (a, b) = (first.draw(), second.draw());
            assert!(min <= a && a < ceiling && min <= b && b < ceiling);
            equal += u32::from(a == b);
        }
        assert!(equal < 3);
    }
}
