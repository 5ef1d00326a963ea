mod write;

use alloc::vec::Vec;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{CausalOrder, Dot, VersionVector};
pub use write::ContextError;

/// A dotted version vector set (Almeida, Gonçalves, Preguiça, Fonte, DAIS 2014): the concurrent
/// values of one object (its siblings), with exactly the causality needed to decide which values a
/// write replaces.
///
/// With one version vector per value, two clients that write through the same server appear as if
/// the second had seen the first (a lost write), or need an entry per client (unbounded vectors).
/// Here each write gets a dot of its server, the values of a server are kept with its counter, and
/// a write replaces exactly what its client has read.
///
/// ```
/// use synod_vclock::{DvvSet, VersionVector};
///
/// let mut cart = DvvSet::new();
/// cart.update(&VersionVector::new(), "server", "bread")?; // Mary has read nothing
/// let read = cart.context();                              // Peter reads
/// cart.update(&VersionVector::new(), "server", "milk")?;  // Mary writes blindly again
/// cart.update(&read, "server", "bread and eggs")?;        // Peter replaces what he has read
///
/// let siblings: Vec<_> = cart.values().copied().collect();
/// assert_eq!(siblings, ["milk", "bread and eggs"]);
/// # Ok::<(), synod_vclock::ContextError>(())
/// ```
///
/// # Two ways to lose a write
///
/// A dot must never name two values, which happens if a server loses its counter. Both cases have
/// occurred in Riak:
///
/// - A key is deleted, its tombstone is dropped ("reaped"), and the key is written again: the counter
///   starts at one again, and a copy that still has the old tombstone treats the new value as
///   deleted.
/// - A server is restored from a backup, or its files are copied to another machine: it continues from
///   an old counter and assigns a dot to a second value. Of two values with one dot a copy keeps its
///   own.
///
/// The remedy is a fresh name: an [`Actor`](crate::Actor) with a new epoch whenever the last counter
/// may be lost. Past epochs are removed with [`retire`](Self::retire).
///
/// Invariant: columns ascend by actor; a column's values belong to its last events, one each, so
/// there are never more values than events, and a value's dot follows from its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DvvSet<A, V> {
    columns: Vec<Column<A, V>>,
}

/// The known events of one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Column<A, V> {
    actor: A,
    /// How many events are known; never zero.
    counter: u64,
    /// The values of the last of them that are not replaced, oldest first.
    values: Vec<V>,
}

impl<A, V> DvvSet<A, V> {
    /// An object without writes.
    ///
    /// ```
    /// use synod_vclock::DvvSet;
    ///
    /// assert_eq!(DvvSet::<&str, u64>::new().len(), 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            columns: Vec::new(),
        }
    }

    /// The siblings, by server and age.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 1)?;
    /// set.update(&VersionVector::new(), "a", 2)?;
    /// assert!(set.values().eq(&[1, 2]));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.columns.iter().flat_map(|column| &column.values)
    }

    /// Actor, counter and values of each column.
    #[cfg(feature = "serde")]
    pub(crate) fn columns(&self) -> impl ExactSizeIterator<Item = (&A, u64, &[V])> {
        let columns = self.columns.iter();
        columns.map(|column| (&column.actor, column.counter, &column.values[..]))
    }

    /// How many siblings there are: more than one is a conflict.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 1)?;
    /// set.update(&VersionVector::new(), "a", 2)?;
    /// assert_eq!(set.len(), 2);
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.iter().map(|column| column.values.len()).sum()
    }

    /// Whether there is no value: never written, or deleted.
    ///
    /// ```
    /// use synod_vclock::DvvSet;
    ///
    /// assert!(DvvSet::<&str, u64>::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| column.values.is_empty())
    }

    /// The siblings themselves, by server and age.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", "bread".to_owned())?;
    /// assert_eq!(set.into_values().collect::<Vec<_>>(), ["bread"]);
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.columns.into_iter().flat_map(|column| column.values)
    }

    /// The same causality over other values.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 2)?;
    /// assert!(set.map(|value| value * 10).values().eq(&[20]));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    #[must_use]
    pub fn map<W>(self, mut change: impl FnMut(V) -> W) -> DvvSet<A, W> {
        let columns = self.columns.into_iter().map(|column| Column {
            actor: column.actor,
            counter: column.counter,
            values: column.values.into_iter().map(&mut change).collect(),
        });
        DvvSet {
            columns: columns.collect(),
        }
    }
}

impl<A: Ord + Clone, V> DvvSet<A, V> {
    /// The causal context of a reader of the siblings, which the client returns with its write.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 1)?;
    /// assert_eq!(set.context(), VersionVector::from_iter([("a", 1)]));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    #[must_use]
    pub fn context(&self) -> VersionVector<A> {
        let entries = self.columns.iter();
        entries
            .map(|column| (column.actor.clone(), column.counter))
            .collect()
    }

    /// The siblings, each with the dot that names its write.
    ///
    /// ```
    /// use synod_vclock::{Dot, DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", "x")?;
    /// assert!(set.iter().eq([(Dot::new("a", 1).unwrap(), &"x")]));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Dot<A>, &V)> {
        self.columns.iter().flat_map(|column| {
            // Where it would overflow, all values are replaced and none is left.
            let counters = column.replaced().saturating_add(1)..=column.counter;
            counters.zip(&column.values).filter_map(|(counter, value)| {
                Some((Dot::new(column.actor.clone(), counter)?, value))
            })
        })
    }

    /// Merges another copy: a value is kept if both have it, or if the other does not know its
    /// write.
    ///
    /// Commutative, associative and idempotent.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let (mut left, mut right) = (DvvSet::new(), DvvSet::new());
    /// left.update(&VersionVector::new(), "l", "from the left")?;
    /// right.update(&VersionVector::new(), "r", "from the right")?;
    /// left.sync(&right);
    /// right.sync(&left);
    /// assert_eq!((left.len(), &left), (2, &right));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn sync(&mut self, other: &Self)
    where
        V: Clone,
    {
        let mut unknown = Vec::new();
        for theirs in &other.columns {
            match self.search(&theirs.actor) {
                Ok(at) => self.columns[at].sync(theirs),
                Err(_) => unknown.push(theirs.clone()),
            }
        }
        self.insert(unknown);
    }

    /// Compares the known writes with those of another copy, regardless of values.
    ///
    /// ```
    /// use synod_vclock::{CausalOrder, DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 1)?;
    /// let copy = set.clone();
    /// set.update(&set.context(), "a", 2)?;
    /// assert_eq!(copy.causal_cmp(&set), CausalOrder::Before);
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    #[must_use]
    pub fn causal_cmp(&self, other: &Self) -> CausalOrder {
        self.context().causal_cmp(&other.context())
    }

    fn search(&self, actor: &A) -> Result<usize, usize> {
        self.columns
            .binary_search_by(|column| column.actor.cmp(actor))
    }

    /// Inserts columns of new actors, ascending, all at once, since inserting one by one would move
    /// the columns after each.
    fn insert(&mut self, columns: Vec<Column<A, V>>) {
        if columns.is_empty() {
            return;
        }
        self.columns.extend(columns);
        // Two ascending runs, which this sort merges.
        self.columns
            .sort_by(|one, other| one.actor.cmp(&other.actor));
    }

    /// The actor's column. The caller must add the first event of a new one.
    fn column_mut(&mut self, actor: &A) -> &mut Column<A, V> {
        let at = self.search(actor).unwrap_or_else(|at| {
            let column = Column {
                actor: actor.clone(),
                counter: 0,
                values: Vec::new(),
            };
            self.columns.insert(at, column);
            at
        });
        &mut self.columns[at]
    }
}

impl<A, V> Column<A, V> {
    /// How many events have been replaced: those before the first one with a value.
    fn replaced(&self) -> u64 {
        debug_assert!(
            self.values.len() as u64 <= self.counter,
            "a value without an event"
        );
        self.counter - self.values.len() as u64
    }

    /// Records the first `known` events as replaced.
    fn discard(&mut self, known: u64) {
        self.drop_values(known);
        self.counter = self.counter.max(known);
    }

    fn sync(&mut self, theirs: &Self)
    where
        V: Clone,
    {
        // Drops what the other side has replaced, and adds what it has beyond our last event.
        self.drop_values(theirs.replaced());
        let beyond = theirs.counter.saturating_sub(self.counter);
        let beyond = usize::try_from(beyond).map_or(theirs.values.len(), |beyond| {
            beyond.min(theirs.values.len())
        });
        let new = &theirs.values[theirs.values.len() - beyond..];
        self.values.extend_from_slice(new);
        self.counter = self.counter.max(theirs.counter);
    }

    /// Drops the values of the first `replaced` events, but keeps the event count.
    fn drop_values(&mut self, replaced: u64) {
        let gone = replaced.saturating_sub(self.replaced());
        let len = self.values.len();
        let gone = usize::try_from(gone).map_or(len, |gone| gone.min(len));
        self.values.drain(..gone);
    }
}

impl<A, V> Default for DvvSet<A, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Columns as triples: actor, counter, values oldest first.
impl<A, V> From<DvvSet<A, V>> for Vec<(A, u64, Vec<V>)> {
    fn from(set: DvvSet<A, V>) -> Self {
        let columns = set.columns.into_iter();
        columns
            .map(|column| (column.actor, column.counter, column.values))
            .collect()
    }
}

/// Triples that are columns: actors ascend, counters are not zero, values are not more than events.
impl<A: Ord, V> TryFrom<Vec<(A, u64, Vec<V>)>> for DvvSet<A, V> {
    type Error = DecodeError;

    fn try_from(triples: Vec<(A, u64, Vec<V>)>) -> Result<Self, DecodeError> {
        let mut columns: Vec<Column<A, V>> = Vec::with_capacity(triples.len());
        for (actor, counter, values) in triples {
            if counter == 0 {
                return Err(DecodeError::ZeroCounter);
            }
            if columns.last().is_some_and(|last| last.actor >= actor) {
                return Err(DecodeError::NotAscending);
            }
            if values.len() as u64 > counter {
                return Err(DecodeError::Inconsistent);
            }
            columns.push(Column {
                actor,
                counter,
                values,
            });
        }
        Ok(Self { columns })
    }
}

/// The number of columns, then of each: actor, counter, number of values, values oldest first.
impl<A: Wire + Ord, V: Wire> Wire for DvvSet<A, V> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.columns.len().encode(out);
        for column in &self.columns {
            column.actor.encode(out);
            column.counter.encode(out);
            column.values.len().encode(out);
            column.values.iter().for_each(|value| value.encode(out));
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let mut triples = Vec::with_capacity(count);
        for _ in 0..count {
            let actor = A::decode(reader)?;
            let counter = u64::decode(reader)?;
            let len = reader.count()?;
            let values = (0..len)
                .map(|_| V::decode(reader))
                .collect::<Result<_, _>>()?;
            triples.push((actor, counter, values));
        }
        Self::try_from(triples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Overflow};

    #[test]
    fn a_counter_ends_and_does_not_wrap() {
        let mut set = DvvSet::new();
        let last = VersionVector::from_iter([('a', u64::MAX)]);
        assert_eq!(set.update_vouched(&last, 'a', "x"), Err(Overflow));
        assert_eq!(set, DvvSet::new());
    }

    #[test]
    fn a_column_at_its_end_may_be_empty() {
        let mut set = DvvSet::<_, u8>::new();
        set.discard_vouched(&VersionVector::from_iter([('a', u64::MAX)]));
        assert_eq!((set.iter().count(), set.len()), (0, 0));
        let read = DvvSet::try_from(alloc::vec![('a', u64::MAX, alloc::vec![])]);
        assert_eq!(read, Ok(set));
    }

    #[test]
    fn each_malformation_has_its_name() {
        type Bytes = DvvSet<u8, u8>;
        let read = |bytes: &[u8]| Bytes::from_bytes(bytes, Limits::default());
        assert_eq!(read(&[1, 7, 0, 0]), Err(DecodeError::ZeroCounter));
        assert_eq!(read(&[1, 7, 1, 2, 5, 5]), Err(DecodeError::Inconsistent));
        assert_eq!(read(&[2, 7, 1, 0, 7, 1, 0]), Err(DecodeError::NotAscending));
        assert_eq!(
            read(&[1, 7, 2, 1, 9]),
            Bytes::try_from(alloc::vec![(7, 2, alloc::vec![9])])
        );
    }
}
