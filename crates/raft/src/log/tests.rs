use super::*;
use crate::outbox::Outbox;
use crate::{Kind, NodeId, Write};
use bytes::Bytes;
use core::convert::Infallible;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn entry(term: u64, index: u64) -> Entry {
    let id = LogId {
        term: Term(term),
        index: Index(index),
    };
    Entry {
        id,
        kind: Kind::Command,
        body: Bytes::from_static(b"0123"),
    }
}

/// A run has at most three of these entries.
fn empty(cache_bytes_max: usize) -> Log {
    let mut config = Config::new(NodeId(1), [NodeId(1)]);
    config.cache_bytes_max = cache_bytes_max;
    config.append_bytes_max = 3 * 36;
    Log::new(LogId::ZERO, &config)
}

fn log(terms: &[u64], cache_bytes_max: usize) -> Log {
    let mut log = empty(cache_bytes_max);
    for (at, term) in terms.iter().enumerate() {
        log.push(entry(*term, at as u64 + 1));
    }
    log
}

#[derive(Clone, Debug)]
enum Op {
    Push(u64),
    /// First entries that the log holds, then new ones.
    Append(u64, u64),
    Slice(u64),
    Truncate(u64),
    Compact(u64),
    Reset(u64),
    Write,
    Persisted,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0u64..2).prop_map(Op::Push),
        2 => (0u64..3, 1u64..5).prop_map(|(known, new)| Op::Append(known, new)),
        2 => (0u64..9).prop_map(Op::Slice),
        2 => (0u64..5).prop_map(Op::Truncate),
        1 => (0u64..5).prop_map(Op::Compact),
        1 => (0u64..5).prop_map(Op::Reset),
        3 => Just(Op::Write),
        3 => Just(Op::Persisted),
    ];
    prop::collection::vec(op, 0..80)
}

/// The specification of a log: a map, and a disk that stores whole records.
#[derive(Default)]
struct Model {
    start: LogId,
    entries: BTreeMap<u64, Entry>,
    disk: BTreeMap<u64, Entry>,
    disk_start: Index,
    in_flight: Option<Write>,
    outbox: Outbox,
}

impl Model {
    fn last(&self) -> LogId {
        self.entries
            .values()
            .next_back()
            .map_or(self.start, |entry| entry.id)
    }

    fn begin(&mut self, start: LogId) {
        self.entries = self.entries.split_off(&(start.index.0 + 1));
        self.start = start;
    }

    fn write(&mut self, log: &mut Log) {
        if let Some(write) = self.outbox.write(|| log.write(None)) {
            self.in_flight = Some(write);
        }
    }

    fn end_write(&mut self, log: &mut Log) {
        let Some(write) = self.in_flight.take() else {
            return;
        };
        let Ok((_, receipt)) = write.persist(|record| {
            self.store(record);
            Ok::<_, Infallible>(())
        });
        log.handle_persisted(self.outbox.settle(receipt).unwrap());
    }

    fn store(&mut self, record: Record) {
        if let Some(from) = record.head().truncate_from {
            self.disk.split_off(&from.0);
        }
        let entries = record.entries.iter().flatten().cloned();
        self.disk
            .extend(entries.map(|entry| (entry.id.index.0, entry)));
        if let Some(start) = record.head().start {
            self.disk = self.disk.split_off(&(start.index.0 + 1));
            self.disk_start = start.index;
        }
    }

    /// Checks a slice: as many entries as fit, whatever the run boundaries, or that they are only
    /// on disk.
    fn check_slice(&self, log: &mut Log, from: Index) {
        match log.slice(from, 2 * 36, 9) {
            Slice::Cached(found) => {
                let fitting = self.entries.range(from.0..).take(2);
                assert!(found.iter().eq(fitting.map(|(_, entry)| entry)));
            }
            Slice::Evicted(to) => assert!(from <= to && to <= log.persisted()),
        }
    }

    fn check(&self, log: &Log) {
        log.check();
        assert_eq!((log.start(), log.last()), (self.start, self.last()));
        for index in 0..=self.last().index.0 + 1 {
            let start = (index == self.start.index.0).then_some(self.start.term);
            let term = self
                .entries
                .get(&index)
                .map(|entry| entry.id.term)
                .or(start);
            assert_eq!(log.term_at(Index(index)), term, "the term at {index}");
            let cached = log.cached(Index(index));
            assert!(cached.is_none() || cached == self.entries.get(&index));
        }
        // Durable entries are on the disk as they are in memory, or covered by a durable snapshot.
        for index in self.start.index.0 + 1..=log.persisted().0 {
            assert_eq!(
                self.disk.get(&index),
                self.entries.get(&index),
                "persisted {index}"
            );
        }
        assert_eq!(log.start_persisted(), self.disk_start);
    }
}

fn play(ops: Vec<Op>, cache_bytes_max: usize) {
    let mut log = empty(cache_bytes_max);
    let mut model = Model::default();
    for op in ops {
        let (first, last) = (model.start.index.0 + 1, model.last());
        match op {
            Op::Push(terms) => {
                let entry = entry(last.term.0.max(1) + terms, last.index.0 + 1);
                model.entries.insert(entry.id.index.0, entry.clone());
                log.push(entry);
            }
            Op::Append(known, new) => {
                let from = first.max((last.index.0 + 1).saturating_sub(known));
                let known = model.entries.range(from..).map(|(_, entry)| entry.clone());
                let known: Vec<_> = known.collect();
                let new = (1..=new).map(|at| entry(last.term.0.max(1) + at / 3, last.index.0 + at));
                let new: Vec<_> = new.collect();
                model
                    .entries
                    .extend(new.iter().map(|entry| (entry.id.index.0, entry.clone())));
                let skip = known.len();
                log.append(known.into_iter().chain(new).collect(), skip);
            }
            Op::Slice(back) => {
                let from = Index(last.index.0.saturating_sub(back).max(first));
                if from <= last.index {
                    model.check_slice(&mut log, from);
                }
            }
            // At the first entry, at the last, after it, and in between.
            Op::Truncate(back) => {
                let from = (last.index.0 + 1).saturating_sub(back).max(first);
                model.entries.split_off(&from);
                log.truncate(Index(from));
            }
            Op::Compact(back) => {
                let index = last.index.0.saturating_sub(back).max(first - 1);
                let term = log.term_at(Index(index)).unwrap();
                let start = LogId {
                    term,
                    index: Index(index),
                };
                model.begin(start);
                log.compact(start);
            }
            Op::Reset(ahead) => {
                let term = Term(last.term.0 + 1);
                let start = LogId {
                    term,
                    index: Index(first + ahead),
                };
                model.entries.clear();
                model.begin(start);
                log.reset(start);
            }
            Op::Write => model.write(&mut log),
            Op::Persisted => model.end_write(&mut log),
        }
        model.check(&log);
    }
    // After two more writes the disk equals the memory.
    model.end_write(&mut log);
    model.write(&mut log);
    model.end_write(&mut log);
    model.check(&log);
    assert_eq!(model.disk, model.entries);
    assert!(!log.has_unwritten() && log.cache_bytes() <= cache_bytes_max);
}

proptest! {
    #[test]
    fn a_log_is_a_map_and_its_records_are_its_disk(ops in ops(), cache in prop::sample::select(vec![0, 100, 10_000])) {
        play(ops, cache);
    }
}

#[test]
fn a_hint_steps_over_later_terms() {
    let log = log(&[1, 1, 3, 3, 5], 1000);
    let hint = |term, index| log.hint(entry(term, index).id).index.0;
    assert_eq!(hint(4, 9), 4);
    assert_eq!(hint(3, 3), 3);
    assert_eq!(hint(2, 5), 2);
    assert_eq!(hint(5, 2), 2);
    assert_eq!(log.hint(entry(0, 5).id), LogId::ZERO);
}

#[test]
fn a_slice_fits_and_is_never_empty() {
    let mut log = log(&[1, 1, 1], 1000);
    let mut count = |bytes_max| match log.slice(Index(1), bytes_max, usize::MAX) {
        Slice::Cached(entries) => entries.len(),
        Slice::Evicted(_) => 0,
    };
    assert_eq!((count(0), count(36), count(72), count(1000)), (1, 1, 2, 3));
}

#[test]
fn only_what_is_durable_leaves_the_cache() {
    let (mut log, mut model) = (log(&[1, 1, 1], 0), Model::default());
    model.write(&mut log);
    log.push(entry(1, 4));
    assert_eq!(log.cache_bytes(), 4 * 36);
    model.end_write(&mut log);
    assert_eq!(log.cache_bytes(), 36);
    assert_eq!(
        log.slice(Index(2), 100, usize::MAX),
        Slice::Evicted(Index(3))
    );
}

/// T1: a part that is left of a run keeps the whole run in memory, and is counted accordingly.
#[test]
fn a_part_counts_for_what_it_keeps() {
    let mut log = log(&[1, 1, 1], 0);
    log.truncate(Index(2));
    assert_eq!(log.cache_bytes(), 3 * 36);
    let mut model = Model::default();
    model.write(&mut log);
    model.end_write(&mut log);
    assert_eq!(log.cache_bytes(), 0);
}

/// T1: logs with the same entries but different run boundaries evict differently, and are not
/// equal.
#[test]
fn where_runs_end_is_part_of_a_log() {
    let (mut one, mut two) = (log(&[1, 1], 36), log(&[1], 36));
    two.slice(Index(1), 0, 1);
    two.push(entry(1, 2));
    assert_ne!(one, two);
    for (log, left) in [(&mut one, 0), (&mut two, 36)] {
        let mut model = Model::default();
        model.write(log);
        model.end_write(log);
        assert_eq!(log.cache_bytes(), left);
    }
}

/// Entries that are proposed together are one run for all recipients, and are never copied.
#[test]
fn a_run_is_shared() {
    let mut log = log(&[1, 1, 1, 1], 1000);
    let Slice::Cached(sent) = log.slice(Index(1), 1000, 9) else {
        panic!("all of it is cached");
    };
    let written = log.write(None).entries;
    assert_eq!(sent.len(), 4, "as one message: a copy of two runs");
    let lens: Vec<_> = written.iter().map(|run| run.len()).collect();
    assert_eq!(lens, [3, 1], "a run is as long as it may be");
    let again = log.cached_run(Index(1), Index(9)).unwrap();
    assert!(core::ptr::eq(&raw const again[0], &raw const written[0][0]));
}
