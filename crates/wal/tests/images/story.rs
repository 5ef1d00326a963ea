//! The incarnations of a process on one disk, all drawn from one seed.

use std::io::Write;

use bytes::Bytes;
use synod_sim::{Disk, DiskOptions, Rng};
use synod_wal::{DumpedRecord, GroupId, Lsn, Options, Seal, Snapshots, Stats, Wal, dump};

use crate::campaign::{Coverage, next_image};
use crate::metered::Metered;
use crate::shelf::{self, Shelf};
use crate::support::{Medium, Model, ModelGroup, Owned, SALT, append};

/// A disk, what its log and snapshots must hold, and what else they may hold.
///
/// Invariant: after a crash the log holds `base` and then the first of `appends`, at least `synced`
/// of them.
pub(crate) struct Story {
    disk: Disk,
    pub(crate) random: Rng,
    options: Options,
    /// The log's contents when this incarnation began; all of it is durable.
    base: Model,
    pub(crate) began: Lsn,
    pub(crate) appends: Vec<Append>,
    pub(crate) synced: usize,
    pub(crate) shelf: Shelf,
    /// The contents with the appends of this incarnation.
    model: Model,
    /// Makes each body different.
    stamp: u64,
    pull: Option<Pull>,
    stats: Stats,
    /// How many of `appends` there were when a sync last began.
    tried: usize,
    /// The disk at the beginning of each incarnation.
    pub(crate) past: Vec<Disk>,
    pub(crate) coverage: Coverage,
}

pub(crate) struct Append {
    pub(crate) lsn: Lsn,
    group: u64,
    ops: Vec<Owned>,
}

/// A snapshot in transfer from a peer.
struct Pull {
    group: u64,
    index: u64,
    stamp: u64,
    seal: Seal,
    file: Vec<u8>,
}

/// The process is dead.
struct Died;

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let percent = |random: &mut Rng| [0, 10, 40, 80, 100][random.index(5)];
        let mut faults = DiskOptions::default();
        faults.lost_percent = percent(&mut random);
        faults.torn_percent = percent(&mut random);
        faults.names_lost_percent = percent(&mut random);
        let mut options = Options::default();
        options.segment_bytes = [16, 16, 20, 32][random.index(4)] << 10;
        options.record_bytes_max = 4 << 10;
        options.reserve_bytes = 8 << 10;
        options.salt = Some(SALT);
        Self {
            disk: Disk::with_options(random.next_u64(), faults),
            random,
            options,
            base: Model::default(),
            began: Lsn(0),
            appends: Vec::new(),
            synced: 0,
            shelf: Shelf::default(),
            model: Model::default(),
            stamp: 0,
            pull: None,
            stats: Stats::default(),
            tried: 0,
            past: vec![Disk::new(0)],
            coverage: Coverage::default(),
        }
    }

    /// Runs one incarnation, up to its death.
    pub(crate) fn live(&mut self) {
        let operations = [5, 15, 40, 120][self.random.index(4)];
        self.disk.crash_after(self.random.below(operations));
        let (mut doing, mut was_dead) = ("died between operations", false);
        if self.run(&mut doing).is_err() {
            was_dead = true;
            self.coverage.see(doing);
        }
        if !was_dead {
            self.coverage.see("died between operations");
            self.disk.kill();
        }
        let full = self.options.segment_bytes;
        let names = self.disk.fork(0).names().unwrap();
        let half =
            |name: &String| name.ends_with(".log") && (self.disk.image(name).len() as u64) < full;
        self.coverage
            .see_if(names.iter().any(half), "a segment was half filled");
    }

    /// One of the disks that this death may have left.
    pub(crate) fn image(&mut self) -> Disk {
        let disk = self.disk.fork(self.random.next_u64());
        self.strike(&disk);
        disk
    }

    /// Begins another incarnation on what recovery finds.
    pub(crate) fn go_on(&mut self) {
        let disk = self.disk.clone();
        self.strike(&disk);
        let (left, wal) = self.recover(&disk);
        self.base = self.after(left);
        self.model = self.base.clone();
        self.began = wal.durable();
        self.shelf = self.shelf.check(&wal.snapshots(), GROUPS);
        (self.appends, self.synced, self.tried) = (Vec::new(), 0, 0);
        drop(wal);
        self.past.push(disk.fork(0));
        if self.random.chance(0.2) {
            self.options.segment_bytes = [16, 20, 32][self.random.index(3)] << 10;
        }
    }

    /// Recovers an image and checks it. Returns how many appends are left, and the log.
    pub(crate) fn recover(&mut self, disk: &Disk) -> (usize, Wal<Metered>) {
        let image = next_image();
        self.coverage.see("images");
        if self.random.chance(0.3) {
            self.die_in_recovery(disk);
        }
        let segments = self.look(disk, image);
        let wal = self.open(disk);
        let (left, found) = self.check(&wal);
        self.coverage
            .see_if(segments > 1, "several segments were read");
        let (synced, all) = self.synced_of_tried();
        self.coverage.see_if(
            left == synced && left < all,
            "the last batch was lost whole",
        );
        self.coverage.see_if(
            synced < left && left < all,
            "the last batch was cut in its middle",
        );
        self.coverage.see_if(
            synced < left && left == all,
            "the last batch was there unsynced",
        );
        self.coverage.see_if(
            self.stats.segments_recycled > 0,
            "the newest segment was a recycled one",
        );
        self.coverage
            .see_if(self.stats.slots_carried > 0, "slots had been carried");
        if self.random.chance(0.5) {
            // What recovery has found is durable.
            drop(wal);
            disk.power_loss();
            self.coverage.see("the power went once more");
            let wal = self.open(disk);
            assert!(
                same(&Model::of(&wal), &found),
                "what one recovery found is lost to the next"
            );
            return (left, wal);
        }
        (left, wal)
    }

    /// The log's contents after the first `count` appends of this incarnation.
    pub(crate) fn after(&self, count: usize) -> Model {
        let mut model = self.base.clone();
        for Append { group, ops, .. } in &self.appends[..count] {
            model.apply(GroupId(*group), ops);
        }
        model
    }

    /// Compares an opened log with the appends of this incarnation; returns how many are left.
    pub(crate) fn check(&self, wal: &Wal<Metered>) -> (usize, Model) {
        let found = Model::of(wal);
        let left =
            self.prefix(&found, self.synced)
                .unwrap_or_else(|| match self.prefix(&found, 0) {
                    Some(left) => panic!("{left} of {} synced appends are left", self.synced),
                    None => panic!("no prefix of the appends leads to {found:?}"),
                });
        let shelf = self.shelf.check(&wal.snapshots(), GROUPS);
        for (group, holds) in &found.0 {
            let start = holds.start.0;
            assert!(
                start <= shelf.newest(group.0),
                "group {group} begins after {start}, and no snapshot covers that"
            );
        }
        (left, found)
    }

    /// The number of appends, at least `from`, that gives what was found.
    pub(crate) fn prefix(&self, found: &Model, from: usize) -> Option<usize> {
        let mut model = self.after(from);
        for (count, next) in (from..).zip(&self.appends[from..]) {
            if same(&model, found) {
                return Some(count);
            }
            model.apply(GroupId(next.group), &next.ops);
        }
        same(&model, found).then_some(self.appends.len())
    }

    pub(crate) fn open(&self, disk: &Disk) -> Wal<Metered> {
        let medium = Metered::new(disk);
        let wal = Wal::open(medium.clone(), self.options.clone())
            .unwrap_or_else(|error| panic!("a crash alone: {error}"));
        medium.release();
        wal
    }

    /// How many appends were confirmed, and how many may be there.
    pub(crate) fn synced_of_tried(&self) -> (usize, usize) {
        (self.synced, self.tried)
    }

    pub(crate) fn options(&self) -> Options {
        self.options.clone()
    }

    fn strike(&mut self, disk: &Disk) {
        if self.random.chance(0.25) {
            disk.restart();
            self.coverage.see("the page cache stayed");
            return;
        }
        let before = disk.stats();
        disk.restart();
        let names = disk.names().unwrap();
        disk.power_loss();
        let after = disk.stats();
        self.coverage.see("the power went");
        self.coverage
            .see_if(after.torn_writes > before.torn_writes, "a write was torn");
        self.coverage
            .see_if(after.lost_names > before.lost_names, "a name was lost");
        let left = disk.names().unwrap();
        let is_lost = |name: &String| name.ends_with(".snap") && !left.contains(name);
        self.coverage
            .see_if(names.iter().any(is_lost), "a snapshot's last name was lost");
    }

    /// Recovery dies, once or twice, and must lose nothing by it.
    fn die_in_recovery(&mut self, disk: &Disk) {
        for _ in 0..1 + self.random.below(2) {
            disk.crash_after(self.random.below(6));
            let opened = Wal::open(Medium(disk.clone()), self.options.clone());
            if let Err(error) = &opened {
                assert!(disk.is_dead(), "a crash alone: {error}");
                self.coverage.see("recovery itself died");
            }
            drop(opened);
            if self.random.chance(0.5) {
                disk.power_loss();
            } else {
                disk.restart();
            }
        }
    }

    /// Counts the segments and checks, in some images, whether a good record follows a bad one.
    fn look(&mut self, disk: &Disk, image: u64) -> usize {
        if !image.is_multiple_of(LOOKED_AT) {
            return 0;
        }
        let records = |disk: &Disk| -> Vec<DumpedRecord> {
            let dumped = dump(&Medium(disk.fork(0)));
            dumped.map_or_else(|_| Vec::new(), |records| records.flatten().collect())
        };
        let written = records(&self.disk);
        let mut bad = false;
        for record in &written {
            let name = format!("{:08}.log", record.segment);
            let range = record.offset as usize..(record.offset + record.len) as usize;
            let (before, after) = (self.disk.image(&name), disk.image(&name));
            let whole = before.get(range.clone()) == after.get(range);
            self.coverage
                .see_if(bad && whole, "a good record stood behind a bad one");
            bad |= !whole;
        }
        let mut generations: Vec<u64> = records(disk).iter().map(|r| r.generation).collect();
        generations.dedup();
        generations.len() * LOOKED_AT as usize
    }

    fn run(&mut self, doing: &mut &'static str) -> Result<(), Died> {
        *doing = "died while it opened";
        let opened = Wal::open(Medium(self.disk.clone()), self.options.clone());
        let mut wal = self.alive(opened)?;
        self.stats = wal.stats();
        for _ in 0..1 + self.random.below(16) {
            *doing = "died while it appended";
            for _ in 0..self.random.below(5) {
                self.append(&mut wal)?;
            }
            // A confirmed sync may have been followed by upkeep that died.
            if self.random.chance(0.05) && !self.disk.is_dead() {
                assert!(
                    same(&Model::of(&wal), &self.model),
                    "what was appended is read before it is synced"
                );
            }
            *doing = "died while it synced";
            if self.random.chance(0.85) {
                self.sync(&mut wal)?;
            }
            match self.random.below(12) {
                0 | 1 => {
                    *doing = "died while it wrote a snapshot";
                    self.snapshot(&mut wal)?;
                }
                2 => {
                    *doing = "died while it pulled a snapshot";
                    self.pull(&wal.snapshots())?;
                }
                3 => {
                    *doing = "died while it removed snapshots";
                    self.remove(&wal.snapshots())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn append(&mut self, wal: &mut Wal<Medium>) -> Result<(), Died> {
        let group = self.random.below(GROUPS);
        let holds = self
            .model
            .0
            .get(&GroupId(group))
            .cloned()
            .unwrap_or_default();
        let ops = self.ops(group, &holds);
        let appended = append(wal, group, &ops);
        let lsn = self.alive(appended)?;
        self.model.apply(GroupId(group), &ops);
        self.appends.push(Append { lsn, group, ops });
        Ok(())
    }

    fn ops(&mut self, group: u64, holds: &ModelGroup) -> Vec<Owned> {
        let next = holds.start.0 + 1;
        let mut ops = Vec::new();
        let newest = self.shelf.newest(group);
        if newest > holds.start.0 && self.random.chance(0.5) {
            ops.push(Owned::Start(newest));
        }
        if self.random.chance(0.2) {
            ops.push(Owned::Truncate(next + self.random.below(8)));
        }
        for _ in 0..self.random.below(4) {
            let len = [0, 30, 300, 1000][self.random.index(4)] + self.random.below(200);
            let index = next + self.random.below(10);
            ops.push(self.put(index, len as usize));
        }
        if self.random.chance(0.3) {
            ops.push(Owned::State(self.random.below(256) as u8));
        }
        ops
    }

    /// No two bodies are alike, so an old one is never mistaken for a new one.
    fn put(&mut self, index: u64, len: usize) -> Owned {
        self.stamp += 1;
        Owned::Put(index, Bytes::from(shelf::body(self.stamp, len)))
    }

    fn sync(&mut self, wal: &mut Wal<Medium>) -> Result<(), Died> {
        self.tried = self.appends.len();
        let synced = wal.sync();
        let durable = wal.durable();
        self.synced = self.appends.partition_point(|append| append.lsn <= durable);
        self.stats = wal.stats();
        self.alive(synced)?;
        assert_eq!(
            self.synced,
            self.appends.len(),
            "all is durable after a sync"
        );
        Ok(())
    }

    fn snapshot(&mut self, wal: &mut Wal<Medium>) -> Result<(), Died> {
        let group = self.random.below(GROUPS);
        let index = self.shelf.newest(group) + self.random.below(6);
        self.stamp += 1;
        let (stamp, len) = (self.stamp, 8 + self.random.below(3000) as usize);
        self.shelf.begin(group, index, stamp);
        let created = create(&wal.snapshots(), group, index, stamp, len);
        self.alive(created)?;
        self.shelf.finish(group, index, stamp);
        self.append(wal)
    }

    fn pull(&mut self, snapshots: &Snapshots<Medium>) -> Result<(), Died> {
        let pull = match self.pull.take() {
            Some(pull) => pull,
            None => self.offer(),
        };
        let (group, index, stamp) = (pull.group, pull.index, pull.stamp);
        let (id, snapshot) = (GroupId(group), shelf::identity(index));
        let len = snapshots.part_len(id, &snapshot);
        let resumed = self.alive(len)? as usize;
        let mut at = resumed.min(pull.file.len());
        while at < pull.file.len() && self.random.chance(0.9) {
            let end = (at + 1 + self.random.below(1500) as usize).min(pull.file.len());
            let written =
                snapshots.write_part(id, &snapshot, &pull.seal, at as u64, &pull.file[at..end]);
            if written.is_err() {
                self.pull = Some(pull);
                return self.alive(written);
            }
            at = end;
        }
        if at < pull.file.len() {
            self.pull = Some(pull);
            return Ok(());
        }
        self.shelf.begin(group, index, stamp);
        match snapshots.finish_part(id, &snapshot, &pull.seal) {
            Ok(()) => {
                self.coverage.see("a part was finished");
                self.shelf.finish(group, index, stamp);
            }
            // If a power loss took something out of the middle, that is detected, and the transfer
            // starts over.
            Err(synod_wal::SnapshotError::Corrupt { .. }) if resumed > 0 => {
                self.coverage.see("a torn part was found out");
                let discarded = snapshots.discard_part(id, &snapshot);
                self.alive(discarded)?;
            }
            failed => {
                self.pull = Some(pull);
                return self.alive(failed);
            }
        }
        Ok(())
    }

    /// A file as a peer has it.
    fn offer(&mut self) -> Pull {
        let (group, len) = (
            self.random.below(GROUPS),
            8 + self.random.below(4000) as usize,
        );
        let index = self.shelf.newest(group) + 1 + self.random.below(4);
        self.stamp += 1;
        let peer = Wal::open(Medium(Disk::new(0)), self.options.clone()).unwrap();
        create(&peer.snapshots(), group, index, self.stamp, len).unwrap();
        let seal = peer.snapshots().seal(GroupId(group), index).unwrap();
        let mut file = vec![0; seal.len as usize];
        let count = peer.snapshots().read(GroupId(group), index, 0, &mut file);
        assert_eq!(count.unwrap(), file.len());
        Pull {
            group,
            index,
            stamp: self.stamp,
            seal,
            file,
        }
    }

    fn remove(&mut self, snapshots: &Snapshots<Medium>) -> Result<(), Died> {
        let group = self.random.below(GROUPS);
        let before = self.shelf.newest(group);
        self.shelf.begin_removal(group, before);
        let removed = snapshots.remove_before(GroupId(group), before);
        self.alive(removed)?;
        self.shelf.finish_removal(group, before);
        Ok(())
    }

    /// The death of the process is the only possible failure.
    fn alive<T, E: std::fmt::Debug>(&self, result: Result<T, E>) -> Result<T, Died> {
        result.map_err(|error| {
            assert!(self.disk.is_dead(), "without a fault: {error:?}");
            Died
        })
    }
}

fn create(
    snapshots: &Snapshots<Medium>,
    group: u64,
    index: u64,
    stamp: u64,
    len: usize,
) -> Result<u64, synod_wal::SnapshotError> {
    let body = shelf::body(stamp, len);
    let mut write = |to: &mut dyn Write| to.write_all(&body);
    snapshots.create(GroupId(group), &shelf::identity(index), &mut write)
}

/// Whether two logs hold the same, ignoring empty groups.
pub(crate) fn same(a: &Model, b: &Model) -> bool {
    let empty = ModelGroup::default();
    let held = |(_, group): &(&GroupId, &ModelGroup)| **group != empty;
    a.0.iter().filter(held).eq(b.0.iter().filter(held))
}

/// Groups on a disk.
pub(crate) const GROUPS: u64 = 4;
/// One in this many images is inspected closely.
const LOOKED_AT: u64 = 4;
