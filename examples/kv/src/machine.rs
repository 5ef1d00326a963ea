//! The replicated state: a map of byte strings, changed only by [`Command`]s.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    command::{Blob, Command, When},
    map::Map,
    reap::{Garbage, reap},
    value::Value,
};

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
/// - `bytes` is the sum of the lengths of all keys and values, and [`ENTRY_BYTES`] for each key.
/// - No key is longer than [`KEY_BYTES_MAX`], no value longer than [`VALUE_BYTES_MAX`].
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
    gauge: Gauge,
    discarded: Vec<Value>,
}

/// How large the map may become. A command that may add to it is refused when it has reached either;
/// so it is passed by one command at most. What was in it when a limit was lowered stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLimits {
    /// Keys.
    pub keys_max: u64,
    /// Bytes of keys and values, and [`ENTRY_BYTES`] for each key.
    pub bytes_max: u64,
}

/// Whether a map is full, for whoever is about to propose something to it. A clone does not change
/// with the original, [`share`](Self::share) gives a handle that does.
#[derive(Debug, Default)]
pub struct Gauge(Arc<AtomicBool>);

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
    Value(Value),
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
    /// The map has reached one of its [`MapLimits`].
    #[error("command not allowed when the map has reached 'maxmemory' or 'maxkeys'")]
    MapFull,
    /// The bytes are no command: written by another version, or by no version.
    #[error("the log entry holds no command that this version knows")]
    Malformed,
}

impl Kv {
    /// Applies one command. The same commands in the same order give the same state and the same
    /// answers on every node; bytes that are no command change nothing.
    pub fn execute(&mut self, command: &[u8]) -> Response {
        let response = Command::decode(command)
            .ok_or(Refusal::Malformed)
            .and_then(|command| self.apply(&command))
            .unwrap_or_else(Response::Refused);
        if !self.discarded.is_empty() {
            reap(Garbage::Values(std::mem::take(&mut self.discarded)));
        }
        self.gauge.0.store(self.is_full(), Ordering::Relaxed);
        response
    }

    /// The value under a key.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<&Value> {
        self.map.get(key)
    }

    /// How many keys there are.
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

    /// Tells from elsewhere whether the map is full, as of the last command.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.gauge.share()
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.map.iter()
    }

    /// An empty map with these limits.
    pub(crate) fn with_limits(limits: MapLimits) -> Self {
        Self {
            limits,
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

    /// Takes over another map; whoever holds a [`Gauge`] of this one sees the change.
    pub(crate) fn replace(&mut self, with: Self) {
        let Self {
            map, bytes, limits, ..
        } = with;
        self.limits = limits;
        self.bytes = bytes;
        reap(Garbage::Map(std::mem::replace(&mut self.map, map)));
        self.gauge.0.store(self.is_full(), Ordering::Relaxed);
    }

    fn apply(&mut self, command: &Command<'_>) -> Result<Response, Refusal> {
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
            } => Ok(self.set(*key, *value, *when, *previous)),
            Command::Delete { keys } => {
                let removed = keys.iter().filter(|key| self.remove(key.0)).count();
                Ok(Response::Integer(removed as i64))
            }
            Command::Add { key, by } => self.add(*key, *by),
            Command::Append { key, value } => self.append(*key, *value),
            Command::SetMany { pairs } => {
                for (key, value) in pairs {
                    self.insert(key.0, Value::new(value.0));
                }
                Ok(Response::Done)
            }
            Command::Clear => {
                self.bytes = 0;
                reap(Garbage::Map(std::mem::take(&mut self.map)));
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
        }
    }

    fn set(&mut self, key: Blob<'_>, value: Blob<'_>, when: When, previous: bool) -> Response {
        let before = self.value(key.0).cloned();
        let write = match when {
            When::Always => true,
            When::Absent => before.is_none(),
            When::Present => before.is_some(),
        };
        if write {
            self.insert(key.0, Value::new(value.0));
        }
        match before {
            Some(before) if previous => Response::Value(before),
            None if previous => Response::Absent,
            _ if write => Response::Done,
            _ => Response::Absent,
        }
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let before = self.map.remove(key);
        let removed = before.is_some();
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
        if let Some(grown) = self.map.get_mut(key.0) {
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

impl Refusal {
    /// The word in front of the text, by which clients tell errors apart.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MapFull => "OOM",
            _ => "ERR",
        }
    }
}

impl Gauge {
    /// Whether the map was full after the last command that was applied to it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Another handle to the same gauge.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A copy of a map is another map.
impl Clone for Gauge {
    fn clone(&self) -> Self {
        Self(Arc::new(self.is_full().into()))
    }
}

impl Default for MapLimits {
    /// Those of a map that was never told otherwise: a part of the format, as they decide what a log
    /// means.
    fn default() -> Self {
        Self {
            keys_max: 10_000_000,
            bytes_max: 1 << 30,
        }
    }
}

impl Command<'_> {
    /// What is refused whatever the map holds; so it can be refused before it is proposed, too.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let (none, key_only) = (Blob(b""), |key: &Blob<'_>| checked(*key, Blob(b"")));
        match self {
            Self::Set { key, value, .. } | Self::Append { key, value } => checked(*key, *value),
            Self::CompareAndSwap { key, new, .. } => checked(*key, *new),
            Self::Add { key, .. } => key_only(key),
            Self::SetMany { pairs } => pairs
                .iter()
                .try_for_each(|(key, value)| checked(*key, *value)),
            Self::Delete { .. } | Self::Clear | Self::Limit { .. } => checked(none, none),
        }
    }

    /// Whether it may make the map larger.
    pub(crate) fn may_grow(&self) -> bool {
        match self {
            Self::Set { .. }
            | Self::Add { .. }
            | Self::Append { .. }
            | Self::SetMany { .. }
            | Self::CompareAndSwap { .. } => true,
            Self::Delete { .. } | Self::Clear | Self::Limit { .. } => false,
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

fn checked(key: Blob<'_>, value: Blob<'_>) -> Result<(), Refusal> {
    if key.0.len() > KEY_BYTES_MAX {
        Err(Refusal::KeyTooLong)
    } else if value.0.len() > VALUE_BYTES_MAX {
        Err(Refusal::ValueTooLong)
    } else {
        Ok(())
    }
}

/// The longest key.
pub const KEY_BYTES_MAX: usize = 64 * 1_024;
/// The longest value. A constant and no setting: nodes that differ in it would answer the same
/// command differently.
pub const VALUE_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// What a key counts beside its bytes and those of its value: their places in the tree and in memory.
pub const ENTRY_BYTES: u64 = 96;
/// Of a 64-bit decimal integer.
const INTEGER_BYTES_MAX: usize = 20;
/// From this length on a value is freed elsewhere.
const DISCARD_BYTES_MIN: usize = 32 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_full_map_takes_nothing_more_until_something_is_gone() {
        let mut kv = Kv::default();
        let limit = |keys_max, bytes_max| {
            Command::Limit {
                keys_max,
                bytes_max,
            }
            .encode()
        };
        let gauge = kv.gauge();
        assert_eq!(kv.execute(&limit(Some(2), None)), Response::Done);
        let add = |key: &'static str| {
            Command::Add {
                key: Blob(key.as_bytes()),
                by: 1,
            }
            .encode()
        };
        for key in ["a", "b"] {
            assert!(!gauge.is_full());
            assert_eq!(kv.execute(&add(key)), Response::Integer(1));
        }
        assert!(gauge.is_full());
        let growing = [
            add("a"),
            Command::Append {
                key: Blob(b"c"),
                value: Blob(b""),
            }
            .encode(),
            Command::SetMany { pairs: vec![] }.encode(),
            Command::CompareAndSwap {
                key: Blob(b"x"),
                expected: Blob(b""),
                new: Blob(b""),
            }
            .encode(),
        ];
        for command in growing {
            assert_eq!(kv.execute(&command), Response::Refused(Refusal::MapFull));
        }
        assert_eq!(
            set(&mut kv, "v", When::Present, true),
            Response::Refused(Refusal::MapFull)
        );
        // A clone is another map with another gauge.
        let mut clone = kv.clone();
        assert_eq!(clone.execute(&Command::Clear.encode()), Response::Done);
        assert!(gauge.is_full() && !clone.gauge().is_full());

        let delete = Command::Delete {
            keys: vec![Blob(b"a")],
        }
        .encode();
        assert_eq!(kv.execute(&delete), Response::Integer(1));
        assert!(!gauge.is_full());
        // One key of one byte with a value of one byte.
        assert_eq!(kv.bytes(), ENTRY_BYTES + 2);
        assert_eq!(
            kv.execute(&limit(None, Some(ENTRY_BYTES + 2))),
            Response::Done
        );
        assert!(gauge.is_full());
        let limits = MapLimits {
            keys_max: 2,
            bytes_max: ENTRY_BYTES + 2,
        };
        assert_eq!(kv.limits(), limits);
        assert_eq!(
            kv.execute(&limit(None, Some(ENTRY_BYTES + 3))),
            Response::Done
        );
        assert!(!gauge.is_full());
        kv.replace(clone);
        assert_eq!(
            (kv.len(), kv.limits().keys_max, gauge.is_full()),
            (0, 2, false)
        );
    }
}
