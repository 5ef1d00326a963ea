//! Interval tree clocks of a parent that has very many children, at once and one after the other.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use synod_vclock::itc::Stamp;
use synod_vclock::{CausalOrder, Limits, Wire};

const CHILDREN: usize = 10_000;

/// What must hold of a parent and its children, however they came to be.
fn check(parent: Stamp, mut children: Vec<Stamp>, bits_max: usize) {
    assert_eq!(children.len(), CHILDREN);
    let before = parent.peek();
    for child in &mut children {
        child.event().unwrap();
        let bits = child.bit_len();
        assert!(bits <= bits_max, "{bits} bits: {child}");
        assert_eq!(child.causal_cmp(&before), CausalOrder::After);
        let bytes = child.to_bytes();
        assert_eq!(
            Stamp::from_bytes(&bytes, Limits::default()).as_ref(),
            Ok(&*child)
        );
    }
    for pair in children.windows(2) {
        assert_eq!(pair[0].causal_cmp(&pair[1]), CausalOrder::Concurrent);
    }
    // All parts are disjoint and nothing got lost: together they are the whole.
    let mut whole = parent;
    for child in children {
        assert!(!whole.descends(&child));
        whole.join(child).unwrap();
    }
    let text = whole.to_string();
    assert!(text.starts_with("(1, "), "{}", &text[..20]);
}

#[test]
fn one_parent_forks_ten_thousand_children() {
    let mut parent = Stamp::seed();
    let children = (0..CHILDREN).map(|_| parent.fork().unwrap()).collect();
    assert!(parent.bit_len() < 200, "{} bits", parent.bit_len());
    check(parent, children, 250);
}

#[test]
fn one_parent_forks_ten_thousand_children_at_once() {
    let mut parent = Stamp::seed();
    let children = parent.fork_many(CHILDREN).unwrap();
    check(parent, children, 100);
}

/// Sessions that come and go cost nothing, in whichever order they go.
#[test]
fn ten_thousand_sessions_come_and_go() {
    let mut parent = Stamp::seed();
    let mut open = Vec::new();
    for session in 0..CHILDREN {
        open.push(parent.fork().unwrap());
        if open.len() == 20 {
            let mut gone = open.swap_remove(session * 7 % 20);
            gone.event().unwrap();
            parent.join(gone).unwrap();
        }
        assert!(parent.bit_len() < 1_000, "{} bits", parent.bit_len());
    }
    for session in open {
        parent.join(session).unwrap();
    }
    assert!(parent.to_string().starts_with("(1, "));
}

/// Many for a start, and each of them forks by itself.
#[test]
fn children_fork_as_their_parent_does() {
    let mut parent = Stamp::seed();
    let mut all = parent.fork_many(99).unwrap();
    for at in 0..99 {
        let mut child = all[at].clone();
        all.extend((0..100).map(|_| child.fork().unwrap()));
        all[at] = child;
    }
    assert_eq!(all.len(), 99 * 101);
    for stamp in all {
        parent.join(stamp).unwrap();
    }
    assert_eq!(parent, Stamp::seed());
}
