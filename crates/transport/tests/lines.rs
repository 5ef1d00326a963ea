//! What a transport writes into the log: enough to know who came, and little when a stranger floods it.

mod net;

use net::{CLUSTER, Cluster, message, next, recv, send, until};
use std::fmt;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_transport::{ClusterId, Lane, NodeId, Tcp, TcpConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The names of the events that were told.
#[derive(Clone, Default)]
struct Heard {
    told: Arc<Mutex<Vec<String>>>,
    /// Whoever tells this panics: a log is code of the user's, too, which runs in our tasks.
    panics_at: &'static str,
}

impl Heard {
    fn count(&self, event: &str) -> usize {
        let told = self.told.lock().expect("no panic");
        told.iter().filter(|told| *told == event).count()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("synod_transport")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Names(self));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Names<'a>(&'a Heard);

impl Visit for Names<'_> {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.0.told.lock().expect("no panic").push(value.into());
            assert_ne!(value, self.0.panics_at, "planned");
        }
    }
}

/// One address, many connections: each of them is counted, and few of them are told.
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

/// A node of another cluster that dials without end.
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
    // This node dials it too, so it is told about an address and about a peer.
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

/// Two names that lead to one place are found out when the second is dialed.
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

/// It is asked about each hello, made here and there. It panics at the first ones, and is asked again.
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

/// By a panic that is not the user's to be forgiven: in the task that dials, or in one that receives.
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
        // The other node's tasks panic as well, which nobody looks at.
        assert_eq!(recv(&mut one).await, None, "{panics_at}");
        assert_eq!(recv(&mut one).await, None, "for good");
        assert_eq!(heard.count("task_ended"), 1, "{panics_at}");
        let again = TcpStream::connect(one.local_addr()).await;
        assert!(again.is_err(), "nobody is let in to wait");
    }
}

/// Fewer than are told of one source in a while.
const PANICS: u64 = 3;
const MILLISECOND: Duration = Duration::from_millis(1);

/// N2. A copy of a disk that is started later counts higher. While the original lives it does not take its
/// place, and both hear of each other; when the original is gone it does not either, unless it comes to the
/// node's own address.
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
