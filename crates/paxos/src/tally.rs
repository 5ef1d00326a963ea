use alloc::collections::VecDeque;

use crate::{AcceptorSet, NodeId, Quorums, Slot};

/// A leader's proposals that are not yet both in the chosen prefix and durable here, and who has
/// voted for each.
///
/// Invariant: slots follow each other without a gap, so a leader proposes each once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tallies {
    from: Slot,
    tallies: VecDeque<Tally>,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tally {
    /// A set: a repeated vote counts once.
    accepted: AcceptorSet,
    is_chosen: bool,
    bytes: usize,
}

impl Tallies {
    pub(crate) fn new(from: Slot) -> Self {
        Self {
            from,
            tallies: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The slot of the next proposal.
    pub(crate) fn next(&self) -> Slot {
        Slot(self.from.0.saturating_add(self.tallies.len() as u64))
    }

    /// Bytes of all that is counted here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, slot: Slot, bytes: usize) {
        assert_eq!(slot, self.next(), "each slot is proposed once, in order");
        self.bytes = self.bytes.saturating_add(bytes);
        self.tallies.push_back(Tally {
            accepted: AcceptorSet::default(),
            is_chosen: false,
            bytes,
        });
    }

    /// The votes of one acceptor for a range. A value is chosen with a phase-2 quorum.
    pub(crate) fn count(&mut self, quorums: &Quorums, from: NodeId, first: Slot, last: Slot) {
        let first = first.max(self.from);
        if last < first {
            return;
        }
        let place = |slot: Slot| usize::try_from(slot.0 - self.from.0).unwrap_or(usize::MAX);
        let len = self.tallies.len();
        let (begin, end) = (
            place(first).min(len),
            place(last).saturating_add(1).min(len),
        );
        for tally in self.tallies.range_mut(begin..end) {
            if !tally.is_chosen && quorums.insert(&mut tally.accepted, from) {
                tally.is_chosen = quorums.is_phase2(tally.accepted);
            }
        }
    }

    /// How far all is chosen behind `slot`, which is.
    pub(crate) fn chosen_behind(&self, slot: Slot) -> Slot {
        let next = slot.next();
        let Some(skip) = next.0.checked_sub(self.from.0) else {
            return slot;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let tallies = self.tallies.iter().skip(skip);
        let chosen = tallies.take_while(|tally| tally.is_chosen).count();
        Slot(slot.0.saturating_add(chosen as u64))
    }

    /// Everything up to `slot` is chosen and durable here.
    pub(crate) fn settle_to(&mut self, slot: Slot) {
        while self.from <= slot {
            let Some(tally) = self.tallies.pop_front() else {
                return;
            };
            self.bytes -= tally.bytes;
            self.from = self.from.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(quorums: usize) -> (Tallies, Quorums) {
        let mut tallies = Tallies::new(Slot(5));
        (5..10).for_each(|slot| tallies.push(Slot(slot), 10));
        let four = (1..=4).map(NodeId);
        (
            tallies,
            Quorums::flexible(four, 5 - quorums, quorums).unwrap(),
        )
    }

    #[test]
    fn a_repeated_vote_counts_once() {
        let (mut tallies, quorums) = tallies(2);
        for _ in 0..3 {
            tallies.count(&quorums, NodeId(1), Slot(5), Slot(9));
        }
        assert_eq!(tallies.chosen_behind(Slot(4)), Slot(4));
        tallies.count(&quorums, NodeId(2), Slot(5), Slot(6));
        assert_eq!(tallies.chosen_behind(Slot(4)), Slot(6));
    }

    #[test]
    fn what_is_chosen_behind_a_gap_waits_for_it() {
        let (mut tallies, quorums) = tallies(2);
        for id in [1, 2] {
            tallies.count(&quorums, NodeId(id), Slot(6), Slot(8));
        }
        assert_eq!(tallies.chosen_behind(Slot(4)), Slot(4));
        for id in [3, 4] {
            tallies.count(&quorums, NodeId(id), Slot(1), Slot(5));
        }
        assert_eq!(tallies.chosen_behind(Slot(4)), Slot(8));
    }

    #[test]
    fn slots_that_are_not_proposed_are_not_counted() {
        let (mut tallies, quorums) = tallies(1);
        tallies.count(&quorums, NodeId(1), Slot(1), Slot(4));
        tallies.count(&quorums, NodeId(1), Slot(10), Slot(u64::MAX));
        assert_eq!(tallies.chosen_behind(Slot(4)), Slot(4));
        tallies.count(&quorums, NodeId(1), Slot(1), Slot(u64::MAX));
        assert_eq!(tallies.chosen_behind(Slot(4)), Slot(9));
    }

    #[test]
    fn what_is_settled_is_free() {
        let (mut tallies, _) = tallies(2);
        tallies.settle_to(Slot(7));
        assert_eq!((tallies.bytes(), tallies.next()), (20, Slot(10)));
        tallies.settle_to(Slot(20));
        assert_eq!((tallies.bytes(), tallies.next()), (0, Slot(10)));
    }
}
