//! The logarithm of the upper tail of the normal distribution; the tail itself underflows to 0 in an `f64` beyond
//! 38 deviations.

use std::f64::consts::{LN_10, PI};

/// ln of the probability that a standard normal variable exceeds `z`.
///
/// Below 3 by the Taylor series around 0, above by the continued fraction of Mills' ratio (Abramowitz and Stegun
/// 26.2.10 and 26.2.14). Accurate to twelve digits, and finite for every `z` whose square is finite.
pub(super) fn ln_upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return (-ln_upper_tail(-z).exp()).ln_1p();
    }
    let ln_density = -0.5 * z * z - 0.5 * (2.0 * PI).ln();
    if z < SERIES_MAX {
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > sum * f64::EPSILON {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return (0.5 - ln_density.exp() * sum).ln();
    }
    let mut fraction = z;
    for level in (1..=LEVELS).rev() {
        fraction = z + f64::from(level) / fraction;
    }
    ln_density - fraction.ln()
}

/// How many deviations above the mean the level `phi` = -log10(tail) is reached. For levels of
/// [`LEVEL_MIN`] and above.
pub(super) fn deviations(phi: f64) -> f64 {
    let ln_tail = -phi * LN_10;
    // The tail falls faster than e^(-z²/2), so the level is reached below the root.
    let (mut low, mut high) = (0.0, (-2.0 * ln_tail).sqrt());
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if ln_upper_tail(middle) > ln_tail {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// A little more than log10(2), which is φ at the mean.
pub(super) const LEVEL_MIN: f64 = 0.5;
const SERIES_MAX: f64 = 3.0;
const LEVELS: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::LN_2;

    /// Computed by mpmath to fifty digits and rounded.
    #[test]
    fn the_tail_is_what_tables_say() {
        for (z, ln_tail) in [
            (-8.0, -6.220960574271786e-16),
            (-2.0, -0.02301290932896349),
            (-0.5, -0.3689464152886564),
            (0.0, -LN_2),
            (0.5, -1.1759117615936185),
            (1.0, -1.8410216450092636),
            (2.0, -3.783184333682032),
            (2.9, -6.284058234947419),
            (2.9999, -6.607397916292054),
            (3.0, -6.607726221510349),
            (3.5, -8.366065308344092),
            (5.0, -15.064998393988725),
            (8.0, -35.01343715991455),
            (20.0, -203.91715537109727),
            (38.5, -745.695270290411),
            (40.0, -804.6084420137538),
            (100.0, -5005.524208694205),
            (10000.0, -50000010.12927891),
        ] {
            let error = (ln_upper_tail(z) / ln_tail - 1.0).abs();
            assert!(error < 1e-12, "{z}: {} and not {ln_tail}", ln_upper_tail(z));
        }
    }

    #[test]
    fn deviations_are_the_inverse() {
        for phi in [LEVEL_MIN, 1.0, 3.0, 8.0, 16.0, 308.0, 1_000.0] {
            let z = deviations(phi);
            let level = -ln_upper_tail(z) / LN_10;
            assert!((level / phi - 1.0).abs() < 1e-12, "{phi}: {z}, {level}");
        }
    }

    #[test]
    fn the_tail_falls_where_a_float_has_long_been_zero() {
        let tails: Vec<f64> = (0..10_000).map(|z| ln_upper_tail(f64::from(z))).collect();
        assert!(tails.is_sorted_by(|a, b| a > b), "strictly");
        assert!(tails.iter().all(|tail| tail.is_finite()));
        assert_eq!(tails[39].exp(), 0.0, "what makes it necessary");
    }
}
