//! Pruned vectors: whatever they say of an order is true; they may say that they do not know.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use synod_vclock::{CausalOrder, Dot, LossyOrder, PrunePolicy, Pruned, VersionVector, Wire};

#[derive(Clone, Copy, Debug)]
enum Move {
    /// An actor writes, on top of what the copy at this place knows.
    Write {
        at: usize,
        actor: u8,
    },
    Join {
        to: usize,
        from: usize,
    },
    Prune {
        at: usize,
        keep: usize,
    },
    /// A copy is made of another, in place of what was there.
    Copy {
        to: usize,
        from: usize,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let at = || 0..COPIES;
    let one = prop_oneof![
        4 => (at(), 0_u8..6).prop_map(|(at, actor)| Move::Write { at, actor }),
        2 => (at(), at()).prop_map(|(to, from)| Move::Join { to, from }),
        2 => (at(), 0_usize..4).prop_map(|(at, keep)| Move::Prune { at, keep }),
        1 => (at(), at()).prop_map(|(to, from)| Move::Copy { to, from }),
    ];
    proptest::collection::vec(one, 0..50)
}

const COPIES: usize = 4;

/// Copies with their true histories.
fn run(moves: &[Move]) -> Vec<(Pruned<u8>, VersionVector<u8>)> {
    let mut copies = vec![(Pruned::new(), VersionVector::new()); COPIES];
    let mut counters = [0; 6];
    for (now, step) in (1..).zip(moves) {
        match *step {
            Move::Write { at, actor } => {
                // An actor has seen its own writes, so it cannot write on top of a copy without.
                if copies[at].1.get(&actor) == counters[usize::from(actor)] {
                    counters[usize::from(actor)] += 1;
                    let dot = Dot::new(actor, counters[usize::from(actor)]).unwrap();
                    copies[at].0.include(dot, now);
                    copies[at].1.include(dot);
                }
            }
            Move::Join { to, from } => {
                let (pruned, full) = copies[from].clone();
                copies[to].0.join(&pruned);
                copies[to].1.join(&full);
            }
            Move::Prune { at, keep } => {
                let policy = PrunePolicy {
                    entries_min: keep,
                    entries_max: keep,
                    age_min: 0,
                    age_max: u64::MAX,
                };
                copies[at].0.prune(&policy, now);
            }
            Move::Copy { to, from } => copies[to] = copies[from].clone(),
        }
    }
    copies
}

proptest! {
    #[test]
    fn pruned_order_is_never_false(moves in moves()) {
        let copies = run(&moves);
        for (one, full) in &copies {
            for (other, other_full) in &copies {
                let (told, truth) = (one.lossy_cmp(other), full.causal_cmp(other_full));
                let is_true = match told {
                    LossyOrder::Equal => truth == CausalOrder::Equal,
                    LossyOrder::AtMost => truth.reverse().descends(),
                    LossyOrder::AtLeast => truth.descends(),
                    LossyOrder::Unknown => true,
                };
                prop_assert!(is_true, "{:?} for {}", told, truth);
                if one.is_complete() && other.is_complete() {
                    let exact = match truth {
                        CausalOrder::Equal => LossyOrder::Equal,
                        CausalOrder::Before => LossyOrder::AtMost,
                        CausalOrder::After => LossyOrder::AtLeast,
                        CausalOrder::Concurrent => LossyOrder::Unknown,
                    };
                    prop_assert_eq!(told, exact);
                }
            }
        }
    }

    #[test]
    fn pruned_vectors_still_know_what_follows_on_them(moves in moves(), more in moves()) {
        for (copy, _) in run(&moves) {
            let mut next = copy.clone();
            for (other, _) in run(&more) {
                next.include(Dot::new(9, next.len() as u64 + 1).unwrap(), 100);
                if other.is_complete() {
                    next.join(&other);
                }
            }
            prop_assert_eq!(copy.lossy_cmp(&next), LossyOrder::AtMost);
        }
    }

    #[test]
    fn pruned_join_is_a_semilattice_while_digests_are_few(moves in moves()) {
        let copies = run(&moves);
        let join = |one: &Pruned<u8>, other: &Pruned<u8>| {
            let mut result = one.clone();
            result.join(other);
            result
        };
        let prunings = moves.iter().filter(|step| matches!(step, Move::Prune { .. })).count();
        prop_assume!(prunings <= 8);
        for (a, _) in &copies {
            prop_assert_eq!(&join(a, a), a);
            for (b, _) in &copies {
                prop_assert_eq!(join(a, b), join(b, a));
            }
        }
    }
}

/// Why there is a lossy form at all: of an object with 10,000 writers, each of which writes once, the
/// whole vector has tens of thousands of bytes, and this one as many as its bounds allow, while what
/// follows on it is still known to follow.
#[test]
fn ten_thousand_writers_fit_what_the_bounds_allow() {
    let policy = PrunePolicy::default();
    let (mut whole, mut pruned) = (VersionVector::new(), Pruned::new());
    let mut before = pruned.clone();
    for writer in 0..10_000_u64 {
        let dot = Dot::new(writer, 1).unwrap();
        whole.include(dot);
        before.clone_from(&pruned);
        pruned.include(dot, writer);
        assert_eq!(before.lossy_cmp(&pruned), LossyOrder::AtMost);
        pruned.prune(&policy, writer);
    }
    let sizes = (whole.to_bytes().len(), pruned.to_bytes().len());
    // What the docs of `Pruned` say.
    assert_eq!(sizes, (29_874, 348));
    assert_eq!(pruned.len(), policy.entries_max);
}
