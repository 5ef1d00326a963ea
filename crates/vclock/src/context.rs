use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::num::NonZeroU64;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{CausalOrder, Dot, Overflow, ReceiveError, VersionVector};

/// An exact set of events, gaps included: a version vector for the contiguous part and a cloud of
/// dots beyond gaps.
///
/// Replicas that send each other single changes instead of whole states (delta CRDTs, Almeida et
/// al. 2018) receive events out of order. A vector cannot represent "the third but not the second";
/// this type can, and becomes a vector again as the gaps close.
///
/// ```
/// use synod_vclock::{CausalContext, Dot};
///
/// let dot = |counter| Dot::new("a", counter).unwrap();
/// let mut context = CausalContext::new();
/// context.insert(dot(1));
/// context.insert(dot(3));
/// assert!(context.contains(&dot(3)) && !context.contains(&dot(2)));
///
/// context.insert(dot(2)); // the gap is closed
/// assert!(context.is_vector());
/// assert_eq!(context.vector().get(&"a"), 3);
/// ```
///
/// Invariant: no dot of the cloud is covered by the vector, and none follows directly on it. Each
/// set of events thus has one representation, and `==` compares sets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CausalContext<A> {
    vector: VersionVector<A>,
    cloud: BTreeSet<Dot<A>>,
}

impl<A> CausalContext<A> {
    /// An empty context.
    ///
    /// ```
    /// use synod_vclock::CausalContext;
    ///
    /// assert!(CausalContext::<u64>::new().is_vector());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            vector: VersionVector::new(),
            cloud: BTreeSet::new(),
        }
    }

    /// The events known without a gap before them.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let context = CausalContext::from_iter([Dot::new("a", 1).unwrap(), Dot::new("b", 9).unwrap()]);
    /// assert_eq!(context.vector().to_string(), "{a:1}");
    /// ```
    #[must_use]
    pub const fn vector(&self) -> &VersionVector<A> {
        &self.vector
    }

    /// The events known beyond a gap, by actor and counter. They are the additional cost over a
    /// vector; callers must bound them for untrusted input.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let context = CausalContext::from_iter([Dot::new("a", 1).unwrap(), Dot::new("b", 9).unwrap()]);
    /// assert!(context.cloud().eq([&Dot::new("b", 9).unwrap()]));
    /// ```
    pub fn cloud(&self) -> impl ExactSizeIterator<Item = &Dot<A>> {
        self.cloud.iter()
    }

    /// Whether there are no gaps.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let context = CausalContext::from_iter([Dot::new("a", 2).unwrap()]);
    /// assert!(!context.is_vector());
    /// ```
    #[must_use]
    pub fn is_vector(&self) -> bool {
        self.cloud.is_empty()
    }
}

impl<A: Ord + Clone> CausalContext<A> {
    /// Whether the event is known.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let dot = Dot::new("a", 2).unwrap();
    /// assert!(CausalContext::from_iter([dot]).contains(&dot));
    /// ```
    #[must_use]
    pub fn contains(&self, dot: &Dot<A>) -> bool {
        self.vector.contains(dot) || self.cloud.contains(dot)
    }

    /// Adds this one event. Returns whether it was new.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let mut context = CausalContext::new();
    /// assert!(context.insert(Dot::new("a", 2).unwrap()));
    /// assert!(!context.insert(Dot::new("a", 2).unwrap()));
    /// ```
    pub fn insert(&mut self, dot: Dot<A>) -> bool {
        if self.contains(&dot) {
            return false;
        }
        if dot.counter.get() == self.vector.get(&dot.actor) + 1 {
            let actor = dot.actor.clone();
            self.vector.include(dot);
            self.close_gaps(&actor);
        } else {
            self.cloud.insert(dot);
        }
        true
    }

    /// Adds a new event of `actor`, later than all known ones, and returns its dot.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let mut context = CausalContext::from_iter([Dot::new("a", 5).unwrap()]);
    /// assert_eq!(context.next_dot("a"), Ok(Dot::new("a", 6).unwrap()));
    /// ```
    pub fn next_dot(&mut self, actor: A) -> Result<Dot<A>, Overflow> {
        let greatest = self.greatest(&actor);
        let counter = greatest
            .checked_add(1)
            .and_then(NonZeroU64::new)
            .ok_or(Overflow)?;
        let dot = Dot { actor, counter };
        self.insert(dot.clone());
        Ok(dot)
    }

    /// Adds all events of `other`.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let dot = |counter| Dot::new("a", counter).unwrap();
    /// let mut context = CausalContext::from_iter([dot(1), dot(3)]);
    /// context.join(&CausalContext::from_iter([dot(2), dot(5)]));
    /// assert_eq!(context, CausalContext::from_iter([dot(1), dot(2), dot(3), dot(5)]));
    /// ```
    pub fn join(&mut self, other: &Self) {
        self.vector.join(&other.vector);
        self.cloud.extend(other.cloud.iter().cloned());
        self.compact();
    }

    /// As [`join`](Self::join), for untrusted input: only `me` makes events of `me`, so a context
    /// that claims more of them than are known here is rejected. This also prevents a hostile context
    /// from exhausting the own counter.
    ///
    /// # Errors
    /// [`ReceiveError::FromOwnFuture`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot, ReceiveError};
    ///
    /// let mut mine = CausalContext::new();
    /// mine.next_dot("me")?;
    /// let forged = CausalContext::from_iter([Dot::new("me", 9).unwrap()]);
    /// let refused = mine.receive(&"me", &forged);
    /// assert_eq!(refused, Err(ReceiveError::FromOwnFuture { claimed: 9, made: 1 }));
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn receive(&mut self, me: &A, other: &Self) -> Result<(), ReceiveError> {
        let (claimed, made) = (other.greatest(me), self.greatest(me));
        if claimed > made {
            return Err(ReceiveError::FromOwnFuture { claimed, made });
        }
        self.join(other);
        Ok(())
    }

    /// Compares the set of known events with another.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, CausalOrder, Dot};
    ///
    /// let dot = |counter| Dot::new("a", counter).unwrap();
    /// let (one, other) = (CausalContext::from_iter([dot(1)]), CausalContext::from_iter([dot(2)]));
    /// assert_eq!(one.causal_cmp(&other), CausalOrder::Concurrent);
    /// ```
    #[must_use]
    pub fn causal_cmp(&self, other: &Self) -> CausalOrder {
        CausalOrder::of(!self.descends(other), !other.descends(self))
    }

    /// Whether every event that `other` knows is known here.
    ///
    /// ```
    /// use synod_vclock::{CausalContext, Dot};
    ///
    /// let dot = |counter| Dot::new("a", counter).unwrap();
    /// let vector = CausalContext::from_iter([dot(1), dot(2)]);
    /// assert!(vector.descends(&CausalContext::from_iter([dot(2)])));
    /// ```
    #[must_use]
    pub fn descends(&self, other: &Self) -> bool {
        // The event after those of the vector is never in the cloud, so a vector can only be
        // covered by the vector.
        self.vector.descends(&other.vector) && other.cloud.iter().all(|dot| self.contains(dot))
    }

    /// The greatest counter known of the actor.
    fn greatest(&self, actor: &A) -> u64 {
        let [first, last] = [NonZeroU64::MIN, NonZeroU64::MAX].map(|counter| Dot {
            actor: actor.clone(),
            counter,
        });
        let beyond = self.cloud.range(first..=last).next_back();
        beyond.map_or_else(|| self.vector.get(actor), |dot| dot.counter.get())
    }

    /// Moves dots of `actor` that follow on its vector out of the cloud.
    fn close_gaps(&mut self, actor: &A) {
        while let Some(counter) = self
            .vector
            .get(actor)
            .checked_add(1)
            .and_then(NonZeroU64::new)
        {
            let next = Dot {
                actor: actor.clone(),
                counter,
            };
            if !self.cloud.remove(&next) {
                break;
            }
            self.vector.include(next);
        }
    }

    /// Restores the invariant for all actors, in one pass, since the dots of an actor are sorted.
    fn compact(&mut self) {
        let vector = &self.vector;
        let mut risen = Vec::<Dot<A>>::new();
        self.cloud.retain(|dot| {
            let last = risen.last_mut().filter(|last| last.actor == dot.actor);
            let covered = match &last {
                Some(last) => last.counter.get(),
                None => vector.get(&dot.actor),
            };
            if dot.counter.get() - 1 != covered {
                return dot.counter.get() > covered;
            }
            match last {
                Some(last) => last.counter = dot.counter,
                None => risen.push(dot.clone()),
            }
            false
        });
        self.vector.extend(risen);
    }
}

impl<A: Ord + Clone> CausalContext<A> {
    /// The events of a vector and of further dots, in whatever form.
    pub(crate) fn from_parts(vector: VersionVector<A>, cloud: Vec<Dot<A>>) -> Self {
        let cloud = cloud.into_iter().collect();
        let mut context = Self { vector, cloud };
        context.compact();
        context
    }
}

impl<A: Ord + Clone> From<VersionVector<A>> for CausalContext<A> {
    fn from(vector: VersionVector<A>) -> Self {
        Self {
            vector,
            cloud: BTreeSet::new(),
        }
    }
}

impl<A: Ord + Clone> FromIterator<Dot<A>> for CausalContext<A> {
    fn from_iter<I: IntoIterator<Item = Dot<A>>>(dots: I) -> Self {
        let mut context = Self::new();
        context.extend(dots);
        context
    }
}

/// As [`insert`](CausalContext::insert) for each, in one go.
impl<A: Ord + Clone> Extend<Dot<A>> for CausalContext<A> {
    fn extend<I: IntoIterator<Item = Dot<A>>>(&mut self, dots: I) {
        self.cloud.extend(dots);
        self.compact();
    }
}

impl<A: Ord + Clone> PartialOrd for CausalContext<A> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.causal_cmp(other).into()
    }
}

impl<A> Default for CausalContext<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: fmt::Debug> fmt::Debug for CausalContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cloud = self.cloud.iter().map(|dot| (&dot.actor, dot.counter));
        f.debug_struct("CausalContext")
            .field("vector", &self.vector)
            .field("cloud", &cloud.collect::<Vec<_>>())
            .finish()
    }
}

/// The vector, then the number of dots in the cloud and the dots, ascending.
impl<A: Wire + Ord + Clone> Wire for CausalContext<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.vector.encode(out);
        self.cloud.len().encode(out);
        self.cloud.iter().for_each(|dot| dot.encode(out));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let vector = VersionVector::decode(reader)?;
        let count = reader.count()?;
        let mut cloud = BTreeSet::new();
        for _ in 0..count {
            let dot = Dot::decode(reader)?;
            if cloud.last().is_some_and(|last| *last >= dot) {
                return Err(DecodeError::NotAscending);
            }
            if dot.counter.get() - 1 <= vector.get(&dot.actor) {
                return Err(DecodeError::NotCanonical);
            }
            cloud.insert(dot);
        }
        Ok(Self { vector, cloud })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use proptest::prelude::*;

    type Dots = BTreeSet<Dot<u8>>;

    fn dots() -> impl Strategy<Value = Dots> {
        let dot =
            (0_u8..3, 1_u64..7).prop_map(|(actor, counter)| Dot::new(actor, counter).unwrap());
        proptest::collection::btree_set(dot, 0..14)
    }

    fn all_dots() -> impl Iterator<Item = Dot<u8>> {
        (0..3).flat_map(|actor| (1..8).map(move |counter| Dot::new(actor, counter).unwrap()))
    }

    fn known(context: &CausalContext<u8>) -> Dots {
        all_dots().filter(|dot| context.contains(dot)).collect()
    }

    proptest! {
        /// The theorem of the type: it is the set of its dots.
        #[test]
        fn a_context_is_its_set_of_events(a in dots(), b in dots()) {
            let (one, other) = (CausalContext::from_iter(a.clone()), CausalContext::from_iter(b.clone()));
            prop_assert_eq!(known(&one), a.clone());
            let mut join = one.clone();
            join.join(&other);
            prop_assert_eq!(known(&join), &a | &b);
            prop_assert_eq!(one.descends(&other), b.is_subset(&a));
            prop_assert_eq!(one.causal_cmp(&other), CausalOrder::of(!b.is_subset(&a), !a.is_subset(&b)));
            prop_assert_eq!(one == other, a == b);
        }

        #[test]
        fn the_way_does_not_matter(a in dots(), shuffled in Just(()).prop_perturb(|(), rng| rng)) {
            let mut order = a.iter().copied().collect::<Vec<_>>();
            let mut rng = shuffled;
            for at in (1..order.len()).rev() {
                order.swap(at, (rng.random::<u32>() as usize) % (at + 1));
            }
            let mut one_by_one = CausalContext::new();
            for dot in order {
                prop_assert!(one_by_one.insert(dot));
            }
            prop_assert_eq!(&one_by_one, &CausalContext::from_iter(a));
            let bytes = one_by_one.to_bytes();
            prop_assert_eq!(CausalContext::from_bytes(&bytes, Limits::default()), Ok(one_by_one));
        }
    }

    #[test]
    fn the_last_event_of_all_does_not_wrap() {
        let last = Dot::new("a", u64::MAX).unwrap();
        let mut context = CausalContext::from(VersionVector::from_iter([last]));
        assert!(!context.insert(last));
        assert_eq!(context.next_dot("a"), Err(Overflow));
        let mut cloud = CausalContext::from_iter([last]);
        assert_eq!(cloud.next_dot("a"), Err(Overflow));
        assert!(context.descends(&cloud) && !cloud.descends(&context));
    }

    #[test]
    fn bytes_in_another_form_are_refused() {
        // A vector of one entry, and a dot that follows on it.
        let loose = [1, 7, 1, 1, 7, 2];
        assert_eq!(
            CausalContext::<u8>::from_bytes(&loose, Limits::default()),
            Err(DecodeError::NotCanonical)
        );
    }
}
