//! Messages over TCP, on tokio.
//!
//! Every node dials every peer and sends on the connections it dialed; on the ones it accepted it
//! receives. With two simplex connections for each pair, no agreement is needed on which end dials,
//! and each end checks the other's hello.

mod accept;
mod config;
mod dial;
mod events;
#[cfg(feature = "tls")]
mod guard;
#[cfg(not(feature = "tls"))]
#[path = "unguarded.rs"]
mod guard;
mod judge;
mod link;
mod peers;
mod places;
mod probe;
mod security;
mod sendqueue;
mod shared;
mod status;
mod wire;

pub use config::{Admit, BindError, Listen, OnRollback, TcpConfig, shared_address};
pub use peers::HEARD_OUT_SOCKETS_MAX;
pub use security::Security;
pub use status::{PeerStatus, Status};

#[cfg(feature = "tls")]
use crate::Untrusted;
#[cfg(feature = "tls")]
use crate::tls::{TlsConfig, TlsError};
use crate::{Hello, Lane, NodeId, Parcel, Transport, frame};
use bytes::Bytes;
use events::{Source, tell, what_panicked};
use guard::Guard;
use peers::Peer;
use shared::{Arrival, Shared};
use status::count;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// A [`Transport`] over TCP connections to the peers of [`TcpConfig`].
///
/// [`flush`](Transport::flush) writes on the caller's thread as far as the streams accept it; tasks
/// write the rest. Dropping the transport closes the port at once, and its connections and tasks on
/// the next turn of the runtime.
///
/// It closes by itself only when one of its tasks ends, by a panic or with the runtime it was bound on:
/// this is logged, and [`poll_recv`](Transport::poll_recv) returns `None`.
///
/// ```
/// use bytes::Bytes;
/// use std::{collections::BTreeMap, future::poll_fn, net::TcpListener};
/// use synod_transport::{ClusterId, DiskId, Hello, Lane, NodeId, Tcp, TcpConfig, Transport};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let one = TcpListener::bind("127.0.0.1:0")?;
/// let two = TcpListener::bind("127.0.0.1:0")?;
/// let peers = BTreeMap::from([
///     (NodeId(1), one.local_addr()?.to_string()),
///     (NodeId(2), two.local_addr()?.to_string()),
/// ]);
/// let hello = |node, disk| Hello::new(ClusterId(7), NodeId(node), DiskId(disk), 1);
/// let mut one = Tcp::bind(TcpConfig::new(hello(1, 11), one, peers.clone())).await?;
/// let mut two = Tcp::bind(TcpConfig::new(hello(2, 22), two, peers)).await?;
///
/// one.send(NodeId(2), Lane::Control, Bytes::from_static(b"ping").into());
/// one.flush();
/// assert_eq!(poll_fn(|cx| two.poll_recv(cx)).await, Some((NodeId(1), Bytes::from_static(b"ping"))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tcp {
    shared: Arc<Shared>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Keeps the channel open when there are no peers; otherwise the transport would appear closed.
    arrivals_to: mpsc::UnboundedSender<Arrival>,
    address: SocketAddr,
    frame_bytes_max: usize,
    /// The incarnation of each peer that sent its last delivered message.
    lives: BTreeMap<NodeId, u64>,
    /// The peers as in `shared`, readable without its lock, with the task that dials each.
    peers: BTreeMap<NodeId, (Arc<Peer>, AbortHandle)>,
    /// All tasks. Only those of removed peers end before the transport does. Aborted when dropped.
    tasks: JoinSet<()>,
    /// The tasks of removed peers that have not ended yet.
    stopped: BTreeSet<Id>,
    /// A task ended, so the transport is closed.
    ended: bool,
}

impl Tcp {
    /// Starts to listen and to dial every peer. The tasks run on the current runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or is reachable from other machines while [`TcpConfig::security`]
    /// is not set; when a limit is invalid, or certificates are not usable. Unreachable peers are not an
    /// error.
    pub async fn bind(mut config: TcpConfig) -> Result<Self, BindError> {
        config.check()?;
        let guard = Guard::new(config.security.take(), &config.hello)?;
        let unspecified = Listen::Address(SocketAddr::from(([0; 4], 0)));
        let listener = match std::mem::replace(&mut config.listen, unspecified) {
            Listen::Address(address) => TcpListener::bind(address).await,
            Listen::Bound(listener) => listener
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(listener)),
        };
        let listener = listener.map_err(BindError::Listen)?;
        let address = listener.local_addr().map_err(BindError::Listen)?;
        let frame_bytes_max = config.frame_bytes_max;
        let (arrivals_to, arrivals) = mpsc::unbounded_channel();
        config::check_reach(&guard, address, config.hello.node, &config.peers)?;
        let peers = std::mem::take(&mut config.peers);
        let shared = Arc::new(Shared::new(config, guard, listener));
        shared.tell_expired();
        let mut tcp = Self {
            shared: shared.clone(),
            arrivals,
            arrivals_to,
            address,
            frame_bytes_max,
            lives: BTreeMap::new(),
            peers: BTreeMap::new(),
            tasks: JoinSet::new(),
            stopped: BTreeSet::new(),
            ended: false,
        };
        // Before connections are accepted, so that peers are recognized from the start.
        tcp.set_peers(&peers);
        tcp.tasks.spawn(accept::accept_peers(shared));
        Ok(tcp)
    }

    /// The address that this node listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Counters and the state of the peers.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// A handle that changes the certificates while the transport is owned elsewhere.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn reloader(&self) -> Reload {
        Reload {
            shared: self.shared.clone(),
        }
    }

    /// A handle that reads the status while the transport is owned elsewhere.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor {
            shared: self.shared.clone(),
        }
    }
}

impl Tcp {
    /// Closes the transport: a node that permanently ignores one peer would go unnoticed, a closed
    /// transport does not.
    fn end(&mut self, ended: Option<Result<(), JoinError>>) {
        self.ended = true;
        self.shared.close();
        self.tasks.abort_all();
        let reason = match ended {
            Some(Err(error)) if error.is_panic() => match error.try_into_panic() {
                Ok(panic) => what_panicked(&*panic).to_owned(),
                Err(error) => error.to_string(),
            },
            Some(Err(error)) => error.to_string(),
            Some(Ok(())) | None => "it returned".into(),
        };
        tell!(
            self.shared,
            error,
            "task_ended",
            Source::Here,
            reason,
            "a task of the transport has ended"
        );
    }
}

impl Transport for Tcp {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        let counters = &self.shared.counters;
        let fits = parcel.len() <= self.frame_bytes_max;
        match (self.peers.get(&to), frame::header(&parcel)) {
            (Some((peer, _)), Some(header)) if fits => {
                peer.link.push(lane, header, parcel, counters);
            }
            _ => count(&counters.unsendable),
        }
    }

    fn flush(&mut self) {
        for (peer, _) in self.peers.values() {
            peer.link.flush(&self.shared.counters);
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        if !self.ended {
            if let Poll::Ready(Some(arrival)) = self.arrivals.poll_recv(cx) {
                self.lives.insert(arrival.from, arrival.incarnation);
                return Poll::Ready(Some((arrival.from, arrival.message)));
            }
            // Checked only when no message is available, so that messages do not pay for it.
            let ended = loop {
                let ended = ready!(self.tasks.poll_join_next_with_id(cx));
                let id = match &ended {
                    Some(Ok((id, ()))) => Some(*id),
                    Some(Err(error)) => Some(error.id()),
                    None => None,
                };
                if !id.is_some_and(|id| self.stopped.remove(&id)) {
                    break ended;
                }
            };
            self.end(ended.map(|ended| ended.map(|_| ())));
        }
        Poll::Ready(None)
    }

    fn incarnation(&self, peer: NodeId) -> Option<u64> {
        self.lives.get(&peer).copied()
    }

    fn hello(&self) -> Option<Hello> {
        Some(self.shared.hello)
    }

    /// Must be called on the runtime that the transport was bound on. A remaining peer keeps its connections,
    /// even when its address changes.
    fn set_peers(&mut self, peers: &BTreeMap<NodeId, String>) {
        if self.ended {
            return;
        }
        let others = peers
            .iter()
            .filter(|(id, _)| **id != self.shared.hello.node);
        let others = others.map(|(id, address)| (*id, address.clone())).collect();
        let Shared {
            peers,
            limits,
            counters,
            ..
        } = &*self.shared;
        let changed = peers.set(&others, limits, &self.arrivals_to, counters);
        for id in changed.removed {
            if let Some((_, dials)) = self.peers.remove(&id) {
                dials.abort();
                self.stopped.insert(dials.id());
            }
        }
        for (id, peer) in changed.added {
            let dials = dial::keep_connected(self.shared.clone(), id, peer.clone());
            let dials = self.tasks.spawn(dials);
            self.peers.insert(id, (peer, dials));
        }
    }

    fn status(&self) -> Status {
        self.shared.status()
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Reads the [`Status`] of a [`Tcp`] that is owned elsewhere or already dropped.
#[derive(Clone, Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
}

impl Monitor {
    /// As [`Tcp::status`].
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }
}

/// Changes the certificates of a [`Tcp`] with TLS that is owned elsewhere.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub struct Reload {
    shared: Arc<Shared>,
}

#[cfg(feature = "tls")]
impl Reload {
    /// Uses these certificates from now on. Connections that this node dialed are renewed, each before the one it
    /// replaces is closed. Accepted connections stay, except those that the new CAs or revocation lists reject,
    /// which are closed at once.
    ///
    /// The node's own certificate may be expired or revoked if it is unchanged. The CAs and lists are applied
    /// nevertheless, because a revocation must not wait until the node has a new certificate. `Some` is the reason
    /// why its peers reject it.
    ///
    /// # Errors
    /// [`TlsError`]; then nothing changes.
    pub fn reload(&self, config: &TlsConfig) -> Result<Option<Untrusted>, TlsError> {
        let counters = &self.shared.counters;
        let reloaded = self.shared.guard.reload(config);
        match &reloaded {
            Ok(_) => {
                count(&counters.reloads);
                self.shared.tell_expired();
            }
            Err(_) => count(&counters.reloads_failed),
        }
        reloaded
    }

    /// Counts a failed reload whose certificates could not be read.
    pub fn failed(&self) {
        count(&self.shared.counters.reloads_failed);
    }
}
