//! A timestamp is its text in human-readable formats, and its word otherwise.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Layout, Timestamp, WideTimestamp};

impl<L: Layout> Serialize for Timestamp<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.as_u64())
        }
    }
}

impl<'de, L: Layout> Deserialize<'de> for Timestamp<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Text(PhantomData))
        } else {
            u64::deserialize(deserializer).map(Self::from_u64)
        }
    }
}

struct Text<L>(PhantomData<L>);

impl<L: Layout> Visitor<'_> for Text<L> {
    type Value = Timestamp<L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a hybrid timestamp")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }
}

/// As for narrow timestamps: the text in human-readable formats, and otherwise the two halves of the
/// word, the upper one first, because not every format supports 128-bit numbers.
impl Serialize for WideTimestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            let word = self.as_u128();
            ((word >> 64) as u64, word as u64).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for WideTimestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(WideText);
        }
        let (upper, lower) = <(u64, u64)>::deserialize(deserializer)?;
        Ok(Self::from_u128(u128::from(upper) << 64 | u128::from(lower)))
    }
}

struct WideText;

impl Visitor<'_> for WideText {
    type Value = WideTimestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a wide hybrid timestamp")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }
}
