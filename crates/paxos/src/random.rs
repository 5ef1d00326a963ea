use core::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): eight bytes of state, so that the core stays a small
/// value.
///
/// It only randomizes timeouts and retries; safety does not depend on its quality.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Nodes share a seed and differ by id, so that they draw different timeouts.
    pub(crate) fn new(seed: u64, id: u64) -> Self {
        let mut random = Self {
            state: seed ^ id.wrapping_mul(0xA24B_AED4_963E_E407),
        };
        random.next();
        random
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A duration in `min..max`, uniform to the nanosecond as long as the range is below the 584
    /// years that 64 bits count. `min < max`.
    pub(crate) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        self.within(min, width(min, max))
    }

    /// Like [`between`](Self::between), for frequent draws for which [`width`] is computed once.
    #[inline]
    pub(crate) fn within(&mut self, min: Duration, width_ns: u64) -> Duration {
        min.saturating_add(Duration::from_nanos(self.next() % width_ns))
    }

    pub(crate) fn forget(&mut self) {
        self.state = 0;
    }
}

/// The nanoseconds from `min` to `max`; at least one.
pub(crate) fn width(min: Duration, max: Duration) -> u64 {
    u64::try_from((max - min).as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_inside_and_differ_between_nodes() {
        let (min, max) = (Duration::from_millis(150), Duration::from_millis(300));
        let mut first = Random::new(7, 1);
        let mut second = Random::new(7, 2);
        let mut equal = 0;
        for _ in 0..1000 {
            let (a, b) = (first.between(min, max), second.between(min, max));
            assert!(min <= a && a < max && min <= b && b < max);
            equal += u32::from(a == b);
        }
        assert!(equal < 3);
    }
}
