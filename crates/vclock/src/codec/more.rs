//! Encodings of composed types: non-zero numbers, tuples, and types of other crates by their text
//! form.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt::Display;
use core::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128};
use core::str::FromStr;

use super::{DecodeError, Reader, Wire, text_bytes};

macro_rules! wire_non_zeros {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                self.get().encode(out);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Self::new(Wire::decode(reader)?).ok_or(DecodeError::OutOfRange)
            }
        }
    )*};
}

wire_non_zeros!(NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128);

/// Nothing.
impl Wire for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// One after the other.
impl<T: Wire, U: Wire> Wire for (T, U) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((T::decode(reader)?, U::decode(reader)?))
    }
}

/// One after the other.
impl<T: Wire, U: Wire, V: Wire> Wire for (T, U, V) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
        self.2.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((T::decode(reader)?, U::decode(reader)?, V::decode(reader)?))
    }
}

/// A value of a foreign type, encoded as its display text: an address, a UUID.
///
/// The type must parse its own output, and display equal values equally. Texts that it would
/// display differently are rejected.
///
/// ```
/// use std::net::IpAddr;
/// use synod_vclock::{AsText, Limits, VersionVector, Wire};
///
/// let here: IpAddr = "::1".parse()?;
/// let vector = VersionVector::from_iter([(AsText(here), 3)]);
/// let bytes = vector.to_bytes();
/// assert_eq!(bytes, b"\x01\x03::1\x03");
/// assert_eq!(VersionVector::from_bytes(&bytes, Limits::default())?, vector);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsText<T>(pub T);

impl<T: Display + FromStr> Wire for AsText<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.to_string().encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = core::str::from_utf8(text_bytes(reader)?).map_err(|_| DecodeError::NotUtf8)?;
        let value: T = text.parse().map_err(|_| DecodeError::OutOfRange)?;
        if value.to_string() != text {
            return Err(DecodeError::NotCanonical);
        }
        Ok(Self(value))
    }
}

impl<T> From<T> for AsText<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// A `bool` as one byte.
impl Wire for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::NotCanonical),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use alloc::string::String;

    fn read<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
        T::from_bytes(bytes, Limits::default())
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let pair = (NonZeroU64::MAX, String::from("x"));
        assert_eq!(read(&pair.to_bytes()), Ok(pair));
        let three = (true, (), 300_u16);
        assert_eq!(three.to_bytes(), [1, 0b1010_1100, 0b10]);
        assert_eq!(read(&three.to_bytes()), Ok(three));
    }

    #[test]
    fn each_malformation_has_its_name() {
        assert_eq!(read::<NonZeroU16>(&[0]), Err(DecodeError::OutOfRange));
        assert_eq!(read::<bool>(&[2]), Err(DecodeError::NotCanonical));
        // "07" is a number too, and not the text of one.
        assert_eq!(
            read::<AsText<u64>>(b"\x0207"),
            Err(DecodeError::NotCanonical)
        );
        assert_eq!(read::<AsText<u64>>(b"\x01x"), Err(DecodeError::OutOfRange));
        assert_eq!(read(b"\x017"), Ok(AsText(7_u64)));
    }
}
