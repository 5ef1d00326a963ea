mod more;

use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU64;

/// A type with a compact binary encoding: actors and values of this crate, or your own types.
///
/// Each value has exactly one encoding, and [`decode`](Self::decode) accepts nothing else, so equal
/// values have equal bytes, which can be hashed or signed.
///
/// Numbers are LEB128 (seven bits a byte, low bits first); text and bytes carry their length.
///
/// ```
/// use synod_vclock::{DecodeError, Limits, Reader, Wire};
///
/// #[derive(Debug, PartialEq)]
/// struct NodeId(u64);
///
/// impl Wire for NodeId {
///     fn encode(&self, out: &mut Vec<u8>) {
///         self.0.encode(out);
///     }
///     fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
///         u64::decode(reader).map(NodeId)
///     }
/// }
///
/// let bytes = NodeId(300).to_bytes();
/// assert_eq!(bytes, [0b1010_1100, 0b10]);
/// assert_eq!(NodeId::from_bytes(&bytes, Limits::default()), Ok(NodeId(300)));
/// ```
pub trait Wire: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Decodes one value from the front.
    ///
    /// # Errors
    /// The bytes are not what [`encode`](Self::encode) writes, or a limit is exceeded.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding by itself.
    #[must_use]
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Decodes a value that takes up all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`], also for trailing bytes.
    fn from_bytes(bytes: &[u8], limits: Limits) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, limits)?;
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

pub use more::AsText;

/// Limits for decoding untrusted bytes. Nothing is allocated beyond them.
///
/// ```
/// use synod_vclock::{DecodeError, Limits, VersionVector, Wire};
///
/// let bytes = VersionVector::from_iter([(1_u64, 1), (2, 1), (3, 1)]).to_bytes();
/// let limits = Limits { entries_max: 2, ..Limits::default() };
/// assert_eq!(
///     VersionVector::<u64>::from_bytes(&bytes, limits),
///     Err(DecodeError::TooManyEntries { entries_max: 2 })
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the whole encoding; default 65,536.
    pub bytes_max: usize,
    /// The most entries of a vector, dots of a cloud, values of a set and nodes of a tree, each
    /// separately; default 4,096.
    pub entries_max: usize,
    /// The most bytes of one text or byte string (an actor's name, a value); default 1,024.
    pub text_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 65_536,
            entries_max: 4_096,
            text_bytes_max: 1_024,
        }
    }
}

/// The bytes being decoded, with their limits.
///
/// ```
/// use synod_vclock::{Limits, Reader, Wire};
///
/// let mut reader = Reader::new(&[1, 2], Limits::default())?;
/// assert_eq!((u8::decode(&mut reader)?, u64::decode(&mut reader)?), (1, 2));
/// reader.finish()?;
/// # Ok::<(), synod_vclock::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    limits: Limits,
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`, for composing decoders.
    ///
    /// # Errors
    /// [`DecodeError::TooManyBytes`] if they are more than the limits allow.
    ///
    /// ```
    /// use synod_vclock::{Limits, Reader, Wire};
    ///
    /// let mut reader = Reader::new(&[1, 2], Limits::default()).unwrap();
    /// assert_eq!((u64::decode(&mut reader), reader.remaining()), (Ok(1), 1));
    /// ```
    pub fn new(bytes: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        let bytes_max = limits.bytes_max;
        if bytes.len() > bytes_max {
            return Err(DecodeError::TooManyBytes { bytes_max });
        }
        Ok(Self {
            rest: bytes,
            limits,
        })
    }

    /// The limits that hold.
    ///
    /// ```
    /// use synod_vclock::{Limits, Reader};
    ///
    /// let reader = Reader::new(&[], Limits::default());
    /// assert_eq!(reader.map(|reader| reader.limits().entries_max), Ok(4_096));
    /// ```
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// How many bytes are left.
    ///
    /// ```
    /// use synod_vclock::{Limits, Reader};
    ///
    /// let reader = Reader::new(&[1, 2], Limits::default());
    /// assert_eq!(reader.map(|reader| reader.remaining()), Ok(2));
    /// ```
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Checks that no bytes are left.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    ///
    /// ```
    /// use synod_vclock::{DecodeError, Limits, Reader};
    ///
    /// let reader = Reader::new(&[1], Limits::default())?;
    /// assert_eq!(reader.finish(), Err(DecodeError::TrailingBytes));
    /// # Ok::<(), DecodeError>(())
    /// ```
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::TrailingBytes)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    ///
    /// ```
    /// use synod_vclock::{DecodeError, Limits, Reader};
    ///
    /// let mut reader = Reader::new(&[1, 2], Limits::default())?;
    /// assert_eq!(reader.take(2)?, [1, 2]);
    /// assert_eq!(reader.take(1), Err(DecodeError::Truncated));
    /// # Ok::<(), DecodeError>(())
    /// ```
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The number of items that follow, at most [`Limits::entries_max`] and at most the number of
    /// remaining bytes, so that it is safe to allocate for.
    ///
    /// # Errors
    /// [`DecodeError::TooManyEntries`], [`DecodeError::Truncated`], or a malformed number.
    ///
    /// ```
    /// use synod_vclock::{DecodeError, Limits, Reader};
    ///
    /// // Three things in one byte cannot be.
    /// assert_eq!(Reader::new(&[3, 0], Limits::default())?.count(), Err(DecodeError::Truncated));
    /// # Ok::<(), DecodeError>(())
    /// ```
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        let entries_max = self.limits.entries_max;
        let count = usize::decode(self)?;
        if count > entries_max {
            return Err(DecodeError::TooManyEntries { entries_max });
        }
        if count > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    /// A counter, which is never zero.
    ///
    /// # Errors
    /// [`DecodeError::ZeroCounter`], or a malformed number.
    ///
    /// ```
    /// use synod_vclock::{DecodeError, Limits, Reader};
    ///
    /// assert_eq!(Reader::new(&[0], Limits::default())?.counter(), Err(DecodeError::ZeroCounter));
    /// # Ok::<(), DecodeError>(())
    /// ```
    pub fn counter(&mut self) -> Result<NonZeroU64, DecodeError> {
        NonZeroU64::new(u64::decode(self)?).ok_or(DecodeError::ZeroCounter)
    }
}

/// Why bytes were rejected.
///
/// ```
/// use synod_vclock::{DecodeError, Limits, VersionVector, Wire};
///
/// // Two entries of actor 7.
/// let twice = VersionVector::<u8>::from_bytes(&[2, 7, 1, 7, 2], Limits::default());
/// assert_eq!(twice, Err(DecodeError::NotAscending));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They end in the middle of a value.
    #[error("the bytes end in the middle of a value")]
    Truncated,
    /// Bytes are left after the value.
    #[error("bytes are left over")]
    TrailingBytes,
    /// A number, a tree or padding that is not in its one canonical form.
    #[error("not in canonical form")]
    NotCanonical,
    /// A number that its type cannot hold.
    #[error("a number is out of its range")]
    OutOfRange,
    /// An entry with a counter of zero, which names no event.
    #[error("an entry has the counter zero")]
    ZeroCounter,
    /// Entries must ascend, each actor once.
    #[error("entries are not in ascending order")]
    NotAscending,
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// The encoding is longer than [`Limits::bytes_max`].
    #[error("more than {bytes_max} bytes")]
    TooManyBytes {
        /// The limit.
        bytes_max: usize,
    },
    /// More entries than [`Limits::entries_max`].
    #[error("more than {entries_max} entries")]
    TooManyEntries {
        /// The limit.
        entries_max: usize,
    },
    /// A text or byte string longer than [`Limits::text_bytes_max`].
    #[error("a text of more than {bytes_max} bytes")]
    TextTooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// A tree deeper than [`DEPTH_MAX`](crate::itc::DEPTH_MAX).
    #[error("a tree is too deep")]
    TooDeep,
    /// Parts that contradict each other, such as more values than events.
    #[error("parts contradict each other")]
    Inconsistent,
}

fn encode_varint(mut value: u128, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn decode_varint(reader: &mut Reader<'_>, bits: u32) -> Result<u128, DecodeError> {
    let (mut value, mut shift) = (0_u128, 0);
    loop {
        let byte = reader.take(1)?[0];
        let low = u128::from(byte & 0x7f);
        // Bits that are shifted out, or beyond the type, do not fit.
        if shift >= bits || (shift + 7 > bits && low >> (bits - shift) != 0) {
            return Err(DecodeError::OutOfRange);
        }
        value |= low << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            // A leading zero group would be a second encoding of the same number.
            if byte == 0 && shift > 7 {
                return Err(DecodeError::NotCanonical);
            }
            return Ok(value);
        }
    }
}

macro_rules! wire_numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                encode_varint(*self as u128, out);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let value = decode_varint(reader, Self::BITS)?;
                Self::try_from(value).map_err(|_| DecodeError::OutOfRange)
            }
        }
    )*};
}

wire_numbers!(u16, u32, u64, u128, usize);

impl Wire for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.take(1).map(|bytes| bytes[0])
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.take(N)?;
        bytes.try_into().map_err(|_| DecodeError::Truncated)
    }
}

impl Wire for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len().encode(out);
        out.extend_from_slice(self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        text_bytes(reader).map(<[u8]>::to_vec)
    }
}

impl Wire for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len().encode(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = core::str::from_utf8(text_bytes(reader)?);
        text.map(Self::from).map_err(|_| DecodeError::NotUtf8)
    }
}

fn text_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let bytes_max = reader.limits.text_bytes_max;
    let len = usize::decode(reader)?;
    if len > bytes_max {
        return Err(DecodeError::TextTooLong { bytes_max });
    }
    reader.take(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
        T::from_bytes(bytes, Limits::default())
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            number in any::<u64>(),
            wide in any::<u128>(),
            text in ".*",
            short in any::<u16>(),
        ) {
            prop_assert_eq!(read(&number.to_bytes()), Ok(number));
            prop_assert_eq!(read(&wide.to_bytes()), Ok(wide));
            prop_assert_eq!(read(&short.to_bytes()), Ok(short));
            prop_assert_eq!(read(&text.to_bytes()), Ok(text));
        }

        #[test]
        fn bytes_have_one_meaning_and_a_meaning_one_form(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(number) = read::<u64>(&bytes) {
                prop_assert_eq!(number.to_bytes(), bytes.clone());
            }
            if let Ok(text) = read::<String>(&bytes) {
                prop_assert_eq!(text.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn each_malformation_has_its_name() {
        assert_eq!(read::<u64>(&[]), Err(DecodeError::Truncated));
        assert_eq!(read::<u64>(&[0x80]), Err(DecodeError::Truncated));
        assert_eq!(read::<u64>(&[0x80, 0]), Err(DecodeError::NotCanonical));
        assert_eq!(read::<u64>(&[1, 1]), Err(DecodeError::TrailingBytes));
        assert_eq!(
            read::<u16>(&[0xff, 0xff, 0x04]),
            Err(DecodeError::OutOfRange)
        );
        assert_eq!(read::<u64>(&[0xff; 11]), Err(DecodeError::OutOfRange));
        assert_eq!(read::<String>(&[1, 0xff]), Err(DecodeError::NotUtf8));
        assert_eq!(
            read::<String>(&1025_u64.to_bytes()),
            Err(DecodeError::TextTooLong { bytes_max: 1024 })
        );
        let long = [0; 65_537];
        assert_eq!(
            read::<Vec<u8>>(&long),
            Err(DecodeError::TooManyBytes { bytes_max: 65_536 })
        );
    }
}
