//! A random number generator whose output for a seed is the same on every machine and in every
//! version.

use std::time::Duration;

/// A small generator: xoshiro256++ (Blackman and Vigna 2019), its state filled by SplitMix64
/// (Steele, Lea, Flood 2014).
///
/// Not for cryptography. Only integer and IEEE basic operations are used, so the draws do not
/// depend on a platform's mathematical library.
///
/// ```
/// use synod_sim::Rng;
///
/// let mut rng = Rng::new(7);
/// let mut network = rng.fork();       // a stream of its own: what one part draws does not shift the other's draws
/// assert!(network.below(6) < 6);
/// assert_eq!(Rng::new(7).next_u64(), Rng::new(7).next_u64());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rng([u64; 4]);

impl Rng {
    /// A generator for this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self([(); 4].map(|()| split_mix(&mut state)))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let drawn = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        drawn
    }

    /// Another generator, seeded from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    /// A number in `0..bound`; 0 if `bound` is 0. The bias is at most `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something of `length` elements; 0 if it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A uniformly chosen element.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A number in `0.0..1.0`, a multiple of 2^-53.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability: never at 0 or below, always at 1 or above.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// An exponentially distributed time with this mean, in whole nanoseconds: the waiting times of
    /// a memoryless process.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let times = -natural_logarithm(1.0 - self.fraction());
        Duration::from_nanos((mean.as_nanos() as f64 * times) as u64)
    }

    /// Puts `items` in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// One step of SplitMix64.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The logarithm of a positive normal number. `f64::ln` may differ in the last bit between
/// platforms, and with it a whole run.
fn natural_logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // ln m = 2 artanh((m - 1) / (m + 1)), and the quotient is at most 1/3 for m in 1..2.
    let quotient = (mantissa - 1.0) / (mantissa + 1.0);
    let square = quotient * quotient;
    let series = (0..18)
        .rev()
        .fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * quotient * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_pinned() {
        // SplitMix64 of seed 0 is published: its first output fills the first word of the state.
        assert_eq!(Rng::new(0).0[0], 0xe220_a839_7b1d_cdaf);
        assert_eq!(Rng([1, 2, 3, 4]).next_u64(), 41_943_041);
        let mut rng = Rng([1, 2, 3, 4]);
        rng.next_u64();
        assert_eq!(rng.next_u64(), 58_720_359);
    }

    #[test]
    fn logarithms_are_right() {
        for x in [
            f64::from_bits(1.0_f64.to_bits() - 1),
            1.0,
            0.5,
            0.3,
            1e-9,
            1.9,
            (0.5_f64).powi(53),
        ] {
            assert!(
                (natural_logarithm(x) - x.ln()).abs() <= 1e-14 * (1.0 + x.ln().abs()),
                "{x}"
            );
        }
    }

    #[test]
    fn draws_have_their_means() {
        let mut rng = Rng::new(1);
        let draws = 100_000;
        let mean = (0..draws)
            .map(|_| rng.exponential(Duration::from_micros(500)).as_secs_f64())
            .sum::<f64>()
            / f64::from(draws);
        assert!((mean - 500e-6).abs() < 10e-6, "{mean}");
        let hits = (0..draws).filter(|_| rng.chance(0.2)).count();
        assert!((19_000..21_000).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| rng.below(3) < 3 && !rng.chance(0.0) && rng.chance(1.0)));
        let mut seen = [0; 3];
        (0..3000).for_each(|_| seen[rng.index(3)] += 1);
        assert!(seen.iter().all(|&count| count > 900), "{seen:?}");
    }
}
