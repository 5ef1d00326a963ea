use alloc::boxed::Box;
use alloc::collections::BTreeMap;
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
use crate::tally::Tallies;
use crate::{
    AcceptorSet, DiskHealth, Envelope, Instant, Message, NodeId, Own, Refusal, Replicate, Slot,
    Snapshot, Vote,
};

mod learn;
mod propose;
mod read;
mod replicate;
mod step_down;
mod transfer;

use transfer::Transfer;

/// Leads: the distinguished proposer (Paxos Made Simple §2.4, §3). It proposes what phase 1 found
/// again, then what it is given, and counts the votes. All of it is gone with its ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// By place; that of this node is not used.
    peers: Vec<Progress>,
    /// All of them.
    others: AcceptorSet,
    /// Those that may be sent something.
    lacking: AcceptorSet,
    /// Those that have said that their disk is full, and those that have said it is not.
    full: AcceptorSet,
    roomy: AcceptorSet,
    /// The first slot that it proposes for itself. What lies before was chosen when phase 1 ended,
    /// and what of it is missing here is learned.
    first: Slot,
    /// The last slot where phase 1 found a vote. Once all up to it is chosen, this leader knows
    /// everything that its predecessors chose, and serves reads.
    found_to: Slot,
    /// What phase 1 found, until it is proposed again.
    found: BTreeMap<Slot, Vote>,
    /// Its proposals.
    tallies: Tallies,
    /// Of what is missing here below `first`.
    learning: Option<Learning>,
    /// The snapshot whose bytes the driver is pulling, because values below `first` are cut away
    /// everywhere.
    pulling: Option<Box<Snapshot>>,
    /// It, and who has it, until the driver is told to pull it.
    pull: Option<(NodeId, Box<Snapshot>)>,
    heartbeat_deadline: Instant,
    /// By then a quorum must have been heard, else it resigns.
    quorum_deadline: Instant,
    /// A write in flight, and when it was first seen to be.
    slow_write: Option<(u64, Instant)>,
    /// Votes for a peer are being fetched, none came since, and when that was first seen.
    slow_fetch: Option<Instant>,
    /// Since when no quorum that it hears has space, while there are nodes that it does not hear.
    short_of_room: Option<Instant>,
    round: u64,
    /// Echoes of later rounds tell who has space.
    room_round: u64,
    reads: Reads,
    transfer: Option<Transfer>,
}

impl Leader {
    /// Phase 1 has ended (Paxos Made Simple §3): what a phase-1 quorum has votes for is proposed
    /// again, gaps below are filled with no-ops, and what somebody knows to be chosen is learned.
    pub(crate) fn begin(common: &mut Common, now: Instant, promises: Promises) -> Self {
        let Promises { answers, mut found } = promises;
        let mut chosen = common.log.chosen();
        let mut teacher = None;
        for (id, answer) in &answers {
            if answer.chosen > chosen {
                (chosen, teacher) = (answer.chosen, Some(*id));
            }
        }
        let first = chosen.next();
        found = found.split_off(&first);
        let found_to = found.last_key_value().map_or(chosen, |(slot, _)| *slot);
        let quorums = &common.config.quorums;
        let acceptors = quorums.acceptors();
        let mut peers: Vec<Progress> = acceptors.map(|_| Progress::new(now)).collect();
        for (id, answer) in &answers {
            if let Some(peer) = quorums.place(*id).and_then(|place| peers.get_mut(place)) {
                peer.handle_chosen(answer.chosen);
            }
        }
        let timeout = common.config.election_timeout_max;
        let mut leader = Self {
            others: quorums.all_where(|place| place != common.own),
            peers,
            lacking: AcceptorSet::default(),
            full: AcceptorSet::default(),
            roomy: AcceptorSet::default(),
            first,
            found_to,
            found,
            tallies: Tallies::new(first),
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
        };
        leader.propose_found(common);
        leader.begin_round(common);
        leader.ask_to_learn(common);
        leader.replicate_to_all(common);
        leader
    }

    /// Leads no more: its reads end, and what it wanted to read for its peers is wanted no more.
    /// The next leader, if it is known, is named to those who read.
    pub(crate) fn resign(self, common: &mut Common, successor: Option<NodeId>) {
        let refusal = Refusal::NotLeader(successor);
        common.refuse(self.reads.end(), refusal);
        common.forget_fetches();
    }

    /// A heartbeat is due, or a look at whether it is in the way of a better leader.
    pub(crate) fn handle_timeout(&mut self, common: &mut Common, now: Instant) -> Step {
        if let Some(why) = self.gives_up(common, now) {
            return Step::give_up(common.promised, why);
        }
        self.end_transfer(common, now);
        if now < self.heartbeat_deadline {
            return Step::Stay;
        }
        self.heartbeat_deadline = now.plus(common.config.heartbeat_interval);
        self.peers.iter_mut().for_each(|peer| peer.backoff = false);
        common.retry_fetch();
        self.begin_round(common);
        self.begin_heartbeat();
        self.learn_from_another(common);
        self.offer_again(common);
        self.replicate_to_all(common);
        self.invite(common);
        Step::Stay
    }

    /// A broadcast of heartbeats. Each is a round that confirms the reads that came before it.
    fn begin_round(&mut self, common: &mut Common) {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        self.round += 1;
        if chosen >= self.found_to {
            self.reads.begin_round(self.round, chosen);
        }
        for place in common.peers() {
            let peer = &mut self.peers[place];
            let (round, through) = (self.round, peer.through);
            peer.told = peer.told.max(chosen.min(through));
            let heartbeat = Replicate::Heartbeat {
                ballot,
                round,
                chosen,
                through,
            };
            common.send_now(common.acceptor(place), heartbeat);
        }
        common.due.set(Task::Read);
    }

    fn begin_heartbeat(&mut self) {
        let round = self.round;
        let peers = self.peers.iter_mut();
        peers.for_each(|peer| peer.retransmission.begin_heartbeat(round));
    }

    /// Our own votes count when they are durable, as anybody's.
    pub(crate) fn count_own_votes(&mut self, common: &mut Common, own: &Durable<Own>) {
        for cast in own
            .votes
            .iter()
            .filter(|cast| cast.ballot == common.promised)
        {
            self.count_votes(common, common.own, cast.first, cast.last);
        }
        self.advance_chosen(common);
    }

    fn count_votes(&mut self, common: &Common, place: usize, first: Slot, last: Slot) {
        let quorums = &common.config.quorums;
        self.tallies.count(quorums, place, first, last);
    }

    /// The slots up to `slot` are chosen, and this node holds their values: peers that do not know it
    /// are told, and reads that wait for what phase 1 found may begin a round.
    fn choose_to(&mut self, common: &mut Common, slot: Slot) {
        common.choose_to(slot);
        common.due.set(Task::Notice);
        if self.reads.wants_round() {
            common.due.set(Task::Round);
        }
    }

    /// The chosen prefix grows over what is chosen without a gap.
    fn advance_chosen(&mut self, common: &mut Common) {
        let quorums = &common.config.quorums;
        let chosen = self.tallies.chosen_behind(quorums, common.log.chosen());
        if chosen > common.log.chosen() {
            self.choose_to(common, chosen);
        }
        self.tallies.forget_to(common.log.chosen());
    }

    /// A word of this ballot from the peer at that place: contact, whatever it says.
    pub(crate) fn hear(&mut self, now: Instant, place: usize) {
        let peer = &mut self.peers[place];
        peer.contact = peer.contact.max(now);
    }

    /// An acceptor has voted for the slots from `first` to `last`.
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
        let peer = &mut self.peers[place];
        peer.handle_accepted(first, last, common.log.start().slot);
        // Of what is chosen no votes are counted, and a quorum that was there has been found.
        if last > common.log.chosen() {
            self.count_votes(common, place, first, last);
            self.advance_chosen(common);
        }
        let peer = &self.peers[place];
        if peer.told < common.log.chosen().min(peer.through) {
            common.due.set(Task::Notice);
        }
        if peer.next < end {
            self.replicate_to(common, place);
        }
        self.invite_first(common);
    }

    /// A promise that was not needed any more tells where its sender stands.
    pub(crate) fn handle_late_promise(&mut self, common: &mut Common, place: usize, chosen: Slot) {
        if chosen >= self.end() {
            count(&mut common.counters.malformed);
            return;
        }
        self.peers[place].handle_chosen(chosen);
        self.count_chosen(common, place, chosen);
        self.replicate_to(common, place);
        common.due.set(Task::Notice);
    }

    /// A peer may know slots to be chosen that this leader does not, and is not sent them. That it
    /// holds what is chosen there is as good as a vote for it: of a chosen value nothing else can be
    /// proposed.
    fn count_chosen(&mut self, common: &mut Common, place: usize, chosen: Slot) {
        if chosen > common.log.chosen() {
            self.count_votes(common, place, Slot(1), chosen);
            self.advance_chosen(common);
        }
    }

    /// A peer answers the heartbeat of `round`: see [`Progress::handle_echo`].
    pub(crate) fn handle_heartbeat_echo(
        &mut self,
        common: &mut Common,
        place: usize,
        round: u64,
        through: Slot,
        chosen: Slot,
        behind: bool,
    ) {
        if round > self.round || through >= self.end() || chosen > through {
            count(&mut common.counters.malformed);
            return;
        }
        let wants = self.peers[place].handle_echo(round, through, chosen, behind);
        self.count_chosen(common, place, chosen);
        if wants {
            self.replicate_to(common, place);
        }
        self.invite_first(common);
        common.due.set(Task::Read);
        common.due.set(Task::Notice);
    }

    /// An echo of a peer tells whether its disk has space.
    pub(crate) fn note_room(&mut self, place: usize, round: u64, disk: DiskHealth) {
        if round > self.room_round && round >= self.peers[place].round {
            let (is, is_not) = match disk.has_room {
                true => (&mut self.roomy, &mut self.full),
                false => (&mut self.full, &mut self.roomy),
            };
            is.insert(place);
            is_not.remove(place);
        }
    }

    /// Tells a peer that the chosen prefix grew, if nothing else did. Asked for last, when
    /// everything that could carry it has gone.
    #[inline]
    pub(crate) fn poll_notice(&mut self, common: &mut Common) -> Option<Envelope> {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        let news = |place: &usize| {
            let peer = &self.peers[*place];
            peer.told < chosen.min(peer.through)
        };
        let mut places = common.peers().filter(news);
        let (place, more) = (places.next()?, places.next());
        let peer = &mut self.peers[place];
        peer.told = chosen.min(peer.through);
        if more.is_none() {
            common.due.clear(Task::Notice);
        }
        let message = Message::Replicate(Replicate::Chosen { ballot, chosen });
        let to = common.acceptor(place);
        Some(Envelope { to, message })
    }

    /// Whether a phase-2 quorum was heard within the longest election timeout. One that was not is
    /// about to resign.
    pub(crate) fn has_quorum_contact(&self, common: &Common, now: Instant) -> bool {
        now.since(self.quorum_contact(common, now)) < common.config.election_timeout_max
    }

    /// When a phase-2 quorum was heard last: at this moment or later each of it was.
    fn quorum_contact(&self, common: &Common, now: Instant) -> Instant {
        self.reached(common, Instant::ZERO, now, |progress| progress.contact)
    }

    /// The greatest value that a phase-2 quorum has reached, or `floor`; this node's own is `own`.
    fn reached<T: Copy + Ord>(
        &self,
        common: &Common,
        floor: T,
        own: T,
        of: impl Fn(&Progress) -> T,
    ) -> T {
        let value = |place| match place == common.own {
            true => own,
            false => of(&self.peers[place]),
        };
        common.config.quorums.reached(floor, value)
    }

    /// Our disk does otherwise than `old`. Often one cause fills all disks: who has space is
    /// forgotten, and told by the echoes of the rounds to come.
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

    /// Beyond which nobody can have anything: behind what it has proposed, or has yet to propose
    /// again.
    pub(crate) fn end(&self) -> Slot {
        self.tallies.next().max(self.found_to.next())
    }

    /// What it knows of each peer, by place.
    pub(crate) fn peers(&self, common: &Common) -> impl Iterator<Item = (NodeId, &Progress)> {
        let peers = common.peers();
        peers.map(|place| (common.acceptor(place), &self.peers[place]))
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self, common: &Common) {
        assert!(
            self.learning.is_some() == (common.log.chosen().next() < self.first),
            "a leader learns what it lacks, and nothing else"
        );
        for place in common.peers() {
            self.peers[place].check();
            assert!(
                self.lacking.contains(place) || !self.may_be_sent(common, place),
                "a peer that may be sent something is not forgotten"
            );
        }
    }

    /// Takes out what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.heartbeat_deadline = Instant::ZERO;
        self.quorum_deadline = Instant::ZERO;
        self.slow_write = None;
        self.slow_fetch = None;
        self.short_of_room = None;
        self.forget_time_of_transfer();
        let peers = self.peers.iter_mut();
        peers.for_each(|peer| peer.contact = Instant::ZERO);
        if let Some(learning) = &mut self.learning {
            learning.deadline = Instant::ZERO;
        }
    }
}
