//! Ranges of keys, and what is written to keys.

use std::collections::BTreeMap;
use std::collections::btree_map;

use bytes::Bytes;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1 << 12;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// How many keys one transaction may write on one shard.
pub const WRITES_MAX: usize = 1 << 12;
/// How many bytes of keys and values one transaction may write on one shard.
pub const WRITES_BYTES_MAX: usize = 1 << 22;

/// Keys from `from` up to `to`, without it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first key.
    pub from: Bytes,
    /// The first key behind; `None` for all that follow.
    pub to: Option<Bytes>,
}

impl Span {
    /// All keys.
    pub const ALL: Self = Self {
        from: Bytes::new(),
        to: None,
    };

    /// From one key to before another.
    #[must_use]
    pub fn between(from: impl Into<Bytes>, to: impl Into<Bytes>) -> Self {
        Self {
            from: from.into(),
            to: Some(to.into()),
        }
    }

    /// One key.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        let mut from = Vec::with_capacity(key.as_ref().len() + 1);
        from.extend_from_slice(key.as_ref());
        from.push(0);
        let to = Bytes::from(from);
        Self {
            from: to.slice(..to.len() - 1),
            to: Some(to),
        }
    }

    /// The key, if it is one key's span.
    #[must_use]
    pub fn as_key(&self) -> Option<&Bytes> {
        let behind = self.to.as_ref()?.strip_suffix(&[0])?;
        (behind == self.from).then_some(&self.from)
    }

    /// Whether the key lies in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from <= key && self.to.as_ref().is_none_or(|to| key < to)
    }

    /// Whether some possible key lies in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let before = |one: &Self, other: &Self| other.to.as_ref().is_none_or(|to| one.from < *to);
        before(self, other) && before(other, self) && !self.is_empty() && !other.is_empty()
    }

    /// Whether no key lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// Whether its ends are no longer than a key and the shortest key behind it.
    #[must_use]
    pub fn fits(&self) -> bool {
        let end = self.to.as_ref().map_or(0, Bytes::len);
        self.from.len() <= KEY_BYTES_MAX && end <= KEY_BYTES_MAX + 1
    }
}

/// What one transaction writes on one shard: a value for each key, or `None` to delete it.
///
/// Invariants: within the bounds above; one write a key, so that two of one timestamp never meet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writes {
    keys: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

/// A key, a value, or all of a transaction's writes are beyond the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more is written than one transaction may write on one shard")]
pub struct TooLarge;

impl Writes {
    /// Writes, or deletes with `None`; the last word on a key counts.
    ///
    /// # Errors
    /// [`TooLarge`]; nothing changed.
    pub fn put(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), TooLarge> {
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let before = self.keys.get(&key).map(|old| key.len() + size(old));
        let bytes = self.bytes - before.unwrap_or(0) + key.len() + size(&value);
        let more = usize::from(before.is_none());
        if key.len() > KEY_BYTES_MAX
            || size(&value) > VALUE_BYTES_MAX
            || bytes > WRITES_BYTES_MAX
            || self.keys.len() + more > WRITES_MAX
        {
            return Err(TooLarge);
        }
        self.bytes = bytes;
        self.keys.insert(key, value);
        Ok(())
    }

    /// What was written to the key.
    #[must_use]
    pub fn of(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.keys.get(key)
    }

    /// In the order of keys.
    pub fn iter(&self) -> btree_map::Iter<'_, Bytes, Option<Bytes>> {
        self.keys.iter()
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl<'a> IntoIterator for &'a Writes {
    type Item = (&'a Bytes, &'a Option<Bytes>);
    type IntoIter = btree_map::Iter<'a, Bytes, Option<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Writes {
    type Item = (Bytes, Option<Bytes>);
    type IntoIter = btree_map::IntoIter<Bytes, Option<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_meet_in_a_key_that_is_possible() {
        let all = [
            Span::key("b"),
            Span::between("a", "b"),
            Span::between("b", "c"),
            Span {
                from: "bb".into(),
                to: None,
            },
        ];
        let meets = |i: usize| all.each_ref().map(|other| all[i].meets(other));
        assert_eq!(meets(0), [true, false, true, false]);
        assert_eq!(meets(2), [true, false, true, true]);
        assert!(Span::ALL.meets(&Span::key("")));
        let empty = Span::between("b", "a");
        assert!(!empty.meets(&Span::ALL) && empty.is_empty());
        assert_eq!(Span::key("k").as_key(), Some(&"k".into()));
        assert_eq!(Span::between("a", "b").as_key(), None);
    }

    #[test]
    fn writes_are_bounded() {
        let mut writes = Writes::default();
        let long = Bytes::from(vec![0; KEY_BYTES_MAX + 1]);
        assert_eq!(writes.put(long, None), Err(TooLarge));
        let value = || Some(Bytes::from(vec![0; VALUE_BYTES_MAX]));
        for key in ["a", "b", "c", "c"] {
            assert_eq!(writes.put(key.into(), value()), Ok(()));
        }
        assert_eq!(writes.put("d".into(), value()), Err(TooLarge));
        assert_eq!(writes.put("c".into(), None), Ok(()));
        assert_eq!(writes.put("d".into(), value()), Ok(()));
        assert_eq!(writes.len(), 4);
    }
}
