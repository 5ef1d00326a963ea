use core::time::Duration;

use crate::{Instant, Paxos};

/// How a node's disk does, as its driver measures it: goes in by
/// [`Paxos::handle_disk`](crate::Paxos::handle_disk), and to the others in echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DiskHealth {
    /// There is space for values. Without it a driver drops what its leader sends.
    pub has_room: bool,
    /// How long a write takes at present until it is durable; zero when that is not known.
    pub sync_time: Duration,
}

impl Default for DiskHealth {
    /// Space, and nothing known of its pace.
    fn default() -> Self {
        Self {
            has_room: true,
            sync_time: Duration::ZERO,
        }
    }
}

impl Paxos {
    /// How this node's disk does now. To be told whenever it changes; a driver that never calls
    /// this has a disk with room and no time to wait for.
    pub fn handle_disk(&mut self, _now: Instant, disk: DiskHealth) {
        self.disk = disk;
    }
}
