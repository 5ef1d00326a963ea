use super::Leader;
use crate::node::Common;
use crate::progress::Progress;
use crate::step::Step;
use crate::{Instant, StepDown};

/// When a leader steps down by itself, because it blocks a better one.
impl Leader {
    /// Why it gives up now, if it does.
    pub(super) fn gives_up(&mut self, common: &Common, now: Instant) -> Option<StepDown> {
        let why = self.check_quorum(common, now);
        why.or_else(|| self.check_learning(common, now))
    }

    /// A leader that no phase-2 quorum hears any more can choose nothing, and one whose disk has
    /// stalled is in the way of a better one (hashicorp#503).
    fn check_quorum(&mut self, common: &Common, now: Instant) -> Option<StepDown> {
        if now < self.quorum_deadline {
            return None;
        }
        let heard = self.quorum_contact(common, now);
        let in_flight = common.in_flight();
        let same = self.slow_write.filter(|(seq, _)| in_flight == Some(*seq));
        let slow_write = same.or_else(|| in_flight.map(|seq| (seq, now)));
        let fetching = self.peers.iter().any(|peer| peer.fetching);
        let slow_fetch = fetching.then(|| self.slow_fetch.unwrap_or(now));
        let timeout = common.config.election_timeout_max;
        let is_short = self.is_short_of_room(common, now);
        let short_of_room = is_short.then(|| self.short_of_room.unwrap_or(now));
        let is_slow = |since: Instant| now.since(since) >= common.config.write_stall_max;
        let is_alone = common.peers().next().is_none();
        if now.since(heard) >= timeout {
            return Some(StepDown::NoQuorum);
        } else if !is_alone && slow_write.is_some_and(|(_, since)| is_slow(since)) {
            return Some(StepDown::WriteStalled);
        } else if !is_alone && slow_fetch.is_some_and(is_slow) {
            return Some(StepDown::ReadStalled);
        } else if short_of_room.is_some_and(is_slow) {
            return Some(StepDown::ShortOfRoom);
        }
        self.quorum_deadline = heard.plus(timeout);
        self.slow_write = slow_write;
        self.slow_fetch = slow_fetch;
        self.short_of_room = short_of_room;
        None
    }

    /// Whether no phase-2 quorum among those that are heard has space, while others are not heard: they may
    /// have some, and be a quorum with those that hear this leader and therefore advise against another.
    /// Where all are heard there is no better leader, and it leads on for reads.
    fn is_short_of_room(&self, common: &Common, now: Instant) -> bool {
        let timeout = common.config.election_timeout_max;
        let is_heard = |peer: &Progress| now.since(peer.contact) < timeout;
        let may_have = |place| match place == common.own {
            true => common.disk.has_room,
            false => is_heard(&self.peers[place]) && !self.full.contains(place),
        };
        let quorums = &common.config.quorums;
        let mut peers = common.peers();
        peers.any(|place| !is_heard(&self.peers[place]))
            && !quorums.is_phase2(quorums.all_where(may_have))
    }

    /// A leader that can store nothing is in the way of one that can, and any follower can lead:
    /// phase 1 tells it what it lacks. Where nobody has space there is no better leader, and this one
    /// leads on for reads.
    pub(crate) fn give_way(&self, common: &Common) -> Step {
        if !common.disk.has_room && !self.roomy.is_empty() {
            return Step::give_up(common.promised, StepDown::Full);
        }
        Step::Stay
    }

    /// A leader that cannot learn what is chosen is in the way of one that knows it.
    fn check_learning(&mut self, common: &Common, now: Instant) -> Option<StepDown> {
        let timeout = common.config.election_timeout_max;
        let learning = self.learning.as_mut()?;
        if self.pulling.is_some() {
            // Its end is told by the driver, who knows how long bytes may take.
            learning.deadline = now.plus(timeout);
        } else if now >= learning.deadline {
            return Some(StepDown::LearnStalled);
        }
        None
    }
}
