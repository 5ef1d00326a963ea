//! Tests of both adapters and of their failures.

use super::*;
use crate::{MemoryNetwork, Transport};
use std::future::{pending, poll_fn};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

/// Sends to node 3 at once, to node 2 never, and panics for node 9; closes with its inbox.
struct Odd {
    sent: mpsc::UnboundedSender<(NodeId, Lane, Bytes)>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<(NodeId, Bytes)>>,
}

#[async_trait]
impl AsyncTransport for Odd {
    async fn send(&self, to: NodeId, lane: Lane, parcel: Parcel) {
        assert_ne!(to, NodeId(9), "nobody is called that");
        let _gone = self.sent.send((to, lane, parcel.to_bytes()));
        if to == TWO {
            pending::<()>().await;
        }
    }

    async fn recv(&self) -> Option<(NodeId, Bytes)> {
        self.inbox.lock().await.recv().await
    }

    fn incarnation(&self, peer: NodeId) -> Option<u64> {
        Some(10 + peer.0)
    }
}

type Sent = mpsc::UnboundedReceiver<(NodeId, Lane, Bytes)>;

fn odd() -> (FromAsync<Odd>, Sent, mpsc::Sender<(NodeId, Bytes)>) {
    let (sent, seen) = mpsc::unbounded_channel();
    let (arrive, inbox) = mpsc::channel(1);
    let inbox = tokio::sync::Mutex::new(inbox);
    let peers = [TWO, THREE, NodeId(9)];
    (FromAsync::new(Odd { sent, inbox }, peers), seen, arrive)
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn recv(transport: &mut impl Transport) -> Option<(NodeId, Bytes)> {
    let message = poll_fn(|cx| transport.poll_recv(cx));
    timeout(Duration::from_secs(20), message)
        .await
        .expect("somebody wakes who waits")
}

#[tokio::test]
async fn a_peer_that_is_waited_for_holds_up_nobody_and_control_overtakes() {
    let (mut one, mut sent, _arrive) = odd();
    for number in 0..10_000 {
        one.send(TWO, Lane::Bulk, text("to nobody").into());
        if number == 5_000 {
            one.flush();
        }
    }
    one.send(THREE, Lane::Bulk, text("bulk").into());
    one.send(THREE, Lane::Control, text("control").into());
    tokio::task::yield_now().await;
    one.flush();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (to, _, message) = sent.recv().await.unwrap();
        seen.extend((to == THREE).then_some(message));
    }
    assert_eq!(seen, [text("control"), text("bulk")]);
    let waiting = one.links[&TWO].waiting.lock().bytes();
    assert!(waiting <= 4_096 * 9, "bounded: {waiting}");
}

#[tokio::test]
async fn nothing_leaves_before_the_flush_and_nothing_to_strangers() {
    let (mut one, mut sent, _arrive) = odd();
    one.send(THREE, Lane::Bulk, text("later").into());
    one.send(NodeId(77), Lane::Bulk, text("stranger").into());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(sent.try_recv().is_err());
    one.flush();
    assert_eq!(sent.recv().await.map(|sent| sent.0), Some(THREE));
}

#[tokio::test]
async fn the_end_of_the_network_is_the_end_behind_what_has_arrived() {
    let (mut one, _sent, arrive) = odd();
    arrive.send((TWO, text("last"))).await.unwrap();
    drop(arrive);
    assert_eq!(recv(&mut one).await, Some((TWO, text("last"))));
    assert_eq!(
        (one.incarnation(TWO), one.incarnation(THREE)),
        (Some(12), None)
    );
    assert_eq!(recv(&mut one).await, None);
    assert_eq!(recv(&mut one).await, None, "for good");
}

#[tokio::test]
async fn a_network_that_panics_closes_the_transport() {
    let (mut one, _sent, _arrive) = odd();
    one.send(NodeId(9), Lane::Control, text("boo").into());
    one.flush();
    assert_eq!(recv(&mut one).await, None);
}

#[tokio::test]
async fn who_does_not_listen_holds_the_network_up_and_loses_nothing() {
    let (mut one, _sent, arrive) = odd();
    let count = 3 * from_async::INBOX_MESSAGES_MAX as u64;
    let sender = tokio::spawn(async move {
        for number in 0..count {
            arrive.send((NodeId(number), Bytes::new())).await.unwrap();
        }
    });
    for number in 0..count {
        assert_eq!(recv(&mut one).await, Some((NodeId(number), Bytes::new())));
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn a_transport_goes_there_and_back_as_an_object() {
    let network = MemoryNetwork::new();
    let two: Arc<dyn AsyncTransport> = Arc::new(ToAsync::new(network.join(TWO)));
    let one: Box<dyn AsyncTransport> = Box::new(ToAsync::new(network.join(ONE)));
    let mut one: Box<dyn Transport> = Box::new(FromAsync::new(one, [TWO]));
    // It waits in a task of its own before there is anything.
    let listener = tokio::spawn({
        let two = two.clone();
        async move { two.recv().await }
    });
    tokio::task::yield_now().await;
    one.send(TWO, Lane::Control, text("there").into());
    one.flush();
    assert_eq!(listener.await.unwrap(), Some((ONE, text("there"))));
    two.send(ONE, Lane::Bulk, text("back").into()).await;
    assert_eq!(recv(&mut one).await, Some((TWO, text("back"))));
    assert_eq!(two.incarnation(ONE), None);
}
