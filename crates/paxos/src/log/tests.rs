use alloc::collections::BTreeMap;
use core::ops::RangeInclusive;
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Ballot, Kind, NodeId};

const LATER: Ballot = Ballot {
    round: u64::MAX,
    node: NodeId(0),
};

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
    let mut log = Log::new(Position::ZERO, &config(0));
    let slots = slots.into_iter();
    slots.for_each(|slot| cast(&mut log, slot..=slot, 1));
    log
}

fn config(cache_bytes_max: usize) -> Config {
    let node = NodeId(1);
    let mut config = Config::new(node, crate::Quorums::majority([node]).unwrap());
    config.cache_bytes_max = cache_bytes_max;
    config
}

/// The votes of a run.
fn cast(log: &mut Log, slots: RangeInclusive<u64>, round: u64) {
    let first = Slot(*slots.start());
    let values: Entries = slots.map(|slot| vote(slot, round).value).collect();
    log.accept(ballot(round), first, values);
    log.check();
}

fn written(log: &mut Log) -> Vec<Vote> {
    let record = log.write();
    let votes = record.votes.iter().flat_map(Votes::iter);
    votes.map(Vote::cloned).collect()
}

fn values(slots: impl IntoIterator<Item = u64>) -> Entries {
    slots.into_iter().map(|slot| vote(slot, 1).value).collect()
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
    assert_eq!(slots(&written(&mut log)), [1, 2, 3, 5, 9]);
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
    cast(&mut log, 2..=2, 2);
    log.handle_persisted();
    log.choose_to(Slot(2));
    assert_eq!(log.settled(), Slot(1));
    assert_eq!(written(&mut log), [vote(2, 2)]);
    log.handle_persisted();
    assert_eq!(log.settled(), Slot(2));
}

#[test]
fn a_vote_that_is_replaced_before_its_write_is_written_once() {
    let mut log = log([1]);
    cast(&mut log, 1..=1, 2);
    assert_eq!(written(&mut log), [vote(1, 2)]);
}

#[test]
#[should_panic(expected = "higher ballot")]
fn a_vote_is_not_replaced_by_one_of_a_lower_ballot() {
    let mut log = log([]);
    cast(&mut log, 1..=1, 2);
    cast(&mut log, 1..=1, 1);
}

#[test]
fn votes_go_between_and_over_those_that_are_there() {
    let mut log = log([2, 4, 6, 9]);
    cast(&mut log, 1..=5, 2);
    cast(&mut log, 7..=7, 2);
    let ballots = |log: &Log| {
        let round = |slot| log.vote(Slot(slot)).map_or(0, |vote| vote.ballot.round);
        (1..=9).map(round).collect::<Vec<_>>()
    };
    assert_eq!(ballots(&log), [2, 2, 2, 2, 2, 1, 2, 0, 1]);
    // A vote in the same ballot stays.
    cast(&mut log, 4..=9, 2);
    assert_eq!(ballots(&log), [2; 9]);
    // Runs stay as they arrived: 1 to 5, 6, 7, 8 and 9.
    let runs: Vec<_> = log.runs.iter().map(|run| run.votes.values.len()).collect();
    assert_eq!(runs, [5, 1, 1, 2]);
    // Runs are cut in the middle, and each part counts what it keeps.
    cast(&mut log, 2..=2, 3);
    assert_eq!(ballots(&log), [2, 3, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(slots(&written(&mut log)), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(log.cache_bytes() > 9 * vote(1, 1).value.size());
    assert_eq!(log.unsettled_bytes(), 9 * vote(1, 1).value.size());
}

#[test]
fn an_open_tail_becomes_runs_of_one_ballot_without_gaps() {
    let mut log = log([]);
    log.bounds.run_values_max = 3;
    for (slot, round) in [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (7, 2)] {
        log.push(Slot(slot), ballot(round), vote(slot, round).value);
        log.check();
    }
    assert_eq!(log.vote(Slot(7)).map(Vote::cloned), Some(vote(7, 2)));
    assert_eq!(slots(&written(&mut log)), [1, 2, 3, 4, 5, 7]);
    let runs: Vec<_> = log.runs.iter().map(|run| run.votes.values.len()).collect();
    assert_eq!(runs, [3, 1, 1, 1]);
}

/// T1: what is sent does not depend on run boundaries. Logs with the same votes but different run
/// boundaries are not equal, since they evict differently.
#[test]
fn cuts_show_in_no_message_and_make_logs_differ() {
    let (mut one, mut three) = (log([]), log([1, 2, 3]));
    cast(&mut one, 1..=3, 1);
    for (from, to, bytes) in [(1, 3, 999), (2, 3, 999), (1, 2, 999), (1, 3, 120)] {
        let slice = |log: &mut Log| log.slice(Slot(from), Slot(to), bytes);
        assert_eq!(slice(&mut one), slice(&mut three));
    }
    assert_eq!(
        one.page(LATER, Slot(1), 120, 9),
        three.page(LATER, Slot(1), 120, 9)
    );
    assert_eq!(written(&mut one), written(&mut three));
    assert_ne!(one, three);
}

#[test]
fn what_is_chosen_is_not_voted_for_again() {
    let mut log = log([1]);
    persist(&mut log);
    log.choose_to(Slot(1));
    cast(&mut log, 1..=1, 9);
    assert!(!log.has_unwritten());
}

#[test]
fn only_what_is_settled_leaves_the_cache() {
    let mut log = log(1..=6);
    log.choose_to(Slot(2));
    assert_eq!(log.slice(Slot(1), Slot(9), 1), Slice::Cached(values([1])));
    persist(&mut log);
    assert_eq!(log.slice(Slot(1), Slot(9), 1), Slice::Evicted(Slot(2)));
    assert_eq!(log.slice(Slot(3), Slot(9), 1), Slice::Cached(values([3])));
    log.choose_to(Slot(6));
    assert_eq!(log.evicted_to(), Slot(6));
    log.check();
}

#[test]
fn a_slice_ends_at_a_gap_and_at_its_bounds() {
    let mut log = log([1, 2, 3, 5]);
    let mut len = |from, to, bytes| match log.slice(Slot(from), Slot(to), bytes) {
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
    let (page, next) = log.page(LATER, Slot(1), 2 * size, usize::MAX);
    assert_eq!((slots(&page), next), (vec![4, 5], Some(Slot(7))));
    let (page, next) = log.page(LATER, Slot(7), 2 * size, usize::MAX);
    assert_eq!((slots(&page), next), (vec![7], None));
    let (page, next) = log.page(LATER, Slot(5), 0, usize::MAX);
    assert_eq!((slots(&page), next), (vec![5], Some(Slot(7))));
    assert_eq!(log.page(LATER, Slot(8), 0, usize::MAX), (vec![], None));
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
    assert_eq!(slots(&log.page(LATER, Slot(1), 99, usize::MAX).0), [7]);
    assert_eq!(log.start_persisted(), Slot(0));
    assert_eq!(log.write().start.as_deref(), Some(&at(5)));
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
    /// Compared with a map that keeps everything.
    #[test]
    fn the_cache_is_a_window_of_all_votes(
        steps in proptest::collection::vec((0u8..6, 1u64..20), 1..80),
        cache_bytes_max in prop_oneof![Just(0usize), Just(200), Just(100_000)],
    ) {
        let mut log = Log::new(Position::ZERO, &config(cache_bytes_max));
        let mut model: BTreeMap<u64, Vote> = BTreeMap::new();
        let (mut round, mut in_flight) = (1, false);
        for (step, slot) in steps {
            match step {
                0..=2 if slot > log.chosen().0 => {
                    round += 1;
                    // A run of three slots, as far as none of them is chosen.
                    cast(&mut log, slot..=slot + 2, round);
                    model.extend((slot..=slot + 2).map(|slot| (slot, vote(slot, round))));
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
                    Some(held) => prop_assert_eq!(&held.cloned(), vote),
                    None => prop_assert!(*slot <= log.settled().0, "{} is lost", slot),
                }
            }
            let (page, ..) = log.page(LATER, Slot(1), usize::MAX, usize::MAX);
            prop_assert_eq!(page.len(), model.range(log.chosen().0 + 1..).count());
        }
    }
}
