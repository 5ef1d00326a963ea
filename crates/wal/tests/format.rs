//! The bytes on disk, pinned. Changing them changes the format.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use std::fmt::Write;
use std::path::Path;

use support::{Medium, Owned, append, open};
use synod_sim::Disk;
use synod_wal::{GroupId, OpenError, Snapshot, SnapshotError, Tag, dump};

#[test]
fn a_segment_is_these_bytes() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let every = [
        Owned::State(1),
        Owned::Put(2, "two".into()),
        Owned::Truncate(9),
        Owned::Start(1),
    ];
    append(&mut wal, 5, &every).unwrap();
    append(&mut wal, 0x0102_0304_0506_0708, &[Owned::State(0xff)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 5, &[Owned::Put(3, "three".into())]).unwrap();
    wal.sync().unwrap();
    is_golden("segment.txt", &disk.image("00000001.log"));
}

#[test]
fn a_later_segment_opens_with_these_bytes() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(
        &mut wal,
        5,
        &[
            Owned::State(1),
            Owned::Put(2, "two".into()),
            Owned::Start(1),
        ],
    )
    .unwrap();
    append(&mut wal, 6, &[Owned::Start(8)]).unwrap();
    wal.sync().unwrap();
    while wal.stats().segments < 2 {
        append(&mut wal, 5, &[Owned::State(1)]).unwrap();
        wal.sync().unwrap();
    }
    is_golden("head.txt", &disk.image("00000002.log")[..4096]);
}

#[test]
fn a_snapshot_is_these_bytes() {
    let disk = Disk::new(1);
    let snapshots = open(&disk).unwrap().snapshots();
    let snapshot = Snapshot {
        index: 0x0102_0304,
        tag: Tag([7; 32]),
        meta: "who votes".into(),
    };
    snapshots
        .create(GroupId(5), &snapshot, &mut |to| {
            to.write_all(b"the machine")
        })
        .unwrap();
    is_golden("snapshot.txt", &disk.image("5-00000000000016909060.snap"));
}

/// A snapshot from before owners and hashes is reported as another version, not believed, and so is
/// one of a future version. If only the version differs, by a bad bit, it is damaged.
#[test]
fn a_snapshot_of_another_version_is_not_read() {
    let disk = Disk::new(1);
    let old = std::fs::read_to_string(golden("snapshot_version_0.txt")).unwrap();
    let snapshots = open(&disk).unwrap().snapshots();
    disk.put_image("5-00000000000016909060.snap", &parse(&old, 100));
    let version = || match snapshots.list(GroupId(5)).unwrap_err() {
        SnapshotError::Version { version, .. } => Some(version),
        SnapshotError::Corrupt { .. } => None,
        other => panic!("{other}"),
    };
    assert_eq!(version(), Some(0));

    let written = Snapshot {
        index: 0x0102_0304,
        tag: Tag([1; 32]),
        meta: "meta".into(),
    };
    let created = snapshots.create(GroupId(5), &written, &mut |to| to.write_all(b"body"));
    created.unwrap();
    assert_eq!(snapshots.list(GroupId(5)).unwrap(), [written]);
    let name = "5-00000000000016909060.snap";
    disk.flip(name, 8, 1 ^ 7).unwrap();
    assert_eq!(version(), None, "its checksum is that of version 1");
    // In another version these bytes may have another meaning.
    disk.flip(name, 20, 1).unwrap();
    assert_eq!(version(), Some(7));
}

#[test]
fn the_golden_segment_is_read() {
    let disk = Disk::new(1);
    disk.put_image(
        "00000001.log",
        &parse(
            &std::fs::read_to_string(golden("segment.txt")).unwrap(),
            16 * 1024,
        ),
    );
    let wal = open(&disk).unwrap();
    let recovered = wal.recover(GroupId(5)).unwrap();
    assert_eq!(
        (recovered.state, recovered.start),
        (Some(Tag([1; 32])), (1, Tag([1; 32])))
    );
    let slots: Vec<_> = recovered
        .slots
        .map(Result::unwrap)
        .map(|slot| (slot.index, slot.body))
        .collect();
    assert_eq!(slots, [(2, "two".into()), (3, "three".into())]);
}

#[test]
fn another_version_is_refused() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 5, &[Owned::State(1)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    // A head of version 1, with a right checksum.
    let mut image = disk.image("00000001.log");
    image[3] = 1;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&0_u64.to_le_bytes()), &image[..4]);
    let checksum = crc32c::crc32c_append(checksum, &image[8..4096]);
    image[4..8].copy_from_slice(&checksum.to_le_bytes());
    disk.put_image("00000001.log", &image);
    let is_refused = |error| {
        matches!(
            error,
            OpenError::Version {
                segment: 1,
                version: 1
            }
        )
    };
    assert!(is_refused(open(&disk).unwrap_err()));
    assert!(is_refused(dump(&Medium(disk)).map(drop).unwrap_err()));
}

/// Compares with the file in `testdata`; `UPDATE=1` writes it.
fn is_golden(name: &str, bytes: &[u8]) {
    let text = render(bytes);
    let path = golden(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == expected,
        "the bytes of {name} have changed:\n{text}"
    );
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/testdata")
        .join(name)
}

/// Eight bytes a line, without the lines that are all zeros.
fn render(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, bytes) in bytes
        .chunks(8)
        .enumerate()
        .filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0))
    {
        write!(text, "{:05}:", line * 8).unwrap();
        bytes
            .iter()
            .for_each(|byte| write!(text, " {byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn parse(text: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for line in text.lines() {
        let (at, line) = line.split_once(':').unwrap();
        for (i, byte) in line.split_whitespace().enumerate() {
            bytes[at.parse::<usize>().unwrap() + i] = u8::from_str_radix(byte, 16).unwrap();
        }
    }
    bytes
}
