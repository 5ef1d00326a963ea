//! The simulated disk as the medium of a log, and a model of what a log holds.

#![allow(dead_code, reason = "each test file uses a part")]
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use synod_wal::{AppendError, Disk, File, GroupId, Lsn, Op, OpenError, Options, Tag, Wal};

/// An adapter: the two crates do not depend on each other.
#[derive(Clone, Debug)]
pub(crate) struct Medium(pub(crate) synod_sim::Disk);

#[derive(Debug)]
pub(crate) struct MediumFile {
    disk: synod_sim::Disk,
    name: String,
}

impl Disk for Medium {
    type File = MediumFile;

    fn open(&self, name: &str) -> io::Result<MediumFile> {
        self.0.create(name)?;
        Ok(MediumFile {
            disk: self.0.clone(),
            name: name.to_owned(),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.0.free_bytes()))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

impl File for MediumFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.len(&self.name)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(&self.name, at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(&self.name, at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.name)
    }
}

/// An operation with an owned body.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    State(u8),
    Truncate(u64),
    Put(u64, Bytes),
    Start(u64),
}

impl Owned {
    pub(crate) fn op(&self) -> Op<'_> {
        match self {
            Self::State(tag) => Op::State(Tag([*tag; 32])),
            Self::Truncate(from) => Op::Truncate { from: *from },
            Self::Put(index, body) => Op::Put {
                index: *index,
                tag: Tag([*index as u8; 32]),
                body,
            },
            Self::Start(after) => Op::Start {
                after: *after,
                tag: Tag([*after as u8; 32]),
            },
        }
    }
}

/// What a log must hold after some appends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model(pub(crate) BTreeMap<GroupId, ModelGroup>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelGroup {
    pub(crate) state: Option<Tag>,
    pub(crate) start: (u64, Tag),
    pub(crate) slots: BTreeMap<u64, (Tag, Bytes)>,
}

impl Model {
    pub(crate) fn apply(&mut self, group: GroupId, ops: &[Owned]) {
        let group = self.0.entry(group).or_default();
        for owned in ops {
            match owned.op() {
                Op::State(tag) => group.state = Some(tag),
                Op::Truncate { from } => drop(group.slots.split_off(&from)),
                Op::Put { index, tag, body } if index > group.start.0 => {
                    group.slots.insert(index, (tag, body.clone()));
                }
                Op::Put { .. } => {}
                Op::Start { after, tag } => {
                    group.start = (after, tag);
                    group.slots.retain(|index, _| *index > after);
                }
            }
        }
    }

    /// The actual contents of a log, read through its streams.
    pub(crate) fn of<D: Disk>(wal: &Wal<D>) -> Self {
        let read = |group: GroupId| {
            let recovered = wal.recover(group).unwrap();
            let slots = recovered
                .slots
                .map(|slot| slot.map(|slot| (slot.index, (slot.tag, slot.body))));
            let slots = slots.collect::<Result<_, _>>().unwrap();
            (
                group,
                ModelGroup {
                    state: recovered.state,
                    start: recovered.start,
                    slots,
                },
            )
        };
        Self(wal.groups().into_iter().map(read).collect())
    }

    /// Without empty groups.
    pub(crate) fn trimmed(mut self) -> Self {
        self.0.retain(|_, group| *group != ModelGroup::default());
        self
    }
}

pub(crate) fn small() -> Options {
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (16 * 1024, 4 * 1024);
    options.salt = Some(SALT);
    options.reserve_bytes = 0;
    options
}

/// The secret of the logs in these tests.
pub(crate) const SALT: u64 = 0x5a17_5a17_5a17_5a17;

pub(crate) fn open(disk: &synod_sim::Disk) -> Result<Wal<Medium>, OpenError> {
    Wal::open(Medium(disk.clone()), small())
}

pub(crate) fn append<D: Disk>(
    wal: &mut Wal<D>,
    group: u64,
    ops: &[Owned],
) -> Result<Lsn, AppendError> {
    wal.append(GroupId(group), &mut ops.iter().map(Owned::op))
}

pub(crate) fn put(index: u64, len: usize) -> Owned {
    let byte = |i: usize| {
        (index as u8)
            .wrapping_mul(31)
            .wrapping_add((i * 7 + i / 251) as u8)
    };
    Owned::Put(index, (0..len).map(byte).collect())
}

/// A medium on which one kind of operation fails while a fault is set.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Medium,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// What fails, on files whose names end with this.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Read(&'static str),
    Write(&'static str),
    Sync(&'static str),
}

pub(crate) struct FaultyFile {
    inner: MediumFile,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Faulty {
    pub(crate) fn new(disk: &synod_sim::Disk) -> Self {
        Self {
            inner: Medium(disk.clone()),
            fault: Arc::default(),
        }
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl Disk for Faulty {
    type File = FaultyFile;

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        Ok(FaultyFile {
            inner: self.inner.open(name)?,
            fault: Arc::clone(&self.fault),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.inner.free_bytes()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl FaultyFile {
    fn check(&self, fault: fn(&'static str) -> Fault) -> io::Result<()> {
        let set = *self.fault.lock().unwrap();
        match set {
            Some(Fault::Read(end) | Fault::Write(end) | Fault::Sync(end))
                if set == Some(fault(end)) && self.inner.name.ends_with(end) =>
            {
                Err(io::ErrorKind::Other.into())
            }
            _ => Ok(()),
        }
    }
}

impl File for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.check(Fault::Read)?;
        self.inner.read_at(at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(Fault::Write)?;
        self.inner.write_at(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.check(Fault::Sync)?;
        self.inner.sync()
    }
}
