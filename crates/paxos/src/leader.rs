use alloc::boxed::Box;
use alloc::vec::Vec;

use synod_durable::Durable;

use self::learn::Learning;
use crate::counters::count;
use crate::due::Task;
use crate::node::Common;
use crate::progress::Progress;
use crate::promises::Promises;
use crate::read::Reads;
use crate::step::Step;
use crate::{
    AcceptorSet, DiskHealth, Envelope, Instant, Message, NodeId, Own, Refusal, Replicate, Slot,
    Snapshot, StepDown,
};

mod change;
mod hand_over;
mod learn;
mod lease;
mod office;
mod priority;
mod propose;
mod read;
mod replicate;
mod roster;
mod settle;
mod step_down;
mod succession;
mod transfer;

use change::Change;
use lease::Asked;
use office::Office;
use priority::Preferring;
use roster::Roster;
use settle::Settling;
use transfer::Transfer;

/// The distinguished proposer (Paxos Made Simple §2.4, §3). It proposes what phase 1 found again,
/// then new values, and counts the votes. All of this state is dropped with the ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// The nodes that it sends to. Sets of them here are sets of places in the roster.
    roster: Roster,
    /// The configurations that govern open slots, in order, each with the proposals in its slots: the
    /// one in force, and the one that is decided and comes into force later.
    offices: Vec<Office>,
    /// What acceptors have reported, and the votes among it that are not yet proposed again.
    promises: Promises,
    /// The change of membership that it was asked for.
    change: Option<Change>,
    /// The configuration in force whose predecessor may still be needed.
    settling: Option<Settling>,
    /// When it stops telling nodes that were removed so.
    leave_deadline: Option<Instant>,
    /// When it steps down if it is no longer an acceptor.
    retire_deadline: Option<Instant>,
    /// The time of the last input that had one.
    clock: Instant,
    /// The peers that may lack something that can be sent.
    lacking: AcceptorSet,
    /// The peers whose last report was a full disk, and those that reported space.
    full: AcceptorSet,
    roomy: AcceptorSet,
    /// The first slot of its proposals. Everything before was chosen when phase 1 ended, and is
    /// learned where it is missing here.
    first: Slot,
    /// The last slot where phase 1 found a vote. Once everything up to it is chosen, this leader
    /// knows all that its predecessors chose, and serves reads.
    found_to: Slot,
    /// The state of learning the values below `first` that are missing here.
    learning: Option<Learning>,
    /// The snapshot that the driver is pulling, because values below `first` are compacted away
    /// everywhere.
    pulling: Option<Box<Snapshot>>,
    /// A pull that was not yet output to the driver.
    pull: Option<(NodeId, Box<Snapshot>)>,
    heartbeat_deadline: Instant,
    /// Unless a quorum was in contact by then, the leader steps down.
    quorum_deadline: Instant,
    /// The number of a write in flight, and when it was first seen.
    slow_write: Option<(u64, Instant)>,
    /// When an unanswered fetch for a peer was first seen, since the last answer.
    slow_fetch: Option<Instant>,
    /// Since when no quorum in contact has had space while some peer was out of contact.
    short_of_room: Option<Instant>,
    round: u64,
    /// Only echoes of later rounds report whether peers have space now.
    room_round: u64,
    reads: Reads,
    transfer: Option<Transfer>,
    preferring: Preferring,
    asked: Asked,
}

impl Leader {
    /// Starts leading after phase 1 (Paxos Made Simple §3): values that a phase-1 quorum has voted
    /// for are proposed again, gaps below are filled with no-ops, and values that some node knows
    /// to be chosen are learned.
    pub(crate) fn begin(common: &mut Common, now: Instant, promises: Promises) -> Self {
        let mut promises = promises;
        let mut chosen = common.log.chosen();
        let mut teacher = None;
        for (id, answer) in &promises.answers {
            if answer.chosen > chosen {
                (chosen, teacher) = (answer.chosen, Some(*id));
            }
        }
        let first = chosen.next();
        promises.found = promises.found.split_off(&first);
        let last_found = promises.found.last_key_value();
        let found_to = last_found.map_or(chosen, |(slot, _)| *slot);
        let open = common.configurations.open(chosen);
        let mut roster = Roster::of(common, open, now);
        let office = |one| Office::new(one, first, &roster, &promises);
        let offices: Vec<Office> = open.iter().map(office).collect();
        for (id, answer) in &promises.answers {
            if let Some(place) = roster.place(*id) {
                roster.peer_mut(place).handle_chosen(answer.chosen);
            }
        }
        let timeout = common.config.election_timeout_max;
        let mut leader = Self {
            roster,
            offices,
            promises,
            change: None,
            settling: None,
            leave_deadline: None,
            retire_deadline: None,
            clock: now,
            lacking: AcceptorSet::default(),
            full: AcceptorSet::default(),
            roomy: AcceptorSet::default(),
            first,
            found_to,
            learning: teacher.map(|teacher| Learning {
                teacher,
                deadline: now.plus(timeout),
            }),
            pulling: None,
            pull: None,
            heartbeat_deadline: now.plus(common.config.heartbeat_interval),
            quorum_deadline: now.plus(timeout),
            slow_write: None,
            slow_fetch: None,
            short_of_room: None,
            round: 0,
            room_round: 0,
            reads: Reads::default(),
            transfer: None,
            preferring: Preferring::begin(common, now),
            asked: Asked::default(),
        };
        leader.propose_found(common);
        leader.begin_round(common);
        leader.ask_to_learn(common);
        leader.replicate_to_all(common);
        leader.fill(common);
        leader.begin_to_settle(common);
        leader
    }

    /// Stops leading. Its reads are refused with the new leader, if that is known, and its fetches
    /// for peers are dropped.
    pub(crate) fn resign(self, common: &mut Common, successor: Option<NodeId>) {
        self.lose_change(common);
        let refusal = Refusal::NotLeader(successor);
        common.refuse(self.reads.end(), refusal);
        common.forget_fetches();
    }

    /// Sends heartbeats when they are due, and checks whether to step down.
    pub(crate) fn handle_timeout(&mut self, common: &mut Common, now: Instant) -> Step {
        self.clock = self.clock.max(now);
        let step = match self.gives_up(common, now) {
            Some(why) => self.give_up(common, now, why),
            None => self.end_transfer(common, now),
        };
        if !matches!(step, Step::Stay) || now < self.heartbeat_deadline {
            return step;
        }
        self.heartbeat_deadline = now.plus(common.config.heartbeat_interval);
        let peers = self.roster.all_mut();
        peers.for_each(|peer| peer.backoff = false);
        common.retry_fetch();
        self.begin_round(common);
        self.begin_heartbeat();
        self.learn_from_another(common);
        self.offer_again(common);
        self.replicate_to_all(common);
        self.invite(common);
        self.make_way_for_preferred(common, now);
        self.go_on_with_changes(common, now)
    }

    /// What a change of membership needs with each heartbeat: repetitions of what may be lost, and
    /// what had to wait for room.
    fn go_on_with_changes(&mut self, common: &mut Common, now: Instant) -> Step {
        self.catch_up(common, now);
        self.ask_for_promises(common);
        self.begin_to_settle(common);
        self.ask_to_settle(common);
        self.fill(common);
        self.let_go(common, now);
        self.retire(common, now)
    }

    /// Broadcasts heartbeats. Each round confirms the reads that arrived before it.
    fn begin_round(&mut self, common: &mut Common) {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        self.round += 1;
        let settled = common.settled;
        let lease = self.ask_for_lease(common);
        if self.knows_its_predecessors(common) {
            self.reads.begin_round(self.round, chosen);
        }
        for place in self.roster.others.iter() {
            let peer = self.roster.peer_mut(place);
            let (round, through) = (self.round, peer.through);
            peer.told = peer.told.max(chosen.min(through));
            let heartbeat = Replicate::Heartbeat {
                ballot,
                round,
                chosen,
                through,
                settled,
                lease,
            };
            common.send_now(self.roster.node(place), heartbeat);
        }
        common.due.set(Task::Read);
    }

    fn begin_heartbeat(&mut self) {
        let round = self.round;
        let peers = self.roster.all_mut();
        peers.for_each(|peer| peer.retransmission.begin_heartbeat(round));
    }

    /// Counts this node's own votes once they are durable, like those of any acceptor.
    pub(crate) fn count_own_votes(&mut self, common: &mut Common, own: &Durable<Own>) {
        for cast in own
            .votes
            .iter()
            .filter(|cast| cast.ballot == common.promised)
        {
            self.count_votes(self.roster.own, cast.first, cast.last);
        }
        self.advance_chosen(common);
        if self.settling.is_some() {
            self.count_own_settled(common);
        }
    }

    /// Marks the slots up to `slot` as chosen; this node holds their values. Peers that do not know
    /// it are notified, and reads that wait for what phase 1 found may begin a round.
    fn choose_to(&mut self, common: &mut Common, slot: Slot) {
        common.choose_to(slot);
        common.due.set(Task::Notice);
        if self.reads.wants_round() {
            common.due.set(Task::Round);
        }
    }

    /// Whether everything that earlier leaders have chosen is chosen here, and known to be all: phase 1
    /// of each configuration that governs an open slot is complete.
    pub(super) fn knows_its_predecessors(&self, common: &Common) -> bool {
        let is_elected = |office: &Office| office.is_elected;
        common.log.chosen() >= self.found_to && self.offices.iter().all(is_elected)
    }

    /// The place of another node, if it is one that this leader sends to.
    #[inline]
    pub(crate) fn place(&self, node: NodeId) -> Option<usize> {
        self.roster.place(node)
    }

    /// Records contact with the peer at this position in this ballot, for any of its messages.
    pub(crate) fn hear(&mut self, now: Instant, place: usize) {
        self.clock = self.clock.max(now);
        let peer = self.roster.peer_mut(place);
        peer.contact = peer.contact.max(now);
    }

    /// Handles an acceptance of the slots from `first` to `last`.
    pub(crate) fn handle_accepted(
        &mut self,
        common: &mut Common,
        place: usize,
        first: Slot,
        last: Slot,
    ) {
        let end = self.end();
        if first == Slot(0) || first > last || last >= end {
            count(&mut common.counters.malformed);
            return;
        }
        let peer = self.roster.peer_mut(place);
        peer.handle_accepted(first, last, common.log.start().slot);
        // No votes are counted for chosen slots, and whether a quorum has voted for them was
        // checked before.
        if last > common.log.chosen() {
            self.count_votes(place, first, last);
            self.advance_chosen(common);
        }
        let peer = self.roster.peer(place);
        if peer.told < common.log.chosen().min(peer.through) {
            common.due.set(Task::Notice);
        }
        if peer.next < end {
            self.replicate_to(common, place);
        }
        self.invite_first(common);
    }

    /// Handles a promise that was no longer needed. It still reports the chosen prefix of its
    /// sender.
    fn handle_late_promise(&mut self, common: &mut Common, place: usize, chosen: Slot) -> Step {
        if chosen >= self.end() {
            return self.is_outrun(common);
        }
        self.roster.peer_mut(place).handle_chosen(chosen);
        self.count_chosen(common, place, chosen);
        self.replicate_to(common, place);
        common.due.set(Task::Notice);
        Step::Stay
    }

    /// A node reports more to be chosen than this leader has proposed. That can be true only if a
    /// configuration that it does not know governs the next slot, or one that has not promised it
    /// enough: an earlier leader came further. Then a new phase 1 has to learn of it.
    fn is_outrun(&self, common: &mut Common) -> Step {
        if self.next() > self.limit(common) {
            return Step::give_up(common.promised, StepDown::Deposed);
        }
        count(&mut common.counters.malformed);
        Step::Stay
    }

    /// Counts a peer's chosen prefix. It may know slots to be chosen that this leader does not, and
    /// is not sent them. That it holds the chosen value is equivalent to a vote for it: no other
    /// value can be proposed there.
    fn count_chosen(&mut self, common: &mut Common, place: usize, chosen: Slot) {
        if chosen > common.log.chosen() {
            self.count_votes(place, Slot(1), chosen);
            self.advance_chosen(common);
        }
    }

    /// Handles the echo of a heartbeat of `round`: see [`Progress::handle_echo`].
    pub(crate) fn handle_heartbeat_echo(
        &mut self,
        common: &mut Common,
        place: usize,
        round: u64,
        through: Slot,
        chosen: Slot,
        behind: bool,
    ) -> Step {
        if round > self.round || chosen > through {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        if through >= self.end() {
            return self.is_outrun(common);
        }
        let wants = self
            .roster
            .peer_mut(place)
            .handle_echo(round, through, chosen, behind);
        self.count_chosen(common, place, chosen);
        if wants {
            self.replicate_to(common, place);
        }
        self.invite_first(common);
        common.due.set(Task::Read);
        common.due.set(Task::Notice);
        Step::Stay
    }

    /// Notifies a peer that the chosen prefix grew, if no other message did. Called last, when
    /// everything that could carry it has been sent.
    #[inline]
    pub(crate) fn poll_notice(&mut self, common: &mut Common) -> Option<Envelope> {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        let news = |place: &usize| {
            let peer = self.roster.peer(*place);
            peer.told < chosen.min(peer.through)
        };
        let mut places = self.roster.others.iter().filter(news);
        let (place, more) = (places.next()?, places.next());
        let peer = self.roster.peer_mut(place);
        peer.told = chosen.min(peer.through);
        if more.is_none() {
            common.due.clear(Task::Notice);
        }
        let message = Message::Replicate(Replicate::Chosen { ballot, chosen });
        let to = self.roster.node(place);
        Some(Envelope { to, message })
    }

    /// Whether a phase-2 quorum was in contact within the longest election timeout. Otherwise the
    /// leader is about to step down.
    pub(crate) fn has_quorum_contact(&self, common: &Common, now: Instant) -> bool {
        now.since(self.quorum_contact(now)) < common.config.election_timeout_max
    }

    /// Handles a change of this node's disk. Often one cause fills all disks, so earlier reports of
    /// peers are dropped; the echoes of later rounds replace them.
    pub(crate) fn handle_disk(&mut self, common: &Common, old: DiskHealth) {
        if !old.has_room || common.disk.has_room {
            return;
        }
        self.room_round = self.round;
        (self.full, self.roomy) = (AcceptorSet::default(), AcceptorSet::default());
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: the next heartbeat, or the moment by
    /// which it must have heard a quorum, or the end of a transfer.
    pub(crate) fn deadline(&self) -> Instant {
        let deadline = self.heartbeat_deadline.min(self.quorum_deadline);
        let transfer = self.transfer_deadline();
        transfer.map_or(deadline, |end| end.min(deadline))
    }

    /// The first slot in which no acceptor can have anything from this leader: after all that it
    /// has proposed, or has yet to propose again.
    pub(crate) fn end(&self) -> Slot {
        self.next().max(self.found_to.next())
    }

    /// The slot after all new values that it has proposed: 0 if there are none. What phase 1 found, also
    /// that of a configuration which comes into force, is not new.
    #[cfg(feature = "check")]
    pub(crate) fn new_end(&self) -> Slot {
        match self.next() > self.found_to.next() {
            true => self.next(),
            false => Slot(0),
        }
    }

    /// What it knows of each peer, in order of positions.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        let places = self.roster.others.iter();
        places.map(|place| (self.roster.node(place), self.roster.peer(place)))
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self, common: &Common) {
        assert!(
            self.learning.is_some() == (common.log.chosen().next() < self.first),
            "a leader learns what it lacks, and nothing else"
        );
        assert!(
            self.next().prev() <= self.limit(common),
            "a proposal is within what is known of the configurations (M5)"
        );
        for place in self.roster.others.iter() {
            self.roster.peer(place).check();
            assert!(
                self.lacking.contains(place) || !self.may_be_sent(common, place),
                "a peer that may be sent something is not forgotten"
            );
        }
    }

    /// Resets what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.heartbeat_deadline = Instant::ZERO;
        self.quorum_deadline = Instant::ZERO;
        self.slow_write = None;
        self.slow_fetch = None;
        self.short_of_room = None;
        self.clock = Instant::ZERO;
        self.leave_deadline = None;
        self.retire_deadline = None;
        self.forget_time_of_change();
        self.forget_time_of_transfer();
        self.preferring = Preferring::default();
        self.forget_lease();
        let peers = self.roster.all_mut();
        peers.for_each(|peer| peer.contact = Instant::ZERO);
        if let Some(learning) = &mut self.learning {
            learning.deadline = Instant::ZERO;
        }
    }
}
