use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_durable::Durable;

use self::learn::Learning;
use crate::counters::count;
use crate::node::Common;
use crate::progress::Progress;
use crate::promises::Promises;
use crate::read::Reads;
use crate::step::Step;
use crate::tally::Tallies;
use crate::{
    AcceptorSet, DiskHealth, Envelope, Fetch, Instant, Message, NodeId, Output, Own, Refusal,
    Replicate, Slot, Snapshot, Vote, Wanted,
};

mod learn;
mod propose;
mod read;
mod replicate;
mod step_down;

/// Leads: the distinguished proposer (Paxos Made Simple §2.4, §3). It proposes what phase 1 found
/// again, then what it is given, and counts the votes. All of it is gone with its ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    pub(crate) peers: BTreeMap<NodeId, Progress>,
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
    pulling: Option<Snapshot>,
    /// It, and who has it, until the driver is told to pull it.
    pull: Option<(NodeId, Snapshot)>,
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
        let mut peers: BTreeMap<NodeId, Progress> =
            common.peers().map(|id| (id, Progress::new(now))).collect();
        for (id, answer) in &answers {
            if let Some(peer) = peers.get_mut(id) {
                peer.handle_chosen(answer.chosen);
            }
        }
        let timeout = common.config.election_timeout_max;
        let mut leader = Self {
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
            pull: None,
            heartbeat_deadline: now.plus(common.config.heartbeat_interval),
            quorum_deadline: now.plus(timeout),
            slow_write: None,
            slow_fetch: None,
            short_of_room: None,
            round: 0,
            room_round: 0,
            reads: Reads::default(),
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
        let reads = self.reads.end().map(|id| (id, refusal));
        common.answers.extend(reads);
        let is_for_others = |fetch: &Fetch| !matches!(fetch.wanted, Wanted::Peer(_));
        common.fetches.retain(is_for_others);
    }

    /// A heartbeat is due, or a look at whether it is in the way of a better leader.
    pub(crate) fn handle_timeout(&mut self, common: &mut Common, now: Instant) -> Step {
        if let Some(why) = self.gives_up(common, now) {
            return Step::give_up(common.promised, why);
        }
        if now < self.heartbeat_deadline {
            return Step::Stay;
        }
        self.heartbeat_deadline = now.plus(common.config.heartbeat_interval);
        self.peers
            .values_mut()
            .for_each(|peer| peer.backoff = false);
        common.machine.retry_fetch();
        self.begin_round(common);
        self.begin_beat();
        self.learn_from_another(common);
        self.offer_again(common);
        self.replicate_to_all(common);
        Step::Stay
    }

    /// A broadcast of heartbeats. Each is a round that confirms the reads that came before it.
    fn begin_round(&mut self, common: &mut Common) {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        self.round += 1;
        if chosen >= self.found_to {
            self.reads.begin_round(self.round, chosen);
        }
        for (id, peer) in &mut self.peers {
            let (round, through) = (self.round, peer.through);
            peer.told = peer.told.max(chosen.min(through));
            common.send_now(
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
        let round = self.round;
        let peers = self.peers.values_mut();
        peers.for_each(|peer| peer.patience.begin_beat(round));
    }

    /// Our own votes count when they are durable, as anybody's.
    pub(crate) fn count_own_votes(&mut self, common: &mut Common, own: &Durable<Own>) {
        for cast in own
            .votes
            .iter()
            .filter(|cast| cast.ballot == common.promised)
        {
            self.count_votes(common, common.config.id, cast.first, cast.last);
        }
        self.advance_chosen(common);
    }

    fn count_votes(&mut self, common: &Common, from: NodeId, first: Slot, last: Slot) {
        let quorums = &common.config.quorums;
        self.tallies.count(quorums, from, first, last);
    }

    /// The chosen prefix grows over what is chosen without a gap.
    fn advance_chosen(&mut self, common: &mut Common) {
        let chosen = self.tallies.chosen_behind(common.log.chosen());
        if chosen > common.log.chosen() {
            common.log.choose_to(chosen);
        }
        self.tallies.settle_to(common.log.settled());
    }

    /// A word of this ballot from a peer: contact, whatever it says. `false`: it is none.
    pub(crate) fn hear(&mut self, now: Instant, from: NodeId) -> bool {
        let peer = self.peers.get_mut(&from);
        peer.map(|peer| peer.contact = peer.contact.max(now))
            .is_some()
    }

    /// An acceptor has voted for the slots from `first` to `last`.
    pub(crate) fn handle_accepted(
        &mut self,
        common: &mut Common,
        from: NodeId,
        first: Slot,
        last: Slot,
    ) {
        let end = self.end();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if first == Slot(0) || first > last || last >= end {
            count(&mut common.counters.malformed);
            return;
        }
        peer.handle_accepted(first, last, common.log.start().slot);
        self.count_votes(common, from, first, last);
        self.advance_chosen(common);
        self.replicate_to(common, from);
    }

    /// A promise that was not needed any more tells where its sender stands.
    pub(crate) fn handle_late_promise(&mut self, common: &mut Common, from: NodeId, chosen: Slot) {
        let end = self.end();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if chosen >= end {
            count(&mut common.counters.malformed);
            return;
        }
        peer.handle_chosen(chosen);
        self.count_chosen(common, from, chosen);
        self.replicate_to(common, from);
    }

    /// A peer may know slots to be chosen that this leader does not, and is not sent them. That it
    /// holds what is chosen there is as good as a vote for it: of a chosen value nothing else can be
    /// proposed.
    fn count_chosen(&mut self, common: &mut Common, from: NodeId, chosen: Slot) {
        if chosen > common.log.chosen() {
            self.count_votes(common, from, Slot(1), chosen);
            self.advance_chosen(common);
        }
    }

    /// A peer answers the heartbeat of `round`: see [`Progress::handle_echo`].
    pub(crate) fn handle_heartbeat_echo(
        &mut self,
        common: &mut Common,
        from: NodeId,
        round: u64,
        through: Slot,
        chosen: Slot,
        behind: bool,
    ) {
        let (last_round, end) = (self.round, self.end());
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if round > last_round || through >= end || chosen > through {
            count(&mut common.counters.malformed);
            return;
        }
        let wants = peer.handle_echo(round, through, chosen, behind);
        self.count_chosen(common, from, chosen);
        if wants {
            self.replicate_to(common, from);
        }
    }

    /// An echo of a peer tells whether its disk has space.
    pub(crate) fn note_room(&mut self, from: NodeId, round: u64, disk: DiskHealth) {
        if round > self.room_round
            && let Some(peer) = self.peers.get_mut(&from)
            && round >= peer.round
        {
            peer.has_room = Some(disk.has_room);
        }
    }

    /// Tells a peer that the chosen prefix grew, if nothing else did. Asked for last, when
    /// everything that could carry it has gone.
    pub(crate) fn poll_chosen_notice(&mut self, common: &Common) -> Option<Output> {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        let news = |peer: &Progress| peer.told < chosen.min(peer.through);
        let (to, peer) = self.peers.iter_mut().find(|(_, peer)| news(peer))?;
        peer.told = chosen.min(peer.through);
        let message = Message::Replicate(Replicate::Chosen { ballot, chosen });
        Some(Output::Send(Envelope { to: *to, message }))
    }

    /// Whether a phase-2 quorum was heard within the longest election timeout. One that was not is
    /// about to resign.
    pub(crate) fn hears_quorum(&self, common: &Common, now: Instant) -> bool {
        now.since(self.heard_by_quorum(common, now)) < common.config.election_timeout_max
    }

    /// When a phase-2 quorum was heard last: at this moment or later each of it was.
    fn heard_by_quorum(&self, common: &Common, now: Instant) -> Instant {
        self.reached(common, now, |progress| progress.contact)
    }

    /// The greatest value that a phase-2 quorum has reached; this node's own is `own`.
    fn reached<T: Copy + Ord>(&self, common: &Common, own: T, of: impl Fn(&Progress) -> T) -> T {
        let quorums = &common.config.quorums;
        let peers = self.peers.iter().map(|(id, peer)| (of(peer), *id));
        let mut values: Vec<(T, NodeId)> = peers.chain([(own, common.config.id)]).collect();
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

    /// Our disk does otherwise than `old`. Often one cause fills all disks: who has space is
    /// forgotten, and told by the echoes of the rounds to come.
    pub(crate) fn handle_disk(&mut self, common: &Common, old: DiskHealth) {
        if !old.has_room || common.disk.has_room {
            return;
        }
        self.room_round = self.round;
        self.peers
            .values_mut()
            .for_each(|peer| peer.has_room = None);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: the next heartbeat, or the moment by
    /// which it must have heard a quorum.
    pub(crate) fn deadline(&self) -> Instant {
        self.heartbeat_deadline.min(self.quorum_deadline)
    }

    /// Beyond which nobody can have anything: behind what it has proposed, or has yet to propose
    /// again.
    pub(crate) fn end(&self) -> Slot {
        self.tallies.next().max(self.found_to.next())
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self, common: &Common) {
        assert!(
            self.learning.is_some() == (common.log.chosen().next() < self.first),
            "a leader learns what it lacks, and nothing else"
        );
        self.peers.values().for_each(Progress::check);
    }

    /// Takes out what checkers that fire timers at will do not compare.
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
