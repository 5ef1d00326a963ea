use alloc::collections::VecDeque;

use crate::{AcceptorSet, Quorums, Slot};

/// A leader's proposals above the chosen prefix, and the acceptors that voted for each. They are
/// stored as ranges of slots with the same votes, which is usually one range.
///
/// Invariants: ranges are contiguous, so a leader proposes each slot once; adjacent ranges differ;
/// and no votes are added to chosen slots, so that equal counts are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tallies {
    from: Slot,
    tallies: VecDeque<Tally>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Tally {
    /// The last slot of the range.
    last: Slot,
    /// The acceptors by position, as a set: a repeated vote counts once.
    accepted: AcceptorSet,
}

impl Tally {
    /// Adds the vote of the acceptor at this position.
    #[inline]
    fn note(&mut self, quorums: &Quorums, place: usize) {
        if !quorums.is_phase2(self.accepted) {
            self.accepted.insert(place);
        }
    }
}

impl Tallies {
    pub(crate) fn new(from: Slot) -> Self {
        Self {
            from,
            tallies: VecDeque::new(),
        }
    }

    /// The slot of the next proposal.
    #[inline]
    pub(crate) fn next(&self) -> Slot {
        self.tallies
            .back()
            .map_or(self.from, |tally| tally.last.next())
    }

    /// Adds proposals from the next slot to `last`.
    #[inline]
    pub(crate) fn push(&mut self, last: Slot) {
        assert!(last >= self.next(), "each slot is proposed once, in order");
        let accepted = AcceptorSet::default();
        match self.tallies.back_mut() {
            Some(tally) if tally.accepted == accepted => tally.last = last,
            _ => self.tallies.push_back(Tally { last, accepted }),
        }
    }

    /// Counts the votes of the acceptor at this position for a range. A value is chosen with a
    /// phase-2 quorum.
    pub(crate) fn count(&mut self, quorums: &Quorums, place: usize, first: Slot, last: Slot) {
        let end = self.next().prev();
        let (first, last) = (first.max(self.from), last.min(end));
        if last < first {
            return;
        }
        match self.tallies.front_mut() {
            // Usually there is one range, which needs no split or merge.
            Some(all) if first == self.from && last == end && all.last == end => {
                all.note(quorums, place);
            }
            _ => self.count_some(quorums, place, first, last),
        }
    }

    /// Counts votes for some of the slots.
    fn count_some(&mut self, quorums: &Quorums, place: usize, first: Slot, last: Slot) {
        let begin = self.tallies.partition_point(|tally| tally.last < first);
        let mut at = begin;
        if first > self.first(at) {
            self.split(at, first.prev());
            at += 1;
        }
        while at < self.tallies.len() && self.first(at) <= last {
            if self.tallies[at].last > last {
                self.split(at, last);
            }
            self.tallies[at].note(quorums, place);
            at += 1;
        }
        self.merge(begin.saturating_sub(1), at);
    }

    /// The end of the chosen prefix, given that it reaches at least `slot`.
    pub(crate) fn chosen_behind(&self, quorums: &Quorums, slot: Slot) -> Slot {
        if slot.next() < self.from {
            return slot;
        }
        let mut chosen = slot;
        for at in 0..self.tallies.len() {
            let tally = self.tallies[at];
            if tally.last > slot && !quorums.is_phase2(tally.accepted) {
                break;
            }
            chosen = chosen.max(tally.last);
        }
        chosen
    }

    /// Drops everything up to `slot`, which is chosen.
    pub(crate) fn forget_to(&mut self, slot: Slot) {
        let to = slot.next().min(self.next());
        while self.tallies.front().is_some_and(|tally| tally.last < to) {
            self.tallies.pop_front();
        }
        self.from = self.from.max(to);
    }

    /// The first slot of the range at this position.
    fn first(&self, at: usize) -> Slot {
        let before = at.checked_sub(1).map(|before| self.tallies[before].last);
        before.map_or(self.from, Slot::next)
    }

    /// Splits the range at this position after `last`.
    fn split(&mut self, at: usize, last: Slot) {
        let accepted = self.tallies[at].accepted;
        self.tallies.insert(at, Tally { last, accepted });
    }

    /// Merges adjacent ranges with the same acceptors, between two positions.
    fn merge(&mut self, from: usize, to: usize) {
        let mut at = to.min(self.tallies.len().saturating_sub(1));
        while at > from {
            if self.tallies[at - 1].accepted == self.tallies[at].accepted {
                self.tallies.remove(at - 1);
            }
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn tallies(phase2: usize) -> (Tallies, Quorums) {
        let mut tallies = Tallies::new(Slot(5));
        (5..10).for_each(|slot| tallies.push(Slot(slot)));
        let four = (1..=4).map(NodeId);
        (
            tallies,
            Quorums::flexible(four, 5 - phase2, phase2).unwrap(),
        )
    }

    #[test]
    fn a_repeated_vote_counts_once() {
        let (mut tallies, quorums) = tallies(2);
        for _ in 0..3 {
            tallies.count(&quorums, 0, Slot(5), Slot(9));
        }
        assert_eq!(tallies.chosen_behind(&quorums, Slot(4)), Slot(4));
        tallies.count(&quorums, 1, Slot(5), Slot(6));
        assert_eq!(tallies.chosen_behind(&quorums, Slot(4)), Slot(6));
    }

    #[test]
    fn what_is_chosen_behind_a_gap_waits_for_it() {
        let (mut tallies, quorums) = tallies(2);
        for place in [0, 1] {
            tallies.count(&quorums, place, Slot(6), Slot(8));
        }
        assert_eq!(tallies.chosen_behind(&quorums, Slot(4)), Slot(4));
        for place in [2, 3] {
            tallies.count(&quorums, place, Slot(1), Slot(5));
        }
        assert_eq!(tallies.chosen_behind(&quorums, Slot(4)), Slot(8));
    }

    #[test]
    fn slots_that_are_not_proposed_are_not_counted() {
        let (mut tallies, quorums) = tallies(1);
        tallies.count(&quorums, 0, Slot(1), Slot(4));
        tallies.count(&quorums, 0, Slot(10), Slot(u64::MAX));
        assert_eq!(tallies.chosen_behind(&quorums, Slot(4)), Slot(4));
        tallies.count(&quorums, 0, Slot(1), Slot(u64::MAX));
        assert_eq!(tallies.chosen_behind(&quorums, Slot(4)), Slot(9));
    }

    #[test]
    fn what_is_chosen_is_forgotten() {
        let (mut tallies, _) = tallies(2);
        tallies.forget_to(Slot(7));
        assert_eq!((tallies.from, tallies.next()), (Slot(8), Slot(10)));
        tallies.forget_to(Slot(20));
        assert_eq!((tallies.from, tallies.next()), (Slot(10), Slot(10)));
    }

    /// Compared with a model that has a set for each slot.
    #[test]
    fn ranges_are_cut_and_joined_as_votes_come() {
        let (_, quorums) = tallies(3);
        let mut seed = 7u64;
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..500 {
            let mut tallies = Tallies::new(Slot(1));
            tallies.push(Slot(12));
            let mut model = [AcceptorSet::default(); 13];
            for _ in 0..20 {
                let (place, first) = (draw(4) as usize, 1 + draw(12));
                let last = first + draw(13 - first);
                tallies.count(&quorums, place, Slot(first), Slot(last));
                for set in &mut model[first as usize..=last as usize] {
                    if !quorums.is_phase2(*set) {
                        set.insert(place);
                    }
                }
                let chosen = model[1..].iter().take_while(|set| quorums.is_phase2(**set));
                let chosen = Slot(chosen.count() as u64);
                assert_eq!(tallies.chosen_behind(&quorums, Slot(0)), chosen);
                let ranges = model[1..].chunk_by(|a, b| a == b).count();
                assert_eq!(tallies.tallies.len(), ranges, "joined");
            }
        }
    }
}
