//! The listener, and what its connections share.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use synod_transport::LineLimit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::Instant,
};
use tracing::{debug, warn};

use crate::{
    budget::Budget, connection::Connection, framing::RequestLimits, info::Facts,
    limits::MemoryLimits, output::dropped_lines, store::Store,
};

/// What one server takes on.
///
/// A connection may hold a little over twice `request.request_bytes_max`, and the answers on their
/// way out. If all did, that would be far more than a server has, so `clients_bytes_max` bounds
/// what they hold together, and a connection that needs more than is left is cut. It is not made to
/// wait: those it would wait for may be waiting in turn, each with half a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Of each request.
    pub request: RequestLimits,
    /// Connections at a time; one more is told so and closed.
    pub clients_max: usize,
    /// Bytes of buffers, requests and answers of all connections.
    pub clients_bytes_max: usize,
    /// Requests of one connection that are executed together. The rest stays in the socket.
    pub inflight_max: usize,
    /// What `INFO memory` tells; the other parts of the node keep to it.
    pub memory: MemoryLimits,
}

/// A RESP2 server in front of a [`Store`].
#[derive(Debug)]
pub struct Server<S> {
    pub(crate) store: S,
    pub(crate) limits: ServerLimits,
    pub(crate) budget: Budget,
    evicted: AtomicU64,
    started: Instant,
    address: SocketAddr,
    clients: AtomicUsize,
    ids: AtomicU64,
}

impl<S: Store> Server<S> {
    /// Serves connections until `stop` changes or its sender is gone; then lets each connection
    /// finish what it executes, for at most [`GRACE`].
    ///
    /// # Errors
    /// When the listener has no address. A connection that cannot be accepted is reported and left
    /// alone.
    pub async fn run(
        listener: TcpListener,
        store: S,
        limits: ServerLimits,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let server = Arc::new(Self {
            store,
            limits,
            budget: Budget::new(limits.clients_bytes_max),
            evicted: AtomicU64::new(0),
            started: Instant::now(),
            address: listener.local_addr()?,
            clients: AtomicUsize::new(0),
            ids: AtomicU64::new(0),
        });
        let mut connections = JoinSet::new();
        let mut lines = LineLimit::new(LINES_MAX, LINES_WINDOW, 1);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if let Some(guest) = Guest::enter(&server) {
                            connections.spawn(server.clone().serve(guest, stream, stop.clone()));
                        } else {
                            send_away(stream);
                        }
                    }
                    Err(error) => {
                        // Out of file descriptors, as a rule: they come back when others close. Until
                        // then each attempt fails at once, so it is tried in a while; and said now and
                        // then, as attempts may fail and succeed in turn.
                        if let Some(suppressed) = lines.admit(server.started.elapsed(), ()) {
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

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            port: self.address.port(),
            uptime_s: self.started.elapsed().as_secs(),
            clients: self.clients.load(Ordering::Relaxed),
            clients_max: self.limits.clients_max,
            clients_bytes: self.budget.used(),
            evicted_clients: self.evicted.load(Ordering::Relaxed),
            log_lines_dropped: dropped_lines(),
            limits: self.limits.memory,
        }
    }

    async fn serve(
        self: Arc<Self>,
        guest: Guest<S>,
        stream: TcpStream,
        stop: watch::Receiver<bool>,
    ) {
        let _counted = guest;
        // Replies are written whole; waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        let id = 1 + self.ids.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = Connection::new(Arc::clone(&self), stream, id)
            .run(stop)
            .await
        {
            if error.kind() == io::ErrorKind::OutOfMemory {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            debug!(id, %error, "a connection broke");
        }
    }
}

/// Tells a client that there is no place for it, without waiting for it to listen: its descriptor is
/// free again before the next one is accepted.
fn send_away(stream: TcpStream) {
    // A new connection takes a line at once; if it does not, it is closed all the same.
    let _ = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(b"-ERR max number of clients reached\r\n"));
}

/// Counts a connection for as long as it lives, however it ends.
struct Guest<S>(Arc<Server<S>>);

impl<S> Guest<S> {
    /// `None` when there are as many as there may be.
    fn enter(server: &Arc<Server<S>>) -> Option<Self> {
        let others = server.clients.fetch_add(1, Ordering::Relaxed);
        let guest = Self(Arc::clone(server));
        (others < server.limits.clients_max).then_some(guest)
    }
}

impl<S> Drop for Guest<S> {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            request: RequestLimits::default(),
            clients_max: 1_024,
            clients_bytes_max: CLIENTS_BYTES_MAX,
            inflight_max: 1_024,
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
/// Lines about connections that could not be accepted, in each [`LINES_WINDOW`].
const LINES_MAX: u32 = 3;
const LINES_WINDOW: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
