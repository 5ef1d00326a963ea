use super::Leader;
use super::hand_over::is_able_to_lead;
use super::transfer::Reason;
#[cfg(feature = "check")]
use crate::NodeId;
use crate::node::Common;
use crate::progress::Progress;
use crate::{Config, Instant};

/// When a leader may next hand over to a node of higher priority.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Preference {
    at: Instant,
    /// How many attempts in a row have led to nothing.
    attempts: u32,
}

impl Preference {
    /// Who leads because a leader wanted it to keeps leadership for longer.
    pub(super) fn begin(config: &Config, now: Instant, by_transfer: bool) -> Self {
        let timeouts = if by_transfer {
            INVITED_HOLDS
        } else {
            PRIORITY_AFTER
        };
        Self {
            at: now.plus(config.election_timeout_max * timeouts),
            attempts: 0,
        }
    }

    fn note_attempt(&mut self, config: &Config, now: Instant) {
        let timeouts = u32::min(PRIORITY_AFTER << self.attempts, PRIORITY_AFTER_MAX);
        // It takes one timeout itself.
        self.at = now.plus(config.election_timeout_max * (timeouts + 1));
        self.attempts = u32::min(self.attempts + 1, ATTEMPTS_MAX);
    }

    pub(super) fn forget_time(&mut self) {
        self.at = Instant::ZERO;
        self.attempts = 0;
    }
}

/// How a leader hands over to a node that is preferred, see
/// [`Config::priority`](crate::Config::priority).
impl Leader {
    /// To whom this leader is handing over for its priority.
    #[cfg(feature = "check")]
    pub(crate) fn prefers(&self) -> Option<NodeId> {
        let is_preferred = self.transfer_reason() == Some(Reason::Priority);
        self.transfers_to().filter(|_| is_preferred)
    }

    /// Called with each heartbeat. Only a higher priority counts, so leadership rises and does not come
    /// back, unless who has it gives up for a cause: then that one is not preferred for a time that
    /// doubles.
    pub(super) fn look_for_preferred(&mut self, common: &mut Common, now: Instant) {
        let membership = common.membership();
        let is_settled = membership.change.is_none()
            && common.configs.is_committed()
            && common.committed >= self.first
            && self.transfers_to().is_none();
        if now < self.preference.at || !is_settled {
            return;
        }
        let own = common.config.priority;
        let suits = |peer: &&Progress| {
            peer.priority.is_some_and(|priority| priority > own)
                && is_able_to_lead(peer, common, now)
        };
        let peers = self.peers.iter().filter(suits);
        let best = peers.max_by_key(|peer| (peer.priority, peer.matched));
        if let Some(to) = best.map(|peer| peer.id) {
            self.preference.note_attempt(&common.config, now);
            self.begin_transfer(common, now, to, Reason::Priority);
        }
    }
}

/// A leader hands over for a priority no earlier than so many of the longest election timeouts after it
/// was elected, and after an attempt that led to nothing, at first. Each costs up to one such timeout in
/// which nothing is proposed.
const PRIORITY_AFTER: u32 = 8;
const PRIORITY_AFTER_MAX: u32 = 64;
const ATTEMPTS_MAX: u32 = 3;
/// The same if it was asked to campaign by the leader before.
const INVITED_HOLDS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    #[test]
    fn attempts_that_lead_to_nothing_become_rare() {
        let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
        let mut preference = Preference::begin(&config, Instant::ZERO, false);
        let mut timeouts = Vec::new();
        let mut before = Instant::ZERO;
        for _ in 0..6 {
            let waits = preference.at.since(before).as_millis();
            timeouts.push(waits / config.election_timeout_max.as_millis());
            before = preference.at;
            preference.note_attempt(&config, before);
        }
        // From the second on, one timeout is that of the attempt.
        assert_eq!(timeouts, [8, 9, 17, 33, 65, 65]);
        let invited = Preference::begin(&config, Instant::ZERO, true);
        assert_eq!(
            invited.at,
            Instant::ZERO.plus(config.election_timeout_max * 64)
        );
    }
}
