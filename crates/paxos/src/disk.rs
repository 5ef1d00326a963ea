use core::time::Duration;

/// The state of a node's disk, as its driver measures it. Passed in by
/// [`Paxos::handle_disk`](crate::Paxos::handle_disk), and reported to other nodes in echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DiskHealth {
    /// Whether there is space for values. Without it a driver drops the values that its leader
    /// sends. A driver reports `true` again only when there is enough space for a while.
    pub has_room: bool,
    /// How long a write currently takes to become durable; zero if unknown.
    pub sync_time: Duration,
}

impl Default for DiskHealth {
    /// Space available, and write time unknown.
    fn default() -> Self {
        Self {
            has_room: true,
            sync_time: Duration::ZERO,
        }
    }
}
