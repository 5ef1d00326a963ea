use super::Leader;
use crate::node::Common;
use crate::progress::Progress;
use crate::step::Step;
use crate::{Instant, NodeId, Replicate, StepDown, TransferError};

/// Leadership is being handed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transfer {
    to: NodeId,
    pub(super) reason: Reason,
    /// By then it is over.
    deadline: Instant,
    /// The target has been asked to campaign.
    invited: bool,
}

/// Why leadership is being handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// The driver asked for it, or the leader was removed.
    Asked,
    /// The target has a higher priority.
    Priority,
    /// The leader cannot do its duty, and stops leading at the deadline at the latest.
    GivesUp(StepDown),
}

/// How a leader hands its leadership over (thesis §3.10): it takes nothing new, waits until the target
/// holds all that it has, asks it to campaign, and leads until it hears of a later term.
impl Leader {
    pub(crate) fn transfer(
        &mut self,
        common: &mut Common,
        now: Instant,
        to: Option<NodeId>,
    ) -> Result<NodeId, TransferError> {
        if to == Some(common.id()) {
            return Err(TransferError::Itself);
        }
        let no_voter = to.filter(|to| !common.membership().stays_voter(*to));
        if let Some(to) = no_voter {
            return Err(TransferError::NotAVoter(to));
        }
        if let Some(to) = to.filter(|to| common.membership().is_witness(*to)) {
            return Err(TransferError::Witness(to));
        }
        if let Some(under_way) = self.transfers_to() {
            return match to.is_none_or(|to| to == under_way) {
                true => Ok(under_way),
                false => Err(TransferError::UnderWay { to: under_way }),
            };
        }
        let suits =
            |peer: &&Progress| to.is_none_or(|to| to == peer.id) && is_suitable(peer, common, now);
        let peers = self.peers.iter().filter(suits);
        let last = common.log.last().index;
        let best = peers.max_by_key(|peer| {
            let (is_preferred, holds_all) = (peer.priority.is_some(), peer.matched >= last);
            (
                is_preferred,
                holds_all,
                peer.priority,
                peer.matched,
                peer.contact,
            )
        });
        let to = best.ok_or(TransferError::Unsuitable)?.id;
        self.begin_transfer(common, now, to, Reason::Asked);
        Ok(to)
    }

    pub(super) fn begin_transfer(
        &mut self,
        common: &mut Common,
        now: Instant,
        to: NodeId,
        reason: Reason,
    ) {
        self.transfer = Some(Transfer {
            to,
            reason,
            deadline: now.plus(common.config.election_timeout_max),
            invited: false,
        });
        self.invite_first(common);
    }

    /// Who is to lead next.
    pub(crate) fn transfers_to(&self) -> Option<NodeId> {
        self.transfer.as_ref().map(|transfer| transfer.to)
    }

    pub(super) fn transfer_reason(&self) -> Option<Reason> {
        self.transfer.as_ref().map(|transfer| transfer.reason)
    }

    /// When a transfer is over that has led to nothing.
    pub(crate) fn transfer_deadline(&self) -> Option<Instant> {
        self.transfer.as_ref().map(|transfer| transfer.deadline)
    }

    /// Whether the target of a transfer that is under way has been asked to campaign.
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

    /// The target is asked as soon as it holds the whole log.
    pub(super) fn invite_first(&mut self, common: &mut Common) {
        if !self.has_invited() {
            self.invite(common);
        }
    }

    /// Asked before it holds all, the target would campaign in vain, and end a leadership for nothing.
    /// Nothing is appended meanwhile, so who holds all once will do so later.
    pub(super) fn invite(&mut self, common: &mut Common) {
        let (term, round, last) = (common.term, self.round, common.log.last().index);
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        let is_target = |peer: &&Progress| peer.id == transfer.to && !peer.forgot;
        let target = self.peers.iter().find(is_target);
        if target.is_some_and(|peer| peer.matched >= last) {
            transfer.invited = true;
            self.gave_up_lease = true;
            common.send_now(transfer.to, Replicate::TimeoutNow { term, round, last });
        }
    }

    /// At the deadline this node leads on. A round of heartbeats begins at once: whatever the target
    /// was asked is void once it has heard of that.
    ///
    /// But a leader that cannot do its duty, or has no vote any more, leads no longer: the others can
    /// elect.
    pub(super) fn end_transfer(&mut self, common: &mut Common, now: Instant) -> Step {
        let is_over = |transfer: &mut Transfer| now >= transfer.deadline;
        let Some(over) = self.transfer.take_if(is_over) else {
            return Step::Stay;
        };
        if let Reason::GivesUp(why) = over.reason {
            return Step::give_up(common.term, why);
        }
        if common.configs.has_dismissed_own() {
            return Step::give_up(common.term, StepDown::Removed);
        }
        self.begin_round(common);
        Step::Stay
    }
}

/// Somebody who may be elected at once, as far as is known here.
fn is_suitable(peer: &Progress, common: &Common, now: Instant) -> bool {
    common.membership().may_lead(peer.id)
        && !peer.forgot
        && peer.has_room != Some(false)
        && now.since(peer.contact) < common.config.election_timeout_min
}
