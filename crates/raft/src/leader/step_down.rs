use super::Leader;
use crate::node::Common;
use crate::progress::Progress;
use crate::step::Step;
use crate::{DiskHealth, Instant, StepDown};

/// When a leader steps down by itself, because it blocks a better one.
impl Leader {
    /// Gives up if a quorum is out of contact or the disk has stalled, because the leader then
    /// blocks a better one (thesis §6.2; hashicorp#503).
    pub(super) fn check_quorum(&mut self, common: &mut Common, now: Instant) -> Step {
        if !common.config.check_quorum || now < self.quorum_deadline {
            return Step::Stay;
        }
        let contact = |place| {
            let peer = self.peer_at(common, place);
            peer.map_or(now, |peer| peer.counted().2)
        };
        let heard = common.members().quorum().reached(Instant::ZERO, contact);
        let in_flight = common.in_flight();
        let same = self.slow_write.filter(|(seq, _)| in_flight == Some(*seq));
        let slow_write = same.or_else(|| in_flight.map(|seq| (seq, now)));
        let fetching = self.peers.iter().any(|peer| peer.fetching);
        let slow_fetch = fetching.then(|| self.slow_fetch.unwrap_or(now));
        let timeout = common.config.election_timeout_max;
        let is_short = self.is_short_of_room(common, now);
        let short_of_room = is_short.then(|| self.short_of_room.unwrap_or(now));
        let is_slow = |since: Instant| now.since(since) >= common.config.write_stall_max;
        let is_alone = common.members().is_alone();
        let cause = if now.since(heard) >= timeout {
            Some(StepDown::NoQuorum)
        } else if !is_alone && slow_write.is_some_and(|(_, since)| is_slow(since)) {
            Some(StepDown::WriteStalled)
        } else if !is_alone && slow_fetch.is_some_and(is_slow) {
            Some(StepDown::ReadStalled)
        } else if short_of_room.is_some_and(is_slow) {
            Some(StepDown::ShortOfRoom)
        } else {
            None
        };
        self.quorum_deadline = heard.plus(timeout);
        self.slow_write = slow_write;
        self.slow_fetch = slow_fetch;
        self.short_of_room = short_of_room;
        cause.map_or(Step::Stay, |why| self.hand_over(common, now, why))
    }

    /// Whether no quorum among the nodes in contact has space, while others are out of contact.
    /// Those may have space, and could form a quorum with nodes that elect nobody else because they
    /// are in contact with this leader. If all nodes are in contact there is no better leader, and
    /// this one continues for reads.
    fn is_short_of_room(&self, common: &Common, now: Instant) -> bool {
        let is_heard =
            |peer: &Progress| now.since(peer.counted().2) < common.config.election_timeout_max;
        let could_store = |place| match self.peer_at(common, place) {
            Some(peer) => is_heard(peer) && peer.has_room != Some(false),
            None => common.disk.has_room,
        };
        let votes = |peer: &Progress| common.membership().is_voter(peer.id);
        let unheard = |peer: &Progress| !peer.forgot && !is_heard(peer) && votes(peer);
        self.peers.iter().any(unheard) && !common.members().quorum().agrees(could_store)
    }

    /// Gives up if this leader can store nothing and a follower with space lacks no entry, so
    /// that it can be elected. If no node has space there is no better leader, and this one
    /// continues for reads.
    pub(super) fn give_way(&mut self, common: &mut Common, now: Instant) -> Step {
        let last = common.log.last().index;
        let is_better = |peer: &Progress| {
            let votes = common.membership().may_lead(peer.id);
            votes && !peer.forgot && peer.has_room == Some(true) && peer.matched >= last
        };
        if !common.disk.has_room && self.peers.iter().any(is_better) {
            self.hand_over(common, now, StepDown::Full)
        } else {
            Step::Stay
        }
    }

    /// Whether this node and a quorum have space, as far as they have reported.
    pub(super) fn has_room(&self, common: &Common) -> bool {
        let is_full = |peer: &Progress| peer.has_room == Some(false);
        let has_room = |place| !self.peer_at(common, place).is_some_and(is_full);
        let is_one_full = self.peers.iter().any(is_full);
        common.disk.has_room && (!is_one_full || common.members().quorum().agrees(has_room))
    }

    /// Handles a change of this node's disk. Often one cause fills all disks, so earlier reports of
    /// peers are dropped; the echoes of later rounds replace them.
    pub(crate) fn handle_disk(&mut self, common: &Common, old: DiskHealth) {
        if old.has_room && !common.disk.has_room {
            self.room_round = self.round;
            self.peers.iter_mut().for_each(|peer| peer.has_room = None);
        }
    }
}
