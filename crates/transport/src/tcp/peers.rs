//! The peers of a transport, which may change while it runs.

use super::link::Link;
use super::probe::Signs;
use super::shared::{Arrival, Inbound, Limits};
use super::status::Counters;
use crate::NodeId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

pub(crate) type Arrivals = mpsc::UnboundedSender<Arrival>;

/// Only the owner of the transport changes the set. A task keeps its peer until it has noticed the removal.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
}

/// The peers that a change added and removed.
pub(crate) struct Changed {
    pub(crate) added: Vec<(NodeId, Arc<Peer>)>,
    pub(crate) removed: Vec<NodeId>,
}

impl Peers {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, BTreeMap<NodeId, Arc<Peer>>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<Arc<Peer>> {
        self.read().get(&id).cloned()
    }

    pub(crate) fn all(&self) -> BTreeMap<NodeId, Arc<Peer>> {
        self.read().clone()
    }

    /// Whether a peer's name resolved to this address.
    pub(crate) fn are_at(&self, address: IpAddr) -> bool {
        self.read()
            .values()
            .any(|peer| peer.found().contains(&address))
    }

    /// Replaces the set of peers. Messages queued for a removed peer are lost, and its connections are
    /// closed.
    pub(crate) fn set(
        &self,
        peers: &BTreeMap<NodeId, String>,
        limits: &Limits,
        arrivals: &Arrivals,
        counters: &Counters,
    ) -> Changed {
        let mut current = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        let gone = current.extract_if(.., |id, _| !peers.contains_key(id));
        let removed = gone.map(|(id, peer)| {
            peer.link.shut(counters);
            peer.inbound.end();
            id
        });
        let removed = removed.collect();
        let mut added = Vec::new();
        for (id, address) in peers {
            if let Some(peer) = current.get(id) {
                peer.move_to(address);
            } else {
                let peer = Arc::new(Peer::new(*id, address, limits, arrivals));
                current.insert(*id, peer.clone());
                added.push((*id, peer));
            }
        }
        Changed { added, removed }
    }
}

/// One peer: an outbound connection to send on, and an inbound one to receive from.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The address at which it is dialed (`host:port`).
    address: Mutex<String>,
    /// The addresses that its name last resolved to.
    found: Mutex<Vec<IpAddr>>,
    pub(crate) link: Link,
    pub(crate) inbound: Inbound,
    /// Notified when the peer connects, so that it is dialed back at once.
    pub(crate) returned: Notify,
    /// The signs of life of its connected incarnation.
    pub(crate) signs: Signs,
    /// Permits for connections that claim to be this peer and are being judged: one semaphore for
    /// addresses that its name resolves to and one for others, so that the two do not compete.
    heard_out: [Arc<Semaphore>; 2],
}

impl Peer {
    fn new(id: NodeId, address: &str, limits: &Limits, arrivals: &Arrivals) -> Self {
        Self {
            address: Mutex::new(address.to_owned()),
            found: Mutex::new(literal(address)),
            link: Link::new(limits.control, limits.bulk),
            inbound: Inbound::new(id, limits.inbox_bytes_max, arrivals.clone()),
            returned: Notify::new(),
            signs: Signs::new(),
            heard_out: [(); 2].map(|()| Arc::new(Semaphore::new(HEARD_OUT_MAX))),
        }
    }

    pub(crate) fn address(&self) -> String {
        self.lock_address().clone()
    }

    /// Changes the address at which it is dialed. An open connection is kept until it breaks, because its other
    /// end is authenticated.
    fn move_to(&self, address: &str) {
        let mut current = self.lock_address();
        if *current != address {
            *self.found() = literal(address);
            address.clone_into(&mut current);
            self.returned.notify_one();
        }
    }

    fn lock_address(&self) -> MutexGuard<'_, String> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_connected() || self.inbound.is_open()
    }

    /// A permit for a connection from this address that claims to be this peer; `None` when all are
    /// taken.
    pub(crate) fn hear_out(&self, address: IpAddr) -> Option<OwnedSemaphorePermit> {
        let elsewhere = usize::from(!self.found().contains(&address));
        self.heard_out[elsewhere].clone().try_acquire_owned().ok()
    }

    /// Records the addresses that its name resolved to.
    pub(crate) fn note(&self, found: &[SocketAddr]) {
        let found = found.iter().map(|address| address.ip().to_canonical());
        *self.found() = found.take(FOUND_MAX).collect();
    }

    fn found(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address, if it is a literal that needs no resolution.
fn literal(address: &str) -> Vec<IpAddr> {
    let parsed = address.parse::<SocketAddr>().ok();
    parsed
        .map(|address| address.ip().to_canonical())
        .into_iter()
        .collect()
}

/// The most recorded addresses of one name.
const FOUND_MAX: usize = 16;
/// The most connections that claim to be one peer and are judged at once, from addresses that its name
/// resolves to; and as many from others. For each of them the peer is queried.
const HEARD_OUT_MAX: usize = 4;
/// The most sockets that judging takes for one peer: each claim has a second socket for the query.
pub const HEARD_OUT_SOCKETS_MAX: usize = 2 * HEARD_OUT_MAX * 2;
