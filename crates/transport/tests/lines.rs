//! What a transport writes into the log: enough to know who came, and little when a stranger floods it.

mod net;

use net::{CLUSTER, Cluster, until};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_transport::{ClusterId, Tcp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The names of the events that were told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn count(&self, event: &str) -> usize {
        let told = self.0.lock().expect("no panic");
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
            self.0.0.lock().expect("no panic").push(value.into());
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

const MILLISECOND: Duration = Duration::from_millis(1);
