//! What is replicated: one write, as the bytes of a log entry.
//!
//! The encoding is [postcard](https://docs.rs/postcard): a variant number, then the fields, byte
//! strings with their length in front. Decoding borrows from the entry and copies nothing; the
//! machine copies what it keeps.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One write to the store. The order of the variants is the wire format: new ones go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command<'a> {
    /// `SET key value [NX|XX] [GET]`
    Set {
        /// Where to.
        #[serde(borrow)]
        key: Blob<'a>,
        /// What to.
        value: Blob<'a>,
        /// On what condition.
        when: When,
        /// Whether the answer is the value before, instead of whether the write took place.
        previous: bool,
    },
    /// `DEL key [key ...]`
    Delete {
        /// What to remove; a key named twice counts once.
        #[serde(borrow, deserialize_with = "list")]
        keys: Vec<Blob<'a>>,
    },
    /// `INCR key` and its kin.
    Add {
        /// A decimal integer lives there, or nothing, which counts as zero.
        key: Blob<'a>,
        /// How much to add.
        by: i64,
    },
    /// `APPEND key value`
    Append {
        /// Where to.
        key: Blob<'a>,
        /// What to put behind the value that is there.
        value: Blob<'a>,
    },
    /// `MSET key value [key value ...]`
    SetMany {
        /// All are written, or none.
        #[serde(borrow, deserialize_with = "list")]
        pairs: Vec<(Blob<'a>, Blob<'a>)>,
    },
    /// `FLUSHALL`
    Clear,
    /// `CAS key expected new`
    CompareAndSwap {
        /// Where to.
        key: Blob<'a>,
        /// The value that must be there.
        expected: Blob<'a>,
        /// The value that takes its place.
        new: Blob<'a>,
    },
    /// `CONFIG SET maxmemory bytes`, `CONFIG SET maxkeys keys`: how large the map may become, from
    /// here on and on every node.
    Limit {
        /// See [`MapLimits`](crate::MapLimits); `None` leaves it as it is.
        keys_max: Option<u64>,
        /// Likewise.
        bytes_max: Option<u64>,
    },
    /// `SET key value [NX|XX] [GET] EX|PX|KEEPTTL`, `SETEX`, `PSETEX`
    SetExpiring {
        /// Where to.
        key: Blob<'a>,
        /// What to.
        value: Blob<'a>,
        /// On what condition.
        when: When,
        /// Whether the answer is the value before, instead of whether the write took place.
        previous: bool,
        /// When the key is over.
        expiry: Expiry,
    },
    /// `EXPIRE key seconds [NX|XX|GT|LT]`, `PEXPIRE`
    Expire {
        /// Whose time begins.
        key: Blob<'a>,
        /// How long it lasts; zero removes it.
        millis: u64,
        /// On what condition.
        unless: Unless,
    },
    /// `PERSIST key`
    Persist {
        /// What is to last for ever.
        key: Blob<'a>,
    },
    /// `DELEX key IFEQ|IFNE value`
    DeleteIf {
        /// What to remove.
        key: Blob<'a>,
        /// The value to compare with.
        value: Blob<'a>,
        /// Whether the key must have it, or must have another.
        is: bool,
    },
    /// A node says at its start where clients reach it. No client asks for it.
    Serves {
        /// Which.
        node: u64,
        /// Where: `HOST:PORT`.
        at: Blob<'a>,
    },
}

/// When a key that is set is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiry {
    /// So long after (`EX`, `PX`), or a moment later.
    Within {
        /// At least one.
        millis: u64,
    },
    /// When it was before (`KEEPTTL`).
    Keep,
}

/// What keeps an `EXPIRE` from taking effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unless {
    /// Nothing does.
    #[default]
    Never,
    /// The key would have lasted for ever (`XX`).
    Lasting,
    /// It would have been over at a time (`NX`).
    Ending,
    /// It would be over sooner than before, or as soon (`GT`).
    Sooner,
    /// It would be over later than before, or as late (`LT`).
    Later,
    /// The same, or the key would have lasted for ever (`XX LT`).
    LaterOrLasting,
}

/// On what condition a `SET` takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// On none.
    #[default]
    Always,
    /// Only if the key is absent (`NX`).
    Absent,
    /// Only if the key is present (`XX`).
    Present,
}

/// A byte string, borrowed from the request or from the log entry.
///
/// Serde takes `&[u8]` for a sequence of numbers and writes it one by one; this type writes it
/// whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a>(pub &'a [u8]);

impl Command<'_> {
    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.encode_behind(&[])
    }

    /// The same behind other bytes.
    pub(crate) fn encode_behind(&self, head: &[u8]) -> Bytes {
        let mut bytes = Vec::with_capacity(head.len() + self.len_hint());
        bytes.extend_from_slice(head);
        postcard::to_extend(self, bytes)
            .expect("a command holds nothing that postcard refuses")
            .into()
    }

    /// Whether the command in these bytes lets a key be over at a time.
    pub(crate) fn counts_time(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(&(SET_EXPIRING | EXPIRE)))
    }

    /// The keys that it is about.
    pub(crate) fn keys(&self, each: &mut dyn FnMut(Blob<'_>)) {
        match self {
            Self::Set { key, .. }
            | Self::Add { key, .. }
            | Self::Append { key, .. }
            | Self::CompareAndSwap { key, .. }
            | Self::SetExpiring { key, .. }
            | Self::Expire { key, .. }
            | Self::Persist { key }
            | Self::DeleteIf { key, .. } => each(*key),
            Self::Delete { keys } => keys.iter().for_each(|key| each(*key)),
            Self::SetMany { pairs } => pairs.iter().for_each(|(key, _)| each(*key)),
            Self::Clear | Self::Limit { .. } | Self::Serves { .. } => {}
        }
    }

    fn len_hint(&self) -> usize {
        let field = |blob: &Blob<'_>| blob.0.len() + LENGTH_BYTES_MAX;
        HEAD_BYTES_MAX
            + match self {
                Self::Set { key, value, .. } | Self::Append { key, value } => {
                    field(key) + field(value)
                }
                Self::Delete { keys } => keys.iter().map(field).sum(),
                Self::SetExpiring { key, value, .. } => {
                    field(key) + field(value) + LENGTH_BYTES_MAX
                }
                Self::DeleteIf { key, value, .. } => field(key) + field(value),
                Self::Persist { key } => field(key),
                Self::Add { key, .. } | Self::Expire { key, .. } => field(key) + LENGTH_BYTES_MAX,
                Self::SetMany { pairs } => pairs
                    .iter()
                    .map(|(key, value)| field(key) + field(value))
                    .sum(),
                Self::Clear => 0,
                Self::Limit { .. } => 2 * LENGTH_BYTES_MAX,
                Self::Serves { at, .. } => LENGTH_BYTES_MAX + field(at),
                Self::CompareAndSwap { key, expected, new } => {
                    field(key) + field(expected) + field(new)
                }
            }
    }
}

impl<'a> Command<'a> {
    /// Reads an entry's bytes; `None` when they are not exactly one command. Any bytes are safe to
    /// pass.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((command, [])) => Some(command),
            _ => None,
        }
    }
}

/// A list of at most [`LIST_MAX`] elements, which grows with what is really there. Serde would
/// reserve what the bytes announce, up to a mebibyte for an entry of ten bytes.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Visitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list that is not too long")
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = from.next_element()? {
                if list.len() == LIST_MAX {
                    return Err(de::Error::invalid_length(LIST_MAX + 1, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Visitor(PhantomData))
}

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Blob<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Blob<'de>, E> {
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// Keys of one `DEL`, pairs of one `MSET`: a constant and no setting, as nodes that differ in it
/// would answer the same entry differently. As many as a request may have arguments.
pub const LIST_MAX: usize = 16_384;
/// The numbers of the commands with which a time begins.
const SET_EXPIRING: u8 = 8;
const EXPIRE: u8 = 9;
/// Of a 64-bit variable-length integer.
const LENGTH_BYTES_MAX: usize = 10;
/// Variant, condition, flag, number of elements.
const HEAD_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ending<'a>(key: Blob<'a>, value: Blob<'a>) -> [Command<'a>; 5] {
        [
            Command::SetExpiring {
                key,
                value,
                when: When::Present,
                previous: true,
                expiry: Expiry::Within { millis: u64::MAX },
            },
            Command::Expire {
                key,
                millis: u64::MAX,
                unless: Unless::Later,
            },
            Command::Persist { key },
            Command::DeleteIf {
                key,
                value,
                is: false,
            },
            Command::Serves {
                node: u64::MAX,
                at: value,
            },
        ]
    }

    #[test]
    fn every_command_comes_back() {
        let (key, value) = (Blob(b"key"), Blob(&[0, 255, 13, 10]));
        let commands = [
            Command::Set {
                key,
                value,
                when: When::Absent,
                previous: true,
            },
            Command::Delete {
                keys: vec![key, value, key],
            },
            Command::Add { key, by: i64::MIN },
            Command::Append { key, value },
            Command::SetMany {
                pairs: vec![(key, value), (value, key)],
            },
            Command::Clear,
            Command::CompareAndSwap {
                key,
                expected: value,
                new: Blob(b""),
            },
            Command::Limit {
                keys_max: None,
                bytes_max: Some(u64::MAX),
            },
        ];
        for command in commands.into_iter().chain(ending(key, value)) {
            let bytes = command.encode();
            assert_eq!(Command::decode(&bytes), Some(command.clone()));
            let counts = matches!(
                command,
                Command::SetExpiring { .. } | Command::Expire { .. }
            );
            assert_eq!(Command::counts_time(&bytes), counts);
            assert!(
                bytes.len() <= command.len_hint(),
                "{command:?} outgrew its hint"
            );
            for cut in 0..bytes.len() {
                assert_eq!(
                    Command::decode(&bytes[..cut]),
                    None,
                    "{command:?} cut at {cut}"
                );
            }
            let longer = [&bytes[..], b"x"].concat();
            assert_eq!(
                Command::decode(&longer),
                None,
                "{command:?} with a byte behind it"
            );
        }
    }

    #[test]
    fn a_length_that_lies_is_refused_without_memory() {
        // Delete, with 2^63 keys announced and none there.
        assert_eq!(
            Command::decode(&[1, 255, 255, 255, 255, 255, 255, 255, 255, 127]),
            None
        );
    }

    #[test]
    fn a_list_ends_at_its_limit() {
        for (len, fits) in [(LIST_MAX, true), (LIST_MAX + 1, false)] {
            let keys = vec![Blob(b""); len];
            let bytes = Command::Delete { keys }.encode();
            assert_eq!(Command::decode(&bytes).is_some(), fits, "{len} keys");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_of_arbitrary_bytes_is_read_again(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(command) = Command::decode(&bytes) {
                // Lengths may come in a longer form than they must, so the bytes may differ and the
                // meaning may not.
                let again = command.encode();
                prop_assert_eq!(Command::decode(&again), Some(command));
            }
        }
    }
}
