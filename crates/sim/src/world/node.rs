//! A node: a disk, clocks and an address, on which successive processes run.

use std::time::Duration;

use crate::disk::Disk;
use crate::rng::Rng;
use crate::world::Scheduled;
use crate::world::clock::Clock;
use crate::world::fault::Crash;
use crate::world::process::{NodeId, Process};

pub(super) struct Node<P: Process> {
    pub(super) id: NodeId,
    pub(super) process: Option<P>,
    pub(super) disk: Disk,
    pub(super) clock: Clock,
    /// For seeds of processes, times of syncs and restarts, and prefixes of messages sent before a
    /// crash.
    pub(super) rng: Rng,
    pub(super) incarnation: u64,
    /// By the node's monotonic clock.
    pub(super) timer: Option<Duration>,
    /// True time of the one entry of the queue that is going to look at the timer. It may come too
    /// early, when the timer has been moved back since, and then another one is made.
    pub(super) timer_entry: Option<Duration>,
    /// Counts those entries, so that an old one is known for what it is.
    pub(super) timer_version: u64,
    /// How long the next sync takes, once it is drawn.
    pub(super) sync_delay: Option<Duration>,
    /// The next step ends in a crash.
    pub(super) doom: Option<Doom>,
    /// The disk is set to die, and this is what its death is.
    pub(super) disk_doom: Option<Doom>,
    pub(super) paused_until: Option<Duration>,
    /// Events that arrived while the process was paused.
    pub(super) backlog: Vec<Scheduled<P>>,
    pub(super) stalled_until: Option<Duration>,
    /// Incarnations whose syncs wait for the end of the stall.
    pub(super) stalled_syncs: Vec<u64>,
    pub(super) full_until: Option<Duration>,
    /// The nemesis may let the disk rot.
    pub(super) may_rot: bool,
    pub(super) rotted: bool,
    /// Outside of the healed core: it does not restart by itself.
    pub(super) left_outside: bool,
}

/// A pending crash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doom {
    pub(super) crash: Crash,
    /// How long the node stays down then.
    pub(super) down: Option<Duration>,
}

impl<P: Process> Node<P> {
    pub(super) fn new(id: NodeId, disk: Disk, rng: Rng) -> Self {
        Self {
            id,
            process: None,
            disk,
            clock: Clock::new(),
            rng,
            incarnation: 0,
            timer: None,
            timer_entry: None,
            timer_version: 0,
            sync_delay: None,
            doom: None,
            disk_doom: None,
            paused_until: None,
            backlog: Vec::new(),
            stalled_until: None,
            stalled_syncs: Vec::new(),
            full_until: None,
            may_rot: false,
            rotted: false,
            left_outside: false,
        }
    }

    /// Whether it is up and stays so, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.process.is_some() && self.doom.is_none() && self.disk_doom.is_none()
    }
}
