//! Snapshots on the move: taken here, pulled from a peer, read for peers.
//!
//! ```text
//! receiver                         holder
//!    │ ── Pull { at: 0 } ───────────▶ │
//!    │ ◀───────── Piece { at: 0 } ─── │       the receiver asks for the next piece once this one is stored:
//!    │ store                          │       it sets the pace, and one piece is in flight
//!    │ ── Pull { at: n } ───────────▶ │
//!    │ ◀───────── Piece { at: n } ─── │
//!    │ store, verify, sync, rename    │
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use synod_transport::NodeId;
use synod_wal::Snapshot;

use crate::task::SnapshotName;
use crate::time::Instant;

/// What the pull needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: an answer or a task is awaited.
    Wait,
    /// Forget pieces of an earlier try, so that files never mix.
    Discard(Snapshot),
    /// Ask for the piece at this byte.
    Ask(NodeId, SnapshotName, u64),
    /// Too many questions went unanswered.
    GiveUp(Snapshot),
}

#[derive(Debug)]
struct Pull {
    from: NodeId,
    snapshot: Snapshot,
    /// Nothing was done for it yet.
    fresh: bool,
    at: u64,
    len: Option<u64>,
    /// When the last question went out; `None` when the next one is due.
    asked: Option<Instant>,
    unanswered: u32,
}

/// # Invariants
/// - At most one snapshot is pulled, and at most one taken, at a time.
/// - At most one task works on received pieces at a time, also when the pull it belongs to was
///   replaced meanwhile: its completion is then of no pull, and none is taken for another's.
/// - No snapshot is taken while the log is not yet cut behind the one before.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    pull: Option<Pull>,
    /// A task stores or discards pieces.
    storing: bool,
    taking: bool,
    /// A task reads a snapshot that a peer got damaged.
    verifying: bool,
    /// Of each peer, the snapshot it last read a piece of, and when.
    serving: BTreeMap<NodeId, (u64, Instant)>,
    /// Bytes applied since the last snapshot was taken.
    log_bytes: u64,
    /// Taken and durable, but the log is not cut yet: peers that lag a little still find their
    /// entries in it.
    held: Option<Snapshot>,
}

impl Transfer {
    /// Begins to pull, in place of what was being pulled.
    pub(super) fn begin(&mut self, from: NodeId, snapshot: Snapshot) {
        let same = |pull: &Pull| pull.snapshot == snapshot && pull.from == from;
        if !self.pull.as_ref().is_some_and(same) {
            let (at, len, asked, unanswered) = (0, None, None, 0);
            self.pull = Some(Pull {
                from,
                snapshot,
                fresh: true,
                at,
                len,
                asked,
                unanswered,
            });
        }
    }

    pub(super) fn next(&mut self, now: Instant, patience: Duration, unanswered_max: u32) -> Next {
        let Some(pull) = self.pull.as_mut().filter(|_| !self.storing) else {
            return Next::Wait;
        };
        if pull.fresh {
            (pull.fresh, self.storing) = (false, true);
            return Next::Discard(pull.snapshot.clone());
        }
        match pull.asked {
            Some(asked) if now.since(asked) < patience => Next::Wait,
            Some(_) if pull.unanswered >= unanswered_max => {
                let snapshot = pull.snapshot.clone();
                self.pull = None;
                Next::GiveUp(snapshot)
            }
            _ => {
                pull.asked = Some(now);
                pull.unanswered += 1;
                Next::Ask(pull.from, SnapshotName::from(&pull.snapshot), pull.at)
            }
        }
    }

    pub(super) fn wake(&self, patience: Duration) -> Option<Instant> {
        let pull = self.pull.as_ref().filter(|_| !self.storing)?;
        Some(
            pull.asked
                .map_or_else(Instant::default, |asked| asked + patience),
        )
    }

    /// A piece came: the snapshot it is to be stored for and whether it is the last, or `None` when
    /// it was not asked for.
    pub(super) fn piece(
        &mut self,
        from: NodeId,
        name: SnapshotName,
        at: u64,
        len: u64,
        bytes: usize,
    ) -> Option<(Snapshot, bool)> {
        let pull = self
            .pull
            .as_mut()
            .filter(|pull| !self.storing && !pull.fresh)?;
        let asked_for =
            pull.from == from && SnapshotName::from(&pull.snapshot) == name && pull.at == at;
        // A length that changes is another file under the same name: the sum at the end would not
        // fit either.
        let consistent = pull.len.is_none_or(|known| known == len)
            && bytes > 0
            && at.checked_add(bytes as u64).is_some_and(|end| end <= len);
        if !asked_for || !consistent {
            return None;
        }
        self.storing = true;
        (pull.len, pull.unanswered) = (Some(len), 0);
        Some((pull.snapshot.clone(), at + bytes as u64 == len))
    }

    /// The task has stored or discarded pieces of `snapshot`; the next one begins at `next`.
    pub(super) fn stored(&mut self, snapshot: &Snapshot, next: u64) {
        self.storing = false;
        let ours = |pull: &&mut Pull| pull.snapshot == *snapshot && !pull.fresh;
        if let Some(pull) = self.pull.as_mut().filter(ours) {
            (pull.at, pull.asked) = (next, None);
        }
    }

    /// The task has stored the last piece, or failed. Whom it was pulled from, when that ends the
    /// pull.
    pub(super) fn end(&mut self, snapshot: &Snapshot) -> Option<NodeId> {
        self.storing = false;
        let ours = |pull: &mut Pull| pull.snapshot == *snapshot && !pull.fresh;
        self.pull.take_if(ours).map(|pull| pull.from)
    }

    /// Whether a snapshot is to be verified now: one at a time.
    pub(super) fn verify(&mut self) -> bool {
        !std::mem::replace(&mut self.verifying, true)
    }

    /// It has been.
    pub(super) fn verified(&mut self) {
        self.verifying = false;
    }

    /// The holder has it no more.
    pub(super) fn gone(&mut self, from: NodeId, name: SnapshotName) -> Option<Snapshot> {
        let lost = |pull: &mut Pull| {
            pull.from == from && !pull.fresh && SnapshotName::from(&pull.snapshot) == name
        };
        if self.storing {
            return None;
        }
        self.pull.take_if(lost).map(|pull| pull.snapshot)
    }

    /// A peer reads a snapshot of ours.
    pub(super) fn serve(&mut self, now: Instant, peer: NodeId, index: u64) {
        self.serving.insert(peer, (index, now));
    }

    /// Snapshots from this index on are still read by a peer, or will be.
    pub(super) fn keep_from(&mut self, now: Instant, newest: u64, patience: Duration) -> u64 {
        self.serving.retain(|_, (_, at)| now.since(*at) < patience);
        self.serving
            .values()
            .map(|(index, _)| *index)
            .min()
            .unwrap_or(newest)
            .min(newest)
    }

    /// Counts what was applied; `true` when it is time to take a snapshot.
    pub(super) fn applied(&mut self, bytes: u64, bytes_max: u64) -> bool {
        self.log_bytes += bytes;
        let due = self.log_bytes >= bytes_max && !self.taking && self.held.is_none();
        if due {
            (self.taking, self.log_bytes) = (true, 0);
        }
        due
    }

    /// The snapshot to cut the log at: once `margin_bytes` were applied behind it, and no peer reads
    /// an older one, whose end would be of no use if the log no longer followed it. A peer that is
    /// slower than `lag_bytes_max` of log has to begin anew.
    pub(super) fn cut(
        &mut self,
        now: Instant,
        patience: Duration,
        margin_bytes: u64,
        lag_bytes_max: u64,
    ) -> Option<Snapshot> {
        let (log_bytes, serving) = (self.log_bytes, &self.serving);
        self.held.take_if(|held| {
            let reads =
                |(index, at): &(u64, Instant)| *index < held.index && now.since(*at) < patience;
            let waited_for = log_bytes < lag_bytes_max && serving.values().any(reads);
            log_bytes >= margin_bytes && !waited_for
        })
    }

    /// The snapshot being taken is stored, or could not be.
    pub(super) fn taken(&mut self, snapshot: Option<Snapshot>) {
        self.taking = false;
        if snapshot.is_some() {
            self.held = snapshot;
        }
    }

    /// The state was replaced from a snapshot.
    pub(super) fn restored(&mut self, index: u64) {
        self.log_bytes = 0;
        self.held.take_if(|held| held.index <= index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use synod_wal::Tag;

    const PATIENCE: Duration = Duration::from_millis(100);

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

    fn begun() -> (Transfer, SnapshotName) {
        let mut transfer = Transfer::default();
        transfer.begin(NodeId(2), snapshot(7));
        assert_eq!(
            transfer.next(at(0), PATIENCE, 3),
            Next::Discard(snapshot(7))
        );
        assert_eq!(
            transfer.next(at(0), PATIENCE, 3),
            Next::Wait,
            "old pieces are being forgotten"
        );
        transfer.begin(NodeId(2), snapshot(7));
        transfer.stored(&snapshot(7), 0);
        (transfer, SnapshotName::from(&snapshot(7)))
    }

    #[test]
    fn the_receiver_sets_the_pace() {
        let (mut transfer, name) = begun();
        assert_eq!(
            transfer.next(at(0), PATIENCE, 3),
            Next::Ask(NodeId(2), name, 0)
        );
        assert_eq!(transfer.next(at(99), PATIENCE, 3), Next::Wait);
        assert_eq!(
            transfer.piece(NodeId(3), name, 0, 10, 6),
            None,
            "from a stranger"
        );
        assert_eq!(
            transfer.piece(NodeId(2), name, 4, 10, 6),
            None,
            "not the one asked for"
        );
        assert_eq!(
            transfer.piece(NodeId(2), name, 0, 10, 6),
            Some((snapshot(7), false))
        );
        assert_eq!(transfer.piece(NodeId(2), name, 0, 10, 6), None, "a repeat");
        assert_eq!(
            transfer.next(at(500), PATIENCE, 3),
            Next::Wait,
            "it is being stored"
        );
        transfer.stored(&snapshot(7), 6);
        assert_eq!(
            transfer.next(at(500), PATIENCE, 3),
            Next::Ask(NodeId(2), name, 6)
        );
        assert_eq!(
            transfer.piece(NodeId(2), name, 6, 11, 4),
            None,
            "the length changed"
        );
        assert_eq!(
            transfer.piece(NodeId(2), name, 6, 10, 4),
            Some((snapshot(7), true))
        );
        assert_eq!(transfer.end(&snapshot(7)), Some(NodeId(2)));
        assert_eq!(transfer.end(&snapshot(7)), None);
    }

    /// The same snapshot from another holder: what the old pull still has under way is not the new one's.
    #[test]
    fn a_task_of_the_pull_before_moves_nothing() {
        let (mut transfer, name) = begun();
        transfer.next(at(0), PATIENCE, 3);
        assert!(transfer.piece(NodeId(2), name, 0, 10, 6).is_some());
        transfer.begin(NodeId(3), snapshot(7));
        assert_eq!(transfer.next(at(1), PATIENCE, 3), Next::Wait);
        transfer.stored(&snapshot(7), 6);
        assert_eq!(
            transfer.next(at(1), PATIENCE, 3),
            Next::Discard(snapshot(7))
        );
        transfer.stored(&snapshot(7), 0);
        assert_eq!(
            transfer.next(at(1), PATIENCE, 3),
            Next::Ask(NodeId(3), name, 0)
        );
    }

    #[test]
    fn silence_ends_a_pull() {
        let (mut transfer, name) = begun();
        for ms in [0, 100, 200] {
            assert_eq!(
                transfer.next(at(ms), PATIENCE, 3),
                Next::Ask(NodeId(2), name, 0)
            );
        }
        assert_eq!(transfer.next(at(299), PATIENCE, 3), Next::Wait);
        assert_eq!(transfer.wake(PATIENCE), Some(at(300)));
        assert_eq!(
            transfer.next(at(300), PATIENCE, 3),
            Next::GiveUp(snapshot(7))
        );
        assert_eq!(transfer.wake(PATIENCE), None);
    }

    #[test]
    fn a_snapshot_that_a_peer_reads_is_kept_for_a_while() {
        let mut transfer = Transfer::default();
        assert_eq!(transfer.keep_from(at(0), 9, PATIENCE), 9);
        transfer.serve(at(0), NodeId(2), 5);
        assert_eq!(transfer.keep_from(at(99), 9, PATIENCE), 5);
        assert_eq!(transfer.keep_from(at(100), 9, PATIENCE), 9);
    }

    #[test]
    fn one_snapshot_is_taken_at_a_time_and_the_log_is_cut_a_margin_later() {
        let mut transfer = Transfer::default();
        assert!(!transfer.applied(99, 100) && transfer.applied(1, 100));
        assert!(!transfer.applied(1000, 100), "one is being taken");
        transfer.taken(None);
        assert!(transfer.applied(0, 100), "what came meanwhile counts");
        transfer.taken(Some(snapshot(7)));
        let cut = |transfer: &mut Transfer, ms| transfer.cut(at(ms), PATIENCE, 25, 400);
        assert_eq!(
            (cut(&mut transfer, 0), transfer.applied(25, 100)),
            (None, false)
        );
        assert_eq!(
            (cut(&mut transfer, 0), cut(&mut transfer, 0)),
            (Some(snapshot(7)), None)
        );
        transfer.taken(Some(snapshot(8)));
        transfer.restored(9);
        assert!(!transfer.applied(99, 100));
        assert_eq!(cut(&mut transfer, 0), None, "what was restored covers it");
    }

    /// Else a peer that pulls slower than snapshots are taken would never come to an end.
    #[test]
    fn the_log_is_not_cut_under_a_peer_that_reads_an_older_snapshot() {
        let mut transfer = Transfer::default();
        let cut = |transfer: &mut Transfer, ms| transfer.cut(at(ms), PATIENCE, 25, 400);
        transfer.serve(at(0), NodeId(2), 5);
        transfer.taken(Some(snapshot(7)));
        assert!(
            !transfer.applied(399, 100),
            "none is taken while one is held"
        );
        assert_eq!(cut(&mut transfer, 99), None);
        assert_eq!(
            cut(&mut transfer, 100),
            Some(snapshot(7)),
            "the peer fell silent"
        );
        transfer.serve(at(100), NodeId(2), 5);
        transfer.taken(Some(snapshot(8)));
        assert!(!transfer.applied(1, 1000));
        assert_eq!(
            cut(&mut transfer, 101),
            Some(snapshot(8)),
            "the peer is too slow"
        );
    }
}
