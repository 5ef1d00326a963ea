//! The processes of a world: their events and effects.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::io;
use std::time::Duration;

use crate::disk::Disk;
use crate::rng::Rng;
use crate::world::clock::WALL_START;

/// A node of the world: a place with a disk and an address, where one process after the other runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// The program that runs on every node.
///
/// It must be deterministic: it takes randomness from [`Start::seed`], the time from
/// [`Context::now`] and [`Context::wall`], and keeps durable state on its [`Disk`].
///
/// An `Err` out of [`start`](Self::start) or [`handle`](Self::handle) is a crash: the world drops
/// the process, keeps its disk, and starts another one on it later. A dead disk ends its process in
/// the same way.
pub trait Process: Sized {
    /// What processes send one another.
    type Message: Clone + Debug + Hash;
    /// What a client or a test asks of a process.
    type Input: Debug;
    /// State shared by all processes of a world: configuration, and for example the history that
    /// they report outcomes to.
    type Shared;

    /// Begins, on a disk that may hold what earlier incarnations left there.
    ///
    /// # Errors
    /// Any error: the process does not come up.
    fn start(
        start: Start,
        shared: &Self::Shared,
        context: &mut Context<Self::Message>,
    ) -> io::Result<Self>;

    /// Handles one event.
    ///
    /// # Errors
    /// Any error: the process has crashed.
    fn handle(
        &mut self,
        event: Event<Self::Message, Self::Input>,
        context: &mut Context<Self::Message>,
    ) -> io::Result<()>;

    /// Whether it considers itself the leader, which a partition may isolate. Default: `false`.
    fn leads(&self) -> bool {
        false
    }

    /// Corrupts bits of a disk, by [`Disk::flip`], where this process guarantees to survive or
    /// detect it; returns whether any were. The process may be up or down. Default: corrupts
    /// nothing.
    fn rot(_disk: &Disk, _rng: &mut Rng) -> bool {
        false
    }
}

/// The arguments of a starting process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Start {
    /// Where it runs.
    pub id: NodeId,
    /// The node's disk.
    pub disk: Disk,
    /// The number of this process on its node, from 1.
    pub incarnation: u64,
    /// The seed for the process's own randomness; different in each incarnation.
    pub seed: u64,
    /// Whether the run is [recorded](crate::page): state kept only for display is needed only then.
    pub recorded: bool,
}

/// An event for a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<M, I> {
    /// A message arrived. It may be late, a duplicate, or older than the incarnation that receives
    /// it.
    Message {
        /// The sender.
        from: NodeId,
        /// What it sent.
        message: M,
    },
    /// The deadline in [`Context::timer`] has come. No timer is set now.
    Timer,
    /// The time in [`Context::sync_at`] has come.
    SyncDone,
    /// An input from a client or the test.
    Input(I),
}

/// The inputs from the world and the effects of one step.
///
/// A crash in the step keeps a drawn prefix of `sent` and nothing else, so that "between the sync
/// and the sends" is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context<M> {
    /// What the node's monotonic clock shows: the time since the world began, but for the errors
    /// of the clock. It never goes back, not even from one incarnation to the next.
    pub now: Duration,
    /// What the node's wall clock shows, since the epoch of Unix. It may be wrong, and be set
    /// forward and back; [`World::true_wall`](crate::World::true_wall) is what it should show.
    pub wall: Duration,
    /// The true virtual time since the world began, which no clock shows. It is for observers, such
    /// as the times of a [`History`](crate::History); a process must not depend on it.
    pub true_now: Duration,
    /// Messages to send, in order. Sending to oneself goes through the network too.
    pub sent: Vec<(NodeId, M)>,
    /// The one deadline of this process, by its monotonic clock. It holds what is set already, is
    /// taken over after the step, and one that has passed fires at once.
    pub timer: Option<Duration>,
    /// Asks for one [`Event::SyncDone`] at this time, beside those asked for before: this is how a
    /// sync takes time. The process starts one by setting this, goes on with other events, and
    /// really syncs its disk when the event comes. What the clock counts meanwhile does not matter:
    /// the sync takes as long as this is ahead of `now`.
    pub sync_at: Option<Duration>,
    /// How long a sync that starts now takes, drawn by the world.
    pub sync_delay: Duration,
}

impl<M> Context<M> {
    /// A context outside of any world, for unit tests of a process's steps.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            now,
            wall: WALL_START.saturating_add(now),
            true_now: now,
            sent: Vec::new(),
            timer: None,
            sync_at: None,
            sync_delay: Duration::ZERO,
        }
    }

    /// Sends `message`.
    pub fn send(&mut self, to: NodeId, message: M) {
        self.sent.push((to, message));
    }

    /// Starts a sync with the duration drawn by the world.
    pub fn start_sync(&mut self) {
        self.sync_at = Some(self.now + self.sync_delay);
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
