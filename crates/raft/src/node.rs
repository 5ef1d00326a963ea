use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use synod_durable::{Durable, Refused};

use crate::configurations::Configurations;
use crate::counters::count;
use crate::due::{Due, Task};
use crate::log::Log;
use crate::machine::Machine;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::promise::Promise;
use crate::quorum::Members;
use crate::step::Step;
use crate::{
    Binding, Config, Counters, DiskHealth, Echo, Entries, Entry, Envelope, Fetch, FetchError,
    Index, Instant, Leap, LogId, Membership, Message, NodeId, Output, Own, ReadId, Receipt,
    Refusal, Replicate, Snapshot, StepDown, Stop, Term, Write,
};

/// State that is independent of the role and outlives it. A method of a role takes this struct and
/// its own, and can touch nothing else.
///
/// Invariants (Figure 3): term and commit index never decrease; one vote per term; `delivered <=
/// min(committed, persisted)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) configs: Configurations,
    pub(crate) term: Term,
    /// Promised to other nodes, so it outlives the role.
    pub(crate) vote: Option<NodeId>,
    /// The term and vote of the last record that was made.
    vote_written: (Term, Option<NodeId>),
    /// The term and vote that are durable.
    vote_persisted: (Term, Option<NodeId>),
    pub(crate) log: Log,
    pub(crate) committed: Index,
    pub(crate) machine: Machine,
    /// Whether its log has, or had, commands without their bodies: it is or was a witness.
    pub(crate) lacks_bodies: bool,
    /// The newest durable snapshot of this node.
    pub(crate) snapshot: Option<Box<Snapshot>>,
    /// Reads that ended with their leader and were not yet output.
    pub(crate) answers: VecDeque<(ReadId, Refusal)>,
    outbox: Outbox,
    pub(crate) due: Due,
    /// When this node campaigns, unless it is the leader.
    pub(crate) election_deadline: Instant,
    /// Promised to a leader, so it outlives the role and the term.
    pub(crate) promise: Promise,
    pub(crate) pace: Pace,
    /// Whether this node has let one of higher priority go first, since it last knew of a leader.
    pub(crate) has_deferred: bool,
    pub(crate) disk: DiskHealth,
    /// Set once this node no longer takes part.
    pub(crate) stop: Option<Stop>,
    stop_told: bool,
    /// Why this node last stopped leading.
    pub(crate) stepped_down: Option<StepDown>,
    pub(crate) counters: Counters,
    /// The last message whose term was too far above this node's.
    pub(crate) leap: Option<Leap>,
}

impl Common {
    /// A node with the given durable log, term and vote. Everything that the log's start covers was
    /// committed and delivered.
    pub(crate) fn new(
        config: Config,
        log: Log,
        vote: (Term, Option<NodeId>),
        now: Instant,
    ) -> Self {
        let start = log.start().index;
        let first = Membership {
            witnesses: config.witnesses.clone(),
            ..Membership::of_voters(config.voters.iter().copied())
        };
        let mut common = Self {
            configs: Configurations::new(first, config.id),
            term: vote.0,
            vote: vote.1,
            vote_written: vote,
            vote_persisted: vote,
            log,
            committed: start,
            machine: Machine::new(start),
            lacks_bodies: false,
            snapshot: None,
            answers: VecDeque::new(),
            outbox: Outbox::new(),
            due: Due::default(),
            election_deadline: now,
            promise: Promise::default(),
            pace: Pace::new(config.seed, config.id.0),
            has_deferred: false,
            disk: DiskHealth::default(),
            stop: None,
            stop_told: false,
            stepped_down: None,
            counters: Counters::default(),
            leap: None,
            config,
        };
        common.reset_election(now);
        common
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    /// The membership in force: the last in the log.
    pub(crate) fn membership(&self) -> &Membership {
        self.configs.latest()
    }

    /// The nodes and quorums of the membership in force.
    pub(crate) fn members(&self) -> &Members {
        self.configs.members()
    }

    /// Whether this membership counts on this node for commands, and it has none of some.
    pub(crate) fn passes_for_whole(&self, membership: &Membership) -> bool {
        self.lacks_bodies && membership.is_full(self.id())
    }

    /// The nodes whose votes count, without this one.
    pub(crate) fn voting_peers(&self) -> BTreeSet<NodeId> {
        let nodes = self.membership().nodes();
        let votes = |id: &NodeId| *id != self.id() && self.membership().is_voter(*id);
        nodes.filter(votes).collect()
    }

    /// What a node that does not lead has to do when it knows that its removal is committed: it
    /// stops. A leader hands over first.
    pub(crate) fn leave_if_removed(&self) -> Step {
        match self.configs.has_removed(self.id()) {
            true => Step::Stop(Stop::Removed),
            false => Step::Stay,
        }
    }

    /// The term and vote that are durable.
    pub(crate) fn vote_persisted(&self) -> (Term, Option<NodeId>) {
        self.vote_persisted
    }

    /// Enters a later term and drops the messages of the old one that still wait for a write.
    pub(crate) fn enter_term(&mut self, term: Term, vote: Option<NodeId>) {
        self.term = term;
        self.vote = vote;
        self.outbox
            .retain_waiting(|waiting| waiting.message.term() >= term);
        self.due.set(Task::Write);
    }

    /// Compacts the log up to a snapshot of entries that were already delivered.
    pub(crate) fn compact(&mut self, snapshot: Box<Snapshot>) {
        self.log.compact(snapshot.last);
        self.configs.compact(snapshot.last.index);
        self.snapshot = Some(snapshot);
        self.due.set(Task::Write);
    }

    /// Starts the log at the snapshot. Entries after it are kept if the log holds the snapshot's
    /// last entry; otherwise the whole log is dropped, in the same record (§7). The machine jumps
    /// to the snapshot.
    pub(crate) fn begin_log_at(&mut self, snapshot: Box<Snapshot>) {
        let last = snapshot.last;
        let matches = self.log.matches(last);
        if matches {
            self.log.compact(last);
        } else {
            self.log.reset(last);
        }
        let membership = &snapshot.membership;
        self.lacks_bodies |= membership.is_witness(self.id());
        self.configs.begin_at(last.index, membership, matches);
        self.commit_to(last.index);
        self.configs.commit_to(self.committed);
        self.snapshot = Some(snapshot.clone());
        self.machine.jump_to(snapshot);
        self.due.set(Task::Write);
        self.due.set(Task::Machine);
    }

    /// Adds an entry to the log.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.log.push(entry);
        self.due.set(Task::Write);
    }

    /// Drops all entries from `from` on, and their memberships: those of before are in force again.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.log.truncate(from);
        self.configs.truncate(from);
    }

    /// Raises the commit index, which never decreases.
    pub(crate) fn commit_to(&mut self, index: Index) {
        if index > self.committed {
            self.committed = index;
            if index >= self.configs.next() {
                self.configs.commit_to(index);
            }
            self.give_machine();
        }
    }

    /// Marks the machine as due if there is something to deliver to it.
    fn give_machine(&mut self) {
        if self.machine.waits_for(self.committed_here()) {
            self.due.set(Task::Machine);
        }
    }

    /// The last entry that is committed, and durable on this node.
    fn committed_here(&self) -> Index {
        self.committed.min(self.log.persisted())
    }

    /// Queues the outcomes of reads that ended with their leader.
    pub(crate) fn end_reads(&mut self, reads: impl Iterator<Item = (ReadId, Refusal)>) {
        self.answers.extend(reads);
        self.due.set(Task::Answer);
    }

    /// Allows a failed fetch for the machine to be repeated.
    pub(crate) fn retry_fetch(&mut self) {
        self.machine.retry_fetch();
        self.due.set(Task::Machine);
    }

    /// Passes the log's answer to the machine.
    pub(crate) fn handle_fetched(&mut self, fetch: &Fetch, entries: Result<Entries, FetchError>) {
        if !self.machine.handle_fetched(&self.log, fetch, entries) {
            count(&mut self.counters.fetches_stale);
        }
        self.due.set(Task::Machine);
    }

    /// Handles a peer's report on its disk.
    pub(crate) fn handle_disk_report(&mut self, now: Instant, disk: DiskHealth) {
        self.pace.hear(now, disk.sync_time, &self.config);
    }

    /// Starts a new wait before this node campaigns.
    pub(crate) fn reset_election(&mut self, now: Instant) {
        let wait = self.pace.draw(now, self.disk, &self.config);
        self.election_deadline = now.plus(wait);
    }

    /// How much this node is preferred as a leader now; `None` if it is not to be.
    pub(crate) fn priority(&self, now: Instant) -> Option<u8> {
        let stands_back = self.pace.is_to_stand_back(now, &self.config);
        (!stands_back).then_some(self.config.priority)
    }

    /// Promises the leader of this term to elect nobody else, for as long as it asks and the setting
    /// allows. `now` must not have been read before the leader sent its message.
    pub(crate) fn promise_lease(&mut self, now: Instant, asked: Duration) -> Duration {
        let own = self.config.lease.map_or(Duration::ZERO, |it| it.length);
        let granted = asked.min(own);
        // With nothing on its disk this node would not know after a restart that it has promised
        // anything.
        let (stored, _) = self.vote_persisted;
        if granted.is_zero() || stored == Term(0) {
            return Duration::ZERO;
        }
        self.promise.give(now, self.term, granted);
        granted
    }

    /// Behaves from now on as if a leader had just been promised as much as this node ever promises.
    pub(crate) fn assume_promise(&mut self, now: Instant) {
        if let Some(lease) = self.config.lease {
            self.promise.assume(now, lease.length);
        }
    }

    /// Whether a promise keeps this node from campaigning; then it waits at least as long.
    pub(crate) fn is_bound_at(&mut self, now: Instant) -> bool {
        let until = self.promise.until();
        if now < until {
            self.election_deadline = self.election_deadline.max(until);
        }
        now < until
    }

    /// Adjusts the running wait after this node's disk changed.
    pub(crate) fn adjust_election(&mut self, now: Instant, old: DiskHealth) {
        let (had_room, has_room) = (old.has_room, self.disk.has_room);
        let deadline = self.election_deadline;
        if had_room && !has_room || self.pace.is_outrun(now, self.disk, &self.config) {
            self.reset_election(now);
            self.election_deadline = self.election_deadline.max(deadline);
        } else if !had_room && has_room {
            self.reset_election(now);
            self.election_deadline = self.election_deadline.min(deadline);
        }
    }

    /// Messages of a leader, and those that bind nobody, are sent at once; a binding message waits
    /// for the write that makes it true. There is no other way into the outbox.
    pub(crate) fn send_now(&mut self, to: NodeId, message: Replicate) {
        let message = Message::Replicate(message);
        self.outbox.send_now(Envelope { to, message });
        self.due.set(Task::Send);
    }

    pub(crate) fn echo(&mut self, to: NodeId, message: Echo) {
        let message = Message::Echo(message);
        self.outbox.send_now(Envelope { to, message });
        self.due.set(Task::Send);
    }

    pub(crate) fn send_after_write(&mut self, to: NodeId, message: Binding) {
        self.outbox.send_after_write(Envelope { to, message });
        self.due.set(Task::Write);
    }

    /// The next message that waits for no write.
    pub(crate) fn poll_send(&mut self) -> Option<Output> {
        self.outbox.poll_now().map(Output::Send)
    }

    /// The number of the write in flight.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        self.outbox.in_flight()
    }

    /// A write of everything that happened since the last one. A write with an empty record exists
    /// for its messages: an acknowledgement of what is already durable (a repeated append) also
    /// takes this path, so that the rule has no exception. Such a write is rare and needs no sync,
    /// see [`Record::is_empty`](crate::Record::is_empty).
    #[inline]
    pub(crate) fn poll_write(&mut self) -> Option<Write> {
        if !self.has_unwritten() {
            return None;
        }
        let (log, vote) = (&mut self.log, (self.term, self.vote));
        let is_news = vote != self.vote_written;
        let write = self.outbox.write(|| log.write(is_news.then_some(vote)));
        if write.is_some() {
            self.vote_written = vote;
            self.due.clear(Task::Write);
        }
        write
    }

    /// Whether there is a reason for a write.
    fn has_unwritten(&self) -> bool {
        let is_news = (self.term, self.vote) != self.vote_written;
        is_news || self.log.has_unwritten() || self.outbox.has_waiting()
    }

    /// Completes the write in flight if the receipt belongs to it, and returns what is durable now.
    /// Only from here on do the own vote and the own acknowledgement count.
    pub(crate) fn settle(&mut self, receipt: Receipt) -> Result<Durable<Own>, Refused> {
        let own = self.outbox.settle(receipt)?;
        self.log.handle_persisted(own);
        self.vote_persisted = own.vote.unwrap_or(self.vote_persisted);
        if self.has_unwritten() {
            self.due.set(Task::Write);
        }
        self.give_machine();
        Ok(own)
    }

    /// The next entries for the machine to apply: committed, and durable on this node.
    #[inline]
    pub(crate) fn poll_apply(&mut self) -> Option<Entries> {
        let end = self.committed_here();
        let entries = self.machine.poll_apply(&self.log, end);
        if !self.machine.waits_for(end) {
            self.due.clear(Task::Machine);
        }
        entries
    }

    /// If there is nothing to apply: another output for the machine, or a fetch on its behalf.
    #[cold]
    pub(crate) fn poll_unless_apply(&mut self) -> Option<Output> {
        let (end, bytes_max) = (self.committed_here(), self.config.append_bytes_max);
        self.machine
            .poll_unless_apply(&self.log, end, self.term, bytes_max)
    }

    /// The outcome of the next read that ended with its leader.
    pub(crate) fn poll_answer(&mut self) -> Option<Output> {
        let (id, refusal) = self.answers.pop_front()?;
        let index = Err(refusal);
        Some(Output::Read { id, index })
    }

    /// Stops because the leader contradicts what is committed here. A committed entry is at its
    /// index in every later leader's log (Leader Completeness, §5.4), so one of the two nodes has
    /// lost something. In an honest group no message can prove this wrongly: messages of earlier
    /// terms are ignored, and an entry in a leader's log stays there for the whole term.
    pub(crate) fn diverged(&mut self, leaders: LogId) -> Stop {
        count(&mut self.counters.conflicts_with_commit);
        Stop::Diverged {
            index: leaders.index,
            own: self.log.term_at(leaders.index).unwrap_or_default(),
            leaders: leaders.term,
        }
    }

    /// Stops this node for good and drops all messages that were not yet sent. It sends `leader` one
    /// last message: the copy of a node that forgot what it acknowledged must no longer be counted,
    /// and a node that was removed need not be sent anything more.
    pub(crate) fn stop(&mut self, why: Stop, leader: Option<NodeId>) {
        self.outbox.clear();
        self.stop = Some(why);
        self.due.set(Task::Stop);
        let term = self.term;
        let last_word = match why {
            Stop::Forgot {
                acknowledged,
                holds,
            } => Echo::Forgot {
                term,
                acknowledged,
                holds,
            },
            Stop::Removed => Echo::Left { term },
            Stop::Diverged { .. } => return,
        };
        if let Some(leader) = leader {
            self.echo(leader, last_word);
        }
    }

    /// Returns the reason for stopping, once.
    pub(crate) fn poll_stop(&mut self) -> Option<Output> {
        let stop = self.stop?;
        let told = core::mem::replace(&mut self.stop_told, true);
        (!told).then_some(Output::Stop(stop))
    }

    /// Resets deadlines, random generator, counters and write numbers.
    pub(crate) fn forget_time(&mut self) {
        self.election_deadline = Instant::ZERO;
        self.promise.release();
        self.pace.forget_time();
        self.counters = Counters::default();
        self.leap = None;
        self.stepped_down = None;
        self.configs.ended = None;
        self.outbox.forget_numbers();
    }
}
