use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::mem::replace;
use core::ops::{Deref, Range};
use core::{fmt, slice};

use synod_durable::Few;

use crate::{Kind, Value};

/// A shared run of values for consecutive slots. Cloning it, or taking a [part](Self::part) of it,
/// costs one reference count, whatever its length. Values that were proposed together go to the
/// disk, to every peer and to the state machine as one run.
///
/// It dereferences to a slice, and equality compares contents, not the allocation. It is moved more
/// often than it is read, so it is only two words.
///
/// ```
/// # use bytes::Bytes;
/// # use synod_paxos::{Ballot, Entries, Kind, NodeId, Value};
/// let origin = Ballot { round: 1, node: NodeId(1) };
/// let value = |body| Value { kind: Kind::Command, origin, body: Bytes::from_static(body) };
/// let entries = Entries::from(vec![value(b"a"), value(b"b")]);
/// assert_eq!(entries.part(1..2), Entries::from(vec![value(b"b")]));
/// assert_eq!(entries.iter().map(|value| value.body.len()).sum::<usize>(), 2);
/// ```
#[derive(Clone, Default)]
pub struct Entries {
    /// `None` if there are no values.
    shared: Option<Arc<Shared>>,
    from: u32,
    to: u32,
}

#[derive(Debug)]
struct Shared {
    values: Few<Value>,
    bytes: usize,
    /// Whether some value is a configuration.
    configures: bool,
}

impl Entries {
    /// Shares the values of an open tail: at least one, of `bytes` in total.
    pub(crate) fn seal(open: &mut Vec<Value>, bytes: usize, configures: bool) -> Self {
        let count = open.len();
        let mut values = Few::default();
        match open.pop_if(|_| count == 1) {
            Some(value) => values.push(value),
            None => values = Few::from(replace(open, Vec::with_capacity(count))),
        }
        Self::share(values, bytes, configures)
    }

    fn share(values: Few<Value>, bytes: usize, configures: bool) -> Self {
        let to = u32::try_from(values.len()).expect("no memory holds so many");
        Self {
            shared: Some(Arc::new(Shared {
                values,
                bytes,
                configures,
            })),
            from: 0,
            to,
        }
    }

    /// The number of values, without reading them.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values at these positions of the run, without copying them.
    ///
    /// # Panics
    /// If the range is not within the run, as with slices.
    #[must_use]
    pub fn part(&self, places: Range<usize>) -> Self {
        let len = self[places.clone()].len();
        if len == 0 {
            return Self::default();
        }
        let place = |at: usize| self.from + u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            shared: self.shared.clone(),
            from: place(places.start),
            to: place(places.end),
        }
    }

    /// The bytes that these values count towards the bounds of [`Config`](crate::Config). Stored
    /// for a whole run, computed for a part.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.shared {
            Some(shared) if self.len() == shared.values.len() => shared.bytes,
            _ => self.iter().map(Value::size).sum(),
        }
    }

    /// Whether a configuration may be among the values, without reading them.
    #[inline]
    pub(crate) fn may_configure(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.configures)
    }

    /// The bytes kept in memory: more than those of the values if some were cut off.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| shared.bytes)
    }
}

/// How many of these values fit, at least one, and their bytes.
pub(crate) fn fitting<'a>(
    values: impl Iterator<Item = &'a Value>,
    bytes_max: usize,
) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0usize);
    for value in values {
        let more = bytes.saturating_add(value.size());
        if count > 0 && more > bytes_max {
            break;
        }
        (count, bytes) = (count + 1, more);
    }
    (count, bytes)
}

impl Deref for Entries {
    type Target = [Value];

    #[inline]
    fn deref(&self) -> &[Value] {
        match &self.shared {
            Some(shared) => &shared.values[self.from as usize..self.to as usize],
            None => &[],
        }
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Value;
    type IntoIter = slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Value>> for Entries {
    fn from(values: Vec<Value>) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let bytes = values.iter().map(Value::size).sum();
        let configures = values.iter().any(|value| value.kind == Kind::Configuration);
        Self::share(Few::from(values), bytes, configures)
    }
}

impl FromIterator<Value> for Entries {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Serialized as a sequence of values, like a vector.
#[cfg(feature = "serde")]
impl serde::Serialize for Entries {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ballot;

    fn run(count: usize) -> Entries {
        core::iter::repeat_n(Value::noop(Ballot::ZERO), count).collect()
    }

    #[test]
    fn a_part_is_equal_to_a_run_of_its_own_and_keeps_all() {
        let whole = run(3);
        let part = whole.part(1..3);
        assert_eq!(part, run(2));
        assert_eq!((part.bytes(), part.kept_bytes()), (2 * 48, 3 * 48));
        assert_eq!(part.part(1..1), Entries::default());
    }

    #[test]
    fn what_fits_is_never_nothing() {
        let whole = run(3);
        let count = |bytes| fitting(whole.iter(), bytes).0;
        assert_eq!((count(0), count(95), count(96), count(999)), (1, 1, 2, 3));
    }
}
