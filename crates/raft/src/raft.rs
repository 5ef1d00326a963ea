use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::Pace;
use crate::invariants::Mark;
use crate::log::Log;
use crate::outbox::Outbox;
use crate::quorum::Quorum;
use crate::random::Random;
use crate::role::{Duty, Follower};
use crate::status::count;
use crate::{
    Binding, Config, Counters, DiskHealth, Echo, Entry, Fetch, FetchError, Index, Instant, LogId,
    Membership, Message, NodeId, ProposeError, ReadError, ReadId, Receipt, Refusal, Replicate,
    Snapshot, StepDown, Stop, Term, Wanted,
};

/// One node of a Raft group: a value that takes what happened and tells what to do.
///
/// Inputs are `handle_*`, [`propose`](Self::propose) and [`read`](Self::read); outputs are drained
/// with [`poll_output`](Self::poll_output) until it has no more, and
/// [`poll_timeout`](Self::poll_timeout) says when to come back if nothing happens. It may be
/// cloned, compared and hashed.
///
/// Invariants (Figure 3), asserted in debug builds after every input:
/// - *Election Safety*: a node gives one vote a term. The vote is in a [`Record`](crate::Record)
///   before it leaves, also the one for itself, and votes are counted in a set;
/// - *Leader Append-Only*: within its term a leader's log only grows;
/// - *Log Matching*: entries are appended only behind a position that matches;
/// - *Leader Completeness*: nothing committed is ever truncated, and only entries of the leader's
///   own term are committed by counting;
/// - *State Machine Safety*: `handed <= min(committed, persisted)` and entries are handed out in
///   order, once; term and commit index never fall.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) membership: Membership,
    pub(crate) term: Term,
    pub(crate) vote: Option<NodeId>,
    pub(crate) duty: Duty,
    /// When this node campaigns, unless it leads.
    pub(crate) election_deadline: Instant,
    pub(crate) log: Log,
    pub(crate) committed: Index,
    pub(crate) handed: Index,
    /// Entries that came back for `Apply`, behind `handed`.
    pub(crate) fetched: VecDeque<Entry>,
    pub(crate) apply_fetch: ApplyFetch,
    /// Fetches for peers that the driver has not seen yet.
    pub(crate) fetches: VecDeque<Fetch>,
    /// The newest snapshot that is durable here.
    pub(crate) snapshot: Option<Snapshot>,
    /// The machine must be reset to this before anything is applied.
    pub(crate) restore: Option<Snapshot>,
    pub(crate) pull: Option<(NodeId, Snapshot)>,
    pub(crate) answers: VecDeque<(ReadId, Result<Index, Refusal>)>,
    pub(crate) outbox: Outbox,
    /// Term and vote as last put into a record.
    pub(crate) vote_written: (Term, Option<NodeId>),
    /// Term and vote as they are on disk.
    pub(crate) vote_persisted: (Term, Option<NodeId>),
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
    pub(crate) vote: (Term, Option<NodeId>),
}

/// One fetch for `Apply` at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ApplyFetch {
    Idle,
    Wanted {
        from: Index,
    },
    /// It failed; tried again at the pace of heartbeats.
    Failed,
}

impl Raft {
    /// A message arrived. What no correct peer would send is ignored and counted.
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        if from == self.config.id || !self.membership.contains(from) {
            count(&mut self.counters.strangers);
            return;
        }
        if message.term() > Term::MAX || message.term() == Term(0) {
            count(&mut self.counters.malformed);
            return;
        }
        if self.is_leap(message.term()) {
            count(&mut self.counters.leaps);
            return;
        }
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
            _ if now >= self.election_deadline => self.campaign(now),
            _ => {}
        }
        mark.check(self);
    }

    /// A write is durable. Only here do this node's own vote and its own acknowledgement count. A
    /// receipt for anything but the write in flight is ignored and counted.
    pub fn handle_persisted(&mut self, now: Instant, receipt: Receipt) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        let Some(write) = self.in_flight.take_if(|write| write.seq == receipt.seq) else {
            count(&mut self.counters.receipts_unknown);
            return;
        };
        self.log.handle_persisted();
        self.vote_persisted = write.vote;
        match &self.duty {
            Duty::Candidate(_) if write.vote == (self.term, Some(self.config.id)) => {
                // Only now do the requests leave. Counted from the start of the candidacy, a write
                // as long as the timeout would end each candidacy before anybody was asked.
                self.reset_election(now);
                self.count_vote(now, self.config.id);
            }
            Duty::Leader(_) => self.advance_commit(),
            _ => {}
        }
        mark.check(self);
    }

    /// A [`Fetch`] is answered: entries from `fetch.from()` on, at least one, or why not.
    pub fn handle_fetched(
        &mut self,
        _now: Instant,
        fetch: Fetch,
        entries: Result<Vec<Entry>, FetchError>,
    ) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        match fetch.wanted {
            Wanted::Peer(peer) => self.handle_fetched_for_peer(peer, &fetch, entries),
            Wanted::Apply => self.handle_fetched_for_apply(&fetch, entries),
        }
        mark.check(self);
    }

    /// A snapshot is durable here: taken by this node, or pulled. Which of the two does not matter:
    /// - up to what was handed out, the log now begins behind it (a driver that wants to keep a
    ///   margin of entries for slow peers tells of the snapshot only once it has applied that much
    ///   more);
    /// - beyond that, it is installed: the log begins behind it, keeps what follows if it holds the
    ///   snapshot's last entry (§7), and [`Output::Restore`](crate::Output::Restore) follows.
    ///
    /// One that covers nothing new is ignored and counted. One that contradicts what is committed
    /// stops this node, see [`Stop::Diverged`].
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        let last = snapshot.last;
        // A pull that it makes needless is over, also if it is of no use any more: the slot must
        // not stay taken.
        if let Duty::Follower(follower) = &mut self.duty {
            follower
                .pulling
                .take_if(|pulling| pulling.last.index <= last.index);
        }
        if last.index <= self.log.start().index {
            count(&mut self.counters.snapshots_stale);
        } else if last.index > Index::MAX
            || last.term > self.term
            || snapshot.membership.validate().is_err()
        {
            count(&mut self.counters.malformed);
        } else if last.index <= self.committed && !self.log.matches(last) {
            self.stop_diverged(now, last);
        } else if last.index <= self.handed {
            self.log.compact(last);
            self.snapshot = Some(snapshot);
        } else {
            self.install(now, snapshot);
        }
        mark.check(self);
    }

    /// The snapshot that [`Output::PullSnapshot`](crate::Output::PullSnapshot) named could not be
    /// pulled. The next offer is taken up again, be it the same one.
    pub fn handle_pull_failed(&mut self, _now: Instant, snapshot: &Snapshot) {
        if let Duty::Follower(follower) = &mut self.duty {
            follower.pulling.take_if(|pulling| pulling == snapshot);
        }
    }

    /// Appends a command to the leader's log. That it has an identity says nothing about its fate:
    /// it is committed when `Apply` brings an entry with this identity, and lost when it brings
    /// another at its index.
    ///
    /// # Errors
    /// See [`ProposeError`]; then nothing was appended.
    pub fn propose(&mut self, _now: Instant, body: Bytes) -> Result<LogId, ProposeError> {
        let mark = Mark::of(self);
        let id = self.append_command(body)?;
        mark.check(self);
        Ok(id)
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

    /// Who leads the current term, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.duty {
            Duty::Leader(_) => Some(self.config.id),
            Duty::Follower(follower) => follower.leader,
            _ => None,
        }
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Who takes part.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
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
            Duty::Leader(leader) => leader.forget_time(),
            _ => {}
        }
        state
    }

    pub(crate) fn quorum(&self) -> Quorum<'_> {
        Quorum::of(&self.membership)
    }

    /// Measured from what is durable, so that whoever would climb must wait for a write each time.
    fn is_leap(&self, term: Term) -> bool {
        let (stored, _) = self.vote_persisted;
        term.0 > stored.0.saturating_add(Term::LEAP_MAX)
    }

    fn handle_replicate(&mut self, now: Instant, from: NodeId, message: Replicate) {
        let term = match &message {
            Replicate::Append { term, .. }
            | Replicate::Heartbeat { term, .. }
            | Replicate::Commit { term, .. }
            | Replicate::Snapshot { term, .. } => *term,
        };
        if term < self.term {
            // The sender leads nobody any more; without this word it would not learn that from a
            // node that waits in a later term and never gets a majority (etcd#8501).
            count(&mut self.counters.stale);
            self.outbox.echo(from, Echo::Stale { term: self.term });
            return;
        }
        if self.leader().is_some_and(|leader| leader != from) && term == self.term {
            count(&mut self.counters.malformed);
            return;
        }
        self.follow(now, term, from);
        match message {
            Replicate::Append {
                prev,
                entries,
                commit,
                ..
            } => self.handle_append(now, prev, entries, commit),
            Replicate::Heartbeat {
                round,
                commit,
                matched,
                ..
            } => self.handle_heartbeat(now, round, commit, matched),
            Replicate::Commit { commit, .. } => self.learn_commit(commit),
            Replicate::Snapshot { snapshot, .. } => self.handle_offer(now, from, snapshot),
        }
    }

    fn handle_binding(&mut self, now: Instant, from: NodeId, message: Binding) {
        if let Binding::RequestVote { term, last } = message {
            return self.handle_request_vote(now, from, term, last);
        }
        if !self.is_of_this_term(now, message.term()) {
            return;
        }
        match message {
            Binding::Vote { granted: true, .. } => self.handle_vote(now, from),
            Binding::Vote { granted: false, .. } | Binding::RequestVote { .. } => {}
            Binding::Appended { last, .. } => self.handle_appended(now, from, last),
            Binding::Installed { last, .. } => self.handle_appended(now, from, last.index),
        }
    }

    fn handle_echo(&mut self, now: Instant, from: NodeId, message: Echo) {
        match message {
            Echo::RequestPreVote { term, last, disk } => {
                self.hear_disk(now, disk);
                self.handle_request_pre_vote(now, from, term, last);
            }
            Echo::PreVote {
                term,
                granted,
                disk,
            } => {
                self.hear_disk(now, disk);
                if granted {
                    self.handle_pre_vote(now, from, term);
                } else {
                    self.is_of_this_term(now, term);
                }
            }
            Echo::Stale { term } => {
                self.is_of_this_term(now, term);
            }
            Echo::Heartbeat {
                term,
                round,
                matched,
                disk,
            } => {
                if self.is_of_this_term(now, term) {
                    self.hear_disk(now, disk);
                    self.handle_heartbeat_echo(now, from, round, matched, disk);
                    self.give_way(now);
                }
            }
            Echo::Rejected { term, prev, hint } => {
                if self.is_of_this_term(now, term) {
                    self.handle_rejected(now, from, prev, hint);
                }
            }
            Echo::Forgot { term, .. } => {
                if self.is_of_this_term(now, term) {
                    self.handle_forgot(from);
                }
            }
        }
    }

    /// The rules for all servers (Figure 2) for an answer: a later term is entered, an earlier one
    /// ignored.
    fn is_of_this_term(&mut self, now: Instant, term: Term) -> bool {
        if term < self.term {
            count(&mut self.counters.stale);
        }
        if term > self.term {
            self.step_down(now, term, None);
            return false;
        }
        term == self.term
    }

    /// Becomes a follower, in this term or a later one. What the old role knew is gone; its reads
    /// end.
    pub(crate) fn step_down(&mut self, now: Instant, term: Term, leader: Option<NodeId>) {
        let follower = Follower {
            leader,
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
            self.fetches.clear();
        }
        self.pull = None;
        if term > self.term {
            self.enter_term(term, None);
        }
    }

    pub(crate) fn enter_term(&mut self, term: Term, vote: Option<NodeId>) {
        self.term = term;
        self.vote = vote;
        self.outbox.drop_before(term);
    }

    /// This node takes no part any more. What it had not yet said stays unsaid, and reads end.
    pub(crate) fn stop(&mut self, now: Instant, why: Stop) {
        self.give_up(now, StepDown::Stopped);
        self.step_down(now, self.term, None);
        self.outbox.clear();
        self.stop = Some(why);
    }

    fn handle_fetched_for_apply(&mut self, fetch: &Fetch, entries: Result<Vec<Entry>, FetchError>) {
        if self.apply_fetch != (ApplyFetch::Wanted { from: fetch.from }) {
            count(&mut self.counters.fetches_stale);
            return;
        }
        self.apply_fetch = ApplyFetch::Failed;
        let Ok(entries) = entries else { return };
        if self.is_range_of_log(fetch, &entries) {
            self.apply_fetch = ApplyFetch::Idle;
            self.fetched.extend(entries);
        } else {
            count(&mut self.counters.fetches_stale);
        }
    }

    /// Whether these are entries of this log from `fetch.from` on, and not past what was asked for.
    pub(crate) fn is_range_of_log(&self, fetch: &Fetch, entries: &[Entry]) -> bool {
        let mut expected = fetch.from;
        let fits = entries.iter().all(|entry| {
            let fits =
                entry.id.index == expected && expected <= fetch.to && self.log.matches(entry.id);
            expected = expected.next();
            fits
        });
        fits && !entries.is_empty()
    }
}
