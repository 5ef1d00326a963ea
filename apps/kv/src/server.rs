//! The listener, and what its connections share.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use synod_transport::LineLimit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::{JoinSet, yield_now},
    time::Instant,
};
use tracing::{debug, info, warn};

use crate::{
    access::Access,
    channel::{Channel, Turns},
    connection::Connection,
    cut::{Cut, NO_PLACE_FOR_ADDRESS},
    framing::RequestLimits,
    info::Facts,
    limits::MemoryLimits,
    output::dropped_lines,
    password::Throttle,
    roster::{EXEMPT_BYTES, Place, Roster, RosterLimits, STANDING_MAX},
    socket::{SocketLimits, prepare},
    store::Store,
};

/// What one server takes on.
///
/// A connection may hold a few times `request.request_bytes_max`, and the answers on their way out.
/// If all did, that would be far more than a server has, so `clients_bytes_max` bounds what they
/// hold together: when one needs more than is left, the one that holds the most is cut. Nobody is
/// made to wait for others to be done: they may be waiting in turn, each with half a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Of each request.
    pub request: RequestLimits,
    /// Connections that may ask for data at a time; with one more, who is idle gives way.
    pub clients_max: usize,
    /// Connections of one address, or of one prefix of 64 bits with version 6.
    pub address_clients_max: usize,
    /// Bytes of buffers, requests and answers of all connections.
    pub clients_bytes_max: usize,
    /// Requests of one connection that are executed together. The rest stays where it is.
    pub inflight_max: usize,
    /// How long a client may take for the rest of a request, and to take its answers; for 64 KiB of
    /// either, when it is more.
    pub stall_max: Duration,
    /// How long a client may say nothing; `None` is for ever, as long as there are seats.
    pub idle_max: Option<Duration>,
    /// What `INFO memory` tells; the other parts of the node keep to it.
    pub memory: MemoryLimits,
}

/// Limits that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// All clients together would hold more than they may.
    #[error(
        "--clients-max {clients_max} needs --clients-bytes-max {needed} or more, and it is {clients_bytes_max}: each \
         client may hold {EXEMPT_BYTES} bytes whatever the others hold"
    )]
    Clients {
        /// As asked for.
        clients_max: usize,
        /// As asked for.
        clients_bytes_max: usize,
        /// The least that is enough.
        needed: usize,
    },
    /// The largest request could never be served.
    #[error(
        "--request-bytes-max {request_bytes_max} needs --clients-bytes-max {needed} or more, and it is \
         {clients_bytes_max}: a request is held as it came, as it was read, and as it is handed on"
    )]
    Request {
        /// As asked for.
        request_bytes_max: usize,
        /// As asked for.
        clients_bytes_max: usize,
        /// The least that is enough.
        needed: usize,
    },
}

impl ServerLimits {
    /// Whether each limit leaves room for the others.
    ///
    /// # Errors
    /// [`LimitsError`]
    pub fn check(&self) -> Result<(), LimitsError> {
        let Self {
            clients_max,
            clients_bytes_max,
            ..
        } = *self;
        let needed = clients_max
            .saturating_add(STANDING_MAX)
            .saturating_mul(EXEMPT_BYTES);
        if needed > clients_bytes_max {
            return Err(LimitsError::Clients {
                clients_max,
                clients_bytes_max,
                needed,
            });
        }
        let request_bytes_max = self.request.request_bytes_max;
        let needed = request_bytes_max.saturating_mul(REQUEST_COPIES_MAX);
        if needed > clients_bytes_max {
            return Err(LimitsError::Request {
                request_bytes_max,
                clients_bytes_max,
                needed,
            });
        }
        Ok(())
    }

    pub(crate) fn socket(&self) -> SocketLimits {
        SocketLimits {
            stall_max: self.stall_max,
            idle_max: self.idle_max,
            ahead_bytes_max: self.clients_bytes_max / AHEAD_PARTS,
        }
    }
}

/// A server in front of a [`Store`] that speaks RESP, in versions 2 and 3.
#[derive(Debug)]
pub struct Server<S> {
    pub(crate) store: S,
    pub(crate) limits: ServerLimits,
    pub(crate) access: Access,
    throttle: Mutex<Throttle>,
    /// Of handshakes.
    turns: Turns,
    roster: Arc<Roster>,
    started: Instant,
    address: SocketAddr,
    /// Of lines about what happens to clients, by what that is.
    lines: Mutex<LineLimit<&'static str>>,
    /// Connections that the system could not give.
    unaccepted: AtomicU64,
    /// Connections whose clients did not shake hands.
    unshaken: AtomicU64,
}

impl<S: Store> Server<S> {
    /// Serves connections until `stop` changes or its sender is gone; then lets each connection
    /// finish what it executes, for at most [`GRACE`].
    ///
    /// # Errors
    /// When the listener has no address, or [`ServerLimits::check`] fails. A connection that cannot be
    /// accepted is reported and left alone.
    pub async fn run(
        listener: TcpListener,
        store: S,
        limits: ServerLimits,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        Self::run_for(listener, store, limits, Access::default(), stop).await
    }

    /// As [`run`](Self::run), for those who have this access.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub async fn run_for(
        listener: TcpListener,
        store: S,
        limits: ServerLimits,
        access: Access,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        limits
            .check()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let roster = Roster::new(RosterLimits {
            seats_max: limits.clients_max,
            bytes_max: limits.clients_bytes_max,
            address_max: limits.address_clients_max,
        });
        let server = Arc::new(Self {
            store,
            limits,
            access,
            throttle: Mutex::default(),
            turns: Turns::new(),
            roster,
            started: Instant::now(),
            address: listener.local_addr()?,
            lines: Mutex::new(LineLimit::new(LINES_MAX, LINES_WINDOW, LINES_KINDS_MAX)),
            unaccepted: AtomicU64::new(0),
            unshaken: AtomicU64::new(0),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => match server.enter(from.ip()) {
                        Some((place, leave)) => {
                            let server = Arc::clone(&server);
                            let ends = server.serve(place, leave, (stream, from.ip()), stop.clone());
                            connections.spawn(ends);
                            // Whoever had to go for it frees a descriptor before the next one comes.
                            yield_now().await;
                        }
                        None => server.turn_away(stream, from.ip()),
                    },
                    Err(error) => {
                        // Out of file descriptors, as a rule: they come back when others close. Until
                        // then each attempt fails at once, so it is tried in a while; and said now and
                        // then, as attempts may fail and succeed in turn.
                        server.unaccepted.fetch_add(1, Ordering::Relaxed);
                        if let Some(suppressed) = server.admit_line("accept") {
                            warn!(%error, suppressed, "a connection could not be accepted");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = stop.changed() => break,
            }
        }
        drop(listener);
        let finish = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            debug!("connections that did not finish in time are cut");
        }
        Ok(())
    }

    /// A place for who comes from there, and what tells it to go, if there is one.
    fn enter(&self, from: IpAddr) -> Option<(Place, oneshot::Receiver<Cut>)> {
        let is_known = self.access.tls.is_none() && self.access.password.is_none();
        self.roster.enter(from, is_known, Instant::now())
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            port: self.address.port(),
            uptime_s: self.started.elapsed().as_secs(),
            clients_max: self.limits.clients_max,
            clients: self.roster.counts(),
            unaccepted: self.unaccepted.load(Ordering::Relaxed),
            unshaken: self.unshaken.load(Ordering::Relaxed),
            auth_failures: self.throttle().failures(),
            log_lines_dropped: dropped_lines(),
            limits: self.limits.memory,
        }
    }

    async fn serve(
        self: Arc<Self>,
        place: Place,
        mut leave: oneshot::Receiver<Cut>,
        (stream, from): (TcpStream, IpAddr),
        mut stop: watch::Receiver<bool>,
    ) {
        let id = place.id();
        if let Err(error) = prepare(&stream) {
            debug!(id, %error, "a connection could not be set up");
            return;
        }
        let wait_max = HANDSHAKE_TIMEOUT.min(self.limits.stall_max);
        let shaken = tokio::select! {
            biased;
            // It has no word for who tells it so: that would have to be encrypted.
            Ok(cut) = &mut leave => {
                self.roster.count(&cut);
                return;
            }
            shaken = Channel::accept(stream, self.access.tls(), &self.turns, wait_max) => shaken,
            _ = stop.changed() => return,
        };
        let channel = match shaken {
            Ok(channel) => channel,
            Err(error) => {
                self.unshaken.fetch_add(1, Ordering::Relaxed);
                if let Some(suppressed) = self.admit_line("tls") {
                    info!(id, %from, %error, suppressed, "a client and this node did not agree on TLS");
                }
                return;
            }
        };
        let mut connection = Connection::new(Arc::clone(&self), channel, place, from);
        let ended = tokio::select! {
            biased;
            Ok(cut) = leave => Err(cut),
            ended = connection.run(&mut stop) => ended,
        };
        if let Err(cut) = ended {
            connection.last_word(&cut);
            self.roster.count(&cut);
            if !cut.is_ours() {
                debug!(id, %from, %cut, "a connection broke");
            } else if let Some(suppressed) = self.admit_line(cut.kind()) {
                info!(id, %from, %cut, suppressed, "a connection was cut");
            }
        }
    }

    fn turn_away(&self, stream: TcpStream, from: IpAddr) {
        // What it could be told would have to be encrypted.
        if self.access.tls.is_none() {
            send_away(stream);
        }
        if let Some(suppressed) = self.admit_line("of one address") {
            info!(%from, suppressed, "a connection was sent away: --clients-per-address-max");
        }
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Some`: write a line of this kind, and say how many were not written before it.
    fn admit_line(&self, kind: &'static str) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.admit(self.started.elapsed(), kind)
    }
}

/// Tells a client that there is no place for it, without waiting for it to listen: its descriptor is
/// free again before the next one is accepted.
fn send_away(stream: TcpStream) {
    // A new connection takes a line at once; if it does not, it is closed all the same.
    let _ = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(NO_PLACE_FOR_ADDRESS));
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            request: RequestLimits::default(),
            clients_max: 1_024,
            address_clients_max: usize::MAX,
            clients_bytes_max: CLIENTS_BYTES_MAX,
            inflight_max: 1_024,
            stall_max: Duration::from_secs(30),
            idle_max: None,
            memory: MemoryLimits {
                clients_bytes: CLIENTS_BYTES_MAX as u64,
                ..MemoryLimits::default()
            },
        }
    }
}

/// How long a server that stops waits for requests in flight.
pub const GRACE: Duration = Duration::from_secs(2);
const CLIENTS_BYTES_MAX: usize = 48 << 20;
/// How often the bytes of a request may be held: in a buffer that grew by half, as its arguments, and
/// as a command.
const REQUEST_COPIES_MAX: usize = 4;
/// What one client may send ahead of the answers that it does not read, of what all may hold.
const AHEAD_PARTS: usize = 4;
/// Lines about connections that could not be accepted or were cut, of each kind and in each [`LINES_WINDOW`].
const LINES_MAX: u32 = 3;
const LINES_KINDS_MAX: usize = 16;
const LINES_WINDOW: Duration = Duration::from_secs(10);
/// How long a client may take until both ends have agreed on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_contradict_each_other_are_told() {
        let usual = ServerLimits::default();
        assert_eq!(usual.check(), Ok(()));
        let clients = |clients_max| {
            ServerLimits {
                clients_max,
                ..usual
            }
            .check()
        };
        assert_eq!(clients(3_064), Ok(()));
        let error = clients(3_065).unwrap_err().to_string();
        let told =
            "--clients-max 3065 needs --clients-bytes-max 50348032 or more, and it is 50331648";
        assert!(error.contains(told), "{error}");
        assert!(clients(usize::MAX).is_err());
        let mut limits = usual;
        limits.request.request_bytes_max = 13 << 20;
        let error = limits.check().unwrap_err().to_string();
        assert!(
            error.contains("--request-bytes-max 13631488 needs"),
            "{error}"
        );
    }
}
