use super::Leader;
use crate::node::Common;
use crate::{Instant, NodeId, Replicate, TransferError};

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
        let lacks_least = |place: &usize| {
            let peer = self.roster.peer(*place);
            (peer.through, peer.contact)
        };
        let best = self
            .roster
            .others
            .iter()
            .filter(suits)
            .max_by_key(lacks_least);
        let place = best.ok_or(TransferError::Unsuitable)?;
        let to = self.roster.node(place);
        self.transfer = Some(Transfer {
            place,
            to,
            deadline: now.plus(common.config.election_timeout_max),
            invited: false,
        });
        self.invite_first(common);
        Ok(to)
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
            let invite = Replicate::Invite {
                ballot,
                round,
                chosen,
                last,
            };
            common.send_now(transfer.to, invite);
        }
    }

    /// At the deadline this node leads on. A round of heartbeats begins at once: an invitation is void
    /// once its receiver has heard of that.
    pub(super) fn end_transfer(&mut self, common: &mut Common, now: Instant) {
        let is_over = |transfer: &mut Transfer| now >= transfer.deadline;
        if self.transfer.take_if(is_over).is_some() {
            self.begin_round(common);
        }
    }

    /// Somebody who may lead at once, as far as is known here.
    fn is_suitable(&self, common: &Common, now: Instant, place: usize) -> bool {
        let silence = now.since(self.roster.peer(place).contact);
        !self.full.contains(place) && silence < common.config.election_timeout_min
    }
}
