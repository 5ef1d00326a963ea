//! One group of a node as the loop drives it: engine, applier, and the channels to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use synod_transport::{NodeId, Transport};
use synod_wal::{GroupId, Lsn};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::applier::{Applier, ApplyError, Job, Ran};
use crate::budget::Budget;
use crate::change::Changes;
use crate::clocks::Guard;
use crate::closed::{Closed, WithCauses, caught};
use crate::consistency::Consistency;
use crate::engine::{Effect, Engine, Poisoned};
use crate::events::{Event, Events, Seen};
use crate::group::{Clock, Request, Waiter};
use crate::handover::Handovers;
use crate::leave::Leave;
use crate::log::{Log, LogError};
use crate::machine::StateMachine;
use crate::members::Members;
use crate::protocol::{DiskHealth, Divergence, Protocol};
use crate::status::{Around, Of, Status};
use crate::task::{Completion, Task};
use crate::time::Instant;

/// A group as the loop sees it, without protocol and machine types. It costs virtual calls for each
/// turn, none for each command.
pub(crate) trait Drive: Send {
    /// Handles a peer's frame, with the peer's incarnation if the transport knows it.
    fn handle_frame(&mut self, now: Instant, from: NodeId, incarnation: Option<u64>, frame: Bytes);
    fn handle_timeout(&mut self, now: Instant);
    fn handle_durable(&mut self, now: Instant, durable: Lsn);
    /// Takes the new requests and completions and performs their effects, with the machine's share
    /// in `budget`. Returns `true` if the log was appended to.
    fn turn(
        &mut self,
        now: Instant,
        budget: &mut Budget,
        log: &mut dyn Log,
        transport: &mut dyn Transport,
    ) -> Result<bool, Stopped>;
    /// Whether the machine has more to do than its share of the last turn allowed.
    fn has_jobs(&self) -> bool;
    fn set_disk(&mut self, now: Instant, disk: DiskHealth);
    /// The node is shutting down; called in each turn. Whether the group may be closed.
    fn leave(&mut self, now: Instant) -> bool;
    fn close(&mut self, closed: &Closed);
    /// Marks the group as closed and touches nothing else: its state may be inconsistent.
    fn abandon(&mut self, closed: &Closed);
    fn publish(&mut self, around: &Around);
    fn poll_timeout(&self) -> Option<Instant>;
    /// The members that the log names last, and those that a change under way adds.
    fn members(&self) -> Vec<Arc<Members>>;
    /// How many snapshots have become durable in this incarnation, taken here or received.
    fn snapshots(&self) -> u64;
    /// The storage tasks in progress, to be waited for.
    fn take_tasks(&mut self) -> JoinSet<()>;
}

/// Why a group of this node stopped for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the log failed")]
    Log(#[source] LogError),
    #[error("the machine has failed")]
    Apply(#[from] ApplyError),
    #[error("the machine panicked: {0}")]
    Panicked(Arc<str>),
    #[error("this node must no longer participate in its group")]
    Diverged(#[from] Divergence),
}

impl From<Poisoned> for Stopped {
    fn from(Poisoned(error): Poisoned) -> Self {
        Self::Log(error)
    }
}

/// The group behind a [`Drive`].
pub(crate) struct Hosted<P: Protocol, S: StateMachine> {
    pub(crate) id: GroupId,
    pub(crate) engine: Engine<P, Waiter<S>>,
    pub(crate) applier: Applier<S>,
    /// The job that the machine did not finish in its share of the last turn.
    pub(crate) left: Option<Job<Waiter<S>>>,
    /// When to resume it: a resource that it needs had run out.
    pub(crate) left_until: Option<Instant>,
    pub(crate) clock: Clock,
    /// Of a group that reads by lease.
    pub(crate) guard: Option<Guard>,
    pub(crate) events: Events,
    pub(crate) requests: mpsc::Receiver<(Request<Waiter<S>>, usize)>,
    pub(crate) queued_bytes: Arc<AtomicUsize>,
    pub(crate) tasks: Tasks<P>,
    pub(crate) status: Shown,
    pub(crate) closed: Option<Closed>,
    pub(crate) handovers: Handovers,
    pub(crate) changes: Changes,
    /// The node is about to go.
    pub(crate) leave: Option<Leave>,
}

/// The published status of a group. It reports the group as closed also when it is merely dropped,
/// as when the runtime ends.
pub(crate) struct Shown(pub(crate) watch::Sender<Status>);

impl Shown {
    fn close(&self, closed: &Closed) {
        self.0.send_if_modified(|status| status.close(closed));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.close(&Closed::Shutdown);
    }
}

/// Storage work on other threads, bounded by the engine: one task of each kind, or one for each
/// peer.
pub(crate) struct Tasks<P: Protocol> {
    wake: Arc<Notify>,
    running: JoinSet<()>,
    /// Set when the results are no longer wanted.
    given_up: Arc<AtomicBool>,
    /// The error is a panic's message.
    to: mpsc::UnboundedSender<Result<Completion<P>, Arc<str>>>,
    completions: mpsc::UnboundedReceiver<Result<Completion<P>, Arc<str>>>,
}

impl<P: Protocol> Tasks<P> {
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        let (to, completions) = mpsc::unbounded_channel();
        Self {
            wake,
            running: JoinSet::new(),
            given_up: Arc::default(),
            to,
            completions,
        }
    }

    /// Abandons the work that can be abandoned: a snapshot that is being written.
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    fn start(&mut self, task: Task<P>, id: GroupId, log: &dyn Log) {
        while self.running.try_join_next().is_some() {}
        let (to, wake) = (self.to.clone(), self.wake.clone());
        let (reader, snapshots) = (log.reader(), log.snapshots());
        let given_up = self.given_up.clone();
        self.running.spawn_blocking(move || {
            // A machine's `write` is user code. If it panics the group stops, and what the task
            // held is lost with it, so no inconsistent state is used again.
            let completion = caught(|| task.run_until(id, &*reader, &*snapshots, &given_up));
            // An error means that the node is gone.
            let _gone = to.send(completion);
            wake.notify_one();
        });
    }
}

impl<P: Protocol, S: StateMachine> Hosted<P, S> {
    fn take_requests(&mut self, now: Instant) {
        while let Ok((request, bytes)) = self.requests.try_recv() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match request {
                Request::Propose(proposal) => self.engine.propose(now, proposal),
                Request::Read(consistency, deadline, ticket) => {
                    let now = self.look_at_clocks(now, consistency);
                    self.engine.read(now, consistency, deadline, ticket);
                }
                Request::Transfer(to, deadline, ended) => {
                    let handovers = &mut self.handovers;
                    handovers.begin(now, &mut self.engine, to, deadline, ended);
                }
                Request::Change(asked, deadline, ended) => {
                    let changes = &mut self.changes;
                    changes.begin(now, &mut self.engine, &asked, deadline, ended);
                }
            }
        }
    }

    /// What the clock shows now that the request was taken, if a lease may be held against it. The other
    /// clocks are looked at behind it: if the machine was suspended before, there is no lease.
    fn look_at_clocks(&mut self, turn: Instant, consistency: Consistency) -> Instant {
        if self.guard.is_none() || !consistency.takes_lease() {
            return turn;
        }
        let now = self.clock.now();
        self.guard_clocks(now);
        now
    }

    fn guard_clocks(&mut self, now: Instant) {
        if self.guard.as_mut().is_some_and(|guard| !guard.agrees()) {
            self.engine.handle_clock_fault(now);
        }
    }

    /// Runs user code: the machine, closures that read it, tickets. A panic stops this group only,
    /// and the tickets of the job report `Unknown`.
    fn run(&mut self, job: Job<Waiter<S>>, budget: &mut Budget) -> Result<(), Stopped> {
        let (clock, applier) = (self.clock, &mut self.applier);
        let mut goes_on = |bytes| budget.spend(clock.now(), bytes);
        let ran = caught(|| applier.run_within(job, &mut goes_on)).map_err(Stopped::Panicked)??;
        match ran {
            Ran::Whole(Some(done)) => self.engine.handle_done(done),
            Ran::Whole(None) => {}
            Ran::Left(job) => self.left = Some(job),
            Ran::Later(job, why) => {
                let why = WithCauses(&why).to_string();
                let (now, what) = (clock.now(), "restored");
                let event = Event::SnapshotFailed { what, why };
                self.events.tell(now, Some(self.id), &event);
                (self.left, self.left_until) = (Some(job), Some(now + LATER));
            }
        }
        self.hold_jobs(budget);
        Ok(())
    }

    /// No job may overtake one that waits.
    fn hold_jobs(&mut self, budget: &Budget) {
        let waits = self.left_until.is_some();
        self.engine.hold_jobs(waits || budget.is_spent());
    }

    fn perform(
        &mut self,
        budget: &mut Budget,
        effect: Effect<P, Waiter<S>>,
        log: &mut dyn Log,
        transport: &mut dyn Transport,
    ) -> Result<bool, Stopped> {
        match effect {
            Effect::Persist(write) => {
                let (id, bytes_max) = (self.id, log.record_bytes_max());
                let staged = self
                    .engine
                    .stage(write, bytes_max, |ops| log.append(id, ops));
                staged.map_err(Stopped::Log)?;
                return Ok(true);
            }
            Effect::Send(to, lane, parcel) => transport.send(to, lane, parcel),
            Effect::Job(job) => self.run(job, budget)?,
            Effect::Task(task) => self.tasks.start(task, self.id, log),
            Effect::Stop(why) => return Err(why.into()),
        }
        Ok(false)
    }
}

impl<P: Protocol, S: StateMachine> Drive for Hosted<P, S> {
    fn handle_frame(&mut self, now: Instant, from: NodeId, incarnation: Option<u64>, frame: Bytes) {
        if let Some(incarnation) = incarnation {
            self.engine.meet(from, incarnation);
        }
        self.guard_clocks(now);
        self.engine.handle_frame(now, from, frame);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
    }

    fn handle_durable(&mut self, now: Instant, durable: Lsn) {
        self.engine.handle_durable(now, durable);
    }

    fn turn(
        &mut self,
        now: Instant,
        budget: &mut Budget,
        log: &mut dyn Log,
        transport: &mut dyn Transport,
    ) -> Result<bool, Stopped> {
        self.take_requests(now);
        while let Ok(completion) = self.tasks.completions.try_recv() {
            self.engine
                .handle_completion(now, completion.map_err(Stopped::Panicked)?)?;
        }
        self.left_until.take_if(|until| *until <= now);
        self.hold_jobs(budget);
        if self.left_until.is_none()
            && let Some(job) = self.left.take_if(|_| !budget.is_spent())
        {
            self.run(job, budget)?;
        }
        let mut appended = false;
        while let Some(effect) = self.engine.poll_effect(now) {
            appended |= self.perform(budget, effect, log, transport)?;
        }
        Ok(appended)
    }

    fn has_jobs(&self) -> bool {
        self.left_until.is_none() && (self.left.is_some() || self.engine.holds_jobs())
    }

    fn set_disk(&mut self, now: Instant, disk: DiskHealth) {
        self.engine.set_disk(now, disk);
    }

    fn leave(&mut self, now: Instant) -> bool {
        let engine = &mut self.engine;
        let leave = self.leave.get_or_insert_with(|| Leave::begin(now, engine));
        leave.look(now, engine);
        self.closed.is_some() || leave.is_over(now, engine) && !self.has_jobs()
    }

    fn close(&mut self, closed: &Closed) {
        if self.closed.is_none() {
            self.closed = Some(closed.clone());
            // Those that wait for the rest of an entry are told `Unknown`: other nodes apply it.
            (self.left, self.left_until) = (None, None);
            self.engine.close(closed.reason());
            self.handovers.close(closed.reason());
            self.changes.close(closed.reason());
            self.tasks.give_up();
        }
    }

    fn abandon(&mut self, closed: &Closed) {
        self.tasks.give_up();
        self.status.close(closed);
    }

    fn publish(&mut self, around: &Around) {
        let (engine, now) = (self.engine.status(), around.now);
        for event in self.engine.take_notices() {
            self.events.tell(now, Some(self.id), &event);
        }
        match (&self.closed, self.events.closed) {
            (Some(why), false) => {
                self.events.closed = true;
                let event = Event::GroupStopped { why: why.clone() };
                self.events.tell(now, Some(self.id), &event);
            }
            (Some(_), true) => {}
            (None, _) => {
                let seen = Seen {
                    role: engine.core.role,
                    epoch: engine.core.epoch,
                    leader: engine.leadership.map(|leader| leader.node),
                    stepped_down: engine.core.stepped_down,
                };
                self.events.look(now, self.id, seen);
                self.events.look_at(now, self.id, &engine.core.peers);
                self.events.look_at_leaps(now, self.id, &engine.core);
            }
        }
        self.handovers.look(now, &self.engine);
        self.changes.look(now, &mut self.engine);
        let members = self.engine.members();
        let group = Of {
            engine: &engine,
            members: &members,
            closed: self.closed.clone(),
        };
        self.status
            .0
            .send_if_modified(|status| status.update(group, around));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let leave = self.leave.as_ref().and_then(Leave::wake);
        let timeouts = [
            self.engine.poll_timeout(),
            self.left_until,
            self.handovers.wake(),
            self.changes.wake(),
            leave.filter(|_| self.closed.is_none()),
        ];
        timeouts.into_iter().flatten().min()
    }

    fn members(&self) -> Vec<Arc<Members>> {
        let status = self.status.0.borrow();
        let target = status.change.as_ref().map(|change| change.target.clone());
        let latest = [status.members.clone()];
        latest.into_iter().chain(target.map(Arc::new)).collect()
    }

    fn snapshots(&self) -> u64 {
        self.engine.snapshots()
    }

    fn take_tasks(&mut self) -> JoinSet<()> {
        std::mem::take(&mut self.tasks.running)
    }
}

/// How long to wait before a job that lacked a resource is tried again.
const LATER: Duration = Duration::from_millis(100);
