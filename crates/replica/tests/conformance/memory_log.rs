//! A different kind of log: records in memory, a number of which are "on disk". It can complete its
//! syncs later, on another thread, and it can have a bug.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use synod_replica::conformance::{LogStore, Unsupported};
use synod_replica::{
    GroupId, Log, LogError, LogReader, LogStats, Position, Recovered, SnapshotStore,
};
use synod_wal::{Lsn, Mark, Op, Slot, Tag};

use crate::memory_snapshots::{Shelf, ShelfState};

/// The bugs that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    ForgetsTruncations,
    TruncatesOneTooFew,
    LosesTheTailBehindDurable,
    DurableBeforeTheSync,
    TearsRecords,
    KeepsGroupsApartInPowerLoss,
    RestartsNumbers,
    InventsAState,
    FailsToSyncNothing,
    RefusesLongRecords,
    LosesARecordNowAndThen,
    FirstPutWins,
    FillsGaps,
    DropsEmptyBodies,
    SortsRecords,
    /// The slots of a record come before its start, and a start after the end resets the log.
    StartsBehindItsSlots,
    StartKeepsSlots,
    StartForgetsItsTag,
    TruncationTakesTheState,
    MixesGroups,
    StreamsBackwards,
    LosesLongStreams,
    ReadsNothingBelowTheBound,
    ReadsBeyondTheBound,
    ReadsBeforeTheStart,
    ReadersSeeHalfWrittenSlots,
    SyncsAgainAfterAFailure,
    SnapshotsOfAllGroups,
    OldestSnapshotIsRecovered,
    FailedWriterLeavesASnapshot,
    UnsyncedSnapshots,
    BelievesParts,
    IgnoresSeals,
    BelievesAnyByte,
    TakesTrailingBytes,
    MixesParts,
    CutsLargeSnapshots,
    ReceivedIsNotDurable,
    BelievesDamage,
    PromisesTooMuchRoom,
    HasRoomOnAFullMedium,
    TakesHalfOfARecord,
    HasNoRoomEverAgain,
}

/// The medium of the log.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
    snapshots: Arc<Mutex<ShelfState>>,
    bug: Option<Bug>,
    later: bool,
}

#[derive(Default)]
struct Shared {
    records: Vec<(u64, Vec<OwnedOp>)>,
    /// How many of the records survive a power loss.
    durable: usize,
    /// What `durable` reports.
    told: u64,
    groups: BTreeMap<u64, Group>,
    failing: bool,
    /// The bytes left on a full medium.
    left: Option<u64>,
    syncs: u64,
    bytes: u64,
    power_losses: usize,
    lives: usize,
}

#[derive(Clone, Default)]
struct Group {
    state: Option<Tag>,
    start: Position,
    slots: BTreeMap<u64, (Tag, Bytes)>,
}

#[derive(Clone)]
enum OwnedOp {
    State(Tag),
    Truncate(u64),
    Put(u64, Tag, Bytes),
    Start(u64, Tag),
}

impl MemoryStore {
    pub(crate) fn new(bug: Option<Bug>, later: bool) -> Self {
        Self {
            shared: Arc::default(),
            snapshots: Arc::default(),
            bug,
            later,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogStore for MemoryStore {
    type Log = MemoryLog;

    fn open(&mut self) -> MemoryLog {
        MemoryLog::open(self)
    }

    fn lose_power(&mut self) -> Result<(), Unsupported> {
        let mut shared = self.lock();
        shared.power_losses += 1;
        let (durable, all, losses) = (shared.durable, shared.records.len(), shared.power_losses);
        // Some of what was not synced survives, a different number each time.
        let mut kept = durable + losses % (all - durable + 1);
        if self.bug == Some(Bug::LosesTheTailBehindDurable) && kept == durable {
            kept = kept.saturating_sub(1);
        }
        let lost = shared.records.split_off(kept);
        match (self.bug, lost.first()) {
            (Some(Bug::TearsRecords), Some((group, ops))) if ops.len() > 1 => {
                shared.records.push((*group, ops[..1].to_vec()));
            }
            (Some(Bug::KeepsGroupsApartInPowerLoss), Some((first, _))) => {
                let others = lost.iter().filter(|(group, _)| group != first);
                shared.records.extend(others.cloned());
            }
            _ => {}
        }
        shared.durable = shared.records.len();
        shared.rebuild(self.bug);
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.lose_power();
        Ok(())
    }

    fn damage_snapshot(&mut self, group: GroupId, index: u64) -> Result<(), Unsupported> {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.damage(group, index);
        Ok(())
    }

    fn fail_syncs(&mut self, fail: bool) -> Result<(), Unsupported> {
        self.lock().failing = fail;
        Ok(())
    }

    fn fill(&mut self, full: bool) -> Result<(), Unsupported> {
        let stays = self.bug == Some(Bug::HasNoRoomEverAgain);
        self.lock().left = (full || stays).then_some(LEFT_BYTES);
        Ok(())
    }
}

/// One incarnation of the log.
pub(crate) struct MemoryLog {
    store: MemoryStore,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// A sync of this incarnation failed.
    latched: Arc<Mutex<bool>>,
    syncing: Vec<thread::JoinHandle<()>>,
}

impl Drop for MemoryLog {
    /// Syncs in progress complete before the next incarnation, as on a disk whose queue is drained.
    fn drop(&mut self) {
        for syncing in self.syncing.drain(..) {
            syncing.join().unwrap();
        }
    }
}

impl MemoryLog {
    pub(crate) fn open(store: &MemoryStore) -> Self {
        let mut shared = store.lock();
        // A killed process leaves what it wrote, and loses what it did not write.
        let durable = shared.durable;
        shared.lives += 1;
        let is_lost =
            store.bug == Some(Bug::LosesARecordNowAndThen) && shared.lives.is_multiple_of(9);
        shared.records.truncate(durable - usize::from(is_lost));
        shared.durable = shared.records.len();
        shared.told = shared.durable as u64;
        shared.rebuild(store.bug);
        drop(shared);
        Self {
            store: store.clone(),
            wake: Arc::new(|| {}),
            latched: Arc::default(),
            syncing: Vec::new(),
        }
    }

    fn is_latched(&self) -> bool {
        *self.latched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError> {
        if self.is_latched() {
            return Err(failed());
        }
        let bug = self.store.bug;
        let mut ops: Vec<OwnedOp> = ops.map(OwnedOp::from).collect();
        if bug == Some(Bug::SortsRecords) {
            ops.sort_by_key(|op| matches!(op, OwnedOp::Put(..)));
        }
        if bug == Some(Bug::StartsBehindItsSlots) {
            ops.sort_by_key(|op| matches!(op, OwnedOp::Start(..)));
        }
        let group = match group.0 {
            300 if bug == Some(Bug::MixesGroups) => 2,
            group => group,
        };
        let mut shared = self.store.lock();
        let bytes = ops.iter().map(OwnedOp::bytes).sum::<u64>();
        if bug == Some(Bug::RefusesLongRecords) && bytes > 16 << 10 {
            return Err(failed());
        }
        if let Some(left) = shared.left {
            let fits = bytes <= left;
            if !fits && bug == Some(Bug::TakesHalfOfARecord) {
                shared.records.push((group, ops[..1].to_vec()));
                shared.rebuild(bug);
            }
            shared.left = Some(left.checked_sub(bytes).ok_or(LogError::Full)?);
        }
        shared.bytes += bytes;
        shared
            .groups
            .entry(group)
            .or_default()
            .apply(&ops, bug, true);
        shared.records.push((group, ops));
        let lsn = Lsn(shared.records.len() as u64);
        if bug == Some(Bug::DurableBeforeTheSync) {
            shared.told = lsn.0;
        }
        if bug == Some(Bug::RestartsNumbers) {
            return Ok(Lsn(lsn.0.min(40)));
        }
        Ok(lsn)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        if self.is_latched() {
            return Err(failed());
        }
        let mut shared = self.store.lock();
        let all = shared.records.len();
        if self.store.bug == Some(Bug::FailsToSyncNothing) && shared.durable == all {
            return Err(failed());
        }
        shared.syncs += u64::from(shared.durable < all);
        let (bug, latched, wake) = (self.store.bug, self.latched.clone(), self.wake.clone());
        let finish = move |shared: &mut Shared| {
            if shared.failing {
                // The pages count as clean from now on: a second sync has nothing to do.
                let is_latched = bug != Some(Bug::SyncsAgainAfterAFailure);
                *latched.lock().unwrap_or_else(PoisonError::into_inner) = is_latched;
                return Err(failed());
            }
            shared.durable = shared.durable.max(all);
            shared.told = shared.told.max(all as u64);
            Ok(())
        };
        if !self.store.later {
            return finish(&mut shared);
        }
        drop(shared);
        let store = self.store.clone();
        // Syncs complete in order.
        let before = self.syncing.pop();
        self.syncing.push(thread::spawn(move || {
            if let Some(before) = before {
                before.join().unwrap();
            }
            let _told_by_the_latch = finish(&mut store.lock());
            wake();
        }));
        Ok(())
    }

    fn durable(&self) -> Lsn {
        Lsn(self.store.lock().told)
    }

    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError> {
        let held = self
            .store
            .lock()
            .groups
            .get(&group.0)
            .cloned()
            .unwrap_or_default();
        let mut slots: Vec<Slot> = held.slots.into_iter().map(slot).collect();
        match self.store.bug {
            Some(Bug::StreamsBackwards) => slots.reverse(),
            Some(Bug::LosesLongStreams) => slots.truncate(2_500),
            _ => {}
        }
        let invented = (self.store.bug == Some(Bug::InventsAState)).then(Tag::default);
        let mut listed = self.snapshots_of().list(group);
        if self.store.bug == Some(Bug::OldestSnapshotIsRecovered) {
            listed.reverse();
        }
        Ok(Recovered {
            state: held.state.or(invented),
            start: held.start,
            snapshot: listed.pop(),
            slots: Box::new(slots.into_iter().map(Ok)),
        })
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(MemoryReader(self.store.clone()))
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(self.snapshots_of())
    }

    fn wake_with(&mut self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.wake = wake;
    }

    fn stats(&self) -> LogStats {
        let shared = self.store.lock();
        LogStats {
            syncs: shared.syncs,
            bytes_written: shared.bytes,
        }
    }

    fn has_room(&mut self) -> bool {
        if self.store.bug == Some(Bug::HasNoRoomEverAgain) {
            // A driver would ask again.
            (self.wake)();
        }
        self.store.lock().left.is_none() || self.store.bug == Some(Bug::HasRoomOnAFullMedium)
    }

    fn room_bytes(&self) -> u64 {
        let more = u64::from(self.store.bug == Some(Bug::PromisesTooMuchRoom));
        let left = self.store.lock().left;
        left.map_or(u64::MAX, |left| left + more * LEFT_BYTES)
    }

    fn mark(&self) -> Option<Mark> {
        // Nothing of it outlives the process.
        None
    }

    fn record_bytes_max(&self) -> usize {
        32 << 10
    }
}

impl MemoryLog {
    fn snapshots_of(&self) -> Shelf {
        Shelf::new(self.store.snapshots.clone(), self.store.bug)
    }
}

struct MemoryReader(MemoryStore);

impl LogReader for MemoryReader {
    fn read(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, LogError> {
        let bug = self.0.bug;
        let shared = self.0.lock();
        let group = shared.groups.get(&group.0).cloned().unwrap_or_default();
        drop(shared);
        let start = group.start.index;
        if *range.start() <= start && bug != Some(Bug::ReadsBeforeTheStart) {
            return Err(LogError::Cut { start });
        }
        let (mut slots, mut bytes) = (Vec::new(), 0);
        for entry in group.slots.range(range) {
            bytes += entry.1.1.len();
            let first = slots.is_empty() && bug != Some(Bug::ReadsNothingBelowTheBound);
            let beyond = bug == Some(Bug::ReadsBeyondTheBound) && bytes / 2 < bytes_max;
            if bytes > bytes_max && !first && !beyond {
                break;
            }
            slots.push(slot((*entry.0, entry.1.clone())));
        }
        if bug == Some(Bug::ReadersSeeHalfWrittenSlots)
            && let Some(last) = slots.last_mut()
            && bytes_max < 4_000
            && last.index.is_multiple_of(3)
        {
            let mut half = last.body.to_vec();
            let middle = half.len() / 2;
            half[middle..].fill(0);
            last.body = half.into();
        }
        Ok(slots)
    }
}

impl Shared {
    /// Rebuilds the contents as recovery would.
    fn rebuild(&mut self, bug: Option<Bug>) {
        self.groups.clear();
        for (group, ops) in &self.records {
            self.groups
                .entry(*group)
                .or_default()
                .apply(ops, bug, false);
        }
    }
}

impl Group {
    /// `now` is set when the record is appended, and not when it is read back.
    fn apply(&mut self, ops: &[OwnedOp], bug: Option<Bug>, now: bool) {
        let last = self.slots.keys().next_back().copied();
        let end = last.unwrap_or(self.start.index);
        for op in ops {
            match op.clone() {
                OwnedOp::State(tag) => self.state = Some(tag),
                OwnedOp::Truncate(from) => self.truncate(from, bug, now),
                OwnedOp::Put(index, tag, body) if index > self.start.index => {
                    self.put(index, tag, body, bug);
                }
                OwnedOp::Put(..) => {}
                OwnedOp::Start(after, tag) => {
                    let is_forgotten = bug == Some(Bug::StartForgetsItsTag) && !now;
                    let tag = if is_forgotten { Tag::default() } else { tag };
                    self.start = Position { index: after, tag };
                    if bug != Some(Bug::StartKeepsSlots) {
                        self.slots.retain(|index, _| *index > after);
                    }
                    if bug == Some(Bug::StartsBehindItsSlots) && after > end {
                        self.slots.clear();
                    }
                }
            }
        }
    }

    fn truncate(&mut self, from: u64, bug: Option<Bug>, now: bool) {
        match bug {
            Some(Bug::ForgetsTruncations) if !now => {}
            Some(Bug::TruncatesOneTooFew) => drop(self.slots.split_off(&(from + 1))),
            _ => drop(self.slots.split_off(&from)),
        }
        if bug == Some(Bug::TruncationTakesTheState) && self.slots.is_empty() && from <= 1 {
            self.state = None;
        }
    }

    fn put(&mut self, index: u64, tag: Tag, body: Bytes, bug: Option<Bug>) {
        match bug {
            Some(Bug::FirstPutWins) => drop(self.slots.entry(index).or_insert((tag, body))),
            Some(Bug::DropsEmptyBodies) if body.is_empty() && index == 1 => {}
            Some(Bug::FillsGaps) => {
                let last = self.slots.keys().next_back().map_or(index, |last| last + 1);
                for gap in last..index.min(last + 1) {
                    self.slots.insert(gap, Default::default());
                }
                self.slots.insert(index, (tag, body));
            }
            _ => drop(self.slots.insert(index, (tag, body))),
        }
    }
}

impl OwnedOp {
    fn bytes(&self) -> u64 {
        match self {
            Self::Put(_, _, body) => body.len() as u64 + 40,
            _ => 40,
        }
    }
}

impl From<Op<'_>> for OwnedOp {
    fn from(op: Op<'_>) -> Self {
        match op {
            Op::State(tag) => Self::State(tag),
            Op::Truncate { from } => Self::Truncate(from),
            Op::Put { index, tag, body } => Self::Put(index, tag, body.clone()),
            Op::Start { after, tag } => Self::Start(after, tag),
        }
    }
}

/// What a full medium still has for what was promised before.
const LEFT_BYTES: u64 = 50_000;

fn slot((index, (tag, body)): (u64, (Tag, Bytes))) -> Slot {
    Slot { index, tag, body }
}

fn failed() -> LogError {
    LogError::Failed("the medium of this log failed".into())
}
