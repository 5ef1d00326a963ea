use super::{Leader, Office};
use crate::node::Common;
use crate::progress::Progress;
use crate::step::Step;
use crate::{Instant, StepDown};

/// When a leader gives up by itself, because it blocks a better one.
impl Leader {
    /// Why the leader gives up now, if it does.
    pub(super) fn gives_up(&mut self, common: &Common, now: Instant) -> Option<StepDown> {
        let why = self.check_quorum(common, now);
        why.or_else(|| self.check_learning(common, now))
    }

    /// Steps down if no phase-2 quorum is in contact, because nothing can be chosen then, or if the
    /// disk has stalled, because the leader then blocks a better one (hashicorp#503).
    fn check_quorum(&mut self, common: &Common, now: Instant) -> Option<StepDown> {
        if now < self.quorum_deadline {
            return None;
        }
        let heard = self.quorum_contact(now);
        let in_flight = common.in_flight();
        let same = self.slow_write.filter(|(seq, _)| in_flight == Some(*seq));
        let slow_write = same.or_else(|| in_flight.map(|seq| (seq, now)));
        let fetching = self.peers().any(|(_, peer)| peer.fetching);
        let slow_fetch = fetching.then(|| self.slow_fetch.unwrap_or(now));
        let timeout = common.config.election_timeout_max;
        let is_short = self.is_short_of_room(common, now);
        let short_of_room = is_short.then(|| self.short_of_room.unwrap_or(now));
        let is_slow = |since: Instant| now.since(since) >= common.config.write_stall_max;
        let is_sole = |office: &Office| office.quorums().acceptors().len() == 1;
        let is_alone = self.offices.iter().all(is_sole);
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

    /// Whether no phase-2 quorum among the nodes in contact has space, while others are out of
    /// contact. Those may have space, and could form a quorum with nodes that let no other
    /// candidate campaign because they are in contact with this leader. If all nodes are in contact
    /// there is no better leader, and this one continues for reads.
    fn is_short_of_room(&self, common: &Common, now: Instant) -> bool {
        let timeout = common.config.election_timeout_max;
        let is_heard = |peer: &Progress| now.since(peer.contact) < timeout;
        let own = self.roster.own;
        let may_have = |place| match place == own {
            true => common.disk.has_room,
            false => is_heard(self.roster.peer(place)) && !self.full.contains(place),
        };
        let is_silent = |place| place != own && !is_heard(self.roster.peer(place));
        let has_silent = |office: &Office| !office.all_where(is_silent).is_empty();
        self.offices.iter().any(has_silent) && !self.is_phase2(may_have)
    }

    /// Gives up if this leader can store nothing and a follower has space. Any follower can lead:
    /// phase 1 reports what it lacks. If no node has space there is no better leader, and this one
    /// continues for reads.
    pub(crate) fn give_way(&mut self, common: &mut Common, now: Instant) -> Step {
        let is_roomy = |seat| self.roomy.contains(seat);
        let has_roomy = |office: &Office| !office.all_where(is_roomy).is_empty();
        if !common.disk.has_room && self.offices.iter().any(has_roomy) {
            return self.give_up(common, now, StepDown::Full);
        }
        Step::Stay
    }

    /// Steps down if the leader cannot learn what is chosen, because it blocks one that knows it.
    fn check_learning(&mut self, common: &Common, now: Instant) -> Option<StepDown> {
        let timeout = common.config.election_timeout_max;
        let learning = self.learning.as_mut()?;
        if self.pulling.is_some() {
            // The driver reports its end, and knows how long the transfer may take.
            learning.deadline = now.plus(timeout);
        } else if now >= learning.deadline {
            return Some(StepDown::LearnStalled);
        }
        None
    }
}
