//! Snapshots that are written on this node.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use synod_wal::{GroupId, Snapshot, SnapshotError};

use super::LogStore;
use super::rig::{Rig, body, put, tag};
use crate::conformance::suite::{Suite, Unsupported};
use crate::log::{Log, SnapshotStore};

type Outcome = Result<(), Unsupported>;

pub(super) fn run<S: LogStore>(suite: &mut Suite, fresh: &mut dyn FnMut() -> S) {
    let mut case = |name, promise, run: fn(&mut Rig<S>) -> Outcome| {
        suite.case(name, promise, || run(&mut Rig::new(fresh)));
    };
    case(
        "snapshots",
        "a snapshot is as it was written, the newest is recovered, and older ones can be removed",
        snapshots,
    );
    case(
        "snapshots_of_groups",
        "each group has its own",
        snapshots_of_groups,
    );
    case(
        "failing_writer",
        "a writer that fails leaves no snapshot",
        failing_writer,
    );
    case(
        "large_snapshot",
        "a snapshot is written and read in chunks of any size",
        large_snapshot,
    );
    case(
        "snapshots_survive_power_loss",
        "a snapshot is durable when `create` returns",
        survive_power_loss,
    );
    case(
        "damaged_snapshot",
        "a damaged snapshot is detected by `open`, and none of its body is delivered",
        damaged,
    );
}

/// The snapshot's name in these cases.
pub(super) fn identity(index: u64) -> Snapshot {
    Snapshot {
        index,
        tag: tag(index),
        meta: Bytes::from(format!("what the owner says of {index}")),
    }
}

/// Writes a snapshot whose body is `body(index, version, len)`, in small chunks.
pub(super) fn create(
    snapshots: &dyn SnapshotStore,
    group: u64,
    index: u64,
    version: u64,
    len: usize,
) -> u64 {
    let bytes = body(index, version, len);
    let mut write = |to: &mut dyn io::Write| {
        let mut chunks = bytes.chunks(777);
        chunks.try_for_each(|chunk| to.write_all(chunk))
    };
    let created = snapshots.create(GroupId(group), &identity(index), &mut write);
    created.unwrap_or_else(|error| panic!("snapshot {index} of group {group}: {error:?}"))
}

/// Opens a snapshot and compares it with what was written.
pub(super) fn check(
    snapshots: &dyn SnapshotStore,
    group: u64,
    index: u64,
    version: u64,
    len: usize,
    when: &str,
) {
    let opened = snapshots.open(GroupId(group), index);
    let (found, mut reader) =
        opened.unwrap_or_else(|error| panic!("{when}, snapshot {index} of {group}: {error:?}"));
    assert_eq!(
        found,
        identity(index),
        "{when}: the identity is as it was given"
    );
    let mut read = Vec::new();
    let done = reader.read_to_end(&mut read);
    assert!(
        done.is_ok(),
        "{when}, snapshot {index} of {group}: {done:?}"
    );
    assert!(
        read == body(index, version, len),
        "{when}, snapshot {index} of {group}: {} bytes, and not the {len} that were written",
        read.len()
    );
}

pub(super) fn is_absent(snapshots: &dyn SnapshotStore, group: u64, index: u64, when: &str) {
    let opened = snapshots
        .open(GroupId(group), index)
        .map(|(found, _)| found);
    assert!(
        matches!(opened, Err(SnapshotError::NotFound { .. })),
        "{when}, snapshot {index} of {group} is not there: {opened:?}"
    );
    let seal = snapshots.seal(GroupId(group), index);
    assert!(
        seal.is_err(),
        "{when}, a snapshot that is not there has a length: {seal:?}"
    );
}

/// The snapshot that recovery finds.
pub(super) fn newest<S: LogStore>(rig: &mut Rig<S>, group: u64) -> Option<Snapshot> {
    let recovered = rig.log().recover(GroupId(group));
    recovered
        .unwrap_or_else(|error| panic!("recovery failed: {error:?}"))
        .snapshot
}

fn store<S: LogStore>(rig: &mut Rig<S>) -> Arc<dyn SnapshotStore> {
    rig.log().snapshots()
}

fn snapshots<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    rig.append(1, &[put(1, 0, 30)]);
    is_absent(&*store(rig), 1, 5, "in a fresh store");
    for index in [5, 9, 14] {
        create(&*store(rig), 1, index, 0, 1000 + index as usize);
        assert_eq!(
            newest(rig, 1),
            Some(identity(index)),
            "the newest is recovered"
        );
    }
    for when in ["at once", "after a restart"] {
        for index in [5, 9, 14] {
            check(&*store(rig), 1, index, 0, 1000 + index as usize, when);
        }
        assert_eq!(
            newest(rig, 1),
            Some(identity(14)),
            "{when}: the newest is recovered"
        );
        rig.sync();
        rig.reopen();
    }
    create(&*store(rig), 1, 14, 1, 300);
    check(&*store(rig), 1, 14, 1, 300, "written again");
    let removed = store(rig).remove_before(GroupId(1), 9);
    assert!(removed.is_ok(), "{removed:?}");
    for when in ["removed", "removed, after a restart"] {
        is_absent(&*store(rig), 1, 5, when);
        check(&*store(rig), 1, 9, 0, 1009, when);
        check(&*store(rig), 1, 14, 1, 300, when);
        rig.reopen();
    }
    rig.check("snapshots leave the log alone");
    Ok(())
}

fn snapshots_of_groups<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    for group in [1, 2, 11, u64::MAX] {
        create(&*store(rig), group, 7, group, 200);
        create(&*store(rig), group, 8, group, 100);
    }
    let removed = store(rig).remove_before(GroupId(1), u64::MAX);
    assert!(removed.is_ok(), "{removed:?}");
    rig.reopen();
    assert_eq!(newest(rig, 1), None, "all of group 1 were removed");
    assert_eq!(newest(rig, 3), None, "group 3 never had one");
    for group in [2, 11, u64::MAX] {
        check(
            &*store(rig),
            group,
            7,
            group,
            200,
            "beside those of other groups",
        );
        assert_eq!(newest(rig, group), Some(identity(8)));
    }
    Ok(())
}

fn failing_writer<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    create(&*store(rig), 1, 3, 0, 100);
    for bytes in [0, 10, 100_000] {
        let mut write = |to: &mut dyn io::Write| {
            to.write_all(&vec![7; bytes])?;
            Err(io::Error::other("the machine cannot be written"))
        };
        let created = store(rig).create(GroupId(1), &identity(9), &mut write);
        assert!(created.is_err(), "the writer failed: {created:?}");
        is_absent(&*store(rig), 1, 9, "after its writer failed");
    }
    rig.reopen();
    is_absent(&*store(rig), 1, 9, "after its writer failed and a restart");
    assert_eq!(newest(rig, 1), Some(identity(3)));
    create(&*store(rig), 1, 9, 1, 50);
    check(&*store(rig), 1, 9, 1, 50, "tried again");
    Ok(())
}

fn large_snapshot<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    for (index, len) in [(1, 0), (2, 1), (3, 300_000)] {
        create(&*store(rig), 1, index, 0, len);
        check(&*store(rig), 1, index, 0, len, "of any length");
    }
    let (_, mut reader) = match store(rig).open(GroupId(1), 3) {
        Ok(opened) => opened,
        Err(error) => panic!("{error:?}"),
    };
    let mut read = Vec::new();
    for len in [1, 10, 4_096, 1].into_iter().cycle() {
        let mut chunk = vec![0; len];
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => read.extend_from_slice(&chunk[..count]),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(read == body(3, 0, 300_000), "read in chunks of any size");
    Ok(())
}

fn survive_power_loss<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    for index in 1..12 {
        create(&*store(rig), 1, index, 0, 5_000);
        if index % 3 == 0 {
            let removed = store(rig).remove_before(GroupId(1), index);
            assert!(removed.is_ok(), "{removed:?}");
        }
        rig.kill();
        rig.store.lose_power()?;
        rig.open();
        check(&*store(rig), 1, index, 0, 5_000, "after a power loss");
        assert_eq!(newest(rig, 1), Some(identity(index)), "after a power loss");
    }
    Ok(())
}

fn damaged<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    create(&*store(rig), 1, 4, 0, 20_000);
    create(&*store(rig), 1, 5, 0, 20_000);
    rig.kill();
    rig.store.damage_snapshot(GroupId(1), 4)?;
    rig.open();
    check(&*store(rig), 1, 5, 0, 20_000, "beside a damaged one");
    let opened = store(rig).open(GroupId(1), 4).map(|(found, _)| found);
    assert!(opened.is_err(), "a damaged snapshot was opened: {opened:?}");
    let removed = store(rig).remove_before(GroupId(1), 5);
    assert!(
        removed.is_ok(),
        "a damaged snapshot can be removed: {removed:?}"
    );
    is_absent(&*store(rig), 1, 4, "after it was removed");
    Ok(())
}
