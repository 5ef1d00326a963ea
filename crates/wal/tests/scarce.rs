//! Resources run out: space, a quota, file descriptors. Nothing is lost by it, a reserve is kept,
//! and nothing useless is left behind.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use support::{Medium, MediumFile, Model, Owned, append, open, put, small};
use synod_sim::{Disk, Rng};
use synod_wal::{
    AppendError, Disk as _, File as _, GroupId, Options, Seal, Snapshot, SnapshotError, Tag, Wal,
};

const GROUP: GroupId = GroupId(1);
/// The same on every Unix; std has no names for them. The last one is as on Linux.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EDQUOT: i32 = 122;

/// A medium on which nothing new can be opened while an error is set.
#[derive(Clone)]
struct Scarce {
    inner: Medium,
    errno: Arc<AtomicI32>,
    /// How many more opens succeed.
    free: Arc<AtomicU32>,
}

impl Scarce {
    fn new(disk: &Disk) -> Self {
        Self {
            inner: Medium(disk.clone()),
            errno: Arc::default(),
            free: Arc::default(),
        }
    }

    fn set(&self, errno: i32) {
        self.set_behind(0, errno);
    }

    fn set_behind(&self, free: u32, errno: i32) {
        self.free.store(free, Ordering::Relaxed);
        self.errno.store(errno, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        let left = |free: u32| free.checked_sub(1);
        match self.errno.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ if self
                .free
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                .is_ok() =>
            {
                Ok(())
            }
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl synod_wal::Disk for Scarce {
    type File = MediumFile;

    fn open(&self, name: &str) -> io::Result<MediumFile> {
        self.check()?;
        self.inner.open(name)
    }

    /// Listing opens the directory.
    fn list(&self) -> io::Result<Vec<String>> {
        self.check()?;
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

fn seal(len: u64) -> Seal {
    let hash = [0; 32];
    Seal { len, hash }
}

fn identity(index: u64) -> Snapshot {
    Snapshot {
        index,
        tag: Tag::default(),
        meta: "voters".into(),
    }
}

#[test]
fn without_a_descriptor_nothing_is_taken_and_nothing_fails() {
    for errno in [ENFILE, EMFILE, EDQUOT] {
        let disk = Disk::new(1);
        let scarce = Scarce::new(&disk);
        let mut wal = Wal::open(scarce.clone(), small()).unwrap();
        scarce.set(errno);
        let mut model = Model::default();
        let refused = (1..100).find_map(|index| {
            if let Err(error) = append(&mut wal, 1, &[put(index, 1000)]) {
                return Some((index, error));
            }
            model.apply(GROUP, &[put(index, 1000)]);
            wal.sync().unwrap();
            None
        });
        let (index, error) = refused.unwrap();
        assert!(
            matches!(error, AppendError::Full),
            "nothing was written, and the log says: {error}"
        );
        wal.sync().unwrap();
        assert!(!wal.has_room(1000));
        let snapshots = wal.snapshots();
        let created = snapshots.create(GROUP, &identity(1), &mut |_| Ok(()));
        assert!(matches!(created, Err(SnapshotError::Full)), "{created:?}");
        let part = snapshots.write_part(GROUP, &identity(1), &seal(5), 0, b"piece");
        assert!(matches!(part, Err(SnapshotError::Full)), "{part:?}");
        let listed = snapshots.list(GROUP);
        assert!(matches!(listed, Err(SnapshotError::Full)), "{listed:?}");
        scarce.set(0);
        assert!(wal.has_room(1000));
        append(&mut wal, 1, &[put(index, 1000)]).unwrap();
        model.apply(GROUP, &[put(index, 1000)]);
        wal.sync().unwrap();
        snapshots
            .create(GROUP, &identity(1), &mut |_| Ok(()))
            .unwrap();
        assert_eq!(Model::of(&open(&disk.fork(1)).unwrap()), model);
    }
}

/// A part of a segment is useless, and others may need that space.
#[test]
fn a_segment_that_does_not_fit_leaves_nothing_behind() {
    for short in [1, 5_000, 16_000] {
        let disk = Disk::new(1);
        let mut wal = open(&disk).unwrap();
        let names = disk.names().unwrap();
        disk.capacity(disk.used() + 16 * 1024 - short);
        let mut index = 0;
        while wal.has_room(3000) {
            index += 1;
            append(&mut wal, 1, &[put(index, 3000)]).unwrap();
            wal.sync().unwrap();
        }
        assert_eq!(disk.names().unwrap(), names, "{short} bytes were missing");
        assert_eq!(disk.used(), 16 * 1024);
    }
}

/// Priorities in a full log: bodies are refused first, then an entry without a body is still
/// accepted for a while, and a vote, or what cuts the log, for longer.
#[test]
fn what_matters_more_is_taken_for_longer() {
    let disk = Disk::new(1);
    let mut options = small();
    options.segment_bytes = 64 * 1024;
    disk.capacity(64 * 1024 + 100);
    let mut wal = Wal::open(Medium(disk.clone()), options).unwrap();
    let mut fill = |ops: &dyn Fn(u64) -> Owned| {
        let mut taken = 0;
        while append(&mut wal, 1, &[ops(taken)]).is_ok() {
            wal.sync().unwrap();
            taken += 1;
        }
        taken
    };
    let bodies = fill(&|index| put(1 + index, 3000));
    let empty = fill(&|index| put(1_000 + index, 0));
    let votes = fill(&|_| Owned::State(7));
    assert_eq!(
        (bodies, empty, votes),
        (13, 1, 1),
        "of a segment of 16 blocks"
    );
}

/// Otherwise a full node would accept short records, refuse long ones, and change its answer with
/// each.
#[test]
fn what_was_full_has_room_again_with_a_whole_segment() {
    let disk = Disk::new(1);
    let mut options = small();
    (options.segment_bytes, options.record_bytes_max) = (64 * 1024, 16 * 1024);
    let mut wal = Wal::open(Medium(disk.clone()), options).unwrap();
    append(&mut wal, 1, &[put(1, 15_000)]).unwrap();
    wal.sync().unwrap();
    disk.capacity(disk.used());
    let mut last = 1;
    while wal.has_room(15_100) {
        last += 1;
        append(&mut wal, 1, &[put(last, 15_000)]).unwrap();
        wal.sync().unwrap();
    }
    assert!(!wal.has_room(1) && !wal.is_roomy(1) && wal.is_full());
    // There is space for it, and an urgent record gets it.
    append(&mut wal, 1, &[put(last + 1, 1)]).unwrap();
    wal.sync().unwrap();
    assert!(!wal.has_room(1), "its answer has changed");
    disk.capacity(u64::MAX);
    assert!(wal.has_room(1) && wal.has_room(15_100) && !wal.is_full());
}

#[test]
fn a_log_that_has_filled_its_disk_can_be_cut() {
    let disk = Disk::new(1);
    let mut options = small();
    options.reserve_bytes = 8 * 1024;
    disk.capacity(5 * 16 * 1024);
    let mut wal = Wal::open(Medium(disk.clone()), options.clone()).unwrap();
    let mut last = 0;
    while wal.has_room(1100) {
        last += 1;
        append(&mut wal, 1, &[put(last, 1000)]).unwrap();
        wal.sync().unwrap();
    }
    // Something else takes the rest of the disk.
    disk.capacity(disk.used());
    let snapshots = wal.snapshots();
    let body = |to: &mut dyn Write| to.write_all(&[7; 7000]);
    snapshots
        .create(GROUP, &identity(last), &mut |to| body(to))
        .unwrap();
    append(&mut wal, 1, &[Owned::Start(last)]).unwrap();
    wal.sync().unwrap();
    for index in last + 1..last + 60 {
        assert!(wal.has_room(1100), "{index}");
        append(&mut wal, 1, &[put(index, 1000), Owned::Start(index - 3)]).unwrap();
        wal.sync().unwrap();
    }
    // There is space again, so the reserve is filled again.
    disk.capacity(u64::MAX);
    for index in last + 60..last + 120 {
        append(&mut wal, 1, &[put(index, 1000), Owned::Start(index - 3)]).unwrap();
        wal.sync().unwrap();
    }
    assert_eq!(disk.len("reserve").unwrap(), 8 * 1024);
    let model = Model::of(&wal);
    drop(wal);
    let wal = Wal::open(Medium(disk.clone()), options).unwrap();
    assert_eq!(Model::of(&wal), model);
    assert_eq!(disk.len("reserve").unwrap(), 8 * 1024, "kept unchanged");
}

#[test]
fn a_received_snapshot_finds_what_is_kept_back() {
    let disk = Disk::new(1);
    let mut options = small();
    options.reserve_bytes = 8 * 1024;
    let wal = Wal::open(Medium(disk.clone()), options).unwrap();
    disk.capacity(disk.used());
    let snapshots = wal.snapshots();
    let (first, rest) = ([1; 5000], [2; 5000]);
    let larger = snapshots.write_part(GROUP, &identity(1), &seal(8_200), 0, &first);
    assert!(
        matches!(larger, Err(SnapshotError::Full)),
        "even with the reserve it would not fit: {larger:?}"
    );
    assert!(disk.names().unwrap().contains(&"reserve".to_owned()));
    snapshots
        .write_part(GROUP, &identity(1), &seal(8_000), 0, &first)
        .unwrap();
    let full = snapshots.write_part(GROUP, &identity(1), &seal(8_000), 5000, &rest);
    assert!(matches!(full, Err(SnapshotError::Full)), "{full:?}");
    assert!(!disk.names().unwrap().contains(&"reserve".to_owned()));
}

/// Freeing space yields no descriptors. And if the reserve cannot be freed, it stays for the next
/// that needs it.
#[test]
fn what_is_kept_back_is_spent_for_space_alone() {
    let disk = Disk::new(1);
    let scarce = Scarce::new(&disk);
    let mut options = small();
    options.reserve_bytes = 8 * 1024;
    let wal = Wal::open(scarce.clone(), options).unwrap();
    let snapshots = wal.snapshots();
    let is_kept = || disk.names().unwrap().contains(&"reserve".to_owned());
    let body = |to: &mut dyn Write| to.write_all(&[7; 7000]);
    let (mut created, mut refused) = (0, 0);
    for free in 0..8 {
        scarce.set_behind(free, EMFILE);
        match snapshots.create(GROUP, &identity(1), &mut |to| body(to)) {
            Ok(_) => created += 1,
            Err(SnapshotError::Full) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        scarce.set(0);
        assert!(is_kept(), "behind {free} descriptors");
    }
    assert!(created > 0 && refused > 1, "{created}, {refused}");
    // There is no space, and no descriptor for the directory in which to look for the reserve.
    let full = snapshots.create(GROUP, &identity(1), &mut |to| {
        disk.capacity(disk.used());
        scarce.set(EMFILE);
        body(to)
    });
    assert!(matches!(full, Err(SnapshotError::Full)), "{full:?}");
    scarce.set(0);
    assert!(is_kept());
    disk.capacity(disk.used());
    snapshots
        .create(GROUP, &identity(1), &mut |to| body(to))
        .expect("what is kept back is there for it");
    assert!(!is_kept());
}

#[test]
fn what_was_being_written_is_removed_before_space_is_needed() {
    let disk = Disk::new(1);
    let name = format!("1-{:020}.new", 9);
    Medium(disk.clone())
        .open(&name)
        .unwrap()
        .write_at(0, &[1; 20_000])
        .unwrap();
    disk.capacity(20_000);
    let mut wal = open(&disk).unwrap();
    assert!(!disk.names().unwrap().contains(&name));
    append(&mut wal, 1, &[put(1, 100)]).unwrap();
    wal.sync().unwrap();
}

/// A real file system, where possible: 256 KiB in memory.
#[test]
fn a_log_on_a_small_file_system_is_full_and_goes_on() {
    let Some(mounted) = Tmpfs::mount(256 << 10) else {
        // Past the harness, which shows the output of a test only if it fails.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED a_log_on_a_small_file_system_is_full_and_goes_on: this process may not mount a tmpfs"
        );
        return;
    };
    let path = mounted.0.path();
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (32 << 10, 8 << 10);
    options.reserve_bytes = 32 << 10;
    let directory = || synod_wal::Directory::open(path).unwrap();
    let mut wal = Wal::open(directory(), options.clone()).unwrap();
    let mut last = 0;
    while wal.has_room(5000) {
        last += 1;
        append(&mut wal, 1, &[put(last, 4000)]).unwrap();
        wal.sync().unwrap();
    }
    assert!(last > 10, "{last}");
    assert!(matches!(
        append(&mut wal, 1, &[put(last + 1, 4000)]),
        Err(AppendError::Full)
    ));
    let model = Model::of(&wal);
    drop(wal);
    // Something else takes the rest of it.
    let mut rest = std::fs::File::create(path.join("somebody-else")).unwrap();
    while rest.write_all(&[1; 4096]).is_ok() {}
    let mut wal = Wal::open(directory(), options).unwrap();
    assert_eq!(Model::of(&wal), model);
    let snapshots = wal.snapshots();
    snapshots
        .create(GROUP, &identity(last), &mut |to| to.write_all(&[7; 20_000]))
        .unwrap();
    append(&mut wal, 1, &[Owned::Start(last)]).unwrap();
    wal.sync().unwrap();
    for index in last + 1..last + 50 {
        assert!(wal.has_room(5000), "{index}");
        append(&mut wal, 1, &[put(index, 4000), Owned::Start(index - 2)]).unwrap();
        wal.sync().unwrap();
    }
}

/// A tmpfs, mounted until this is dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "synod-test"]);
        let mounted = command.arg(directory.path()).output().ok()?;
        mounted.status.success().then_some(Self(directory))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
        assert!(
            unmount.is_ok_and(|status| status.success()),
            "it was mounted"
        );
    }
}

/// What a log reports as room it accepts, in one batch, even if the disk has no space left: at any
/// fill of a segment, in records of any size, before and after it released a segment.
#[test]
fn what_there_is_room_for_is_taken_on_a_full_disk() {
    let mut random = Rng::new(1);
    let (mut taken, mut rotated) = (0, 0);
    for run in 0..400 {
        let disk = Disk::new(1);
        let mut options = small();
        options.segment_bytes = 64 * 1024;
        let mut wal = Wal::open(Medium(disk.clone()), options).unwrap();
        let mut index = 0;
        for _ in 0..random.below(40) {
            index += 1;
            append(&mut wal, 1, &[put(index, random.below(3_000) as usize)]).unwrap();
            wal.sync().unwrap();
            if random.below(4) == 0 {
                append(&mut wal, 1, &[Owned::Start(index)]).unwrap();
                wal.sync().unwrap();
            }
        }
        if random.below(2) == 0 {
            wal.has_room(60_000);
        }
        disk.capacity(disk.used());
        let before = wal.stats().segments;
        let mut room = wal.room_bytes();
        loop {
            let len = random.below(2_500) + 1;
            // More than the header of a record and of the operation in it.
            let bytes = len + 128;
            if bytes > room {
                break;
            }
            room -= bytes;
            index += 1;
            let appended = append(&mut wal, 1, &[put(index, len as usize)]);
            assert!(appended.is_ok(), "{room} left in run {run}: {appended:?}");
            taken += 1;
        }
        wal.sync().unwrap();
        rotated += u64::from(wal.stats().segments > before);
    }
    assert!(taken > 1_000 && rotated > 50, "{taken} {rotated}");
}
