//! Snapshots that are received from a peer, in chunks.

use std::sync::Arc;

use synod_wal::{GroupId, Seal, Snapshot, SnapshotError};

use super::LogStore;
use super::rig::Rig;
use super::snapshots::{check, create, identity, is_absent, newest};
use crate::conformance::suite::{Suite, Unsupported};
use crate::log::{Log, SnapshotStore};

pub(super) fn run<S: LogStore>(suite: &mut Suite, fresh: &mut dyn FnMut() -> S) {
    let mut case = |name, promise, run: fn(&mut dyn FnMut() -> S)| {
        suite.case(name, promise, || {
            run(fresh);
            Ok::<(), Unsupported>(())
        });
    };
    case(
        "transfer",
        "what peers transfer is the whole file: received byte for byte it is the same snapshot, durable on return",
        transfer,
    );
    case(
        "partial_transfer",
        "chunks are no snapshot before `finish_part` has verified the whole",
        partial_transfer,
    );
    case(
        "bad_transfer",
        "chunks that are not that snapshot are refused, whichever byte is wrong",
        bad_transfer,
    );
    case(
        "other_file",
        "a good file that is not the one whose length and hash were announced is refused",
        other_file,
    );
    case(
        "transfers_do_not_mix",
        "chunks of two snapshots of one index are kept apart",
        transfers_do_not_mix,
    );
}

/// The bytes of a snapshot's file as its holder sends them, with its seal.
fn file_of<S: LogStore>(fresh: &mut dyn FnMut() -> S, version: u64, len: usize) -> (Vec<u8>, Seal) {
    let mut holder = Rig::new(fresh);
    let snapshots = holder.log().snapshots();
    let told = create(&*snapshots, 1, 9, version, len);
    let sealed = snapshots.seal(GroupId(1), 9);
    let Some(seal) = sealed.as_ref().ok().filter(|seal| seal.len == told) else {
        panic!("`create` told {told} bytes, and `seal` tells {sealed:?}");
    };
    let mut file = vec![0; told as usize];
    let mut filled = 0;
    while filled < file.len() {
        let end = file.len().min(filled + 1_000);
        match snapshots.read(GroupId(1), 9, filled as u64, &mut file[filled..end]) {
            Ok(0) | Err(_) => panic!("byte {filled} of {told} cannot be read"),
            Ok(count) => filled += count,
        }
    }
    let beyond = snapshots.read(GroupId(1), 9, told, &mut [0; 8]);
    assert!(matches!(beyond, Ok(0)), "after the end: {beyond:?}");
    (file, *seal)
}

fn receive(snapshots: &dyn SnapshotStore, snapshot: &Snapshot, seal: &Seal, file: &[u8]) {
    for at in (0..file.len()).step_by(900) {
        let chunk = &file[at..file.len().min(at + 900)];
        // A chunk may arrive twice.
        for _ in 0..1 + at / 900 % 2 {
            let written = snapshots.write_part(GroupId(1), snapshot, seal, at as u64, chunk);
            assert!(written.is_ok(), "the chunk at {at}: {written:?}");
        }
    }
}

fn snapshots_of<S: LogStore>(rig: &mut Rig<S>) -> Arc<dyn SnapshotStore> {
    rig.log().snapshots()
}

fn discard(snapshots: &dyn SnapshotStore, snapshot: &Snapshot) {
    let discarded = snapshots.discard_part(GroupId(1), snapshot);
    assert!(discarded.is_ok(), "{discarded:?}");
}

fn transfer<S: LogStore>(fresh: &mut dyn FnMut() -> S) {
    for len in [0, 100, 10_000] {
        let (file, seal) = file_of(fresh, 3, len);
        let mut rig = Rig::new(fresh);
        create(&*snapshots_of(&mut rig), 1, 4, 0, 10);
        let snapshots = snapshots_of(&mut rig);
        receive(&*snapshots, &identity(9), &seal, &file);
        let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
        assert!(finished.is_ok(), "all chunks are there: {finished:?}");
        check(&*snapshots, 1, 9, 3, len, "received");
        drop(snapshots);
        rig.kill();
        // Without that ability it is only a restart.
        let _restart = rig.store.lose_power();
        rig.open();
        check(
            &*snapshots_of(&mut rig),
            1,
            9,
            3,
            len,
            "received, in the next incarnation",
        );
        assert_eq!(
            newest(&mut rig, 1),
            Some(identity(9)),
            "what was received is recovered"
        );
        let mut again = vec![0; file.len()];
        let read = snapshots_of(&mut rig).read(GroupId(1), 9, 0, &mut again);
        assert!(
            matches!(read, Ok(count) if count > 0 && again[..count] == file[..count]),
            "a receiver passes on the same bytes"
        );
    }
}

fn partial_transfer<S: LogStore>(fresh: &mut dyn FnMut() -> S) {
    let (file, seal) = file_of(fresh, 3, 5_000);
    let mut rig = Rig::new(fresh);
    let snapshots = snapshots_of(&mut rig);
    let none = snapshots.finish_part(GroupId(1), &identity(9), &seal);
    assert!(none.is_err(), "no chunk is there: {none:?}");
    for cut in [0, 1, 900, file.len() / 2, file.len() - 1] {
        if cut > 0 {
            receive(&*snapshots, &identity(9), &seal, &file[..cut]);
        }
        let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
        assert!(
            finished.is_err(),
            "{cut} of {} bytes were taken for all",
            file.len()
        );
        is_absent(&*snapshots, 1, 9, "received in part");
        discard(&*snapshots, &identity(9));
    }
    // A hole, if the store accepts it.
    let half = file.len() / 2;
    let first = snapshots.write_part(GroupId(1), &identity(9), &seal, 0, &file[..half - 10]);
    assert!(first.is_ok(), "{first:?}");
    let _gap = snapshots.write_part(GroupId(1), &identity(9), &seal, half as u64, &file[half..]);
    let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
    assert!(finished.is_err(), "a file with a hole was taken for whole");
    drop(snapshots);
    rig.reopen();
    let snapshots = snapshots_of(&mut rig);
    is_absent(&*snapshots, 1, 9, "received in part, after a restart");
    discard(&*snapshots, &identity(9));
    discard(&*snapshots, &identity(9));
    receive(&*snapshots, &identity(9), &seal, &file);
    let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
    assert!(finished.is_ok(), "begun anew: {finished:?}");
    check(&*snapshots, 1, 9, 3, 5_000, "begun anew");
}

fn bad_transfer<S: LogStore>(fresh: &mut dyn FnMut() -> S) {
    let (file, seal) = file_of(fresh, 3, 400);
    let mut rig = Rig::new(fresh);
    let snapshots = snapshots_of(&mut rig);
    let refuse = |file: &[u8], what: &str| {
        receive(&*snapshots, &identity(9), &seal, file);
        let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
        assert!(finished.is_err(), "{what}, and it was taken for snapshot 9");
        is_absent(&*snapshots, 1, 9, what);
        discard(&*snapshots, &identity(9));
    };
    for at in (0..file.len()).step_by(7) {
        let mut bad = file.clone();
        bad[at] ^= 1 << (at % 8);
        refuse(&bad, &format!("byte {at} of {} is wrong", file.len()));
    }
    refuse(&[&file[..], &[0]].concat(), "a byte too many came");
    let other = Snapshot {
        meta: "another membership".into(),
        ..identity(9)
    };
    receive(&*snapshots, &other, &seal, &file);
    let finished = snapshots.finish_part(GroupId(1), &other, &seal);
    assert!(
        finished.is_err(),
        "the file is of a snapshot with another identity"
    );
}

/// Two files of one snapshot may differ: a machine may write the same state in more than one way.
fn other_file<S: LogStore>(fresh: &mut dyn FnMut() -> S) {
    let (file, seal) = file_of(fresh, 3, 400);
    let (_, other) = file_of(fresh, 4, 400);
    assert_ne!(seal, other, "two files of other contents have one seal");
    let len = seal.len - 1;
    for wrong in [other, Seal { len, ..seal }] {
        let mut rig = Rig::new(fresh);
        let snapshots = snapshots_of(&mut rig);
        receive(&*snapshots, &identity(9), &wrong, &file);
        let finished = snapshots.finish_part(GroupId(1), &identity(9), &wrong);
        assert!(finished.is_err(), "it was taken for {wrong:?}");
        is_absent(&*snapshots, 1, 9, "received, and not what was announced");
        discard(&*snapshots, &identity(9));
        receive(&*snapshots, &identity(9), &seal, &file);
        let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
        assert!(finished.is_ok(), "with its own seal: {finished:?}");
    }
}

fn transfers_do_not_mix<S: LogStore>(fresh: &mut dyn FnMut() -> S) {
    let (file, seal) = file_of(fresh, 3, 5_000);
    let mut rig = Rig::new(fresh);
    let snapshots = snapshots_of(&mut rig);
    let other = Snapshot {
        tag: super::rig::tag(77),
        ..identity(9)
    };
    let half = file.len() / 2;
    receive(&*snapshots, &identity(9), &seal, &file[..half]);
    let written = snapshots.write_part(GroupId(1), &other, &seal, 0, &vec![0xaa; half + 100]);
    assert!(written.is_ok(), "chunks of another snapshot: {written:?}");
    let written = snapshots.write_part(GroupId(2), &identity(9), &seal, 0, &[0xbb; 500]);
    assert!(written.is_ok(), "chunks for another group: {written:?}");
    let rest = snapshots.write_part(GroupId(1), &identity(9), &seal, half as u64, &file[half..]);
    assert!(rest.is_ok(), "the rest of the first: {rest:?}");
    let mixed = snapshots.finish_part(GroupId(1), &other, &seal);
    assert!(
        matches!(
            mixed,
            Err(SnapshotError::Corrupt { .. } | SnapshotError::NotFound { .. })
        ),
        "chunks of nothing: {mixed:?}"
    );
    let finished = snapshots.finish_part(GroupId(1), &identity(9), &seal);
    assert!(finished.is_ok(), "its chunks are all there: {finished:?}");
    check(&*snapshots, 1, 9, 3, 5_000, "beside chunks of others");
}
