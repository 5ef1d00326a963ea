//! The log events of a transport: every change of a peer, and few lines during a flood.

mod net;

use net::heard::Heard;
use net::{CLUSTER, Cluster, message, next, recv, send, until};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use synod_transport::{ClusterId, Lane, NodeId, Tcp, TcpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// One address, many connections: each of them is counted, and few are logged.
#[tokio::test]
async fn a_stranger_writes_few_lines() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let node = cluster.start(1).await;
    for _ in 0..100 {
        let mut stream = TcpStream::connect(node.local_addr())
            .await
            .expect("listens");
        stream.write_all(&[b'x'; 68]).await.expect("taken");
        drop(stream);
    }
    until("it comes about", || node.status().hellos_unreadable >= 100).await;
    assert_eq!(heard.count("stranger"), 3);
}

/// A node of another cluster that dials continuously.
#[tokio::test]
async fn a_stranger_that_says_hello_writes_few_lines() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let node = cluster.start(1).await;
    let mut config = cluster.config(2, 1);
    config.hello.cluster = ClusterId(CLUSTER.0 + 1);
    (config.backoff_min, config.backoff_max) = (MILLISECOND, MILLISECOND);
    let _stranger = Tcp::bind(config).await.expect("binds");
    until("it comes about", || node.status().hellos_refused >= 100).await;
    // This node dials it too, so there are events about an address and about a peer.
    let told = heard.count("hello_refused");
    assert!((1..=6).contains(&told), "{told}");
    assert_eq!(heard.count("refused_by_peer"), 3 + 3);
}

#[tokio::test]
async fn peers_that_come_and_go_are_told() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let (one, two) = (cluster.start(1).await, cluster.start(2).await);
    until("it comes about", || {
        one.status()
            .peers
            .values()
            .all(|peer| peer.connected && peer.accepted)
    })
    .await;
    drop(two);
    until("it comes about", || {
        heard.count("peer_lost") > 0 && heard.count("peer_left") > 0
    })
    .await;
    assert!(heard.count("peer_reached") > 0 && heard.count("peer_came") > 0);
    until("it comes about", || one.status().connects_failed > 2).await;
    assert!(heard.count("peer_unreachable") <= 2, "told once an outage");
}

/// Two names of one address are detected when the second is dialed.
#[tokio::test]
async fn a_peers_address_that_leads_to_the_node_itself_is_told() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    let own = config.peers.remove(&NodeId(1)).expect("its own");
    config.peers.insert(NodeId(2), own);
    let one = Tcp::bind(config).await.expect("binds");
    until("it comes about", || heard.count("own_address") > 0).await;
    assert!(one.status().refused_by_peers > 0);
    assert_eq!(heard.count("refused_by_peer"), 0, "told as what it is");
}

/// The callback is called for each hello, dialed and accepted. It panics at the first ones, and is
/// called again.
#[tokio::test]
async fn an_admit_that_panics_refuses_and_is_asked_again() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    let asked = AtomicU64::new(0);
    config.admit = Arc::new(move |_| {
        assert!(asked.fetch_add(1, Ordering::Relaxed) >= PANICS, "planned");
        Ok(())
    });
    let mut one = Tcp::bind(config).await.expect("binds");
    let mut two = cluster.start(2).await;
    until("they meet", || {
        let status = one.status();
        status
            .peers
            .values()
            .all(|peer| peer.connected && peer.accepted)
    })
    .await;
    assert_eq!(one.status().hellos_refused, PANICS);
    let told = heard.count("admit_panicked");
    assert!((1..=PANICS as usize).contains(&told), "{told}");
    assert_eq!(heard.count("task_ended"), 0);
    send(&mut two, 1, Lane::Control, message(7, 10));
    assert_eq!(next(&mut one).await.0, NodeId(2));
}

/// A proxy between two nodes that damages or drops bytes.
#[derive(Default)]
struct Way {
    /// Towards the acceptor: flips a bit in each piece.
    damages: AtomicBool,
    /// From the acceptor: drops everything.
    swallows: AtomicBool,
}

impl Way {
    /// Starts a proxy to `address`, and returns the proxy's address.
    async fn to(self: &Arc<Self>, address: String) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let here = listener.local_addr().expect("bound").to_string();
        let way = self.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&address).await else {
                    continue;
                };
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(way.clone().carry(near_in, far_out, true));
                tokio::spawn(way.clone().carry(far_in, near_out, false));
            }
        });
        here
    }

    async fn carry(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, there: bool) {
        let mut piece = [0; 1024];
        while let Ok(bytes @ 1..) = from.read(&mut piece).await {
            if there && self.damages.load(Ordering::Relaxed) {
                piece[0] ^= 1;
            }
            let is_swallowed = !there && self.swallows.load(Ordering::Relaxed);
            if !is_swallowed && to.write_all(&piece[..bytes]).await.is_err() {
                return;
            }
        }
    }
}

/// Two nodes, of which the first reaches the second through the proxy.
async fn two_and_a_way() -> (Tcp, Tcp, Arc<Way>) {
    let cluster = Cluster::new(2);
    let way = Arc::new(Way::default());
    let quick = |mut config: TcpConfig| {
        config.pulse_interval = 100 * MILLISECOND;
        config.silence_max = 2_000 * MILLISECOND;
        config
    };
    let mut config = quick(cluster.config(1, 1));
    let address = config.peers[&NodeId(2)].clone();
    config.peers.insert(NodeId(2), way.to(address).await);
    let one = Tcp::bind(config).await.expect("binds");
    let two = Tcp::bind(quick(cluster.config(2, 1))).await.expect("binds");
    until("they meet", || one.status().peers[&NodeId(2)].connected).await;
    (one, two, way)
}

#[tokio::test]
async fn a_peer_that_shows_no_life_is_told() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let (one, _two, way) = two_and_a_way().await;
    way.swallows.store(true, Ordering::Relaxed);
    until("it is told", || heard.count("peer_silent") > 0).await;
    assert_eq!(heard.count("peer_silent") as u64, one.status().silences);
    until("it is given up", || heard.count("peer_lost") > 0).await;
}

#[tokio::test]
async fn a_stream_that_is_damaged_is_told() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let (mut one, mut two, way) = two_and_a_way().await;
    send(&mut one, 2, Lane::Control, message(1, 100));
    assert_eq!(next(&mut two).await, (NodeId(1), message(1, 100)));
    assert_eq!(heard.count("stream_corrupt"), 0);
    way.damages.store(true, Ordering::Relaxed);
    send(&mut one, 2, Lane::Control, message(2, 100));
    until("it is told", || heard.count("stream_corrupt") > 0).await;
    assert_eq!(two.status().frames_corrupt, 1);
    assert_eq!(heard.count("stream_corrupt"), 1);
}

/// By a panic outside of the user's callbacks: in the dialing task, or in a receiving one.
#[tokio::test]
async fn a_task_that_panics_ends_the_transport_and_is_told() {
    for panics_at in ["peer_reached", "peer_came"] {
        let cluster = Cluster::new(2);
        let _two = cluster.start(2).await;
        let heard = Heard {
            panics_at,
            ..Heard::default()
        };
        let _guard = tracing::subscriber::set_default(heard.clone());
        let mut one = cluster.start(1).await;
        // The other node's tasks panic as well, which is not checked.
        assert_eq!(recv(&mut one).await, None, "{panics_at}");
        assert_eq!(recv(&mut one).await, None, "for good");
        assert_eq!(heard.count("task_ended"), 1, "{panics_at}");
        let again = TcpStream::connect(one.local_addr()).await;
        assert!(again.is_err(), "nobody is let in to wait");
    }
}

/// Below the limit of lines of one source.
const PANICS: u64 = 3;
const MILLISECOND: Duration = Duration::from_millis(1);

/// N2. A copy of a disk that is started later has a higher counter. While the original is alive the copy
/// does not replace it, and both are notified; when the original is gone the copy does not either, unless
/// it runs at the node's own address.
#[tokio::test]
async fn a_copy_does_not_take_the_place_of_who_lives() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let quick = |mut config: TcpConfig| {
        config.pulse_interval = Duration::from_millis(100);
        config
    };
    let bind = async |config| Tcp::bind(quick(config)).await.expect("binds");
    let mut one = bind(cluster.config(1, 1)).await;
    let mut original = bind(cluster.config(2, 5)).await;
    until("both ways stand", || {
        let (there, here) = (&one.status().peers[&NodeId(2)], original.status());
        there.connected && there.accepted && here.peers[&NodeId(1)].connected
    })
    .await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let copy = bind(cluster.config_at(2, 6, elsewhere)).await;
    until("refused", || copy.status().refused_by_peers > 0).await;
    until("all are told", || {
        let both = heard.count("peer_twice").min(heard.count("own_twin"));
        both.min(heard.count("refused_by_peer")) > 0
    })
    .await;
    assert!(!copy.status().peers[&NodeId(1)].connected);
    send(&mut one, 2, Lane::Control, message(1, 10));
    assert_eq!(next(&mut original).await, (NodeId(1), message(1, 10)));
    send(&mut original, 1, Lane::Control, message(2, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(2, 10)));
    let address = original.local_addr();
    drop(original);
    until("it is gone", || !one.status().peers[&NodeId(2)].accepted).await;
    let refused = copy.status().refused_by_peers;
    until("refused again", || {
        copy.status().refused_by_peers > refused + 1
    })
    .await;
    assert!(!one.status().peers[&NodeId(2)].accepted);
    drop(copy);
    let there = TcpListener::bind(address).expect("free again");
    let mut copy = bind(cluster.config_at(2, 7, there)).await;
    send(&mut copy, 1, Lane::Control, message(3, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(3, 10)));
}
