//! How a leader that cannot do its duty gives up (M6): it hands over to a node that can do better, if it
//! knows one, and otherwise steps down, so that its followers elect somebody after a timeout.
//!
//! Which causes allow the first, and why the others do not: [`StepDown`].

use super::Leader;
use super::transfer::Why;
use crate::node::Common;
use crate::pace::Pace;
use crate::step::Step;
use crate::{Instant, StepDown};

impl Leader {
    /// Gives up for this cause: at once, or with the end of a transfer. Meanwhile nothing is proposed.
    pub(super) fn give_up(&mut self, common: &mut Common, now: Instant, cause: StepDown) -> Step {
        if !allows_transfer(cause) {
            return Step::give_up(common.promised, cause);
        }
        // Checked again no later than at the deadline of the transfer.
        let timeout = common.config.election_timeout_max;
        self.quorum_deadline = self.quorum_contact(now).plus(timeout);
        if self.giving_up().is_some() || self.transfer_is_for(cause) {
            return Step::Stay;
        }
        // A disk that hangs is no hindrance: a peer that values have to be read for does not suit.
        let suits = |place: &usize| self.may_take_over(common, now, *place);
        let Some(place) = self.best_of(suits) else {
            return Step::give_up(common.promised, cause);
        };
        self.begin_transfer(common, now, place, Why::Cause(cause));
        Step::Stay
    }

    /// Whether the node at this place may be handed leadership to without being asked for by anybody: an
    /// acceptor in contact that has space, a fast disk and nearly everything, and that has not itself
    /// given up for a cause lately.
    pub(super) fn may_take_over(&self, common: &Common, now: Instant, place: usize) -> bool {
        let (node, peer) = (self.roster.node(place), self.roster.peer(place));
        let mut all = self.offices.iter();
        self.is_suitable(common, now, place)
            && all.all(|office| office.quorums().contains(node))
            && peer.priority.is_some()
            && Pace::is_fast(peer.sync_time, &common.config)
            && peer.is_near(self.end())
    }
}

fn allows_transfer(cause: StepDown) -> bool {
    matches!(
        cause,
        StepDown::WriteStalled | StepDown::ReadStalled | StepDown::Full
    )
}
