//! The end of a change of membership. The configuration is in force; the acceptors of the one before are
//! needed until a phase-2 quorum of the new one holds durably, and knows to be chosen, all that was
//! chosen before the border. A node without that knowledge would ask the old ones after a restart.

use crate::node::Common;
use crate::step::Step;
use crate::{AcceptorSet, Instant, Replicate, Slot, StepDown};

use super::Leader;

/// A configuration that is in force and not known to be settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settling {
    number: u64,
    /// The last slot that an earlier configuration governs.
    slot: Slot,
    /// The acceptors that have settled it, by their place in it.
    settled: AcceptorSet,
}

impl Leader {
    /// Begins once the configuration in force is not the first one. A new leader does not know
    /// whether its predecessor came to the end, and asks again.
    pub(super) fn begin_to_settle(&mut self, common: &mut Common) {
        let office = &self.offices[0];
        let number = office.configuration.number;
        let slot = office.from.prev();
        let is_begun = self.settling.as_ref().is_some_and(|it| it.number == number);
        let is_in_force = slot <= common.log.chosen() && number > 0;
        if is_begun || !is_in_force || number <= common.settled {
            return;
        }
        self.settling = Some(Settling {
            number,
            slot,
            settled: AcceptorSet::default(),
        });
        common.keep(slot);
        self.ask_to_settle(common);
        self.count_own_settled(common);
    }

    /// Asks the acceptors that have not answered.
    pub(super) fn ask_to_settle(&self, common: &mut Common) {
        let Some(Settling { slot, settled, .. }) = &self.settling else {
            return;
        };
        let (ballot, slot) = (common.promised, *slot);
        for (place, node) in self.offices[0].quorums().acceptors().enumerate() {
            if node != common.config.id && !settled.contains(place) {
                common.send_now(node, Replicate::Settle { ballot, slot });
            }
        }
    }

    /// Handles an acceptor's word that it has settled everything up to `slot`.
    pub(crate) fn handle_settled(&mut self, common: &mut Common, seat: usize, slot: Slot) {
        let place = self.offices[0].place(seat);
        if let Some(settling) = self.settling.as_mut().filter(|it| it.slot == slot)
            && let Some(place) = place
        {
            settling.settled.insert(place);
            self.end_settling(common);
        }
    }

    /// Counts this node, like any acceptor once it is durable.
    pub(super) fn count_own_settled(&mut self, common: &mut Common) {
        let place = self.offices[0].place(self.roster.own);
        let durable = common.chosen_persisted;
        if let Some(settling) = self.settling.as_mut().filter(|it| it.slot <= durable)
            && let Some(place) = place
        {
            settling.settled.insert(place);
            self.end_settling(common);
        }
    }

    fn end_settling(&mut self, common: &mut Common) {
        let quorums = self.offices[0].quorums();
        let is_settled = |it: &mut Settling| quorums.is_phase2(it.settled);
        if let Some(settling) = self.settling.take_if(is_settled) {
            common.learn_settled(settling.number);
            self.change = None;
            self.begin_round(common);
        }
    }

    /// With each heartbeat, tells nodes that were removed so, for a while; whoever is away is told by
    /// anyone when it comes back. Nodes that a change no longer needs leave the roster too.
    pub(super) fn let_go(&mut self, common: &mut Common, now: Instant) {
        let leaving = self.leaving(common);
        if leaving.is_empty() {
            self.leave_deadline = None;
            return;
        }
        let wait_max = common.config.election_timeout_max * LEAVE_TIMEOUTS;
        let deadline = *self
            .leave_deadline
            .get_or_insert_with(|| now.plus(wait_max));
        let is_over = now >= deadline;
        for place in leaving.iter() {
            let node = self.roster.node(place);
            let is_dismissed = common.is_dismissed(node);
            if is_dismissed {
                common.dismiss(node);
            }
            if is_over || !is_dismissed {
                self.forget(place);
            }
        }
    }

    /// Those of the roster that are in no open configuration and no change.
    fn leaving(&self, common: &Common) -> AcceptorSet {
        let mut leaving = AcceptorSet::default();
        let in_force = self.offices[0].configuration.number;
        // Until it is settled, the acceptors of the one before are needed.
        if in_force > common.settled || self.offices.len() > 1 {
            return leaving;
        }
        for place in self.roster.others.iter() {
            let node = self.roster.node(place);
            let is_member = self.offices[0].configuration.membership.contains(node);
            let is_target = self
                .change
                .as_ref()
                .is_some_and(|it| it.target.contains(node));
            if !is_member && !is_target {
                leaving.insert(place);
            }
        }
        leaving
    }

    /// Makes places in the roster by forgetting all that were removed.
    pub(super) fn drop_the_dismissed(&mut self, common: &Common) {
        for place in self.roster.others.iter() {
            if common.is_dismissed(self.roster.node(place)) {
                self.forget(place);
            }
        }
    }

    pub(super) fn forget(&mut self, place: usize) {
        self.roster.remove(place);
        for set in [&mut self.lacking, &mut self.full, &mut self.roomy] {
            set.remove(place);
        }
    }

    /// A leader that is no acceptor of the settled configuration hands over, and steps down if nobody
    /// takes over in time.
    pub(super) fn retire(&mut self, common: &mut Common, now: Instant) -> Step {
        let office = &self.offices[0];
        let is_member = office.quorums().contains(common.config.id);
        if is_member || self.offices.len() > 1 || office.configuration.number > common.settled {
            return Step::Stay;
        }
        let wait_max = common.config.election_timeout_max * RETIRE_TIMEOUTS;
        let deadline = *self
            .retire_deadline
            .get_or_insert_with(|| now.plus(wait_max));
        if now >= deadline {
            return Step::give_up(common.promised, StepDown::Removed);
        }
        // Asked again with each heartbeat, until somebody suits.
        if self.transfers_to().is_none() {
            let _ = self.transfer(common, now, None);
        }
        Step::Stay
    }
}

/// A node that was removed is told so for this many of the longest election timeouts.
const LEAVE_TIMEOUTS: u32 = 8;
/// So long a leader that was removed tries to hand over.
const RETIRE_TIMEOUTS: u32 = 4;
