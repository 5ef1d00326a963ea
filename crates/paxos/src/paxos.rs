use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::Pace;
use crate::invariants::Mark;
use crate::log::Log;
use crate::outbox::Outbox;
use crate::random::Random;
use crate::role::{Duty, Follower};
use crate::status::count;
use crate::{
    Ballot, Binding, Chosen, Config, Configuration, Counters, DiskHealth, Echo, Fetch, FetchError,
    Instant, Message, NodeId, Position, ProposeError, ReadError, ReadId, Receipt, Refusal,
    Replicate, Slot, Snapshot, State, StepDown, Stop, Vote, Wanted,
};

/// One node of a Multi-Paxos group: proposer, acceptor and learner in one, and a value that takes
/// what happened and tells what to do.
///
/// Inputs are `handle_*`, [`propose`](Self::propose) and [`read`](Self::read); outputs are drained
/// with [`poll_output`](Self::poll_output) until it has no more, and
/// [`poll_timeout`](Self::poll_timeout) says when to come back if nothing happens. It may be
/// cloned, compared and hashed.
///
/// Invariants, asserted in debug builds after every input:
/// - *P1a*: an acceptor votes in no ballot below what it has promised; what it has promised never
///   falls, and is in a [`Record`](crate::Record) before anybody hears of it;
/// - *a ballot is used once*: a node promises its own ballots to itself before it campaigns, and
///   each is above everything it has promised;
/// - *one value a ballot and slot*: a leader proposes each slot once in its ballot;
/// - *P2c*: what a leader proposes at a slot where a phase-1 quorum has votes is the value of the
///   highest ballot among them;
/// - what is chosen is never replaced; `handed <= settled <= chosen` (settled: chosen and durable
///   here), values are handed out in order, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paxos {
    pub(crate) config: Config,
    pub(crate) configuration: Configuration,
    /// The highest ballot that was promised; while leading or campaigning this node's own.
    pub(crate) promised: Ballot,
    /// The highest ballot that anybody spoke of. The next campaign is above it.
    pub(crate) heard: Ballot,
    pub(crate) duty: Duty,
    /// When this node asks for a leader, unless it leads.
    pub(crate) election_deadline: Instant,
    /// Numbers the questions whether others miss a leader.
    pub(crate) attempt: u64,
    pub(crate) log: Log,
    pub(crate) handed: Slot,
    /// Values that came back for `Apply`, behind `handed`.
    pub(crate) fetched: VecDeque<Chosen>,
    pub(crate) apply_fetch: ApplyFetch,
    /// Fetches for peers that the driver has not seen yet.
    pub(crate) fetches: VecDeque<Fetch>,
    /// Leaders for whom chosen values are being read from the log.
    pub(crate) teaching: BTreeSet<NodeId>,
    /// The newest snapshot that is durable here.
    pub(crate) snapshot: Option<Snapshot>,
    /// The machine must be reset to this before anything is applied.
    pub(crate) restore: Option<Snapshot>,
    pub(crate) pull: Option<(NodeId, Snapshot)>,
    pub(crate) answers: VecDeque<(ReadId, Result<Slot, Refusal>)>,
    pub(crate) outbox: Outbox,
    /// The state as last put into a record.
    pub(crate) written: State,
    /// The promise as it is on disk.
    pub(crate) promise_persisted: Ballot,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) write_seq: u64,
    pub(crate) random: Random,
    pub(crate) disk: DiskHealth,
    pub(crate) pace: Pace,
    /// This node takes no part any more.
    pub(crate) stop: Option<Stop>,
    pub(crate) stop_told: bool,
    /// Why it last ceased to lead.
    pub(crate) stepped_down: Option<StepDown>,
    pub(crate) counters: Counters,
}

/// The write that left and is not durable yet. There is one at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InFlight {
    pub(crate) seq: u64,
    pub(crate) promised: Ballot,
}

/// One fetch for `Apply` at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ApplyFetch {
    Idle,
    Wanted {
        from: Slot,
    },
    /// It failed; tried again at the pace of heartbeats.
    Failed,
}

impl Paxos {
    /// A message arrived. What no correct peer would send is ignored and counted.
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        if from == self.config.id || !self.config.quorums.contains(from) {
            count(&mut self.counters.strangers);
            return;
        }
        if !self.is_ballot(message.ballot()) {
            count(&mut self.counters.malformed);
            return;
        }
        // From what is durable: whoever would climb must wait for a write each time.
        if message.ballot().is_leap_from(self.promise_persisted) {
            count(&mut self.counters.leaps);
            return;
        }
        self.heard = self.heard.max(message.ballot());
        match message {
            Message::Replicate(message) => self.handle_replicate(now, from, message),
            Message::Binding(message) => self.handle_binding(now, from, message),
            Message::Echo(message) => self.handle_echo(now, from, message),
        }
        mark.check(self);
    }

    /// The deadline of [`poll_timeout`](Self::poll_timeout) has passed. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        match self.duty {
            Duty::Leader(_) => self.handle_leader_timeout(now),
            _ if now >= self.election_deadline => self.ask(now),
            Duty::Candidate(_) => self.prepare_again(now),
            _ => {}
        }
        mark.check(self);
    }

    /// A write is durable. Only here do this node's own promise and its own votes count. A receipt
    /// for anything but the write in flight is ignored and counted.
    pub fn handle_persisted(&mut self, now: Instant, receipt: Receipt) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        let Some(write) = self.in_flight.take_if(|write| write.seq == receipt.seq) else {
            count(&mut self.counters.receipts_unknown);
            return;
        };
        let slots = self.log.handle_persisted();
        let is_news = write.promised > self.promise_persisted;
        self.promise_persisted = write.promised;
        match &self.duty {
            Duty::Candidate(_) if is_news && write.promised == self.promised => {
                self.count_own_promise(now);
            }
            Duty::Leader(_) => self.count_own_votes(&slots),
            _ => {}
        }
        mark.check(self);
    }

    /// A [`Fetch`] is answered: votes from `fetch.from()` on, at least one, or why not.
    pub fn handle_fetched(
        &mut self,
        _now: Instant,
        fetch: Fetch,
        votes: Result<Vec<Vote>, FetchError>,
    ) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        match fetch.wanted {
            Wanted::Peer(peer) => self.handle_fetched_for_peer(peer, &fetch, votes),
            Wanted::Leader(leader) => self.handle_fetched_for_leader(leader, &fetch, votes),
            Wanted::Apply => self.handle_fetched_for_apply(&fetch, votes),
        }
        mark.check(self);
    }

    /// A snapshot is durable here: taken by this node, or pulled. Which of the two does not matter:
    /// - up to what was handed out, the log now begins behind it (a driver that wants to keep a
    ///   margin of values for slow peers tells of the snapshot only once it has applied that much
    ///   more);
    /// - beyond that, it is installed: the log begins behind it, keeps the votes that follow, and
    ///   [`Output::Restore`](crate::Output::Restore) follows.
    ///
    /// One that covers nothing new is ignored and counted. One that contradicts what is chosen stops
    /// this node, see [`Stop::Diverged`].
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        let last = snapshot.last;
        self.end_pull(|pulling| pulling.last.slot <= last.slot);
        if last.slot <= self.log.start().slot {
            count(&mut self.counters.snapshots_stale);
        } else if !self.is_position(last) {
            count(&mut self.counters.malformed);
        } else if self.stops_over(now, last) {
            // Nothing is to be done with it.
        } else if last.slot <= self.handed {
            self.log.begin_at(last);
            self.snapshot = Some(snapshot);
        } else {
            self.install(now, snapshot);
        }
        mark.check(self);
    }

    /// The snapshot that [`Output::PullSnapshot`](crate::Output::PullSnapshot) named could not be
    /// pulled. The next offer is taken up again, be it the same one.
    pub fn handle_pull_failed(&mut self, _now: Instant, snapshot: &Snapshot) {
        self.end_pull(|pulling| pulling == snapshot);
    }

    /// Proposes a command for the next slot. That it has a position says nothing about its fate: it
    /// is chosen when `Apply` brings a value of this origin at this slot, and lost when it brings
    /// another. If this node stops leading first, a later leader may yet come upon it: see the table
    /// of the [crate](crate#where-the-twins-differ).
    ///
    /// # Errors
    /// See [`ProposeError`]; then nothing was proposed.
    pub fn propose(&mut self, _now: Instant, body: Bytes) -> Result<Position, ProposeError> {
        let mark = Mark::of(self);
        let position = self.propose_command(body)?;
        mark.check(self);
        Ok(position)
    }

    /// Asks for a linearizable read. Once accepted it ends in exactly one
    /// [`Output::Read`](crate::Output::Read), for which this node needs no write.
    ///
    /// # Errors
    /// See [`ReadError`]; then no answer follows.
    pub fn read(&mut self, _now: Instant, id: ReadId) -> Result<(), ReadError> {
        let Duty::Leader(leader) = &mut self.duty else {
            return Err(ReadError::NotLeader(self.leader()));
        };
        if leader.reads.len() + self.answers.len() >= self.config.reads_max {
            return Err(ReadError::Busy);
        }
        if leader.reads.contains(id) {
            return Err(ReadError::Duplicate);
        }
        leader.reads.push(id);
        Ok(())
    }

    /// Who leads in [`ballot`](Self::ballot), as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.duty {
            Duty::Leader(_) => Some(self.config.id),
            Duty::Follower(follower) => follower.leader,
            _ => None,
        }
    }

    /// The highest ballot that this node has promised: that of the leader it follows, or its own.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.promised
    }

    /// Who takes part, and who of them decides.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// This state without deadlines, generator, counters and numbers of writes, for checkers that
    /// fire timers at will: two states that differ only in those become equal. Not meant to run on.
    #[must_use]
    pub fn without_time(&self) -> Self {
        let mut state = self.clone();
        state.election_deadline = Instant::ZERO;
        state.random.forget();
        state.pace.forget_time();
        state.counters = Counters::default();
        state.stepped_down = None;
        state.write_seq = 0;
        if let Some(write) = &mut state.in_flight {
            write.seq = 0;
        }
        match &mut state.duty {
            Duty::Follower(follower) => follower.heard = None,
            Duty::Candidate(candidate) => candidate.retry_deadline = Instant::ZERO,
            Duty::Leader(leader) => leader.forget_time(),
            Duty::Asking(_) => {}
        }
        state
    }

    fn handle_replicate(&mut self, now: Instant, from: NodeId, message: Replicate) {
        let ballot = message.ballot();
        if ballot.node != from || ballot == Ballot::ZERO {
            count(&mut self.counters.malformed);
            return;
        }
        if self.is_preempted(from, ballot) {
            return;
        }
        self.follow(now, ballot);
        match message {
            Replicate::Accept {
                first,
                values,
                chosen,
                ..
            } => self.handle_accept(now, first, values, chosen),
            Replicate::Heartbeat {
                round,
                chosen,
                through,
                ..
            } => self.handle_heartbeat(round, chosen, through),
            Replicate::Chosen { chosen, .. } => self.learn_chosen(chosen),
            Replicate::Snapshot { snapshot, .. } => self.handle_offer(now, from, snapshot),
        }
    }

    fn handle_binding(&mut self, now: Instant, from: NodeId, message: Binding) {
        if let Binding::Prepare { ballot, from: slot } = message {
            return self.handle_prepare(now, from, ballot, slot);
        }
        if !self.is_own(message.ballot()) {
            return;
        }
        match message {
            Binding::Promise {
                from: asked,
                votes,
                next,
                chosen,
                ..
            } => match &self.duty {
                Duty::Candidate(_) => self.handle_promise(now, from, asked, votes, next, chosen),
                _ => self.handle_late_promise(now, from, chosen),
            },
            Binding::Accepted { first, last, .. } => self.handle_accepted(now, from, first, last),
            Binding::Prepare { .. } => {}
        }
    }

    fn handle_echo(&mut self, now: Instant, from: NodeId, message: Echo) {
        match message {
            Echo::Ask { attempt, disk, .. } => {
                self.hear_disk(now, disk);
                self.handle_ask(now, from, attempt);
            }
            Echo::Answer {
                attempt,
                unhappy,
                chosen,
                disk,
                ..
            } => {
                self.hear_disk(now, disk);
                self.handle_answer(now, from, attempt, unhappy, chosen);
            }
            Echo::Preempted { promised } => self.handle_preempted(now, promised),
            Echo::Learn {
                ballot,
                from: first,
                to,
            } => self.handle_learn(from, ballot, first, to),
            Echo::Heartbeat {
                ballot,
                round,
                through,
                chosen,
                behind,
                disk,
            } => {
                if self.is_own(ballot) {
                    self.hear_disk(now, disk);
                    self.note_room(from, round, disk);
                    self.handle_heartbeat_echo(now, from, round, through, chosen, behind);
                    self.give_way(now);
                }
            }
            Echo::Learned {
                ballot,
                first,
                values,
            } => {
                if self.is_own(ballot) {
                    self.handle_learned(now, from, first, values);
                }
            }
            Echo::Offer { ballot, snapshot } => {
                if self.is_own(ballot) {
                    self.handle_offer_to_leader(now, from, snapshot);
                }
            }
        }
    }

    /// Whether a message could carry it: one that somebody here could issue, or none at all.
    fn is_ballot(&self, ballot: Ballot) -> bool {
        let is_issued = ballot.round > 0
            && ballot.round <= Ballot::ROUND_MAX
            && self.config.quorums.contains(ballot.node);
        is_issued || ballot == Ballot::ZERO
    }

    /// Whether it could be the last position of a snapshot.
    pub(crate) fn is_position(&self, position: Position) -> bool {
        position.slot > Slot(0)
            && position.slot <= Slot::MAX
            && position.origin.round > 0
            && position.origin <= self.promised
    }

    /// Whether an answer is for what this node says in its ballot of now.
    fn is_own(&mut self, ballot: Ballot) -> bool {
        if ballot.node != self.config.id {
            count(&mut self.counters.malformed);
        } else if ballot != self.promised {
            count(&mut self.counters.stale);
        }
        ballot == self.promised && ballot.node == self.config.id
    }

    /// The sender's ballot is below what was promised, and it is told so: without this word it might
    /// go on for ever (etcd#8501).
    pub(crate) fn is_preempted(&mut self, from: NodeId, ballot: Ballot) -> bool {
        if ballot >= self.promised {
            return false;
        }
        count(&mut self.counters.stale);
        let promised = self.promised;
        self.outbox.echo(from, Echo::Preempted { promised });
        true
    }

    /// Somebody has promised more than this node's ballot: whoever campaigns or leads in it cannot
    /// have that acceptor any more, and gives way. What is promised there is not promised here.
    fn handle_preempted(&mut self, now: Instant, promised: Ballot) {
        let campaigns = matches!(self.duty, Duty::Candidate(_) | Duty::Leader(_));
        if campaigns && promised > self.promised {
            self.step_down(now, None);
        }
    }

    /// Becomes a follower. What the old role knew is gone; its reads end.
    pub(crate) fn step_down(&mut self, now: Instant, leader: Option<NodeId>) {
        let follower = Follower {
            leader,
            through: self.log.chosen(),
            ..Follower::default()
        };
        let old = core::mem::replace(&mut self.duty, Duty::Follower(follower));
        // A follower keeps its deadline: a candidate that cannot win must not postpone one that
        // can.
        if !matches!(old, Duty::Follower(_)) {
            self.reset_election(now);
        }
        if let Duty::Leader(leading) = old {
            self.stepped_down = Some(StepDown::Deposed);
            let refusal = Refusal::NotLeader(leader);
            self.answers
                .extend(leading.reads.end().map(|id| (id, Err(refusal))));
            self.fetches
                .retain(|fetch| !matches!(fetch.wanted, Wanted::Peer(_)));
        }
        self.pull = None;
    }

    /// P1a: from here on this acceptor votes in no lower ballot.
    pub(crate) fn promise(&mut self, ballot: Ballot) {
        assert!(ballot > self.promised, "a promise only rises");
        self.promised = ballot;
        self.heard = self.heard.max(ballot);
        self.outbox.drop_before(ballot);
    }

    /// This node takes no part any more. What it had not yet said stays unsaid, and reads end.
    pub(crate) fn stop(&mut self, now: Instant, why: Stop) {
        self.give_up(now, StepDown::Stopped);
        self.step_down(now, None);
        self.outbox.clear();
        self.stop = Some(why);
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let acceptors = self.config.quorums.acceptors();
        let peers: Vec<NodeId> = acceptors.filter(|id| *id != self.config.id).collect();
        peers.into_iter()
    }
}
