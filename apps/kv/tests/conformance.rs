//! The machine is one that can be replicated, and TLS one for replicas to speak by: the suites of `synod_replica` say
//! so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use synod_kv::{Blob, CertsOptions, Command, Entry, Expiry, Kv, Machine, Unless, When, certs};
use synod_replica::{
    ChannelId, Incarnation, Node, NodeConfig, NodeId, Sequence, SessionId, SessionName, Sessions,
    Timed,
    conformance::{self, Network, NetworkLimits, Unsupported},
    timed,
    wal::{Directory, Options, Wal},
};
use synod_transport::{ClusterId, DiskId, Hello, LaneLimits, Security, Tcp, TcpConfig, TlsConfig};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// Commands without a time.
fn lasting() -> Vec<Entry> {
    let set = |key: &'static str, value: &'static str, when, previous| Command::Set {
        key: Blob(key.as_bytes()),
        value: Blob(value.as_bytes()),
        when,
        previous,
    };
    let blob = |text: &'static str| Blob(text.as_bytes());
    let commands = [
        set("a", "1", When::Always, false),
        set("a", "2", When::Absent, true),
        set("b", "three", When::Always, true),
        set("", "", When::Present, true),
        set("", "empty", When::Absent, false),
        Command::Delete {
            keys: vec![blob("a"), blob("b"), blob("a")],
        },
        Command::Add {
            key: blob("a"),
            by: 41,
        },
        Command::Add {
            key: blob("b"),
            by: i64::MAX,
        },
        Command::Append {
            key: blob("song"),
            value: blob("la "),
        },
        Command::SetMany {
            pairs: vec![(blob("x"), blob("1")), (blob("y"), blob("2"))],
        },
        Command::CompareAndSwap {
            key: blob("x"),
            expected: blob("1"),
            new: blob("9"),
        },
        Command::Limit {
            keys_max: Some(5),
            bytes_max: None,
        },
        Command::Clear,
    ];
    commands.iter().map(Entry::new).collect()
}

#[test]
fn the_map_conforms() {
    let entries = lasting();
    let blob = |text: &'static str| Blob(text.as_bytes());
    let ending = [
        Command::SetExpiring {
            key: blob("a"),
            value: blob("1"),
            when: When::Always,
            previous: false,
            expiry: Expiry::Within { millis: 1_000 },
        },
        Command::Expire {
            key: blob("y"),
            millis: 1,
            unless: Unless::Never,
        },
    ];
    let stamp = |anchor, millis| timed::Stamp {
        anchor,
        elapsed: Duration::from_millis(millis),
    };
    let name = |sequence| SessionName {
        session: SessionId(1),
        sequence: Sequence(sequence),
    };
    let named = |at: usize| entries[at].named(name(at as u64)).unwrap();
    let plain = entries
        .iter()
        .cloned()
        .chain([Entry::open(), named(2), named(6)]);
    let commands: Vec<Bytes> = plain
        .map(|entry| entry.into_bytes(None))
        .chain(
            ending
                .iter()
                .map(|command| Entry::new(command).into_bytes(Some(stamp(0, 50)))),
        )
        .chain([timed::tick(stamp(0, 300)), timed::tick(stamp(1, 1_000))])
        .collect();
    let view = |machine: &Machine| {
        let kv = machine.machine().machine();
        let entries: Vec<(Vec<u8>, Bytes)> = kv
            .iter()
            .map(|(key, value)| (key.to_vec(), value.to_bytes()))
            .collect();
        let sessions = machine.machine().len();
        (entries, kv.bytes(), kv.limits(), sessions, kv.now())
    };
    let report =
        conformance::state_machine(|| Timed::new(Sessions::new(Kv::default())), view, &commands);
    assert_eq!(report.skipped, [], "the suite could try everything");
}

/// Three nodes on loopback that show certificates. Their ports are held between two incarnations by sockets that never
/// listen, with which listeners share them.
struct OverTls<'a> {
    certificates: &'a TempDir,
    addresses: BTreeMap<NodeId, SocketAddr>,
    _held: Vec<TcpSocket>,
}

impl<'a> OverTls<'a> {
    fn new(certificates: &'a TempDir) -> Self {
        let held: Vec<TcpSocket> = (1..=3).map(|_| hold_a_port()).collect();
        let address = |socket: &TcpSocket| socket.local_addr().unwrap();
        Self {
            certificates,
            addresses: (1..=3).map(NodeId).zip(held.iter().map(address)).collect(),
            _held: held,
        }
    }
}

fn hold_a_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // Alone while it takes the port.
    socket.set_reuseaddr(false).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
}

impl Network for OverTls<'_> {
    type Transport = Tcp;

    async fn join(&mut self, node: NodeId, incarnation: u64) -> Tcp {
        let listener = TcpListener::bind(self.addresses[&node]).unwrap();
        let hello = Hello::new(ClusterId(7), node, DiskId(node.0.into()), incarnation);
        let addresses = self.addresses.iter();
        let peers = addresses.map(|(id, address)| (*id, address.to_string()));
        let mut config = TcpConfig::new(hello, listener, peers.collect());
        let read = |name: String| fs::read(self.certificates.path().join(name)).unwrap();
        let (certificate, key) = (
            read(format!("node-{}.pem", node.0)),
            read(format!("node-{}.key", node.0)),
        );
        let tls = TlsConfig::new(certificate, key, read("ca.pem".into()));
        config.security = Some(Security::Tls(tls));
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

const FRAME_BYTES_MAX: usize = 300_000;
const LANE: LaneLimits = LaneLimits {
    messages_max: 2048,
    bytes_max: 2 << 20,
};

/// Certificates of three nodes.
fn certificates() -> TempDir {
    let certificates = TempDir::new().unwrap();
    let options = CertsOptions {
        out: certificates.path().to_owned(),
        nodes: 3,
        cluster_id: 7,
        hosts: Vec::new(),
        days: 1,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the transport goes by the time of the day"
    )]
    certs(&options, SystemTime::now()).unwrap();
    certificates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_conforms() {
    let certificates = certificates();
    let report = conformance::transport(|| OverTls::new(&certificates)).await;
    assert_eq!(report.skipped, [("partition", Unsupported("cut"))]);
}

/// Messages of the application use the connections that the nodes have, and need no certificates of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_work_over_tls() {
    let (certificates, logs) = (certificates(), TempDir::new().unwrap());
    let mut network = OverTls::new(&certificates);
    let (mut nodes, mut channels) = (Vec::new(), Vec::new());
    for id in [1, 2].map(NodeId) {
        let transport = network.join(id, 1).await;
        let disk = Directory::open(logs.path().join(id.to_string())).unwrap();
        let log = Wal::open(disk, Options::default()).unwrap();
        let (incarnation, config) = (Incarnation::ephemeral(id), NodeConfig::default());
        let node = Node::start(incarnation, config, log, transport);
        channels.push(node.channel(ChannelId(1)).await.unwrap());
        nodes.push(node);
    }
    // More than one record of TLS.
    let body = vec![7; 100_000];
    for (from, to) in [(0, 1), (1, 0)] {
        let [sender, receiver] = [from, to].map(|at: usize| NodeId(at as u64 + 1));
        channels[from].send(receiver, body.clone()).unwrap();
        let arrives = tokio::time::timeout(NEVER, channels[to].recv());
        let message = arrives.await.unwrap().unwrap();
        assert_eq!((message.from, message.incarnation), (sender, Some(1)));
        assert!(message.body == body);
    }
}

/// Longer than a message takes.
const NEVER: Duration = Duration::from_secs(60);
