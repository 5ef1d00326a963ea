//! The replicated state: a map of byte strings, changed only by [`Command`]s.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::command::{Blob, Command, When};

/// The key-value map.
///
/// Keys are spread over [`SHARDS`] ordered maps that are shared when the store is frozen for a
/// snapshot and copied, one by one, when a later write touches them. Freezing therefore costs a
/// thousand reference counts, and a snapshot in progress at most a second copy of the shards'
/// trees, never of the values.
///
/// Invariants:
/// - Each key lies in the shard that its hash names, in exactly one.
/// - `len` is the number of keys in all shards.
/// - No key is longer than [`KEY_BYTES_MAX`], no value longer than [`VALUE_BYTES_MAX`].
/// - No key or value shares memory with the command it came in: a small value must not pin a large
///   log entry.
///
/// ```
/// use synod_kv::{Blob, Command, Kv, Response};
///
/// let mut kv = Kv::default();
/// let append = Command::Append { key: Blob(b"song"), value: Blob(b"la ") }.encode();
/// assert_eq!(kv.execute(&append), Response::Integer(3));
/// assert_eq!(kv.execute(&append), Response::Integer(6));
/// assert_eq!(kv.value(b"song").map(|value| &value[..]), Some(&b"la la "[..]));
/// ```
#[derive(Clone, Debug)]
pub struct Kv {
    shards: Box<[Arc<Shard>]>,
    len: usize,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// Done, and there is nothing else to say.
    Done,
    /// There is no value, or a condition did not hold.
    Absent,
    /// A count, a length, a sum, or a truth (0 or 1).
    Integer(i64),
    /// The value before.
    Value(Bytes),
    /// The command changed nothing, for this reason.
    Refused(Refusal),
}

/// Why a command changed nothing. The texts are those that clients of Redis know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The value under the key, or the argument, is not a 64-bit decimal integer.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// The sum does not fit 64 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// A key longer than [`KEY_BYTES_MAX`].
    #[error("key exceeds maximum allowed size ({KEY_BYTES_MAX} bytes)")]
    KeyTooLong,
    /// A value longer than [`VALUE_BYTES_MAX`].
    #[error("string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)")]
    ValueTooLong,
    /// The bytes are no command: written by another version, or by no version.
    #[error("the log entry holds no command that this version knows")]
    Malformed,
}

impl Default for Kv {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        Self {
            shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(),
            len: 0,
        }
    }
}

impl Kv {
    /// Applies one command. The same commands in the same order give the same state and the same
    /// answers on every node; bytes that are no command change nothing.
    pub fn execute(&mut self, command: &[u8]) -> Response {
        Command::decode(command)
            .ok_or(Refusal::Malformed)
            .and_then(|command| self.apply(&command))
            .unwrap_or_else(Response::Refused)
    }

    /// The value under a key.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<&Bytes> {
        self.shards[shard_of(key)].get(key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keys and values in an order that depends on nothing but the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// Writes without a condition. The bytes are kept as they are, so they must not be a slice of
    /// something larger.
    pub(crate) fn insert(&mut self, key: Bytes, value: Bytes) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(&key)]);
        if shard.insert(key, value).is_none() {
            self.len += 1;
        }
    }

    fn apply(&mut self, command: &Command<'_>) -> Result<Response, Refusal> {
        match command {
            Command::Set {
                key,
                value,
                when,
                previous,
            } => self.set(*key, *value, *when, *previous),
            Command::Delete { keys } => {
                let removed = keys.iter().filter(|key| self.remove(key.0)).count();
                Ok(Response::Integer(removed as i64))
            }
            Command::Add { key, by } => self.add(*key, *by),
            Command::Append { key, value } => self.append(*key, *value),
            Command::SetMany { pairs } => {
                pairs
                    .iter()
                    .try_for_each(|(key, value)| checked(*key, *value))?;
                for (key, value) in pairs {
                    self.insert(
                        Bytes::copy_from_slice(key.0),
                        Bytes::copy_from_slice(value.0),
                    );
                }
                Ok(Response::Done)
            }
            Command::Clear => {
                *self = Self::default();
                Ok(Response::Done)
            }
            Command::CompareAndSwap { key, expected, new } => {
                checked(*key, *new)?;
                let swap = self.value(key.0).is_some_and(|value| value == expected.0);
                if swap {
                    self.insert(Bytes::copy_from_slice(key.0), Bytes::copy_from_slice(new.0));
                }
                Ok(Response::Integer(i64::from(swap)))
            }
        }
    }

    fn set(
        &mut self,
        key: Blob<'_>,
        value: Blob<'_>,
        when: When,
        previous: bool,
    ) -> Result<Response, Refusal> {
        checked(key, value)?;
        let before = self.value(key.0).cloned();
        let write = match when {
            When::Always => true,
            When::Absent => before.is_none(),
            When::Present => before.is_some(),
        };
        if write {
            self.insert(
                Bytes::copy_from_slice(key.0),
                Bytes::copy_from_slice(value.0),
            );
        }
        Ok(match before {
            Some(before) if previous => Response::Value(before),
            None if previous => Response::Absent,
            _ if write => Response::Done,
            _ => Response::Absent,
        })
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let shard = &mut self.shards[shard_of(key)];
        // A shard that a snapshot shares is not copied for a key that it does not hold.
        let present = shard.contains_key(key);
        if present {
            Arc::make_mut(shard).remove(key);
            self.len -= 1;
        }
        present
    }

    fn add(&mut self, key: Blob<'_>, by: i64) -> Result<Response, Refusal> {
        checked(key, Blob(b""))?;
        let before = match self.value(key.0) {
            Some(value) => integer(value).ok_or(Refusal::NotAnInteger)?,
            None => 0,
        };
        let sum = before.checked_add(by).ok_or(Refusal::Overflow)?;
        self.insert(Bytes::copy_from_slice(key.0), Bytes::from(sum.to_string()));
        Ok(Response::Integer(sum))
    }

    fn append(&mut self, key: Blob<'_>, value: Blob<'_>) -> Result<Response, Refusal> {
        checked(key, value)?;
        let before = self.value(key.0).map_or(&b""[..], |value| &value[..]);
        let len = before.len() + value.0.len();
        if len > VALUE_BYTES_MAX {
            return Err(Refusal::ValueTooLong);
        }
        let mut after = BytesMut::with_capacity(len);
        after.extend_from_slice(before);
        after.extend_from_slice(value.0);
        // Redis makes no key of an empty append either.
        if !after.is_empty() || self.value(key.0).is_some() {
            self.insert(Bytes::copy_from_slice(key.0), after.freeze());
        }
        Ok(Response::Integer(len as i64))
    }
}

/// A 64-bit decimal integer in the one form in which Redis accepts it: no sign but a minus, no
/// leading zero, no blanks.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', ..] => digits.len() <= 19,
        _ => false,
    };
    if !canonical {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn checked(key: Blob<'_>, value: Blob<'_>) -> Result<(), Refusal> {
    if key.0.len() > KEY_BYTES_MAX {
        Err(Refusal::KeyTooLong)
    } else if value.0.len() > VALUE_BYTES_MAX {
        Err(Refusal::ValueTooLong)
    } else {
        Ok(())
    }
}

/// FNV-1a: the same on every machine, and good enough to spread keys. Who chooses keys that collide
/// makes one shard slow to copy, nothing else.
fn shard_of(key: &[u8]) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ((hash ^ (hash >> 32)) % SHARDS as u64) as usize
}

type Shard = BTreeMap<Bytes, Bytes>;

/// How many pieces the map is copied in when it is written to during a snapshot.
pub const SHARDS: usize = 1_024;
/// The longest key.
pub const KEY_BYTES_MAX: usize = 64 * 1_024;
/// The longest value. A constant and no setting: nodes that differ in it would answer the same
/// command differently.
pub const VALUE_BYTES_MAX: usize = 16 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &'static str) -> Response {
        Response::Value(Bytes::from_static(value.as_bytes()))
    }

    fn set(kv: &mut Kv, value: &str, when: When, previous: bool) -> Response {
        kv.execute(
            &Command::Set {
                key: Blob(b"k"),
                value: Blob(value.as_bytes()),
                when,
                previous,
            }
            .encode(),
        )
    }

    #[test]
    fn set_obeys_its_condition_and_says_what_was_there() {
        let mut kv = Kv::default();
        assert_eq!(set(&mut kv, "a", When::Present, false), Response::Absent);
        assert_eq!(set(&mut kv, "a", When::Absent, true), Response::Absent);
        assert_eq!(set(&mut kv, "b", When::Absent, true), text("a"));
        assert_eq!(set(&mut kv, "b", When::Absent, false), Response::Absent);
        assert_eq!(set(&mut kv, "c", When::Present, true), text("a"));
        assert_eq!(set(&mut kv, "d", When::Always, true), text("c"));
        assert_eq!(set(&mut kv, "e", When::Always, false), Response::Done);
        assert_eq!(kv.value(b"k").map(|value| &value[..]), Some(&b"e"[..]));
    }

    #[test]
    fn integers_have_one_form() {
        for good in [
            "0",
            "7",
            "-1",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert_eq!(
                integer(good.as_bytes())
                    .map(|number| number.to_string())
                    .as_deref(),
                Some(good)
            );
        }
        for bad in [
            "",
            "-",
            "-0",
            "00",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "99999999999999999999",
            "x",
        ] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn limits_hold_before_anything_changes() {
        let mut kv = Kv::default();
        let long = vec![0; KEY_BYTES_MAX + 1];
        let pairs = vec![(Blob(b"fits"), Blob(b"1")), (Blob(&long), Blob(b"2"))];
        assert_eq!(
            kv.execute(&Command::SetMany { pairs }.encode()),
            Response::Refused(Refusal::KeyTooLong)
        );
        assert!(kv.is_empty());
        let huge = vec![0; VALUE_BYTES_MAX];
        kv.insert(Bytes::from_static(b"k"), huge.into());
        let append = Command::Append {
            key: Blob(b"k"),
            value: Blob(b"x"),
        };
        assert_eq!(
            kv.execute(&append.encode()),
            Response::Refused(Refusal::ValueTooLong)
        );
        assert_eq!(kv.value(b"k").map(Bytes::len), Some(VALUE_BYTES_MAX));
    }

    #[test]
    fn what_is_kept_does_not_pin_what_it_came_in() {
        let mut kv = Kv::default();
        let command = Command::Set {
            key: Blob(b"k"),
            value: Blob(b"v"),
            when: When::Always,
            previous: false,
        }
        .encode();
        kv.execute(&command);
        assert!(
            command.is_unique(),
            "the store holds a slice of the log entry"
        );
    }
}
