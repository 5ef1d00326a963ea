//! The bounds of an engine, and what it tells of itself.

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
    /// Bytes of an entry's body; a larger command is refused.
    pub body_bytes_max: usize,
    /// Bytes of bodies of this node's own commands in one write.
    pub write_bytes_max: usize,
    /// Bytes of commands that wait: in the channel to the node's loop, and to be sealed, each.
    pub queued_bytes_max: usize,
    /// Requests whose end is open.
    pub requests_max: usize,
    /// Forwarded bodies under way to one leader, before more are gathered into the next.
    pub forwards_max: usize,
    /// Bytes of entries applied since the last snapshot, before the next is taken. Of a state that is
    /// larger it is the state's size, as its last snapshot tells, up to 64 times this: to write and to
    /// move a snapshot takes the longer the larger it is.
    pub snapshot_log_bytes: u64,
    /// Bytes of log that are kept for the sake of a peer that reads a snapshot, or catches up behind
    /// one, counted from the last snapshot; never less than twice what is applied between two
    /// snapshots. Nothing is kept while the log has no space.
    pub kept_log_bytes_max: u64,
    /// Bytes of a chunk of a snapshot on its way to a peer.
    pub chunk_bytes_max: usize,
    /// How long an answer of a peer is waited for before it is asked again.
    pub retry_after: Duration,
}

impl Default for Bounds {
    /// Bodies of 1 MiB, 64 MiB of queued commands, 64 Ki requests, a snapshot every 64 MiB.
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

/// Who an engine is, what it stands on, and its bounds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// The group.
    pub group: GroupId,
    /// This node.
    pub node: NodeId,
    /// Which incarnation of this node this is: higher than in any incarnation before.
    pub incarnation: u64,
    /// Names of this incarnation count from here on. Drawn at random, so that no copy of the disk, whose lives
    /// count alike, gives a name that this incarnation gives too.
    pub sequence_base: u64,
    /// Bytes of the longest record that the log takes: a peer's entry that does not fit is dropped.
    pub record_bytes_max: usize,
    /// What is left in the log; engines that write to one log share it, and its driver sets it.
    pub space: LogSpace,
    /// The length in bytes of the snapshot that the node was opened with, 0 without one.
    pub snapshot_bytes: u64,
    /// Its bounds.
    pub bounds: Bounds,
}

impl EngineConfig {
    /// With the usual bounds, a log that takes any record, and no snapshot.
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

/// The longest way between two snapshots, in [`Bounds::snapshot_log_bytes`].
pub const INTERVAL_PARTS_MAX: u64 = 64;

/// The engine at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The core.
    pub core: CoreStatus,
    /// Who leads.
    pub leadership: Option<Leadership>,
    /// The last index applied.
    pub applied: u64,
    /// Requests whose end is open.
    pub requests: usize,
    /// Frames that made no sense.
    pub frames_ignored: u64,
    /// Snapshots taken here.
    pub snapshots_taken: u64,
    /// Snapshots received whole from a peer.
    pub snapshots_received: u64,
    /// Snapshots that could not be taken or received.
    pub snapshots_failed: u64,
    /// When each peer was heard last.
    pub heard: Vec<(NodeId, Instant)>,
}
