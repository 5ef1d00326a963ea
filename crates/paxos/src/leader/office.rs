use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Leader;
use super::roster::Roster;
use crate::node::Common;
use crate::progress::Progress;
use crate::promises::Promises;
use crate::tally::Tallies;
use crate::{AcceptorSet, Configuration, Governing, Instant, Quorums, Slot};

/// A leader's proposals in the slots that one configuration governs. Acceptors are counted by their
/// places in that configuration, and in no other's: the same bit means another node there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Office {
    /// The first slot that the configuration governs.
    pub(super) from: Slot,
    pub(super) configuration: Arc<Configuration>,
    /// For each acceptor, in the order of the configuration, its place in the roster.
    seats: Vec<u8>,
    /// The votes for its proposals.
    pub(super) tallies: Tallies,
    /// A phase-1 quorum has promised the leader's ballot, and reported its votes.
    pub(super) is_elected: bool,
}

impl Office {
    /// An office whose first proposal will be in `next`, or later.
    pub(super) fn new(
        governing: &Governing,
        next: Slot,
        roster: &Roster,
        promises: &Promises,
    ) -> Self {
        let configuration = governing.configuration.clone();
        let acceptors = configuration.membership.quorums.acceptors();
        // All of them are in the roster.
        let seat = |id| roster.place_of_any(id).unwrap_or_default() as u8;
        Self {
            from: governing.from,
            seats: acceptors.map(seat).collect(),
            tallies: Tallies::new(governing.from.max(next)),
            is_elected: promises.has_quorum(&configuration),
            configuration,
        }
    }

    #[inline]
    pub(super) fn quorums(&self) -> &Quorums {
        &self.configuration.membership.quorums
    }

    /// The place in the configuration of the node at this place of the roster.
    #[inline]
    pub(super) fn place(&self, seat: usize) -> Option<usize> {
        // In most groups they are the same.
        if self
            .seats
            .get(seat)
            .is_some_and(|own| usize::from(*own) == seat)
        {
            return Some(seat);
        }
        self.seats.iter().position(|own| usize::from(*own) == seat)
    }

    /// The acceptors whose place in the roster satisfies the predicate.
    pub(super) fn all_where(&self, holds: impl Fn(usize) -> bool) -> AcceptorSet {
        self.quorums()
            .all_where(|place| holds(usize::from(self.seats[place])))
    }

    /// The greatest value that a phase-2 quorum has reached, or `floor`.
    fn reached<T: Copy + Ord>(&self, floor: T, of: impl Fn(usize) -> T) -> T {
        self.quorums()
            .reached(floor, |place| of(usize::from(self.seats[place])))
    }
}

/// What is counted by quorums. Whoever leads needs one of each configuration that governs an open
/// slot: of the one in force, and of the one that is decided and comes into force later.
impl Leader {
    /// The slot of the next proposal.
    #[inline]
    pub(super) fn next(&self) -> Slot {
        self.offices[self.office_in_use()].tallies.next()
    }

    /// The position of the office that the next proposal belongs to: a later one once the one before
    /// is full.
    #[inline]
    fn office_in_use(&self) -> usize {
        let is_full = |at: usize| match self.offices.get(at + 1) {
            Some(later) => self.offices[at].tallies.next() >= later.from,
            None => false,
        };
        let mut at = 0;
        while is_full(at) {
            at += 1;
        }
        at
    }

    /// The last slot that the configuration of the next proposal governs, as far as is known.
    pub(super) fn border(&self) -> Slot {
        let later = self.offices.get(self.office_in_use() + 1);
        later.map_or(Slot::MAX, |later| later.from.prev())
    }

    /// Whether a configuration governs from this slot on, so that no run leads across.
    #[inline]
    pub(super) fn begins(&self, slot: Slot) -> bool {
        self.offices.iter().any(|office| office.from == slot)
    }

    /// Adds proposals up to `last`, which is not beyond the [border](Self::border).
    #[inline]
    pub(super) fn push(&mut self, last: Slot) {
        let at = self.office_in_use();
        self.offices[at].tallies.push(last);
    }

    /// The last slot that this leader may propose in (M5): it knows every configuration that was
    /// decided α slots before, and has the promises of a phase-1 quorum of the one that governs it.
    #[inline]
    pub(super) fn limit(&self, common: &Common) -> Slot {
        let reach = common.configurations.reach();
        let unelected = self.offices.iter().find(|office| !office.is_elected);
        unelected.map_or(reach, |office| office.from.prev().min(reach))
    }

    /// Counts votes of the node at this place of the roster, for each configuration in its own slots.
    #[inline]
    pub(super) fn count_votes(&mut self, seat: usize, first: Slot, last: Slot) {
        for office in &mut self.offices {
            if let Some(place) = office.place(seat) {
                let quorums = &office.configuration.membership.quorums;
                office.tallies.count(quorums, place, first, last);
            }
        }
    }

    /// Extends the chosen prefix over the slots that are chosen without a gap.
    pub(super) fn advance_chosen(&mut self, common: &mut Common) {
        let before = common.log.chosen();
        let mut chosen = before;
        for office in &self.offices {
            chosen = office.tallies.chosen_behind(office.quorums(), chosen);
        }
        if chosen > before {
            self.choose_to(common, chosen);
        }
        for office in &mut self.offices {
            office.tallies.forget_to(common.log.chosen());
        }
        self.follow_configurations(common);
    }

    /// The greatest value that a phase-2 quorum of each open configuration has reached, or `floor`;
    /// this node's own is `own`.
    pub(super) fn reached<T: Copy + Ord>(
        &self,
        floor: T,
        own: T,
        of: impl Fn(&Progress) -> T,
    ) -> T {
        let value = |seat: usize| match seat == self.roster.own {
            true => own,
            false => of(self.roster.peer(seat)),
        };
        let all = self.offices.iter();
        let least = all.map(|office| office.reached(floor, value)).min();
        least.unwrap_or(floor)
    }

    /// Whether the nodes whose place in the roster satisfies the predicate are a phase-2 quorum of
    /// each open configuration.
    pub(super) fn is_phase2(&self, holds: impl Fn(usize) -> bool) -> bool {
        let mut all = self.offices.iter();
        all.all(|office| office.quorums().is_phase2(office.all_where(&holds)))
    }

    /// The latest time since which every member of some phase-2 quorum was in contact.
    pub(super) fn quorum_contact(&self, now: Instant) -> Instant {
        self.reached(Instant::ZERO, now, |progress| progress.contact)
    }
}
