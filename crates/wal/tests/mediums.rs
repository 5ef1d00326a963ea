//! The media that come with the log: a real directory, and a layer whose unsynced writes die with
//! the process.

mod support;

use std::io::ErrorKind;

use proptest::prelude::*;
use support::{Fault, Faulty, Medium, Model, append, put, small};
use synod_wal::{Directory, DirectoryError, Disk, File, GroupId, PowerLoss, Wal, dump};

#[test]
fn a_directory_is_locked_while_in_use() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("a/b");
    let directory = Directory::open(&path).unwrap();
    let locked = Directory::open(&path).unwrap_err();
    assert!(matches!(locked, DirectoryError::Locked { path: p } if p == path));
    let clone = directory.clone();
    drop(directory);
    Directory::open(&path).unwrap_err();
    drop(clone);
    Directory::open(&path).unwrap();
}

#[test]
fn a_directory_takes_flat_names_only() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = Directory::open(temporary.path()).unwrap();
    for name in [
        "../x",
        "a/b",
        "",
        ".",
        "..",
        ".hidden",
        "UPPER",
        "with space",
    ] {
        assert_eq!(
            directory.open(name).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{name}"
        );
        assert_eq!(
            directory.remove(name).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{name}"
        );
    }
    std::fs::write(temporary.path().join("UPPER"), "x").unwrap();
    std::fs::create_dir(temporary.path().join("folder")).unwrap();
    directory.open("a-1.log").unwrap();
    assert_eq!(directory.list().unwrap(), ["a-1.log"]);
}

#[test]
fn a_log_in_a_directory_is_found_and_dumped_while_in_use() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path();
    let mut model = Model::default();
    for round in 1..4 {
        let mut wal = Wal::open(Directory::open(path).unwrap(), small()).unwrap();
        assert_eq!(Model::of(&wal), model);
        for index in 1..20 {
            let ops = [put(round * 100 + index, 1000)];
            append(&mut wal, 1, &ops).unwrap();
            model.apply(GroupId(1), &ops);
            wal.sync().unwrap();
        }
        let read_only = Directory::read_only(path).unwrap();
        let records = dump(&read_only).unwrap().map(Result::unwrap);
        assert_eq!(records.last().unwrap().lsn, wal.durable());
        assert_eq!(
            read_only.remove("00000001.log").unwrap_err().kind(),
            ErrorKind::ReadOnlyFilesystem
        );
        read_only.open("absent").unwrap_err();
    }
}

#[test]
fn a_kill_loses_what_was_not_synced() {
    let disk = synod_sim::Disk::new(1);
    let open = |lying: bool| {
        let inner = Medium(disk.clone());
        let layer = if lying {
            PowerLoss::lying(inner)
        } else {
            PowerLoss::new(inner)
        };
        Wal::open(layer, small()).unwrap()
    };
    let mut wal = open(false);
    let mut model = Model::default();
    for index in 1..40 {
        append(&mut wal, 1, &[put(index, 700)]).unwrap();
        model.apply(GroupId(1), &[put(index, 700)]);
        wal.sync().unwrap();
    }
    append(&mut wal, 1, &[put(99, 700)]).unwrap();
    let snapshots = wal.snapshots();
    let snapshot = synod_wal::Snapshot {
        index: 3,
        tag: synod_wal::Tag::default(),
        meta: "".into(),
    };
    snapshots
        .create(GroupId(1), &snapshot, &mut |to| to.write_all(&[7; 10_000]))
        .unwrap();
    let seal = snapshots.seal(GroupId(1), 3).unwrap();
    snapshots
        .write_part(
            GroupId(1),
            &synod_wal::Snapshot {
                index: 4,
                ..snapshot.clone()
            },
            &seal,
            0,
            b"lost",
        )
        .unwrap();
    drop(wal);
    let mut wal = open(true);
    assert_eq!(Model::of(&wal), model);
    assert_eq!(wal.snapshots().list(GroupId(1)).unwrap(), [snapshot]);
    assert_eq!(
        wal.snapshots().open(GroupId(1), 3).unwrap().1.remaining(),
        10_000
    );
    assert!(
        !disk
            .names()
            .unwrap()
            .iter()
            .any(|name| name.ends_with(".part"))
    );

    // A disk that lies about its syncs: all seems well until the process is gone.
    for index in 50..60 {
        append(&mut wal, 1, &[put(index, 700)]).unwrap();
        wal.sync().unwrap();
    }
    assert_eq!(
        wal.reader()
            .read(GroupId(1), 50..=60, usize::MAX)
            .unwrap()
            .len(),
        10
    );
    drop(wal);
    assert_eq!(Model::of(&open(false)), model);
}

#[test]
fn names_reach_the_inner_disk_at_their_sync() {
    let inner = synod_sim::Disk::new(1);
    inner.put_image("old", b"old");
    inner.put_image("gone", b"gone");
    let disk = PowerLoss::new(Medium(inner.clone()));
    let file = disk.open("new").unwrap();
    file.write_at(2, b"new").unwrap();
    file.sync().unwrap();
    disk.rename("new", "renamed").unwrap();
    disk.rename("old", "new").unwrap();
    disk.remove("gone").unwrap();
    assert_eq!(
        disk.rename("gone", "x").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let mut names = disk.list().unwrap();
    names.sort();
    assert_eq!(names, ["new", "renamed"]);
    let mut read = [1; 9];
    assert_eq!(
        disk.open("renamed").unwrap().read_at(0, &mut read).unwrap(),
        5
    );
    assert_eq!(&read[..5], b"\0\0new");
    assert_eq!(
        inner.names().unwrap(),
        ["gone", "old"],
        "its name is not durable yet"
    );
    disk.sync().unwrap();
    assert_eq!(inner.names().unwrap(), ["new", "renamed"]);
    assert_eq!(
        (inner.image("renamed"), inner.image("new")),
        (b"\0\0new".to_vec(), b"old".to_vec())
    );
    inner.power_loss();
    assert_eq!(inner.image("renamed"), b"\0\0new");
    disk.open("new").unwrap().write_at(0, b"O").unwrap();
    assert_eq!(inner.image("new"), b"old");
}

#[test]
fn an_error_keeps_what_did_not_reach_the_inner_disk() {
    let inner = synod_sim::Disk::new(1);
    inner.put_image("old.log", b"old");
    let faulty = Faulty::new(&inner);
    let disk = PowerLoss::new(faulty.clone());
    let file = disk.open("1.new").unwrap();
    file.write_at(0, &[7; 1000]).unwrap();
    file.sync().unwrap();
    disk.rename("old.log", "renamed.log").unwrap();
    let log = disk.open("2.log").unwrap();
    faulty.set(Some(Fault::Write(".new")));
    disk.sync().unwrap_err();
    // The rest waits, and the sync of another thread does not drop it.
    disk.sync().unwrap_err();
    assert!(!inner.names().unwrap().contains(&"2.log".to_owned()));
    faulty.set(None);
    disk.sync().unwrap();
    log.write_at(0, b"acknowledged").unwrap();
    log.sync().unwrap();
    inner.power_loss();
    assert_eq!(inner.names().unwrap(), ["1.new", "2.log", "renamed.log"]);
    assert_eq!(inner.image("1.new"), [7; 1000]);
    assert_eq!(inner.image("2.log"), b"acknowledged");

    for fault in [Fault::Write(".log"), Fault::Sync(".log")] {
        log.write_at(0, b"A").unwrap();
        log.write_at(20, b"more").unwrap();
        faulty.set(Some(fault));
        log.sync().unwrap_err();
        let mut read = [0; 24];
        assert_eq!(log.read_at(0, &mut read).unwrap(), 24);
        assert_eq!(&read, b"Acknowledged\0\0\0\0\0\0\0\0more");
        faulty.set(None);
        log.sync().unwrap();
        inner.power_loss();
        assert_eq!(inner.image("2.log"), read);
        log.write_at(0, b"acknowledged\0\0\0\0\0\0\0\0\0\0\0\0")
            .unwrap();
        log.sync().unwrap();
    }
    // A failed sync of a disk whose pages count as clean afterwards.
    log.write_at(0, b"again").unwrap();
    inner.fail_next_sync();
    log.sync().unwrap_err();
    log.sync().unwrap();
    inner.power_loss();
    assert!(inner.image("2.log").starts_with(b"again"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_layered_file_reads_as_a_file(
        writes in proptest::collection::vec((0..200_u64, 0..90_usize, any::<u8>(), 0..6_u8), 1..40),
        named in any::<bool>(),
    ) {
        let inner = synod_sim::Disk::new(1);
        let disk = PowerLoss::new(Medium(inner.clone()));
        let file = disk.open("a").unwrap();
        if named {
            disk.sync().unwrap();
        }
        let (mut live, mut synced) = (Vec::new(), Vec::new());
        for (at, len, byte, sync) in writes {
            file.write_at(at, &vec![byte; len]).unwrap();
            let end = at as usize + len;
            live.resize(live.len().max(end), 0);
            live[at as usize..end].fill(byte);
            if sync == 0 {
                file.sync().unwrap();
                synced.clone_from(&live);
            }
            let mut read = vec![9; 400];
            let count = file.read_at(3, &mut read).unwrap();
            prop_assert_eq!(&read[..count], live.get(3..).unwrap_or_default());
            prop_assert_eq!(file.len().unwrap(), live.len() as u64);
        }
        disk.sync().unwrap();
        let image = inner.image("a");
        prop_assert_eq!(&image[..], &synced[..image.len()]);
        prop_assert!(synced[image.len()..].iter().all(|byte| *byte == 0));
    }
}
