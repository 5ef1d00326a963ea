//! The world: nodes, a network and a nemesis in virtual time, all from one seed.

mod clock;
mod delivery;
mod fault;
mod heal;
mod lifecycle;
mod nemesis;
mod network;
mod node;
mod options;
mod partition;
mod process;
mod queue;
mod recording;
mod script;
mod stats;
mod story;
mod strike;
mod swarm;
mod trace;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use crate::campaign;
use crate::disk::Disk;
use crate::page::MessageId;
use crate::rng::Rng;
use nemesis::Nemesis;
use network::Link;
use node::{Doom, Node};
use queue::Queue;
use recording::Recording;
use trace::{EVERYWHERE, Ending, Happening, How, Trace, Why};

pub use fault::{ClockChange, Crash, Fault, FaultKind, Strike};
pub use options::WorldOptions;
pub use process::{Context, Event, NodeId, Process, Start};
pub(crate) use script::time as parse_time;
pub use script::{Script, ScriptError};
pub use stats::WorldStats;
pub use swarm::Swarm;

/// A deterministic simulation of processes that exchange messages, write to disks, and crash.
///
/// It uses one thread, one seed and no real time: a queue holds future events, and
/// [`step`](Self::step) takes the earliest one, advances the clock to it, and runs one step of one
/// process. Equal seeds, options and calls give equal runs, which
/// [`fingerprint`](Self::fingerprint) shows.
///
/// ```text
///  inject ──> queue by time ──> one step of one process ──┬─> messages ──> network ──> queue
///  nemesis ────┘    ^                                     ├─> timer, sync done ──────> queue
///  restarts ────────┘                                     └─> Err: a crash, and later a restart
/// ```
///
/// Invariants:
/// - time never goes back; events of the same instant happen in the order in which they were
///   queued;
/// - a process receives no timer or sync of an earlier incarnation, but does receive messages
///   addressed to one;
/// - a node that is down has no process, and its disk is as the crash left it.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use synod_sim::{Context, Event, NodeId, Process, Start, World, WorldOptions};
///
/// /// Counts what it receives and sends every other one back.
/// struct Echo(u32);
///
/// impl Process for Echo {
///     type Message = u32;
///     type Input = NodeId;
///     type Shared = ();
///     fn start(_: Start, _: &(), _: &mut Context<u32>) -> io::Result<Self> {
///         Ok(Self(0))
///     }
///     fn handle(&mut self, event: Event<u32, NodeId>, context: &mut Context<u32>) -> io::Result<()> {
///         match event {
///             Event::Input(to) => context.send(to, 5),
///             Event::Message { from, message } => {
///                 self.0 += 1;
///                 if message > 0 {
///                     context.send(from, message - 1);
///                 }
///             }
///             _ => {}
///         }
///         Ok(())
///     }
/// }
///
/// let mut world = World::<Echo>::new(42, 2, WorldOptions::default(), ());
/// world.inject(NodeId(1), NodeId(2));
/// world.run_until(Duration::from_secs(1));
/// assert_eq!(world.process(NodeId(2)).map(|echo| echo.0), Some(3));
/// ```
pub struct World<P: Process> {
    seed: u64,
    options: WorldOptions,
    shared: P::Shared,
    now: Duration,
    events_now: u64,
    queue: Queue<Scheduled<P>>,
    /// By id.
    nodes: Vec<Node<P>>,
    /// From each node to each node, row by row.
    links: Vec<Link<Scheduled<P>>>,
    /// Whether the nemesis strikes.
    faults: bool,
    nemesis: Nemesis,
    struck: Vec<(Duration, Fault)>,
    trace: Trace<P::Message>,
    stats: WorldStats,
    /// Buffers for the messages of the next step and the text of the next input.
    outbox: Vec<(NodeId, P::Message)>,
    text: String,
    /// The recorder, if the run is recorded.
    recording: Option<Box<Recording<P>>>,
}

enum Scheduled<P: Process> {
    Message {
        from: NodeId,
        to: NodeId,
        message: P::Message,
        recorded: Option<MessageId>,
    },
    /// A message that has come to its node, to be handled now.
    Received {
        from: NodeId,
        to: NodeId,
        message: P::Message,
        recorded: Option<MessageId>,
    },
    Timer {
        node: NodeId,
        version: u64,
    },
    SyncDone {
        node: NodeId,
        incarnation: u64,
    },
    Input {
        node: NodeId,
        input: P::Input,
    },
    Restart {
        node: NodeId,
        incarnation: u64,
    },
    /// The nemesis draws a fault of this kind.
    Nemesis(FaultKind),
    /// A fault that was drawn or written before.
    Strike(Box<Fault>),
    /// A doomed node that has not crashed yet crashes now.
    StrikeExpires {
        node: NodeId,
        incarnation: u64,
    },
    Ends(Ending),
}

impl<P: Process> World<P> {
    /// A world of `nodes` nodes, numbered from 1, each with an empty disk, all started at time
    /// zero.
    ///
    /// The world draws from forks of `Rng::new(seed)`. A test that needs its own generator must
    /// derive it from a changed seed, such as `Rng::new(!seed)`, or it gets the draws of the first
    /// node.
    pub fn new(seed: u64, nodes: u64, options: WorldOptions, shared: P::Shared) -> Self {
        Self::with_disks(seed, Self::empty_disks(seed, nodes), options, shared)
    }

    fn empty_disks(seed: u64, nodes: u64) -> BTreeMap<NodeId, Disk> {
        (1..=nodes)
            .map(|id| (NodeId(id), Disk::new(seed ^ id.wrapping_mul(DISK_SEED))))
            .collect()
    }

    /// A world on disks that are given, for example with options of their own or from an earlier
    /// world.
    pub fn with_disks(
        seed: u64,
        disks: BTreeMap<NodeId, Disk>,
        options: WorldOptions,
        shared: P::Shared,
    ) -> Self {
        Self::build(seed, disks, options, shared, None)
    }

    fn build(
        seed: u64,
        disks: BTreeMap<NodeId, Disk>,
        options: WorldOptions,
        shared: P::Shared,
        recording: Option<Box<Recording<P>>>,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let mut nodes: Vec<_> = disks
            .into_iter()
            .map(|(id, disk)| Node::new(id, disk, rng.fork()))
            .collect();
        let links = (0..nodes.len() * nodes.len())
            .map(|_| Link::new(rng.fork()))
            .collect();
        let mut nemesis = Nemesis::new(rng.fork());
        nemesis.set_clocks(&options, nodes.iter_mut().map(|node| &mut node.clock));
        nemesis.choose_rotting(&options, &mut nodes);
        let mut world = Self {
            seed,
            shared,
            now: Duration::ZERO,
            events_now: 0,
            queue: Queue::new(),
            nodes,
            links,
            faults: true,
            nemesis,
            struck: Vec::new(),
            trace: Trace::new(options.events_kept_max),
            stats: WorldStats::default(),
            outbox: Vec::new(),
            text: String::new(),
            recording,
            options,
        };
        for index in 0..world.nodes.len() {
            world.start(index);
        }
        world.schedule_faults();
        world
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When the next event is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Duration> {
        self.queue.next_at()
    }

    /// Processes the next event and returns its time; `None` if there are no more events.
    ///
    /// # Panics
    /// After a million events at one instant, when some process keeps requesting events that are
    /// due at once. And when a million events are queued, when messages multiply, as they do if
    /// each one is answered and the network duplicates some.
    pub fn step(&mut self) -> Option<Duration> {
        let (at, ticket, scheduled) = self.queue.pop()?;
        assert!(at >= self.now, "time never goes back");
        self.events_now = if at == self.now {
            self.events_now + 1
        } else {
            0
        };
        assert!(
            self.events_now < EVENTS_AT_ONE_INSTANT_MAX,
            "virtual time stands still at {at:?}\n{self}"
        );
        assert!(
            self.queue.len() < QUEUED_MAX,
            "a million events wait at {at:?}\n{self}"
        );
        self.now = at;
        self.stats.events += 1;
        match scheduled {
            Scheduled::Message {
                from,
                to,
                message,
                recorded,
            } => self.arrive(ticket, from, to, (message, recorded)),
            Scheduled::Received {
                from,
                to,
                message,
                recorded,
            } => self.receive(from, to, (message, recorded)),
            Scheduled::Timer { node, version } => self.fire_timer(node, version),
            Scheduled::SyncDone { node, incarnation } => self.end_sync(node, incarnation),
            Scheduled::Input { node, input } => self.deliver_input(node, input),
            Scheduled::Restart { node, incarnation } => self.come_back(node, incarnation),
            Scheduled::Nemesis(kind) => self.draw_faults(kind),
            Scheduled::Strike(fault) => self.strike_and_record(*fault),
            Scheduled::StrikeExpires { node, incarnation } => self.expire_strike(node, incarnation),
            Scheduled::Ends(ending) => self.end_fault(ending),
        }
        Some(at)
    }

    /// Processes all events up to `time`, and advances the clock to it.
    pub fn run_until(&mut self, time: Duration) {
        while self.queue.next_at().is_some_and(|at| at <= time) {
            self.step();
        }
        self.now = self.now.max(time);
    }

    /// Runs while `condition` holds, but not beyond `limit`. Returns whether it ceased to hold:
    /// `false` means that the limit was reached (the clock is then at `limit`) or that there are no
    /// more events.
    pub fn run_while(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        while condition(self) {
            match self.queue.next_at() {
                Some(at) if at <= limit => self.step(),
                _ => {
                    self.now = self.now.max(limit);
                    return false;
                }
            };
        }
        true
    }

    /// Submits an input to `node` now; it is handled in the next steps. If the node is down by
    /// then, the input is dropped.
    pub fn inject(&mut self, node: NodeId, input: P::Input) {
        self.inject_at(self.now, node, input);
    }

    /// Submits an input at a later time.
    pub fn inject_at(&mut self, at: Duration, node: NodeId, input: P::Input) {
        self.queue
            .push(at.max(self.now), Scheduled::Input { node, input });
    }

    /// The process that runs on `node`, if it is up.
    #[must_use]
    pub fn process(&self, node: NodeId) -> Option<&P> {
        self.nodes[self.index(node)?].process.as_ref()
    }

    /// Mutable access to the process on `node`, if it is up, outside of the simulation.
    pub fn process_mut(&mut self, node: NodeId) -> Option<&mut P> {
        let index = self.index(node)?;
        self.nodes[index].process.as_mut()
    }

    /// The disk of `node`.
    #[must_use]
    pub fn disk(&self, node: NodeId) -> Option<&Disk> {
        Some(&self.nodes[self.index(node)?].disk)
    }

    /// The monotonic clock of `node`.
    #[must_use]
    pub fn local_now(&self, node: NodeId) -> Option<Duration> {
        Some(self.nodes[self.index(node)?].clock.local(self.now))
    }

    /// The wall clock of `node`, since the Unix epoch.
    #[must_use]
    pub fn wall(&self, node: NodeId) -> Option<Duration> {
        Some(self.nodes[self.index(node)?].clock.wall(self.now))
    }

    /// The true wall-clock time.
    #[must_use]
    pub fn true_wall(&self) -> Duration {
        clock::WALL_START + self.now
    }

    /// Whether anything on the disk of `node` has rotted.
    #[must_use]
    pub fn has_rotted(&self, node: NodeId) -> bool {
        self.index(node)
            .is_some_and(|index| self.nodes[index].rotted)
    }

    /// All nodes, up or down.
    #[must_use]
    pub fn node_ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// The faults injected by the nemesis or the script, in order: a [`Script`] of them injects the
    /// same ones again. Faults injected by the test itself are not included.
    #[must_use]
    pub fn faults(&self) -> &[(Duration, Fault)] {
        &self.struck
    }

    /// The state shared by all processes.
    #[must_use]
    pub fn shared(&self) -> &P::Shared {
        &self.shared
    }

    /// Counts of what has happened.
    #[must_use]
    pub fn stats(&self) -> WorldStats {
        self.stats
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// The options, to be changed while the world runs. Faults drawn by the nemesis, and a script,
    /// only take effect if they were set from the beginning.
    pub fn options_mut(&mut self) -> &mut WorldOptions {
        &mut self.options
    }

    /// The last events as text, oldest first, at most [`WorldOptions::events_kept_max`].
    pub fn last_events(&self) -> impl Iterator<Item = String> {
        self.trace.events().map(ToString::to_string)
    }

    /// A hash of all events so far, of what the disks have done, and of the state of the generators.
    /// Two runs that have the same one did the same, whether the nemesis drew their faults or a script named them.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let mut digest = self.trace.digest();
        self.now.hash(&mut digest);
        for node in &self.nodes {
            node.rng.hash(&mut digest);
            node.disk.hash_past(&mut digest);
        }
        self.links
            .iter()
            .for_each(|link| link.rng().hash(&mut digest));
        digest.value()
    }

    /// The index of `node` in the list of nodes.
    fn index(&self, node: NodeId) -> Option<usize> {
        // Nodes are numbered from 1, unless disks with other numbers were given.
        let guess = node.0.wrapping_sub(1) as usize;
        if self.nodes.get(guess).is_some_and(|found| found.id == node) {
            return Some(guess);
        }
        self.nodes.binary_search_by_key(&node, |node| node.id).ok()
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> Option<&mut Link<Scheduled<P>>> {
        let (from, to) = (self.index(from)?, self.index(to)?);
        let row = self.nodes.len();
        Some(&mut self.links[from * row + to])
    }
}

/// For failing tests: the seed, the options, the counts, and the last events.
impl<P: Process> fmt::Display for World<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {:#x}, {} nodes, at {:?}",
            self.seed,
            self.nodes.len(),
            self.now
        )?;
        writeln!(f, "{}", self.options)?;
        writeln!(f, "{:?}", self.stats)?;
        self.last_events()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A world that is dropped by a panic under a [campaign](crate::Campaign) reports its last events.
impl<P: Process> Drop for World<P> {
    fn drop(&mut self) {
        if campaign::is_watched() {
            campaign::leave_last_words(self.to_string(), &self.struck, self.now);
        }
    }
}

impl<P: Process> fmt::Debug for World<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// Far more than any step needs, and quickly reached by a process that keeps setting timers in the
/// past.
const EVENTS_AT_ONE_INSTANT_MAX: u64 = 1_000_000;
const QUEUED_MAX: usize = 1_000_000;
const DISK_SEED: u64 = 0xa076_1d64_78bd_642f;
