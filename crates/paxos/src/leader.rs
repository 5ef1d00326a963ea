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

/// The distinguished proposer (Paxos Made Simple §2.4, §3). It proposes what phase 1 found again,
/// then new values, and counts the votes. All of this state is dropped with the ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// Its peers by position; the element of this node is not used.
    peers: Vec<Progress>,
    /// The positions of all peers.
    others: AcceptorSet,
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
    /// The votes that phase 1 found and that are not yet proposed again.
    found: BTreeMap<Slot, Vote>,
    /// The votes for its proposals.
    tallies: Tallies,
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
}

impl Leader {
    /// Starts leading after phase 1 (Paxos Made Simple §3): values that a phase-1 quorum has voted
    /// for are proposed again, gaps below are filled with no-ops, and values that some node knows
    /// to be chosen are learned.
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

    /// Stops leading. Its reads are refused with the new leader, if that is known, and its fetches
    /// for peers are dropped.
    pub(crate) fn resign(self, common: &mut Common, successor: Option<NodeId>) {
        let refusal = Refusal::NotLeader(successor);
        common.refuse(self.reads.end(), refusal);
        common.forget_fetches();
    }

    /// Sends heartbeats when they are due, and checks whether to step down.
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

    /// Broadcasts heartbeats. Each round confirms the reads that arrived before it.
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

    /// Counts this node's own votes once they are durable, like those of any acceptor.
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

    /// Marks the slots up to `slot` as chosen; this node holds their values. Peers that do not know
    /// it are notified, and reads that wait for what phase 1 found may begin a round.
    fn choose_to(&mut self, common: &mut Common, slot: Slot) {
        common.choose_to(slot);
        common.due.set(Task::Notice);
        if self.reads.wants_round() {
            common.due.set(Task::Round);
        }
    }

    /// Extends the chosen prefix over the slots that are chosen without a gap.
    fn advance_chosen(&mut self, common: &mut Common) {
        let quorums = &common.config.quorums;
        let chosen = self.tallies.chosen_behind(quorums, common.log.chosen());
        if chosen > common.log.chosen() {
            self.choose_to(common, chosen);
        }
        self.tallies.forget_to(common.log.chosen());
    }

    /// Records contact with the peer at this position in this ballot, for any of its messages.
    pub(crate) fn hear(&mut self, now: Instant, place: usize) {
        let peer = &mut self.peers[place];
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
        let peer = &mut self.peers[place];
        peer.handle_accepted(first, last, common.log.start().slot);
        // No votes are counted for chosen slots, and whether a quorum has voted for them was
        // checked before.
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

    /// Handles a promise that was no longer needed. It still reports the chosen prefix of its
    /// sender.
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

    /// Counts a peer's chosen prefix. It may know slots to be chosen that this leader does not, and
    /// is not sent them. That it holds the chosen value is equivalent to a vote for it: no other
    /// value can be proposed there.
    fn count_chosen(&mut self, common: &mut Common, place: usize, chosen: Slot) {
        if chosen > common.log.chosen() {
            self.count_votes(common, place, Slot(1), chosen);
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

    /// Records whether a peer's disk has space, as reported by its echo.
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

    /// Notifies a peer that the chosen prefix grew, if no other message did. Called last, when
    /// everything that could carry it has been sent.
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

    /// Whether a phase-2 quorum was in contact within the longest election timeout. Otherwise the
    /// leader is about to step down.
    pub(crate) fn has_quorum_contact(&self, common: &Common, now: Instant) -> bool {
        now.since(self.quorum_contact(common, now)) < common.config.election_timeout_max
    }

    /// The latest time since which every member of some phase-2 quorum was in contact.
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
        self.tallies.next().max(self.found_to.next())
    }

    /// What it knows of each peer, in order of positions.
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

    /// Resets what checkers that fire timers at will do not compare.
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
