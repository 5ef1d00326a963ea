use alloc::collections::VecDeque;
use alloc::vec::Vec;

use synod_durable::Durable;

use crate::{Entry, Fetch, Index, LogId, Own, Record, Term};

/// What the core keeps of the log: a bounded cache of the tail, and of the rest the positions at
/// which a term begins. It never reads storage.
///
/// ```text
///  compacted │ start+1 ..                       evicted │ cached                     last
///  ──────────┼──────────────────────────────────────────┼─────────────────┬───────────┤
///  snapshot  │ runs: where each term begins             │ entries         │ unwritten │
///            └────────────────────────── persisted ──────┴───── written ──┘
/// ```
///
/// Invariants:
/// - `start <= persisted <= written <= last`, all in this log as it is in memory now;
/// - indexes are contiguous from `start + 1` to `last`, terms never fall;
/// - the cache is a suffix of the log and holds everything behind `persisted`;
/// - `truncate` is given if and only if the disk, or the write on its way there, may hold an entry
///   at that index or behind it which this log no longer has;
/// - `writing` never covers an index that was truncated after the write left: a receipt for an old
///   entry does not make the new one at its index durable (ABA).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    start: LogId,
    last: LogId,
    /// The first position of each term's run, ascending.
    runs: VecDeque<LogId>,
    cache: VecDeque<Entry>,
    cache_bytes: usize,
    cache_bytes_max: usize,
    written: Index,
    persisted: Index,
    truncate: Option<Index>,
    start_written: Index,
    start_persisted: Index,
    /// Up to here this log still has what the write in flight has.
    writing: Option<Index>,
}

/// What the log has for a range that begins at an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    Cached(Vec<Entry>),
    /// On disk up to this index.
    Evicted(Index),
}

impl Log {
    /// An empty log behind `start`, which is durable.
    pub(crate) fn new(start: LogId, cache_bytes_max: usize) -> Self {
        Self {
            start,
            last: start,
            runs: VecDeque::new(),
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_bytes_max,
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

    /// Every entry up to here is durable: on disk, or covered by a durable snapshot.
    pub(crate) fn persisted(&self) -> Index {
        self.persisted
    }

    pub(crate) fn start_persisted(&self) -> Index {
        self.start_persisted
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// What the next record truncates.
    #[cfg(feature = "check")]
    pub(crate) fn truncate_from(&self) -> Option<Index> {
        self.truncate
    }

    /// The term of the entry at `index`; `None` before the start and behind the end.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        if index < self.start.index || index > self.last.index {
            return None;
        }
        let run = self.runs.partition_point(|run| run.index <= index);
        Some(self.runs[run - 1].term)
    }

    /// Log Matching (§5.3): if so, everything up to `id` is the same as in the log it comes from.
    pub(crate) fn matches(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last position at or before `id` whose term is not later than `id`'s. A log that refuses
    /// `id`, and one that is refused, both step over whole terms with it.
    pub(crate) fn hint(&self, id: LogId) -> LogId {
        let mut end = self.last.index.min(id.index);
        for run in self.runs.iter().rev() {
            if run.index > end {
                continue;
            }
            if run.term <= id.term {
                return LogId {
                    term: run.term,
                    index: end,
                };
            }
            end = run.index.prev();
        }
        self.start
    }

    /// Whether these are entries of this log from `fetch.from` on, and not past what was asked for.
    pub(crate) fn is_range(&self, fetch: &Fetch, entries: &[Entry]) -> bool {
        let mut expected = fetch.from;
        let fits = entries.iter().all(|entry| {
            let fits = entry.id.index == expected && expected <= fetch.to && self.matches(entry.id);
            expected = expected.next();
            fits
        });
        fits && !entries.is_empty()
    }

    /// Entries from `from` on, as many as fit, at least one. `from` is within the log.
    pub(crate) fn slice(&self, from: Index, bytes_max: usize, entries_max: usize) -> Slice {
        debug_assert!(from > self.start.index && from <= self.last.index);
        let first = self.first_cached();
        if from < first {
            return Slice::Evicted(first.prev());
        }
        let mut bytes = 0usize;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(entry.size());
            first || bytes <= bytes_max
        };
        let entries = self.cached_from(from).take(entries_max);
        Slice::Cached(entries.take_while(fits).cloned().collect())
    }

    pub(crate) fn cached(&self, index: Index) -> Option<&Entry> {
        (index >= self.first_cached()).then(|| self.cached_from(index).next())?
    }

    /// Adds an entry at the end.
    pub(crate) fn append(&mut self, entry: Entry) {
        assert_eq!(
            entry.id.index,
            self.last.index.next(),
            "the log is contiguous"
        );
        assert!(
            entry.id.term >= self.last.term,
            "terms never fall along the log"
        );
        if self.runs.back().is_none_or(|run| run.term < entry.id.term) {
            self.runs.push_back(entry.id);
        }
        self.last = entry.id;
        self.cache_bytes = self.cache_bytes.saturating_add(entry.size());
        self.cache.push_back(entry);
    }

    /// An entry that storage holds already, while a node starts.
    pub(crate) fn recover(&mut self, entry: Entry) {
        self.append(entry);
        self.written = self.last.index;
        self.persisted = self.last.index;
        self.evict();
    }

    /// Drops every entry from `from` on.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(
            from > self.start.index,
            "what a snapshot covers is committed"
        );
        if from > self.last.index {
            return;
        }
        while self
            .cache
            .back()
            .is_some_and(|entry| entry.id.index >= from)
        {
            let entry = self.cache.pop_back();
            self.cache_bytes -= entry.map_or(0, |entry| entry.size());
        }
        while self.runs.back().is_some_and(|run| run.index >= from) {
            self.runs.pop_back();
        }
        self.forget_writes_from(from);
        let index = from.prev();
        let term = self.runs.back().map_or(self.start.term, |run| run.term);
        self.last = LogId { term, index };
    }

    /// Drops everything up to `start`, which matches this log.
    pub(crate) fn compact(&mut self, start: LogId) {
        assert!(self.matches(start), "only what matches is compacted");
        while self
            .cache
            .front()
            .is_some_and(|entry| entry.id.index <= start.index)
        {
            let entry = self.cache.pop_front();
            self.cache_bytes -= entry.map_or(0, |entry| entry.size());
        }
        let next = start.index.next();
        while self.runs.get(1).is_some_and(|run| run.index <= next) {
            self.runs.pop_front();
        }
        if start.index == self.last.index {
            self.runs.clear();
        }
        if let Some(run) = self.runs.front_mut() {
            run.index = run.index.max(next);
        }
        self.start = start;
        self.cover(start.index);
    }

    /// Drops everything: the log begins anew behind `start`, whose snapshot is durable.
    pub(crate) fn reset(&mut self, start: LogId) {
        self.forget_writes_from(self.start.index.next());
        self.cache.clear();
        self.cache_bytes = 0;
        self.runs.clear();
        self.start = start;
        self.last = start;
        self.cover(start.index);
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        self.truncate.is_some()
            || self.written < self.last.index
            || self.start_written < self.start.index
    }

    /// Moves what is not yet written into a record; it is in flight from now on.
    pub(crate) fn write(&mut self) -> Record {
        let record = Record {
            vote: None,
            truncate_from: self.truncate.take(),
            entries: self.cached_from(self.written.next()).cloned().collect(),
            start: (self.start_written < self.start.index).then_some(self.start),
        };
        self.written = self.last.index;
        self.start_written = self.start.index;
        self.writing = Some(self.written);
        record
    }

    /// The write in flight is durable.
    pub(crate) fn handle_persisted(&mut self, own: Durable<Own>) {
        let kept = self.writing.take().unwrap_or_default();
        self.persisted = self.persisted.max(own.last.min(kept));
        self.start_persisted = own.start.unwrap_or(self.start_persisted);
        self.evict();
    }

    /// A snapshot that is durable stands for everything up to `index`.
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

    fn evict(&mut self) {
        while self.cache_bytes > self.cache_bytes_max
            && self
                .cache
                .front()
                .is_some_and(|entry| entry.id.index <= self.persisted)
        {
            let entry = self.cache.pop_front();
            self.cache_bytes -= entry.map_or(0, |entry| entry.size());
        }
    }

    fn first_cached(&self) -> Index {
        self.cache
            .front()
            .map_or_else(|| self.last.index.next(), |entry| entry.id.index)
    }

    fn cached_from(&self, from: Index) -> impl Iterator<Item = &Entry> {
        let skip = from.0.saturating_sub(self.first_cached().0);
        let skip =
            usize::try_from(skip).map_or(self.cache.len(), |skip| skip.min(self.cache.len()));
        self.cache.range(skip..)
    }

    /// The last index that is on disk and not in the cache.
    pub(crate) fn evicted_to(&self) -> Index {
        self.first_cached().prev()
    }

    /// The invariants above, for debug builds and tests.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self) {
        assert!(self.start.index <= self.persisted, "the start is durable");
        assert!(self.persisted <= self.written, "durable was written");
        assert!(self.written <= self.last.index, "written is in the log");
        assert!(
            self.first_cached() <= self.persisted.next(),
            "the cache holds what is not durable"
        );
        assert_eq!(
            self.term_at(self.last.index),
            Some(self.last.term),
            "the last term is that of its run"
        );
        if let (Some(front), Some(back)) = (self.cache.front(), self.cache.back()) {
            assert_eq!(back.id, self.last, "the cache is a suffix");
            assert_eq!(
                self.term_at(front.id.index),
                Some(front.id.term),
                "cache and runs agree"
            );
        }
    }
}

#[cfg(test)]
mod tests;
