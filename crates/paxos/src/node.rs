use alloc::collections::{BTreeSet, VecDeque};

use synod_durable::{Durable, Refused};

use crate::counters::count;
use crate::due::{Due, Task};
use crate::inquiry::Inquiries;
use crate::lease::Pledge;
use crate::log::Log;
use crate::machine::Machine;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::{
    Ballot, Binding, ChangeEnd, Chosen, Config, Configurations, Counters, DiskHealth, Echo,
    Entries, Envelope, Fetch, FetchError, Instant, Leap, Message, NodeId, Output, Own, Position,
    ReadId, Receipt, Refusal, Replicate, Slot, Snapshot, State, StepDown, Stop, Value, Wanted,
    Write,
};

/// State that is independent of the role and outlives it: the configuration, promises and votes,
/// pending messages, and timers. Everything that was promised to other nodes is here, so a change
/// of role takes none of it back. A method of a role takes this struct and its own, and can touch
/// nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Common {
    pub(crate) config: Config,
    /// As far as they are known; never behind the chosen prefix.
    pub(crate) configurations: Configurations,
    /// The number of the last configuration that is known to be settled.
    pub(crate) settled: u64,
    /// How the last change of membership ended, as far as this node took part in it.
    pub(crate) change_end: Option<ChangeEnd>,
    /// The highest ballot that was promised; this node's own while it leads or campaigns.
    pub(crate) promised: Ballot,
    /// The highest ballot seen in any message. The next campaign is above it.
    pub(crate) heard: Ballot,
    pub(crate) log: Log,
    pub(crate) machine: Machine,
    /// The newest durable snapshot of this node.
    pub(crate) snapshot: Option<Snapshot>,
    /// Fetches for other nodes that were not yet output to the driver.
    fetches: VecDeque<Fetch>,
    /// The leaders for which chosen values are being read from the log.
    pub(crate) teaching: BTreeSet<NodeId>,
    /// Reads that ended with their leader and were not yet output.
    answers: VecDeque<(ReadId, Refusal)>,
    outbox: Outbox,
    pub(crate) due: Due,
    /// The state in the last record.
    pub(crate) written: State,
    /// The durable promise.
    pub(crate) promise_persisted: Ballot,
    /// The durable chosen prefix: what this node knows to be chosen after a restart.
    pub(crate) chosen_persisted: Slot,
    /// How much of the chosen prefix has to be written even if nothing else is.
    pub(crate) keep_to: Slot,
    /// Its reads that acceptors answer.
    pub(crate) inquiries: Inquiries,
    /// What this node has promised to the holder of a lease.
    pub(crate) pledge: Pledge,
    /// When this node asks for a leader, unless it is the leader.
    pub(crate) election_deadline: Instant,
    /// The number of the last attempt to ask others whether they have a leader.
    pub(crate) attempt: u64,
    pub(crate) pace: Pace,
    pub(crate) disk: DiskHealth,
    /// Set once this node no longer takes part.
    pub(crate) stop: Option<Stop>,
    stop_told: bool,
    /// Why this node last stopped leading.
    pub(crate) stepped_down: Option<StepDown>,
    pub(crate) counters: Counters,
    /// The last message whose round was too far above this node's.
    pub(crate) leap: Option<Leap>,
}

impl Common {
    /// A node whose disk holds `stored` and the votes in `log`; its election timeout begins.
    pub(crate) fn new(
        config: Config,
        configurations: Configurations,
        log: Log,
        stored: State,
        now: Instant,
    ) -> Self {
        let mut due = Due::default();
        due.set(Task::Machine);
        let mut common = Self {
            due,
            configurations,
            settled: 0,
            change_end: None,
            promised: stored.promised,
            heard: stored.promised,
            machine: Machine::new(log.start().slot),
            log,
            snapshot: None,
            fetches: VecDeque::new(),
            teaching: BTreeSet::new(),
            answers: VecDeque::new(),
            outbox: Outbox::new(),
            written: stored,
            promise_persisted: stored.promised,
            chosen_persisted: stored.chosen,
            keep_to: Slot(0),
            inquiries: Inquiries::default(),
            pledge: Self::first_pledge(&config, stored, now),
            election_deadline: now,
            attempt: 0,
            pace: Pace::new(&config),
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

    /// A node whose disk holds no promise has granted no lease either.
    fn first_pledge(config: &Config, stored: State, now: Instant) -> Pledge {
        let lease = config.lease.filter(|_| stored.promised > Ballot::ZERO);
        lease.map_or_else(Pledge::default, |lease| {
            Pledge::of_an_earlier_life(now, lease)
        })
    }

    /// Promises a ballot: from here on this acceptor votes in no lower ballot (P1a).
    pub(crate) fn promise(&mut self, ballot: Ballot) {
        assert!(ballot > self.promised, "a promise only rises");
        self.promised = ballot;
        self.due.set(Task::Write);
        self.heard = self.heard.max(ballot);
        self.outbox
            .retain_waiting(|waiting| waiting.message.ballot() >= ballot);
    }

    /// Starts a new wait before this node campaigns.
    #[inline]
    pub(crate) fn reset_election(&mut self, now: Instant) {
        let wait = self.pace.draw(now, self.disk, &self.config);
        self.election_deadline = now.plus(wait);
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

    /// How much this node is preferred as the leader; None while it is not to be preferred to any.
    pub(crate) fn preference(&self, now: Instant) -> Option<u8> {
        let is_fit = !self.pace.is_to_stand_back(now, &self.config);
        is_fit.then_some(self.config.priority)
    }

    /// Handles a peer's report on its disk.
    pub(crate) fn handle_disk_report(&mut self, now: Instant, disk: DiskHealth) {
        self.pace.hear(now, disk.sync_time, &self.config);
    }

    /// Votes in the promised ballot, for slots without a vote in it.
    #[inline]
    pub(crate) fn accept(&mut self, first: Slot, values: Entries) {
        self.log.accept(self.promised, first, values);
        self.due.set(Task::Write);
    }

    /// Marks the slots up to `slot` as chosen; this node holds their values.
    pub(crate) fn choose_to(&mut self, slot: Slot) {
        self.log.choose_to(slot);
        if self.log.may_configure() {
            self.note_configurations();
        }
        self.configurations.learn_to(self.log.chosen());
        self.go_on_with_inquiries();
        self.give_machine();
    }

    /// Marks the machine as due if there is something to deliver to it.
    #[inline]
    fn give_machine(&mut self) {
        if self.is_machine_behind() {
            self.due.set(Task::Machine);
        }
    }

    #[inline]
    fn is_machine_behind(&self) -> bool {
        self.machine.waits_for(self.log.settled())
    }

    /// Queues a fetch for another node.
    #[cold]
    pub(crate) fn fetch(&mut self, fetch: Fetch) {
        self.fetches.push_back(fetch);
        self.due.set(Task::Fetch);
    }

    /// Drops the fetches for peers, which are no longer needed.
    pub(crate) fn forget_fetches(&mut self) {
        let is_for_others = |fetch: &Fetch| !matches!(fetch.wanted, Wanted::Peer(_));
        self.fetches.retain(is_for_others);
    }

    pub(crate) fn poll_fetch(&mut self) -> Option<Output> {
        self.fetches.pop_front().map(Output::Fetch)
    }

    /// Passes the log's answer to the machine.
    pub(crate) fn handle_fetched(&mut self, fetch: &Fetch, values: Result<Entries, FetchError>) {
        if !self.machine.handle_fetched(&self.log, fetch, values) {
            count(&mut self.counters.fetches_stale);
        }
        self.due.set(Task::Machine);
    }

    /// Allows a failed fetch for the machine to be repeated.
    pub(crate) fn retry_fetch(&mut self) {
        self.machine.retry_fetch();
        self.due.set(Task::Machine);
    }

    /// Queues the outcome of reads that end without confirmation.
    pub(crate) fn refuse(&mut self, reads: impl Iterator<Item = ReadId>, why: Refusal) {
        self.answers.extend(reads.map(|id| (id, why)));
        self.due.set(Task::Answer);
    }

    /// The number of ended reads that were not yet output.
    pub(crate) fn refused(&self) -> usize {
        self.answers.len()
    }

    /// Messages of a leader, and those that bind nobody, are sent at once; a binding message waits
    /// for the write that makes it true.
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

    #[inline]
    pub(crate) fn send_after_write(&mut self, to: NodeId, message: Binding) {
        self.outbox.send_after_write(Envelope { to, message });
        self.due.set(Task::Write);
    }

    /// The next message that waits for no write.
    pub(crate) fn poll_send(&mut self) -> Option<Output> {
        self.outbox.poll_now().map(Output::Send)
    }

    /// Reports, once that is durable, that these slots have a vote in the promised ballot, or are
    /// known to be chosen.
    #[inline]
    pub(crate) fn send_accepted(&mut self, leader: NodeId, first: Slot, last: Slot) {
        let ballot = self.promised;
        self.send_after_write(
            leader,
            Binding::Accepted {
                ballot,
                first,
                last,
            },
        );
    }

    /// Whether this can be the last position of a snapshot.
    pub(crate) fn is_position(&self, position: Position) -> bool {
        position.slot > Slot(0)
            && position.slot <= Slot::MAX
            && position.origin.round > 0
            && position.origin <= self.promised
    }

    /// The slot of the last of `values`, if they could be proposed from `first` on.
    pub(crate) fn last_of(&self, first: Slot, values: &[Value]) -> Option<Slot> {
        let more = u64::try_from(values.len()).ok()?.checked_sub(1)?;
        let last = Slot(first.0.checked_add(more)?);
        let is_value = |value: &Value| value.origin.round > 0 && value.origin <= self.promised;
        (first > Slot(0) && last <= Slot::MAX && values.iter().all(is_value)).then_some(last)
    }

    /// Checks that the last position of a snapshot agrees with what is known to be chosen, since a
    /// snapshot covers only chosen values. Otherwise returns why this node must stop.
    pub(crate) fn check_position(&mut self, position: Position) -> Result<(), Stop> {
        let Position { slot, origin } = position;
        let start = self.log.start();
        let own = match self.log.vote(slot) {
            Some(vote) if slot <= self.log.chosen() => vote.value.origin,
            _ if slot == start.slot && slot > Slot(0) => start.origin,
            _ => return Ok(()),
        };
        if own == origin {
            return Ok(());
        }
        Err(self.diverged(slot, own, origin))
    }

    /// The value of origin `own` is chosen here at `slot`, and that of `theirs` elsewhere.
    pub(crate) fn diverged(&mut self, slot: Slot, own: Ballot, theirs: Ballot) -> Stop {
        count(&mut self.counters.conflicts_with_chosen);
        Stop::Diverged { slot, own, theirs }
    }

    /// The last of these slots that fits into one message.
    pub(crate) fn within_a_message(&self, from: Slot, to: Slot) -> Slot {
        let last = from
            .0
            .saturating_add(self.config.accept_values_max as u64 - 1);
        to.min(Slot(last))
    }

    /// Compacts the log up to a snapshot of values that were already delivered.
    pub(crate) fn compact(&mut self, snapshot: Snapshot) {
        self.log.begin_at(snapshot.last);
        self.configurations.prune(snapshot.last.slot);
        self.due.set(Task::Write);
        self.snapshot = Some(snapshot);
    }

    /// Starts the log at the snapshot and makes the machine jump to it; votes after it are kept.
    pub(crate) fn begin_log_at(&mut self, snapshot: Snapshot) {
        self.log.begin_at(snapshot.last);
        self.configurations.merge(&snapshot.configurations);
        self.configurations.prune(snapshot.last.slot);
        self.note_configurations();
        self.configurations.learn_to(self.log.chosen());
        let tasks = [Task::Write, Task::Machine, Task::Notice, Task::Round];
        self.due.set_all(&tasks);
        self.go_on_with_inquiries();
        self.snapshot = Some(snapshot.clone());
        self.machine.jump_to(snapshot);
    }

    /// The number of the write in flight.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        self.outbox.in_flight()
    }

    /// A write of everything that happened since the last one. A write with an empty record exists
    /// for its messages: an acknowledgement of what is already durable (a repeated value) also
    /// takes this path, so that the rule has no exception. Such a write is rare and needs no sync,
    /// see [`Record::is_empty`](crate::Record::is_empty).
    #[inline]
    pub(crate) fn poll_write(&mut self) -> Option<Write> {
        if !self.has_unwritten() {
            return None;
        }
        let (log, written, promised) = (&mut self.log, &mut self.written, self.promised);
        let is_kept = self.keep_to <= written.chosen;
        let promise_moved = promised != written.promised;
        let write = self.outbox.write(|| {
            let chosen = log.chosen();
            let mut record = log.write();
            let state = State { promised, chosen };
            // A longer chosen prefix alone is no reason to write, unless somebody waits for it.
            if promise_moved || !is_kept || (!record.is_empty() && state != *written) {
                record.state = Some(state);
                *written = state;
            }
            record
        });
        if write.is_some() {
            self.due.clear(Task::Write);
        }
        write
    }

    /// Whether there is a reason for a write.
    #[inline]
    fn has_unwritten(&self) -> bool {
        let promise_moved = self.promised != self.written.promised;
        promise_moved
            || self.keep_to > self.written.chosen
            || self.log.has_unwritten()
            || self.outbox.has_waiting()
    }

    /// Completes the write in flight if the receipt belongs to it, and returns what is durable now.
    #[inline]
    pub(crate) fn settle(&mut self, receipt: Receipt) -> Option<Durable<Own>> {
        let own = match self.outbox.settle(receipt) {
            Ok(own) => own,
            Err(why) => {
                count(match why {
                    Refused::OtherCore => &mut self.counters.receipts_foreign,
                    _ => &mut self.counters.receipts_unknown,
                });
                return None;
            }
        };
        self.log.handle_persisted();
        self.promise_persisted = own.promised.unwrap_or(self.promise_persisted);
        self.chosen_persisted = own.chosen.unwrap_or(self.chosen_persisted);
        if self.has_unwritten() {
            self.due.set(Task::Write);
        }
        self.give_machine();
        Some(own)
    }

    /// The next values for the machine.
    #[inline]
    pub(crate) fn poll_apply(&mut self) -> Option<Chosen> {
        let chosen = self.machine.poll_apply(&self.log);
        if !self.is_machine_behind() {
            self.due.clear(Task::Machine);
        }
        chosen
    }

    /// If there are none: another output for the machine, or a fetch on its behalf.
    #[cold]
    pub(crate) fn poll_unless_apply(&mut self) -> Option<Output> {
        let (log, bytes_max) = (&self.log, self.config.accept_bytes_max);
        self.machine
            .poll_unless_apply(log, bytes_max, self.promised)
    }

    /// The next read that ended without confirmation.
    pub(crate) fn poll_answer(&mut self) -> Option<Output> {
        let (id, refusal) = self.answers.pop_front()?;
        let slot = Err(refusal);
        Some(Output::Read { id, slot })
    }

    /// Stops this node for good and drops all messages that were not yet sent.
    pub(crate) fn stop(&mut self, why: Stop) {
        self.outbox.clear();
        self.end_inquiries();
        self.stop = Some(why);
    }

    /// The outputs of a stopped node: outcomes of waiting reads, its last messages, and the reason
    /// for stopping.
    #[cold]
    pub(crate) fn poll_stop(&mut self) -> Option<Output> {
        let stop = self.stop?;
        if let Some(answer) = self.poll_answer() {
            return Some(answer);
        }
        if let Some(send) = self.poll_send() {
            return Some(send);
        }
        let told = core::mem::replace(&mut self.stop_told, true);
        (!told).then_some(Output::Stop(stop))
    }

    /// Resets what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.election_deadline = Instant::ZERO;
        self.pledge = Pledge::default();
        self.inquiries.forget_time();
        self.pace.forget_time();
        self.counters = Counters::default();
        self.leap = None;
        self.stepped_down = None;
        self.outbox.forget_numbers();
    }
}
