//! The state shared by the owner of a transport and its tasks.

use super::config::{Admit, OnRollback};
use super::events::Lines;
use super::guard::Guard;
use super::peers::{Peer, Peers};
use super::status::{Counters, PeerStatus, Status};
use crate::hello::Incarnations;
use crate::{Hello, LaneLimits, NodeId, TcpConfig};
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hello: Hello,
    pub(crate) guard: Guard,
    pub(crate) limits: Limits,
    pub(crate) peers: Peers,
    pub(crate) counters: Counters,
    pub(crate) lines: Lines,
    /// Kept here rather than in the accepting task, so that the owner can close it at once.
    listener: Mutex<Option<TcpListener>>,
    incarnations: Mutex<Incarnations>,
    pub(crate) owner: Owner,
}

/// The limits of [`TcpConfig`] that the tasks need.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) frame_bytes_max: usize,
    pub(crate) control: LaneLimits,
    pub(crate) bulk: LaneLimits,
    pub(crate) inbox_bytes_max: usize,
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
    pub(crate) fn new(config: TcpConfig, guard: Guard, listener: TcpListener) -> Self {
        let limits = Limits {
            frame_bytes_max: config.frame_bytes_max,
            control: config.control,
            bulk: config.bulk,
            inbox_bytes_max: config.inbox_bytes_max,
            handshakes_max: config.handshakes_max,
            handshakes_address_max: config.handshakes_address_max,
            handshake_timeout: config.handshake_timeout,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            pulse_interval: config.pulse_interval,
            silence_max: config.silence_max,
            send_buffer_bytes: config.send_buffer_bytes,
        };
        Self {
            hello: config.hello,
            guard,
            limits,
            peers: Peers::default(),
            counters: Counters::default(),
            lines: Lines::new(),
            listener: Mutex::new(Some(listener)),
            incarnations: Mutex::new(Incarnations::of(config.known)),
            owner: Owner {
                admit: config.admit,
                on_rollback: config.on_rollback,
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

    /// Permanently closes everything that the tasks do not own.
    pub(crate) fn close(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for (_, peer) in self.peers.all() {
            peer.link.shut(&self.counters);
        }
    }

    /// Opens the inbound link for the sender of this hello, which was judged before. `None`: a later
    /// incarnation was recorded meanwhile, or the node is no longer a peer.
    pub(crate) fn open_inbound(&self, hello: &Hello) -> Option<(Arc<Peer>, u64)> {
        // A concurrent removal of the peer waits for this lock and then closes what is opened here.
        let peers = self.peers.read();
        let peer = peers.get(&hello.node)?;
        // Incarnations are recorded and connections opened under one lock, so the latest connection
        // belongs to the latest incarnation.
        let mut incarnations = self.incarnations();
        incarnations.meet(hello).ok()?;
        let number = peer.inbound.open();
        drop(incarnations);
        peer.returned.notify_one();
        Some((peer.clone(), number))
    }

    pub(crate) fn incarnations(&self) -> MutexGuard<'_, Incarnations> {
        self.incarnations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> Status {
        let peers = self.peers.all().into_iter().map(|(id, peer)| {
            let status = PeerStatus {
                connected: peer.link.is_connected(),
                accepted: peer.inbound.is_open(),
                queued_bytes: peer.link.queued_bytes(),
            };
            (id, status)
        });
        self.counters.status(peers.collect())
    }
}

/// The inbound link from one peer.
///
/// Invariants:
/// - only the latest connection delivers messages: none of an earlier one arrives after one of its
///   own;
/// - undelivered messages hold permits of `room`, so they are bounded for each peer separately.
#[derive(Debug)]
pub(crate) struct Inbound {
    from: NodeId,
    arrivals: mpsc::UnboundedSender<Arrival>,
    room: Arc<Semaphore>,
    room_bytes: u32,
    /// The number of the latest connection, and whether it is open.
    latest: watch::Sender<(u64, bool)>,
}

/// A message for the owner. Its permits are released when it is delivered.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) from: NodeId,
    /// The incarnation of the connection that it arrived on.
    pub(crate) incarnation: u64,
    pub(crate) message: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Inbound {
    pub(crate) fn new(
        from: NodeId,
        room_bytes: usize,
        arrivals: mpsc::UnboundedSender<Arrival>,
    ) -> Self {
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

    /// Opens a new connection, which displaces the previous one, and returns its number.
    pub(crate) fn open(&self) -> u64 {
        let mut opened = 0;
        self.latest.send_modify(|(number, open)| {
            *number += 1;
            *open = true;
            opened = *number;
        });
        opened
    }

    /// Records the end of the connection with this number.
    pub(crate) fn closed(&self, number: u64) {
        self.latest.send_if_modified(|latest| {
            let closes = *latest == (number, true);
            latest.1 &= !closes;
            closes
        });
    }

    /// Permanently closes the current connection; none is opened afterwards.
    pub(crate) fn end(&self) {
        self.latest.send_modify(|(number, open)| {
            *number += 1;
            *open = false;
        });
    }

    /// Waits until a later connection displaces this one, or the link is closed.
    pub(crate) async fn displaced(&self, number: u64) {
        let mut latest = self.latest.subscribe();
        // An error would mean that the sender is gone, but `self` holds it.
        let _later = latest.wait_for(|(latest, _)| *latest != number).await;
    }

    /// Delivers a message of connection `number`, which belongs to this incarnation, once there is room.
    /// `false`: a later connection is open.
    pub(crate) async fn hand_over(&self, number: u64, incarnation: u64, message: Bytes) -> bool {
        let wanted = u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .saturating_add(MESSAGE_COST_BYTES);
        // A message larger than the limit takes all permits.
        let wanted = wanted.min(self.room_bytes);
        let Ok(room) = self.room.clone().acquire_many_owned(wanted).await else {
            return false;
        };
        let latest = self.latest.borrow();
        // Under the lock of `latest` no later connection can open between the check and the
        // delivery.
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

/// The callbacks of the transport's owner.
pub(crate) struct Owner {
    pub(crate) admit: Admit,
    pub(crate) on_rollback: OnRollback,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner")
    }
}

/// The approximate overhead of a queued message.
const MESSAGE_COST_BYTES: u32 = 128;
