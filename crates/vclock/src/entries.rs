use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

use crate::{CausalOrder, Dot};

/// The entries of a sparse vector: the greatest dot of each actor, in place while they are few.
///
/// Invariants, asserted in debug builds:
/// - actors ascend and none stands twice, so equal vectors are equal entry by entry;
/// - no slot within the length is empty. The emptiness of the others costs nothing: a counter is
///   never zero, and an empty slot is stored as that zero.
///
/// Slots that can be emptied are what makes both halves safe code: entries are moved by swaps, and
/// nothing asks an actor for a default.
#[derive(Clone)]
pub(crate) struct Entries<A> {
    storage: Storage<A>,
}

type Slot<A> = Option<Dot<A>>;

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

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Dot<A>> + Clone {
        self.slots().iter().flatten()
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
    pub(crate) fn find(&self, actor: &A) -> Option<&Dot<A>> {
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

    /// Keeps the entries that `keep` wants.
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
    /// Vectors that are compared mostly name the same actors, so blocks that do are compared without
    /// a branch an entry; where a block does not, both are walked like two sorted lists.
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

    fn search(&self, actor: &A) -> Result<usize, usize> {
        self.slots().binary_search_by(|slot| match slot {
            Some(dot) => dot.actor.cmp(actor),
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

/// Compares counters while the actors are the same on both sides. Returns how far that was.
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

/// Entries between two looks at whether the answer is known.
const BLOCK: usize = 32;

/// Most objects are written by a handful of actors: up to here a vector allocates nothing.
pub(crate) const INLINE_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    type Model = BTreeMap<u8, u64>;

    fn entries(model: &Model) -> Entries<u8> {
        let mut entries = Entries::new();
        for (actor, counter) in model {
            assert!(entries.push(Dot::new(*actor, *counter).unwrap()));
        }
        entries
    }

    fn model(entries: &Entries<u8>) -> Model {
        entries
            .iter()
            .map(|dot| (dot.actor, dot.counter.into()))
            .collect()
    }

    /// Around the bound of the inline form, and over several blocks of a comparison; sharing many
    /// actors.
    fn models() -> impl Strategy<Value = Model> {
        prop_oneof![
            proptest::collection::btree_map(0_u8..20, 1_u64..4, 0..20),
            proptest::collection::btree_map(0..ACTORS, 1_u64..3, 60..90),
        ]
    }

    /// Two of them, also such that differ in a few entries only.
    fn pairs() -> impl Strategy<Value = (Model, Model)> {
        let changes = proptest::collection::vec((0..ACTORS, 0_u64..3), 0..3);
        (models(), models(), changes, any::<bool>()).prop_map(|(a, b, changes, alike)| {
            if !alike {
                return (a, b);
            }
            let mut changed = a.clone();
            for (actor, counter) in changes {
                changed.remove(&actor);
                changed.extend((counter > 0).then_some((actor, counter)));
            }
            (a, changed)
        })
    }

    const ACTORS: u8 = 100;

    fn pointwise(a: &Model, b: &Model, pick: fn(u64, u64) -> u64) -> Model {
        let at = |model: &Model, actor| model.get(&actor).copied().unwrap_or(0);
        (0..ACTORS)
            .map(|actor| (actor, pick(at(a, actor), at(b, actor))))
            .filter(|entry| entry.1 > 0)
            .collect()
    }

    proptest! {
        #[test]
        fn join_and_meet_are_pointwise((a, b) in pairs()) {
            let (mut join, mut meet) = (entries(&a), entries(&a));
            join.join(&entries(&b));
            meet.meet(&entries(&b));
            prop_assert_eq!(model(&join), pointwise(&a, &b, u64::max));
            prop_assert_eq!(model(&meet), pointwise(&a, &b, u64::min));
        }

        #[test]
        fn the_order_is_pointwise((a, b) in pairs()) {
            let at = |model: &Model, actor| model.get(&actor).copied().unwrap_or(0);
            let behind = (0..ACTORS).any(|actor| at(&a, actor) < at(&b, actor));
            let ahead = (0..ACTORS).any(|actor| at(&a, actor) > at(&b, actor));
            let (left, right) = (entries(&a), entries(&b));
            prop_assert_eq!(left.causal_cmp(&right), CausalOrder::of(behind, ahead));
            prop_assert_eq!(left.descends(&right), !behind);
            prop_assert_eq!(left == right, a == b);
        }

        #[test]
        fn raising_in_any_order_gives_the_same(dots in proptest::collection::vec((0u8..12, 1u64..5), 0..30)) {
            let (mut raised, mut expected) = (Entries::new(), Model::new());
            for (actor, counter) in dots {
                raised.raise(Dot::new(actor, counter).unwrap());
                let entry = expected.entry(actor).or_insert(counter);
                *entry = counter.max(*entry);
            }
            prop_assert_eq!(model(&raised), expected.clone());
            prop_assert_eq!(raised.is_inline(), expected.len() <= INLINE_MAX);
            prop_assert!(raised == entries(&expected));
        }
    }

    #[test]
    fn the_form_does_not_matter_for_equality() {
        let nine = (0..9).map(|actor| (actor, 1)).collect();
        let mut shrunk = entries(&nine);
        shrunk.retain(|dot| dot.actor < 8);
        let eight = entries(&(0..8).map(|actor| (actor, 1)).collect());
        assert!(!shrunk.is_inline() && eight.is_inline());
        assert!(shrunk == eight);
        assert_eq!(shrunk.causal_cmp(&eight), CausalOrder::Equal);
    }

    #[test]
    fn actors_that_do_not_ascend_are_not_appended() {
        let mut entries = entries(&BTreeMap::from([(5, 1)]));
        assert!(!entries.push(Dot::new(5, 2).unwrap()));
        assert!(!entries.push(Dot::new(4, 2).unwrap()));
        assert_eq!(model(&entries), BTreeMap::from([(5, 1)]));
    }
}
