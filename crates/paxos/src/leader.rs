use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::learn::Learning;
use crate::paxos::ApplyFetch;
use crate::progress::Progress;
use crate::read::Reads;
use crate::role::{Answer, Duty};
use crate::status::count;
use crate::tally::Tallies;
use crate::{
    AcceptorSet, DiskHealth, Envelope, Instant, Kind, Message, NodeId, Paxos, Position,
    ProposeError, Replicate, Slot, Snapshot, Value, Vote,
};

/// What a leader knows; gone with its ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    pub(crate) peers: BTreeMap<NodeId, Progress>,
    /// The first slot that it proposes for itself. What lies before was chosen when phase 1 ended,
    /// and what of it is missing here is learned.
    pub(crate) first: Slot,
    /// The last slot where phase 1 found a vote. Once all up to it is chosen, this leader knows
    /// everything that its predecessors chose, and serves reads.
    pub(crate) found_to: Slot,
    /// What phase 1 found, until it is proposed again.
    pub(crate) found: BTreeMap<Slot, Vote>,
    /// Its proposals.
    pub(crate) tallies: Tallies,
    /// Of what is missing here below `first`.
    pub(crate) learning: Option<Learning>,
    /// The snapshot whose bytes the driver is pulling, because values below `first` are cut away
    /// everywhere.
    pub(crate) pulling: Option<Snapshot>,
    pub(crate) heartbeat_deadline: Instant,
    /// By then a quorum must have been heard, else it resigns.
    pub(crate) quorum_deadline: Instant,
    /// A write in flight, and when it was first seen to be.
    pub(crate) slow_write: Option<(u64, Instant)>,
    /// Votes for a peer are being fetched, none came since, and when that was first seen.
    pub(crate) slow_fetch: Option<Instant>,
    /// Since when no quorum that it hears has space, while there are nodes that it does not hear.
    pub(crate) short_of_room: Option<Instant>,
    pub(crate) round: u64,
    /// Echoes of later rounds tell who has space.
    pub(crate) room_round: u64,
    pub(crate) reads: Reads,
}

impl Leader {
    /// Who has space is forgotten, and told by the echoes of the rounds to come.
    pub(crate) fn ask_for_room(&mut self) {
        self.room_round = self.round;
        self.peers
            .values_mut()
            .for_each(|peer| peer.has_room = None);
    }

    /// Beyond which nobody can have anything: behind what it has proposed, or has yet to propose
    /// again.
    pub(crate) fn end(&self) -> Slot {
        self.tallies.next().max(self.found_to.next())
    }

    pub(crate) fn forget_time(&mut self) {
        self.heartbeat_deadline = Instant::ZERO;
        self.quorum_deadline = Instant::ZERO;
        self.slow_write = None;
        self.slow_fetch = None;
        self.short_of_room = None;
        self.peers
            .values_mut()
            .for_each(|peer| peer.contact = Instant::ZERO);
        if let Some(learning) = &mut self.learning {
            learning.deadline = Instant::ZERO;
        }
    }
}

impl Paxos {
    /// Phase 1 has ended (Paxos Made Simple §3): what a phase-1 quorum has votes for is proposed
    /// again, gaps below are filled with no-ops, and what somebody knows to be chosen is learned.
    pub(crate) fn lead(
        &mut self,
        now: Instant,
        answers: &BTreeMap<NodeId, Answer>,
        mut found: BTreeMap<Slot, Vote>,
    ) {
        let mut chosen = self.log.chosen();
        let mut teacher = None;
        for (id, answer) in answers {
            if answer.chosen > chosen {
                (chosen, teacher) = (answer.chosen, Some(*id));
            }
        }
        let first = chosen.next();
        found = found.split_off(&first);
        let found_to = found.last_key_value().map_or(chosen, |(slot, _)| *slot);
        let mut peers: BTreeMap<NodeId, Progress> =
            self.peers().map(|id| (id, Progress::new(now))).collect();
        for (id, answer) in answers {
            if let Some(peer) = peers.get_mut(id) {
                peer.handle_chosen(answer.chosen);
            }
        }
        let timeout = self.config.election_timeout_max;
        self.duty = Duty::Leader(Leader {
            peers,
            first,
            found_to,
            found,
            tallies: Tallies::new(first),
            learning: teacher.map(|teacher| Learning {
                teacher,
                deadline: now.plus(timeout),
            }),
            pulling: None,
            heartbeat_deadline: now.plus(self.config.heartbeat_interval),
            quorum_deadline: now.plus(timeout),
            slow_write: None,
            slow_fetch: None,
            short_of_room: None,
            round: 0,
            room_round: 0,
            reads: Reads::default(),
        });
        self.propose_found();
        self.begin_round();
        self.ask_to_learn();
        self.replicate_to_all();
    }

    /// Proposes again what phase 1 found, with no-ops in the gaps; or, as long as what is chosen here
    /// ends so far before it that no acceptor would vote, this node neither, waits until more is
    /// learned. Votes that far ahead would be in the way of every later leader, and of this node's
    /// next start.
    ///
    /// Beside what was found these are at most [`Slot::AHEAD_MAX`] no-ops, whatever was promised:
    /// the last vote that was found is of one acceptor, which may leave no more gaps.
    pub(crate) fn propose_found(&mut self) {
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let (slot, found_to) = (leader.tallies.next(), leader.found_to);
        if slot > found_to || found_to.0.saturating_sub(self.log.chosen().0) > Slot::AHEAD_MAX {
            return;
        }
        let mut found = core::mem::take(&mut leader.found);
        let ballot = self.promised;
        let values = (slot.0..=found_to.0).map(|slot| {
            let found = found.remove(&Slot(slot));
            found.map_or_else(|| Value::noop(ballot), |vote| vote.value)
        });
        self.propose_from(slot, values);
    }

    pub(crate) fn propose_command(&mut self, body: Bytes) -> Result<Position, ProposeError> {
        let Duty::Leader(leader) = &self.duty else {
            return Err(ProposeError::NotLeader(self.leader()));
        };
        let (bytes, bytes_max) = (body.len(), self.config.value_bytes_max);
        if bytes > bytes_max {
            return Err(ProposeError::TooLarge { bytes, bytes_max });
        }
        let slot = leader.tallies.next();
        if slot > Slot::MAX {
            return Err(ProposeError::SlotExhausted);
        }
        if !self.has_room(leader) {
            return Err(ProposeError::Full);
        }
        // A value alone always fits, else one that is larger than the bound could never be proposed.
        let unchosen = leader.tallies.bytes();
        let after = unchosen.saturating_add(bytes + Value::HEAD_BYTES);
        let is_far = slot.0 - self.log.chosen().0 > Slot::AHEAD_MAX / 2;
        let is_full = unchosen > 0 && after > self.config.unchosen_bytes_max;
        if is_full || is_far || slot <= leader.found_to {
            return Err(ProposeError::Busy);
        }
        let origin = self.promised;
        let command = Value {
            kind: Kind::Command,
            origin,
            body,
        };
        self.propose_from(slot, [command]);
        self.replicate_to_all();
        Ok(Position { slot, origin })
    }

    /// The caller leads, and `first` is its next slot.
    fn propose_from(&mut self, first: Slot, values: impl IntoIterator<Item = Value>) {
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let votes = Vote::all_from(first, self.promised, values);
        let tallies = &mut leader.tallies;
        self.log
            .accept(votes.inspect(|vote| tallies.push(vote.slot, vote.value.size())));
    }

    pub(crate) fn handle_leader_timeout(&mut self, now: Instant) {
        self.check_quorum(now);
        self.check_learning(now);
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        if now < leader.heartbeat_deadline {
            return;
        }
        leader.heartbeat_deadline = now.plus(self.config.heartbeat_interval);
        leader
            .peers
            .values_mut()
            .for_each(|peer| peer.backoff = false);
        if self.apply_fetch == ApplyFetch::Failed {
            self.apply_fetch = ApplyFetch::Idle;
        }
        self.begin_round();
        self.begin_beat();
        self.learn_from_another();
        self.offer_again();
        self.replicate_to_all();
    }

    /// When a phase-2 quorum was heard last: at this moment or later each of it was.
    pub(crate) fn heard_by_quorum(&self, leader: &Leader, now: Instant) -> Instant {
        self.reached(leader, now, |progress| progress.contact)
    }

    /// The greatest value that a phase-2 quorum has reached; this node's own is `own`.
    fn reached<T: Copy + Ord>(&self, leader: &Leader, own: T, of: impl Fn(&Progress) -> T) -> T {
        let quorums = &self.config.quorums;
        let peers = leader.peers.iter().map(|(id, peer)| (of(peer), *id));
        let mut values: Vec<(T, NodeId)> = peers.chain([(own, self.config.id)]).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        let mut set = AcceptorSet::default();
        let mut least = own;
        for (value, id) in values {
            quorums.insert(&mut set, id);
            least = value;
            if quorums.is_phase2(set) {
                break;
            }
        }
        least
    }

    /// A broadcast of heartbeats. Each is a round that confirms the reads that came before it.
    fn begin_round(&mut self) {
        let (ballot, chosen) = (self.promised, self.log.chosen());
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        leader.round += 1;
        if chosen >= leader.found_to {
            leader.reads.begin_round(leader.round, chosen);
        }
        for (id, peer) in &mut leader.peers {
            let (round, through) = (leader.round, peer.through);
            peer.told = peer.told.max(chosen.min(through));
            self.outbox.send_now(
                *id,
                Replicate::Heartbeat {
                    ballot,
                    round,
                    chosen,
                    through,
                },
            );
        }
    }

    fn begin_beat(&mut self) {
        if let Duty::Leader(leader) = &mut self.duty {
            let round = leader.round;
            let peers = leader.peers.values_mut();
            peers.for_each(|peer| peer.patience.begin_beat(round));
        }
    }

    /// Reads do not wait for the next heartbeat, but share a round with those that came meanwhile.
    pub(crate) fn begin_read_round(&mut self) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        if leader.reads.wants_round() && self.log.chosen() >= leader.found_to {
            self.begin_round();
        }
    }

    /// The last round that a phase-2 quorum echoed; this node hears itself.
    pub(crate) fn confirmed_round(&self) -> u64 {
        match &self.duty {
            Duty::Leader(leader) if leader.reads.is_pending() => {
                self.reached(leader, leader.round, |progress| progress.round)
            }
            _ => 0,
        }
    }

    /// Our own votes count when they are durable, as anybody's.
    pub(crate) fn count_own_votes(&mut self, slots: &[Slot]) {
        for slot in slots {
            let is_own = |vote: &Vote| vote.ballot == self.promised;
            if self.log.vote(*slot).is_some_and(is_own) {
                self.count_votes(self.config.id, *slot, *slot);
            }
        }
        self.advance_chosen();
    }

    fn count_votes(&mut self, from: NodeId, first: Slot, last: Slot) {
        if let Duty::Leader(leader) = &mut self.duty {
            leader
                .tallies
                .count(&self.config.quorums, from, first, last);
        }
    }

    /// The chosen prefix grows over what is chosen without a gap.
    pub(crate) fn advance_chosen(&mut self) {
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let chosen = leader.tallies.chosen_behind(self.log.chosen());
        if chosen > self.log.chosen() {
            self.log.choose_to(chosen);
        }
        leader.tallies.settle_to(self.log.settled());
    }

    pub(crate) fn handle_accepted(&mut self, now: Instant, from: NodeId, first: Slot, last: Slot) {
        let start = self.log.start().slot;
        let Some((peer, next)) = self.hear(now, from) else {
            return;
        };
        if first == Slot(0) || first > last || last >= next {
            count(&mut self.counters.malformed);
            return;
        }
        peer.handle_accepted(first, last, start);
        self.count_votes(from, first, last);
        self.advance_chosen();
        self.replicate_to(from);
    }

    /// A promise that was not needed any more tells where its sender stands.
    pub(crate) fn handle_late_promise(&mut self, now: Instant, from: NodeId, chosen: Slot) {
        let Some((peer, next)) = self.hear(now, from) else {
            return;
        };
        if chosen >= next {
            count(&mut self.counters.malformed);
            return;
        }
        peer.handle_chosen(chosen);
        self.count_chosen(from, chosen);
        self.replicate_to(from);
    }

    /// A peer may know slots to be chosen that this leader does not, and is not sent them. That it
    /// holds what is chosen there is as good as a vote for it: of a chosen value nothing else can be
    /// proposed.
    fn count_chosen(&mut self, from: NodeId, chosen: Slot) {
        if chosen > self.log.chosen() {
            self.count_votes(from, Slot(1), chosen);
            self.advance_chosen();
        }
    }

    pub(crate) fn handle_heartbeat_echo(
        &mut self,
        now: Instant,
        from: NodeId,
        round: u64,
        through: Slot,
        chosen: Slot,
        behind: bool,
    ) {
        let last_round = match &self.duty {
            Duty::Leader(leader) => leader.round,
            _ => 0,
        };
        let Some((peer, next)) = self.hear(now, from) else {
            return;
        };
        if round > last_round || through >= next || chosen > through {
            count(&mut self.counters.malformed);
            return;
        }
        let wants = peer.handle_echo(round, through, chosen, behind);
        self.count_chosen(from, chosen);
        if wants {
            self.replicate_to(from);
        }
    }

    /// An echo of a peer tells whether its disk has space.
    pub(crate) fn note_room(&mut self, from: NodeId, round: u64, disk: DiskHealth) {
        if let Duty::Leader(leader) = &mut self.duty
            && round > leader.room_round
            && let Some(peer) = leader.peers.get_mut(&from)
            && round >= peer.round
        {
            peer.has_room = Some(disk.has_room);
        }
    }

    /// Whether this node and a phase-2 quorum have space, as far as they have said.
    fn has_room(&self, leader: &Leader) -> bool {
        let quorums = &self.config.quorums;
        let mut set = AcceptorSet::default();
        quorums.insert(&mut set, self.config.id);
        for (id, peer) in &leader.peers {
            if peer.has_room != Some(false) {
                quorums.insert(&mut set, *id);
            }
        }
        self.disk.has_room && quorums.is_phase2(set)
    }

    /// A word of this ballot from a peer: contact, whatever it says. With the peer comes the slot of
    /// the next proposal, beyond which nobody can have anything.
    pub(crate) fn hear(&mut self, now: Instant, from: NodeId) -> Option<(&mut Progress, Slot)> {
        if let Duty::Leader(leader) = &mut self.duty {
            let end = leader.end();
            if let Some(peer) = leader.peers.get_mut(&from) {
                peer.contact = peer.contact.max(now);
                return Some((peer, end));
            }
        }
        count(&mut self.counters.out_of_role);
        None
    }

    /// Tells a peer that the chosen prefix grew, if nothing else did. Asked for last, when
    /// everything that could carry it has gone.
    pub(crate) fn poll_chosen_notice(&mut self) -> Option<Envelope> {
        let (ballot, chosen) = (self.promised, self.log.chosen());
        let Duty::Leader(leader) = &mut self.duty else {
            return None;
        };
        let news = |peer: &Progress| peer.told < chosen.min(peer.through);
        let (to, peer) = leader.peers.iter_mut().find(|(_, peer)| news(peer))?;
        peer.told = chosen.min(peer.through);
        let message = Message::Replicate(Replicate::Chosen { ballot, chosen });
        Some(Envelope { to: *to, message })
    }
}
