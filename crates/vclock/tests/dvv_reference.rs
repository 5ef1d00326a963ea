//! The cases of the reference implementation of dotted version vector sets (dvvset.erl, MIT licence),
//! without its values that have no dot yet: here a value gets its dot as it is written.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use synod_vclock::{CausalOrder, Dot, DvvSet, VersionVector};

type Set = DvvSet<char, &'static str>;

/// A set in the notation of the reference implementation, newest value first.
fn set(columns: &[(char, u64, &[&'static str])]) -> Set {
    let oldest_first = |values: &[&'static str]| values.iter().rev().copied().collect();
    let columns = columns.iter();
    columns
        .map(|(actor, counter, values)| (*actor, *counter, oldest_first(values)))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

fn synced(one: &Set, other: &Set) -> Set {
    let mut result = one.clone();
    result.sync(other);
    result
}

/// The set after a write; the reference writes to a copy.
fn updated(base: &Set, context: &VersionVector<char>, server: char, value: &'static str) -> Set {
    let mut result = base.clone();
    result.update_vouched(context, server, value).unwrap();
    result
}

#[test]
fn dvvset_reference_join() {
    let nothing = VersionVector::new();
    let a1 = updated(&Set::new(), &nothing, 'a', "v1");
    let b1 = updated(&a1, &a1.context(), 'b', "v2");
    assert_eq!(Set::new().context(), nothing);
    assert_eq!(a1.context(), VersionVector::from_iter([('a', 1)]));
    assert_eq!(b1.context(), VersionVector::from_iter([('a', 1), ('b', 1)]));
}

#[test]
fn dvvset_reference_update() {
    let a0 = updated(&Set::new(), &VersionVector::new(), 'a', "v1");
    let a1 = updated(&a0, &a0.context(), 'a', "v2");
    let a2 = updated(&a1, &a1.context(), 'b', "v3");
    let a3 = updated(&a1, &a0.context(), 'b', "v4");
    let a4 = updated(&a1, &a0.context(), 'a', "v5");
    assert_eq!(a0, set(&[('a', 1, &["v1"])]));
    assert_eq!(a1, set(&[('a', 2, &["v2"])]));
    assert_eq!(a2, set(&[('a', 2, &[]), ('b', 1, &["v3"])]));
    assert_eq!(a3, set(&[('a', 2, &["v2"]), ('b', 1, &["v4"])]));
    assert_eq!(a4, set(&[('a', 3, &["v5", "v2"])]));
}

#[test]
fn dvvset_reference_sync() {
    let x = set(&[('x', 1, &[])]);
    let a = updated(&Set::new(), &VersionVector::new(), 'a', "v1");
    let y = updated(&Set::new(), &VersionVector::new(), 'b', "v2");
    let a1 = updated(&Set::new(), &a.context(), 'a', "v2");
    let a3 = updated(&Set::new(), &a1.context(), 'b', "v3");
    let a4 = updated(&Set::new(), &a1.context(), 'c', "v3");
    let w = set(&[('a', 1, &[])]);
    let z = set(&[('a', 2, &["v2", "v1"])]);
    assert_eq!(synced(&w, &z), set(&[('a', 2, &["v2"])]));
    assert_eq!(
        synced(&a4, &a3),
        set(&[('a', 2, &[]), ('b', 1, &["v3"]), ('c', 1, &["v3"])])
    );
    assert_eq!(synced(&x, &a), set(&[('a', 1, &["v1"]), ('x', 1, &[])]));
    assert_eq!(synced(&a, &y), set(&[('a', 1, &["v1"]), ('b', 1, &["v2"])]));
    for (one, other) in [(&w, &z), (&a, &a1), (&a4, &a3), (&x, &a), (&y, &a)] {
        assert_eq!(synced(one, other), synced(other, one));
    }
}

#[test]
fn dvvset_reference_sync_update() {
    let a0 = updated(&Set::new(), &VersionVector::new(), 'a', "v1"); // Mary writes blindly
    let read = a0.context(); // Peter reads
    let a1 = updated(&a0, &VersionVector::new(), 'a', "v2"); // Mary writes blindly
    let a2 = updated(&a1, &read, 'a', "v3"); // Peter writes what replaces v1
    assert_eq!(a1, set(&[('a', 2, &["v2", "v1"])]));
    assert_eq!(a2, set(&[('a', 3, &["v3", "v2"])]));
}

#[test]
fn dvvset_reference_event() {
    let a = updated(&Set::new(), &VersionVector::new(), 'a', "v1");
    let blind = VersionVector::new();
    assert_eq!(
        updated(&a, &blind, 'a', "v2"),
        set(&[('a', 2, &["v2", "v1"])])
    );
    assert_eq!(
        updated(&a, &blind, 'b', "v2"),
        set(&[('a', 1, &["v1"]), ('b', 1, &["v2"])])
    );
}

#[test]
fn dvvset_reference_reconcile() {
    let mut x = set(&[('a', 4, &["5", "2"]), ('b', 1, &[]), ('c', 1, &["3"])]);
    let least = |siblings: &mut dyn Iterator<Item = &&'static str>| *siblings.min().unwrap();
    let dot = x.reconcile('a', least).unwrap();
    assert_eq!(dot, Dot::new('a', 5));
    assert_eq!(x, set(&[('a', 5, &["2"]), ('b', 1, &[]), ('c', 1, &[])]));
    assert_eq!(Set::new().reconcile('a', least), Ok(None));
}

#[test]
fn dvvset_reference_less() {
    let a = updated(&Set::new(), &VersionVector::new(), 'a', "v1");
    let b = updated(&Set::new(), &a.context(), 'a', "v2");
    let b2 = updated(&Set::new(), &a.context(), 'b', "v2");
    let b3 = updated(&Set::new(), &a.context(), 'z', "v2");
    let c = updated(&a, &b.context(), 'c', "v3");
    let d = updated(&b2, &c.context(), 'd', "v4");
    let less = |one: &Set, other: &Set| one.causal_cmp(other) == CausalOrder::Before;
    for (one, other) in [(&a, &b), (&a, &c), (&b, &c), (&b, &d), (&b2, &d), (&a, &d)] {
        assert!(less(one, other));
    }
    for (one, other) in [
        (&b2, &c),
        (&b, &b2),
        (&b2, &b),
        (&a, &a),
        (&c, &c),
        (&d, &b2),
        (&b3, &d),
    ] {
        assert!(!less(one, other));
    }
}

#[test]
fn dvvset_reference_equal_size_ids_values_map() {
    let a = set(&[('a', 4, &["v5", "v0"]), ('c', 1, &["v3"])]);
    let b = set(&[('a', 4, &["v555", "v0"]), ('c', 1, &["v3"])]);
    assert_eq!(a.causal_cmp(&b), CausalOrder::Equal);
    assert_eq!(a.len(), 3);
    assert!(a.context().iter().map(|dot| dot.actor).eq(['a', 'c']));
    assert!(a.values().eq(&["v0", "v5", "v3"]));
    let numbers =
        set(&[('a', 4, &["5", "0"]), ('c', 1, &["2"])]).map(|text| text.parse::<u8>().unwrap());
    assert!(numbers.map(|number| 2 * number).values().eq(&[0, 10, 4]));
}
