//! Iterators over the entries of a version vector.

use alloc::vec;
use core::array;
use core::fmt;
use core::iter::{Chain, Flatten, FusedIterator};
use core::slice;

use crate::entries::{Entries, INLINE_MAX, Slot};
use crate::{Dot, VersionVector};

/// The greatest dot of each actor, by actor: [`VersionVector::iter`].
///
/// ```
/// use synod_vclock::VersionVector;
///
/// let vector = VersionVector::from_iter([("b", 1), ("a", 2)]);
/// let mut names = Vec::new();
/// for dot in &vector {
///     names.push(dot.actor);
/// }
/// assert_eq!((names, vector.iter().len()), (vec!["a", "b"], 2));
/// ```
pub struct Iter<'a, A> {
    /// None of them is empty.
    slots: slice::Iter<'a, Slot<A>>,
}

impl<'a, A> Iter<'a, A> {
    pub(crate) fn new(slots: &'a [Slot<A>]) -> Self {
        Self {
            slots: slots.iter(),
        }
    }
}

impl<'a, A> Iterator for Iter<'a, A> {
    type Item = &'a Dot<A>;

    #[inline]
    fn next(&mut self) -> Option<&'a Dot<A>> {
        self.slots.next()?.as_ref()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl<A> DoubleEndedIterator for Iter<'_, A> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.slots.next_back()?.as_ref()
    }
}

impl<A> ExactSizeIterator for Iter<'_, A> {}

impl<A> FusedIterator for Iter<'_, A> {}

// A derived implementation would require it of the actors.
impl<A> Clone for Iter<'_, A> {
    fn clone(&self) -> Self {
        Self {
            slots: self.slots.clone(),
        }
    }
}

impl<A: fmt::Debug> fmt::Debug for Iter<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The greatest dot of each actor, by actor, given away with its name.
///
/// ```
/// use synod_vclock::VersionVector;
///
/// let vector = VersionVector::from_iter([("a".to_owned(), 2)]);
/// let names: Vec<String> = vector.into_iter().map(|dot| dot.actor).collect();
/// assert_eq!(names, ["a"]);
/// ```
#[derive(Clone, Debug)]
pub struct IntoIter<A> {
    /// One of the two is empty.
    dots: Chain<Few<A>, Many<A>>,
}

type Few<A> = Flatten<array::IntoIter<Slot<A>, INLINE_MAX>>;

type Many<A> = Flatten<vec::IntoIter<Slot<A>>>;

impl<A> IntoIter<A> {
    pub(crate) fn new(entries: Entries<A>) -> Self {
        let (few, many) = entries.into_slots();
        Self {
            dots: few.into_iter().flatten().chain(many.into_iter().flatten()),
        }
    }
}

impl<A> Iterator for IntoIter<A> {
    type Item = Dot<A>;

    fn next(&mut self) -> Option<Dot<A>> {
        self.dots.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.dots.size_hint()
    }
}

impl<A> DoubleEndedIterator for IntoIter<A> {
    fn next_back(&mut self) -> Option<Dot<A>> {
        self.dots.next_back()
    }
}

impl<A> FusedIterator for IntoIter<A> {}

impl<A> IntoIterator for VersionVector<A> {
    type Item = Dot<A>;
    type IntoIter = IntoIter<A>;

    fn into_iter(self) -> IntoIter<A> {
        IntoIter::new(self.into_entries())
    }
}

impl<'a, A> IntoIterator for &'a VersionVector<A> {
    type Item = &'a Dot<A>;
    type IntoIter = Iter<'a, A>;

    fn into_iter(self) -> Iter<'a, A> {
        self.iter()
    }
}

/// Zeros are left out, and of an actor that comes more than once the greatest counter counts.
impl<A: Ord> FromIterator<(A, u64)> for VersionVector<A> {
    fn from_iter<I: IntoIterator<Item = (A, u64)>>(entries: I) -> Self {
        let mut vector = Self::new();
        vector.extend(entries);
        vector
    }
}

/// Includes each event and the earlier ones of its actor.
impl<A: Ord> FromIterator<Dot<A>> for VersionVector<A> {
    fn from_iter<I: IntoIterator<Item = Dot<A>>>(dots: I) -> Self {
        let mut vector = Self::new();
        vector.extend(dots);
        vector
    }
}

/// As [`include`](VersionVector::include) for each, in one go.
impl<A: Ord> Extend<Dot<A>> for VersionVector<A> {
    fn extend<I: IntoIterator<Item = Dot<A>>>(&mut self, dots: I) {
        self.entries_mut().extend(dots);
    }
}

/// As [`include`](VersionVector::include) for each that is not zero, in one go.
impl<A: Ord> Extend<(A, u64)> for VersionVector<A> {
    fn extend<I: IntoIterator<Item = (A, u64)>>(&mut self, entries: I) {
        let entries = entries.into_iter();
        self.extend(entries.filter_map(|(actor, counter)| Dot::new(actor, counter)));
    }
}
