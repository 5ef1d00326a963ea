use core::time::Duration;

/// How a node's disk does, as its driver measures it: goes in by
/// [`Paxos::handle_disk`](crate::Paxos::handle_disk), and to the others in echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DiskHealth {
    /// There is space for values. Without it a driver drops what its leader sends. A driver says
    /// `true` again only when there is space for a while.
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
