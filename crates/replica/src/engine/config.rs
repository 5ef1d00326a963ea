//! The bounds of an engine, and its status.

use std::time::Duration;

use synod_transport::NodeId;
use synod_wal::GroupId;

use crate::log::{LogSpace, RECORD_SPARE_BYTES};
use crate::protocol::{CoreStatus, Leadership};
use crate::time::Instant;

/// The bounds of a group, the same for all groups of a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bounds {
    /// The longest body of an entry, in bytes; a larger command is rejected.
    pub body_bytes_max: usize,
    /// The most bytes of bodies of this node's own commands in one write.
    pub write_bytes_max: usize,
    /// The most bytes of commands in the channel to the node's loop, and as many again in the
    /// engine's queue. What a former leader gives back is queued beyond that, at most `forwards_max`
    /// bodies. While leadership is handed over, the leader holds as many bytes of followers' bodies.
    pub queued_bytes_max: usize,
    /// The most requests in progress.
    pub requests_max: usize,
    /// The most forwarded bodies in progress to one leader; further commands gather in the next
    /// body.
    pub forwards_max: usize,
    /// Bytes of entries applied after a snapshot before the next one is taken. If the state is
    /// larger, its size in its last snapshot is used instead, up to 64 times this setting: the
    /// larger a snapshot, the longer it takes to write and to transfer.
    pub snapshot_log_bytes: u64,
    /// The most bytes of log, counted from the last snapshot, that are kept for a peer that reads a
    /// snapshot or catches up after one; at least twice the interval between two snapshots. Nothing
    /// is kept while the log has no space.
    pub kept_log_bytes_max: u64,
    /// The longest chunk of a snapshot in transfer, in bytes.
    pub chunk_bytes_max: usize,
    /// How long to wait for a peer's answer before asking again.
    pub retry_after: Duration,
}

impl Default for Bounds {
    /// Bodies of 1 MiB, 64 MiB of queued commands, 65,536 requests, and a snapshot every 64 MiB.
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            write_bytes_max: 4 << 20,
            queued_bytes_max: 64 << 20,
            requests_max: 1 << 16,
            forwards_max: 4,
            snapshot_log_bytes: 64 << 20,
            kept_log_bytes_max: 256 << 20,
            chunk_bytes_max: 256 << 10,
            retry_after: Duration::from_millis(200),
        }
    }
}

/// The configuration of an engine: its identity, its log, and its bounds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// The group's id.
    pub group: GroupId,
    /// This node's id.
    pub node: NodeId,
    /// The number of this node's incarnation, higher than that of any before.
    pub incarnation: u64,
    /// Command names of this incarnation are numbered from here. Random, so that no copy of the
    /// disk, whose incarnation numbers are equal, uses a name that this incarnation uses too.
    pub sequence_base: u64,
    /// The longest record that the log accepts, in bytes; a peer's entry that does not fit is
    /// dropped.
    pub record_bytes_max: usize,
    /// The space left in the log. Engines that write to one log share it, and its driver sets it.
    pub space: LogSpace,
    /// The length in bytes of the snapshot that the node was opened with; 0 without one.
    pub snapshot_bytes: u64,
    /// A follower's linearizable reads ask acceptors instead of the leader, if the protocol can do that.
    pub quorum_reads: bool,
    /// The bounds of the group.
    pub bounds: Bounds,
}

impl EngineConfig {
    /// The default bounds, a log that accepts any record, and no snapshot.
    #[must_use]
    pub fn new(group: GroupId, node: NodeId, incarnation: u64) -> Self {
        Self {
            group,
            node,
            incarnation,
            sequence_base: 0,
            record_bytes_max: usize::MAX,
            space: LogSpace::default(),
            snapshot_bytes: 0,
            quorum_reads: false,
            bounds: Bounds::default(),
        }
    }

    /// Whether a body of the greatest length fits into a record of the log.
    pub(crate) fn fits(&self) -> bool {
        self.bounds
            .body_bytes_max
            .saturating_add(RECORD_SPARE_BYTES)
            <= self.record_bytes_max
    }
}

/// The longest interval between two snapshots, as a multiple of [`Bounds::snapshot_log_bytes`].
pub const INTERVAL_PARTS_MAX: u64 = 64;

/// The status of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The status of its core.
    pub core: CoreStatus,
    /// The current leadership, if known.
    pub leadership: Option<Leadership>,
    /// The last index applied.
    pub applied: u64,
    /// Requests in progress.
    pub requests: usize,
    /// Malformed or meaningless frames that were ignored.
    pub frames_ignored: u64,
    /// Snapshots taken on this node.
    pub snapshots_taken: u64,
    /// Snapshots received completely from a peer.
    pub snapshots_received: u64,
    /// Attempts to take or receive a snapshot that failed.
    pub snapshots_failed: u64,
    /// When the last frame of each peer arrived.
    pub heard: Vec<(NodeId, Instant)>,
}
