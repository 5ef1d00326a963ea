//! Snapshots on the move: taken here, pulled from a peer, read for peers.
//!
//! ```text
//! receiver                         holder
//!    │ ── Pull { at: 0 } ───────────▶ │
//!    │ ◀───────── Chunk { at: 0 } ─── │       the receiver asks for the next chunk once this one is stored:
//!    │ store                          │       it sets the pace, and one chunk is in flight
//!    │ ── Pull { at: n } ───────────▶ │
//!    │ ◀───────── Chunk { at: n } ─── │
//!    │ store, verify, sync, rename    │       each chunk says how long the whole is and which hash it has:
//!    │                                │       no room for it is seen before the first is stored, another
//!    │                                │       file before the next is, and what is not that file at the end
//!    │ ── Done ─────────────────────▶ │       however it ends: nothing more is kept for it
//! ```
//!
//! A receiver without space says `Waits` and asks for the same chunk again a while later. What a holder
//! keeps for its receivers is bounded: log in bytes, and by the space it has itself; files by how long
//! a receiver may be silent.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_transport::NodeId;
use synod_wal::{Seal, Snapshot};

use super::config::INTERVAL_PARTS_MAX;
use crate::task::SnapshotName;
use crate::time::Instant;

/// What the pull needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: an answer or a task is awaited.
    Wait,
    /// Forget chunks of an earlier try, so that files never mix.
    Discard(Snapshot),
    /// Ask for the chunk at this byte.
    Ask(NodeId, SnapshotName, u64),
    /// Too many questions went unanswered, or the space did not come.
    GiveUp(NodeId, Snapshot),
}

/// What a chunk is to the pull that is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// The one that was asked for, of this snapshot, and whether it is the last.
    Next(Snapshot, bool),
    /// Not asked for, or not any more.
    Stray,
    /// It was asked for, and is of another file than the first was: the pull has ended, and its chunks are
    /// to be discarded.
    Other(Snapshot),
}

/// What a holder does for those who read its snapshots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// Who is silent for so long is not waited for.
    pub(super) patience: Duration,
    /// Log that is kept behind a snapshot in any case, so that peers that lag a little need none.
    pub(super) margin_bytes: u64,
    /// Log that is kept behind a snapshot for the sake of a peer that reads an older one.
    pub(super) kept_bytes_max: u64,
    /// Whether the log has space. Without it nothing is kept.
    pub(super) has_room: bool,
}

/// Where the log is cut, and who will find that what it needs is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) snapshot: Snapshot,
    pub(super) left_behind: Vec<NodeId>,
}

#[derive(Debug)]
struct Pull {
    from: NodeId,
    snapshot: Snapshot,
    /// Nothing was done for it yet.
    fresh: bool,
    at: u64,
    /// What the whole is to be, as the first chunk said.
    seal: Option<Seal>,
    /// When the last question went out; `None` when the next one is due.
    asked: Option<Instant>,
    unanswered: u32,
    /// Since when there is no space for the next chunk, and when that was seen last.
    full: Option<(Instant, Instant)>,
}

/// A peer that reads a snapshot of this node, and then the log behind it.
#[derive(Debug)]
struct Serving {
    index: u64,
    /// When it last did a step.
    at: Instant,
    /// It has the snapshot, and so much of the log.
    matched: Option<u64>,
}

/// # Invariants
/// - At most one snapshot is pulled, and at most one taken, at a time.
/// - At most one task works on received chunks at a time, also when the pull it belongs to was
///   replaced meanwhile: its completion is then of no pull, and none is taken for another's.
/// - No snapshot is taken while the log is not yet cut behind the one before.
/// - A pull that ends without success leaves no chunks behind.
#[derive(Debug)]
pub(super) struct Transfer {
    pull: Option<Pull>,
    /// A task stores or discards chunks.
    storing: bool,
    taking: bool,
    /// A task reads a snapshot that a peer got damaged.
    verifying: bool,
    serving: BTreeMap<NodeId, Serving>,
    /// Bytes applied since the last snapshot was taken.
    log_bytes: u64,
    /// The length of the last snapshot that was taken or received.
    snapshot_bytes: u64,
    /// When a snapshot was last begun for no other reason than that the log has no space.
    hurried: Option<Instant>,
    /// Taken and durable, but the log is not cut yet: peers that lag a little still find their
    /// entries in it.
    held: Option<Snapshot>,
}

impl Transfer {
    pub(super) const fn new(snapshot_bytes: u64) -> Self {
        Self {
            pull: None,
            storing: false,
            taking: false,
            verifying: false,
            serving: BTreeMap::new(),
            log_bytes: 0,
            snapshot_bytes,
            hurried: None,
            held: None,
        }
    }

    /// Begins to pull, in place of what was being pulled, which is given back.
    pub(super) fn begin(&mut self, from: NodeId, snapshot: Snapshot) -> Option<(NodeId, Snapshot)> {
        let same = |pull: &Pull| pull.snapshot == snapshot && pull.from == from;
        if self.pull.as_ref().is_some_and(same) {
            return None;
        }
        let replaced = self.pull.replace(Pull {
            from,
            snapshot,
            fresh: true,
            at: 0,
            seal: None,
            asked: None,
            unanswered: 0,
            full: None,
        });
        replaced.map(|pull| (pull.from, pull.snapshot))
    }

    pub(super) fn next(&mut self, now: Instant, patience: Duration, unanswered_max: u32) -> Next {
        let Some(pull) = self.pull.as_mut().filter(|_| !self.storing) else {
            return Next::Wait;
        };
        if pull.fresh {
            (pull.fresh, self.storing) = (false, true);
            return Next::Discard(pull.snapshot.clone());
        }
        let waits = |(_, seen): (Instant, Instant)| now.since(seen) < SPACE_RETRY;
        let too_long = |(since, _): (Instant, Instant)| now.since(since) >= SPACE_WAIT_MAX;
        match pull.asked {
            None if pull.full.is_some_and(waits) => Next::Wait,
            Some(asked) if now.since(asked) < patience => Next::Wait,
            asked
                if pull.full.is_some_and(too_long)
                    || asked.is_some() && pull.unanswered >= unanswered_max =>
            {
                let (from, snapshot) = (pull.from, pull.snapshot.clone());
                // The chunks are removed before anything else is stored.
                (self.pull, self.storing) = (None, true);
                Next::GiveUp(from, snapshot)
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
        let retry = pull.full.map(|(_, seen)| seen + SPACE_RETRY);
        Some(match pull.asked {
            Some(asked) => asked + patience,
            None => retry.unwrap_or_default(),
        })
    }

    /// A chunk came, from this byte on, of a file with this seal.
    pub(super) fn chunk(
        &mut self,
        from: NodeId,
        name: SnapshotName,
        (at, seal): (u64, Seal),
        bytes: usize,
    ) -> Arrived {
        let asked_for = |pull: &mut Pull| {
            let ours = SnapshotName::from(&pull.snapshot) == name && pull.from == from;
            ours && !pull.fresh && pull.at == at
        };
        let end = at.checked_add(bytes as u64);
        let fits = bytes > 0 && end.is_some_and(|end| end <= seal.len);
        if self.storing || !fits || !self.pull.as_mut().is_some_and(asked_for) {
            return Arrived::Stray;
        }
        self.storing = true;
        let other = |pull: &mut Pull| pull.seal.is_some_and(|known| known != seal);
        if let Some(pull) = self.pull.take_if(other) {
            return Arrived::Other(pull.snapshot);
        }
        let Some(pull) = &mut self.pull else {
            return Arrived::Stray;
        };
        (pull.seal, pull.unanswered) = (Some(seal), 0);
        Arrived::Next(pull.snapshot.clone(), end == Some(seal.len))
    }

    /// The task has stored or discarded chunks of `snapshot`; the next one begins at `next`.
    pub(super) fn stored(&mut self, snapshot: &Snapshot, next: u64) {
        self.storing = false;
        let ours = |pull: &&mut Pull| pull.snapshot == *snapshot && !pull.fresh;
        if let Some(pull) = self.pull.as_mut().filter(ours) {
            (pull.at, pull.asked, pull.full) = (next, None, None);
        }
    }

    /// There is no space for what is being pulled.
    pub(super) fn is_full(&self) -> bool {
        self.pull.as_ref().is_some_and(|pull| pull.full.is_some())
    }

    /// There was no space for the last chunk. Whom it is from, if it is still wanted.
    pub(super) fn full(&mut self, now: Instant, snapshot: &Snapshot) -> Option<NodeId> {
        self.storing = false;
        let ours = |pull: &&mut Pull| pull.snapshot == *snapshot && !pull.fresh;
        let pull = self.pull.as_mut().filter(ours)?;
        let since = pull.full.map_or(now, |(since, _)| since);
        (pull.asked, pull.full) = (None, Some((since, now)));
        Some(pull.from)
    }

    /// The task has stored the last chunk. Whom it was pulled from, when that ends the pull.
    pub(super) fn whole(&mut self, snapshot: &Snapshot) -> Option<NodeId> {
        let pull = self.end(snapshot)?;
        self.snapshot_bytes = pull.seal.map_or(self.snapshot_bytes, |seal| seal.len);
        Some(pull.from)
    }

    /// The task has failed for good. Whom it was pulled from, when that ends the pull: its chunks are
    /// to be discarded then.
    pub(super) fn failed(&mut self, snapshot: &Snapshot) -> Option<NodeId> {
        let pull = self.end(snapshot)?;
        self.storing = true;
        Some(pull.from)
    }

    fn end(&mut self, snapshot: &Snapshot) -> Option<Pull> {
        self.storing = false;
        self.pull
            .take_if(|pull| pull.snapshot == *snapshot && !pull.fresh)
    }

    /// Whether a snapshot is to be verified now: one at a time.
    pub(super) fn verify(&mut self) -> bool {
        !std::mem::replace(&mut self.verifying, true)
    }

    /// It has been.
    pub(super) fn verified(&mut self) {
        self.verifying = false;
    }

    /// The holder has it no more: the chunks are to be discarded.
    pub(super) fn gone(&mut self, from: NodeId, name: SnapshotName) -> Option<Snapshot> {
        let lost = |pull: &mut Pull| {
            pull.from == from && !pull.fresh && SnapshotName::from(&pull.snapshot) == name
        };
        if self.storing {
            return None;
        }
        let pull = self.pull.take_if(lost)?;
        self.storing = true;
        Some(pull.snapshot)
    }

    /// A peer reads a snapshot of ours.
    pub(super) fn serve(&mut self, now: Instant, peer: NodeId, index: u64) {
        let (at, matched) = (now, None);
        self.serving.insert(peer, Serving { index, at, matched });
    }

    /// A peer that reads this snapshot of ours is slow, but not silent. Whether it does read it.
    pub(super) fn waits(&mut self, now: Instant, peer: NodeId, index: u64) -> bool {
        let serving = self.serving.get_mut(&peer);
        let serving = serving.filter(|serving| serving.index == index);
        serving.map(|serving| serving.at = now).is_some()
    }

    /// A peer needs no more of this snapshot of ours; if it has the whole, it needs the log behind it.
    pub(super) fn done(&mut self, now: Instant, peer: NodeId, index: u64, whole: bool) {
        let serving = self.serving.get_mut(&peer);
        match serving.filter(|serving| serving.index == index) {
            Some(serving) if whole => (serving.at, serving.matched) = (now, Some(index)),
            Some(_) => drop(self.serving.remove(&peer)),
            None => {}
        }
    }

    /// Snapshots from this index on are still read by a peer, or will be.
    pub(super) fn keep_from(&mut self, now: Instant, newest: u64, keeping: Keeping) -> u64 {
        let patience = keeping.patience;
        self.serving
            .retain(|_, serving| now.since(serving.at) < patience);
        let read = self.serving.values().filter(|peer| peer.matched.is_none());
        let oldest = read.map(|peer| peer.index).min();
        let oldest = oldest.filter(|_| keeping.has_room);
        oldest.unwrap_or(newest).min(newest)
    }

    /// Bytes that are applied between two snapshots: as many as the state has, within bounds. Were
    /// they fewer, snapshots of a large state would follow each other faster than a peer reads one.
    pub(super) fn interval(&self, setting: u64) -> u64 {
        let longest = setting.saturating_mul(INTERVAL_PARTS_MAX);
        self.snapshot_bytes.clamp(setting, longest)
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

    /// Whether a snapshot is to be taken before its time, because nothing else can give the log its
    /// space back. Not again and again: there may be no space for the snapshot either.
    pub(super) fn hurries(&mut self, now: Instant, keeping: Keeping) -> bool {
        let recently = |at: Instant| now.since(at) < keeping.patience;
        let due = !keeping.has_room
            && self.log_bytes > 0
            && !self.taking
            && self.held.is_none()
            && !self.hurried.is_some_and(recently);
        if due {
            (self.taking, self.log_bytes, self.hurried) = (true, 0, Some(now));
        }
        due
    }

    /// Whether a snapshot waits for the log to be cut behind it.
    pub(super) const fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// The snapshot to cut the log at: once the margin was applied behind it, and no peer needs what
    /// would be cut, having read an older snapshot or reading it still. A peer that is slower than
    /// `kept_bytes_max` of log has to begin anew, and so has every one while the log has no space.
    /// `matched` is how far a peer is known to hold the log, if this node leads.
    pub(super) fn cut(
        &mut self,
        now: Instant,
        keeping: Keeping,
        matched: impl Fn(NodeId) -> Option<u64>,
    ) -> Option<Cut> {
        let end = self.held.as_ref()?.index;
        self.serving.retain(|peer, serving| {
            if let Some(known) = &mut serving.matched {
                // Whoever does not lead feeds nobody.
                let Some(reached) = matched(*peer) else {
                    return false;
                };
                if reached > *known {
                    (*known, serving.at) = (reached, now);
                }
                if *known >= end {
                    return false;
                }
            }
            now.since(serving.at) < keeping.patience
        });
        let needed = self.serving.values().any(|serving| serving.index < end);
        let waits = self.log_bytes < keeping.margin_bytes
            || needed && self.log_bytes < keeping.kept_bytes_max;
        if waits && keeping.has_room {
            return None;
        }
        let snapshot = self.held.take()?;
        let (mut left_behind, serving) = (Vec::new(), &mut self.serving);
        serving.retain(|peer, serving| {
            let behind = serving.index < end;
            left_behind.extend(behind.then_some(*peer));
            !behind
        });
        Some(Cut {
            snapshot,
            left_behind,
        })
    }

    /// The snapshot being taken is stored, with its length, or could not be.
    pub(super) fn taken(&mut self, snapshot: Option<(Snapshot, u64)>) {
        self.taking = false;
        if let Some((snapshot, bytes)) = snapshot {
            (self.held, self.snapshot_bytes) = (Some(snapshot), bytes);
        }
    }

    /// The state was replaced from a snapshot.
    pub(super) fn restored(&mut self, index: u64) {
        self.log_bytes = 0;
        self.held.take_if(|held| held.index <= index);
    }
}

/// How long a receiver without space waits before it asks for the chunk again.
const SPACE_RETRY: Duration = Duration::from_secs(1);
/// How long it waits in all before it gives the pull up.
const SPACE_WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
