//! How many clients the process's limit of open files allows.
//!
//! Without a descriptor a log cannot begin a segment, a snapshot cannot be written and a peer cannot
//! connect: a node that gave its last one to a client would be worse off than one that sent the
//! client away. So clients are bounded by what the process may have open, less what the node itself
//! needs.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use synod_transport::HEARD_OUT_SOCKETS_MAX;
use tracing::warn;

use crate::limits::{HANDSHAKES_ADDRESS_MAX, HANDSHAKES_MAX};

/// The process may have too few files open for a node to run in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may have {limit} files open, and the node itself needs {reserved}: see ulimit -n"
)]
pub(crate) struct TooFew {
    limit: u64,
    reserved: u64,
}

/// So many clients can be served at a time, of `asked`. The process's own limit is raised as far as
/// that needs and the system allows.
///
/// # Errors
/// [`TooFew`]
pub(crate) fn clients_max(asked: usize, peers: usize) -> Result<usize, TooFew> {
    let reserved = reserved(peers);
    let wanted = reserved.saturating_add(asked as u64);
    let limit = raise(wanted).unwrap_or(u64::MAX);
    let clients = allowed(asked, limit, reserved)?;
    if clients < asked {
        warn!(
            asked,
            clients, limit, "fewer clients than asked for: the limit of open files allows no more"
        );
    }
    Ok(clients)
}

fn allowed(asked: usize, limit: u64, reserved: u64) -> Result<usize, TooFew> {
    match limit.saturating_sub(reserved) {
        0 => Err(TooFew { limit, reserved }),
        free => Ok(usize::try_from(free).unwrap_or(usize::MAX).min(asked)),
    }
}

/// The limit as it is in the end; `None` when there is none.
fn raise(wanted: u64) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current?;
    if current >= wanted {
        return Some(current);
    }
    let raised = wanted.min(maximum.unwrap_or(u64::MAX));
    let asked = Rlimit {
        current: Some(raised),
        maximum,
    };
    let set: io::Result<()> = setrlimit(Resource::Nofile, asked).map_err(Into::into);
    Some(if set.is_ok() { raised } else { current })
}

/// For the standard streams, the runtime, two listeners, the log's segments and spares, snapshots
/// that are written and read, clients without a seat or on their way out; for each peer both
/// connections, their successors, and the snapshot that it is sent; for connections to the cluster's
/// port that have not said who they are, of strangers and from each peer's address; and for those that
/// have said that they are a peer, of which that peer is asked.
fn reserved(peers: usize) -> u64 {
    let peer = PEER_FILES + HANDSHAKES_ADDRESS_MAX + HEARD_OUT_SOCKETS_MAX;
    (NODE_FILES + HANDSHAKES_MAX + peers * peer) as u64
}

const NODE_FILES: usize = 64;
const PEER_FILES: usize = 8;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::SocketAddr};

    use synod_transport::{ClusterId, DiskId, Hello, NodeId, TcpConfig};

    use super::*;
    use crate::limits::bound_transport;

    /// What is kept for strangers is what they may take.
    #[test]
    fn the_cluster_port_takes_what_is_kept_for_it() {
        let hello = Hello::new(ClusterId(1), NodeId(1), DiskId(1), 1);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = TcpConfig::new(hello, listen, BTreeMap::new());
        bound_transport(&mut config);
        let a_peers = config.handshakes_address_max + HEARD_OUT_SOCKETS_MAX;
        let places = config.handshakes_max + 2 * a_peers;
        assert_eq!(reserved(2), (NODE_FILES + 2 * PEER_FILES + places) as u64);
    }

    #[test]
    fn clients_get_what_the_node_leaves() {
        assert_eq!(reserved(0), 64 + 32);
        assert_eq!(reserved(2), 64 + 32 + 2 * (8 + 16 + 16));
        assert_eq!(allowed(1_024, u64::MAX, 80), Ok(1_024));
        assert_eq!(allowed(1_024, 1_104, 80), Ok(1_024));
        assert_eq!(allowed(1_024, 1_103, 80), Ok(1_023));
        assert_eq!(allowed(1_024, 81, 80), Ok(1));
        let error = allowed(1_024, 80, 80).unwrap_err();
        assert!(error.to_string().contains("may have 80 files open"));
        assert!(allowed(1_024, 3, 80).is_err());
    }
}
