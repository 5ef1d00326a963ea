//! Nodes on loopback whose ports are known before they start.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod hand;
pub(crate) mod heard;

use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use synod_transport::{ClusterId, DiskId, Hello, Lane, NodeId, Tcp, TcpConfig, Transport};
use tokio::net::TcpSocket;

/// How long anything may take before the test fails. No passing test waits this long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);

pub(crate) struct Cluster {
    pub(crate) peers: BTreeMap<NodeId, String>,
    pub(crate) listeners: Listeners,
    /// Keeps the port of a stopped node from being given to anything else.
    _held: Vec<TcpSocket>,
}

/// The sockets of the nodes that have not been started.
pub(crate) struct Listeners(RefCell<BTreeMap<u64, TcpListener>>);

impl Listeners {
    pub(crate) fn insert(&mut self, id: u64, listener: TcpListener) {
        self.0.get_mut().insert(id, listener);
    }

    /// A second handle of a listener: either may accept a connection.
    pub(crate) fn share(&self, id: u64) -> TcpListener {
        let shared = self.0.borrow();
        let listener = shared.get(&id).expect("a node that was not started");
        listener.try_clone().expect("can be")
    }

    pub(crate) fn lock_out(&self, id: u64) -> TcpListener {
        self.0
            .borrow_mut()
            .remove(&id)
            .expect("a node that was not started")
    }
}

impl Cluster {
    pub(crate) fn new(nodes: u64) -> Self {
        let held: Vec<TcpSocket> = (1..=nodes).map(|_| hold_a_port()).collect();
        let addresses = held
            .iter()
            .map(|socket| socket.local_addr().expect("bound"));
        let addresses = || (1..=nodes).zip(addresses.clone());
        let listens = |address: SocketAddr| TcpListener::bind(address).expect("held for it");
        Self {
            peers: addresses()
                .map(|(id, address)| (NodeId(id), address.to_string()))
                .collect(),
            listeners: Listeners(RefCell::new(
                addresses()
                    .map(|(id, address)| (id, listens(address)))
                    .collect(),
            )),
            _held: held,
        }
    }

    pub(crate) fn hello(id: u64, boot: u64) -> Hello {
        Hello::new(CLUSTER, NodeId(id), DiskId(u128::from(id) << 64), boot)
    }

    /// The socket of a node, recreated with a small receive buffer.
    pub(crate) fn with_small_buffer(&self, id: u64) -> TcpListener {
        let address = self.listeners.lock_out(id).local_addr().expect("bound");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("can be");
        socket.set_recv_buffer_size(256 << 10).expect("can be");
        socket.bind(address).expect("free again");
        socket
            .listen(64)
            .and_then(|listener| listener.into_std())
            .expect("listens")
    }

    pub(crate) fn config(&self, id: u64, boot: u64) -> TcpConfig {
        self.config_at(id, boot, self.listeners.lock_out(id))
    }

    pub(crate) fn config_at(&self, id: u64, boot: u64, listener: TcpListener) -> TcpConfig {
        TcpConfig::new(Self::hello(id, boot), listener, self.peers.clone())
    }

    pub(crate) async fn start(&self, id: u64) -> Tcp {
        self.start_as(id, 1).await
    }

    pub(crate) async fn start_as(&self, id: u64, boot: u64) -> Tcp {
        Tcp::bind(self.config(id, boot)).await.expect("binds")
    }
}

/// A socket that is bound and never listens. Listeners may share its port, because both sides allow it, but the
/// system does not give the port to any other socket.
fn hold_a_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Alone while it takes the port.
    socket.set_reuseaddr(false).expect("can be");
    socket
        .bind((Ipv4Addr::LOCALHOST, 0).into())
        .expect("there is a free port");
    socket.set_reuseaddr(true).expect("can be");
    socket
}

/// A message of this length that contains its number and whose every byte depends on it.
pub(crate) fn message(number: u64, bytes: usize) -> Bytes {
    let mut message = BytesMut::with_capacity(bytes.next_multiple_of(256));
    let mut block: [u8; 256] =
        std::array::from_fn(|at| (at as u8).wrapping_mul(31).wrapping_add(number as u8));
    for at in 0..bytes.div_ceil(256) as u64 {
        block[..8].copy_from_slice(&(number + (at << 32)).to_le_bytes());
        message.extend_from_slice(&block);
    }
    message.truncate(bytes);
    message.freeze()
}

pub(crate) fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(*message.first_chunk().expect("a message of ours"))
}

pub(crate) fn send(node: &mut impl Transport, to: u64, lane: Lane, message: Bytes) {
    node.send(NodeId(to), lane, message.into());
    node.flush();
}

pub(crate) async fn recv(node: &mut impl Transport) -> Option<(NodeId, Bytes)> {
    in_time(poll_fn(|cx| node.poll_recv(cx))).await
}

/// Waits for `future`, and fails when it was not woken in time. (`timeout` would poll it once more
/// at the end, and so hide a missing wake-up.)
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        () = tokio::time::sleep(TIMEOUT) => panic!("not within {TIMEOUT:?}"),
        output = future => output,
    }
}

pub(crate) async fn next(node: &mut impl Transport) -> (NodeId, Bytes) {
    recv(node).await.expect("open")
}

/// Lets the other tasks run until the condition holds.
pub(crate) async fn until(what: &str, mut shows: impl FnMut() -> bool) {
    let turns = async {
        while !shows() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(TIMEOUT, turns).await.is_ok(),
        "never: {what}"
    );
}
