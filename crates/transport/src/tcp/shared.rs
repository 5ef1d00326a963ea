//! What the owner of a transport and its tasks share.

use super::config::{Admit, Doubt};
use super::events::Lines;
use super::guard::Guard;
use super::link::Link;
use super::probe::Signs;
use super::status::{Counters, PeerStatus, Status};
use crate::hello::Incarnations;
use crate::{Hello, NodeId, TcpConfig};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hello: Hello,
    pub(crate) guard: Guard,
    pub(crate) limits: Limits,
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    pub(crate) counters: Counters,
    pub(crate) lines: Lines,
    /// Not in the hands of the task that accepts, so that the owner can close it at once.
    listener: Mutex<Option<TcpListener>>,
    incarnations: Mutex<Incarnations>,
    pub(crate) owner: Owner,
}

/// The limits of [`TcpConfig`] that the tasks need.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) frame_bytes_max: usize,
    pub(crate) handshakes_max: usize,
    pub(crate) handshakes_address_max: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) backoff_min: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) pulse_interval: Duration,
    pub(crate) silence_max: Duration,
    pub(crate) send_buffer_bytes: Option<u32>,
}

impl Shared {
    pub(crate) fn new(
        config: TcpConfig,
        guard: Guard,
        listener: TcpListener,
        arrivals: &mpsc::UnboundedSender<Arrival>,
    ) -> Self {
        let limits = Limits {
            frame_bytes_max: config.frame_bytes_max,
            handshakes_max: config.handshakes_max,
            handshakes_address_max: config.handshakes_address_max,
            handshake_timeout: config.handshake_timeout,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            pulse_interval: config.pulse_interval,
            silence_max: config.silence_max,
            send_buffer_bytes: config.send_buffer_bytes,
        };
        let own = config.hello.node;
        let peers = config
            .peers
            .into_iter()
            .filter(|(id, _)| *id != own)
            .map(|(id, address)| {
                let link = Link::new(config.control, config.bulk);
                let inbound = Inbound::new(id, config.inbox_bytes_max, arrivals.clone());
                (
                    id,
                    Peer {
                        found: Mutex::new(literal(&address)),
                        address,
                        link,
                        inbound,
                        returned: Notify::new(),
                        signs: Signs::new(),
                        heard_out: [(); 2].map(|()| Arc::new(Semaphore::new(HEARD_OUT_MAX))),
                    },
                )
            });
        Self {
            hello: config.hello,
            guard,
            limits,
            peers: peers.collect(),
            counters: Counters::default(),
            lines: Lines::new(),
            listener: Mutex::new(Some(listener)),
            incarnations: Mutex::new(Incarnations::of(config.known)),
            owner: Owner {
                admit: config.admit,
                doubt: config.doubt,
            },
        }
    }

    /// The next connection, `None` once the listener is closed.
    pub(crate) async fn accept(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        std::future::poll_fn(|cx| {
            match &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(listener) => listener.poll_accept(cx).map(Some),
                None => Poll::Ready(None),
            }
        })
        .await
    }

    /// Closes for good everything that the tasks do not own themselves.
    pub(crate) fn close(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for peer in self.peers.values() {
            peer.link.shut(&self.counters);
        }
    }

    /// Opens the way in for whoever sent this hello, which was judged before. `None`: a later incarnation
    /// was met meanwhile.
    pub(crate) fn open_inbound(&self, hello: &Hello) -> Option<(&Peer, u64)> {
        let peer = self.peers.get(&hello.node)?;
        // Lives are met and connections opened under one lock, so the connection that is open last
        // is of the last incarnation.
        let mut incarnations = self.incarnations();
        incarnations.meet(hello).ok()?;
        let number = peer.inbound.open();
        drop(incarnations);
        peer.returned.notify_one();
        Some((peer, number))
    }

    pub(crate) fn incarnations(&self) -> MutexGuard<'_, Incarnations> {
        self.incarnations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a peer's name has led to this address.
    pub(crate) fn is_peers(&self, address: IpAddr) -> bool {
        self.peers
            .values()
            .any(|peer| peer.found().contains(&address))
    }

    pub(crate) fn status(&self) -> Status {
        let peers = self.peers.iter().map(|(id, peer)| {
            let status = PeerStatus {
                connected: peer.link.is_connected(),
                accepted: peer.inbound.is_open(),
                queued_bytes: peer.link.queued_bytes(),
            };
            (*id, status)
        });
        self.counters.status(peers.collect())
    }
}

/// One peer: a connection to it, made here, to send; and a connection from it, made there, to
/// receive.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
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

/// The way in from one peer.
///
/// Invariants:
/// - only the latest connection hands over messages: nothing of an earlier one arrives behind what
///   it sent;
/// - what waits for the owner holds permits of `room`, so it is bounded, and a loud peer takes no
///   one else's room.
#[derive(Debug)]
pub(crate) struct Inbound {
    from: NodeId,
    arrivals: mpsc::UnboundedSender<Arrival>,
    room: Arc<Semaphore>,
    room_bytes: u32,
    /// The number of the latest connection, and whether it is open.
    latest: watch::Sender<(u64, bool)>,
}

/// A message on its way to the owner. Its room is given back when it is taken.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) from: NodeId,
    /// The incarnation of the connection it came by.
    pub(crate) incarnation: u64,
    pub(crate) message: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Inbound {
    fn new(from: NodeId, room_bytes: usize, arrivals: mpsc::UnboundedSender<Arrival>) -> Self {
        let room_bytes = u32::try_from(room_bytes).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(room_bytes as usize));
        Self {
            from,
            arrivals,
            room,
            room_bytes,
            latest: watch::Sender::new((0, false)),
        }
    }

    /// Makes way for a new connection and tells its number.
    pub(crate) fn open(&self) -> u64 {
        let mut opened = 0;
        self.latest.send_modify(|(number, open)| {
            *number += 1;
            *open = true;
            opened = *number;
        });
        opened
    }

    /// The connection of this number has ended.
    pub(crate) fn closed(&self, number: u64) {
        self.latest.send_if_modified(|latest| {
            let closes = *latest == (number, true);
            latest.1 &= !closes;
            closes
        });
    }

    /// Waits until a later connection took the place of this one.
    pub(crate) async fn displaced(&self, number: u64) {
        let mut latest = self.latest.subscribe();
        // An error would mean that the sender is gone, but `self` holds it.
        let _later = latest.wait_for(|(latest, _)| *latest != number).await;
    }

    /// Hands a message of connection `number`, which is of this incarnation, to the owner, once there is room.
    /// False: a later connection is open.
    pub(crate) async fn hand_over(&self, number: u64, incarnation: u64, message: Bytes) -> bool {
        let wanted = u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .saturating_add(MESSAGE_COST_BYTES);
        // A message larger than the whole room gets all of it.
        let wanted = wanted.min(self.room_bytes);
        let Ok(room) = self.room.clone().acquire_many_owned(wanted).await else {
            return false;
        };
        let latest = self.latest.borrow();
        // Under the guard of `latest` no later connection can open between the question and the
        // sending.
        latest.0 == number
            && self
                .arrivals
                .send(Arrival {
                    from: self.from,
                    incarnation,
                    message,
                    _room: room,
                })
                .is_ok()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.latest.borrow().1
    }
}

/// Whom to ask, and to tell.
pub(crate) struct Owner {
    pub(crate) admit: Admit,
    pub(crate) doubt: Doubt,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner")
    }
}

/// Of a name that leads to more addresses the first ones are known.
const FOUND_MAX: usize = 16;
/// How many may wait at once who say that they are one peer, from where its name leads; and so many from
/// elsewhere. For each, that peer is asked.
const HEARD_OUT_MAX: usize = 4;
/// The sockets that those take for one peer: with each one more, on which it is asked.
pub const HEARD_OUT_SOCKETS_MAX: usize = 2 * HEARD_OUT_MAX * 2;
/// What a waiting message costs beyond its own bytes, about.
const MESSAGE_COST_BYTES: u32 = 128;
