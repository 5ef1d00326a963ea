use alloc::vec::Vec;

use super::Log;
use crate::entries::fitting;
#[cfg(any(test, feature = "check"))]
use crate::slot::votes;
use crate::{Ballot, Chosen, Entries, Fetch, Slot, Value, Vote};

/// The values that the log has for a range of slots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    /// One value per slot, at least one.
    Cached(Entries),
    /// The values are chosen and only on disk, up to this slot.
    Evicted(Slot),
    /// There is no vote for the first slot.
    Gap,
}

/// Read access to the log.
impl Log {
    /// The vote for a slot, if it is in memory.
    pub(crate) fn vote(&self, slot: Slot) -> Option<Vote<&Value>> {
        if let Some(run) = self.run_with(slot) {
            return run.votes.vote(slot);
        }
        let place = usize::try_from(slot.0.checked_sub(self.open.first.0)?).ok()?;
        let value = self.open.values.get(place)?;
        let ballot = self.open.ballot;
        Some(Vote {
            slot,
            ballot,
            value,
        })
    }

    /// The last slot of the votes in that ballot without a gap from `slot` on. `slot` must not be
    /// in the open tail.
    #[inline]
    pub(crate) fn voted_to(&self, slot: Slot, ballot: Ballot) -> Option<Slot> {
        let votes = &self.run_with(slot)?.votes;
        (votes.ballot == ballot).then(|| votes.last())
    }

    /// The votes in memory from `slot` on.
    #[cfg(any(test, feature = "check"))]
    pub(crate) fn votes_from(&self, slot: Slot) -> impl Iterator<Item = Vote<&Value>> {
        let (Ok(at) | Err(at)) = self.search(slot);
        let runs = self.runs.range(at..).flat_map(|run| run.votes.iter());
        let open = votes(self.open.first, self.open.ballot, &self.open.values);
        runs.chain(open).filter(move |vote| vote.slot >= slot)
    }

    /// As many values as fit, at least one, from `from` to at most `to`.
    #[inline]
    pub(crate) fn slice(&mut self, from: Slot, to: Slot, bytes_max: usize) -> Slice {
        debug_assert!(from > self.start.slot, "what is cut is not sliced");
        self.seal();
        let Some(run) = self.run_with(from) else {
            return match from <= self.chosen {
                true => Slice::Evicted(self.evicted_to()),
                false => Slice::Gap,
            };
        };
        let Some(part) = run.votes.within(from, to) else {
            return Slice::Gap;
        };
        if part.last() < to && part.last() < self.last() {
            return Slice::Cached(self.gather(from, to, bytes_max));
        }
        if part.values.bytes() <= bytes_max {
            return Slice::Cached(part.values);
        }
        let (count, _) = fitting(part.values.iter(), bytes_max);
        Slice::Cached(part.values.part(0..count))
    }

    /// Adds values of the following runs as far as they fit. A peer that lacks many values thus
    /// gets them in few messages, even if few were proposed at a time.
    #[cold]
    fn gather(&self, from: Slot, to: Slot, bytes_max: usize) -> Entries {
        let (Ok(at) | Err(at)) = self.search(from);
        let behind = self.runs.range(at..).flat_map(|run| run.votes.iter());
        let wanted = behind.skip_while(|vote| vote.slot < from);
        let follow = (from.0..=to.0).zip(wanted);
        let follow = follow.take_while(|(slot, vote)| vote.slot.0 == *slot);
        let all = follow.map(|(_, vote)| vote.value);
        let (count, _) = fitting(all.clone(), bytes_max);
        let place = usize::try_from(from.0 - self.runs[at].votes.first.0).unwrap_or(0);
        let values = &self.runs[at].votes.values;
        match place.saturating_add(count) <= values.len() {
            true => values.part(place..place + count),
            false => all.take(count).cloned().collect(),
        }
    }

    /// The chosen values from `from` to at most `to` that are in one cached run.
    #[inline]
    pub(crate) fn chosen_run(&self, from: Slot, to: Slot) -> Option<Chosen> {
        let votes = self.run_with(from)?.votes.within(from, to)?;
        Some(Chosen {
            first: votes.first,
            values: votes.values,
        })
    }

    /// Whether these may be values of the chosen prefix, starting at `fetch.from`: at least one,
    /// and within the requested range.
    pub(crate) fn is_range(&self, fetch: &Fetch, values: &Entries) -> bool {
        let last = fetch
            .from
            .0
            .saturating_add(values.len() as u64)
            .saturating_sub(1);
        !values.is_empty() && last <= fetch.to.0 && fetch.to <= self.chosen
    }

    /// A page of the votes from `from` on in ballots below `ballot` that are not known to be chosen,
    /// and the start of the next page.
    pub(crate) fn page(
        &mut self,
        ballot: Ballot,
        from: Slot,
        bytes_max: usize,
        votes_max: usize,
    ) -> (Vec<Vote>, Option<Slot>) {
        self.seal();
        let from = from.max(self.chosen.next());
        let (Ok(at) | Err(at)) = self.search(from);
        let behind = self.runs.range(at..).flat_map(|run| run.votes.iter());
        let mut bytes = 0usize;
        let mut votes = Vec::new();
        let votes_below = behind.filter(|vote| vote.slot >= from && vote.ballot < ballot);
        for vote in votes_below {
            bytes = bytes.saturating_add(vote.value.size());
            let is_full = bytes > bytes_max || votes.len() >= votes_max;
            if is_full && !votes.is_empty() {
                return (votes, Some(vote.slot));
            }
            votes.push(vote.cloned());
        }
        (votes, None)
    }
}
