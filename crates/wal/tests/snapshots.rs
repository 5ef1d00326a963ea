//! Snapshot files: there completely or not at all, durable once they are there, received in chunks,
//! never believed if they are bad.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use std::io::{self, Read, Write};

use bytes::Bytes;
use proptest::prelude::*;
use support::{Fault, Faulty, Medium, open, small};
use synod_sim::Disk;
use synod_wal::{GroupId, OpenError, Seal, Snapshot, SnapshotError, Snapshots, Tag, Wal};

const GROUP: GroupId = GroupId(7);
/// The length of the owner, in front of the transferred part.
const OWNER_BYTES: usize = 24;
const NOTHING: Seal = Seal {
    len: 0,
    hash: [0; 32],
};

#[test]
fn a_snapshot_is_read_back() {
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    for len in [0, 1, 65_000, 70_000, 300_000] {
        let snapshot = identity(len as u64);
        let written = create(&snapshots, &snapshot, len).unwrap();
        assert_eq!(snapshots.seal(GROUP, snapshot.index).unwrap().len, written);
        disk.power_loss();
        let (found, mut reader) = snapshots.open(GROUP, snapshot.index).unwrap();
        assert_eq!((found, reader.remaining()), (snapshot, len as u64));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == body(len));
    }
    let listed: Vec<u64> = snapshots
        .list(GROUP)
        .unwrap()
        .iter()
        .map(|snapshot| snapshot.index)
        .collect();
    assert_eq!(listed, [0, 1, 65_000, 70_000, 300_000]);
    assert!(snapshots.list(GroupId(70)).unwrap().is_empty());
}

#[test]
fn what_is_absent_is_not_found_and_not_created() {
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let names = disk.names().unwrap();
    let is_absent = |error| {
        matches!(
            error,
            SnapshotError::NotFound {
                group: GROUP,
                index: 5
            }
        )
    };
    assert!(is_absent(snapshots.open(GROUP, 5).unwrap_err()));
    assert!(is_absent(snapshots.seal(GROUP, 5).unwrap_err()));
    assert!(is_absent(
        snapshots.read(GROUP, 5, 0, &mut [0]).unwrap_err()
    ));
    assert!(is_absent(
        snapshots
            .finish_part(GROUP, &identity(5), &NOTHING)
            .unwrap_err()
    ));
    snapshots.discard_part(GROUP, &identity(5)).unwrap();
    assert_eq!(snapshots.part_len(GROUP, &identity(5)).unwrap(), 0);
    assert_eq!(disk.names().unwrap(), names);
}

#[test]
fn a_file_is_received_in_pieces_and_resumed() {
    let (snapshot, seal, file) = sent(5, 10_000);
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let piece = |at: usize, len: usize| {
        snapshots.write_part(GROUP, &snapshot, &seal, at as u64, &file[at..at + len])
    };
    piece(0, 4000).unwrap();
    piece(0, 4000).unwrap();
    piece(3000, 2000).unwrap();
    assert!(
        matches!(piece(5001, 10), Err(SnapshotError::Gap { len: 5000 })),
        "a wild offset takes no space"
    );
    assert!(
        matches!(
            snapshots.finish_part(GROUP, &snapshot, &seal),
            Err(SnapshotError::Corrupt { .. })
        ),
        "not whole yet"
    );
    assert!(snapshots.list(GROUP).unwrap().is_empty());
    disk.kill();
    disk.restart();
    // Another snapshot with the same index does not mix with it.
    let other = Snapshot {
        meta: "other".into(),
        ..snapshot.clone()
    };
    snapshots
        .write_part(GROUP, &other, &seal, 0, b"garbage")
        .unwrap();
    let resumed = snapshots.part_len(GROUP, &snapshot).unwrap() as usize;
    assert_eq!(resumed, 5000);
    piece(resumed, file.len() - resumed).unwrap();
    assert!(matches!(
        snapshots.finish_part(GROUP, &other, &seal),
        Err(SnapshotError::Corrupt { .. })
    ));
    snapshots.discard_part(GROUP, &other).unwrap();
    snapshots.finish_part(GROUP, &snapshot, &seal).unwrap();
    snapshots.finish_part(GROUP, &snapshot, &seal).unwrap();
    assert!(matches!(
        snapshots.finish_part(GROUP, &other, &seal),
        Err(SnapshotError::NotFound { .. })
    ));
    disk.power_loss();
    let mut read = vec![0; file.len() + 1];
    let count = snapshots.read(GROUP, 5, 0, &mut read).unwrap();
    assert!(read[..count] == file, "peers pass on the same bytes");
    assert_eq!(snapshots.list(GROUP).unwrap(), [snapshot]);
}

#[test]
fn every_flipped_byte_of_a_snapshot_is_found() {
    let (snapshot, seal, file) = sent(5, 500);
    let name = format!("7-{:020}.snap", 5);
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    create(&snapshots, &snapshot, 500).unwrap();
    let whole = disk.image(&name);
    assert_eq!(whole.len(), file.len() + OWNER_BYTES);
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        disk.put_image(&name, &bad);
        let opened = snapshots.open(GROUP, 5);
        assert!(
            matches!(
                opened,
                Err(SnapshotError::Corrupt {
                    group: GROUP,
                    index: 5
                })
            ),
            "byte {at}: {opened:?}"
        );
    }
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1 << (at % 8);
        snapshots
            .write_part(GROUP, &snapshot, &seal, 0, &bad)
            .unwrap();
        let finished = snapshots.finish_part(GROUP, &snapshot, &seal);
        assert!(
            matches!(finished, Err(SnapshotError::Corrupt { .. })),
            "byte {at}: {finished:?}"
        );
    }
    for len in 0..whole.len() {
        disk.put_image(&name, &whole[..len]);
        snapshots.open(GROUP, 5).unwrap_err();
    }
    disk.put_image(&name, &[&whole[..], &[0]].concat());
    snapshots.open(GROUP, 5).unwrap_err();
    // A good file under the name of another.
    disk.put_image(&format!("7-{:020}.snap", 6), &whole);
    assert!(matches!(
        snapshots.open(GROUP, 6),
        Err(SnapshotError::Corrupt { .. })
    ));
    disk.put_image(&format!("8-{:020}.snap", 5), &whole);
    assert!(matches!(
        snapshots.list(GroupId(8)),
        Err(SnapshotError::Corrupt { .. })
    ));
}

/// A good file of the same snapshot, but not the one announced with the first chunk.
#[test]
fn what_was_not_announced_is_not_taken() {
    let (snapshot, seal, file) = sent(5, 10_000);
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let hash = sent(5, 9_999).1.hash;
    for wrong in [Seal { hash, ..seal }, Seal { len: 1, ..seal }, NOTHING] {
        snapshots
            .write_part(GROUP, &snapshot, &wrong, 0, &file)
            .unwrap();
        let finished = snapshots.finish_part(GROUP, &snapshot, &wrong);
        assert!(
            matches!(
                finished,
                Err(SnapshotError::Seal {
                    group: GROUP,
                    index: 5
                })
            ),
            "{finished:?}"
        );
        assert!(snapshots.list(GROUP).unwrap().is_empty());
    }
    snapshots.finish_part(GROUP, &snapshot, &seal).unwrap();
    assert_eq!(snapshots.seal(GROUP, 5).unwrap(), seal);
}

#[test]
fn of_what_does_not_fit_nothing_is_taken() {
    let (snapshot, seal, file) = sent(5, 10_000);
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let (names, used) = (disk.names().unwrap(), disk.used());
    let needed = seal.len + OWNER_BYTES as u64;
    disk.capacity(used + needed - 1);
    let taken = snapshots.write_part(GROUP, &snapshot, &seal, 0, &file[..100]);
    assert!(matches!(taken, Err(SnapshotError::Full)), "{taken:?}");
    assert_eq!((disk.names().unwrap(), disk.used()), (names, used));
    disk.capacity(used + needed);
    let taken = |at: u64, bytes: &[u8]| snapshots.write_part(GROUP, &snapshot, &seal, at, bytes);
    taken(0, &file[..9_000]).unwrap();
    // The first chunk again: the bytes already received count as space.
    taken(0, &file[..9_000]).unwrap();
    taken(9_000, &file[9_000..]).unwrap();
    snapshots.finish_part(GROUP, &snapshot, &seal).unwrap();
}

#[test]
fn a_snapshot_of_another_log_is_refused() {
    let name = format!("7-{:020}.snap", 5);
    let (one, two) = (Disk::new(1), Disk::new(2));
    let salted = |disk: &Disk, salt| {
        let mut options = small();
        options.salt = Some(salt);
        Wal::open(Medium(disk.clone()), options)
    };
    let snapshots = salted(&one, 11).unwrap().snapshots();
    create(&snapshots, &identity(5), 100).unwrap();
    let wal = salted(&two, 22).unwrap();
    two.put_image(&name, &one.image(&name));
    let another = |error| {
        matches!(
            error,
            SnapshotError::Another {
                group: GROUP,
                index: 5
            }
        )
    };
    assert!(another(wal.snapshots().open(GROUP, 5).unwrap_err()));
    assert!(another(wal.snapshots().list(GROUP).unwrap_err()));
    drop(wal);
    let opened = salted(&two, 22).unwrap_err();
    assert!(
        matches!(
            opened,
            OpenError::AnotherSnapshot {
                group: GROUP,
                index: 5
            }
        ),
        "{opened:?}"
    );
    // The transferred part does not reveal the salt, and becomes the receiver's own.
    let seal = snapshots.seal(GROUP, 5).unwrap();
    let mut file = vec![0; seal.len as usize + 1];
    assert_eq!(
        snapshots.read(GROUP, 5, 0, &mut file).unwrap() as u64,
        seal.len
    );
    file.pop();
    assert!(one.image(&name)[..OWNER_BYTES].ends_with(&11_u64.to_le_bytes()));
    assert!(!file.windows(8).any(|bytes| bytes == 11_u64.to_le_bytes()));
    two.remove(&name).unwrap();
    let received = salted(&two, 22).unwrap().snapshots();
    received
        .write_part(GROUP, &identity(5), &seal, 0, &file)
        .unwrap();
    received.finish_part(GROUP, &identity(5), &seal).unwrap();
    two.power_loss();
    let received = salted(&two, 22).unwrap().snapshots();
    assert_eq!(received.list(GROUP).unwrap(), [identity(5)]);
}

/// A log in which nothing was synced yet keeps the salt of its durable snapshots when it is opened
/// again.
#[test]
fn a_log_that_was_never_synced_knows_its_snapshots() {
    let disk = Disk::new(1);
    let unsalted = || {
        let mut options = small();
        options.salt = None;
        Wal::open(Medium(disk.clone()), options).unwrap()
    };
    create(&unsalted().snapshots(), &identity(5), 100).unwrap();
    disk.power_loss();
    assert_eq!(unsalted().snapshots().list(GROUP).unwrap(), [identity(5)]);
}

#[test]
fn old_ones_and_stale_parts_are_removed() {
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    for index in 1..6 {
        create(&snapshots, &identity(index), 10).unwrap();
    }
    snapshots
        .write_part(GROUP, &identity(3), &NOTHING, 0, b"stale")
        .unwrap();
    snapshots
        .write_part(GROUP, &identity(9), &NOTHING, 0, b"coming")
        .unwrap();
    snapshots
        .create(GroupId(8), &identity(1), &mut |_| Ok(()))
        .unwrap();
    let (_, mut reader) = snapshots.open(GROUP, 4).unwrap();
    snapshots.remove_before(GROUP, 4).unwrap();
    disk.power_loss();
    let listed: Vec<u64> = snapshots
        .list(GROUP)
        .unwrap()
        .iter()
        .map(|snapshot| snapshot.index)
        .collect();
    assert_eq!(listed, [4, 5]);
    assert_eq!(snapshots.list(GroupId(8)).unwrap().len(), 1);
    let stale = format!("7-{:020}-", 3);
    let names = disk.names().unwrap();
    assert!(
        !names.iter().any(|name| name.starts_with(&stale)),
        "{names:?}"
    );
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, body(10));
}

#[test]
fn a_damaged_snapshot_matters_only_while_none_is_newer() {
    let disk = Disk::new(1);
    let faulty = Faulty::new(&disk);
    let snapshots = Wal::open(faulty.clone(), small()).unwrap().snapshots();
    for index in 1..5 {
        let mut write = |to: &mut dyn Write| to.write_all(b"body");
        snapshots
            .create(GROUP, &identity(index), &mut write)
            .unwrap();
    }
    let name = |index: u64| format!("7-{index:020}.snap");
    let listed = || -> Result<Vec<u64>, SnapshotError> {
        let listed = snapshots.list(GROUP)?;
        Ok(listed.iter().map(|snapshot| snapshot.index).collect())
    };
    disk.flip(&name(1), 40, 1).unwrap();
    disk.put_image(&name(2), b"");
    assert_eq!(listed().unwrap(), [3, 4]);
    faulty.set(Some(Fault::Read("3.snap")));
    assert_eq!(listed().unwrap(), [4]);
    let damaged = snapshots.damaged(GROUP).unwrap();
    assert!(
        matches!(
            damaged[..],
            [
                (1, SnapshotError::Corrupt { index: 1, .. }),
                (2, SnapshotError::Corrupt { index: 2, .. }),
                (3, SnapshotError::Io(_))
            ]
        ),
        "{damaged:?}"
    );
    faulty.set(None);
    disk.flip(&name(4), 40, 1).unwrap();
    assert!(matches!(
        listed(),
        Err(SnapshotError::Corrupt { index: 4, .. })
    ));
    disk.flip(&name(4), 40, 1).unwrap();
    snapshots.remove_before(GROUP, 4).unwrap();
    assert_eq!(listed().unwrap(), [4]);
    assert!(snapshots.damaged(GROUP).unwrap().is_empty());
}

#[test]
fn a_part_that_was_not_synced_is_received_anew() {
    let (snapshot, seal, file) = sent(5, 10_000);
    let disk = Disk::new(1);
    let faulty = Faulty::new(&disk);
    let snapshots = Wal::open(faulty.clone(), small()).unwrap().snapshots();
    snapshots
        .write_part(GROUP, &snapshot, &seal, 0, &file)
        .unwrap();
    faulty.set(Some(Fault::Sync(".part")));
    let failed = snapshots.finish_part(GROUP, &snapshot, &seal);
    assert!(matches!(failed, Err(SnapshotError::Io(_))));
    faulty.set(None);
    let again = snapshots.finish_part(GROUP, &snapshot, &seal);
    assert!(
        matches!(again, Err(SnapshotError::NotFound { .. })),
        "a second sync proves nothing: {again:?}"
    );
    assert_eq!(snapshots.part_len(GROUP, &snapshot).unwrap(), 0);
    snapshots
        .write_part(GROUP, &snapshot, &seal, 0, &file)
        .unwrap();
    snapshots.finish_part(GROUP, &snapshot, &seal).unwrap();
    disk.power_loss();
    assert_eq!(snapshots.list(GROUP).unwrap(), [snapshot]);
}

#[test]
fn a_failure_leaves_no_snapshot() {
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let names = disk.names().unwrap();
    let failed = snapshots.create(GROUP, &identity(1), &mut |to| {
        to.write_all(b"some")?;
        Err(io::ErrorKind::InvalidData.into())
    });
    assert!(matches!(failed, Err(SnapshotError::Io(_))));
    disk.capacity(disk.used() + 1000);
    assert!(matches!(
        create(&snapshots, &identity(1), 5000),
        Err(SnapshotError::Full)
    ));
    assert_eq!(
        disk.names().unwrap(),
        names,
        "a full disk gets its space back"
    );
    disk.capacity(u64::MAX);
    let meta = Bytes::from(vec![0; (1 << 20) + 1]);
    let large = snapshots.create(
        GROUP,
        &Snapshot {
            meta,
            ..identity(1)
        },
        &mut |_| Ok(()),
    );
    assert!(matches!(large, Err(SnapshotError::MetaTooLarge { .. })));
    disk.fail_next_sync();
    create(&snapshots, &identity(1), 10).unwrap_err();
    assert!(snapshots.list(GROUP).unwrap().is_empty());
    create(&snapshots, &identity(1), 10).unwrap();
}

#[test]
fn a_crash_at_each_operation_leaves_a_snapshot_whole_or_not_at_all() {
    let (received, seal, file) = sent(3, 2000);
    let script = |snapshots: &Snapshots<Medium>| -> Result<(), (u64, SnapshotError)> {
        create(snapshots, &identity(1), 3000).map_err(|error| (0, error))?;
        snapshots
            .remove_before(GROUP, 1)
            .map_err(|error| (1, error))?;
        create(snapshots, &identity(2), 4000).map_err(|error| (1, error))?;
        let resumed = snapshots
            .part_len(GROUP, &received)
            .map_err(|error| (2, error))? as usize;
        for at in (resumed.min(file.len())..file.len()).step_by(700) {
            let piece = &file[at..(at + 700).min(file.len())];
            snapshots
                .write_part(GROUP, &received, &seal, at as u64, piece)
                .map_err(|error| (2, error))?;
        }
        snapshots
            .finish_part(GROUP, &received, &seal)
            .map_err(|error| (2, error))?;
        snapshots
            .remove_before(GROUP, 3)
            .map_err(|error| (3, error))
    };
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let before = disk.operations();
    script(&snapshots).unwrap();
    let operations = disk.operations() - before;
    assert!(operations > 15, "{operations}");
    let mut torn_parts = 0;
    for at in 0..operations {
        for seed in 0..6 {
            let disk = Disk::new(at * 6 + seed);
            let snapshots = open(&disk).unwrap().snapshots();
            disk.crash_after(at);
            let (newest, _) = script(&snapshots).unwrap_err();
            disk.power_loss();
            let snapshots = open(&disk).unwrap().snapshots();
            let listed = snapshots.list(GROUP).unwrap();
            assert!(
                newest == 0 || listed.iter().any(|found| found.index == newest),
                "crash at {at}: {listed:?}"
            );
            for found in listed {
                let (opened, mut reader) = snapshots.open(GROUP, found.index).unwrap();
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                assert_eq!(opened, identity(found.index), "crash at {at}, seed {seed}");
                assert!(read == body([0, 3000, 4000, 2000][found.index as usize]));
            }
            match script(&snapshots) {
                Ok(()) => {}
                // A part whose middle the power loss took is detected and received again.
                Err((2, SnapshotError::Corrupt { .. })) => {
                    torn_parts += 1;
                    snapshots.discard_part(GROUP, &received).unwrap();
                    script(&snapshots).unwrap();
                }
                Err(error) => panic!("crash at {at}, seed {seed}: {error:?}"),
            }
            assert_eq!(
                snapshots.list(GROUP).unwrap(),
                std::slice::from_ref(&received)
            );
        }
    }
    assert!(torn_parts > 0, "in some cases");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_snapshot(bytes in proptest::collection::vec(any::<u8>(), 0..500), good in 0..120_usize) {
        let disk = Disk::new(1);
        let snapshots = open(&disk).unwrap().snapshots();
        let (snapshot, seal, file) = sent(5, 20);
        let mixed = [&file[..good.min(file.len())], &bytes[..]].concat();
        prop_assume!(mixed != file);
        create(&snapshots, &snapshot, 20).unwrap();
        let name = format!("7-{:020}.snap", 5);
        let owner = &disk.image(&name)[..OWNER_BYTES];
        disk.put_image(&name, &[owner, &mixed].concat());
        let opened = snapshots.open(GROUP, 5);
        prop_assert!(matches!(opened, Err(SnapshotError::Corrupt { .. })), "it was believed");
        snapshots.write_part(GROUP, &snapshot, &seal, 0, &mixed).unwrap();
        let finished = snapshots.finish_part(GROUP, &snapshot, &seal);
        prop_assert!(matches!(finished, Err(SnapshotError::Corrupt { .. })), "it was believed");
    }
}

fn create(
    snapshots: &Snapshots<Medium>,
    snapshot: &Snapshot,
    len: usize,
) -> Result<u64, SnapshotError> {
    snapshots.create(GROUP, snapshot, &mut |to: &mut dyn Write| {
        body(len)
            .chunks(999)
            .try_for_each(|piece| to.write_all(piece))
    })
}

/// A file as another node has it.
fn sent(index: u64, len: usize) -> (Snapshot, Seal, Vec<u8>) {
    let snapshots = open(&Disk::new(9)).unwrap().snapshots();
    let written = create(&snapshots, &identity(index), len).unwrap();
    let mut file = vec![0; written as usize];
    assert_eq!(
        snapshots.read(GROUP, index, 0, &mut file).unwrap(),
        file.len()
    );
    let seal = snapshots.seal(GROUP, index).unwrap();
    (identity(index), seal, file)
}

fn identity(index: u64) -> Snapshot {
    Snapshot {
        index,
        tag: Tag([index as u8; 32]),
        meta: format!("meta {index}").into(),
    }
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}
