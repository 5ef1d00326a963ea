use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};

use synod_durable::{Durable, Refused};

use crate::counters::count;
use crate::due::{Due, Task};
use crate::log::Log;
use crate::machine::Machine;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::quorum::Members;
use crate::{
    Binding, Config, Counters, DiskHealth, Echo, Entries, Entry, Envelope, Fetch, FetchError,
    Index, Instant, Leap, LogId, Membership, Message, NodeId, Output, Own, ReadId, Receipt,
    Refusal, Replicate, Snapshot, StepDown, Stop, Term, Write,
};

/// What a node knows in every role: it stays when the role ends. A method of a role takes this and
/// its own struct, and can touch nothing else.
///
/// Invariants (Figure 3): term and commit index never fall; one vote a term;
/// `delivered <= min(committed, persisted)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) membership: Membership,
    pub(crate) members: Members,
    pub(crate) term: Term,
    /// Promised to others, so it outlives the role.
    pub(crate) vote: Option<NodeId>,
    /// Term and vote as last put into a record.
    vote_written: (Term, Option<NodeId>),
    /// Term and vote as they are on disk.
    vote_persisted: (Term, Option<NodeId>),
    pub(crate) log: Log,
    pub(crate) committed: Index,
    pub(crate) machine: Machine,
    /// The newest snapshot that is durable here.
    pub(crate) snapshot: Option<Box<Snapshot>>,
    /// Reads that have ended with their leader, until their callers are told.
    pub(crate) answers: VecDeque<(ReadId, Refusal)>,
    outbox: Outbox,
    pub(crate) due: Due,
    /// When this node campaigns, unless it leads.
    pub(crate) election_deadline: Instant,
    pace: Pace,
    pub(crate) disk: DiskHealth,
    /// This node takes no part any more.
    pub(crate) stop: Option<Stop>,
    stop_told: bool,
    /// Why it last ceased to lead.
    pub(crate) stepped_down: Option<StepDown>,
    pub(crate) counters: Counters,
    /// The last message of a term that was too far above.
    pub(crate) leap: Option<Leap>,
}

impl Common {
    /// A node whose disk holds this log, this term and this vote. What its log's start covers was
    /// committed and delivered.
    pub(crate) fn new(
        config: Config,
        log: Log,
        vote: (Term, Option<NodeId>),
        now: Instant,
    ) -> Self {
        let start = log.start().index;
        let membership = Membership::of_voters(config.voters.iter().copied());
        let mut common = Self {
            members: Members::of(&membership, config.id),
            membership,
            term: vote.0,
            vote: vote.1,
            vote_written: vote,
            vote_persisted: vote,
            log,
            committed: start,
            machine: Machine::new(start),
            snapshot: None,
            answers: VecDeque::new(),
            outbox: Outbox::new(),
            due: Due::default(),
            election_deadline: now,
            pace: Pace::new(config.seed, config.id.0),
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

    /// Those whose votes count, without this node.
    pub(crate) fn voting_peers(&self) -> BTreeSet<NodeId> {
        let (voters, outgoing) = (&self.membership.voters, &self.membership.outgoing);
        let nodes = voters.union(outgoing).copied();
        nodes.filter(|id| *id != self.id()).collect()
    }

    /// Term and vote as they are on disk.
    pub(crate) fn vote_persisted(&self) -> (Term, Option<NodeId>) {
        self.vote_persisted
    }

    /// Enters a later term. What was not yet said in the old one is not said any more.
    pub(crate) fn enter_term(&mut self, term: Term, vote: Option<NodeId>) {
        self.term = term;
        self.vote = vote;
        self.outbox
            .retain_waiting(|waiting| waiting.message.term() >= term);
        self.due.set(Task::Write);
    }

    /// The log begins behind a snapshot of what was delivered already.
    pub(crate) fn compact(&mut self, snapshot: Box<Snapshot>) {
        self.log.compact(snapshot.last);
        self.snapshot = Some(snapshot);
        self.due.set(Task::Write);
    }

    /// The log begins behind the snapshot; what follows its last entry stays if the log holds that
    /// entry, and else the whole log goes, in the same record (§7). The machine jumps to it.
    pub(crate) fn begin_log_at(&mut self, snapshot: Box<Snapshot>) {
        let last = snapshot.last;
        if self.log.matches(last) {
            self.log.compact(last);
        } else {
            self.log.reset(last);
        }
        self.commit_to(last.index);
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

    /// A commit index never falls.
    pub(crate) fn commit_to(&mut self, index: Index) {
        if index > self.committed {
            self.committed = index;
            self.give_machine();
        }
    }

    /// The machine is due if it waits for something that may be given now.
    fn give_machine(&mut self) {
        if self.machine.waits_for(self.committed_here()) {
            self.due.set(Task::Machine);
        }
    }

    /// Committed, and durable here.
    fn committed_here(&self) -> Index {
        self.committed.min(self.log.persisted())
    }

    /// Reads have ended with their leader.
    pub(crate) fn end_reads(&mut self, reads: impl Iterator<Item = (ReadId, Refusal)>) {
        self.answers.extend(reads);
        self.due.set(Task::Answer);
    }

    /// What the machine needs, and could not be read, may be read now.
    pub(crate) fn retry_fetch(&mut self) {
        self.machine.retry_fetch();
        self.due.set(Task::Machine);
    }

    /// The log has answered for the machine.
    pub(crate) fn handle_fetched(&mut self, fetch: &Fetch, entries: Result<Entries, FetchError>) {
        if !self.machine.handle_fetched(&self.log, fetch, entries) {
            count(&mut self.counters.fetches_stale);
        }
        self.due.set(Task::Machine);
    }

    /// What another says of its disk.
    pub(crate) fn handle_disk_report(&mut self, now: Instant, disk: DiskHealth) {
        self.pace.hear(now, disk.sync_time, &self.config);
    }

    /// A new wait before this node campaigns.
    pub(crate) fn reset_election(&mut self, now: Instant) {
        let wait = self.pace.draw(now, self.disk, &self.config);
        self.election_deadline = now.plus(wait);
    }

    /// The disk does differently than when the wait that runs was drawn.
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

    /// A leader's word, and one that binds nobody, leave at once; what binds waits for the write that
    /// makes it true. There is no other way to the outbox.
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

    /// The number of the write that is in flight.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        self.outbox.in_flight()
    }

    /// Everything that happened since the last write, in one. A write without a record exists for
    /// the messages in it: an acknowledgement of what is durable already (a repeated append) takes
    /// this way too, so that the rule has no exception and no second argument. It costs no sync,
    /// see [`Record::is_empty`](crate::Record::is_empty), and is rare.
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

    /// What is durable now, if the receipt is that of the write in flight. Only from here do the
    /// own vote and the own acknowledgement count.
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

    /// What the machine is to apply next: committed, and durable here.
    #[inline]
    pub(crate) fn poll_apply(&mut self) -> Option<Entries> {
        let end = self.committed_here();
        let entries = self.machine.poll_apply(&self.log, end);
        if !self.machine.waits_for(end) {
            self.due.clear(Task::Machine);
        }
        entries
    }

    /// If there is nothing to apply, what else the machine is given, or a fetch for it.
    #[cold]
    pub(crate) fn poll_unless_apply(&mut self) -> Option<Output> {
        let (end, bytes_max) = (self.committed_here(), self.config.append_bytes_max);
        self.machine
            .poll_unless_apply(&self.log, end, self.term, bytes_max)
    }

    /// The next read that ended with its leader.
    pub(crate) fn poll_answer(&mut self) -> Option<Output> {
        let (id, refusal) = self.answers.pop_front()?;
        let index = Err(refusal);
        Some(Output::Read { id, index })
    }

    /// What is committed here is in every later leader's log, at its place (Leader Completeness,
    /// §5.4), and a leader that says otherwise has lost something, or this node has. Of an honest
    /// group no message proves it wrongly: one of an earlier term is not looked at, and what a
    /// leader once had at an index it has there for ever.
    pub(crate) fn diverged(&mut self, leaders: LogId) -> Stop {
        count(&mut self.counters.conflicts_with_commit);
        Stop::Diverged {
            index: leaders.index,
            own: self.log.term_at(leaders.index).unwrap_or_default(),
            leaders: leaders.term,
        }
    }

    /// This node takes no part any more. What it had not yet said stays unsaid; the last word of one
    /// that forgot what it acknowledged to `leader` is that its copy is not to be counted.
    pub(crate) fn stop(&mut self, why: Stop, leader: Option<NodeId>) {
        self.outbox.clear();
        self.stop = Some(why);
        self.due.set(Task::Stop);
        let Stop::Forgot {
            acknowledged,
            holds,
        } = why
        else {
            return;
        };
        if let Some(leader) = leader {
            let term = self.term;
            let last_word = Echo::Forgot {
                term,
                acknowledged,
                holds,
            };
            self.echo(leader, last_word);
        }
    }

    /// That it stops, once.
    pub(crate) fn poll_stop(&mut self) -> Option<Output> {
        let stop = self.stop?;
        let told = core::mem::replace(&mut self.stop_told, true);
        (!told).then_some(Output::Stop(stop))
    }

    /// Forgets deadlines, generator, counters and numbers of writes.
    pub(crate) fn forget_time(&mut self) {
        self.election_deadline = Instant::ZERO;
        self.pace.forget_time();
        self.counters = Counters::default();
        self.leap = None;
        self.stepped_down = None;
        self.outbox.forget_numbers();
    }
}
