use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{CausalOrder, Dot, Overflow, VersionVector};

/// A version vector for a fixed membership of `N`: an array of counters, indexed by position,
/// compared and joined by code that compiles to vector instructions.
///
/// Use it where the processes are known in advance (the replicas of a group, the threads of a
/// program, the shards of a store), with [`Members`] to map names to positions and convert between
/// the two forms.
///
/// Invariant: counters are at most [`COUNTER_MAX`](Self::COUNTER_MAX), one bit less than they could
/// be. The sign of a difference then tells the order of two counters, and signs can be collected
/// without a branch, on processors without a 64-bit comparison too.
///
/// ```
/// use synod_vclock::{CausalOrder, DenseClock};
///
/// let (mut a, mut b) = (DenseClock::<3>::new(), DenseClock::<3>::new());
/// a.increment(0)?;
/// b.increment(2)?;
/// assert_eq!(a.causal_cmp(&b), CausalOrder::Concurrent);
/// a.join(&b);
/// assert_eq!(a.counters(), &[1, 0, 1]);
/// assert!(b < a);
/// # Ok::<(), synod_vclock::Overflow>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DenseClock<const N: usize> {
    counters: [u64; N],
}

impl<const N: usize> DenseClock<N> {
    /// The greatest counter: 2⁶³ − 1.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// assert_eq!(DenseClock::<3>::COUNTER_MAX, i64::MAX as u64);
    /// ```
    pub const COUNTER_MAX: u64 = COUNTER_MAX;

    /// A clock of zeros.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// assert_eq!(DenseClock::new().counters(), &[0; 3]);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { counters: [0; N] }
    }

    /// With these counters.
    ///
    /// # Errors
    /// [`Overflow`] if one is greater than [`COUNTER_MAX`](Self::COUNTER_MAX).
    ///
    /// ```
    /// use synod_vclock::{DenseClock, Overflow};
    ///
    /// assert_eq!(DenseClock::from_counters([1, 2]).map(|clock| clock.get(1)), Ok(2));
    /// assert_eq!(DenseClock::from_counters([1, u64::MAX]), Err(Overflow));
    /// ```
    pub fn from_counters(counters: [u64; N]) -> Result<Self, Overflow> {
        if counters.iter().any(|counter| *counter > COUNTER_MAX) {
            return Err(Overflow);
        }
        Ok(Self { counters })
    }

    /// The counters by position.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// let clock = DenseClock::from_counters([1, 2])?;
    /// assert_eq!(clock.counters(), &[1, 2]);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub const fn counters(&self) -> &[u64; N] {
        &self.counters
    }

    /// How many events of the member at this position are known.
    ///
    /// # Panics
    /// If there is no such position.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// assert_eq!(DenseClock::from_counters([1, 2])?.get(1), 2);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub const fn get(&self, position: usize) -> u64 {
        self.counters[position]
    }

    /// A new event of the member at this position. Returns its counter.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    ///
    /// # Panics
    /// If there is no such position.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// let mut clock = DenseClock::<2>::new();
    /// assert_eq!((clock.increment(1)?, clock.increment(1)?), (1, 2));
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn increment(&mut self, position: usize) -> Result<u64, Overflow> {
        let counter = &mut self.counters[position];
        if *counter == COUNTER_MAX {
            return Err(Overflow);
        }
        *counter += 1;
        Ok(*counter)
    }

    /// The least upper bound.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// let mut clock = DenseClock::from_counters([3, 1])?;
    /// clock.join(&DenseClock::from_counters([2, 5])?);
    /// assert_eq!(clock.counters(), &[3, 5]);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn join(&mut self, other: &Self) {
        for (own, counter) in self.counters.iter_mut().zip(&other.counters) {
            let ahead = signed_difference(*counter, *own);
            // The difference where it is positive, zero where it is not, without a branch.
            *own += (ahead & !(ahead >> 63)).cast_unsigned();
        }
    }

    /// The greatest lower bound.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// let mut clock = DenseClock::from_counters([3, 1])?;
    /// clock.meet(&DenseClock::from_counters([2, 5])?);
    /// assert_eq!(clock.counters(), &[2, 1]);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn meet(&mut self, other: &Self) {
        for (own, counter) in self.counters.iter_mut().zip(&other.counters) {
            let ahead = signed_difference(*own, *counter);
            *own -= (ahead & !(ahead >> 63)).cast_unsigned();
        }
    }

    /// Compares two histories in at most one pass, which ends after a block of 64 counters once
    /// each is known to be ahead somewhere.
    ///
    /// ```
    /// use synod_vclock::{CausalOrder, DenseClock};
    ///
    /// let clock = DenseClock::from_counters([3, 1])?;
    /// assert_eq!(DenseClock::new().causal_cmp(&clock), CausalOrder::Before);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub fn causal_cmp(&self, other: &Self) -> CausalOrder {
        let (ours, our_rest) = self.counters.as_chunks::<BLOCK>();
        let (theirs, their_rest) = other.counters.as_chunks::<BLOCK>();
        let (mut behind, mut ahead) = (0, 0);
        for (our_block, their_block) in ours.iter().zip(theirs) {
            collect_signs(our_block, their_block, &mut behind, &mut ahead);
            if behind & ahead < 0 {
                return CausalOrder::Concurrent;
            }
        }
        collect_signs(our_rest, their_rest, &mut behind, &mut ahead);
        CausalOrder::of(behind < 0, ahead < 0)
    }

    /// Whether everything that `other` knows is known here.
    ///
    /// ```
    /// use synod_vclock::DenseClock;
    ///
    /// let clock = DenseClock::from_counters([3, 1])?;
    /// assert!(clock.descends(&DenseClock::new()) && clock.descends(&clock));
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub fn descends(&self, other: &Self) -> bool {
        self.causal_cmp(other).descends()
    }
}

/// Collects in the sign bits whether any counter of `ours` is behind or ahead of its counterpart.
#[inline]
fn collect_signs(ours: &[u64], theirs: &[u64], behind: &mut i64, ahead: &mut i64) {
    for (own, counter) in ours.iter().zip(theirs) {
        *behind |= signed_difference(*own, *counter);
        *ahead |= signed_difference(*counter, *own);
    }
}

/// Negative if and only if `a < b`, which needs both to be at most [`COUNTER_MAX`].
#[inline]
const fn signed_difference(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b).cast_signed()
}

impl<const N: usize> Default for DenseClock<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> PartialOrd for DenseClock<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.causal_cmp(other).into()
    }
}

impl<const N: usize> fmt::Debug for DenseClock<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.counters).finish()
    }
}

/// The counters, in order. Their number is in the type and not in the bytes.
impl<const N: usize> Wire for DenseClock<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.counters.iter().for_each(|counter| counter.encode(out));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut counters = [0; N];
        for counter in &mut counters {
            *counter = u64::decode(reader)?;
        }
        Self::from_counters(counters).map_err(|_| DecodeError::OutOfRange)
    }
}

/// The names of the positions of a [`DenseClock`], in ascending order.
///
/// ```
/// use synod_vclock::{Members, NotAMember, VersionVector};
///
/// let members = Members::new(["c", "a", "b"]).unwrap();
/// assert_eq!(members.position(&"b"), Some(1));
///
/// let sparse = VersionVector::from_iter([("a", 2), ("c", 5)]);
/// let dense = members.dense(&sparse)?;
/// assert_eq!(dense.counters(), &[2, 0, 5]);
/// assert_eq!(members.sparse(&dense), sparse);
/// # Ok::<(), synod_vclock::NotAMember>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Members<A, const N: usize> {
    names: [A; N],
}

impl<A: Ord, const N: usize> Members<A, N> {
    /// These members; `None` if one is named twice.
    ///
    /// ```
    /// use synod_vclock::Members;
    ///
    /// assert!(Members::new(["a", "b"]).is_some());
    /// assert!(Members::new(["a", "a"]).is_none());
    /// ```
    #[must_use]
    pub fn new(mut names: [A; N]) -> Option<Self> {
        names.sort_unstable();
        let distinct = names.windows(2).all(|pair| pair[0] < pair[1]);
        distinct.then_some(Self { names })
    }

    /// The names, ascending.
    ///
    /// ```
    /// use synod_vclock::Members;
    ///
    /// assert_eq!(Members::new(["b", "a"]).unwrap().names(), &["a", "b"]);
    /// ```
    #[must_use]
    pub const fn names(&self) -> &[A; N] {
        &self.names
    }

    /// The position of the member's counter.
    ///
    /// ```
    /// use synod_vclock::Members;
    ///
    /// let members = Members::new(["b", "a"]).unwrap();
    /// assert_eq!((members.position(&"b"), members.position(&"z")), (Some(1), None));
    /// ```
    #[must_use]
    pub fn position<Q: Ord + ?Sized>(&self, name: &Q) -> Option<usize>
    where
        A: Borrow<Q>,
    {
        let found = self.names.binary_search_by(|own| own.borrow().cmp(name));
        found.ok()
    }

    /// The dense form of a vector.
    ///
    /// # Errors
    /// [`NotAMember`] if it has an entry without a position: of a non-member, or with a counter
    /// beyond [`DenseClock::COUNTER_MAX`].
    ///
    /// ```
    /// use synod_vclock::{Members, NotAMember, VersionVector};
    ///
    /// let members = Members::new(["a", "b"]).unwrap();
    /// let dense = members.dense(&VersionVector::from_iter([("b", 3)]))?;
    /// assert_eq!(dense.counters(), &[0, 3]);
    /// # Ok::<(), NotAMember>(())
    /// ```
    pub fn dense(&self, vector: &VersionVector<A>) -> Result<DenseClock<N>, NotAMember> {
        let mut counters = [0; N];
        for dot in vector.iter() {
            let position = self.position(&dot.actor).ok_or(NotAMember)?;
            counters[position] = dot.counter.get();
        }
        DenseClock::from_counters(counters).map_err(|_| NotAMember)
    }

    /// The sparse form of a clock.
    ///
    /// ```
    /// use synod_vclock::{DenseClock, Members};
    ///
    /// let members = Members::new(["a", "b"]).unwrap();
    /// let clock = DenseClock::from_counters([0, 3])?;
    /// assert_eq!(members.sparse(&clock).to_string(), "{b:3}");
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub fn sparse(&self, clock: &DenseClock<N>) -> VersionVector<A>
    where
        A: Clone,
    {
        let named = self.names.iter().zip(clock.counters);
        named
            .filter_map(|(name, counter)| Dot::new(name.clone(), counter))
            .collect()
    }
}

/// A vector has an entry that the dense form has no place for.
///
/// ```
/// use synod_vclock::{Members, NotAMember, VersionVector};
///
/// let members = Members::new(["a", "b"]).unwrap();
/// assert_eq!(members.dense(&VersionVector::from_iter([("z", 1)])), Err(NotAMember));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("an entry of no member, or a counter beyond the dense form")]
pub struct NotAMember;

const COUNTER_MAX: u64 = i64::MAX.cast_unsigned();

/// Counters between two checks for early exit: enough for the vector loop, and few enough to detect
/// concurrent clocks early.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Around zero, around the end, and anything between.
    fn counter() -> impl Strategy<Value = u64> {
        prop_oneof![0..3_u64, COUNTER_MAX - 2..=COUNTER_MAX, 0..=COUNTER_MAX]
    }

    fn clocks<const N: usize>() -> impl Strategy<Value = (DenseClock<N>, DenseClock<N>)> {
        let pair = (counter(), counter(), any::<bool>());
        proptest::collection::vec(pair, N).prop_map(|pairs| {
            // Mostly equal entries, so that each order occurs.
            let left = core::array::from_fn(|at| pairs[at].0);
            let right = core::array::from_fn(|at| {
                if pairs[at].2 {
                    pairs[at].0
                } else {
                    pairs[at].1
                }
            });
            let both = [left, right].map(DenseClock::from_counters);
            (both[0].unwrap(), both[1].unwrap())
        })
    }

    fn check<const N: usize>(a: DenseClock<N>, b: DenseClock<N>) -> Result<(), TestCaseError> {
        let pairs = || a.counters.into_iter().zip(b.counters);
        let expected = CausalOrder::of(pairs().any(|(a, b)| a < b), pairs().any(|(a, b)| a > b));
        prop_assert_eq!(a.causal_cmp(&b), expected);
        let (mut join, mut meet) = (a, a);
        join.join(&b);
        meet.meet(&b);
        prop_assert!(pairs().map(|(a, b)| a.max(b)).eq(join.counters));
        prop_assert!(pairs().map(|(a, b)| a.min(b)).eq(meet.counters));
        Ok(())
    }

    proptest! {
        #[test]
        fn a_block_and_a_rest(pair in clocks::<70>()) {
            check(pair.0, pair.1)?;
        }

        #[test]
        fn a_few(pair in clocks::<3>()) {
            check(pair.0, pair.1)?;
        }

        #[test]
        fn one_difference_anywhere(at in 0_usize..200, ahead in any::<bool>()) {
            let mut clock = DenseClock::<200>::new();
            clock.increment(at).unwrap();
            let (a, b) = if ahead { (clock, DenseClock::new()) } else { (DenseClock::new(), clock) };
            check(a, b)?;
        }
    }

    #[test]
    fn a_counter_ends_and_does_not_wrap() {
        let mut clock = DenseClock::from_counters([COUNTER_MAX - 1]).unwrap();
        assert_eq!(clock.increment(0), Ok(COUNTER_MAX));
        assert_eq!(clock.increment(0), Err(Overflow));
        assert_eq!(clock.get(0), COUNTER_MAX);
    }

    #[test]
    fn strangers_and_doubles_have_no_position() {
        assert_eq!(Members::new(["a", "a"]), None);
        let members = Members::new(["a", "b"]).unwrap();
        let stranger = VersionVector::from_iter([("c", 1)]);
        assert_eq!(members.dense(&stranger), Err(NotAMember));
        let beyond = VersionVector::from_iter([("a", u64::MAX)]);
        assert_eq!(members.dense(&beyond), Err(NotAMember));
    }

    #[test]
    fn bytes_are_held_to_the_invariant() {
        let clock = DenseClock::from_counters([1, COUNTER_MAX]).unwrap();
        assert_eq!(
            DenseClock::from_bytes(&clock.to_bytes(), crate::Limits::default()),
            Ok(clock)
        );
        let beyond = [1, u64::MAX]
            .map(|counter: u64| counter.to_bytes())
            .concat();
        assert_eq!(
            DenseClock::<2>::from_bytes(&beyond, crate::Limits::default()),
            Err(DecodeError::OutOfRange)
        );
    }
}
