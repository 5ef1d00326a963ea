//! A whole node inside `synod-sim`: the real engine, the real applier and the real log, on a
//! simulated disk, network and clock. Only the loop around them is the simulator's own.
//!
//! A user describes the group by a [`Cluster`] and lets a `synod_sim::World` run [`SimNode`]s of
//! it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use synod_sim as sim;
use synod_transport::NodeId;
use synod_wal::{Disk, File, GroupId, Wal};

use crate::applier::Applier;
use crate::engine::{Consistency, Effect, Engine, EngineConfig, EngineStatus, Proposal};
use crate::frame;
use crate::log::Log;
use crate::machine::{Reason, StateMachine, Ticket};
use crate::protocol::{Configured, Protocol};
use crate::task::Task;
use crate::time::Instant;

/// A simulated disk as the log's medium. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(pub sim::Disk);

/// A file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: sim::Disk,
    name: String,
}

impl SimDisk {
    /// An empty disk whose faults are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(sim::Disk::new(seed))
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, name: &str) -> io::Result<SimFile> {
        self.0.create(name)?;
        Ok(SimFile {
            disk: self.0.clone(),
            name: name.to_owned(),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.len(&self.name)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(&self.name, at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(&self.name, at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.name)
    }
}

/// What all nodes of a simulated group have in common.
pub trait Cluster {
    /// The protocol, by its configuration.
    type Config: Configured;
    /// The machine.
    type Machine: StateMachine;
    /// Who waits for requests: usually an operation's number and the history to note its end in.
    type Ticket: Ticket<Self::Machine>;

    /// The configuration of a node; `seed` is another one for each of its lives.
    fn config(&self, node: NodeId, seed: u64) -> Self::Config;
    /// A machine as of an empty log.
    fn machine(&self) -> Self::Machine;
    /// Changes the engine's usual bounds.
    fn tune(&self, _engine: &mut EngineConfig) {}
    /// The log's bounds.
    fn log_options(&self) -> synod_wal::Options {
        synod_wal::Options::default()
    }
}

/// What a client asks of a node.
pub enum SimRequest<T> {
    /// Propose a command.
    Propose {
        /// The command.
        command: Bytes,
        /// Within this the request ends.
        timeout: Duration,
        /// Who waits.
        ticket: T,
    },
    /// Look at the machine.
    Read {
        /// How fresh.
        consistency: Consistency,
        /// Within this the request ends.
        timeout: Duration,
        /// Who waits.
        ticket: T,
    },
}

impl<T> fmt::Debug for SimRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Propose { command, .. } => write!(f, "propose {:?}", command),
            Self::Read { consistency, .. } => write!(f, "read {consistency:?}"),
        }
    }
}

/// The core that a cluster's configuration chooses.
pub type Core<C> = <<C as Cluster>::Config as Configured>::Protocol;

/// One node of a [`Cluster`], as one process of the world.
///
/// A sync takes the time that the world draws: the record is in the log's memory meanwhile, and is
/// written and synced when the time has come. So crashes fall before the write, between its
/// operations, and between the sync and the sends. Storage tasks take such a time too, one after the
/// other.
pub struct SimNode<C: Cluster> {
    engine: Engine<Core<C>, C::Ticket>,
    applier: Applier<C::Machine>,
    log: Wal<SimDisk>,
    record_bytes_max: usize,
    /// What the next drawn times are for; the first is under way.
    later: VecDeque<Later<Core<C>>>,
    applied: BTreeMap<u64, (u64, u64)>,
}

/// Storage work that takes time.
#[derive(Debug)]
enum Later<P: Protocol> {
    Sync,
    Task(Task<P>),
}

impl<C: Cluster> SimNode<C> {
    /// The engine at a glance.
    pub fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    /// The machine.
    pub fn machine(&self) -> &C::Machine {
        self.applier.machine()
    }

    /// Of each index applied in this life, the epoch it was decided in and a fingerprint of its
    /// body, for checkers to compare between nodes and lives.
    pub fn decided(&self) -> &BTreeMap<u64, (u64, u64)> {
        &self.applied
    }

    /// Polls the engine until it is at rest, but for a sync that takes time.
    fn pump(&mut self, context: &mut sim::Context<Bytes>) -> io::Result<()> {
        let now = Instant(context.now);
        self.engine.set_room(Log::has_room(&mut self.log));
        while let Some(effect) = self.engine.poll_effect(now) {
            match effect {
                Effect::Persist(write) => {
                    let (log, bytes_max) = (&mut self.log, self.record_bytes_max);
                    let staged = self
                        .engine
                        .stage(write, bytes_max, |ops| Log::append(log, GROUP, ops));
                    staged.map_err(io::Error::other)?;
                    // A sync that has not begun will find this record too.
                    if !self
                        .later
                        .iter()
                        .skip(1)
                        .any(|later| matches!(later, Later::Sync))
                    {
                        self.begin(Later::Sync, context);
                    }
                }
                Effect::Send(to, _, parcel) => context.send(sim::NodeId(to.0), parcel.to_bytes()),
                Effect::Job(job) => {
                    if let crate::Job::Apply { at, body, .. } = &job {
                        self.applied
                            .insert(at.index, (Core::<C>::epoch(at), fingerprint(body)));
                    }
                    if let Some(done) = self.applier.run(job).map_err(io::Error::other)? {
                        self.engine.handle_done(done);
                    }
                }
                Effect::Task(task) => self.begin(Later::Task(task), context),
            }
        }
        context.timer = self.engine.poll_timeout().map(|at| at.0);
        Ok(())
    }

    fn begin(&mut self, later: Later<Core<C>>, context: &mut sim::Context<Bytes>) {
        if self.later.is_empty() {
            context.start_sync();
        }
        self.later.push_back(later);
    }

    /// The time of what is under way has come.
    fn finish(&mut self, context: &mut sim::Context<Bytes>) -> io::Result<()> {
        let now = Instant(context.now);
        match self.later.pop_front() {
            Some(Later::Sync) => {
                if let Err(error) = self.log.sync() {
                    self.engine.close(Reason::Poisoned);
                    self.pump(context)?;
                    return Err(io::Error::other(error));
                }
                self.engine.handle_durable(now, self.log.durable());
            }
            Some(Later::Task(task)) => {
                let (reader, snapshots) = (Log::reader(&self.log), Log::snapshots(&self.log));
                let completion = task.run(GROUP, &*reader, &*snapshots);
                self.engine
                    .handle_completion(now, completion)
                    .map_err(io::Error::other)?;
            }
            None => {}
        }
        if !self.later.is_empty() {
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
        }
    }
}

impl<C: Cluster> sim::Process for SimNode<C> {
    type Message = Bytes;
    type Input = SimRequest<C::Ticket>;
    type Shared = C;

    fn start(start: sim::Start, shared: &C, context: &mut sim::Context<Bytes>) -> io::Result<Self> {
        let node = NodeId(start.id.0);
        let config = shared.config(node, start.seed);
        let mut options = shared.log_options();
        // Drawn from the world's seed, so that equal seeds give equal disks.
        options.salt.get_or_insert(start.seed);
        let mut log = Wal::open(SimDisk(start.disk), options).map_err(io::Error::other)?;
        let recovered = Log::recover(&mut log, GROUP).map_err(io::Error::other)?;
        let core = Core::<C>::recover(config, recovered, Instant(context.now))
            .map_err(io::Error::other)?;
        let mut engine = EngineConfig::new(GROUP, node, start.incarnation);
        shared.tune(&mut engine);
        let applier = Applier::new(
            GROUP,
            shared.machine(),
            core.membership(),
            Log::snapshots(&log),
        );
        let engine = Engine::new(engine, core);
        let mut node = Self {
            engine,
            applier,
            record_bytes_max: log.options().record_bytes_max,
            log,
            later: VecDeque::new(),
            applied: BTreeMap::new(),
        };
        node.pump(context)?;
        Ok(node)
    }

    fn handle(
        &mut self,
        event: sim::Event<Bytes, SimRequest<C::Ticket>>,
        context: &mut sim::Context<Bytes>,
    ) -> io::Result<()> {
        let now = Instant(context.now);
        match event {
            sim::Event::Message { from, message } => {
                if let Some((GROUP, rest)) = frame::group(message) {
                    self.engine.handle_frame(now, NodeId(from.0), rest);
                }
            }
            sim::Event::SyncDone => self.finish(context)?,
            sim::Event::Input(request) => self.request(now, request),
            _ => self.engine.handle_timeout(now),
        }
        self.pump(context)
    }
}

impl<C: Cluster> fmt::Debug for SimNode<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNode")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

/// FNV-1a: tells bodies apart, not adversaries.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A simulated node has one group.
const GROUP: GroupId = GroupId(1);
