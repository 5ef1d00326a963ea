use crate::leader::Leader;
use crate::progress::Progress;
use crate::role::Duty;
use crate::{AcceptorSet, Instant, Paxos};

/// Why a leader leads no more. Exhaustive on purpose: a driver tells people each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// It heard of a higher ballot, or that more was chosen than it proposed.
    Deposed,
    /// It heard no phase-2 quorum for an election timeout.
    NoQuorum,
    /// Its disk did not finish one write within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    WriteStalled,
    /// Its disk read nothing of what a peer needs within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    ReadStalled,
    /// Its disk has no space, and a follower has.
    Full,
    /// It lacks what is chosen, and nobody gave it any for an election timeout.
    LearnStalled,
    /// No phase-2 quorum that it hears had space for
    /// [`write_stall_max`](crate::Config::write_stall_max), and there are nodes that it does not hear.
    ShortOfRoom,
    /// It takes no part any more, see [`Stop`](crate::Stop).
    Stopped,
}

/// When a leader gives up by itself: it is in the way of a better one.
impl Paxos {
    /// A leader that no phase-2 quorum hears any more can choose nothing, and one whose disk has
    /// stalled is in the way of a better one (hashicorp#503).
    pub(crate) fn check_quorum(&mut self, now: Instant) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        if now < leader.quorum_deadline {
            return;
        }
        let heard = self.heard_by_quorum(leader, now);
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

    /// Whether no phase-2 quorum among those that are heard has space, while others are not heard: they may
    /// have some, and be a quorum with those that hear this leader and therefore advise against another.
    /// Where all are heard there is no better leader, and it leads on for reads.
    fn is_short_of_room(&self, leader: &Leader, now: Instant) -> bool {
        let timeout = self.config.election_timeout_max;
        let is_heard = |peer: &Progress| now.since(peer.contact) < timeout;
        let quorums = &self.config.quorums;
        let mut set = AcceptorSet::default();
        if self.disk.has_room {
            quorums.insert(&mut set, self.config.id);
        }
        for (id, peer) in &leader.peers {
            if is_heard(peer) && peer.has_room != Some(false) {
                quorums.insert(&mut set, *id);
            }
        }
        leader.peers.values().any(|peer| !is_heard(peer)) && !quorums.is_phase2(set)
    }

    /// A leader that can store nothing is in the way of one that can, and any follower can lead:
    /// phase 1 tells it what it lacks. Where nobody has space there is no better leader, and this one
    /// leads on for reads.
    pub(crate) fn give_way(&mut self, now: Instant) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        let has_room = |peer: &Progress| peer.has_room == Some(true);
        if !self.disk.has_room && leader.peers.values().any(has_room) {
            self.give_up(now, StepDown::Full);
        }
    }

    /// A leader that cannot learn what is chosen is in the way of one that knows it.
    pub(crate) fn check_learning(&mut self, now: Instant) {
        let timeout = self.config.election_timeout_max;
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let Some(learning) = &mut leader.learning else {
            return;
        };
        if leader.pulling.is_some() {
            // Its end is told by the driver, who knows how long bytes may take.
            learning.deadline = now.plus(timeout);
        } else if now >= learning.deadline {
            self.give_up(now, StepDown::LearnStalled);
        }
    }

    /// Leads no more, by itself and without a higher ballot; nothing to one that does not lead.
    pub(crate) fn give_up(&mut self, now: Instant, why: StepDown) {
        if let Duty::Leader(_) = self.duty {
            self.step_down(now, None);
            self.stepped_down = Some(why);
        }
    }
}
