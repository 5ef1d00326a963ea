//! The encoding of a core's messages. It is separate from the core's types, so that these may grow
//! without changing the bytes of existing messages.
//!
//! A message is the number of its kind, its fields and, if it carries entries, their bodies at the
//! end, so that bodies are never copied. Fields are encoded with postcard: numbers as varints,
//! lists after their length. Each protocol has a table of its kinds, and golden bytes for each of
//! them.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

/// Appends a message of this kind to `head`, without its bodies.
pub(super) fn put(head: &mut Vec<u8>, kind: u8, fields: &impl Serialize) {
    head.push(kind);
    // Encoding these types to memory does not fail; if it did, the message would be lost.
    if let Ok(encoded) = postcard::to_extend(fields, std::mem::take(head)) {
        *head = encoded;
    }
}

/// Decodes the fields of a message that has no bodies.
pub(super) fn whole<T: DeserializeOwned>(fields: &[u8]) -> Option<T> {
    let (fields, rest) = postcard::take_from_bytes(fields).ok()?;
    rest.is_empty().then_some(fields)
}

/// Decodes the fields of a message, after its kind; returns them with the bodies that follow.
pub(super) fn before_bodies<T: DeserializeOwned>(message: &Bytes) -> Option<(T, Bodies)> {
    let (fields, rest) = postcard::take_from_bytes(message.get(1..)?).ok()?;
    let rest = message.slice(message.len() - rest.len()..);
    Some((fields, Bodies { rest }))
}

/// The bodies after the fields of a message.
pub(super) struct Bodies {
    rest: Bytes,
}

impl Bodies {
    /// The next body, if that many bytes are left.
    pub(super) fn take(&mut self, len: u64) -> Option<Bytes> {
        let len = usize::try_from(len).ok()?;
        (len <= self.rest.len()).then(|| self.rest.split_to(len))
    }

    /// Whether all bytes were used, as the lengths in the fields require.
    pub(super) fn are_at_their_end(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A list whose elements are small on the wire and large in memory. A longer list is refused before
/// its elements are read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AtMost<T, const MAX: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMost<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_seq(Elements::<T, MAX>(PhantomData))
            .map(Self)
    }
}

struct Elements<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let told = list.size_hint().unwrap_or(0);
        if told > MAX {
            return Err(A::Error::invalid_length(told, &self));
        }
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_list_is_refused() {
        let read = |bytes: &[u8]| whole::<AtMost<u64, 3>>(bytes).map(|list| list.0);
        assert_eq!(read(&[3, 7, 8, 9]), Some(vec![7, 8, 9]));
        assert_eq!(read(&[0]), Some(vec![]));
        assert_eq!(read(&[4, 7, 8, 9, 10]), None);
        assert_eq!(read(&[3, 7, 8]), None, "cut short");
        assert_eq!(read(&[2, 7, 8, 9]), None, "trailing bytes");
    }
}
