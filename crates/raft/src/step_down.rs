use crate::leader::Leader;
use crate::progress::Progress;
use crate::role::Duty;
use crate::{Instant, NodeId, Raft};

/// Why a leader leads no more. Exhaustive on purpose: a driver tells people each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// It heard of a later term.
    Deposed,
    /// It heard no quorum for an election timeout.
    NoQuorum,
    /// Its disk did not finish one write within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    WriteStalled,
    /// Its disk read nothing of what a peer needs within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    ReadStalled,
    /// Its disk has no space, and a follower that can be elected has.
    Full,
    /// No quorum that it hears had space for
    /// [`write_stall_max`](crate::Config::write_stall_max), and there are nodes that it does not hear.
    ShortOfRoom,
    /// It takes no part any more, see [`Stop`](crate::Stop).
    Stopped,
}

/// When a leader gives up by itself: it is in the way of a better one.
impl Raft {
    /// A leader that a quorum no longer hears, or whose disk has stalled, is in the way of a better
    /// one (thesis §6.2; hashicorp#503).
    pub(crate) fn check_quorum(&mut self, now: Instant) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        if !self.config.check_quorum || now < leader.quorum_deadline {
            return;
        }
        let id = self.config.id;
        let contact = |peer: NodeId| {
            leader
                .peers
                .get(&peer)
                .map_or(now, |progress| progress.counted().2)
        };
        let heard = self
            .quorum()
            .reached(|peer| if peer == id { now } else { contact(peer) });
        let in_flight = self.in_flight.as_ref().map(|write| write.seq);
        let same = leader.slow_write.filter(|(seq, _)| in_flight == Some(*seq));
        let slow_write = same.or_else(|| in_flight.map(|seq| (seq, now)));
        let fetching = leader.peers.values().any(|peer| peer.fetching);
        let slow_fetch = fetching.then(|| leader.slow_fetch.unwrap_or(now));
        let timeout = self.config.election_timeout_max;
        let is_short = self.is_short_of_room(leader, now);
        let short_of_room = is_short.then(|| leader.short_of_room.unwrap_or(now));
        let is_slow = |since: Instant| now.since(since) >= self.config.write_stall_max;
        let is_alone = leader.peers.is_empty();
        if now.since(heard) >= timeout {
            self.give_up(now, StepDown::NoQuorum);
        } else if !is_alone && slow_write.is_some_and(|(_, since)| is_slow(since)) {
            self.give_up(now, StepDown::WriteStalled);
        } else if !is_alone && slow_fetch.is_some_and(is_slow) {
            self.give_up(now, StepDown::ReadStalled);
        } else if short_of_room.is_some_and(is_slow) {
            self.give_up(now, StepDown::ShortOfRoom);
        } else if let Duty::Leader(leader) = &mut self.duty {
            leader.quorum_deadline = heard.plus(timeout);
            leader.slow_write = slow_write;
            leader.slow_fetch = slow_fetch;
            leader.short_of_room = short_of_room;
        }
    }

    /// Whether no quorum among those that are heard has space, while others are not heard: they may have
    /// some, and be a quorum with those that hear this leader and therefore elect nobody else. Where all
    /// are heard there is no better leader, and it leads on for reads.
    fn is_short_of_room(&self, leader: &Leader, now: Instant) -> bool {
        let is_heard =
            |peer: &Progress| now.since(peer.counted().2) < self.config.election_timeout_max;
        let could_store = |id: NodeId| match leader.peers.get(&id) {
            Some(peer) => is_heard(peer) && peer.has_room != Some(false),
            None => self.disk.has_room,
        };
        let unheard = |peer: &Progress| !peer.forgot && !is_heard(peer);
        leader.peers.values().any(unheard) && !self.quorum().agrees(could_store)
    }

    /// A leader that can store nothing is in the way of one that can: of a follower with space that
    /// lacks nothing, so that it can be elected. Where nobody has space there is no better leader, and
    /// this one leads on for reads.
    pub(crate) fn give_way(&mut self, now: Instant) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        let last = self.log.last().index;
        let is_better = |(id, peer): (&NodeId, &Progress)| {
            let votes = self.membership.voters.contains(id);
            votes && !peer.forgot && peer.has_room == Some(true) && peer.matched >= last
        };
        if !self.disk.has_room && leader.peers.iter().any(is_better) {
            self.give_up(now, StepDown::Full);
        }
    }

    /// Leads no more, by itself and in the same term; nothing to one that does not lead.
    pub(crate) fn give_up(&mut self, now: Instant, why: StepDown) {
        if let Duty::Leader(_) = self.duty {
            self.step_down(now, self.term, None);
            self.stepped_down = Some(why);
        }
    }
}
