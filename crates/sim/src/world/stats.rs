//! Counts of what has happened in a world.

/// What has happened in a world, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorldStats {
    /// Events taken from the queue.
    pub events: u64,
    /// Messages that processes sent, before loss and duplication.
    pub sent: u64,
    /// Messages lost by [`WorldOptions::loss`](crate::WorldOptions::loss).
    pub lost: u64,
    /// Messages that came to be two by
    /// [`WorldOptions::duplication`](crate::WorldOptions::duplication).
    pub duplicated: u64,
    /// Messages of which the network kept a copy for long.
    pub old_copies: u64,
    /// Messages that a full link dropped.
    pub overflowed: u64,
    /// Copies of messages dropped because a link was cut.
    pub cut: u64,
    /// Copies of messages that waited at the end of a clogged link.
    pub clogged: u64,
    /// Copies of messages that a process received.
    pub delivered: u64,
    /// Copies of messages, and inputs, for a node that was down or does not exist.
    pub undeliverable: u64,
    /// Times a process was started, with success or not.
    pub starts: u64,
    /// Times a process failed to start.
    pub start_failures: u64,
    /// Times a running process ended.
    pub crashes: u64,
    /// Those of them that were power losses.
    pub power_losses: u64,
    /// Crashes in a step that had messages to send, not all of which went out.
    pub crashes_before_send: u64,
    /// Crashes because the disk died or refused, or the process gave up.
    pub crashes_by_error: u64,
    /// Power losses of all nodes at once.
    pub power_alls: u64,
    /// Pauses of a process that was up.
    pub pauses: u64,
    /// Partitions.
    pub partitions: u64,
    /// Clogs of a link.
    pub clogs: u64,
    /// Errors of clocks.
    pub clock_changes: u64,
    /// Stalls of a disk.
    pub disk_stalls: u64,
    /// Syncs that were made to fail, or will.
    pub sync_errors: u64,
    /// Times a disk was full.
    pub disk_fulls: u64,
    /// Times something rotted on a disk.
    pub rots: u64,
}
