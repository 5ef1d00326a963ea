use super::Leader;
use crate::node::Common;
use crate::step::Step;
use crate::{Instant, NodeId, Replicate, StepDown, TransferError};

/// Leadership is being handed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transfer {
    /// The place of the target.
    place: usize,
    to: NodeId,
    /// By then it is over.
    deadline: Instant,
    /// The target has been invited.
    invited: bool,
    why: Why,
}

/// Why leadership is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// Somebody asked for it, or this node was removed.
    Asked,
    /// The target has a higher priority.
    Preferred,
    /// This leader cannot do its duty.
    Cause(StepDown),
}

/// How a leader hands its leadership over (as in the Raft thesis, §3.10): it takes nothing new, waits
/// until the target has voted for all that it has proposed, invites it to a ballot of its own, and leads
/// until it hears of a higher one. Acceptors promise whoever asks, so nobody else has to be told.
impl Leader {
    pub(crate) fn transfer(
        &mut self,
        common: &mut Common,
        now: Instant,
        to: Option<NodeId>,
    ) -> Result<NodeId, TransferError> {
        if to == Some(common.config.id) {
            return Err(TransferError::Itself);
        }
        let latest = &self.offices[self.offices.len() - 1];
        let accepts = |node: NodeId| latest.quorums().contains(node);
        let stranger = to.filter(|to| !accepts(*to));
        if let Some(to) = stranger {
            return Err(TransferError::NotAnAcceptor(to));
        }
        if let Some(under_way) = self.transfers_to() {
            return match to.is_none_or(|to| to == under_way) {
                true => Ok(under_way),
                false => Err(TransferError::UnderWay { to: under_way }),
            };
        }
        let suits = |place: &usize| {
            let node = self.roster.node(*place);
            let is_wanted = to.is_none_or(|to| to == node);
            is_wanted && accepts(node) && self.is_suitable(common, now, *place)
        };
        let best = self.best_of(suits).ok_or(TransferError::Unsuitable)?;
        Ok(self.begin_transfer(common, now, best, Why::Asked))
    }

    /// The best of the others that satisfy the predicate.
    pub(super) fn best_of(&self, suits: impl Fn(&usize) -> bool) -> Option<usize> {
        let end = self.end();
        let rank = |place: &usize| {
            let peer = self.roster.peer(*place);
            let is_fit = peer.priority.is_some();
            let (through, contact) = (peer.through, peer.contact);
            (is_fit, peer.is_near(end), peer.priority, through, contact)
        };
        self.roster.others.iter().filter(suits).max_by_key(rank)
    }

    pub(super) fn begin_transfer(
        &mut self,
        common: &mut Common,
        now: Instant,
        place: usize,
        why: Why,
    ) -> NodeId {
        let to = self.roster.node(place);
        self.transfer = Some(Transfer {
            place,
            to,
            deadline: now.plus(common.config.election_timeout_max),
            invited: false,
            why,
        });
        self.invite_first(common);
        to
    }

    /// The cause for which leadership is being handed over.
    pub(crate) fn giving_up(&self) -> Option<StepDown> {
        match self.transfer.as_ref()?.why {
            Why::Cause(why) => Some(why),
            Why::Asked | Why::Preferred => None,
        }
    }

    /// The node of a higher priority to which leadership is being handed.
    #[cfg(feature = "check")]
    pub(crate) fn makes_way_to(&self) -> Option<NodeId> {
        let transfer = self.transfer.as_ref();
        let transfer = transfer.filter(|transfer| transfer.why == Why::Preferred);
        transfer.map(|transfer| transfer.to)
    }

    /// A transfer that is under way is now for this cause, with the deadline that it has. False if there
    /// is none.
    pub(super) fn transfer_is_for(&mut self, cause: StepDown) -> bool {
        let transfer = self.transfer.as_mut();
        transfer.map(|it| it.why = Why::Cause(cause)).is_some()
    }

    /// Why this node has stopped leading, if it became a follower for the given reason.
    pub(crate) fn why_it_steps_down(&self, why: StepDown) -> StepDown {
        match why {
            StepDown::Deposed if self.giving_up().is_some() => self.giving_up().unwrap_or(why),
            StepDown::Deposed if self.has_invited() => StepDown::Transferred,
            other => other,
        }
    }

    /// Who is to lead next.
    pub(crate) fn transfers_to(&self) -> Option<NodeId> {
        self.transfer.as_ref().map(|transfer| transfer.to)
    }

    /// When a transfer is over that has led to nothing.
    pub(super) fn transfer_deadline(&self) -> Option<Instant> {
        self.transfer.as_ref().map(|transfer| transfer.deadline)
    }

    /// Whether the target of a transfer that is under way has been invited.
    pub(crate) fn has_invited(&self) -> bool {
        self.transfer
            .as_ref()
            .is_some_and(|transfer| transfer.invited)
    }

    pub(super) fn forget_time_of_transfer(&mut self) {
        if let Some(transfer) = &mut self.transfer {
            transfer.deadline = Instant::ZERO;
        }
    }

    /// The target is invited as soon as it has voted for everything.
    pub(super) fn invite_first(&mut self, common: &mut Common) {
        if !self.has_invited() {
            self.invite(common);
        }
    }

    /// Invited before it holds all, the target would have to learn the rest before it can lead. Nothing
    /// is proposed meanwhile, so who holds all once will do so later.
    pub(super) fn invite(&mut self, common: &mut Common) {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        let (round, last) = (self.round, self.end().prev());
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        if self.roster.peer(transfer.place).through >= last {
            transfer.invited = true;
            self.asked.give_up();
            let invite = Replicate::Invite {
                ballot,
                round,
                chosen,
                last,
            };
            common.send_now(transfer.to, invite);
        }
    }

    /// At the deadline this node leads on, unless it gives up for a cause: then it steps down. A round of
    /// heartbeats begins at once: an invitation is void once its receiver has heard of that.
    pub(super) fn end_transfer(&mut self, common: &mut Common, now: Instant) -> Step {
        let is_over = |transfer: &Transfer| now >= transfer.deadline;
        if self.transfer.as_ref().is_some_and(is_over) {
            if let Some(cause) = self.giving_up() {
                return Step::give_up(common.promised, cause);
            }
            self.transfer = None;
            self.begin_round(common);
        }
        Step::Stay
    }

    /// Somebody who may lead at once, as far as is known here.
    pub(super) fn is_suitable(&self, common: &Common, now: Instant, place: usize) -> bool {
        let silence = now.since(self.roster.peer(place).contact);
        !self.full.contains(place) && silence < common.config.election_timeout_min
    }
}
