//! One group's part of a simulated node: engine, applier, and who observes them.

use std::error::Error;
use std::fmt;
use std::io;

use bytes::Bytes;
use synod_sim as sim;
use synod_transport::NodeId;
use synod_wal::{GroupId, Lsn, Op, Wal};

use super::cluster::{Cluster, Core, SimRequest, Witness};
use super::disk::SimDisk;
use super::packet::Packet;
use super::portrait::Shown;
use super::storage::Storage;
use crate::applier::{Applier, Job};
use crate::destroy;
use crate::engine::{Effect, Engine, EngineConfig, EngineStatus, Proposal};
use crate::frame::{self, Frame};
use crate::log::{Log, LogSpace};
use crate::machine::Reason;
use crate::members::Members;
use crate::node::OpenGroupError;
use crate::protocol::{Configured, DiskHealth, Divergence, Protocol, Role};
use crate::task::Completion;
use crate::time::Instant;

/// A group as it is on one node.
pub struct SimGroup<C: Cluster> {
    id: GroupId,
    engine: Engine<Core<C>, C::Ticket>,
    applier: Applier<C::Machine>,
    witness: C::Witness,
    /// Its node has other groups, which go on when it was removed from this one.
    has_company: bool,
    was_removed: bool,
    /// While somebody records.
    shown: Option<Shown>,
}

impl<C: Cluster> SimGroup<C> {
    /// The group's number.
    pub fn id(&self) -> GroupId {
        self.id
    }

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

    /// Whether this node considers itself the group's leader.
    pub fn leads(&self) -> bool {
        !self.was_removed && self.engine.status().core.role == Role::Leader
    }

    pub(super) fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    /// The group as it is on the disk. Its core is seeded by `seed`.
    pub(super) fn open(
        id: GroupId,
        start: &sim::Start,
        seed: u64,
        shared: &C,
        (log, space): (&mut Wal<SimDisk>, &LogSpace),
        now: Instant,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let node = NodeId(start.id.0);
        let witness = shared.witness_of(id, node);
        if destroy::is_buried(log, id)? {
            return Err(Box::new(OpenGroupError::Destroyed));
        }
        let mut recovered = Log::recover(log, id)?;
        let shown = start.recorded.then(Shown::default);
        if let Some(shown) = &shown {
            shown.tee(&mut recovered);
        }
        let mut protocol = shared.config_of(id, node, seed);
        Configured::begin_life(&mut protocol, start.incarnation);
        let core = Core::<C>::recover(protocol, recovered, now)?;
        let mut config = EngineConfig::new(id, node, start.incarnation);
        config.record_bytes_max = Log::record_bytes_max(log);
        config.space = space.clone();
        shared.tune(&mut config);
        let (membership, snapshots) = (core.membership(), Log::snapshots(log));
        Ok(Self {
            id,
            applier: Applier::new(id, shared.machine_of(id, node), membership, snapshots),
            engine: Engine::new(config, core),
            witness,
            has_company: shared.groups(node).len() > 1,
            was_removed: false,
            shown,
        })
    }

    pub(super) fn started(&mut self, now: Instant) {
        self.witness.started(now, self.engine.core());
    }

    pub(super) fn began(&mut self, now: Instant) {
        self.witness.began(now);
    }

    pub(super) fn stepped(&mut self) {
        self.witness.stepped(self.engine.core());
    }

    pub(super) fn rested(&mut self) {
        self.witness.rested(&self.engine, &self.applier);
    }

    pub(super) fn failed(&mut self, error: &str) {
        self.witness.failed(error);
    }

    pub(super) fn refused(&mut self, error: &str) {
        self.witness.refused(error);
    }

    pub(super) fn handle_frame(&mut self, now: Instant, from: NodeId, frame: Bytes) {
        self.engine.handle_frame(now, from, frame);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
    }

    pub(super) fn handle_durable(&mut self, now: Instant, durable: Lsn) {
        self.witness.durable(durable);
        self.engine.handle_durable(now, durable);
    }

    pub(super) fn handle_completion(
        &mut self,
        now: Instant,
        completion: Completion<Core<C>>,
    ) -> io::Result<()> {
        let handled = self.engine.handle_completion(now, completion);
        handled.map_err(io::Error::other)
    }

    pub(super) fn set_disk(&mut self, now: Instant, disk: DiskHealth) {
        self.engine.set_disk(now, disk);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    /// Polls the engine until it has no more effects.
    pub(super) fn pump(
        &mut self,
        storage: &mut Storage<Core<C>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let now = Instant(context.now);
        loop {
            let effect = self.engine.poll_effect(now);
            self.stepped();
            let Some(effect) = effect else { return Ok(()) };
            match effect {
                Effect::Persist(write) => self.stage(write, storage, context)?,
                Effect::Send(to, _, parcel) => {
                    let bytes = parcel.to_bytes();
                    self.show(to, &bytes);
                    context.send(sim::NodeId(to.0), Packet::frame(bytes));
                }
                Effect::Job(job) => self.run(job)?,
                Effect::Stop(Divergence::Removed) if self.has_company => {
                    self.was_removed = true;
                    self.engine.close(Reason::Removed);
                }
                Effect::Stop(why) => return Err(io::Error::other(why)),
                Effect::Task(task) => {
                    self.witness.tasked(&task);
                    storage.task(self.id, task, context);
                }
            }
        }
    }

    fn stage(
        &mut self,
        write: <Core<C> as Protocol>::Write,
        storage: &mut Storage<Core<C>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let (id, witness, shown) = (self.id, &mut self.witness, &self.shown);
        witness.staged(&write);
        let record_bytes_max = storage.record_bytes_max;
        let append = |ops: &mut dyn Iterator<Item = Op<'_>>| {
            let ops: Vec<Op<'_>> = ops.collect();
            let lsn = storage.append(id, &ops)?;
            witness.appended(lsn, &ops);
            if let Some(shown) = shown {
                shown.appended(&ops);
            }
            Ok::<_, crate::LogError>(lsn)
        };
        self.engine
            .stage(write, record_bytes_max, append)
            .map_err(io::Error::other)?;
        storage.sync(context);
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

    pub(super) fn request(
        &mut self,
        request: SimRequest<C::Ticket>,
        storage: &mut Storage<Core<C>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let now = Instant(context.now);
        match request {
            SimRequest::Propose {
                command,
                timeout,
                ticket,
            } => {
                let deadline = now + timeout;
                let proposal = Proposal {
                    command,
                    deadline,
                    ticket,
                };
                self.engine.propose(now, proposal);
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
            SimRequest::Destroy => self.destroy(storage, context)?,
        }
        Ok(())
    }

    /// Closes the group, and puts a tombstone in its place.
    fn destroy(
        &mut self,
        storage: &mut Storage<Core<C>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        self.engine.close(Reason::Removed);
        let ops = destroy::tombstone(storage.log(), self.id).map_err(io::Error::other)?;
        storage.append(self.id, &ops).map_err(io::Error::other)?;
        storage.bury(self.id, context);
        Ok(())
    }

    /// The tombstone is durable.
    pub(super) fn buried(&mut self, storage: &mut Storage<Core<C>>) -> io::Result<()> {
        self.witness.destroyed();
        let snapshots = Log::snapshots(storage.log());
        let deleted = snapshots.remove_before(self.id, u64::MAX);
        deleted.map_err(io::Error::other)
    }

    /// Storage has failed: answers the callers.
    pub(super) fn stop(&mut self, now: Instant) {
        self.engine.close(Reason::Poisoned);
        while let Some(effect) = self.engine.poll_effect(now) {
            if let Effect::Job(job) = effect {
                // A closed engine has only answers left, which cannot fail.
                let _ended = self.applier.run(job);
            }
        }
    }
}

impl<C: Cluster> fmt::Debug for SimGroup<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimGroup")
            .field("id", &self.id)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
