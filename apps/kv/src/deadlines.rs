//! When keys are over: by key, and in the order in which they are.
//!
//! Both are maps whose copies share what they have in common, as the map itself is: a copy for a snapshot costs two
//! reference counts.

use synod_replica::LogTime;

use crate::{
    capacity::ENTRY_BYTES,
    map::Map,
    reap::{Garbage, reap},
    value::Value,
};

/// Invariant: `order` holds, for each key of `of`, its deadline (big-endian) and the key behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    of: Map,
    order: Map,
}

impl Deadlines {
    pub(crate) fn is_empty(&self) -> bool {
        self.of.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<LogTime> {
        self.of.get(key).map(time)
    }

    /// Whether there was none before.
    pub(crate) fn set(&mut self, key: &[u8], at: LogTime) -> bool {
        let is_new = !self.clear(key);
        self.of.insert(key, Value::new(&at.0.to_be_bytes()));
        self.order.insert(&place(at, key), Value::new(b""));
        is_new
    }

    /// Whether there was one.
    pub(crate) fn clear(&mut self, key: &[u8]) -> bool {
        let Some(before) = self.of.remove(key) else {
            return false;
        };
        self.order.remove(&place(time(&before), key));
        true
    }

    /// The key that is over first, and when.
    pub(crate) fn first(&self) -> Option<(LogTime, &[u8])> {
        let (place, _) = self.order.iter().next()?;
        let (at, key) = place.split_first_chunk()?;
        Some((LogTime(u64::from_be_bytes(*at)), key))
    }

    /// In the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], LogTime)> {
        self.of.iter().map(|(key, at)| (key, time(at)))
    }

    /// Frees the memory, elsewhere if it is much.
    pub(crate) fn free(self) {
        if !self.is_empty() {
            reap(Garbage::Map(self.of));
            reap(Garbage::Map(self.order));
        }
    }
}

/// What a key counts more if it has a deadline: its places in both maps.
pub(crate) fn deadline_bytes(key: &[u8]) -> u64 {
    2 * (key.len() as u64 + 8 + ENTRY_BYTES)
}

fn place(at: LogTime, key: &[u8]) -> Vec<u8> {
    [&at.0.to_be_bytes(), key].concat()
}

fn time(value: &Value) -> LogTime {
    let bytes = value.to_bytes();
    LogTime(bytes.first_chunk().map_or(0, |at| u64::from_be_bytes(*at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_agree() {
        let mut deadlines = Deadlines::default();
        assert!(deadlines.set(b"b", LogTime(256)) && deadlines.set(b"a", LogTime(300)));
        assert_eq!(deadlines.first(), Some((LogTime(256), &b"b"[..])));
        // The last byte of the one is less than that of the other.
        assert!(!deadlines.set(b"b", LogTime(511)));
        assert_eq!(deadlines.first(), Some((LogTime(300), &b"a"[..])));
        assert!(deadlines.clear(b"a") && !deadlines.clear(b"a"));
        assert_eq!(deadlines.first(), Some((LogTime(511), &b"b"[..])));
        assert_eq!((deadlines.get(b"a"), deadlines.len()), (None, 1));
        assert!(deadlines.clear(b"b") && deadlines.is_empty() && deadlines.first().is_none());
    }
}
