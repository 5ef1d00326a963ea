use super::Leader;
use super::transfer::Reason;
use crate::node::Common;
use crate::progress::{Flow, Progress};
use crate::step::Step;
use crate::{Instant, NodeId, StepDown};

/// How a leader that cannot do its duty gives up: by a transfer to a node that can, if it knows one.
/// [`StepDown`] describes for which cause it does what.
impl Leader {
    pub(super) fn hand_over(&mut self, common: &mut Common, now: Instant, why: StepDown) -> Step {
        let plainly = Step::give_up(common.term, why);
        if why == StepDown::NoQuorum {
            if self.transfers_to().is_none() {
                self.invite_once(common, now);
            }
            return plainly;
        }
        // What is under way has a deadline already, and the first cause stays.
        if let Some(transfer) = &mut self.transfer {
            if !matches!(transfer.reason, Reason::GivesUp(_)) {
                transfer.reason = Reason::GivesUp(why);
            }
            return Step::Stay;
        }
        let has_to_hold_all = matches!(why, StepDown::WriteStalled | StepDown::Full);
        match self.best_to_lead(common, now, has_to_hold_all) {
            Some(to) => {
                self.begin_transfer(common, now, to, Reason::GivesUp(why));
                Step::Stay
            }
            None => plainly,
        }
    }

    /// The last word of a leader that nobody has to answer.
    fn invite_once(&mut self, common: &mut Common, now: Instant) {
        if let Some(to) = self.best_to_lead(common, now, true) {
            self.begin_transfer(common, now, to, Reason::GivesUp(StepDown::NoQuorum));
        }
    }

    /// Why this leader is giving up leadership, if it is.
    pub(crate) fn gives_up(&self) -> Option<StepDown> {
        match self.transfer_reason()? {
            Reason::GivesUp(why) => Some(why),
            Reason::Asked | Reason::Priority => None,
        }
    }

    /// Why this leadership ends, if its role ends for this reason. Who was giving up for a cause has
    /// done so, however it came to its end.
    pub(crate) fn why_it_ends(&self, why: StepDown) -> StepDown {
        match (why, self.gives_up()) {
            (StepDown::Deposed, Some(cause)) => cause,
            (StepDown::Deposed, None) if self.has_invited() => StepDown::Transferred,
            (other, _) => other,
        }
    }

    fn best_to_lead(&self, common: &Common, now: Instant, holds_all: bool) -> Option<NodeId> {
        let last = common.log.last().index;
        let suits = |peer: &&Progress| {
            is_able_to_lead(peer, common, now)
                && peer.priority.is_some()
                && (!holds_all || peer.matched >= last)
        };
        let peers = self.peers.iter().filter(suits);
        let best = peers.max_by_key(|peer| (peer.matched >= last, peer.priority, peer.matched));
        best.map(|peer| peer.id)
    }
}

/// A full voter that this leader hears, that has space and could store a term and a vote in time, and
/// that lacks so little that it will soon hold all.
pub(super) fn is_able_to_lead(peer: &Progress, common: &Common, now: Instant) -> bool {
    let config = &common.config;
    let lacks = common.log.last().index.0.saturating_sub(peer.matched.0);
    common.membership().may_lead(peer.id)
        && !peer.forgot
        && peer.has_room == Some(true)
        && now.since(peer.contact) < config.election_timeout_min
        && peer.sync_time.saturating_mul(WRITES_AN_ELECTION) <= config.election_timeout_max
        && matches!(peer.flow, Flow::Replicate(_))
        && lacks <= LACKS_MAX
}

/// How many writes an election takes, as in `pace`.
const WRITES_AN_ELECTION: u32 = 3;
/// How many entries a node may lack: they are on their way to it, and nothing is added meanwhile.
const LACKS_MAX: u64 = 1024;
