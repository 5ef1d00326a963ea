//! A node: one replica of one shard, a clock, and perhaps a leader.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::Instant;
use synod_replica::{Applying, StateMachine};
use synod_spanner::{Applied, Doubt, Leader, Promise, SafeTime, Shard, ShardId};
use synod_truetime::{NamedFloor, Timestamp};

use super::run::Wire;
use crate::bank::clock::{Clock, Reading};

/// A command on its way into the log, or in it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Which leader proposed it; each attempt to lead counts as one.
    pub(super) by: u64,
    pub(super) number: u64,
    pub(super) command: Bytes,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) shard: ShardId,
    pub(super) clock: Clock,
    pub(super) floor: NamedFloor,
    pub(super) doubt: Doubt,
    pub(super) machine: Shard,
    /// How much of the log it has applied.
    pub(super) next: usize,
    pub(super) safe: SafeTime,
    pub(super) leader: Option<(u64, Leader)>,
    /// Its last attempt to lead.
    pub(super) took: u64,
    pub(super) pending: VecDeque<Entry>,
    /// The leader of whom a command is lost.
    pub(super) lost: Option<u64>,
    /// On its disk, with what it has applied.
    pub(super) snapshot: (Vec<u8>, usize),
    /// It has read its clock and taken a message, and does nothing else until it goes on.
    pub(super) paused: Option<(Reading, Wire)>,
    /// The greatest timestamp at which a read was served here, by how much of the log was applied then.
    pub(super) served: BTreeMap<usize, Timestamp>,
}

impl Node {
    pub(super) fn new(id: u64, shard: ShardId, clock: Clock) -> Self {
        let machine = Shard::default();
        let mut snapshot = Vec::new();
        Shard::write(machine.freeze(), &mut snapshot).unwrap();
        Self {
            shard,
            clock,
            floor: NamedFloor::new(id),
            doubt: Doubt::new(id, 3, Duration::from_secs(60)),
            machine,
            next: 0,
            safe: SafeTime::default(),
            leader: None,
            took: 0,
            pending: VecDeque::new(),
            lost: None,
            snapshot: (snapshot, 0),
            paused: None,
            served: BTreeMap::new(),
        }
    }

    pub(super) fn read_clock(&mut self, us: i64) -> Reading {
        let local = Instant(Duration::from_micros(us.unsigned_abs()));
        self.clock.read(us, local, &mut self.floor)
    }

    /// The greatest timestamp at which it has served a read before it applied more.
    pub(super) fn served(&self) -> Option<Timestamp> {
        let served = self.served.range(..=self.next);
        served.map(|(_, served)| *served).max()
    }

    pub(super) fn apply(&mut self, entry: &Entry) -> Applied {
        self.next += 1;
        let place = Applying {
            index: self.next as u64,
            offset: 0,
        };
        let applied = self.machine.apply(place, entry.command.clone());
        self.safe.handle_applied(self.machine.state());
        applied
    }

    /// Whether too many others contradict its clock.
    pub(super) fn is_doubted(&self, us: i64) -> bool {
        self.doubt
            .is_too_great(Instant(Duration::from_micros(us.unsigned_abs())))
    }

    pub(super) fn has_served(&mut self, at: Timestamp) {
        let served = self.served.entry(self.next).or_insert(at);
        *served = at.max(*served);
    }

    pub(super) fn promised(&mut self, promise: Promise) {
        self.safe.handle_promise(promise, self.machine.state());
    }

    pub(super) fn write_snapshot(&mut self) {
        let mut bytes = Vec::new();
        Shard::write(self.machine.freeze(), &mut bytes).unwrap();
        self.snapshot = (bytes, self.next);
    }

    /// Takes a snapshot in place of what it has, from its own disk or from another node.
    pub(super) fn restore(&mut self, snapshot: &(Vec<u8>, usize)) {
        self.machine = Shard::default();
        self.machine.restore(&mut &snapshot.0[..]).unwrap();
        self.next = snapshot.1;
        self.snapshot = snapshot.clone();
    }

    /// All that is in memory is gone; what it has proposed may still arrive.
    pub(super) fn crash(&mut self) {
        self.leader = None;
        self.paused = None;
        self.took = 0;
        self.safe = SafeTime::default();
        let snapshot = std::mem::take(&mut self.snapshot);
        self.restore(&snapshot);
    }
}
