//! The serde representation of vectors, and limits for deserializing them.
//!
//! A vector is a map from actor to counter in human-readable formats if actors are strings, and a
//! sequence of pairs otherwise: keys of JSON maps must be strings. The length is always given,
//! because formats that are not self-describing (postcard, bincode) need it.

mod probe;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU64;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::{DecodeError, Limits, Wire};
use crate::entries::Entries;
use crate::itc::Stamp;
use crate::{CausalContext, DenseClock, Dot, DvvSet, MatrixClock, VersionVector};
use probe::TextProbe;

/// In a format for people a map, if the actors are texts; a sequence of pairs otherwise.
impl<A: Serialize> Serialize for VersionVector<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = |dot: &Dot<A>| dot.actor.serialize(TextProbe).is_ok();
        if serializer.is_human_readable() && self.iter().all(texts) {
            let mut map = serializer.serialize_map(Some(self.len()))?;
            for dot in self.iter() {
                map.serialize_entry(&dot.actor, &dot.counter)?;
            }
            return map.end();
        }
        let mut sequence = serializer.serialize_seq(Some(self.len()))?;
        for dot in self.iter() {
            sequence.serialize_element(&(&dot.actor, dot.counter))?;
        }
        sequence.end()
    }
}

/// At most as many entries as [`Limits::default`] allows, ascending, none of them zero; in a format
/// for people in either form.
impl<'de, A: Deserialize<'de> + Ord> Deserialize<'de> for VersionVector<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = VectorForm(PhantomData);
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(form)
        } else {
            deserializer.deserialize_seq(form)
        }
    }
}

struct VectorForm<A>(PhantomData<A>);

impl<'de, A: Deserialize<'de> + Ord> Visitor<'de> for VectorForm<A> {
    type Value = VersionVector<A>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("actors with their counters")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut pairs: S) -> Result<Self::Value, S::Error> {
        let mut entries = Entries::with_capacity(capacity(pairs.size_hint()));
        while let Some((actor, counter)) = pairs.next_element()? {
            push(&mut entries, actor, counter)?;
        }
        Ok(VersionVector::from_entries(entries))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut entries = Entries::with_capacity(capacity(map.size_hint()));
        while let Some((actor, counter)) = map.next_entry()? {
            push(&mut entries, actor, counter)?;
        }
        Ok(VersionVector::from_entries(entries))
    }
}

fn push<A: Ord, E: serde::de::Error>(
    entries: &mut Entries<A>,
    actor: A,
    counter: NonZeroU64,
) -> Result<(), E> {
    room(entries.len())?;
    if !entries.push(Dot { actor, counter }) {
        return Err(E::custom(DecodeError::NotAscending));
    }
    Ok(())
}

/// The vector and the cloud.
impl<A: Serialize> Serialize for CausalContext<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.vector(), self.cloud().collect::<Vec<_>>()).serialize(serializer)
    }
}

/// In another form it is the set of its events all the same, and takes its own form.
impl<'de, A: Deserialize<'de> + Ord + Clone> Deserialize<'de> for CausalContext<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (vector, Bounded(cloud)) = Deserialize::deserialize(deserializer)?;
        Ok(Self::from_parts(vector, cloud))
    }
}

/// A sequence of triples: actor, counter, values oldest first.
impl<A: Serialize, V: Serialize> Serialize for DvvSet<A, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.columns())
    }
}

impl<'de, A, V> Deserialize<'de> for DvvSet<A, V>
where
    A: Ord + Deserialize<'de>,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bounded(triples) = Bounded::<(A, u64, Bounded<V>)>::deserialize(deserializer)?;
        let triples = triples.into_iter();
        let triples = triples.map(|(actor, counter, values)| (actor, counter, values.0));
        Self::try_from(triples.collect::<Vec<_>>()).map_err(D::Error::custom)
    }
}

/// The owner, and a sequence of pairs: member and row.
impl<A: Serialize + Ord + Clone> Serialize for MatrixClock<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.members().map(|member| (member, self.row(member)));
        let rows = rows.filter_map(|(member, row)| Some((member, row?)));
        (self.me(), rows.collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de, A: Ord + Clone + Deserialize<'de>> Deserialize<'de> for MatrixClock<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (me, Bounded(rows)) = Deserialize::deserialize(deserializer)?;
        Self::try_from((me, rows)).map_err(D::Error::custom)
    }
}

/// The bytes of the encoding.
impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = bounded_bytes(deserializer)?;
        Self::try_from(bytes).map_err(D::Error::custom)
    }
}

/// A sequence of counters.
impl<const N: usize> Serialize for DenseClock<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.counters())
    }
}

impl<'de, const N: usize> Deserialize<'de> for DenseClock<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DenseForm)
    }
}

/// Takes one counter for each member and no more.
struct DenseForm<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for DenseForm<N> {
    type Value = DenseClock<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a counter for each of {N} members")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut counters = [0; N];
        for (at, counter) in counters.iter_mut().enumerate() {
            let read = seq.next_element()?;
            *counter = read.ok_or_else(|| S::Error::invalid_length(at, &self))?;
        }
        if seq.next_element::<u64>()?.is_some() {
            return Err(S::Error::invalid_length(N + 1, &self));
        }
        DenseClock::from_counters(counters).map_err(S::Error::custom)
    }
}

/// A sequence of at most as many elements as [`Limits::default`] allows entries.
pub(crate) struct Bounded<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedForm(PhantomData))
    }
}

struct BoundedForm<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BoundedForm<T> {
    type Value = Bounded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut elements: S) -> Result<Self::Value, S::Error> {
        let mut taken = Vec::new();
        while let Some(element) = elements.next_element()? {
            room(taken.len())?;
            taken.push(element);
        }
        Ok(Bounded(taken))
    }
}

/// Bytes, as many as [`Limits::default`] allows.
pub(crate) fn bounded_bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<u8>, D::Error> {
    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut bytes: S) -> Result<Vec<u8>, S::Error> {
            let bytes_max = Limits::default().bytes_max;
            let mut taken = Vec::new();
            while let Some(byte) = bytes.next_element()? {
                if taken.len() == bytes_max {
                    return Err(S::Error::custom(DecodeError::TooManyBytes { bytes_max }));
                }
                taken.push(byte);
            }
            Ok(taken)
        }
    }

    deserializer.deserialize_seq(Bytes)
}

/// Trusts a stated length only up to the limit.
fn capacity(hint: Option<usize>) -> usize {
    hint.unwrap_or(0).min(Limits::default().entries_max)
}

/// Whether there may be one more.
fn room<E: serde::de::Error>(len: usize) -> Result<(), E> {
    let entries_max = Limits::default().entries_max;
    if len >= entries_max {
        return Err(E::custom(DecodeError::TooManyEntries { entries_max }));
    }
    Ok(())
}
