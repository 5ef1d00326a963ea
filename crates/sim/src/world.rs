//! The world: nodes, a network and a nemesis in virtual time, all from one seed.

mod lifecycle;
mod nemesis;
mod network;
mod options;
mod process;
mod queue;
mod trace;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use crate::disk::Disk;
use crate::rng::Rng;
use network::Network;
use queue::Queue;
use trace::{Drop, Happening, How, Trace};

pub use options::{WorldOptions, WorldStats};
pub use process::{Context, Event, NodeId, Process, Start};

/// A deterministic simulation of processes that exchange messages, keep disks, and die.
///
/// One thread, one seed, no real time: a queue holds what is going to happen, and
/// [`step`](Self::step) takes the earliest of it, moves the clock there, and lets one process do
/// one step. Equal seeds, options and calls give equal runs, which
/// [`fingerprint`](Self::fingerprint) shows.
///
/// ```text
///  inject ──> queue by time ──> one step of one process ──┬─> messages ──> network ──> queue
///  nemesis ────┘    ^                                     ├─> timer, sync done ──────> queue
///  restarts ────────┘                                     └─> Err: a crash, and later a restart
/// ```
///
/// Invariants:
/// - time never goes back; what falls on the same instant happens in the order in which it was
///   asked for;
/// - a process gets no timer and no sync of an earlier incarnation, but does get messages to one;
/// - a node that is down has no process, and its disk is what the crash left.
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
    nodes: BTreeMap<NodeId, Node<P>>,
    network: Network,
    /// Whether the nemesis strikes.
    faults: bool,
    /// Links cut by the nemesis.
    partition: Vec<(NodeId, NodeId)>,
    nemesis_rng: Rng,
    /// Syncs, crashes, restarts.
    rng: Rng,
    trace: Trace<P::Message>,
    stats: WorldStats,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crash {
    /// As by SIGKILL: what was written is in the page cache and survives.
    Kill,
    /// The node loses power: of what was not synced, a drawn part is gone; see
    /// [`Disk::power_loss`].
    Power,
}

struct Node<P> {
    process: Option<P>,
    disk: Disk,
    rng: Rng,
    incarnation: u64,
    timer: Option<Duration>,
    /// Counts changes of the timer, so that an old entry of the queue is known for what it is.
    timer_version: u64,
    /// The next step ends in a crash.
    doom: Option<Crash>,
    /// The disk is set to die; its death is this kind of crash.
    disk_doom: Option<Crash>,
}

enum Scheduled<P: Process> {
    Message {
        from: NodeId,
        to: NodeId,
        message: P::Message,
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
    NemesisCrash,
    NemesisPatienceEnds {
        node: NodeId,
        incarnation: u64,
    },
    NemesisPartition,
    NemesisHeal,
}

impl<P: Process> World<P> {
    /// A world of `nodes` nodes, numbered from 1, each with an empty disk, all started at time
    /// zero.
    pub fn new(seed: u64, nodes: u64, options: WorldOptions, shared: P::Shared) -> Self {
        let disks = (1..=nodes)
            .map(|id| (NodeId(id), Disk::new(seed ^ id.wrapping_mul(DISK_SEED))))
            .collect();
        Self::with_disks(seed, disks, options, shared)
    }

    /// A world on disks that are given, for example with options of their own or from an earlier
    /// world.
    pub fn with_disks(
        seed: u64,
        disks: BTreeMap<NodeId, Disk>,
        options: WorldOptions,
        shared: P::Shared,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let mut world = Self {
            seed,
            shared,
            now: Duration::ZERO,
            events_now: 0,
            queue: Queue::new(),
            nodes: BTreeMap::new(),
            network: Network::new(rng.fork()),
            faults: true,
            partition: Vec::new(),
            nemesis_rng: rng.fork(),
            rng: rng.fork(),
            trace: Trace::new(options.events_kept_max),
            stats: WorldStats::default(),
            options,
        };
        for (id, disk) in disks {
            world.nodes.insert(id, Node::new(disk, rng.fork()));
        }
        for id in world.node_ids() {
            world.start(id);
        }
        world.schedule_crash();
        world.schedule_partition();
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

    /// Lets the next event happen and tells its time; `None` if nothing is going to happen any
    /// more.
    ///
    /// # Panics
    /// After a million events at one instant: some process asks again and again for what is due at
    /// once, and time stands still.
    pub fn step(&mut self) -> Option<Duration> {
        let (at, scheduled) = self.queue.pop()?;
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
        self.now = at;
        self.stats.events += 1;
        match scheduled {
            Scheduled::Message { from, to, message } => self.deliver(from, to, message),
            Scheduled::Timer { node, version } => self.fire_timer(node, version),
            Scheduled::SyncDone { node, incarnation } => {
                if self
                    .nodes
                    .get(&node)
                    .is_some_and(|node| node.incarnation == incarnation && node.process.is_some())
                {
                    self.trace.note(at, node, Happening::SyncDone);
                    self.execute(node, Event::SyncDone);
                }
            }
            Scheduled::Input { node, input } => self.deliver_input(node, input),
            Scheduled::Restart { node, incarnation } => {
                if self
                    .nodes
                    .get(&node)
                    .is_some_and(|node| node.incarnation == incarnation)
                {
                    self.restart(node);
                }
            }
            Scheduled::NemesisCrash => self.strike_crash(),
            Scheduled::NemesisPatienceEnds { node, incarnation } => {
                self.strike_doomed(node, incarnation);
            }
            Scheduled::NemesisPartition => self.strike_partition(),
            Scheduled::NemesisHeal => self.heal_partition(),
        }
        Some(at)
    }

    /// Lets everything happen that is due until `time`, and moves the clock there.
    pub fn run_until(&mut self, time: Duration) {
        while self.queue.next_at().is_some_and(|at| at <= time) {
            self.step();
        }
        self.now = self.now.max(time);
    }

    /// Runs while `condition` holds, but not beyond `limit`. Tells whether it ceased to hold:
    /// `false` means that the time is over (the clock then stands at `limit`) or that nothing is
    /// going to happen any more.
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

    /// Asks `node` for something, now; it happens with the next steps. If the node is down by then,
    /// the input is dropped.
    pub fn inject(&mut self, node: NodeId, input: P::Input) {
        self.inject_at(self.now, node, input);
    }

    /// Asks at a later time.
    pub fn inject_at(&mut self, at: Duration, node: NodeId, input: P::Input) {
        self.queue
            .push(at.max(self.now), Scheduled::Input { node, input });
    }

    /// From now on nothing comes from `from` to `to`, also what is under way. The other direction
    /// stays.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        if self.network.cut(from, to) {
            self.trace.note(self.now, from, Happening::Cut { to });
        }
    }

    /// Opens the link from `from` to `to` again.
    pub fn heal(&mut self, from: NodeId, to: NodeId) {
        if self.network.heal(from, to) {
            self.trace.note(self.now, from, Happening::Healed { to });
        }
    }

    /// Cuts both directions between `node` and every other node.
    pub fn isolate(&mut self, node: NodeId) {
        for other in self.node_ids().into_iter().filter(|&other| other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Opens every link.
    pub fn heal_all(&mut self) {
        for (from, to) in self.network.cuts() {
            self.heal(from, to);
        }
        self.partition.clear();
    }

    /// Ends all faults for good: nothing is lost, duplicated or cut any more, the nemesis rests,
    /// what was doomed is spared, disks sync, and every node that is down starts at once. Delays
    /// stay.
    pub fn stop_faults(&mut self) {
        self.faults = false;
        self.network.faults = false;
        self.trace.note(self.now, NodeId(0), Happening::FaultsStop);
        self.heal_all();
        for id in self.node_ids() {
            self.spare(id);
            self.restart(id);
        }
    }

    /// The process that runs on `node`, if it is up.
    #[must_use]
    pub fn process(&self, node: NodeId) -> Option<&P> {
        self.nodes.get(&node)?.process.as_ref()
    }

    /// The process that runs on `node`, if it is up, to be changed behind the world's back.
    pub fn process_mut(&mut self, node: NodeId) -> Option<&mut P> {
        self.nodes.get_mut(&node)?.process.as_mut()
    }

    /// The disk of `node`.
    #[must_use]
    pub fn disk(&self, node: NodeId) -> Option<&Disk> {
        Some(&self.nodes.get(&node)?.disk)
    }

    /// All nodes, up or down.
    #[must_use]
    pub fn node_ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// What all processes share.
    #[must_use]
    pub fn shared(&self) -> &P::Shared {
        &self.shared
    }

    /// Counts of what has happened.
    #[must_use]
    pub fn stats(&self) -> WorldStats {
        self.stats
    }

    /// The options, to be changed while the world runs. Crashes and partitions come to pass only if
    /// they were on from the beginning.
    pub fn options_mut(&mut self) -> &mut WorldOptions {
        &mut self.options
    }

    /// The last events as text, oldest first, at most [`WorldOptions::events_kept_max`].
    pub fn last_events(&self) -> impl Iterator<Item = String> {
        self.trace.lines()
    }

    /// A hash of all events so far and of the state of all generators. Two runs that have the same
    /// one did the same.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let mut digest = self.trace.digest();
        (self.now, &self.rng, &self.nemesis_rng, self.stats.events).hash(&mut digest);
        digest.value()
    }
}

/// What a failing test prints: the seed, the options, the counts, and the last events.
impl<P: Process> fmt::Display for World<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {:#x}, {} nodes, at {:?}",
            self.seed,
            self.nodes.len(),
            self.now
        )?;
        writeln!(f, "{:?}", self.options)?;
        writeln!(f, "{:?}", self.stats)?;
        self.last_events()
            .try_for_each(|line| writeln!(f, "{line}"))
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

/// Far more than any step needs, and soon reached by a process that sets a timer in the past again
/// and again.
const EVENTS_AT_ONE_INSTANT_MAX: u64 = 1_000_000;
const DISK_SEED: u64 = 0xa076_1d64_78bd_642f;
