use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::ParseError;
use crate::codec::{DecodeError, Reader, Wire};

/// The name of an actor in one of its lives.
///
/// Counters are only as good as the memory of who counts. An actor that is restored from a backup,
/// copied to another machine, or that dropped what it knew of a key, would give the names of old
/// events to new ones. So it takes a new epoch whenever it is not certain that it remembers its last
/// counter: a number that was never its epoch before, drawn at random or from a counter that is
/// durable. Among 10,000 epochs drawn at random two are equal once in 10¹¹ times.
///
/// Vectors grow by an entry a life: drop those of past ones once what they did is causally stable
/// ([`DvvSet::retire`](crate::DvvSet::retire), [`MatrixClock::stable`](crate::MatrixClock::stable)).
/// The order of epochs means nothing.
///
/// ```
/// use synod_vclock::{Actor, VersionVector};
///
/// let mut vector = VersionVector::new();
/// vector.increment(Actor { id: "a", epoch: 0x51 })?;
/// vector.increment(Actor { id: "a", epoch: 0x07 })?; // restored from a backup
/// assert_eq!(vector.to_string(), "{a#7:1, a#81:1}");
/// # Ok::<(), synod_vclock::Overflow>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Actor<I> {
    /// Who it is in all its lives.
    pub id: I,
    /// Which life it is.
    pub epoch: u64,
}

/// The id, `#`, the epoch.
impl<I: fmt::Display> fmt::Display for Actor<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.id, self.epoch)
    }
}

/// What `Display` writes.
impl<I: FromStr> FromStr for Actor<I> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (id, epoch) = text.rsplit_once('#').ok_or(ParseError)?;
        Ok(Self {
            id: id.parse().map_err(|_| ParseError)?,
            epoch: crate::text::number(epoch)?,
        })
    }
}

/// The id, then the epoch.
impl<I: Wire> Wire for Actor<I> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.epoch.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: I::decode(reader)?,
            epoch: u64::decode(reader)?,
        })
    }
}
