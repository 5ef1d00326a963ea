//! Conformance of transports: ours in memory and over TCP, and broken ones.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::conformance::{self, Network, NetworkLimits, Unsupported};
use synod_replica::{NodeId, Parcel, Transport};
use synod_transport::async_transport::{FromAsync, ToAsync};
use synod_transport::faulty::{Faults, Faulty, LinkFaults};
use synod_transport::{
    ClusterId, DiskId, Hello, Lane, LaneLimits, Memory, MemoryNetwork, Tcp, TcpConfig,
};
use tokio::net::TcpSocket;

use crate::caught;

struct InMemory(MemoryNetwork);

impl InMemory {
    fn new() -> Self {
        Self(MemoryNetwork::with_limits(LANE, LANE))
    }
}

impl Network for InMemory {
    type Transport = Memory;

    async fn join(&mut self, node: NodeId, _: u64) -> Memory {
        self.0.join(node)
    }

    fn limits(&self) -> NetworkLimits {
        let mut limits = NetworkLimits::default();
        limits.has_lanes = true;
        limits.waiting_bytes_max = Some(2 * LANE.bytes_max);
        limits
    }

    fn cut(&mut self, from: NodeId, to: NodeId, cut: bool) -> Result<(), Unsupported> {
        match cut {
            true => self.0.cut(from, to),
            false => self.0.heal(from, to),
        }
        Ok(())
    }
}

/// Ports on loopback that are known in advance and kept between two incarnations: each is held by a
/// socket that never listens, which shares it with the listener and keeps the system from giving it
/// away.
struct OverTcp {
    addresses: BTreeMap<NodeId, SocketAddr>,
    _held: Vec<TcpSocket>,
}

impl OverTcp {
    fn new() -> Self {
        let held: Vec<TcpSocket> = (1..=3).map(|_| hold_a_port()).collect();
        let address = |socket: &TcpSocket| socket.local_addr().unwrap();
        Self {
            addresses: (1..=3).map(NodeId).zip(held.iter().map(address)).collect(),
            _held: held,
        }
    }
}

fn hold_a_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // Exclusive while it takes the port.
    socket.set_reuseaddr(false).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
}

impl Network for OverTcp {
    type Transport = Tcp;

    async fn join(&mut self, node: NodeId, incarnation: u64) -> Tcp {
        let listener = TcpListener::bind(self.addresses[&node]).unwrap();
        let hello = Hello::new(ClusterId(7), node, DiskId(node.0.into()), incarnation);
        let peers = self
            .addresses
            .iter()
            .map(|(id, address)| (*id, address.to_string()))
            .collect();
        let mut config = TcpConfig::new(hello, listener, peers);
        config.frame_bytes_max = FRAME_BYTES_MAX;
        (config.control, config.bulk) = (LANE, LANE);
        config.inbox_bytes_max = LANE.bytes_max;
        config.send_buffer_bytes = Some(64 << 10);
        Tcp::bind(config).await.unwrap()
    }

    fn limits(&self) -> NetworkLimits {
        let mut limits = NetworkLimits::default();
        limits.message_bytes_max = Some(FRAME_BYTES_MAX);
        // Two lanes, an inbox, a frame on either side, and what Linux may make of a receive buffer.
        limits.has_lanes = true;
        limits.waiting_bytes_max = Some(3 * LANE.bytes_max + 2 * FRAME_BYTES_MAX + (8 << 20));
        limits
    }
}

/// A network whose links may fail.
struct Failing<N> {
    inner: N,
    faults: Faults,
    /// Any message may be lost at random, even the newest of a lane.
    loses: bool,
}

impl<N> Failing<N> {
    fn new(inner: N, set: LinkFaults) -> Self {
        let faults = Faults::new(7);
        faults.set_all(set);
        let loses = set.loss > 0.0;
        Self {
            inner,
            faults,
            loses,
        }
    }
}

impl<N: Network> Network for Failing<N> {
    type Transport = Faulty<N::Transport>;

    async fn join(&mut self, node: NodeId, incarnation: u64) -> Self::Transport {
        Faulty::new(node, self.inner.join(node, incarnation).await, &self.faults)
    }

    fn limits(&self) -> NetworkLimits {
        let mut limits = self.inner.limits();
        limits.has_lanes &= !self.loses;
        limits
    }

    fn cut(&mut self, from: NodeId, to: NodeId, cut: bool) -> Result<(), Unsupported> {
        match cut {
            true => self.faults.cut(from, to),
            false => self.faults.heal(from, to),
        }
        Ok(())
    }
}

/// A network in memory whose end is wrapped in a future and back into a transport.
struct Awaited(InMemory);

impl Network for Awaited {
    type Transport = FromAsync<ToAsync<Memory>>;

    async fn join(&mut self, node: NodeId, incarnation: u64) -> Self::Transport {
        let network = ToAsync::new(self.0.join(node, incarnation).await);
        FromAsync::new(network, (1..=3).map(NodeId).filter(|peer| *peer != node))
    }

    fn limits(&self) -> NetworkLimits {
        let mut limits = NetworkLimits::default();
        limits.has_lanes = true;
        limits
    }

    fn cut(&mut self, from: NodeId, to: NodeId, cut: bool) -> Result<(), Unsupported> {
        self.0.cut(from, to, cut)
    }
}

const FRAME_BYTES_MAX: usize = 300_000;
const LANE: LaneLimits = LaneLimits {
    messages_max: 2048,
    bytes_max: 2 << 20,
};

#[tokio::test]
async fn memory_conforms() {
    let report = conformance::transport(InMemory::new).await;
    let missing = Unsupported("NetworkLimits::message_bytes_max");
    assert_eq!(report.skipped, [("longest_message", missing)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_conforms() {
    let report = conformance::transport(OverTcp::new).await;
    assert_eq!(report.skipped, [("partition", Unsupported("cut"))]);
}

#[tokio::test]
async fn memory_conforms_behind_links_that_could_fail() {
    let failing = || Failing::new(InMemory::new(), LinkFaults::NONE);
    let report = conformance::transport(failing).await;
    let missing = Unsupported("NetworkLimits::message_bytes_max");
    assert_eq!(report.skipped, [("longest_message", missing)]);
}

/// Lost, duplicated and reordered messages are all that the suite sees of the faults.
#[tokio::test]
async fn memory_conforms_behind_links_that_do() {
    let faults = LinkFaults {
        loss: 0.05,
        duplicate: 0.05,
        reorder: 0.05,
        reorder_by: Duration::from_millis(2),
        ..LinkFaults::NONE
    };
    conformance::transport(|| Failing::new(InMemory::new(), faults)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_conforms_behind_links_that_could_fail() {
    let failing = || Failing::new(OverTcp::new(), LinkFaults::NONE);
    let report = conformance::transport(failing).await;
    assert_eq!(report.skipped, [], "these links can be cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_awaited_conforms() {
    conformance::transport(|| Awaited(InMemory::new())).await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    FlipsABit,
    CutsLongMessages,
    MixesMessages,
    DropsEmptyParts,
    NamesAnother,
    LosesEmptyMessages,
    LeavesBeforeTheFlush,
    DeliversToItself,
    ForgetsTheWaker,
    WakesTheFirst,
    NeverReconnects,
    LosesTheNewest,
    OneQueueForBothLanes,
    GrowsWithoutBound,
    HasNoLimit,
    CutsNothing,
}

/// A broken end of a correct network.
struct Broken {
    inner: Memory,
    id: NodeId,
    incarnation: u64,
    bug: Bug,
    sent: u64,
    controls: u64,
    head: Bytes,
    own: VecDeque<Bytes>,
    polled: bool,
}

struct BrokenNetwork(MemoryNetwork, Bug);

impl BrokenNetwork {
    fn new(bug: Bug) -> Self {
        let mut limits = LANE;
        if bug == Bug::GrowsWithoutBound {
            (limits.messages_max, limits.bytes_max) = (usize::MAX, usize::MAX);
        }
        Self(MemoryNetwork::with_limits(limits, limits), bug)
    }
}

impl Network for BrokenNetwork {
    type Transport = Broken;

    async fn join(&mut self, node: NodeId, incarnation: u64) -> Broken {
        Broken {
            inner: self.0.join(node),
            id: node,
            incarnation,
            bug: self.1,
            sent: 0,
            controls: 0,
            head: Bytes::new(),
            own: VecDeque::new(),
            polled: false,
        }
    }

    fn limits(&self) -> NetworkLimits {
        let mut limits = NetworkLimits::default();
        limits.has_lanes = true;
        limits.waiting_bytes_max = Some(2 * LANE.bytes_max);
        limits.message_bytes_max = Some(1 << 20);
        limits
    }

    fn cut(&mut self, from: NodeId, to: NodeId, cut: bool) -> Result<(), Unsupported> {
        match cut && self.1 != Bug::CutsNothing {
            true => self.0.cut(from, to),
            false => self.0.heal(from, to),
        }
        Ok(())
    }
}

impl Transport for Broken {
    fn send(&mut self, to: NodeId, lane: Lane, mut parcel: Parcel) {
        self.sent += 1;
        let mut lane = lane;
        match self.bug {
            Bug::FlipsABit if self.sent.is_multiple_of(5) => {
                let mut bytes = parcel.to_bytes().to_vec();
                let middle = bytes.len() / 2;
                bytes
                    .get_mut(middle)
                    .into_iter()
                    .for_each(|byte| *byte ^= 4);
                parcel = Bytes::from(bytes).into();
            }
            Bug::CutsLongMessages => {
                let bytes = parcel.to_bytes();
                parcel = bytes.slice(..bytes.len().min(65_535)).into();
            }
            Bug::MixesMessages if self.sent.is_multiple_of(2) => {
                std::mem::swap(&mut self.head, &mut parcel.head);
            }
            Bug::MixesMessages => self.head = parcel.head.clone(),
            Bug::DropsEmptyParts => {
                let end = parcel.parts.iter().position(Bytes::is_empty);
                parcel.parts.truncate(end.unwrap_or(usize::MAX));
            }
            Bug::LosesEmptyMessages if parcel.is_empty() => return,
            Bug::DeliversToItself if to == self.id => self.own.push_back(parcel.to_bytes()),
            Bug::NeverReconnects if self.incarnation > 1 => return,
            Bug::OneQueueForBothLanes => lane = Lane::Bulk,
            Bug::LosesTheNewest if lane == Lane::Control => {
                self.controls += 1;
                if self.controls > LANE.messages_max as u64 {
                    return;
                }
            }
            _ => {}
        }
        if parcel.len() > 1 << 20 && self.bug != Bug::HasNoLimit {
            return;
        }
        self.inner.send(to, lane, parcel);
        if self.bug == Bug::LeavesBeforeTheFlush {
            self.inner.flush();
        }
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        if let Some(own) = self.own.pop_front() {
            return Poll::Ready(Some((self.id, own)));
        }
        let mut deaf = Context::from_waker(std::task::Waker::noop());
        let context = match self.bug {
            Bug::ForgetsTheWaker => &mut deaf,
            Bug::WakesTheFirst if self.polled => {
                // The inner end replaces the waker, so it is polled only when something is there.
                return Poll::Pending;
            }
            _ => cx,
        };
        let polled = self.inner.poll_recv(context);
        self.polled = polled.is_pending() && self.bug == Bug::WakesTheFirst;
        polled.map(|message| {
            let (from, bytes) = message?;
            let is_wrong = self.bug == Bug::NamesAnother && bytes.len() > 500;
            Some((
                if is_wrong {
                    NodeId(from.0 % 3 + 1)
                } else {
                    from
                },
                bytes,
            ))
        })
    }
}

/// The contract allows a transport to lose and to reorder: a single queue is no bug in one that
/// does not claim to have lanes.
#[test]
fn lanes_are_asked_only_of_who_has_them() {
    struct OneQueue(BrokenNetwork);

    impl Network for OneQueue {
        type Transport = Broken;

        async fn join(&mut self, node: NodeId, incarnation: u64) -> Broken {
            self.0.join(node, incarnation).await
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let one_queue = || OneQueue(BrokenNetwork::new(Bug::OneQueueForBothLanes));
    let report = runtime.block_on(conformance::transport(one_queue));
    let skipped: Vec<_> = report.skipped.iter().map(|(case, _)| *case).collect();
    let expected = [
        "control_first",
        "newest_control",
        "bounded",
        "longest_message",
        "partition",
    ];
    assert_eq!(skipped, expected);
}

/// The clock stands still while there is work and jumps when there is none, so that what never
/// comes costs no time.
#[test]
fn broken_transports_are_caught() {
    for (bug, case) in [
        (Bug::FlipsABit, "exchange"),
        (Bug::CutsLongMessages, "exchange"),
        (Bug::MixesMessages, "exchange"),
        (Bug::DropsEmptyParts, "exchange"),
        (Bug::NamesAnother, "exchange"),
        (Bug::LosesEmptyMessages, "empty"),
        (Bug::LeavesBeforeTheFlush, "flush"),
        (Bug::DeliversToItself, "strangers"),
        (Bug::ForgetsTheWaker, "wakes"),
        (Bug::NeverReconnects, "reconnect"),
        (Bug::LosesTheNewest, "deaf_peer"),
        (Bug::OneQueueForBothLanes, "control_first"),
        (Bug::GrowsWithoutBound, "bounded"),
        (Bug::HasNoLimit, "longest_message"),
        (Bug::CutsNothing, "partition"),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        caught(&format!("{bug:?}"), case, || {
            runtime.block_on(async {
                conformance::transport(|| BrokenNetwork::new(bug)).await;
            });
        });
    }
}
