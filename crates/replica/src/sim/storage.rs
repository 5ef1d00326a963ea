//! A node's one log, and the work on it that takes time.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use synod_sim as sim;
use synod_wal::{GroupId, Lsn, Op, Wal};

use super::disk::SimDisk;
use super::packet::Packet;
use crate::log::{Log, LogError, LogSpace, Room};
use crate::protocol::{DiskHealth, Protocol};
use crate::task::{Completion, Task};
use crate::time::Instant;

/// The log that all groups of a node share. A sync takes the time that the world draws, and so do storage
/// tasks, one after the other.
pub(super) struct Storage<P: Protocol> {
    log: Wal<SimDisk>,
    pub(super) space: LogSpace,
    pub(super) record_bytes_max: usize,
    /// Syncs and tasks in order; the first is in progress, and the others wait for it.
    later: VecDeque<Later<P>>,
    room: Room,
    /// When the first of them began.
    began: Duration,
    /// How long a sync takes, smoothed over the last ones.
    sync_time: Duration,
}

/// Storage work that takes time.
#[derive(Debug)]
enum Later<P: Protocol> {
    Sync,
    Task(GroupId, Task<P>),
    /// The sync of a tombstone.
    Bury(GroupId),
}

/// What has been done.
pub(super) enum Finished<P: Protocol> {
    /// A sync.
    Synced,
    /// A task of this group.
    Task(GroupId, Completion<P>),
    /// The tombstone of this group is durable, and its files can be deleted.
    Buried(GroupId),
    /// Nothing was in progress.
    Nothing,
}

impl<P: Protocol> Storage<P> {
    pub(super) fn new(log: Wal<SimDisk>, space: LogSpace) -> Self {
        Self {
            record_bytes_max: Log::record_bytes_max(&log),
            log,
            space,
            later: VecDeque::new(),
            room: Room::default(),
            began: Duration::ZERO,
            sync_time: Duration::ZERO,
        }
    }

    pub(super) fn log(&mut self) -> &mut Wal<SimDisk> {
        &mut self.log
    }

    pub(super) fn is_dead(&self) -> bool {
        self.log.disk().0.is_dead()
    }

    pub(super) fn durable(&self) -> Lsn {
        self.log.durable()
    }

    /// The health of the disk; and tells the engines how much space is left.
    pub(super) fn look(&mut self, now: Instant) -> DiskHealth {
        let log = &mut self.log;
        let health = DiskHealth {
            has_room: self.room.look(now, || Log::has_room(log)),
            sync_time: self.sync_time,
        };
        self.space
            .set(Log::room_bytes(&self.log), self.log.takes_a_record());
        health
    }

    /// When to look again whether there is room.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.room.wake()
    }

    pub(super) fn append(&mut self, group: GroupId, ops: &[Op<'_>]) -> Result<Lsn, LogError> {
        Log::append(&mut self.log, group, &mut ops.iter().copied())
    }

    /// Begins a sync of what was appended, unless one that has not begun covers it too.
    pub(super) fn sync(&mut self, context: &mut sim::Context<Packet<P>>) {
        let mut waiting = self.later.iter().skip(1);
        if !waiting.any(|later| matches!(later, Later::Sync)) {
            self.begin(Later::Sync, context);
        }
    }

    pub(super) fn task(
        &mut self,
        group: GroupId,
        task: Task<P>,
        context: &mut sim::Context<Packet<P>>,
    ) {
        self.begin(Later::Task(group, task), context);
    }

    /// Begins the sync of a tombstone, when the tasks before it have ended.
    pub(super) fn bury(&mut self, group: GroupId, context: &mut sim::Context<Packet<P>>) {
        self.begin(Later::Bury(group), context);
    }

    fn begin(&mut self, later: Later<P>, context: &mut sim::Context<Packet<P>>) {
        if self.later.is_empty() {
            self.began = context.now;
            context.start_sync();
        }
        self.later.push_back(later);
    }

    /// The sync or task in progress has taken its time: does it.
    pub(super) fn finish(&mut self, now: Instant) -> io::Result<Finished<P>> {
        Ok(match self.later.pop_front() {
            Some(Later::Sync) => {
                let took = now.0.saturating_sub(self.began);
                self.sync_time = (self.sync_time * 3 + took) / 4;
                self.log.sync().map_err(io::Error::other)?;
                Finished::Synced
            }
            Some(Later::Task(group, task)) => {
                let (reader, snapshots) = (Log::reader(&self.log), Log::snapshots(&self.log));
                Finished::Task(group, task.run(group, &*reader, &*snapshots))
            }
            Some(Later::Bury(group)) => {
                self.log.sync().map_err(io::Error::other)?;
                Finished::Buried(group)
            }
            None => Finished::Nothing,
        })
    }

    /// Begins what waited for it.
    pub(super) fn go_on(&mut self, context: &mut sim::Context<Packet<P>>) {
        if !self.later.is_empty() {
            self.began = context.now;
            context.start_sync();
        }
    }
}
