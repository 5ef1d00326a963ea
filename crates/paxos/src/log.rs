use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::take;

use crate::{Fetch, Position, Record, Slot, Value, Vote};

/// What the core keeps of an acceptor's votes: all of those above the chosen prefix, and of the
/// rest a bounded cache of the newest. It never reads storage.
///
/// ```text
///  cut       │ start+1 ..                   evicted │ cached          chosen │     gap  last
///  ──────────┼──────────────────────────────────────┼─────────────────┬──────┼─────┬ ┬──┤
///  snapshot  │ no gaps                              │         settled │      │     │ │  │
///            └────────────────────────── durable ───┴─────────────────┘      └─────┘ └──┘
/// ```
///
/// Invariants:
/// - `start <= settled <= chosen`, and each slot in `start + 1 ..= chosen` has the vote for the
///   value that is chosen there;
/// - a vote at or below `chosen` is never replaced, so every later vote for that slot would be for
///   the same value (P2b);
/// - a vote above `chosen` is replaced only by one of a higher ballot;
/// - everything up to `settled` is durable, and no vote is evicted before it is settled;
/// - a vote that was replaced after its write left counts as durable only when its own write is
///   (ABA).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    start: Position,
    chosen: Slot,
    settled: Slot,
    /// Ascending by slot; without a gap up to `chosen`.
    cache: VecDeque<Held>,
    cache_bytes: usize,
    cache_bytes_max: usize,
    /// Slots whose votes no record has.
    unwritten: Vec<Slot>,
    /// Slots in the record on its way to the disk.
    writing: Vec<Slot>,
    start_written: Slot,
    start_persisted: Slot,
    start_writing: Slot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    vote: Vote,
    durability: Durability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Durability {
    Unwritten,
    Writing,
    Durable,
}

/// What the log has for a range of slots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    /// One value a slot, at least one.
    Cached(Vec<Value>),
    /// Chosen, and on disk up to this slot.
    Evicted(Slot),
    /// No vote for the first slot.
    Gap,
}

impl Log {
    /// An empty log behind `start`, which is durable.
    pub(crate) fn new(start: Position, cache_bytes_max: usize) -> Self {
        Self {
            start,
            chosen: start.slot,
            settled: start.slot,
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_bytes_max,
            unwritten: Vec::new(),
            writing: Vec::new(),
            start_written: start.slot,
            start_persisted: start.slot,
            start_writing: start.slot,
        }
    }

    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// The prefix of the slots that is known to be chosen.
    pub(crate) fn chosen(&self) -> Slot {
        self.chosen
    }

    /// The part of it that is durable.
    pub(crate) fn settled(&self) -> Slot {
        self.settled
    }

    /// The last slot with a vote.
    pub(crate) fn last(&self) -> Slot {
        self.cache
            .back()
            .map_or(self.chosen, |held| held.vote.slot.max(self.chosen))
    }

    pub(crate) fn start_persisted(&self) -> Slot {
        self.start_persisted
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// The vote for a slot, if it is in memory.
    pub(crate) fn vote(&self, slot: Slot) -> Option<&Vote> {
        self.find(slot).ok().map(|at| &self.cache[at].vote)
    }

    /// A vote that storage holds already, while a node starts; ascending. `chosen` is how far the
    /// storage knows the slots chosen.
    pub(crate) fn recover(&mut self, vote: Vote, chosen: Slot) {
        debug_assert!(vote.slot > self.last(), "recovered votes ascend");
        let slot = vote.slot;
        self.cache_bytes = self.cache_bytes.saturating_add(vote.value.size());
        self.cache.push_back(Held {
            vote,
            durability: Durability::Durable,
        });
        if slot <= chosen && slot == self.chosen.next() {
            self.chosen = slot;
            self.settled = slot;
        }
        self.evict();
    }

    /// Casts votes for ascending slots. Nothing happens to the chosen prefix, whose values never
    /// change.
    ///
    /// What lies behind a gap is moved once for all that goes into it, and not once a vote: with
    /// [`Slot::AHEAD_MAX`] votes that come out of order the node would be busy for seconds.
    pub(crate) fn accept(&mut self, votes: impl IntoIterator<Item = Vote>) {
        let mut behind = VecDeque::new();
        for vote in votes {
            if vote.slot <= self.chosen {
                continue;
            }
            if behind.is_empty()
                && let Err(at) = self.find(vote.slot)
            {
                behind = self.cache.split_off(at);
            }
            let is_before = |held: &Held| held.vote.slot <= vote.slot;
            while behind.front().is_some_and(is_before) {
                self.cache.extend(behind.pop_front());
            }
            self.replace_or_append(vote);
        }
        self.cache.append(&mut behind);
    }

    fn replace_or_append(&mut self, vote: Vote) {
        let slot = vote.slot;
        self.cache_bytes = self.cache_bytes.saturating_add(vote.value.size());
        let held = Held {
            vote,
            durability: Durability::Unwritten,
        };
        match self.find(slot) {
            Ok(at) => {
                let old = core::mem::replace(&mut self.cache[at], held);
                assert!(
                    old.vote.ballot < self.cache[at].vote.ballot,
                    "a vote is replaced by a higher ballot's alone"
                );
                self.cache_bytes -= old.vote.value.size();
                if old.durability == Durability::Unwritten {
                    return;
                }
            }
            Err(at) => {
                assert_eq!(at, self.cache.len(), "votes are cast in ascending order");
                self.cache.push_back(held);
            }
        }
        self.unwritten.push(slot);
    }

    /// The slots up to `slot` are chosen, and it holds their values.
    pub(crate) fn choose_to(&mut self, slot: Slot) {
        debug_assert!(slot <= self.last(), "what is chosen is held");
        self.chosen = self.chosen.max(slot);
        self.settle();
    }

    /// Values from `from` to at most `to`, as many as fit, at least one.
    pub(crate) fn slice(&self, from: Slot, to: Slot, bytes_max: usize) -> Slice {
        debug_assert!(from > self.start.slot, "what is cut is not sliced");
        let at = match self.find(from) {
            Ok(at) => at,
            Err(_) if from <= self.chosen => return Slice::Evicted(self.evicted_to()),
            Err(_) => return Slice::Gap,
        };
        let mut bytes = 0usize;
        let mut expected = from;
        let fits = |held: &&Held| {
            let fits = held.vote.slot == expected && expected <= to;
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(held.vote.value.size());
            expected = expected.next();
            fits && (is_first || bytes <= bytes_max)
        };
        let values = self.cache.range(at..).take_while(fits);
        Slice::Cached(values.map(|held| held.vote.value.clone()).collect())
    }

    /// Whether these are the votes of the chosen prefix from `fetch.from` on, and not past what was
    /// asked for.
    pub(crate) fn is_range(&self, fetch: &Fetch, votes: &[Vote]) -> bool {
        let mut expected = fetch.from;
        let fits = votes.iter().all(|vote| {
            let fits = vote.slot == expected && expected <= fetch.to;
            expected = expected.next();
            fits
        });
        fits && !votes.is_empty() && fetch.to <= self.chosen
    }

    /// A page of the votes from `from` on that are not known to be chosen, and where the next one
    /// begins.
    pub(crate) fn page(
        &self,
        from: Slot,
        bytes_max: usize,
        votes_max: usize,
    ) -> (Vec<Vote>, Option<Slot>) {
        let (Ok(at) | Err(at)) = self.find(from.max(self.chosen.next()));
        let mut bytes = 0usize;
        let mut votes = Vec::new();
        for held in self.cache.range(at..) {
            bytes = bytes.saturating_add(held.vote.value.size());
            let is_full = bytes > bytes_max || votes.len() >= votes_max;
            if is_full && !votes.is_empty() {
                return (votes, Some(held.vote.slot));
            }
            votes.push(held.vote.clone());
        }
        (votes, None)
    }

    /// The log begins anew behind `start`, whose snapshot is durable. Votes behind it stay: they may
    /// be part of what is chosen there.
    pub(crate) fn begin_at(&mut self, start: Position) {
        assert!(start.slot > self.start.slot, "a start never falls");
        while self
            .cache
            .front()
            .is_some_and(|held| held.vote.slot <= start.slot)
        {
            self.drop_front();
        }
        self.unwritten.retain(|slot| *slot > start.slot);
        self.start = start;
        self.chosen = self.chosen.max(start.slot);
        self.settled = self.settled.max(start.slot);
        self.settle();
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty() || self.start_written < self.start.slot
    }

    /// Moves what is not yet written into a record; it is in flight from now on.
    pub(crate) fn write(&mut self) -> Record {
        let mut slots = take(&mut self.unwritten);
        slots.sort_unstable();
        let mut votes = Vec::with_capacity(slots.len());
        for slot in &slots {
            if let Ok(at) = self.find(*slot) {
                let held = &mut self.cache[at];
                held.durability = Durability::Writing;
                votes.push(held.vote.clone());
            }
        }
        let start = (self.start_written < self.start.slot).then_some(self.start);
        self.start_written = self.start.slot;
        self.start_writing = self.start.slot;
        self.writing = slots;
        Record {
            state: None,
            votes,
            start,
        }
    }

    /// The write in flight is durable; what replaced some of its votes since is not.
    pub(crate) fn handle_persisted(&mut self) {
        for slot in take(&mut self.writing) {
            if let Ok(at) = self.find(slot)
                && self.cache[at].durability == Durability::Writing
            {
                self.cache[at].durability = Durability::Durable;
            }
        }
        self.start_persisted = self.start_writing;
        self.settle();
    }

    /// The last slot of the chosen prefix that is on disk and not in memory.
    pub(crate) fn evicted_to(&self) -> Slot {
        let first = self.cache.front().map(|held| held.vote.slot.prev());
        first.map_or(self.chosen, |before| before.min(self.chosen))
    }

    fn settle(&mut self) {
        while self.settled < self.chosen {
            let next = self.settled.next();
            let is_durable = |at: usize| self.cache[at].durability == Durability::Durable;
            if !self.find(next).is_ok_and(is_durable) {
                break;
            }
            self.settled = next;
        }
        self.evict();
    }

    fn evict(&mut self) {
        while self.cache_bytes > self.cache_bytes_max
            && self
                .cache
                .front()
                .is_some_and(|held| held.vote.slot <= self.settled)
        {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        let held = self.cache.pop_front();
        self.cache_bytes -= held.map_or(0, |held| held.vote.value.size());
    }

    /// Where the slot is in the cache, or where it would be. Gaps are rare, so the first guess is
    /// almost always right.
    fn find(&self, slot: Slot) -> Result<usize, usize> {
        let (Some(front), Some(back)) = (self.cache.front(), self.cache.back()) else {
            return Err(0);
        };
        if slot > back.vote.slot {
            return Err(self.cache.len());
        }
        if slot < front.vote.slot {
            return Err(0);
        }
        let guess = usize::try_from(slot.0 - front.vote.slot.0).unwrap_or(usize::MAX);
        if self
            .cache
            .get(guess)
            .is_some_and(|held| held.vote.slot == slot)
        {
            return Ok(guess);
        }
        self.cache
            .binary_search_by_key(&slot, |held| held.vote.slot)
    }

    /// The invariants above, for debug builds and tests.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self) {
        assert!(self.start.slot <= self.settled, "the start is durable");
        assert!(self.settled <= self.chosen, "what is settled is chosen");
        let first = self.evicted_to();
        assert!(first <= self.settled, "what is evicted is settled");
        let of_prefix = self.chosen.0 - first.0;
        let (Some(front), Some(back)) = (self.cache.front(), self.cache.back()) else {
            assert_eq!(of_prefix, 0, "what is not evicted is held");
            return;
        };
        assert!(front.vote.slot <= back.vote.slot, "votes ascend");
        if let Some(last_of_prefix) = of_prefix.checked_sub(1) {
            let at = usize::try_from(last_of_prefix).expect("a cache fits memory");
            assert_eq!(
                self.cache[at].vote.slot, self.chosen,
                "the chosen prefix has no gap"
            );
        }
    }
}

#[cfg(test)]
mod tests;
