//! How messages of a core are written: forms of this crate's own, so that a core may come to say more
//! without changing the bytes of what was said before.
//!
//! A message is the number of its kind, its fields, and, if it carries entries, their bodies behind
//! these, so that bodies are copied nowhere. Fields are written as postcard writes them: numbers of
//! seven bits a byte, lists behind their length. Which kinds there are is the protocols' own affair:
//! each has a table, and golden bytes for all of it.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

/// Adds a message of this kind to `head`, without the bodies that belong to it.
pub(super) fn put(head: &mut Vec<u8>, kind: u8, fields: &impl Serialize) {
    head.push(kind);
    // Writing to memory what serde can describe does not fail; if it did, the message would be lost.
    if let Ok(encoded) = postcard::to_extend(fields, std::mem::take(head)) {
        *head = encoded;
    }
}

/// The fields of a message that ends with them.
pub(super) fn whole<T: DeserializeOwned>(fields: &[u8]) -> Option<T> {
    let (fields, rest) = postcard::take_from_bytes(fields).ok()?;
    rest.is_empty().then_some(fields)
}

/// The fields of a message, behind its kind, and the bodies that follow them.
pub(super) fn before_bodies<T: DeserializeOwned>(message: &Bytes) -> Option<(T, Bodies)> {
    let (fields, rest) = postcard::take_from_bytes(message.get(1..)?).ok()?;
    let rest = message.slice(message.len() - rest.len()..);
    Some((fields, Bodies { rest }))
}

/// The bodies behind the fields of a message.
pub(super) struct Bodies {
    rest: Bytes,
}

impl Bodies {
    /// The next one, if there is as much left.
    pub(super) fn take(&mut self, len: u64) -> Option<Bytes> {
        let len = usize::try_from(len).ok()?;
        (len <= self.rest.len()).then(|| self.rest.split_to(len))
    }

    /// Whether they were as long as the fields say.
    pub(super) fn are_at_their_end(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A list whose elements are small on the wire and large in memory: of a longer one nothing is read.
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
        assert_eq!(read(&[2, 7, 8, 9]), None, "something behind it");
    }
}
