//! Messages of the application over the connections of running nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use synod_replica::sim::SimDisk;
use synod_replica::{
    Channel, ChannelId, Closed, GroupId, Incarnation, Node, NodeConfig, NodeId, OpenChannelError,
    Parcel, SendError, Transport,
};
use synod_transport::faulty::{Faults, Faulty, LinkFaults};
use synod_transport::{
    ClusterId, DiskId, Hello, Lane, LaneLimits, Memory, MemoryNetwork, Tcp, TcpConfig,
};
use synod_wal::{Options, Wal};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::config;
use super::rig::{Counter, NEVER, alone, three, three_on};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const TALK: ChannelId = ChannelId(1);

fn start(id: NodeId, config: NodeConfig, transport: impl Transport) -> Node {
    let log = Wal::open(SimDisk::new(id.0), Options::default()).unwrap();
    Node::start(Incarnation::ephemeral(id), config, log, transport)
}

/// Nodes 1 and 2 without a group, which know each other by configuration.
fn two(mut transport: impl FnMut(NodeId) -> Box<dyn Transport>) -> [Node; 2] {
    [ONE, TWO].map(|id| {
        let mut config = NodeConfig::default();
        config.peers = [ONE, TWO].map(|id| (id, format!("{id}"))).into();
        start(id, config, transport(id))
    })
}

async fn open(node: &Node, id: ChannelId) -> Channel {
    timeout(NEVER, node.channel(id)).await.unwrap().unwrap()
}

async fn received(channel: &Channel) -> (NodeId, Option<u64>, Bytes) {
    let message = timeout(NEVER, channel.recv()).await.unwrap().unwrap();
    (message.from, message.incarnation, message.body)
}

/// Waits until this is so. There is nothing to wait for but the nodes, which share this thread.
async fn until(mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(NEVER, so).await.unwrap();
}

#[tokio::test]
async fn members_of_a_group_exchange_messages() {
    let (nodes, _groups) = three(|_| {}).await;
    let mut channels = Vec::new();
    for node in &nodes {
        channels.push(open(node, TALK).await);
    }
    for from in 1..=3 {
        for to in (1..=3).filter(|to| *to != from) {
            let channel = &channels[from as usize - 1];
            channel.send(NodeId(to), format!("from {from}")).unwrap();
            let body = Bytes::from(format!("from {from}"));
            let arrived = received(&channels[to as usize - 1]).await;
            assert_eq!(arrived, (NodeId(from), None, body));
        }
    }
    let own = channels[0].send(ONE, "to itself");
    assert_eq!(own, Err(SendError::UnknownPeer));
}

#[tokio::test]
async fn whoever_a_group_names_is_known_when_it_is_open() {
    let node = start(ONE, NodeConfig::default(), MemoryNetwork::new().join(ONE));
    let channel = open(&node, TALK).await;
    assert_eq!(channel.send(TWO, "a"), Err(SendError::UnknownPeer));
    let opened = node.open(GroupId(1), config(1, 3), Counter::default());
    let _group = opened.await.unwrap();
    assert_eq!(channel.send(TWO, "a"), Ok(()));
    assert_eq!(channel.send(NodeId(4), "a"), Err(SendError::UnknownPeer));
}

/// A channel and a group of the same number, and two channels, have nothing to do with each other.
#[tokio::test]
async fn channels_are_apart_by_their_numbers_and_what_is_unknown_is_counted() {
    let network = MemoryNetwork::new();
    let (nodes, groups) = three_on(&network, |_| {}).await;
    let (first, second) = (ChannelId(1), ChannelId(2));
    let [of_one, other_of_one] = [open(&nodes[0], first).await, open(&nodes[0], second).await];
    let of_two = open(&nodes[1], first).await;
    other_of_one.send(TWO, "too early").unwrap();
    until(|| nodes[1].channel_messages_ignored() == 1).await;
    let other_of_two = open(&nodes[1], second).await;
    other_of_one.send(TWO, "second").unwrap();
    of_one.send(TWO, "first").unwrap();
    assert_eq!(received(&of_two).await.2, "first");
    assert_eq!(received(&other_of_two).await.2, "second");
    assert_eq!(nodes[1].channel_messages_ignored(), 1);
    let answer = timeout(NEVER, groups[0].propose("a")).await.unwrap();
    assert_eq!(answer, Ok(1));
    let ignored = groups.iter().map(|group| group.status().ignored);
    assert_eq!(ignored.sum::<u64>(), 0, "no group was given a message");
    let twice = nodes[0].channel(first).await.map(|_| ());
    assert_eq!(twice, Err(OpenChannelError::Open));
}

/// A transport as a user might write it, which counts what its lanes have lost.
struct Counted(Memory, Arc<AtomicU64>);

impl Transport for Counted {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        self.0.send(to, lane, parcel);
        self.1.store(self.0.lost(), Ordering::Relaxed);
    }

    fn flush(&mut self) {
        self.0.flush();
        self.1.store(self.0.lost(), Ordering::Relaxed);
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        self.0.poll_recv(cx)
    }
}

/// The application of each node sends as much as it can to both others, where nobody receives it. The
/// lanes hold less than the channels' queues do, so without windows they would lose entries of the group.
#[tokio::test]
async fn a_flood_costs_a_group_neither_its_leader_nor_a_frame() {
    let small = LaneLimits {
        messages_max: 600,
        bytes_max: 4 << 20,
    };
    let network = MemoryNetwork::with_limits(LaneLimits::CONTROL, small);
    let (mut nodes, mut groups, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    for id in 1..=3 {
        let count = Arc::<AtomicU64>::default();
        let transport = Counted(network.join(NodeId(id)), count.clone());
        let node = start(NodeId(id), NodeConfig::default(), transport);
        let opened = node.open(GroupId(1), config(id, 3), Counter::default());
        groups.push(opened.await.unwrap());
        nodes.push(node);
        lost.push(count);
    }
    let all_lost = || lost.iter().map(|lost| lost.load(Ordering::Relaxed)).sum();
    let answer = timeout(NEVER, groups[0].propose("a")).await.unwrap();
    assert_eq!(answer, Ok(1));
    let (before, lost_before): (_, u64) = (groups[0].status(), all_lost());
    let mut channels = Vec::new();
    for node in &nodes {
        channels.push(open(node, TALK).await);
    }
    let floods = channels.iter().cloned().map(|channel| {
        tokio::spawn(async move {
            let (mut sent, mut full) = (0u64, 0u64);
            loop {
                for to in (1..=3).map(NodeId) {
                    loop {
                        match channel.send(to, vec![0; 100]) {
                            Ok(()) => sent += 1,
                            Err(SendError::Full) => break full += 1,
                            Err(SendError::UnknownPeer) => break,
                            Err(_) => return (sent, full),
                        }
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let floods: Vec<_> = floods.collect();
    for count in 2..=40 {
        let group = &groups[count as usize % 3];
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(count));
    }
    assert_eq!(all_lost(), lost_before, "a lane was full");
    for group in &groups {
        let status = group.status();
        assert_eq!((status.leader, status.term), (before.leader, before.term));
    }
    until(|| {
        channels
            .iter()
            .all(|channel| channel.stats().dropped > 2_000)
    })
    .await;
    for node in nodes {
        timeout(NEVER, node.shutdown()).await.unwrap();
    }
    for (flood, channel) in floods.into_iter().zip(channels) {
        let (sent, full) = timeout(NEVER, flood).await.unwrap().unwrap();
        assert!(sent > 2_000 && full > 2, "{sent} sent, {full} times full");
        let stats = channel.stats();
        assert_eq!(stats.received, 2 * 1024, "as many as the queues hold");
    }
}

#[tokio::test]
async fn a_channel_ends_with_its_node() {
    let network = MemoryNetwork::new();
    let [one, two] = two(|id| Box::new(network.join(id)));
    let (of_one, of_two) = (open(&one, TALK).await, open(&two, TALK).await);
    of_two.send(ONE, "the last").unwrap();
    until(|| of_one.stats().received == 1).await;
    let waits = tokio::spawn({
        let channel = of_two.clone();
        async move { channel.recv().await }
    });
    timeout(NEVER, two.shutdown()).await.unwrap();
    assert_eq!(timeout(NEVER, waits).await.unwrap().unwrap(), None);
    assert_eq!(of_two.send(ONE, "a"), Err(SendError::Closed));
    timeout(NEVER, one.shutdown()).await.unwrap();
    assert_eq!(received(&of_one).await.2, "the last");
    assert_eq!(of_one.recv().await, None);
}

#[tokio::test]
async fn a_node_that_has_stopped_opens_no_channel() {
    let disk = SimDisk::new(1);
    let (node, group) = alone(&disk, |_| {}).await;
    let channel = open(&node, TALK).await;
    disk.0.fail_next_sync();
    let _unknown = group.propose("a").await;
    let closed = timeout(NEVER, node.closed()).await.unwrap();
    assert!(matches!(closed, Closed::Log(_)), "{closed}");
    assert_eq!(timeout(NEVER, channel.recv()).await.unwrap(), None);
    let refused = node.channel(ChannelId(2)).await.map(|_| ());
    assert_eq!(refused, Err(OpenChannelError::Stopped(closed)));
}

/// The faults of the links are those of the channels: what is cut is lost, what is repeated comes twice.
#[tokio::test]
async fn injected_faults_strike_messages_too() {
    let (network, faults) = (MemoryNetwork::new(), Faults::new(7));
    let [one, two] = two(|id| Box::new(Faulty::new(id, network.join(id), &faults)));
    let (of_one, of_two) = (open(&one, TALK).await, open(&two, TALK).await);
    faults.cut(ONE, TWO);
    of_one.send(TWO, "lost").unwrap();
    until(|| faults.counts().cut == 1).await;
    faults.heal_all();
    faults.set_all(LinkFaults {
        duplicate: 1.0,
        ..LinkFaults::NONE
    });
    of_one.send(TWO, "twice").unwrap();
    for _ in 0..2 {
        assert_eq!(received(&of_two).await.2, "twice");
    }
    assert_eq!(of_one.stats().sent, 2);
}

/// Two ports that keep their numbers while nobody listens.
fn hold_ports() -> [(TcpSocket, SocketAddr); 2] {
    [(); 2].map(|()| {
        let socket = TcpSocket::new_v4().unwrap();
        // Alone while it takes the port.
        socket.set_reuseaddr(false).unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        socket.set_reuseaddr(true).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    })
}

async fn over_tcp(id: NodeId, incarnation: u64, addresses: [SocketAddr; 2]) -> Node {
    let hello = Hello::new(ClusterId(7), id, DiskId(id.0.into()), incarnation);
    let listener = TcpListener::bind(addresses[id.0 as usize - 1]).unwrap();
    let [one, two] = addresses.map(|address| address.to_string());
    let peers = [(ONE, one), (TWO, two)].into();
    let tcp = Tcp::bind(TcpConfig::new(hello, listener, peers));
    start(id, NodeConfig::default(), tcp.await.unwrap())
}

#[tokio::test]
async fn a_message_says_which_incarnation_of_a_peer_has_sent_it() {
    let [(_one, at_one), (_two, at_two)] = hold_ports();
    let addresses = [at_one, at_two];
    let one = over_tcp(ONE, 1, addresses).await;
    let of_one = open(&one, TALK).await;
    for incarnation in 1..=2 {
        let two = over_tcp(TWO, incarnation, addresses).await;
        let of_two = open(&two, TALK).await;
        // Peers by the transport's configuration, and not by the node's.
        of_two.send(ONE, "here again").unwrap();
        let again = (TWO, Some(incarnation), "here again".into());
        assert_eq!(received(&of_one).await, again);
        // What is sent before the other direction is connected again may be lost.
        until(|| {
            let _full = of_one.send(TWO, "welcome");
            of_two.stats().received > 0
        })
        .await;
        assert_eq!(received(&of_two).await, (ONE, Some(1), "welcome".into()));
        timeout(NEVER, two.shutdown()).await.unwrap();
        assert_eq!(of_two.send(ONE, "a"), Err(SendError::Closed));
    }
}
