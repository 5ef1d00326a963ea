//! The bookkeeping of transfers, step by step.

use super::*;
use bytes::Bytes;
use synod_wal::Tag;

const TIMEOUT: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Instant {
    Instant(Duration::from_millis(ms))
}

fn snapshot(index: u64) -> Snapshot {
    Snapshot {
        index,
        tag: Tag::default(),
        meta: Bytes::new(),
    }
}

fn seal(len: u64) -> Seal {
    let hash = [5; 32];
    Seal { len, hash }
}

fn begun() -> (Transfer, SnapshotName) {
    let mut transfer = Transfer::new(0);
    transfer.begin(NodeId(2), snapshot(7));
    assert_eq!(transfer.next(at(0), TIMEOUT, 3), Next::Discard(snapshot(7)));
    assert_eq!(
        transfer.next(at(0), TIMEOUT, 3),
        Next::Wait,
        "old chunks are being discarded"
    );
    transfer.begin(NodeId(2), snapshot(7));
    transfer.stored(&snapshot(7), 0);
    (transfer, SnapshotName::from(&snapshot(7)))
}

#[test]
fn the_receiver_sets_the_pace() {
    let (mut transfer, name) = begun();
    assert_eq!(
        transfer.next(at(0), TIMEOUT, 3),
        Next::Ask(NodeId(2), name, 0)
    );
    assert_eq!(transfer.next(at(99), TIMEOUT, 3), Next::Wait);
    assert_eq!(
        transfer.chunk(NodeId(3), name, (0, seal(10)), 6),
        Arrived::Stray,
        "from a stranger"
    );
    assert_eq!(
        transfer.chunk(NodeId(2), name, (4, seal(10)), 6),
        Arrived::Stray,
        "not the one asked for"
    );
    assert_eq!(
        transfer.chunk(NodeId(2), name, (0, seal(10)), 6),
        Arrived::Next(snapshot(7), false)
    );
    assert_eq!(
        transfer.chunk(NodeId(2), name, (0, seal(10)), 6),
        Arrived::Stray,
        "a repeat"
    );
    assert_eq!(
        transfer.next(at(500), TIMEOUT, 3),
        Next::Wait,
        "it is being stored"
    );
    transfer.stored(&snapshot(7), 6);
    assert_eq!(
        transfer.next(at(500), TIMEOUT, 3),
        Next::Ask(NodeId(2), name, 6)
    );
    assert_eq!(
        transfer.chunk(NodeId(2), name, (6, seal(10)), 4),
        Arrived::Next(snapshot(7), true)
    );
    assert_eq!(transfer.whole(&snapshot(7)), Some(NodeId(2)));
    assert_eq!(transfer.whole(&snapshot(7)), None);
}

/// A holder that took the snapshot again, with its state in another order, or one that lies.
#[test]
fn a_piece_of_another_file_ends_the_pull() {
    let hash = [6; 32];
    for other in [seal(11), Seal { hash, ..seal(10) }] {
        let (mut transfer, name) = begun();
        transfer.next(at(0), TIMEOUT, 3);
        assert_eq!(
            transfer.chunk(NodeId(2), name, (0, seal(10)), 6),
            Arrived::Next(snapshot(7), false)
        );
        transfer.stored(&snapshot(7), 6);
        transfer.next(at(1), TIMEOUT, 3);
        assert_eq!(
            transfer.chunk(NodeId(3), name, (6, other), 4),
            Arrived::Stray,
            "a stranger ends nothing"
        );
        assert_eq!(
            transfer.chunk(NodeId(2), name, (6, other), 4),
            Arrived::Other(snapshot(7))
        );
        transfer.begin(NodeId(2), snapshot(7));
        assert_eq!(
            transfer.next(at(2), TIMEOUT, 3),
            Next::Wait,
            "its chunks are being discarded"
        );
        transfer.stored(&snapshot(7), 0);
        transfer.next(at(2), TIMEOUT, 3);
        transfer.stored(&snapshot(7), 0);
        assert_eq!(
            transfer.next(at(2), TIMEOUT, 3),
            Next::Ask(NodeId(2), name, 0)
        );
    }
}

/// The same snapshot from another holder: what the old pull still has in progress does not count
/// for the new one.
#[test]
fn a_task_of_the_pull_before_moves_nothing() {
    let (mut transfer, name) = begun();
    transfer.next(at(0), TIMEOUT, 3);
    let chunk = transfer.chunk(NodeId(2), name, (0, seal(10)), 6);
    assert_eq!(chunk, Arrived::Next(snapshot(7), false));
    transfer.begin(NodeId(3), snapshot(7));
    assert_eq!(transfer.next(at(1), TIMEOUT, 3), Next::Wait);
    transfer.stored(&snapshot(7), 6);
    assert_eq!(transfer.next(at(1), TIMEOUT, 3), Next::Discard(snapshot(7)));
    transfer.stored(&snapshot(7), 0);
    assert_eq!(
        transfer.next(at(1), TIMEOUT, 3),
        Next::Ask(NodeId(3), name, 0)
    );
}

#[test]
fn silence_ends_a_pull() {
    let (mut transfer, name) = begun();
    for ms in [0, 100, 200] {
        assert_eq!(
            transfer.next(at(ms), TIMEOUT, 3),
            Next::Ask(NodeId(2), name, 0)
        );
    }
    assert_eq!(transfer.next(at(299), TIMEOUT, 3), Next::Wait);
    assert_eq!(transfer.wake(TIMEOUT), Some(at(300)));
    assert_eq!(
        transfer.next(at(300), TIMEOUT, 3),
        Next::GiveUp(NodeId(2), snapshot(7))
    );
    assert_eq!(transfer.wake(TIMEOUT), None);
}

const KEEPING: Keeping = Keeping {
    silence_max: TIMEOUT,
    margin_bytes: 25,
    kept_bytes_max: 400,
    has_room: true,
};
const FULL: Keeping = Keeping {
    has_room: false,
    ..KEEPING
};

fn cut_at(transfer: &mut Transfer, ms: u64, keeping: Keeping) -> Option<(u64, Vec<NodeId>)> {
    let cut = transfer.cut(at(ms), keeping, |_| None)?;
    Some((cut.snapshot.index, cut.left_behind))
}

#[test]
fn a_snapshot_that_a_peer_reads_is_kept_for_a_while() {
    let mut transfer = Transfer::new(0);
    let kept = |transfer: &mut Transfer, ms, keeping| transfer.keep_from(at(ms), 9, keeping);
    assert_eq!(kept(&mut transfer, 0, KEEPING), 9);
    transfer.serve(at(0), NodeId(2), 5);
    assert_eq!(kept(&mut transfer, 99, KEEPING), 5);
    assert!(!transfer.waits(at(99), NodeId(2), 6) && transfer.waits(at(99), NodeId(2), 5));
    assert_eq!(kept(&mut transfer, 198, KEEPING), 5, "slow, not silent");
    assert_eq!(
        kept(&mut transfer, 198, FULL),
        9,
        "not at its own log's cost"
    );
    transfer.done(at(198), NodeId(2), 5, true);
    assert_eq!(kept(&mut transfer, 198, KEEPING), 9, "read to its end");
    transfer.serve(at(198), NodeId(2), 5);
    assert_eq!(kept(&mut transfer, 298, KEEPING), 9, "silent");
}

#[test]
fn one_snapshot_is_taken_at_a_time_and_the_log_is_cut_a_margin_later() {
    let mut transfer = Transfer::new(0);
    assert!(!transfer.applied(99, 100) && transfer.applied(1, 100));
    assert!(!transfer.applied(1000, 100), "one is being taken");
    transfer.taken(None);
    assert!(transfer.applied(0, 100), "what came meanwhile counts");
    transfer.taken(Some((snapshot(7), 1)));
    assert_eq!(cut_at(&mut transfer, 0, KEEPING), None);
    assert!(!transfer.applied(25, 100));
    assert_eq!(cut_at(&mut transfer, 0, KEEPING), Some((7, vec![])));
    assert_eq!(cut_at(&mut transfer, 0, KEEPING), None);
    transfer.taken(Some((snapshot(8), 1)));
    transfer.restored(9);
    assert!(!transfer.applied(99, 100));
    let cut = cut_at(&mut transfer, 0, KEEPING);
    assert_eq!(cut, None, "the restored one covers it");
}

/// Otherwise a peer that pulls more slowly than snapshots are taken would never finish.
#[test]
fn the_log_is_not_cut_under_a_peer_that_reads_an_older_snapshot() {
    let mut transfer = Transfer::new(0);
    transfer.serve(at(0), NodeId(2), 5);
    transfer.taken(Some((snapshot(7), 1)));
    assert!(
        !transfer.applied(399, 100),
        "none is taken while one is held"
    );
    assert_eq!(cut_at(&mut transfer, 99, KEEPING), None);
    let silent = cut_at(&mut transfer, 100, KEEPING);
    assert_eq!(silent, Some((7, vec![])));
    transfer.serve(at(100), NodeId(2), 5);
    transfer.taken(Some((snapshot(8), 1)));
    assert!(!transfer.applied(1, 1000));
    let too_slow = cut_at(&mut transfer, 101, KEEPING);
    assert_eq!(too_slow, Some((8, vec![NodeId(2)])));
}

/// A full follower must not fill the disk of its leader.
#[test]
fn a_log_without_space_keeps_nothing_for_anybody() {
    let mut transfer = Transfer::new(0);
    transfer.serve(at(0), NodeId(2), 5);
    transfer.taken(Some((snapshot(7), 1)));
    assert_eq!(cut_at(&mut transfer, 1, KEEPING), None);
    assert_eq!(cut_at(&mut transfer, 1, FULL), Some((7, vec![NodeId(2)])));
}

#[test]
fn a_transfer_that_has_ended_keeps_the_log_until_its_peer_has_caught_up() {
    let mut transfer = Transfer::new(0);
    let cut = |transfer: &mut Transfer, ms, matched| {
        let cut = transfer.cut(at(ms), KEEPING, |_| matched)?;
        Some(cut.snapshot.index)
    };
    let begin = |transfer: &mut Transfer, whole| {
        transfer.serve(at(0), NodeId(2), 5);
        transfer.taken(Some((snapshot(9), 1)));
        transfer.restored(0);
        transfer.applied(100, 1000);
        transfer.done(at(0), NodeId(2), 5, whole);
    };
    begin(&mut transfer, false);
    assert_eq!(cut(&mut transfer, 1, Some(0)), Some(9), "it gave up");
    begin(&mut transfer, true);
    assert_eq!(cut(&mut transfer, 1, Some(5)), None);
    assert_eq!(cut(&mut transfer, 99, Some(8)), None);
    assert_eq!(cut(&mut transfer, 198, Some(8)), None, "it goes on");
    assert_eq!(cut(&mut transfer, 198, Some(9)), Some(9));
    begin(&mut transfer, true);
    assert_eq!(cut(&mut transfer, 100, Some(5)), Some(9), "it stands still");
    begin(&mut transfer, true);
    assert_eq!(
        cut(&mut transfer, 1, None),
        Some(9),
        "this node is no longer leader"
    );
}

#[test]
fn without_space_a_snapshot_is_taken_at_once_but_not_again_and_again() {
    let mut transfer = Transfer::new(0);
    assert!(!transfer.hurries(at(0), FULL), "nothing to cut");
    assert!(!transfer.applied(10, 100));
    assert!(!transfer.hurries(at(0), KEEPING));
    assert!(transfer.hurries(at(0), FULL) && !transfer.hurries(at(0), FULL));
    transfer.taken(None);
    assert!(!transfer.applied(10, 100));
    assert!(!transfer.hurries(at(99), FULL) && transfer.hurries(at(100), FULL));
}

#[test]
fn a_receiver_without_space_waits_and_goes_on_where_it_was() {
    let (mut transfer, name) = begun();
    let ask = |byte| Next::Ask(NodeId(2), name, byte);
    let next = |transfer: &mut Transfer, ms| transfer.next(at(ms), TIMEOUT, 3);
    assert_eq!(next(&mut transfer, 0), ask(0));
    let chunk = transfer.chunk(NodeId(2), name, (0, seal(10)), 6);
    assert_eq!(chunk, Arrived::Next(snapshot(7), false));
    transfer.stored(&snapshot(7), 6);
    assert_eq!(next(&mut transfer, 0), ask(6));
    for ms in (0..60_000).step_by(1_000) {
        let chunk = transfer.chunk(NodeId(2), name, (6, seal(10)), 4);
        assert_eq!(chunk, Arrived::Next(snapshot(7), true));
        assert_eq!(transfer.full(at(ms), &snapshot(7)), Some(NodeId(2)));
        assert_eq!(transfer.wake(TIMEOUT), Some(at(ms + 1_000)));
        assert_eq!(next(&mut transfer, ms + 999), Next::Wait);
        if ms < 59_000 {
            assert_eq!(next(&mut transfer, ms + 1_000), ask(6));
        }
    }
    let end = next(&mut transfer, 60_000);
    assert_eq!(end, Next::GiveUp(NodeId(2), snapshot(7)));
    let after = next(&mut transfer, 60_001);
    assert_eq!(after, Next::Wait, "its chunks are being removed");
}

#[test]
fn what_lies_between_snapshots_follows_the_size_of_the_state() {
    let mut transfer = Transfer::new(70);
    assert_eq!(transfer.interval(100), 100);
    transfer.taken(Some((snapshot(7), 5_000)));
    assert_eq!(transfer.interval(100), 5_000);
    transfer.taken(Some((snapshot(8), 1 << 60)));
    assert_eq!(transfer.interval(100), 6_400, "within bounds");
}

#[test]
fn a_pull_that_is_replaced_is_given_back() {
    let (mut transfer, _) = begun();
    assert_eq!(transfer.begin(NodeId(2), snapshot(7)), None, "the same");
    let replaced = transfer.begin(NodeId(3), snapshot(8));
    assert_eq!(replaced, Some((NodeId(2), snapshot(7))));
}
