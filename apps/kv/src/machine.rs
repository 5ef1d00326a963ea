//! The replicated state: a map of byte strings, changed only by [`Command`]s.

mod addresses;
mod expiry;

use synod_replica::{LogTime, LoggedTime, timed::SLACK};

use crate::{
    capacity::{ENTRY_BYTES, MapLimits, VALUE_BYTES_MAX},
    command::{Blob, Command, When},
    deadlines::Deadlines,
    map::Map,
    reap::{Garbage, reap},
    response::{Refusal, Response},
    value::Value,
};

pub use addresses::Addresses;
pub(crate) use addresses::{ADDRESS_BYTES_MAX, ADDRESSES_MAX};
pub use expiry::Left;

use expiry::Deadline;

/// The key-value map.
///
/// What a command costs, every replica pays on the thread that also answers heartbeats. So no cost
/// grows with what the map holds: a copy for a snapshot is one reference count, a write beside it
/// copies a node of the tree a level and never a value, an append writes what is appended (see
/// [`Value`]), and what is removed or overwritten is freed elsewhere when there is much of it.
///
/// How large the map may become is a part of it ([`MapLimits`]): replicated, in each snapshot, and
/// changed by a command alone. Were it a setting, two nodes that differ in it would answer the same
/// command differently.
///
/// Invariants:
/// - `bytes` is the sum of the lengths of all keys and values, and [`ENTRY_BYTES`] for each key; a key with a deadline
///   counts `deadline_bytes` more.
/// - Only keys of the map have deadlines. A key whose deadline is not after `now` is over: it is there for nobody, and
///   is removed when it is written to, or soon.
/// - No key is longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX), no value
///   longer than [`VALUE_BYTES_MAX`](crate::VALUE_BYTES_MAX).
/// - No key or value shares memory with the command it came in: a small value must not pin a large
///   log entry.
/// - `discarded` is empty between commands.
///
/// ```
/// use synod_kv::{Blob, Command, Kv, Response};
///
/// let mut kv = Kv::default();
/// let append = Command::Append { key: Blob(b"song"), value: Blob(b"la ") }.encode();
/// assert_eq!(kv.execute(&append), Response::Integer(3));
/// assert_eq!(kv.execute(&append), Response::Integer(6));
/// assert!(kv.value(b"song").is_some_and(|value| *value == b"la la "[..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Kv {
    map: Map,
    bytes: u64,
    limits: MapLimits,
    now: LogTime,
    deadlines: Deadlines,
    addresses: Addresses,
    discarded: Vec<Value>,
}

impl Kv {
    /// Applies one command, at the time of the one before. The same commands in the same order give the same state and
    /// the same answers on every node; bytes that are no command change nothing.
    pub fn execute(&mut self, command: &[u8]) -> Response {
        let now = self.now;
        self.run(command, &mut |lasts| now.later(lasts).later(SLACK))
    }

    /// Applies one command at a time.
    pub(crate) fn execute_at(&mut self, time: &mut LoggedTime, command: &[u8]) -> Response {
        self.now = self.now.max(time.now());
        self.run(command, &mut |lasts| time.deadline(lasts))
    }

    fn run(&mut self, command: &[u8], deadline: Deadline<'_>) -> Response {
        let response = Command::decode(command)
            .ok_or(Refusal::Malformed)
            .and_then(|command| self.apply(&command, deadline))
            .unwrap_or_else(Response::Refused);
        if !self.discarded.is_empty() {
            reap(Garbage::Values(std::mem::take(&mut self.discarded)));
        }
        response
    }

    /// The value under a key.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<&Value> {
        self.map.get(key).filter(|_| !self.is_over(key))
    }

    /// How many keys there are. As in Redis, those that are over count until they are removed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values, and [`ENTRY_BYTES`] for each key.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How large the map may become.
    #[must_use]
    pub fn limits(&self) -> MapLimits {
        self.limits
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.entries().filter(|(key, _)| !self.is_over(key))
    }

    /// Also of keys that are over and not yet removed.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.map.iter()
    }

    /// Keys that are over at a time, in their order, and the time.
    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// Where clients reach the nodes.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where clients reach a node.
    pub(crate) fn note_address(&mut self, node: u64, at: &[u8]) {
        self.addresses.note(node, at);
    }

    /// The nodes are others from now on.
    pub(crate) fn forget_addresses(&mut self) {
        self.addresses = Addresses::default();
    }

    /// An empty map with these limits, at this time.
    pub(crate) fn with_limits(limits: MapLimits, now: LogTime) -> Self {
        Self {
            limits,
            now,
            ..Self::default()
        }
    }

    /// Writes without a condition.
    pub(crate) fn insert(&mut self, key: &[u8], value: Value) {
        self.bytes += value.len() as u64;
        match self.map.insert(key, value) {
            None => self.bytes += key.len() as u64 + ENTRY_BYTES,
            Some(before) => {
                self.bytes -= before.len() as u64;
                self.discard(before);
            }
        }
    }

    /// Takes over another map.
    pub(crate) fn replace(&mut self, with: Self) {
        let before = std::mem::replace(self, with);
        reap(Garbage::Map(before.map));
        before.deadlines.free();
    }

    fn apply(
        &mut self,
        command: &Command<'_>,
        deadline: Deadline<'_>,
    ) -> Result<Response, Refusal> {
        if !self.deadlines.is_empty() {
            command.keys(&mut |key| self.remove_if_over(key));
        }
        if self.is_full() && command.may_grow() {
            return Err(Refusal::MapFull);
        }
        command.check()?;
        match command {
            Command::Set {
                key,
                value,
                when,
                previous,
            } => {
                let (_, response) = self.set(*key, *value, *when, *previous);
                Ok(response)
            }
            Command::SetExpiring { .. }
            | Command::Expire { .. }
            | Command::Persist { .. }
            | Command::DeleteIf { .. } => Ok(self.apply_ending(command, deadline)),
            Command::Delete { keys } => {
                let removed = keys.iter().filter(|key| self.remove(key.0)).count();
                Ok(Response::Integer(removed as i64))
            }
            Command::Add { key, by } => self.add(*key, *by),
            Command::Append { key, value } => self.append(*key, *value),
            Command::SetMany { pairs } => {
                for (key, value) in pairs {
                    self.insert(key.0, Value::new(value.0));
                    self.clear_deadline(key.0);
                }
                Ok(Response::Done)
            }
            Command::Clear => {
                self.bytes = 0;
                reap(Garbage::Map(std::mem::take(&mut self.map)));
                std::mem::take(&mut self.deadlines).free();
                Ok(Response::Done)
            }
            Command::CompareAndSwap { key, expected, new } => {
                let swap = self.value(key.0).is_some_and(|value| *value == *expected.0);
                if swap {
                    self.insert(key.0, Value::new(new.0));
                }
                Ok(Response::Integer(i64::from(swap)))
            }
            Command::Limit {
                keys_max,
                bytes_max,
            } => {
                self.limits.keys_max = keys_max.unwrap_or(self.limits.keys_max);
                self.limits.bytes_max = bytes_max.unwrap_or(self.limits.bytes_max);
                Ok(Response::Done)
            }
            Command::Serves { node, at } => {
                self.note_address(*node, at.0);
                Ok(Response::Done)
            }
        }
    }

    /// Whether it was written, and the answer. What is written has no deadline.
    fn set(
        &mut self,
        key: Blob<'_>,
        value: Blob<'_>,
        when: When,
        previous: bool,
    ) -> (bool, Response) {
        let before = self.value(key.0).cloned();
        let write = match when {
            When::Always => true,
            When::Absent => before.is_none(),
            When::Present => before.is_some(),
        };
        if write {
            self.insert(key.0, Value::new(value.0));
            self.clear_deadline(key.0);
        }
        let response = match before {
            Some(before) if previous => Response::Value(before),
            None if previous => Response::Absent,
            _ if write => Response::Done,
            _ => Response::Absent,
        };
        (write, response)
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let before = self.map.remove(key);
        let removed = before.is_some();
        self.clear_deadline(key);
        if let Some(before) = before {
            self.bytes -= (key.len() + before.len()) as u64 + ENTRY_BYTES;
            self.discard(before);
        }
        removed
    }

    fn add(&mut self, key: Blob<'_>, by: i64) -> Result<Response, Refusal> {
        let before = match self.value(key.0) {
            Some(value) if value.len() > INTEGER_BYTES_MAX => return Err(Refusal::NotAnInteger),
            Some(value) => integer(&value.to_bytes()).ok_or(Refusal::NotAnInteger)?,
            None => 0,
        };
        let sum = before.checked_add(by).ok_or(Refusal::Overflow)?;
        self.insert(key.0, Value::new(sum.to_string().as_bytes()));
        Ok(Response::Integer(sum))
    }

    fn append(&mut self, key: Blob<'_>, value: Blob<'_>) -> Result<Response, Refusal> {
        let before = self.value(key.0).map_or(0, Value::len);
        let len = before + value.0.len();
        if len > VALUE_BYTES_MAX {
            return Err(Refusal::ValueTooLong);
        }
        if let Some(grown) = self.map.value_mut(key.0) {
            grown.append(value.0);
            self.bytes += value.0.len() as u64;
        } else if !value.0.is_empty() {
            // Redis makes no key of an empty append either.
            self.insert(key.0, Value::new(value.0));
        }
        Ok(Response::Integer(len as i64))
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes_max || self.len() as u64 >= self.limits.keys_max
    }

    /// A value that is cheap to free is freed here, without a word to another thread.
    fn discard(&mut self, value: Value) {
        if value.len() >= DISCARD_BYTES_MIN {
            self.discarded.push(value);
        }
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

/// Of a 64-bit decimal integer.
const INTEGER_BYTES_MAX: usize = 20;
/// From this length on a value is freed elsewhere.
const DISCARD_BYTES_MIN: usize = 32 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::KEY_BYTES_MAX;

    fn text(value: &'static str) -> Response {
        Response::Value(Value::new(value.as_bytes()))
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
        assert!(*kv.value(b"k").unwrap() == b"e"[..]);
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
        kv.insert(b"k", Value::new(&vec![0; VALUE_BYTES_MAX]));
        let append = Command::Append {
            key: Blob(b"k"),
            value: Blob(b"x"),
        };
        assert_eq!(
            kv.execute(&append.encode()),
            Response::Refused(Refusal::ValueTooLong)
        );
        assert_eq!(kv.value(b"k").map(Value::len), Some(VALUE_BYTES_MAX));
    }

    fn limit(keys_max: Option<u64>, bytes_max: Option<u64>) -> bytes::Bytes {
        let limit = Command::Limit {
            keys_max,
            bytes_max,
        };
        limit.encode()
    }

    fn add(key: &str) -> bytes::Bytes {
        let key = Blob(key.as_bytes());
        Command::Add { key, by: 1 }.encode()
    }

    #[test]
    fn a_full_map_takes_nothing_more_until_something_is_gone() {
        let mut kv = Kv::default();
        assert_eq!(kv.execute(&limit(Some(2), None)), Response::Done);
        for key in ["a", "b"] {
            assert!(!kv.is_full());
            assert_eq!(kv.execute(&add(key)), Response::Integer(1));
        }
        assert!(kv.is_full());
        let empty = Blob(b"");
        let growing = [
            add("a"),
            Command::Append {
                key: Blob(b"c"),
                value: empty,
            }
            .encode(),
            Command::SetMany { pairs: vec![] }.encode(),
            Command::CompareAndSwap {
                key: empty,
                expected: empty,
                new: empty,
            }
            .encode(),
        ];
        let refused = Response::Refused(Refusal::MapFull);
        for command in growing {
            assert_eq!(kv.execute(&command), refused);
        }
        assert_eq!(set(&mut kv, "v", When::Present, true), refused);

        let keys = vec![Blob(b"a")];
        let delete = Command::Delete { keys }.encode();
        assert_eq!(kv.execute(&delete), Response::Integer(1));
        assert!(!kv.is_full());
        // One key of one byte with a value of one byte.
        assert_eq!(kv.bytes(), ENTRY_BYTES + 2);
        for (bytes_max, is_full) in [(ENTRY_BYTES + 2, true), (ENTRY_BYTES + 3, false)] {
            assert_eq!(kv.execute(&limit(None, Some(bytes_max))), Response::Done);
            let limits = MapLimits {
                keys_max: 2,
                bytes_max,
            };
            assert_eq!((kv.limits(), kv.is_full()), (limits, is_full));
        }
    }
}
