use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::take;

use synod_durable::{Durable, Few};

use crate::entries::fitting;
use crate::output::Head;
use crate::{Config, Entries, Entry, Fetch, Index, LogId, NodeId, Own, Record, Term};

mod run;

use run::Run;

/// The part of the log that the core keeps: a bounded cache of the tail, and for the rest the
/// position where each term begins. It never reads storage.
///
/// ```text
///  compacted │ start+1 ..         evicted │ cached                                    last
///  ──────────┼────────────────────────────┼───────┬─────┬────────────┬───────┬───────────┤
///  snapshot  │ where each term begins     │  run  │ run │    run     │  run  │ open tail │
///            └───────────────── persisted ┴───────┴─────┘ .. written ─┴───────┘
/// ```
///
/// A leader's new entries go into the open tail, which is not shared yet. When they are first sent
/// or written they become a run, and are shared from then on. What a follower receives is already a
/// run. A run is at most as large as an append may be; a larger entry has a run of its own.
///
/// What is sent, written and fetched depends only on the entries, not on the boundaries of runs.
/// What is evicted, and what is applied together, does depend on them. So the runs, and what each
/// keeps in memory, take part in the equality of logs.
///
/// Invariants:
/// - `start <= persisted <= written <= last`, all in this log as it is in memory now;
/// - indexes are contiguous from `start + 1` to `last`, and terms never decrease;
/// - the cache is a suffix of the log and holds everything after `persisted`;
/// - no run is empty, and `cache_bytes` is what the runs and the open tail keep in memory,
///   including parts cut off;
/// - `truncate` is set if and only if the disk, or the write in flight, may hold an entry at or
///   after that index which this log no longer has;
/// - `writing` never covers an index that was truncated after the write was made: a receipt for an
///   old entry does not make the new entry at its index durable (ABA).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    start: LogId,
    last: LogId,
    /// The first position of each term, ascending.
    terms: VecDeque<LogId>,
    runs: VecDeque<Run>,
    open: Vec<Entry>,
    open_bytes: usize,
    cache_bytes: usize,
    cache_bytes_max: usize,
    run_bytes_max: usize,
    run_entries_max: usize,
    written: Index,
    persisted: Index,
    truncate: Option<Index>,
    start_written: Index,
    start_persisted: Index,
    /// Up to this index the log still holds what the write in flight contains.
    writing: Option<Index>,
}

/// The entries that the log has for a range starting at an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    Cached(Entries),
    /// The entries are only on disk, up to this index.
    Evicted(Index),
}

impl Log {
    /// An empty log that begins after `start`, which is durable.
    pub(crate) fn new(start: LogId, config: &Config) -> Self {
        Self {
            start,
            last: start,
            terms: VecDeque::new(),
            runs: VecDeque::new(),
            open: Vec::new(),
            open_bytes: 0,
            cache_bytes: 0,
            cache_bytes_max: config.cache_bytes_max,
            run_bytes_max: config.append_bytes_max,
            run_entries_max: config.append_entries_max,
            written: start.index,
            persisted: start.index,
            truncate: None,
            start_written: start.index,
            start_persisted: start.index,
            writing: None,
        }
    }

    pub(crate) fn start(&self) -> LogId {
        self.start
    }

    pub(crate) fn last(&self) -> LogId {
        self.last
    }

    /// The last durable index: on disk, or covered by a durable snapshot.
    pub(crate) fn persisted(&self) -> Index {
        self.persisted
    }

    pub(crate) fn start_persisted(&self) -> Index {
        self.start_persisted
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// The index from which the next record truncates.
    #[cfg(feature = "check")]
    pub(crate) fn truncate_from(&self) -> Option<Index> {
        self.truncate
    }

    /// The term of the entry at `index`; `None` before the start and after the end.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        if index < self.start.index || index > self.last.index {
            return None;
        }
        match self.terms.back() {
            Some(first) if first.index <= index => Some(first.term),
            _ => {
                let behind = self.terms.partition_point(|first| first.index <= index);
                Some(self.terms[behind - 1].term)
            }
        }
    }

    /// Whether the entry is in this log. If so, both logs are equal up to `id` (Log Matching,
    /// §5.3).
    pub(crate) fn matches(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last position at or before `id` whose term is not later than `id`'s. Both the log that
    /// rejects `id` and the one that is rejected skip whole terms with it.
    pub(crate) fn hint(&self, id: LogId) -> LogId {
        let mut end = self.last.index.min(id.index);
        for first in self.terms.iter().rev() {
            if first.index > end {
                continue;
            }
            if first.term <= id.term {
                return LogId {
                    term: first.term,
                    index: end,
                };
            }
            end = first.index.prev();
        }
        self.start
    }

    /// Whether these are entries of this log, starting at `fetch.from` and within the requested
    /// range.
    pub(crate) fn is_range(&self, fetch: &Fetch, entries: &Entries) -> bool {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return false;
        };
        let is_asked_for = first.id.index == fetch.from && last.id.index <= fetch.to;
        is_asked_for && entries.is_sound() && entries.iter().all(|entry| self.matches(entry.id))
    }

    /// As many entries as fit, at least one, starting at `from`, which must be in the log.
    pub(crate) fn slice(&mut self, from: Index, bytes_max: usize, entries_max: usize) -> Slice {
        debug_assert!(from > self.start.index && from <= self.last.index);
        self.seal();
        let evicted = self.evicted_to();
        if from <= evicted {
            return Slice::Evicted(evicted);
        }
        let at = self.run_with(from);
        let run = &self.runs[at];
        let place = run.place(from);
        let entries = run.entries.fitting(place, bytes_max, entries_max);
        if place + entries.len() < run.entries.len() || at + 1 == self.runs.len() {
            return Slice::Cached(entries);
        }
        Slice::Cached(self.gather(at, entries, bytes_max, entries_max))
    }

    /// Adds entries of the following runs as far as they fit. A peer that lacks many entries thus
    /// gets them in few messages, even if few were proposed at a time.
    #[cold]
    fn gather(&self, at: usize, entries: Entries, bytes_max: usize, entries_max: usize) -> Entries {
        let behind = self.runs.range(at + 1..).flat_map(|run| &run.entries);
        let all = entries.iter().chain(behind);
        let (count, _) = fitting(all.clone(), bytes_max, entries_max);
        if count == entries.len() {
            return entries;
        }
        all.take(count).cloned().collect()
    }

    /// The entries from `from` to `to` that are in one cached run.
    pub(crate) fn cached_run(&self, from: Index, to: Index) -> Option<Entries> {
        let run = self.runs.get(self.run_with(from))?;
        (run.first <= from).then(|| run.within(from, to))
    }

    #[cfg(any(test, feature = "check"))]
    pub(crate) fn cached(&self, index: Index) -> Option<&Entry> {
        match self.runs.get(self.run_with(index)) {
            Some(run) if run.first > index => None,
            Some(run) => run.entries.get(run.place(index)),
            None => {
                let place = index.0.checked_sub(self.open_from().0)?;
                self.open.get(usize::try_from(place).ok()?)
            }
        }
    }

    /// Adds an entry at the end, to the open tail.
    pub(crate) fn push(&mut self, entry: Entry) {
        let bytes = entry.size();
        let is_full = self.open_bytes.saturating_add(bytes) > self.run_bytes_max
            || self.open.len() >= self.run_entries_max;
        if is_full {
            self.seal();
        }
        self.move_end(entry.id);
        self.open_bytes = self.open_bytes.saturating_add(bytes);
        self.cache_bytes = self.cache_bytes.saturating_add(bytes);
        self.open.push(entry);
    }

    /// Adds a run at the end, without its first `known` entries, which the log holds already. The
    /// entries must be contiguous.
    pub(crate) fn append(&mut self, run: Entries, known: usize) {
        self.seal();
        let bytes = run.bytes();
        let entries = if known == 0 {
            run
        } else {
            run.part(known..run.len())
        };
        let (first, last) = (entries[0].id, entries[entries.len() - 1].id);
        if first.term == last.term {
            self.move_end(first);
            self.last = last;
        } else {
            entries.iter().for_each(|entry| self.move_end(entry.id));
        }
        self.cache_bytes = self.cache_bytes.saturating_add(bytes);
        self.runs.push_back(Run::new(first.index, entries, bytes));
    }

    fn move_end(&mut self, id: LogId) {
        assert_eq!(id.index, self.last.index.next(), "the log is contiguous");
        assert!(id.term >= self.last.term, "terms never fall along the log");
        if self.terms.back().is_none_or(|first| first.term < id.term) {
            self.terms.push_back(id);
        }
        self.last = id;
    }

    /// The first index of the open tail, or the next index if it is empty.
    pub(crate) fn open_from(&self) -> Index {
        Index(self.last.index.0 + 1 - self.open.len() as u64)
    }

    /// Turns the open tail into a run, so that it can be shared.
    #[inline]
    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.seal_open();
        }
    }

    fn seal_open(&mut self) {
        let (first, bytes) = (self.open_from(), take(&mut self.open_bytes));
        let entries = Entries::seal(&mut self.open, bytes);
        self.runs.push_back(Run::new(first, entries, bytes));
    }

    /// Adds an entry that storage already holds, during recovery.
    pub(crate) fn recover(&mut self, entry: Entry) {
        self.push(entry);
        self.written = self.last.index;
        self.persisted = self.last.index;
        self.evict();
    }

    /// Ends recovery.
    pub(crate) fn end_recovery(&mut self) {
        self.seal();
        self.evict();
    }

    /// Drops all entries from `from` on.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(
            from > self.start.index,
            "what a snapshot covers is committed"
        );
        if from > self.last.index {
            return;
        }
        self.seal();
        let index = from.prev();
        while self.runs.back().is_some_and(|run| run.first >= from) {
            self.forget_bytes(|runs| runs.pop_back());
        }
        if let Some(run) = self.runs.back_mut() {
            run.entries = run.within(Index(0), index);
        }
        while self.terms.back().is_some_and(|first| first.index >= from) {
            self.terms.pop_back();
        }
        self.forget_writes_from(from);
        let term = self
            .terms
            .back()
            .map_or(self.start.term, |first| first.term);
        self.last = LogId { term, index };
        self.evict();
    }

    /// Drops all entries up to `start`, which matches this log.
    pub(crate) fn compact(&mut self, start: LogId) {
        assert!(self.matches(start), "only what matches is compacted");
        self.seal();
        while self
            .runs
            .front()
            .is_some_and(|run| run.last() <= start.index)
        {
            self.forget_bytes(VecDeque::pop_front);
        }
        let next = start.index.next();
        if let Some(run) = self.runs.front_mut() {
            run.entries = run.within(next, Index(u64::MAX));
            run.first = run.first.max(next);
        }
        while self.terms.get(1).is_some_and(|first| first.index <= next) {
            self.terms.pop_front();
        }
        if start.index == self.last.index {
            self.terms.clear();
        }
        if let Some(first) = self.terms.front_mut() {
            first.index = first.index.max(next);
        }
        self.start = start;
        self.cover(start.index);
        self.evict();
    }

    /// Drops everything: the log begins anew after `start`, whose snapshot is durable.
    pub(crate) fn reset(&mut self, start: LogId) {
        self.forget_writes_from(self.start.index.next());
        self.runs.clear();
        self.open.clear();
        (self.open_bytes, self.cache_bytes) = (0, 0);
        self.terms.clear();
        self.start = start;
        self.last = start;
        self.cover(start.index);
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        self.truncate.is_some()
            || self.written < self.last.index
            || self.start_written < self.start.index
    }

    /// Moves everything unwritten into a record, with the vote if that is new. The record is then
    /// in flight.
    pub(crate) fn write(&mut self, vote: Option<(Term, Option<NodeId>)>) -> Record {
        self.seal();
        let mut entries = Few::default();
        let (from, to) = (self.written.next(), self.last.index);
        for run in self.runs.range(self.run_with(from)..) {
            entries.push(run.within(from, to));
        }
        let head = Head {
            vote,
            truncate_from: self.truncate.take(),
            start: (self.start_written < self.start.index).then_some(self.start),
        };
        self.written = self.last.index;
        self.start_written = self.start.index;
        self.writing = Some(self.written);
        Record::new(head, entries)
    }

    /// Handles the completion of the write in flight.
    pub(crate) fn handle_persisted(&mut self, own: Durable<Own>) {
        let kept = self.writing.take().unwrap_or_default();
        self.persisted = self.persisted.max(own.last.min(kept));
        self.start_persisted = own.start.unwrap_or(self.start_persisted);
        self.evict();
    }

    /// Treats everything up to `index` as durable, because a durable snapshot covers it.
    fn cover(&mut self, index: Index) {
        self.written = self.written.max(index);
        self.persisted = self.persisted.max(index);
    }

    fn forget_writes_from(&mut self, from: Index) {
        let kept = from.prev();
        if self.written >= from {
            self.truncate = Some(self.truncate.map_or(from, |earlier| earlier.min(from)));
            self.written = kept;
            self.persisted = self.persisted.min(kept);
        }
        self.writing = self.writing.map(|last| last.min(kept));
    }

    /// Evicts whole runs from the cache.
    fn evict(&mut self) {
        while self.cache_bytes > self.cache_bytes_max
            && self
                .runs
                .front()
                .is_some_and(|run| run.last() <= self.persisted)
        {
            self.forget_bytes(VecDeque::pop_front);
        }
    }

    fn forget_bytes(&mut self, pop: impl FnOnce(&mut VecDeque<Run>) -> Option<Run>) {
        self.cache_bytes -= pop(&mut self.runs).map_or(0, |run| run.bytes);
    }

    /// The position of the run that holds `index`, or of the first run after it. Usually this is
    /// the last run.
    fn run_with(&self, index: Index) -> usize {
        match self.runs.back() {
            Some(run) if run.first <= index && index <= run.last() => self.runs.len() - 1,
            _ => self.runs.partition_point(|run| run.last() < index),
        }
    }

    /// The last index that is on disk and not in the cache.
    pub(crate) fn evicted_to(&self) -> Index {
        let first = self.runs.front().map(|run| run.first);
        first.unwrap_or_else(|| self.open_from()).prev()
    }

    /// Checks the invariants of this type, in debug builds and tests.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self) {
        assert!(self.start.index <= self.persisted, "the start is durable");
        assert!(self.persisted <= self.written, "durable was written");
        assert!(self.written <= self.last.index, "written is in the log");
        assert!(
            self.evicted_to() <= self.persisted,
            "the cache holds what is not durable"
        );
        assert_eq!(
            self.term_at(self.last.index),
            Some(self.last.term),
            "the last term is that of its run"
        );
        let mut last = self.evicted_to();
        for run in &self.runs {
            assert_eq!(run.first, last.next(), "the cache has no gap");
            assert!(run.entries.is_sound(), "no run has a gap");
            last = run.last();
        }
        assert_eq!(last.next(), self.open_from(), "the cache is a suffix");
        let bytes = self.runs.iter().map(|run| run.bytes).sum::<usize>() + self.open_bytes;
        assert_eq!(self.cache_bytes, bytes, "the cache counts what it keeps");
    }
}

#[cfg(test)]
mod tests;
