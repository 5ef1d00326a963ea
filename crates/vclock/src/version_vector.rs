use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::num::NonZeroU64;
use core::ops::RangeInclusive;

use crate::codec::{DecodeError, Reader, Wire};
use crate::entries::Entries;
use crate::iter::Iter;
use crate::{CausalOrder, Dot, Overflow};

/// The number of known events of each actor: a causal history without gaps, with one counter per
/// actor.
///
/// It serves replicated objects (version vectors, Parker et al. 1983) and, together with an owner,
/// processes ([`VectorClock`](crate::VectorClock)). An absent actor has a counter of zero; explicit
/// zero entries do not exist, not even after decoding.
///
/// Up to eight actors are stored in place: a vector of `u64` actors has 136 bytes, of `String` actors
/// 264, and one with more actors an allocation besides, with a slot for each. It is [`PartialOrd`] and
/// never `Ord`: a total order would misrepresent concurrent histories.
///
/// ```
/// use synod_vclock::{CausalOrder, VersionVector};
///
/// let mut mine = VersionVector::new();
/// mine.increment("a")?;
/// let mut theirs = mine.clone();
/// theirs.increment("b")?;
/// assert!(mine < theirs); // theirs has seen mine
///
/// mine.increment("a")?;
/// assert_eq!(mine.causal_cmp(&theirs), CausalOrder::Concurrent);
///
/// mine.join(&theirs);
/// assert_eq!(mine.to_string(), "{a:2, b:1}");
/// assert!(mine.descends(&theirs));
/// # Ok::<(), synod_vclock::Overflow>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VersionVector<A> {
    entries: Entries<A>,
}

impl<A> VersionVector<A> {
    /// An empty history.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// assert!(VersionVector::<u64>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Entries::new(),
        }
    }

    /// How many actors have made an event.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// assert_eq!(VersionVector::from_iter([("a", 2), ("b", 0)]).len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the history is empty.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// assert!(VersionVector::from_iter([("a", 0)]).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn into_entries(self) -> Entries<A> {
        self.entries
    }

    pub(crate) const fn entries_mut(&mut self) -> &mut Entries<A> {
        &mut self.entries
    }

    pub(crate) const fn from_entries(entries: Entries<A>) -> Self {
        Self { entries }
    }

    /// The greatest dot of each actor, by actor.
    ///
    /// ```
    /// use synod_vclock::{Dot, VersionVector};
    ///
    /// let vector = VersionVector::from_iter([("b", 1), ("a", 2)]);
    /// let dots: Vec<_> = vector.iter().copied().collect();
    /// assert_eq!(dots, [Dot::new("a", 2).unwrap(), Dot::new("b", 1).unwrap()]);
    /// ```
    pub fn iter(&self) -> Iter<'_, A> {
        self.entries.iter()
    }
}

impl<A: Ord> VersionVector<A> {
    /// How many events of the actor are known.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// let vector = VersionVector::from_iter([("a".to_owned(), 2)]);
    /// assert_eq!((vector.get("a"), vector.get("b")), (2, 0));
    /// ```
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, actor: &Q) -> u64
    where
        A: Borrow<Q>,
    {
        self.entries.find(actor).map_or(0, |dot| dot.counter.get())
    }

    /// How many events are known in all. An earlier history has a smaller sum, so sorting by it puts
    /// causes first: [`causal_sort`](crate::causal_sort).
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// assert_eq!(VersionVector::from_iter([("a", 2), ("b", 3)]).event_count(), 5);
    /// ```
    #[must_use]
    pub fn event_count(&self) -> u128 {
        self.iter().map(|dot| u128::from(dot.counter.get())).sum()
    }

    /// Whether this event is known.
    ///
    /// ```
    /// use synod_vclock::{Dot, VersionVector};
    ///
    /// let vector = VersionVector::from_iter([("a", 2)]);
    /// assert!(vector.contains(&Dot::new("a", 1).unwrap()));
    /// assert!(!vector.contains(&Dot::new("a", 3).unwrap()));
    /// ```
    #[must_use]
    pub fn contains(&self, dot: &Dot<A>) -> bool {
        self.get(&dot.actor) >= dot.counter.get()
    }

    /// Adds a new event of `actor`, and returns its dot.
    ///
    /// # Errors
    /// [`Overflow`] if its counter is at its maximum; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{Dot, VersionVector};
    ///
    /// let mut vector = VersionVector::new();
    /// assert_eq!(vector.increment("a"), Ok(Dot::new("a", 1).unwrap()));
    /// assert_eq!(vector.increment("a"), Ok(Dot::new("a", 2).unwrap()));
    /// ```
    pub fn increment(&mut self, actor: A) -> Result<Dot<A>, Overflow>
    where
        A: Clone,
    {
        if let Some(own) = self.entries.find_mut(&actor) {
            own.counter = own.counter.checked_add(1).ok_or(Overflow)?;
            return Ok(own.clone());
        }
        let first = Dot {
            actor,
            counter: NonZeroU64::MIN,
        };
        self.entries.raise(first.clone());
        Ok(first)
    }

    /// Includes an event and all earlier ones of its actor.
    ///
    /// A vector cannot represent "the third but not the second": use a
    /// [`CausalContext`](crate::CausalContext) for that.
    ///
    /// ```
    /// use synod_vclock::{Dot, VersionVector};
    ///
    /// let mut vector = VersionVector::new();
    /// vector.include(Dot::new("a", 3).unwrap());
    /// vector.include(Dot::new("a", 1).unwrap());
    /// assert_eq!(vector.get(&"a"), 3);
    /// ```
    pub fn include(&mut self, dot: Dot<A>) {
        self.entries.raise(dot);
    }

    /// The least upper bound: adds everything in `other`.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// let mut vector = VersionVector::from_iter([("a", 2), ("b", 1)]);
    /// vector.join(&VersionVector::from_iter([("b", 3), ("c", 1)]));
    /// assert_eq!(vector, VersionVector::from_iter([("a", 2), ("b", 3), ("c", 1)]));
    /// ```
    pub fn join(&mut self, other: &Self)
    where
        A: Clone,
    {
        self.entries.join(&other.entries);
    }

    /// The greatest lower bound: keeps what both include.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// let mut vector = VersionVector::from_iter([("a", 2), ("b", 1)]);
    /// vector.meet(&VersionVector::from_iter([("b", 3), ("c", 1)]));
    /// assert_eq!(vector, VersionVector::from_iter([("b", 1)]));
    /// ```
    pub fn meet(&mut self, other: &Self) {
        self.entries.meet(&other.entries);
    }

    /// Compares two histories, in one pass over both.
    ///
    /// ```
    /// use synod_vclock::{CausalOrder, VersionVector};
    ///
    /// let early = VersionVector::from_iter([("a", 1)]);
    /// let late = VersionVector::from_iter([("a", 2), ("b", 1)]);
    /// assert_eq!(early.causal_cmp(&late), CausalOrder::Before);
    /// ```
    #[must_use]
    pub fn causal_cmp(&self, other: &Self) -> CausalOrder {
        self.entries.causal_cmp(&other.entries)
    }

    /// Whether everything that `other` knows is known here. A history descends from itself.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// let vector = VersionVector::from_iter([("a", 2)]);
    /// assert!(vector.descends(&vector) && vector.descends(&VersionVector::new()));
    /// ```
    #[must_use]
    pub fn descends(&self, other: &Self) -> bool {
        self.entries.descends(&other.entries)
    }

    /// The events known here and not in `other`, as ranges of counters: what to send to a replica
    /// with that vector.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// let mine = VersionVector::from_iter([("a", 5), ("b", 1)]);
    /// let theirs = VersionVector::from_iter([("a", 2), ("b", 7)]);
    /// let unknown: Vec<_> = mine.difference(&theirs).collect();
    /// assert_eq!(unknown, [(&"a", 3..=5)]);
    /// ```
    pub fn difference(&self, other: &Self) -> impl Iterator<Item = (&A, RangeInclusive<u64>)> {
        self.iter().filter_map(|dot| {
            let known = other.get(&dot.actor);
            (known < dot.counter.get()).then(|| (&dot.actor, known + 1..=dot.counter.get()))
        })
    }

    /// Keeps the entries for which `keep` returns true, and drops the others with all their events.
    ///
    /// Afterwards the vector compares as if it had never included them, which is wrong if another
    /// copy still does. [`Pruned`](crate::Pruned) keeps track of that.
    ///
    /// ```
    /// use synod_vclock::VersionVector;
    ///
    /// let mut vector = VersionVector::from_iter([("a", 5), ("gone", 1)]);
    /// vector.retain(|dot| dot.actor != "gone");
    /// assert_eq!(vector.to_string(), "{a:5}");
    /// ```
    pub fn retain(&mut self, keep: impl FnMut(&Dot<A>) -> bool) {
        self.entries.retain(keep);
    }
}

impl<A: Ord> PartialOrd for VersionVector<A> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.causal_cmp(other).into()
    }
}

impl<A> Default for VersionVector<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: fmt::Debug> fmt::Debug for VersionVector<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.iter().map(|dot| (&dot.actor, dot.counter));
        f.debug_map().entries(entries).finish()
    }
}

impl<A: fmt::Display> fmt::Display for VersionVector<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, dot) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{dot}")?;
        }
        f.write_str("}")
    }
}

/// The number of entries, then actor and counter of each, actors ascending, counters not zero.
impl<A: Wire + Ord> Wire for VersionVector<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len().encode(out);
        self.iter().for_each(|dot| dot.encode(out));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let mut entries = Entries::with_capacity(count);
        for _ in 0..count {
            if !entries.push(Dot::decode(reader)?) {
                return Err(DecodeError::NotAscending);
            }
        }
        Ok(Self { entries })
    }
}
