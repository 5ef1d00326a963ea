//! What lives in a world: processes, what happens to them, and what they do about it.

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
/// It must be a function of what it is given: it draws from [`Start::seed`], reads the time from
/// [`Context::now`] and [`Context::wall`], and keeps what shall survive on its [`Disk`].
///
/// An `Err` out of [`start`](Self::start) or [`handle`](Self::handle) is a crash: the world drops
/// the process, keeps its disk, and starts another one on it when it likes. A disk that dies under
/// the process ends it in the same way.
pub trait Process: Sized {
    /// What processes send one another.
    type Message: Clone + Debug + Hash;
    /// What a client or a test asks of a process.
    type Input: Debug;
    /// What all processes of a world know: configuration, and for example the history that they
    /// report outcomes to.
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

    /// One step: something happened.
    ///
    /// # Errors
    /// Any error: the process has crashed.
    fn handle(
        &mut self,
        event: Event<Self::Message, Self::Input>,
        context: &mut Context<Self::Message>,
    ) -> io::Result<()>;

    /// Whether it believes to lead the others: a partition may single it out. Nobody does unless
    /// the process says so.
    fn leads(&self) -> bool {
        false
    }

    /// Lets bits of a disk rot, by [`Disk::flip`], where this process promises to survive or to
    /// notice it; tells whether any did. The process may be up or down meanwhile. Nothing rots
    /// unless the process says so.
    fn rot(_disk: &Disk, _rng: &mut Rng) -> bool {
        false
    }
}

/// What a process is born with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Start {
    /// Where it runs.
    pub id: NodeId,
    /// The node's disk.
    pub disk: Disk,
    /// How many processes ran here before, plus one.
    pub incarnation: u64,
    /// For the process's own draws; another one for each incarnation.
    pub seed: u64,
    /// Whether somebody [records](crate::page) the run: what a process keeps only to be shown, it
    /// keeps only then.
    pub recorded: bool,
}

/// What happens to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<M, I> {
    /// A message came. It may be late, come twice, or be older than the incarnation that receives
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
    /// A client or the test asks.
    Input(I),
}

/// What one step reads from the world and does to it.
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
    /// What neither clock knows: virtual time since the world began. It is there for what observers
    /// note, such as the times of a [`History`](crate::History); a process that acts by it cheats.
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
    /// A context outside of any world, to test a process's steps by hand.
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

    /// Starts a sync that takes as long as the world has drawn.
    pub fn start_sync(&mut self) {
        self.sync_at = Some(self.now + self.sync_delay);
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
