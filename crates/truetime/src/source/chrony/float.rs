//! The number format of chrony's protocol, in integers.

/// A number as chrony sends it: a signed exponent of 7 bits and a signed coefficient of 25 bits.
///
/// ```text
///  31        25 24                                              0
/// ┌────────────┬─────────────────────────────────────────────────┐    value = coefficient · 2^(exponent − 25)
/// │  exponent  │                   coefficient                   │
/// └────────────┴─────────────────────────────────────────────────┘    both in two's complement
/// ```
///
/// Every bit pattern is a finite number; there is no NaN. The greatest is below 2^63, the smallest
/// positive one is 2^−89. They are not converted to floating point, so that all rounding is
/// explicit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Float(u32);

impl Float {
    /// The number with these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits on the wire, before they are put in network order.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.coefficient() < 0
    }

    /// `|self| · scale`, rounded away from zero, for use as an error bound. Saturates at
    /// [`u64::MAX`].
    #[must_use]
    pub const fn magnitude_above(self, scale: u32) -> u64 {
        // 24 bits and a sign, times 32 bits, and at most 38 places to the left: 95 bits.
        let scaled = self.coefficient().unsigned_abs() as u128 * scale as u128;
        let places = self.exponent() - FRACTION_BITS;
        let magnitude = if places >= 0 {
            scaled << places
        } else {
            let unit = 1 << places.unsigned_abs();
            scaled.div_ceil(unit)
        };
        if magnitude > u64::MAX as u128 {
            return u64::MAX;
        }
        magnitude as u64
    }

    /// For display only.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        let mut value = f64::from(self.coefficient());
        let places = self.exponent() - FRACTION_BITS;
        for _ in 0..places.unsigned_abs() {
            value = if places < 0 { value / 2.0 } else { value * 2.0 };
        }
        value
    }

    const fn exponent(self) -> i32 {
        self.0.cast_signed() >> COEFFICIENT_BITS
    }

    const fn coefficient(self) -> i32 {
        let above = u32::BITS - COEFFICIENT_BITS;
        (self.0 << above).cast_signed() >> above
    }
}

const COEFFICIENT_BITS: u32 = 25;
const FRACTION_BITS: i32 = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A number from its exponent and coefficient.
    fn float(exponent: i32, coefficient: i32) -> Float {
        Float::from_bits((exponent << 25 | coefficient & 0x1ff_ffff).cast_unsigned())
    }

    #[test]
    fn zero_one_and_a_half() {
        assert_eq!(float(0, 0).magnitude_above(1_000), 0);
        assert_eq!(float(2, 1 << 23).magnitude_above(1_000), 1_000);
        assert_eq!(float(1, 1 << 23).magnitude_above(1_000), 500);
        assert_eq!(float(1, -(1 << 23)).magnitude_above(1_000), 500);
        assert!(float(0, -1).is_negative());
        assert!(!float(0, 1).is_negative());
    }

    #[test]
    fn a_recorded_number() {
        // A root delay of 5.7510 µs.
        let delay = Float::from_bits(0xe0c0_f8b7);
        assert!(
            (delay.to_f64() - 5.751e-6).abs() < 1e-9,
            "{}",
            delay.to_f64()
        );
        assert_eq!(
            delay.magnitude_above(1_000_000_000),
            (delay.to_f64() * 1e9).ceil() as u64
        );
    }

    #[test]
    fn the_ends_of_the_format() {
        assert_eq!(
            float(63, (1 << 24) - 1).magnitude_above(1_000_000_000),
            u64::MAX
        );
        assert_eq!(float(63, -(1 << 24)).magnitude_above(1), 1 << 62);
        // The smallest positive number is not rounded to zero.
        assert_eq!(float(-64, 1).magnitude_above(1), 1);
        assert_eq!(float(-64, 1).magnitude_above(u32::MAX), 1);
        assert_eq!(float(-64, 0).magnitude_above(u32::MAX), 0);
    }

    proptest! {
        /// `magnitude` is the least integer that is not below the number: checked by
        /// multiplication, where the code shifts.
        #[test]
        fn rounds_up_and_by_less_than_one(
            exponent in -64_i32..=20,
            coefficient in -(1_i32 << 24)..1 << 24,
            scale in 1_u32..,
        ) {
            let float = float(exponent, coefficient);
            let magnitude = u128::from(float.magnitude_above(scale));
            // In units of 2^(exponent - 25).
            let exact = u128::from(coefficient.unsigned_abs()) * u128::from(scale);
            let places = exponent - 25;
            if places >= 0 {
                prop_assert_eq!(magnitude, exact << places);
            } else if places > -60 {
                let unit = 1_u128 << -places;
                prop_assert!(magnitude * unit >= exact);
                prop_assert!(magnitude == 0 || (magnitude - 1) * unit < exact);
            } else {
                prop_assert_eq!(magnitude, u128::from(exact != 0));
            }
        }

        #[test]
        fn any_bits_are_a_finite_number(bits: u32, scale: u32) {
            let float = Float::from_bits(bits);
            prop_assert!(float.to_f64().is_finite());
            let _ = float.magnitude_above(scale);
        }
    }
}
