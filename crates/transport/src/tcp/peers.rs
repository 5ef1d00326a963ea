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

/// Only the owner of the transport changes them. A task keeps the peer that it serves until it has seen that this
/// peer was removed.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
}

/// Which peers a change added and removed.
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

    /// Whether a peer's name has led to this address.
    pub(crate) fn are_at(&self, address: IpAddr) -> bool {
        self.read()
            .values()
            .any(|peer| peer.found().contains(&address))
    }

    /// From now on these are the peers. What waits for one that is removed is lost, and its connections end.
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

/// One peer: a connection to it, made here, to send; and a connection from it, made there, to
/// receive.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where it is dialed (`host:port`).
    address: Mutex<String>,
    /// Where that name led the last time it was looked up.
    found: Mutex<Vec<IpAddr>>,
    pub(crate) link: Link,
    pub(crate) inbound: Inbound,
    /// The peer has shown itself: it is worth dialing now.
    pub(crate) returned: Notify,
    /// What the incarnation of it that is here shows.
    pub(crate) signs: Signs,
    /// Room for connections that have said that they are it, and wait for what is made of that: for those
    /// from where its name leads, and for others. So those take nothing from these.
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

    /// It is to be dialed elsewhere from now on. A connection that stands is kept until it breaks: whoever is at
    /// its other end has shown who it is.
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

    /// Room for one from this address that says that it is this peer; `None` when there is none.
    pub(crate) fn hear_out(&self, address: IpAddr) -> Option<OwnedSemaphorePermit> {
        let elsewhere = usize::from(!self.found().contains(&address));
        self.heard_out[elsewhere].clone().try_acquire_owned().ok()
    }

    /// Its name was looked up.
    pub(crate) fn note(&self, found: &[SocketAddr]) {
        let found = found.iter().map(|address| address.ip().to_canonical());
        *self.found() = found.take(FOUND_MAX).collect();
    }

    fn found(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address that needs no look-up.
fn literal(address: &str) -> Vec<IpAddr> {
    let parsed = address.parse::<SocketAddr>().ok();
    parsed
        .map(|address| address.ip().to_canonical())
        .into_iter()
        .collect()
}

/// Of a name that leads to more addresses the first ones are known.
const FOUND_MAX: usize = 16;
/// How many may wait at once who say that they are one peer, from where its name leads; and so many from
/// elsewhere. For each, that peer is asked.
const HEARD_OUT_MAX: usize = 4;
/// The sockets that those take for one peer: with each one more, on which it is asked.
pub const HEARD_OUT_SOCKETS_MAX: usize = 2 * HEARD_OUT_MAX * 2;
