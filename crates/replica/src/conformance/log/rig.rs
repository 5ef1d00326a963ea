//! A log under test, with a model of what it must hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use synod_wal::{GroupId, Lsn, Op, Slot, Tag};

use super::LogStore;
use crate::conformance::random::Random;
use crate::log::{Log, LogError};

/// One operation, with its body.
#[derive(Clone, Debug)]
pub(super) enum Write {
    State(Tag),
    Truncate(u64),
    Put(u64, Tag, Bytes),
    Start(u64, Tag),
}

impl Write {
    fn op(&self) -> Op<'_> {
        match self {
            Self::State(tag) => Op::State(*tag),
            Self::Truncate(from) => Op::Truncate { from: *from },
            Self::Put(index, tag, body) => Op::Put {
                index: *index,
                tag: *tag,
                body,
            },
            Self::Start(after, tag) => Op::Start {
                after: *after,
                tag: *tag,
            },
        }
    }
}

/// A slot whose body encodes its index and `version`, and of which every byte is checked.
pub(super) fn put(index: u64, version: u64, len: usize) -> Write {
    Write::Put(index, tag(index ^ version << 32), body(index, version, len))
}

/// 32 bytes, all different from those of another number.
pub(super) fn tag(number: u64) -> Tag {
    let mut random = Random(number);
    let mut tag = Tag::default();
    for eight in tag.0.chunks_exact_mut(8) {
        eight.copy_from_slice(&random.next().to_le_bytes());
    }
    tag
}

/// A body that differs from every other one; from 16 bytes on it also encodes its index and
/// version.
pub(super) fn body(index: u64, version: u64, len: usize) -> Bytes {
    let mut random = Random(index.wrapping_mul(31) ^ version);
    let mut body = [index.to_le_bytes(), version.to_le_bytes()].concat();
    while body.len() < len {
        body.extend_from_slice(&random.next().to_le_bytes());
    }
    body.truncate(len);
    body.into()
}

/// Whether a slot was made by [`put`].
pub(super) fn is_genuine(slot: &Slot) -> bool {
    let word = |at: usize| Some(u64::from_le_bytes(*slot.body.get(at..)?.first_chunk()?));
    match (word(0), word(8)) {
        (Some(index), Some(version)) => {
            index == slot.index
                && slot.tag == tag(index ^ version << 32)
                && slot.body == body(index, version, slot.body.len())
        }
        _ => false,
    }
}

/// The contents of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) state: Option<Tag>,
    pub(super) start: (u64, Tag),
    pub(super) slots: BTreeMap<u64, (Tag, Bytes)>,
}

/// The contents of a log, group by group.
pub(super) type Model = BTreeMap<u64, Held>;

impl Held {
    pub(super) fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::State(tag) => self.state = Some(*tag),
                Write::Truncate(from) => drop(self.slots.split_off(from)),
                Write::Put(index, tag, body) if *index > self.start.0 => {
                    self.slots.insert(*index, (*tag, body.clone()));
                }
                Write::Put(..) => {}
                Write::Start(after, tag) => {
                    self.start = (*after, *tag);
                    self.slots.retain(|index, _| index > after);
                }
            }
        }
    }

    /// A short description, as bodies are long.
    pub(super) fn brief(&self) -> String {
        let slots: Vec<u64> = self.slots.keys().copied().collect();
        let (state, start) = (self.state.map(|tag| tag.0[0]), self.start.0);
        format!("state {state:?}, start {start}, slots {slots:?}")
    }
}

/// Set by the log when a sync has completed.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

/// A store, its log, and what was observed of it.
///
/// Invariants, asserted at each step: sequence numbers rise; `durable` never falls, and whatever is
/// appended later has a number above it.
pub(super) struct Rig<S: LogStore> {
    pub(super) store: S,
    log: Option<S::Log>,
    bell: Arc<Bell>,
    last: Lsn,
    durable: Lsn,
    pub(super) model: Model,
}

impl<S: LogStore> Rig<S> {
    pub(super) fn new(fresh: &mut dyn FnMut() -> S) -> Self {
        let mut rig = Self {
            store: fresh(),
            log: None,
            bell: Arc::default(),
            last: Lsn(0),
            durable: Lsn(0),
            model: Model::new(),
        };
        rig.open();
        rig
    }

    pub(super) fn open(&mut self) {
        let mut log = self.store.open();
        self.bell = Arc::default();
        let bell = Arc::clone(&self.bell);
        log.wake_with(Arc::new(move || {
            *bell.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
            bell.heard.notify_all();
        }));
        // A new incarnation may restart the numbers.
        self.durable = log.durable();
        self.last = self.durable;
        self.log = Some(log);
    }

    /// Drops the log, as if its process were killed.
    pub(super) fn kill(&mut self) {
        self.log = None;
    }

    pub(super) fn reopen(&mut self) {
        self.kill();
        self.open();
    }

    pub(super) fn log(&mut self) -> &mut S::Log {
        match &mut self.log {
            Some(log) => log,
            None => unreachable!("a case opens the log before it uses it"),
        }
    }

    /// Appends a record to the log and to the model.
    pub(super) fn append(&mut self, group: u64, writes: &[Write]) -> Lsn {
        let appended = self.try_append(group, writes);
        appended.unwrap_or_else(|error| panic!("an append failed: {error:?}"))
    }

    /// Appends a record that may be refused; then the model does not get it either.
    pub(super) fn try_append(&mut self, group: u64, writes: &[Write]) -> Result<Lsn, LogError> {
        let durable = self.look();
        let mut ops = writes.iter().map(Write::op);
        let lsn = self.log().append(GroupId(group), &mut ops)?;
        self.model.entry(group).or_default().apply(writes);
        let last = self.last;
        assert!(
            lsn > last,
            "an append was given {lsn:?}, and the one before it {last:?}"
        );
        assert!(
            lsn > durable,
            "an append was given {lsn:?}, and {durable:?} was durable before it"
        );
        self.last = lsn;
        self.look();
        Ok(lsn)
    }

    /// Appends many slots, in as many records as needed.
    pub(super) fn append_all(&mut self, group: u64, writes: &[Write]) {
        let records = writes.chunks(8);
        for record in records {
            self.append(group, record);
        }
    }

    /// Syncs, and waits until everything appended is durable.
    pub(super) fn sync(&mut self) {
        let synced = self.log().sync();
        synced.unwrap_or_else(|error| panic!("a sync failed: {error:?}"));
        loop {
            let settled = self.log().settle();
            settled.unwrap_or_else(|error| panic!("a sync failed later: {error:?}"));
            if self.look() >= self.last {
                break;
            }
            assert!(
                self.wait(),
                "durable stays at {:?} and does not reach {:?}, and no wake-up comes",
                self.durable,
                self.last
            );
        }
    }

    /// Waits for the wake-up; `false` if it does not come.
    pub(super) fn wait(&self) -> bool {
        let rung = self
            .bell
            .rung
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .bell
            .heard
            .wait_timeout_while(rung, TIMEOUT, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }

    /// The log's `durable`, with its invariant checked.
    pub(super) fn look(&mut self) -> Lsn {
        let (durable, before) = (self.log().durable(), self.durable);
        assert!(
            durable >= before,
            "durable fell from {before:?} to {durable:?}"
        );
        self.durable = durable;
        durable
    }

    /// What recovery returns for a group.
    pub(super) fn recover(&mut self, group: u64) -> Held {
        let recovered = self.log().recover(GroupId(group));
        let recovered = recovered.unwrap_or_else(|error| panic!("recovery failed: {error:?}"));
        let (mut slots, mut last) = (BTreeMap::new(), recovered.start.index);
        for slot in recovered.slots {
            let slot = slot.unwrap_or_else(|error| panic!("a slot is unreadable: {error:?}"));
            assert!(
                slot.index > last,
                "slot {} comes after {last}: recovery must ascend, from after the start",
                slot.index
            );
            last = slot.index;
            slots.insert(slot.index, (slot.tag, slot.body));
        }
        Held {
            state: recovered.state,
            start: (recovered.start.index, recovered.start.tag),
            slots,
        }
    }

    /// Compares every group of the model with what recovery and the reader return.
    pub(super) fn check(&mut self, when: &str) {
        let groups: Vec<u64> = self.model.keys().copied().collect();
        for group in groups {
            let expected = self.model[&group].clone();
            let found = self.recover(group);
            assert!(
                found == expected,
                "{when}, group {group} holds {}; it must be {}{}",
                found.brief(),
                expected.brief(),
                if found.brief() == expected.brief() {
                    ", and tags or bodies differ"
                } else {
                    ""
                }
            );
            let read = self.read(group, expected.start.0 + 1, u64::MAX, usize::MAX);
            let read = read.unwrap_or_else(|error| panic!("{when}, a read failed: {error:?}"));
            let read: BTreeMap<_, _> = read
                .into_iter()
                .map(|s| (s.index, (s.tag, s.body)))
                .collect();
            assert!(
                read == expected.slots,
                "{when}, the reader of group {group} sees {:?}, not {:?}",
                read.keys(),
                expected.slots.keys()
            );
        }
    }

    /// Checks the contents now, and again after a restart.
    pub(super) fn check_synced(&mut self, when: &str) {
        self.sync();
        self.check(when);
        self.reopen();
        self.check(&format!("{when}, after a restart"));
    }

    pub(super) fn read(
        &mut self,
        group: u64,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, LogError> {
        let reader = self.log().reader();
        reader.read(GroupId(group), from..=to, bytes_max)
    }
}

/// Far longer than anything that must happen takes, on the slowest machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
