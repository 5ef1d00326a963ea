use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

use crate::iter::Iter;
use crate::{CausalOrder, Dot};

/// The entries of a sparse vector: the greatest dot of each actor, stored inline while they are
/// few.
///
/// Invariants, asserted in debug builds:
/// - actors ascend and none stands twice, so equal vectors are equal entry by entry;
/// - no slot within the length is empty. The emptiness of the others costs nothing: a counter is
///   never zero, and an empty slot is stored as that zero.
///
/// Empty slots make both representations possible in safe code: entries are moved by swaps, without
/// requiring actors to have a default.
#[derive(Clone)]
pub(crate) struct Entries<A> {
    storage: Storage<A>,
}

pub(crate) type Slot<A> = Option<Dot<A>>;

#[derive(Clone)]
enum Storage<A> {
    Inline {
        len: u8,
        slots: [Slot<A>; INLINE_MAX],
    },
    Heap(Vec<Slot<A>>),
}

impl<A> Entries<A> {
    pub(crate) const fn new() -> Self {
        Self {
            storage: Storage::Inline {
                len: 0,
                slots: [const { None }; INLINE_MAX],
            },
        }
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        if capacity <= INLINE_MAX {
            return Self::new();
        }
        Self {
            storage: Storage::Heap(Vec::with_capacity(capacity)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots().len()
    }

    pub(crate) fn iter(&self) -> Iter<'_, A> {
        Iter::new(self.slots())
    }

    /// The slots in place, empty if they are on the heap, and those on the heap.
    pub(crate) fn into_slots(self) -> ([Slot<A>; INLINE_MAX], Vec<Slot<A>>) {
        match self.storage {
            Storage::Inline { slots, .. } => (slots, Vec::new()),
            Storage::Heap(slots) => ([const { None }; INLINE_MAX], slots),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.storage, Storage::Inline { .. })
    }

    fn slots(&self) -> &[Slot<A>] {
        match &self.storage {
            Storage::Inline { len, slots } => &slots[..usize::from(*len)],
            Storage::Heap(slots) => slots,
        }
    }

    fn slots_mut(&mut self) -> &mut [Slot<A>] {
        match &mut self.storage {
            Storage::Inline { len, slots } => &mut slots[..usize::from(*len)],
            Storage::Heap(slots) => slots,
        }
    }

    /// Appends empty slots up to a length of `total`; the caller fills them.
    fn grow(&mut self, total: usize) {
        match &mut self.storage {
            Storage::Inline { len, .. } if total <= INLINE_MAX => {
                *len = u8::try_from(total).expect("at most INLINE_MAX");
            }
            Storage::Inline { len, slots } => {
                let mut heap = Vec::with_capacity(total.max(2 * INLINE_MAX));
                heap.extend(slots[..usize::from(*len)].iter_mut().map(Option::take));
                heap.resize_with(total, || None);
                self.storage = Storage::Heap(heap);
            }
            Storage::Heap(slots) => slots.resize_with(total, || None),
        }
    }

    fn truncate(&mut self, total: usize) {
        match &mut self.storage {
            Storage::Inline { len, slots } => {
                slots[total..usize::from(*len)].fill_with(|| None);
                *len = u8::try_from(total).expect("at most INLINE_MAX");
            }
            Storage::Heap(slots) => slots.truncate(total),
        }
    }
}

impl<A: Ord> Entries<A> {
    pub(crate) fn find<Q: Ord + ?Sized>(&self, actor: &Q) -> Option<&Dot<A>>
    where
        A: Borrow<Q>,
    {
        let at = self.search(actor).ok()?;
        self.slots()[at].as_ref()
    }

    pub(crate) fn find_mut(&mut self, actor: &A) -> Option<&mut Dot<A>> {
        let at = self.search(actor).ok()?;
        self.slots_mut()[at].as_mut()
    }

    /// Adds the dot of an actor that has none, or raises the one it has.
    pub(crate) fn raise(&mut self, dot: Dot<A>) {
        match self.search(&dot.actor) {
            Ok(at) => {
                if let Some(own) = &mut self.slots_mut()[at] {
                    own.counter = own.counter.max(dot.counter);
                }
            }
            Err(at) => {
                let len = self.len();
                self.grow(len + 1);
                let slots = self.slots_mut();
                slots[len] = Some(dot);
                slots[at..].rotate_right(1);
            }
        }
    }

    /// Raises many. What comes in ascending order is appended; the rest is merged by sorting, since
    /// inserting one by one would move the entries after each.
    pub(crate) fn extend(&mut self, dots: impl IntoIterator<Item = Dot<A>>) {
        let mut dots = dots.into_iter();
        while let Some(dot) = dots.next() {
            let last = self.slots().last().and_then(Option::as_ref);
            let follows = last.is_none_or(|last| last.actor <= dot.actor);
            if !follows && self.len() > FEW_MAX {
                return self.sort_in(dot, dots);
            }
            self.raise(dot);
        }
    }

    fn sort_in(&mut self, first: Dot<A>, rest: impl Iterator<Item = Dot<A>>) {
        let (few, mut slots) = core::mem::replace(self, Self::new()).into_slots();
        slots.extend(few.into_iter().filter(Option::is_some));
        slots.push(Some(first));
        slots.extend(rest.map(Some));
        // By actor, then by counter; it finds the runs that are in order already.
        slots.sort();
        slots.dedup_by(|next, kept| {
            let same =
                matches!((&*next, &*kept), (Some(next), Some(kept)) if next.actor == kept.actor);
            if same {
                core::mem::swap(next, kept);
            }
            same
        });
        self.storage = Storage::Heap(slots);
        self.assert_invariants();
    }

    /// Appends a dot whose actor is greater than all; `false`, and nothing done, if it is not.
    #[must_use]
    pub(crate) fn push(&mut self, dot: Dot<A>) -> bool {
        let len = self.len();
        if let Some(Some(last)) = self.slots().last()
            && last.actor >= dot.actor
        {
            return false;
        }
        self.grow(len + 1);
        self.slots_mut()[len] = Some(dot);
        true
    }

    /// The greater counter of each actor.
    pub(crate) fn join(&mut self, other: &Self)
    where
        A: Clone,
    {
        let missing = self.raise_shared(other);
        if missing == 0 {
            return;
        }
        // From the end, so that each own entry moves once and nothing is overwritten.
        let mut read = self.len();
        let mut write = read + missing;
        self.grow(write);
        let slots = self.slots_mut();
        for dot in other.iter().rev() {
            while read > 0 && slots[read - 1].as_ref().map(|own| &own.actor) > Some(&dot.actor) {
                (read, write) = (read - 1, write - 1);
                slots.swap(read, write);
            }
            write -= 1;
            if read > 0 && slots[read - 1].as_ref().map(|own| &own.actor) == Some(&dot.actor) {
                read -= 1;
                slots.swap(read, write);
            } else {
                slots[write] = Some(dot.clone());
            }
        }
        self.assert_invariants();
    }

    /// Raises the counters of actors that stand in both, and counts those only `other` has.
    fn raise_shared(&mut self, other: &Self) -> usize {
        let slots = self.slots_mut();
        let (mut at, mut missing) = (0, 0);
        for dot in other.iter() {
            loop {
                let Some(Some(own)) = slots.get_mut(at) else {
                    missing += 1;
                    break;
                };
                match own.actor.cmp(&dot.actor) {
                    Ordering::Less => at += 1,
                    Ordering::Equal => {
                        own.counter = own.counter.max(dot.counter);
                        at += 1;
                        break;
                    }
                    Ordering::Greater => {
                        missing += 1;
                        break;
                    }
                }
            }
        }
        missing
    }

    /// The smaller counter of each actor; one that stands in only one of them is left out.
    pub(crate) fn meet(&mut self, other: &Self) {
        let mut theirs = other.iter().peekable();
        let mut kept = 0;
        let slots = self.slots_mut();
        for at in 0..slots.len() {
            let Some(own) = &mut slots[at] else { continue };
            while theirs.next_if(|dot| dot.actor < own.actor).is_some() {}
            if let Some(dot) = theirs.next_if(|dot| dot.actor == own.actor) {
                own.counter = own.counter.min(dot.counter);
                slots.swap(kept, at);
                kept += 1;
            }
        }
        self.truncate(kept);
        self.assert_invariants();
    }

    /// Keeps the entries for which `keep` returns true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Dot<A>) -> bool) {
        let mut kept = 0;
        let slots = self.slots_mut();
        for at in 0..slots.len() {
            if slots[at].as_ref().is_some_and(&mut keep) {
                slots.swap(kept, at);
                kept += 1;
            }
        }
        self.truncate(kept);
        self.assert_invariants();
    }

    /// One pass over both, which ends soon after they are known to be concurrent.
    ///
    /// Compared vectors usually have the same actors. Blocks that do are compared without a branch
    /// per entry; other blocks are merged like two sorted lists.
    pub(crate) fn causal_cmp(&self, other: &Self) -> CausalOrder {
        let (mut ours, mut theirs) = (self.slots(), other.slots());
        let (mut behind, mut ahead) = (false, false);
        loop {
            if ours.is_empty() || theirs.is_empty() || (behind && ahead) {
                return CausalOrder::of(behind || !theirs.is_empty(), ahead || !ours.is_empty());
            }
            let len = BLOCK.min(ours.len()).min(theirs.len());
            let (our_block, their_block) = (&ours[..len], &theirs[..len]);
            let aligned = compare_aligned(our_block, their_block, &mut behind, &mut ahead);
            (ours, theirs) = (&ours[aligned..], &theirs[aligned..]);
            if aligned == len {
                continue;
            }
            for _ in 0..BLOCK {
                let ([Some(own), our_rest @ ..], [Some(dot), their_rest @ ..]) = (ours, theirs)
                else {
                    break;
                };
                let order = own.actor.cmp(&dot.actor);
                if order.is_le() {
                    ours = our_rest;
                    ahead |= order.is_lt() || own.counter > dot.counter;
                }
                if order.is_ge() {
                    theirs = their_rest;
                    behind |= order.is_gt() || own.counter < dot.counter;
                }
            }
        }
    }

    /// Whether every dot of `other` is covered; cheaper than the full order.
    pub(crate) fn descends(&self, other: &Self) -> bool {
        let mut ours = self.slots();
        other.len() <= ours.len()
            && other.iter().all(|dot| {
                while let [Some(own), rest @ ..] = ours {
                    ours = rest;
                    match own.actor.cmp(&dot.actor) {
                        Ordering::Less => {}
                        Ordering::Equal => return own.counter >= dot.counter,
                        Ordering::Greater => return false,
                    }
                }
                false
            })
    }

    fn search<Q: Ord + ?Sized>(&self, actor: &Q) -> Result<usize, usize>
    where
        A: Borrow<Q>,
    {
        self.slots().binary_search_by(|slot| match slot {
            Some(dot) => dot.actor.borrow().cmp(actor),
            None => Ordering::Greater,
        })
    }

    fn assert_invariants(&self) {
        debug_assert!(
            self.slots().iter().all(Option::is_some),
            "a slot within the length is empty"
        );
        debug_assert!(
            self.iter()
                .zip(self.iter().skip(1))
                .all(|(one, next)| one.actor < next.actor),
            "actors do not ascend"
        );
    }
}

/// Compares counters while the actors are the same on both sides. Returns the length of that
/// prefix.
fn compare_aligned<A: PartialEq>(
    ours: &[Slot<A>],
    theirs: &[Slot<A>],
    behind: &mut bool,
    ahead: &mut bool,
) -> usize {
    for (at, slots) in ours.iter().zip(theirs).enumerate() {
        let (Some(own), Some(dot)) = slots else {
            return at;
        };
        if own.actor != dot.actor {
            return at;
        }
        *behind |= own.counter < dot.counter;
        *ahead |= own.counter > dot.counter;
    }
    ours.len()
}

impl<A: PartialEq> PartialEq for Entries<A> {
    fn eq(&self, other: &Self) -> bool {
        self.slots() == other.slots()
    }
}

impl<A: Eq> Eq for Entries<A> {}

impl<A: Hash> Hash for Entries<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.slots().hash(state);
    }
}

/// Entries between two checks for early exit.
const BLOCK: usize = 32;

/// Most objects are written by a handful of actors: up to here a vector allocates nothing.
pub(crate) const INLINE_MAX: usize = 8;

/// Up to so many entries, moving those behind a new one is cheaper than sorting.
const FEW_MAX: usize = 64;

#[cfg(test)]
mod tests;
