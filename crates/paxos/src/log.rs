use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use core::mem::take;

use synod_durable::Few;

use self::run::{Durability, Run, Tail};
use crate::{Ballot, Config, Entries, Kind, Position, Record, Slot, Value, Vote, Votes};

#[cfg(any(test, debug_assertions))]
mod check;
mod marks;
mod read;
mod run;

pub(crate) use read::Slice;

/// The votes of an acceptor that the core keeps: all of those above the chosen prefix, and of the
/// rest a bounded cache of the newest. It never reads storage.
///
/// ```text
///  compacted │ start+1 ..         evicted │ cached               chosen │     gap       last
///  ──────────┼────────────────────────────┼─────────┬─────┬───────┬────┼─────┬─────┬──────┤
///  snapshot  │ no gaps                    │   run   │ run │  run  │  run     │     │ open │
///            └────────────────── durable ─┴─────────┴─────┴───────┘          └─────┘ tail │
/// ```
///
/// A leader's new proposals go into the open tail, which is not shared yet. When they are first
/// sent or written they become a run, and are shared from then on. What a follower receives is
/// already a run. A run is of one ballot and at most as large as a message may be; a larger value
/// has a run of its own.
///
/// What is sent, written and fetched depends only on the votes, not on the boundaries of runs. What
/// is evicted, and what is applied together, does depend on them. So the runs, and what each keeps
/// in memory, take part in the equality of logs.
///
/// Invariants:
/// - `start <= settled <= chosen`, and each slot in `start + 1 ..= chosen` has a vote for the value
///   that is chosen there;
/// - a vote at or below `chosen` is never replaced, because every later vote for that slot would be
///   for the same value (P2b);
/// - a vote above `chosen` is replaced only by one of a higher ballot;
/// - everything up to `settled` is durable, and no vote is evicted before it is settled;
/// - a vote that was replaced after its write was made counts as durable only when its own write is
///   (ABA);
/// - no run is empty, and `cache_bytes` is what the runs and the open tail keep in memory,
///   including parts cut off.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    start: Position,
    chosen: Slot,
    settled: Slot,
    /// Ascending by slot; without a gap up to `chosen`.
    runs: VecDeque<Run>,
    open: Tail,
    cache_bytes: usize,
    /// The bytes of the votes above `settled`.
    unsettled_bytes: usize,
    bounds: Bounds,
    /// Slots that may have a vote for a configuration, and are not yet known to be chosen.
    marked: BTreeSet<Slot>,
    /// The range of slots that contains all votes that are in no record yet.
    unwritten: Option<(Slot, Slot)>,
    /// The range of slots that contains all votes of the write in flight.
    writing: Option<(Slot, Slot)>,
    start_written: Slot,
    start_persisted: Slot,
    start_writing: Slot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bounds {
    cache_bytes_max: usize,
    run_bytes_max: usize,
    run_values_max: usize,
}

impl Log {
    /// An empty log that begins after `start`, which is durable.
    pub(crate) fn new(start: Position, config: &Config) -> Self {
        Self {
            start,
            chosen: start.slot,
            settled: start.slot,
            runs: VecDeque::new(),
            open: Tail::default(),
            cache_bytes: 0,
            unsettled_bytes: 0,
            bounds: Bounds {
                cache_bytes_max: config.cache_bytes_max,
                run_bytes_max: config.accept_bytes_max,
                run_values_max: config.accept_values_max,
            },
            marked: BTreeSet::new(),
            unwritten: None,
            writing: None,
            start_written: start.slot,
            start_persisted: start.slot,
            start_writing: start.slot,
        }
    }

    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// The last slot of the chosen prefix.
    pub(crate) fn chosen(&self) -> Slot {
        self.chosen
    }

    /// The last slot of the durable part of the chosen prefix.
    pub(crate) fn settled(&self) -> Slot {
        self.settled
    }

    /// The last slot with a vote.
    #[inline]
    pub(crate) fn last(&self) -> Slot {
        let last_run = || self.runs.back().map(|run| run.votes.last());
        let last = self.open.last().or_else(last_run);
        last.map_or(self.chosen, |last| last.max(self.chosen))
    }

    pub(crate) fn start_persisted(&self) -> Slot {
        self.start_persisted
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// The bytes of the votes that are not both durable here and in the chosen prefix.
    pub(crate) fn unsettled_bytes(&self) -> usize {
        self.unsettled_bytes
    }

    /// Adds a vote that storage already holds, during recovery, in ascending order. `chosen` is the
    /// stored chosen prefix.
    pub(crate) fn recover(&mut self, vote: Vote, chosen: Slot) {
        debug_assert!(vote.slot > self.last(), "recovered votes ascend");
        let (slot, bytes) = (vote.slot, vote.value.size());
        if self.open.ballot != vote.ballot || self.open.last() != Some(slot.prev()) {
            self.end_recovery();
        }
        self.push(slot, vote.ballot, vote.value);
        if slot <= chosen && slot == self.chosen.next() {
            self.chosen = slot;
            self.settled = slot;
            self.unsettled_bytes -= bytes;
        }
        self.evict();
    }

    /// Ends recovery.
    pub(crate) fn end_recovery(&mut self) {
        self.seal();
        self.unwritten = None;
        let written = |run: &&mut Run| run.durability == Durability::Unwritten;
        let runs = self.runs.iter_mut().rev().take_while(written);
        runs.for_each(|run| run.durability = Durability::Durable);
        self.evict();
    }

    /// Votes for a value in a slot after all others, in the open tail.
    pub(crate) fn push(&mut self, slot: Slot, ballot: Ballot, value: Value) {
        let bytes = value.size();
        let open = &self.open;
        let is_full = open.bytes.saturating_add(bytes) > self.bounds.run_bytes_max
            || open.values.len() >= self.bounds.run_values_max;
        if is_full || open.ballot != ballot || open.last().is_some_and(|last| last != slot.prev()) {
            self.seal();
        }
        if self.open.values.is_empty() {
            assert!(slot > self.last(), "the open tail is behind all runs");
            (self.open.first, self.open.ballot) = (slot, ballot);
        }
        if value.kind == Kind::Configuration {
            self.open.configures = true;
            self.marked.insert(slot);
        }
        self.open.values.push(value);
        self.open.bytes = self.open.bytes.saturating_add(bytes);
        self.cache_bytes = self.cache_bytes.saturating_add(bytes);
        self.unsettled_bytes = self.unsettled_bytes.saturating_add(bytes);
    }

    /// Turns the open tail into a run, so that it can be shared.
    #[inline]
    pub(crate) fn seal(&mut self) {
        if !self.open.values.is_empty() {
            self.seal_open();
        }
    }

    fn seal_open(&mut self) {
        // Reset everything, so that equal logs compare equal.
        let bytes = take(&mut self.open.bytes);
        let votes = Votes {
            ballot: take(&mut self.open.ballot),
            first: take(&mut self.open.first),
            values: Entries::seal(
                &mut self.open.values,
                bytes,
                take(&mut self.open.configures),
            ),
        };
        self.note_unwritten(votes.first, votes.last());
        self.runs.push_back(Run {
            votes,
            bytes,
            durability: Durability::Unwritten,
        });
    }

    #[inline]
    fn note_unwritten(&mut self, first: Slot, last: Slot) {
        let (from, to) = self.unwritten.unwrap_or((first, last));
        self.unwritten = Some((from.min(first), to.max(last)));
    }

    /// Votes for values in a ballot, except in slots that have a vote in that ballot or are in the
    /// chosen prefix, whose values never change. Covered parts of runs of lower ballots are cut
    /// out.
    ///
    /// The runs after the insertion are moved once for all votes, not once per vote: with
    /// [`Slot::AHEAD_MAX`] votes out of order that would keep the node busy for seconds.
    #[inline]
    pub(crate) fn accept(&mut self, ballot: Ballot, first: Slot, values: Entries) {
        self.seal();
        let new = Votes {
            ballot,
            first,
            values,
        };
        if first > self.last() {
            return self.append(new);
        }
        self.put_between(new);
    }

    #[cold]
    fn put_between(&mut self, new: Votes) {
        let Votes { ballot, first, .. } = new;
        let (from, last) = (first.max(self.chosen.next()), new.last());
        if from > last {
            return;
        }
        let (Ok(at) | Err(at)) = self.search(from);
        let mut behind = match at < self.runs.len() {
            true => self.runs.split_off(at),
            false => VecDeque::new(),
        };
        let mut next = from;
        while behind.front().is_some_and(|old| old.votes.first <= last)
            && let Some(old) = behind.pop_front()
        {
            let Votes {
                ballot: of_old,
                first: begin,
                ..
            } = old.votes;
            if of_old == ballot {
                self.put(new.within(next, begin.prev()));
                next = old.votes.last().next();
                self.runs.push_back(old);
                continue;
            }
            assert!(
                of_old < ballot,
                "a vote is replaced by a higher ballot's alone"
            );
            self.cache_bytes -= old.bytes;
            self.unsettled_bytes -= old.votes.bytes(from, last);
            self.hold(old.votes.within(begin, from.prev()), old.durability);
            if old.votes.last() > last {
                self.put(new.within(next, last));
                next = last.next();
                self.hold(old.votes.within(next, old.votes.last()), old.durability);
            }
        }
        self.put(new.within(next, last));
        self.runs.append(&mut behind);
    }

    fn put(&mut self, votes: Option<Votes>) {
        if let Some(votes) = votes {
            self.append(votes);
        }
    }

    /// Appends new votes after all runs.
    #[inline]
    fn append(&mut self, votes: Votes) {
        self.note_unwritten(votes.first, votes.last());
        self.unsettled_bytes = self.unsettled_bytes.saturating_add(votes.values.bytes());
        self.push_run(votes, Durability::Unwritten);
    }

    fn hold(&mut self, votes: Option<Votes>, durability: Durability) {
        if let Some(votes) = votes {
            self.push_run(votes, durability);
        }
    }

    #[inline]
    fn push_run(&mut self, votes: Votes, durability: Durability) {
        let last = self.runs.back().map(|run| run.votes.last());
        debug_assert!(last.is_none_or(|last| last < votes.first));
        if votes.values.may_configure() {
            self.mark_configurations(&votes);
        }
        let bytes = votes.values.kept_bytes();
        self.cache_bytes = self.cache_bytes.saturating_add(bytes);
        self.runs.push_back(Run {
            votes,
            bytes,
            durability,
        });
    }

    /// Marks the slots up to `slot` as chosen; the log holds their values.
    pub(crate) fn choose_to(&mut self, slot: Slot) {
        debug_assert!(slot <= self.last(), "what is chosen is held");
        self.chosen = self.chosen.max(slot);
        self.settle();
    }

    /// Starts the log after `start`, whose snapshot is durable. Later votes are kept, because they
    /// may be part of what is chosen there.
    pub(crate) fn begin_at(&mut self, start: Position) {
        assert!(start.slot > self.start.slot, "a start never falls");
        self.seal();
        while self.first().is_some_and(|first| first <= start.slot)
            && let Some(run) = self.runs.pop_front()
        {
            self.cache_bytes -= run.bytes;
            self.unsettled_bytes -= run.votes.bytes(self.settled.next(), start.slot);
            if let Some(votes) = run.votes.within(start.slot.next(), run.votes.last()) {
                self.cache_bytes += run.bytes;
                self.runs.push_front(Run { votes, ..run });
                break;
            }
        }
        let mut runs = self.runs.iter();
        let is_left = runs.any(|run| run.durability == Durability::Unwritten);
        self.unwritten = self.unwritten.filter(|_| is_left);
        self.marked = self.marked.split_off(&start.slot.next());
        self.start = start;
        self.chosen = self.chosen.max(start.slot);
        self.settled = self.settled.max(start.slot);
        self.settle();
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        self.unwritten.is_some()
            || !self.open.values.is_empty()
            || self.start_written < self.start.slot
    }

    /// Moves everything unwritten into a record, which is then in flight.
    pub(crate) fn write(&mut self) -> Record {
        self.seal();
        let mut votes = Few::default();
        self.writing = self.unwritten.take();
        self.mark(Durability::Unwritten, Durability::Writing, |run| {
            votes.push(run.clone());
        });
        let begins = self.start_written < self.start.slot;
        let start = begins.then(|| Box::new(self.start));
        self.start_written = self.start.slot;
        self.start_writing = self.start.slot;
        Record {
            state: None,
            votes,
            start,
        }
    }

    /// Handles the completion of the write in flight. Votes that replaced some of its votes since
    /// are not durable.
    pub(crate) fn handle_persisted(&mut self) {
        self.mark(Durability::Writing, Durability::Durable, |_| {});
        self.writing = None;
        self.start_persisted = self.start_writing;
        self.settle();
    }

    #[inline]
    fn mark(&mut self, from: Durability, to: Durability, mut each: impl FnMut(&Votes)) {
        let Some((first, last)) = self.writing else {
            return;
        };
        let mut turn = |run: &mut Run| {
            if run.durability == from {
                run.durability = to;
                each(&run.votes);
            }
        };
        // Usually the last run is all of it.
        if let Some(run) = self.runs.back_mut()
            && run.votes.first <= first
        {
            if first <= run.votes.last() {
                turn(run);
            }
            return;
        }
        let (Ok(at) | Err(at)) = self.search(first);
        let runs = self.runs.range_mut(at..);
        runs.take_while(|run| run.votes.first <= last)
            .for_each(turn);
    }

    /// The last slot of the chosen prefix that is on disk and not in memory.
    pub(crate) fn evicted_to(&self) -> Slot {
        let open = || self.open.last().map(|_| self.open.first);
        let first = self.first().or_else(open);
        first.map_or(self.chosen, |first| first.prev().min(self.chosen))
    }

    /// The first slot of the first run.
    fn first(&self) -> Option<Slot> {
        self.runs.front().map(|run| run.votes.first)
    }

    #[inline]
    fn settle(&mut self) {
        if self.settled < self.chosen {
            self.settle_runs();
        }
        if self.cache_bytes > self.bounds.cache_bytes_max {
            self.evict();
        }
    }

    fn settle_runs(&mut self) {
        while self.settled < self.chosen {
            let next = self.settled.next();
            let Some(Run {
                votes, durability, ..
            }) = self.run_with(next)
            else {
                break;
            };
            if *durability != Durability::Durable {
                break;
            }
            let to = votes.last().min(self.chosen);
            self.unsettled_bytes -= votes.bytes(next, to);
            self.settled = to;
        }
    }

    /// Evicts whole runs from the cache.
    fn evict(&mut self) {
        while self.cache_bytes > self.bounds.cache_bytes_max
            && let Some(run) = self.runs.front()
            && run.votes.last() <= self.settled
            && !self.is_marked_to(run.votes.last())
        {
            self.cache_bytes -= run.bytes;
            self.runs.pop_front();
        }
    }

    /// The run that holds `slot`. Usually this is the last run.
    #[inline]
    fn run_with(&self, slot: Slot) -> Option<&Run> {
        let last = self.runs.back()?;
        match slot.0.checked_sub(last.votes.first.0) {
            Some(place) => (place < last.votes.values.len() as u64).then_some(last),
            None => self.search(slot).ok().map(|at| &self.runs[at]),
        }
    }

    /// The position of the run that holds `slot`, or where it would be inserted.
    #[inline(never)]
    fn search(&self, slot: Slot) -> Result<usize, usize> {
        let at = self.runs.partition_point(|run| run.votes.last() < slot);
        match self.runs.get(at) {
            Some(run) if run.votes.first <= slot => Ok(at),
            _ => Err(at),
        }
    }
}

#[cfg(test)]
mod tests;
