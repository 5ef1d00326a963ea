//! A node as a process of the simulated world: the loop around engine, applier and log.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use synod_sim as sim;
use synod_transport::NodeId;
use synod_wal::{GroupId, Op, Wal};

use super::cluster::{Cluster, Core, SimRequest, Witness};
use super::disk::{SimDisk, rot};
use super::packet::Packet;
use super::portrait::Shown;
use crate::applier::{Applier, Job};
use crate::closed::WithCauses;
use crate::destroy;
use crate::engine::{Effect, Engine, EngineConfig, EngineStatus, Proposal};
use crate::frame::{self, Frame};
use crate::log::{Log, LogSpace, Room};
use crate::machine::Reason;
use crate::members::Members;
use crate::node::OpenGroupError;
use crate::protocol::{Configured, DiskHealth, Protocol, Role};
use crate::task::Task;
use crate::time::Instant;

/// One node of a [`Cluster`], as one process of the world.
///
/// A sync takes the time that the world draws: meanwhile the record is in the log's memory, and at
/// the end of that time it is written and synced. So crashes strike before the write, between its
/// operations, and between the sync and the sends. Storage tasks take time too, one after the
/// other.
///
/// If storage fails, the node answers its callers if it can, and ends; a real node stops likewise
/// until it is restarted.
pub struct SimNode<C: Cluster> {
    id: NodeId,
    engine: Engine<Core<C>, C::Ticket>,
    applier: Applier<C::Machine>,
    log: Wal<SimDisk>,
    space: LogSpace,
    record_bytes_max: usize,
    /// Syncs and tasks in order; the first is in progress, and the others wait for it.
    later: VecDeque<Later<Core<C>>>,
    room: Room,
    /// When the first of them began.
    began: Duration,
    /// How long a sync takes, smoothed over the last ones.
    sync_time: Duration,
    witness: C::Witness,
    /// While somebody records.
    shown: Option<Shown>,
}

/// Storage work that takes time.
#[derive(Debug)]
enum Later<P: Protocol> {
    Sync,
    Task(Task<P>),
    /// The sync of a tombstone.
    Bury,
}

impl<C: Cluster> SimNode<C> {
    /// The engine's status.
    pub fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    /// The consensus core.
    pub fn core(&self) -> &Core<C> {
        self.engine.core()
    }

    /// The members that this node's log names last; nobody on a node that waits to be added.
    pub fn members(&self) -> Members {
        let latest = self.core().members();
        latest.map(Core::<C>::members_of).unwrap_or_default()
    }

    /// The state machine.
    pub fn machine(&self) -> &C::Machine {
        self.applier.machine()
    }

    /// The last index applied to the machine.
    pub fn applied(&self) -> u64 {
        self.applier.applied()
    }

    pub(super) fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    fn open(
        start: &sim::Start,
        shared: &C,
        witness: C::Witness,
        now: Instant,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let id = NodeId(start.id.0);
        let mut options = shared.log_options();
        // Drawn from the world's seed, so that equal seeds give equal disks.
        options.salt.get_or_insert(start.seed);
        let mut log = Wal::open(SimDisk(start.disk.clone()), options)?;
        if destroy::is_buried(&mut log, GROUP)? {
            return Err(Box::new(OpenGroupError::Destroyed));
        }
        let mut recovered = Log::recover(&mut log, GROUP)?;
        let shown = start.recorded.then(Shown::default);
        if let Some(shown) = &shown {
            shown.tee(&mut recovered);
        }
        let mut protocol = shared.config(id, start.seed);
        Configured::begin_life(&mut protocol, start.incarnation);
        let core = Core::<C>::recover(protocol, recovered, now)?;
        let mut config = EngineConfig::new(GROUP, id, start.incarnation);
        let record_bytes_max = Log::record_bytes_max(&log);
        config.record_bytes_max = record_bytes_max;
        shared.tune(&mut config);
        let (membership, snapshots) = (core.membership(), Log::snapshots(&log));
        Ok(Self {
            id,
            applier: Applier::new(GROUP, shared.machine(), membership, snapshots),
            space: config.space.clone(),
            engine: Engine::new(config, core),
            log,
            record_bytes_max,
            later: VecDeque::new(),
            room: Room::default(),
            began: Duration::ZERO,
            sync_time: Duration::ZERO,
            witness,
            shown,
        })
    }

    fn step(
        &mut self,
        event: sim::Event<Packet<Core<C>>, SimRequest<C::Ticket>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let now = Instant(context.now);
        match event {
            sim::Event::Message { from, message } => {
                if let Some((GROUP, rest)) = frame::group(message.bytes().clone()) {
                    self.engine.handle_frame(now, NodeId(from.0), rest);
                }
            }
            sim::Event::SyncDone => self.finish(context)?,
            sim::Event::Input(SimRequest::Destroy) => self.destroy(context)?,
            sim::Event::Input(request) => self.request(now, request),
            _ => self.engine.handle_timeout(now),
        }
        self.witness.stepped(self.engine.core());
        self.pump(context)
    }

    /// Polls the engine until it has no more effects; syncs and tasks take time and complete later.
    fn pump(&mut self, context: &mut sim::Context<Packet<Core<C>>>) -> io::Result<()> {
        let now = Instant(context.now);
        // A real node does this in each turn: a sync may have ended since.
        let durable = self.log.durable();
        self.witness.durable(durable);
        self.engine.handle_durable(now, durable);
        self.witness.stepped(self.engine.core());
        let log = &mut self.log;
        let disk = DiskHealth {
            has_room: self.room.look(now, || Log::has_room(log)),
            sync_time: self.sync_time,
        };
        self.engine.set_disk(now, disk);
        self.space
            .set(Log::room_bytes(&self.log), self.log.takes_a_record());
        loop {
            let effect = self.engine.poll_effect(now);
            self.witness.stepped(self.engine.core());
            let Some(effect) = effect else { break };
            match effect {
                Effect::Persist(write) => self.stage(write, context)?,
                Effect::Send(to, _, parcel) => {
                    let bytes = parcel.to_bytes();
                    self.show(to, &bytes);
                    context.send(sim::NodeId(to.0), Packet::new(bytes));
                }
                Effect::Job(job) => self.run(job)?,
                Effect::Stop(why) => return Err(io::Error::other(why)),
                Effect::Task(task) => {
                    self.witness.tasked(&task);
                    self.begin(Later::Task(task), context);
                }
            }
        }
        let room = self.room.wake().map(|at| at.0);
        let deadline = self.engine.poll_timeout().map(|at| at.0);
        context.timer = deadline.into_iter().chain(room).min();
        Ok(())
    }

    fn stage(
        &mut self,
        write: <Core<C> as Protocol>::Write,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let (log, witness, shown) = (&mut self.log, &mut self.witness, &self.shown);
        witness.staged(&write);
        let append = |ops: &mut dyn Iterator<Item = Op<'_>>| {
            let ops: Vec<Op<'_>> = ops.collect();
            let lsn = Log::append(log, GROUP, &mut ops.iter().copied())?;
            witness.appended(lsn, &ops);
            if let Some(shown) = shown {
                shown.appended(&ops);
            }
            Ok::<_, crate::LogError>(lsn)
        };
        self.engine
            .stage(write, self.record_bytes_max, append)
            .map_err(io::Error::other)?;
        // A sync that has not begun covers this record too.
        let mut waiting = self.later.iter().skip(1);
        if !waiting.any(|later| matches!(later, Later::Sync)) {
            self.begin(Later::Sync, context);
        }
        Ok(())
    }

    /// Shows a message of the core to the witness, decoded from its bytes on the wire.
    fn show(&mut self, to: NodeId, bytes: &Bytes) {
        let frame = frame::group(bytes.clone()).and_then(|(_, rest)| Frame::decode(rest));
        if let Some((Frame::Message, rest)) = frame
            && let Some(message) = Core::<C>::decode(rest)
        {
            self.witness.sent(to, &message);
        }
    }

    fn run(&mut self, job: Job<C::Ticket>) -> io::Result<()> {
        let applied = match &job {
            Job::Apply { at, kind, body, .. } => Some((*at, *kind, body.clone())),
            _ => None,
        };
        let restores = match &job {
            Job::Restore(snapshot) => Some(snapshot.clone()),
            _ => None,
        };
        let done = self.applier.run(job).map_err(io::Error::other)?;
        let machine = self.applier.machine();
        if let Some((at, kind, body)) = applied {
            self.witness.applied(at, kind, &body, machine);
        } else if let Some(snapshot) = restores {
            self.witness.restored(&snapshot, machine);
        }
        if let Some(done) = done {
            self.engine.handle_done(done);
        }
        Ok(())
    }

    fn begin(&mut self, later: Later<Core<C>>, context: &mut sim::Context<Packet<Core<C>>>) {
        if self.later.is_empty() {
            self.began = context.now;
            context.start_sync();
        }
        self.later.push_back(later);
    }

    /// The sync or task in progress has taken its time: completes it.
    fn finish(&mut self, context: &mut sim::Context<Packet<Core<C>>>) -> io::Result<()> {
        let now = Instant(context.now);
        match self.later.pop_front() {
            Some(Later::Sync) => {
                let took = context.now.saturating_sub(self.began);
                self.sync_time = (self.sync_time * 3 + took) / 4;
                self.log.sync().map_err(io::Error::other)?;
                let durable = self.log.durable();
                self.witness.durable(durable);
                self.engine.handle_durable(now, durable);
            }
            Some(Later::Task(task)) => {
                let (reader, snapshots) = (Log::reader(&self.log), Log::snapshots(&self.log));
                let completion = task.run(GROUP, &*reader, &*snapshots);
                self.engine
                    .handle_completion(now, completion)
                    .map_err(io::Error::other)?;
            }
            Some(Later::Bury) => {
                self.log.sync().map_err(io::Error::other)?;
                self.witness.destroyed();
                let deleted = Log::snapshots(&self.log).remove_before(GROUP, u64::MAX);
                deleted.map_err(io::Error::other)?;
            }
            None => {}
        }
        if !self.later.is_empty() {
            self.began = context.now;
            context.start_sync();
        }
        Ok(())
    }

    fn request(&mut self, now: Instant, request: SimRequest<C::Ticket>) {
        match request {
            SimRequest::Propose {
                command,
                timeout,
                ticket,
            } => {
                self.engine.propose(
                    now,
                    Proposal {
                        command,
                        deadline: now + timeout,
                        ticket,
                    },
                );
            }
            SimRequest::Read {
                consistency,
                timeout,
                ticket,
            } => {
                self.engine.read(now, consistency, now + timeout, ticket);
            }
            SimRequest::Transfer { to } => {
                // Whoever does not lead, or knows nobody who suits, leaves it.
                let _refused = self.engine.transfer(now, to);
            }
            SimRequest::Change(change) => {
                let _refused = self.engine.change_members(now, &change);
            }
            SimRequest::AbortChange => {
                let _refused = self.engine.abort_change(now);
            }
            // Taken before.
            SimRequest::Destroy => {}
        }
    }

    /// Closes the group, and puts a tombstone in its place when the tasks before it have ended.
    fn destroy(&mut self, context: &mut sim::Context<Packet<Core<C>>>) -> io::Result<()> {
        self.engine.close(Reason::Removed);
        let ops = destroy::tombstone(&mut self.log, GROUP).map_err(io::Error::other)?;
        Log::append(&mut self.log, GROUP, &mut ops.into_iter()).map_err(io::Error::other)?;
        self.begin(Later::Bury, context);
        Ok(())
    }

    /// Storage has failed: answers the callers, unless the process itself is dead.
    fn stop(&mut self, now: Instant) {
        if self.log.disk().0.is_dead() {
            return;
        }
        self.engine.close(Reason::Poisoned);
        while let Some(effect) = self.engine.poll_effect(now) {
            if let Effect::Job(job) = effect {
                // A closed engine has only answers left, which cannot fail.
                let _ended = self.applier.run(job);
            }
        }
    }
}

impl<C: Cluster> sim::Process for SimNode<C> {
    type Message = Packet<Core<C>>;
    type Input = SimRequest<C::Ticket>;
    type Shared = C;

    fn start(
        start: sim::Start,
        shared: &C,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<Self> {
        let now = Instant(context.now);
        let id = NodeId(start.id.0);
        let mut node = Self::open(&start, shared, shared.witness(id), now).map_err(|error| {
            shared.witness(id).refused(&WithCauses(&*error).to_string());
            io::Error::other(error)
        })?;
        node.witness.started(now, node.engine.core());
        match node.pump(context) {
            Ok(()) => node.witness.rested(&node.engine, &node.applier),
            Err(error) => {
                node.witness.refused(&WithCauses(&error).to_string());
                return Err(error);
            }
        }
        Ok(node)
    }

    fn handle(
        &mut self,
        event: sim::Event<Packet<Core<C>>, SimRequest<C::Ticket>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let now = Instant(context.now);
        self.witness.began(now);
        let done = self.step(event, context);
        match &done {
            Ok(()) => self.witness.rested(&self.engine, &self.applier),
            Err(error) => {
                self.stop(now);
                self.witness.failed(&WithCauses(error).to_string());
            }
        }
        done
    }

    fn leads(&self) -> bool {
        self.engine.status().core.role == Role::Leader
    }

    fn rot(disk: &sim::Disk, rng: &mut sim::Rng) -> bool {
        rot(disk, rng)
    }
}

impl<C: Cluster> fmt::Debug for SimNode<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNode")
            .field("id", &self.id)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

/// A simulated node has one group.
const GROUP: GroupId = GroupId(1);
