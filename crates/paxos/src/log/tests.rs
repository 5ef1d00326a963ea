use alloc::collections::BTreeMap;
use std::vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Ballot, Kind, NodeId};

fn ballot(round: u64) -> Ballot {
    let node = NodeId(1);
    Ballot { round, node }
}

fn vote(slot: u64, round: u64) -> Vote {
    Vote {
        slot: Slot(slot),
        ballot: ballot(round),
        value: Value {
            kind: Kind::Command,
            origin: ballot(1),
            body: Bytes::from_static(b"0123456789"),
        },
    }
}

fn at(slot: u64) -> Position {
    Position {
        slot: Slot(slot),
        origin: ballot(1),
    }
}

fn log(slots: impl IntoIterator<Item = u64>) -> Log {
    let mut log = Log::new(Position::ZERO, 0);
    slots
        .into_iter()
        .for_each(|slot| log.accept([vote(slot, 1)]));
    log
}

fn persist(log: &mut Log) {
    log.write();
    log.handle_persisted();
    log.check();
}

fn slots(votes: &[Vote]) -> Vec<u64> {
    votes.iter().map(|vote| vote.slot.0).collect()
}

#[test]
fn votes_come_in_any_order_and_are_written_ascending() {
    let mut log = log([5, 2, 9, 1, 3]);
    assert_eq!(slots(&log.write().votes), [1, 2, 3, 5, 9]);
    assert!(!log.has_unwritten());
    log.choose_to(Slot(3));
    assert_eq!(log.settled(), Slot(0), "not durable yet");
    log.handle_persisted();
    assert_eq!(
        (log.settled(), log.chosen(), log.last()),
        (Slot(3), Slot(3), Slot(9))
    );
}

/// ABA: the write of the old vote ends after a new one was cast.
#[test]
fn a_receipt_for_a_replaced_vote_does_not_make_the_new_one_durable() {
    let mut log = log([1, 2]);
    log.write();
    log.accept([vote(2, 2)]);
    log.handle_persisted();
    log.choose_to(Slot(2));
    assert_eq!(log.settled(), Slot(1));
    assert_eq!(log.write().votes, [vote(2, 2)]);
    log.handle_persisted();
    assert_eq!(log.settled(), Slot(2));
}

#[test]
fn a_vote_that_is_replaced_before_its_write_is_written_once() {
    let mut log = log([1]);
    log.accept([vote(1, 2)]);
    assert_eq!(log.write().votes, [vote(1, 2)]);
}

#[test]
#[should_panic(expected = "higher ballot")]
fn a_vote_is_not_replaced_by_one_of_a_lower_ballot() {
    let mut log = log([]);
    log.accept([vote(1, 2)]);
    log.accept([vote(1, 1)]);
}

#[test]
fn votes_go_between_and_over_those_that_are_there() {
    let mut log = log([2, 4, 6, 9]);
    log.accept([1, 2, 3, 4, 5, 7].map(|slot| vote(slot, 2)));
    let ballots: Vec<_> = (1..=9)
        .map(|slot| log.vote(Slot(slot)).map(|vote| vote.ballot))
        .collect();
    let rounds = [2, 2, 2, 2, 2, 1, 2, 0, 1].map(|round| (round > 0).then(|| ballot(round)));
    assert_eq!(ballots, rounds);
    assert_eq!(slots(&log.write().votes), [1, 2, 3, 4, 5, 6, 7, 9]);
    assert_eq!(log.cache_bytes(), 8 * vote(1, 1).value.size());
}

/// A vote that goes between others moves those behind it. One after the other that is a billion
/// moves here.
#[test]
#[should_panic(expected = "ascending")]
fn nothing_is_put_between_votes_one_by_one() {
    let mut log = log([2]);
    log.replace_or_append(vote(1, 1));
}

#[test]
fn what_is_chosen_is_not_voted_for_again() {
    let mut log = log([1]);
    persist(&mut log);
    log.choose_to(Slot(1));
    log.accept([vote(1, 9)]);
    assert!(!log.has_unwritten());
}

#[test]
fn only_what_is_settled_leaves_the_cache() {
    let mut log = log(1..=6);
    log.choose_to(Slot(2));
    assert_eq!(
        log.slice(Slot(1), Slot(9), 1),
        Slice::Cached(vec![vote(1, 1).value])
    );
    persist(&mut log);
    assert_eq!(log.slice(Slot(1), Slot(9), 1), Slice::Evicted(Slot(2)));
    assert_eq!(
        log.slice(Slot(3), Slot(9), 1),
        Slice::Cached(vec![vote(3, 1).value])
    );
    log.choose_to(Slot(6));
    assert_eq!(log.evicted_to(), Slot(6));
    log.check();
}

#[test]
fn a_slice_ends_at_a_gap_and_at_its_bounds() {
    let log = log([1, 2, 3, 5]);
    let len = |from, to, bytes| match log.slice(Slot(from), Slot(to), bytes) {
        Slice::Cached(values) => values.len(),
        Slice::Evicted(_) | Slice::Gap => 0,
    };
    let size = vote(1, 1).value.size();
    assert_eq!(len(1, 9, usize::MAX), 3);
    assert_eq!(len(1, 2, usize::MAX), 2);
    assert_eq!(len(1, 9, 2 * size), 2);
    assert_eq!(len(1, 9, 0), 1, "one at least");
    assert_eq!(log.slice(Slot(4), Slot(9), 99), Slice::Gap);
}

#[test]
fn pages_hold_what_is_not_known_to_be_chosen() {
    let mut log = log([1, 2, 4, 5, 7]);
    log.choose_to(Slot(2));
    let size = vote(1, 1).value.size();
    let (page, next) = log.page(Slot(1), 2 * size, usize::MAX);
    assert_eq!((slots(&page), next), (vec![4, 5], Some(Slot(7))));
    let (page, next) = log.page(Slot(7), 2 * size, usize::MAX);
    assert_eq!((slots(&page), next), (vec![7], None));
    let (page, next) = log.page(Slot(5), 0, usize::MAX);
    assert_eq!((slots(&page), next), (vec![5], Some(Slot(7))));
    assert_eq!(log.page(Slot(8), 0, usize::MAX), (vec![], None));
}

#[test]
fn votes_behind_a_start_stay() {
    let mut log = log([1, 2, 5, 7]);
    persist(&mut log);
    log.begin_at(at(5));
    assert_eq!(
        (log.chosen(), log.settled(), log.last()),
        (Slot(5), Slot(5), Slot(7))
    );
    assert_eq!(slots(&log.page(Slot(1), 99, usize::MAX).0), [7]);
    assert_eq!(log.start_persisted(), Slot(0));
    assert_eq!(log.write().start, Some(at(5)));
    log.handle_persisted();
    assert_eq!(log.start_persisted(), Slot(5));
    log.check();
}

#[test]
fn a_start_that_comes_during_a_write_waits_for_the_next() {
    let mut log = log([1, 2]);
    log.write();
    log.begin_at(at(1));
    log.handle_persisted();
    assert_eq!(log.start_persisted(), Slot(0));
    persist(&mut log);
    assert_eq!(log.start_persisted(), Slot(1));
}

proptest! {
    /// Against a map that keeps everything.
    #[test]
    fn the_cache_is_a_window_of_all_votes(
        steps in proptest::collection::vec((0u8..6, 1u64..20), 1..80),
        cache_bytes_max in prop_oneof![Just(0usize), Just(200), Just(100_000)],
    ) {
        let mut log = Log::new(Position::ZERO, cache_bytes_max);
        let mut model: BTreeMap<u64, Vote> = BTreeMap::new();
        let (mut round, mut in_flight) = (1, false);
        for (step, slot) in steps {
            match step {
                0..=2 if slot > log.chosen().0 => {
                    round += 1;
                    log.accept([vote(slot, round)]);
                    model.insert(slot, vote(slot, round));
                }
                3 if !in_flight => {
                    log.write();
                    in_flight = true;
                }
                3 => {
                    log.handle_persisted();
                    in_flight = false;
                }
                4 => {
                    let next = log.chosen().next();
                    if model.contains_key(&next.0) {
                        log.choose_to(next);
                    }
                }
                5 if slot > log.start().slot.0 && slot <= log.settled().0 => log.begin_at(at(slot)),
                _ => {}
            }
            log.check();
            for (slot, vote) in model.range(log.start().slot.0 + 1..) {
                match log.vote(Slot(*slot)) {
                    Some(held) => prop_assert_eq!(held, vote),
                    None => prop_assert!(*slot <= log.settled().0, "{} is lost", slot),
                }
            }
            let (page, ..) = log.page(Slot(1), usize::MAX, usize::MAX);
            prop_assert_eq!(page.len(), model.range(log.chosen().0 + 1..).count());
        }
    }
}
