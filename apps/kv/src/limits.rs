//! What a node may hold in memory beside the map, and why it is that much.
//!
//! The parts come with bounds for servers of any size, which together are over half a gigabyte. A
//! node of this server is small, so it sets its own, and `INFO memory` tells them next to what the
//! process really takes:
//!
//! - Consensus: 16 MiB of entries kept for peers, 16 MiB not yet committed. A peer that is a moment
//!   behind is served from memory; what exceeds it comes from the log.
//! - Transport, for each peer: out 1 MiB of control, 16 MiB of bulk and a frame of 4 MiB; in 16 MiB
//!   and a frame. Bulk takes the 8 MiB that may be in flight to a peer, a piece of a snapshot and
//!   four forwarded bodies; the receiver no less.
//! - Queue: 16 MiB between connections and loop, 16 MiB in the loop. Twenty of the largest requests
//!   each; beyond it a write is `REJECTED`.
//! - Requests: 16,384 whose end is open. A thousand clients with a pipeline of sixteen.
//! - Log: 32 MiB not yet synced, twice what may be uncommitted. A log that got more in one batch
//!   would stop the node.
//! - TLS, where it is spoken: 128 KiB a connection of a peer, 64 KiB a client, and as much for each place of one
//!   that has not shown who it is.
//! - Clients: 48 MiB of requests and answers of all connections together, 16 KiB for each of up to
//!   3,064 of them and the rest for whoever needs it, see [`ServerLimits`](crate::ServerLimits).
//!
//! What is in flight to a peer (at most 8 MiB) lies in the lanes and in the entries kept for peers
//! and is not counted again. A snapshot on its way to the disk keeps the values that were
//! overwritten since it began: up to another copy of the map, which no setting bounds. So does a backup, of which
//! there is one at a time, and which is given up when nobody asks for its next piece for half a minute.

use crate::roster::STANDING_MAX;
use synod_replica::NodeConfig;
use synod_transport::{LaneLimits, TcpConfig};
use synod_wal::Options;

/// Bytes that the parts of one node may hold at most, beside the map itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// Entries in the consensus core: those kept for peers, and those not yet committed.
    pub consensus_bytes: u64,
    /// Frames to and from all peers.
    pub transport_bytes: u64,
    /// Commands on their way from the connections to the log.
    pub queue_bytes: u64,
    /// What is remembered of each request until it ends.
    pub requests_bytes: u64,
    /// Records that wait for a sync.
    pub log_bytes: u64,
    /// Requests and answers of all connections.
    pub clients_bytes: u64,
    /// What TLS takes of connections between nodes, and of those of clients, as far as it is spoken.
    pub tls_bytes: u64,
}

impl MemoryLimits {
    /// The sum.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("limit_consensus_bytes", self.consensus_bytes),
            ("limit_transport_bytes", self.transport_bytes),
            ("limit_queue_bytes", self.queue_bytes),
            ("limit_requests_bytes", self.requests_bytes),
            ("limit_log_bytes", self.log_bytes),
            ("limit_clients_bytes", self.clients_bytes),
            ("limit_tls_bytes", self.tls_bytes),
        ]
    }

    /// Of a node with so many peers whose connections may hold so much. `holds_unsynced` when what
    /// is not synced lies in memory a second time (`--power-loss`).
    pub(crate) fn of(peers: usize, clients_bytes: usize, holds_unsynced: bool) -> Self {
        let peer = CONTROL_BYTES_MAX
            + BULK_BYTES_MAX
            + INBOX_BYTES_MAX
            + 2 * FRAME_BYTES_MAX
            + READ_BUFFER_BYTES;
        let unsynced = PENDING_BYTES_MAX * (1 + usize::from(holds_unsynced));
        Self {
            consensus_bytes: (CACHE_BYTES_MAX + UNCOMMITTED_BYTES_MAX) as u64,
            transport_bytes: (peers * peer) as u64,
            queue_bytes: (2 * QUEUED_BYTES_MAX) as u64,
            requests_bytes: (REQUESTS_MAX * REQUEST_BYTES) as u64,
            log_bytes: unsynced as u64,
            clients_bytes: clients_bytes as u64,
            tls_bytes: 0,
        }
    }

    /// And with TLS between nodes, and with so many clients.
    pub(crate) fn with_tls(
        self,
        (peers_have, clients_have): (bool, bool),
        peers: usize,
        clients: usize,
    ) -> Self {
        let of_peers = HANDSHAKES_MAX * HANDSHAKE_TLS_BYTES
            + peers * (HANDSHAKES_ADDRESS_MAX * HANDSHAKE_TLS_BYTES + 2 * PEER_TLS_BYTES);
        let of_clients = (clients + STANDING_MAX) * CLIENT_TLS_BYTES;
        let tls_bytes = usize::from(peers_have) * of_peers + usize::from(clients_have) * of_clients;
        Self {
            tls_bytes: tls_bytes as u64,
            ..self
        }
    }
}

pub(crate) fn bound_node(config: &mut NodeConfig) {
    config.bounds.queued_bytes_max = QUEUED_BYTES_MAX;
    config.bounds.requests_max = REQUESTS_MAX;
}

pub(crate) fn bound_transport(config: &mut TcpConfig) {
    config.frame_bytes_max = FRAME_BYTES_MAX;
    config.control = LaneLimits {
        bytes_max: CONTROL_BYTES_MAX,
        ..LaneLimits::CONTROL
    };
    config.bulk = LaneLimits {
        bytes_max: BULK_BYTES_MAX,
        ..LaneLimits::BULK
    };
    config.inbox_bytes_max = INBOX_BYTES_MAX;
    config.handshakes_max = HANDSHAKES_MAX;
    config.handshakes_address_max = HANDSHAKES_ADDRESS_MAX;
}

pub(crate) fn bound_log() -> Options {
    let mut options = Options::default();
    options.pending_bytes_max = PENDING_BYTES_MAX;
    options
}

/// Entries that a consensus core keeps for peers.
pub(crate) const CACHE_BYTES_MAX: usize = 16 << 20;
/// Entries that a consensus core has taken and not yet decided.
pub(crate) const UNCOMMITTED_BYTES_MAX: usize = 16 << 20;
/// Entries on their way to one peer.
pub(crate) const INFLIGHT_BYTES_MAX: usize = 8 << 20;
const QUEUED_BYTES_MAX: usize = 16 << 20;
const REQUESTS_MAX: usize = 16 << 10;
/// Of a request whose end is open: its place in the channel and in the queues, the channel of its
/// answer, the call's own state. Generous.
const REQUEST_BYTES: usize = 512;
const PENDING_BYTES_MAX: usize = 32 << 20;
/// The largest request and what stands around it in a message, twice.
const FRAME_BYTES_MAX: usize = 4 << 20;
const CONTROL_BYTES_MAX: usize = 1 << 20;
const BULK_BYTES_MAX: usize = 16 << 20;
const INBOX_BYTES_MAX: usize = 16 << 20;
/// Connections of strangers that have not said who they are, and those of each peer's address: each is a
/// descriptor, which `descriptors.rs` keeps for it.
pub(crate) const HANDSHAKES_MAX: usize = 32;
pub(crate) const HANDSHAKES_ADDRESS_MAX: usize = 16;
/// As `TcpConfig` tells: of a connection before both ends have shown who they are, and afterwards.
const HANDSHAKE_TLS_BYTES: usize = 64 << 10;
const PEER_TLS_BYTES: usize = 128 << 10;
/// A record that has come, one that was opened, one that leaves, and the keys.
const CLIENT_TLS_BYTES: usize = 64 << 10;
/// As `TcpConfig` tells.
const READ_BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_fits_a_small_machine_and_grows_with_the_peers() {
        let three = MemoryLimits::of(2, 48 << 20, false);
        assert!(three.total_bytes() < 256 << 20, "{three:?}");
        let five = MemoryLimits::of(4, 48 << 20, false);
        assert_eq!(five.transport_bytes, 2 * three.transport_bytes);
        let held = MemoryLimits::of(2, 48 << 20, true);
        assert_eq!(held.log_bytes, 2 * three.log_bytes);
    }

    /// A part that may hand on more than the next part takes would lose what it hands on.
    #[test]
    fn each_bound_leaves_room_for_what_comes_before_it() {
        const {
            assert!(BULK_BYTES_MAX >= INFLIGHT_BYTES_MAX + 2 * FRAME_BYTES_MAX);
            assert!(INBOX_BYTES_MAX >= FRAME_BYTES_MAX);
            assert!(PENDING_BYTES_MAX >= 2 * UNCOMMITTED_BYTES_MAX);
        }
    }
}
