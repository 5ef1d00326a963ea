use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::ParseError;
use crate::codec::{DecodeError, Reader, Wire};

/// The name of an actor in one of its incarnations.
///
/// Counters depend on the memory of their actor. An actor that is restored from a backup, copied to
/// another machine, or has dropped its state of a key would reuse the names of old events for new
/// ones. Therefore it takes a new epoch whenever it may have lost its last counter: a number that
/// was never its epoch before, random or from a durable counter. Among 10,000 epochs drawn at random
/// two are equal once in 10¹¹ times.
///
/// Vectors grow by one entry for each incarnation: drop past ones once their events are causally
/// stable ([`DvvSet::retire`](crate::DvvSet::retire),
/// [`MatrixClock::stable`](crate::MatrixClock::stable)). The order of epochs means nothing.
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
    /// The actor's id, the same in all incarnations.
    pub id: I,
    /// The incarnation.
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
