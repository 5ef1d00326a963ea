use super::Leader;
use crate::node::Common;
use crate::progress::Progress;
use crate::step::Step;
use crate::{DiskHealth, Instant, StepDown};

/// When a leader gives up by itself: it is in the way of a better one.
impl Leader {
    /// A leader that a quorum no longer hears, or whose disk has stalled, is in the way of a better
    /// one (thesis §6.2; hashicorp#503).
    pub(super) fn check_quorum(&mut self, common: &Common, now: Instant) -> Step {
        if !common.config.check_quorum || now < self.quorum_deadline {
            return Step::Stay;
        }
        let contact = |place| {
            let peer = self.peer_at(common, place);
            peer.map_or(now, |peer| peer.counted().2)
        };
        let heard = common.members.quorum().reached(Instant::ZERO, contact);
        let in_flight = common.in_flight();
        let same = self.slow_write.filter(|(seq, _)| in_flight == Some(*seq));
        let slow_write = same.or_else(|| in_flight.map(|seq| (seq, now)));
        let fetching = self.peers.iter().any(|peer| peer.fetching);
        let slow_fetch = fetching.then(|| self.slow_fetch.unwrap_or(now));
        let timeout = common.config.election_timeout_max;
        let is_short = self.is_short_of_room(common, now);
        let short_of_room = is_short.then(|| self.short_of_room.unwrap_or(now));
        let is_slow = |since: Instant| now.since(since) >= common.config.write_stall_max;
        let is_alone = self.peers.is_empty();
        if now.since(heard) >= timeout {
            Step::give_up(common.term, StepDown::NoQuorum)
        } else if !is_alone && slow_write.is_some_and(|(_, since)| is_slow(since)) {
            Step::give_up(common.term, StepDown::WriteStalled)
        } else if !is_alone && slow_fetch.is_some_and(is_slow) {
            Step::give_up(common.term, StepDown::ReadStalled)
        } else if short_of_room.is_some_and(is_slow) {
            Step::give_up(common.term, StepDown::ShortOfRoom)
        } else {
            self.quorum_deadline = heard.plus(timeout);
            self.slow_write = slow_write;
            self.slow_fetch = slow_fetch;
            self.short_of_room = short_of_room;
            Step::Stay
        }
    }

    /// Whether no quorum among those that are heard has space, while others are not heard: they may have
    /// some, and be a quorum with those that hear this leader and therefore elect nobody else. Where all
    /// are heard there is no better leader, and it leads on for reads.
    fn is_short_of_room(&self, common: &Common, now: Instant) -> bool {
        let is_heard =
            |peer: &Progress| now.since(peer.counted().2) < common.config.election_timeout_max;
        let could_store = |place| match self.peer_at(common, place) {
            Some(peer) => is_heard(peer) && peer.has_room != Some(false),
            None => common.disk.has_room,
        };
        let unheard = |peer: &Progress| !peer.forgot && !is_heard(peer);
        self.peers.iter().any(unheard) && !common.members.quorum().agrees(could_store)
    }

    /// A leader that can store nothing is in the way of one that can: of a follower with space that
    /// lacks nothing, so that it can be elected. Where nobody has space there is no better leader, and
    /// this one leads on for reads.
    pub(super) fn give_way(&self, common: &Common) -> Step {
        let last = common.log.last().index;
        let is_better = |peer: &Progress| {
            let votes = common.membership.voters.contains(&peer.id);
            votes && !peer.forgot && peer.has_room == Some(true) && peer.matched >= last
        };
        if !common.disk.has_room && self.peers.iter().any(is_better) {
            Step::give_up(common.term, StepDown::Full)
        } else {
            Step::Stay
        }
    }

    /// Whether this node and a quorum have space, as far as they have said.
    pub(super) fn has_room(&self, common: &Common) -> bool {
        let is_full = |peer: &Progress| peer.has_room == Some(false);
        let has_room = |place| !self.peer_at(common, place).is_some_and(is_full);
        let is_one_full = self.peers.iter().any(is_full);
        common.disk.has_room && (!is_one_full || common.members.quorum().agrees(has_room))
    }

    /// Its disk does differently than before. Often one cause fills all disks: what was heard of
    /// them is old then, and is told anew by the echoes of the rounds to come.
    pub(crate) fn handle_disk(&mut self, common: &Common, old: DiskHealth) {
        if old.has_room && !common.disk.has_room {
            self.room_round = self.round;
            self.peers.iter_mut().for_each(|peer| peer.has_room = None);
        }
    }
}
