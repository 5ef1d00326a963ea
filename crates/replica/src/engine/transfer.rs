//! The state of snapshot transfers: taken here, pulled from a peer, read by peers.
//!
//! ```text
//! receiver                         holder
//!    │ ── Pull { at: 0 } ───────────▶ │
//!    │ ◀───────── Chunk { at: 0 } ─── │       the receiver requests the next chunk once this one is stored:
//!    │ store                          │       it sets the pace, with one chunk in flight
//!    │ ── Pull { at: n } ───────────▶ │
//!    │ ◀───────── Chunk { at: n } ─── │
//!    │ store, verify, sync, rename    │       each chunk carries the file's length and hash, so a lack of space
//!    │                                │       is noticed before the first is stored, another file before the
//!    │                                │       next one is, and wrong contents at the end
//!    │ ── Done ─────────────────────▶ │       however the pull ends: nothing more is kept for it
//! ```
//!
//! A receiver without space sends `Waits` and requests the same chunk again later. What a holder
//! keeps for its receivers is bounded: log by bytes and by its own free space, files by how long a
//! receiver may be silent.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_transport::NodeId;
use synod_wal::{Seal, Snapshot};

use super::config::INTERVAL_PARTS_MAX;
use crate::task::SnapshotName;
use crate::time::Instant;

/// The next step of a pull.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: an answer or a task is awaited.
    Wait,
    /// Discard chunks of an earlier attempt, so that files never mix.
    Discard(Snapshot),
    /// Request the chunk at this byte.
    Ask(NodeId, SnapshotName, u64),
    /// Too many requests were unanswered, or there was no space for too long.
    GiveUp(NodeId, Snapshot),
}

/// What a chunk means to the current pull.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// The requested chunk of this snapshot, and whether it is the last.
    Next(Snapshot, bool),
    /// Not requested, or not any more.
    Stray,
    /// The requested chunk, but of another file than the first chunk: the pull has ended, and its
    /// chunks must be discarded.
    Other(Snapshot),
}

/// What a holder keeps for the peers that read its snapshots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// A peer that is silent for this long is given up.
    pub(super) silence_max: Duration,
    /// Bytes of log always kept after a snapshot, so that peers that lag a little need no snapshot.
    pub(super) margin_bytes: u64,
    /// Bytes of log kept after a snapshot for a peer that reads an older one.
    pub(super) kept_bytes_max: u64,
    /// Whether the log has space. Without space nothing is kept.
    pub(super) has_room: bool,
}

/// Where the log is cut, and which peers will not find what they need.
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
    /// The length and hash of the whole file, as in the first chunk.
    seal: Option<Seal>,
    /// When the last request was sent; `None` if the next one is due.
    asked: Option<Instant>,
    unanswered: u32,
    /// Since when there is no space for the next chunk, and when that was last seen.
    full: Option<(Instant, Instant)>,
}

/// A peer that reads a snapshot of this node, and then the log after it.
#[derive(Debug)]
struct Serving {
    index: u64,
    /// When it last made progress.
    at: Instant,
    /// Set once it has the snapshot: how far it holds the log.
    matched: Option<u64>,
}

/// # Invariants
/// - At most one snapshot is pulled, and at most one taken, at a time.
/// - At most one task works on received chunks at a time, even if its pull was replaced meanwhile:
///   its completion then belongs to no pull and is not mistaken for that of another.
/// - No snapshot is taken before the log was cut at the previous one.
/// - A pull that ends without success leaves no chunks.
#[derive(Debug)]
pub(super) struct Transfer {
    pull: Option<Pull>,
    /// Whether a task stores or discards chunks.
    storing: bool,
    taking: bool,
    /// Whether a task verifies a snapshot that a peer received damaged.
    verifying: bool,
    serving: BTreeMap<NodeId, Serving>,
    /// Bytes applied since the last snapshot was taken.
    log_bytes: u64,
    /// The length in bytes of the last snapshot taken or received.
    snapshot_bytes: u64,
    /// When a snapshot was last begun only because the log has no space.
    hurried: Option<Instant>,
    /// Taken and durable, but the log is not cut yet, so that peers that lag a little still find
    /// their entries in it.
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

    /// Begins a pull; returns the one that it replaces.
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

    pub(super) fn next(
        &mut self,
        now: Instant,
        retry_after: Duration,
        unanswered_max: u32,
    ) -> Next {
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
            Some(asked) if now.since(asked) < retry_after => Next::Wait,
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

    pub(super) fn wake(&self, retry_after: Duration) -> Option<Instant> {
        let pull = self.pull.as_ref().filter(|_| !self.storing)?;
        let retry = pull.full.map(|(_, seen)| seen + SPACE_RETRY);
        Some(match pull.asked {
            Some(asked) => asked + retry_after,
            None => retry.unwrap_or_default(),
        })
    }

    /// Handles a chunk that begins at this byte, of a file with this seal.
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

    /// The task has stored or discarded chunks of `snapshot`; the next chunk begins at `next`.
    pub(super) fn stored(&mut self, snapshot: &Snapshot, next: u64) {
        self.storing = false;
        let ours = |pull: &&mut Pull| pull.snapshot == *snapshot && !pull.fresh;
        if let Some(pull) = self.pull.as_mut().filter(ours) {
            (pull.at, pull.asked, pull.full) = (next, None, None);
        }
    }

    /// Whether there is no space for the snapshot being pulled.
    pub(super) fn is_full(&self) -> bool {
        self.pull.as_ref().is_some_and(|pull| pull.full.is_some())
    }

    /// There was no space for the last chunk. Returns its holder, if it is still wanted.
    pub(super) fn full(&mut self, now: Instant, snapshot: &Snapshot) -> Option<NodeId> {
        self.storing = false;
        let ours = |pull: &&mut Pull| pull.snapshot == *snapshot && !pull.fresh;
        let pull = self.pull.as_mut().filter(ours)?;
        let since = pull.full.map_or(now, |(since, _)| since);
        (pull.asked, pull.full) = (None, Some((since, now)));
        Some(pull.from)
    }

    /// The task has stored the last chunk. Returns the holder, if that ends the current pull.
    pub(super) fn whole(&mut self, snapshot: &Snapshot) -> Option<NodeId> {
        let pull = self.end(snapshot)?;
        self.snapshot_bytes = pull.seal.map_or(self.snapshot_bytes, |seal| seal.len);
        Some(pull.from)
    }

    /// The task has failed for good. Returns the holder, if that ends the current pull: its chunks
    /// must then be discarded.
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

    /// Whether a snapshot may be verified now: one at a time.
    pub(super) fn verify(&mut self) -> bool {
        !std::mem::replace(&mut self.verifying, true)
    }

    /// The verification has ended.
    pub(super) fn verified(&mut self) {
        self.verifying = false;
    }

    /// The holder no longer has the snapshot: its chunks must be discarded.
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

    /// A peer reads a snapshot of this node.
    pub(super) fn serve(&mut self, now: Instant, peer: NodeId, index: u64) {
        let (at, matched) = (now, None);
        self.serving.insert(peer, Serving { index, at, matched });
    }

    /// A peer that reads this snapshot is slow, but alive. Returns whether it reads it.
    pub(super) fn waits(&mut self, now: Instant, peer: NodeId, index: u64) -> bool {
        let serving = self.serving.get_mut(&peer);
        let serving = serving.filter(|serving| serving.index == index);
        serving.map(|serving| serving.at = now).is_some()
    }

    /// A peer needs no more of this snapshot; if it has it all, it needs the log after it.
    pub(super) fn done(&mut self, now: Instant, peer: NodeId, index: u64, whole: bool) {
        let serving = self.serving.get_mut(&peer);
        match serving.filter(|serving| serving.index == index) {
            Some(serving) if whole => (serving.at, serving.matched) = (now, Some(index)),
            Some(_) => drop(self.serving.remove(&peer)),
            None => {}
        }
    }

    /// The lowest index of a snapshot that a peer still reads, or `newest`.
    pub(super) fn keep_from(&mut self, now: Instant, newest: u64, keeping: Keeping) -> u64 {
        let silence_max = keeping.silence_max;
        self.serving
            .retain(|_, serving| now.since(serving.at) < silence_max);
        let read = self.serving.values().filter(|peer| peer.matched.is_none());
        let oldest = read.map(|peer| peer.index).min();
        let oldest = oldest.filter(|_| keeping.has_room);
        oldest.unwrap_or(newest).min(newest)
    }

    /// Bytes of entries applied between two snapshots: the size of the state, within bounds. With
    /// fewer, snapshots of a large state would follow each other faster than a peer can read one.
    pub(super) fn interval(&self, setting: u64) -> u64 {
        let longest = setting.saturating_mul(INTERVAL_PARTS_MAX);
        self.snapshot_bytes.clamp(setting, longest)
    }

    /// Counts what was applied; `true` when the next snapshot is due.
    pub(super) fn applied(&mut self, bytes: u64, bytes_max: u64) -> bool {
        self.log_bytes += bytes;
        let due = self.log_bytes >= bytes_max && !self.taking && self.held.is_none();
        if due {
            (self.taking, self.log_bytes) = (true, 0);
        }
        due
    }

    /// Whether to take a snapshot early, because nothing else can free space in the log. Not in
    /// quick succession: there may be no space for the snapshot either.
    pub(super) fn hurries(&mut self, now: Instant, keeping: Keeping) -> bool {
        let recently = |at: Instant| now.since(at) < keeping.silence_max;
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

    /// Whether a snapshot waits for the log to be cut at it.
    pub(super) const fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// The snapshot to cut the log at: once the margin was applied after it, and no peer needs what
    /// would be cut because it reads, or has read, an older snapshot. A peer that is slower than
    /// `kept_bytes_max` of log has to start over, and so has every peer while the log has no space.
    /// `matched` tells how far a peer is known to hold the log, if this node leads.
    pub(super) fn cut(
        &mut self,
        now: Instant,
        keeping: Keeping,
        matched: impl Fn(NodeId) -> Option<u64>,
    ) -> Option<Cut> {
        let end = self.held.as_ref()?.index;
        self.serving.retain(|peer, serving| {
            if let Some(known) = &mut serving.matched {
                // Only a leader sends entries.
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
            now.since(serving.at) < keeping.silence_max
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

    /// The snapshot being taken is stored, with its length, or has failed.
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

/// How long a receiver without space waits before it requests the chunk again.
const SPACE_RETRY: Duration = Duration::from_secs(1);
/// How long it waits in total before it gives up the pull.
const SPACE_WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
