use core::time::Duration;

/// How long to wait before the next ballot: drawn, and from a range that doubles with each draw, so
/// that one of two proposers soon has the time that a ballot takes (Paxos Made Simple §2.4).
///
/// Safety never rests on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    /// Of a SplitMix64 (Steele, Lea, Flood 2014).
    state: u64,
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Draws from `min` up to `max`, which is above it. Nodes share a seed and differ by id.
    pub(super) fn new(seed: u64, id: u64, min: Duration, max: Duration) -> Self {
        Self {
            state: seed ^ id.wrapping_mul(0xA24B_AED4_963E_E407),
            min,
            max,
            ceiling: min,
        }
    }

    pub(super) fn draw(&mut self) -> Duration {
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        let width = (self.ceiling - self.min).as_nanos().max(1);
        let width = u64::try_from(width).unwrap_or(u64::MAX);
        self.min
            .saturating_add(Duration::from_nanos(self.next() % width))
    }

    pub(super) fn forget(&mut self) {
        (self.state, self.ceiling) = (0, self.min);
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
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
