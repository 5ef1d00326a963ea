//! A node as a process of the simulated world: the loop around groups, log and application.

use std::error::Error;
use std::fmt;
use std::io;

use synod_sim as sim;
use synod_transport::NodeId;
use synod_wal::{GroupId, Wal};

use super::application::{AppContext, Application};
use super::cluster::{Cluster, Core, SimRequest, Witness as _};
use super::disk::{SimDisk, rot};
use super::group::SimGroup;
use super::packet::Packet;
use super::storage::{Finished, Storage};
use crate::closed::WithCauses;
use crate::engine::EngineStatus;
use crate::frame;
use crate::log::LogSpace;
use crate::members::Members;
use crate::time::Instant;

/// One node of a [`Cluster`], as one process of the world, with the [`Application`] `A` beside its groups.
///
/// All its groups share one disk, one log, and one connection to each other node. A sync takes the time that
/// the world draws: meanwhile the record is in the log's memory, and at the end of that time it is written
/// and synced. So crashes strike before the write, between its operations, and between the sync and the
/// sends. Storage tasks take time too, one after the other.
///
/// If storage fails, the node answers its callers if it can, and ends; a real node stops likewise until it is
/// restarted. If a group stops, so does the node, unless it has others and was only removed from this one.
pub struct SimNode<C: Cluster, A = ()> {
    id: NodeId,
    /// By their numbers.
    groups: Vec<SimGroup<C>>,
    storage: Storage<Core<C>>,
    application: A,
    /// The deadline of the application.
    app_timer: Option<Instant>,
}

/// Of a node with one group. Where there are more, these are of the first.
///
/// # Panics
/// On a node without groups.
impl<C: Cluster, A> SimNode<C, A> {
    /// The engine's status.
    pub fn status(&self) -> EngineStatus {
        self.first().status()
    }

    /// The consensus core.
    pub fn core(&self) -> &Core<C> {
        self.first().core()
    }

    /// The members that this node's log names last; nobody on a node that waits to be added.
    pub fn members(&self) -> Members {
        self.first().members()
    }

    /// The state machine.
    pub fn machine(&self) -> &C::Machine {
        self.first().machine()
    }

    /// The last index applied to the machine.
    pub fn applied(&self) -> u64 {
        self.first().applied()
    }

    fn first(&self) -> &SimGroup<C> {
        let first = self.groups.first();
        first.unwrap_or_else(|| panic!("node {} has no group", self.id.0))
    }
}

impl<C: Cluster, A> SimNode<C, A> {
    /// All its groups, in rising order.
    pub fn groups(&self) -> &[SimGroup<C>] {
        &self.groups
    }

    /// The group of this number.
    pub fn group(&self, id: GroupId) -> Option<&SimGroup<C>> {
        self.groups.iter().find(|group| group.id() == id)
    }

    /// What runs beside the groups.
    pub fn application(&self) -> &A {
        &self.application
    }

    /// The same, outside of the simulation.
    pub fn application_mut(&mut self) -> &mut A {
        &mut self.application
    }

    fn group_mut(&mut self, id: GroupId) -> Option<&mut SimGroup<C>> {
        self.groups.iter_mut().find(|group| group.id() == id)
    }
}

type Opened<C> = (Storage<Core<C>>, Vec<SimGroup<C>>);

fn open<C: Cluster>(
    start: &sim::Start,
    shared: &C,
    now: Instant,
) -> Result<Opened<C>, Box<dyn Error + Send + Sync>> {
    let node = NodeId(start.id.0);
    let mut options = shared.log_options();
    // Drawn from the world's seed, so that equal seeds give equal disks.
    options.salt.get_or_insert(start.seed);
    let mut log = Wal::open(SimDisk(start.disk.clone()), options)?;
    let space = LogSpace::default();
    let mut groups = Vec::new();
    for (place, id) in (0_u64..).zip(shared.groups(node)) {
        // Each group draws on its own.
        let seed = start.seed ^ place.wrapping_mul(GROUP_SEED);
        groups.push(SimGroup::open(
            id,
            start,
            seed,
            shared,
            (&mut log, &space),
            now,
        )?);
    }
    groups.sort_by_key(SimGroup::id);
    Ok((Storage::new(log, space), groups))
}

impl<C: Cluster, A: Application<C>> SimNode<C, A> {
    fn step(
        &mut self,
        event: sim::Event<Packet<Core<C>>, SimRequest<C::Ticket>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        let now = Instant(context.now);
        match event {
            sim::Event::Message { from, message } => {
                self.receive(NodeId(from.0), message, context)?;
            }
            sim::Event::SyncDone => self.finish(context)?,
            sim::Event::Input(request) => {
                if let Some(first) = self.groups.first_mut() {
                    first.request(request, &mut self.storage, context)?;
                }
            }
            _ => {
                let groups = self.groups.iter_mut();
                groups.for_each(|group| group.handle_timeout(now));
                if self.app_timer.is_some_and(|at| at <= now) {
                    self.app_timer = None;
                    self.run(context, A::handle_timeout)?;
                }
            }
        }
        self.groups.iter_mut().for_each(SimGroup::stepped);
        self.pump(context)
    }

    fn receive(
        &mut self,
        from: NodeId,
        packet: Packet<Core<C>>,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<()> {
        if packet.is_application() {
            let message = packet.bytes().clone();
            self.run(context, |app, context| {
                app.handle_message(from, message, context);
            })?;
            return Ok(());
        }
        if let Some((id, rest)) = frame::group(packet.bytes().clone())
            && let Some(group) = self.group_mut(id)
        {
            group.handle_frame(Instant(context.now), from, rest);
        }
        Ok(())
    }

    /// Polls the groups until they have no more effects, and the application has no more requests; syncs and
    /// tasks take time and complete later.
    fn pump(&mut self, context: &mut sim::Context<Packet<Core<C>>>) -> io::Result<()> {
        let now = Instant(context.now);
        // A real node does this in each turn: a sync may have ended since.
        let durable = self.storage.durable();
        let disk = self.storage.look(now);
        for group in &mut self.groups {
            group.handle_durable(now, durable);
            group.stepped();
            group.set_disk(now, disk);
        }
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "the application never ends its step");
            for group in &mut self.groups {
                group.pump(&mut self.storage, context)?;
            }
            if self.run(context, A::handle_progress)? == 0 {
                break;
            }
        }
        let deadlines = self.groups.iter().filter_map(SimGroup::poll_timeout);
        let others = self.storage.wake().into_iter().chain(self.app_timer);
        context.timer = deadlines.chain(others).map(|at| at.0).min();
        Ok(())
    }

    /// Calls the application, and carries out what it has requested; returns how many requests it made.
    fn run(
        &mut self,
        context: &mut sim::Context<Packet<Core<C>>>,
        call: impl FnOnce(&mut A, &mut AppContext<'_, C>),
    ) -> io::Result<usize> {
        let mut requests = Vec::new();
        let mut app_context = AppContext {
            id: self.id,
            groups: &self.groups,
            context,
            timer: &mut self.app_timer,
            requests: &mut requests,
        };
        call(&mut self.application, &mut app_context);
        let made = requests.len();
        for (id, request) in requests {
            let group = self.groups.iter_mut().find(|group| group.id() == id);
            if let Some(group) = group {
                group.request(request, &mut self.storage, context)?;
            }
        }
        Ok(made)
    }

    /// The sync or task in progress has taken its time: completes it.
    fn finish(&mut self, context: &mut sim::Context<Packet<Core<C>>>) -> io::Result<()> {
        let now = Instant(context.now);
        match self.storage.finish(now)? {
            Finished::Synced => {
                let durable = self.storage.durable();
                for group in &mut self.groups {
                    group.handle_durable(now, durable);
                }
            }
            Finished::Task(id, completion) => {
                if let Some(group) = self.group_mut(id) {
                    group.handle_completion(now, completion)?;
                }
            }
            Finished::Buried(id) => {
                let group = self.groups.iter_mut().find(|group| group.id() == id);
                if let Some(group) = group {
                    group.buried(&mut self.storage)?;
                }
            }
            Finished::Nothing => {}
        }
        self.storage.go_on(context);
        Ok(())
    }

    /// Storage has failed: answers the callers, unless the process itself is dead.
    fn stop(&mut self, now: Instant) {
        if !self.storage.is_dead() {
            self.groups.iter_mut().for_each(|group| group.stop(now));
        }
    }

    /// The application of an incarnation, once its groups are open.
    fn begin(
        id: NodeId,
        seed: u64,
        (storage, mut groups): Opened<C>,
        shared: &C,
        context: &mut sim::Context<Packet<Core<C>>>,
    ) -> io::Result<Self> {
        let (mut app_timer, mut requests) = (None, Vec::new());
        let mut app_context = AppContext {
            id,
            groups: &groups,
            context,
            timer: &mut app_timer,
            requests: &mut requests,
        };
        let application = A::start(shared, seed, &mut app_context);
        let mut storage = storage;
        for (id, request) in requests {
            if let Some(group) = groups.iter_mut().find(|group| group.id() == id) {
                group.request(request, &mut storage, context)?;
            }
        }
        Ok(Self {
            id,
            groups,
            storage,
            application,
            app_timer,
        })
    }
}

impl<C: Cluster, A: Application<C>> sim::Process for SimNode<C, A> {
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
        let (storage, mut groups) = open(&start, shared, now).map_err(|error| {
            let why = WithCauses(&*error).to_string();
            for group in shared.groups(id) {
                shared.witness_of(group, id).refused(&why);
            }
            io::Error::other(error)
        })?;
        groups.iter_mut().for_each(|group| group.started(now));
        let mut node = Self::begin(id, start.seed, (storage, groups), shared, context)?;
        match node.pump(context) {
            Ok(()) => node.groups.iter_mut().for_each(SimGroup::rested),
            Err(error) => {
                let why = WithCauses(&error).to_string();
                node.groups.iter_mut().for_each(|group| group.refused(&why));
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
        self.groups.iter_mut().for_each(|group| group.began(now));
        let done = self.step(event, context);
        match &done {
            Ok(()) => self.groups.iter_mut().for_each(SimGroup::rested),
            Err(error) => {
                self.stop(now);
                let why = WithCauses(error).to_string();
                self.groups.iter_mut().for_each(|group| group.failed(&why));
            }
        }
        done
    }

    fn leads(&self) -> bool {
        self.groups.iter().any(SimGroup::leads)
    }

    fn rot(disk: &sim::Disk, rng: &mut sim::Rng) -> bool {
        rot(disk, rng)
    }
}

impl<C: Cluster, A> fmt::Debug for SimNode<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNode")
            .field("id", &self.id)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// Far more rounds in one step than requests that follow from one another.
const ROUNDS_MAX: u32 = 1 << 16;
const GROUP_SEED: u64 = 0x9e37_79b9_7f4a_7c15;
