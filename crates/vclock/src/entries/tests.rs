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

/// Sorting in at once gives what raising one by one does, and keeps the greatest counter.
#[test]
fn many_in_any_order_are_sorted_in() {
    let dots = || (0..1_000_u32).map(|at| Dot::new(at * 7_919 % 500, u64::from(at) + 1).unwrap());
    let mut at_once = Entries::new();
    at_once.extend(dots());
    let mut raised = Entries::new();
    dots().for_each(|dot| raised.raise(dot));
    assert!(at_once == raised);
    assert_eq!(at_once.len(), 500);
    at_once.extend(dots());
    assert!(at_once == raised, "what is known already changes nothing");
}

/// As the docs of [`VersionVector`](crate::VersionVector) say.
#[test]
fn the_size_is_what_is_told() {
    assert_eq!(size_of::<Entries<u64>>(), 136);
    assert_eq!(size_of::<Entries<String>>(), 264);
}
