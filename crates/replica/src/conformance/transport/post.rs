//! Three nodes, and the messages between them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use synod_transport::{NodeId, Parcel, Transport};
use tokio::time::{Instant, interval, sleep_until};

use super::Network;
use crate::conformance::messages::TestMessage;

pub(super) const ONE: NodeId = NodeId(1);
pub(super) const TWO: NodeId = NodeId(2);
pub(super) const THREE: NodeId = NodeId(3);

/// The running nodes of a case, with everything that they have sent and received.
///
/// Invariant: everything received was sent by that node to this one, and arrived unchanged.
pub(super) struct Post<N: Network> {
    pub(super) network: N,
    ends: BTreeMap<NodeId, Box<dyn Transport>>,
    lives: BTreeMap<NodeId, u64>,
    sent: BTreeSet<TestMessage>,
    received: BTreeSet<TestMessage>,
    number: u64,
}

impl<N: Network> Post<N> {
    /// Starts all three nodes.
    pub(super) async fn new(network: N) -> Self {
        let mut post = Self {
            network,
            ends: BTreeMap::new(),
            lives: BTreeMap::new(),
            sent: BTreeSet::new(),
            received: BTreeSet::new(),
            number: 0,
        };
        for node in [ONE, TWO, THREE] {
            post.join(node).await;
        }
        post
    }

    /// Starts the next incarnation of a node.
    pub(super) async fn join(&mut self, node: NodeId) {
        let incarnation = self.lives.entry(node).or_default();
        *incarnation += 1;
        let end = self.network.join(node, *incarnation).await;
        self.ends.insert(node, Box::new(end));
    }

    pub(super) fn leave(&mut self, node: NodeId) {
        self.ends.remove(&node);
    }

    pub(super) fn end(&mut self, node: NodeId) -> &mut Box<dyn Transport> {
        match self.ends.get_mut(&node) {
            Some(end) => end,
            None => unreachable!("a case uses only ends that are there"),
        }
    }

    /// Takes an end out, to be put back with [`bring`](Self::bring).
    pub(super) fn take(&mut self, node: NodeId) -> Box<dyn Transport> {
        match self.ends.remove(&node) {
            Some(end) => end,
            None => unreachable!("a case takes an end once"),
        }
    }

    pub(super) fn bring(&mut self, node: NodeId, end: Box<dyn Transport>) {
        self.ends.insert(node, end);
    }

    /// Makes a new message, which counts as sent from now on.
    pub(super) fn make(
        &mut self,
        from: NodeId,
        to: NodeId,
        bytes: usize,
        control: bool,
    ) -> TestMessage {
        self.number += 1;
        let sent = TestMessage {
            from,
            to,
            number: self.number,
            bytes: bytes.max(TestMessage::BYTES_MIN),
            control,
        };
        self.sent.insert(sent);
        sent
    }

    /// Queues a message, without a flush.
    pub(super) fn queue(&mut self, sent: TestMessage) {
        let parcel = sent.parcel(sent.number as usize % 6);
        self.end(sent.from).send(sent.to, sent.lane(), parcel);
    }

    pub(super) fn send(&mut self, sent: TestMessage) {
        self.queue(sent);
        self.end(sent.from).flush();
    }

    /// Takes what has arrived at a node, without waiting.
    pub(super) fn arrived(&mut self, node: NodeId) -> Vec<TestMessage> {
        let mut context = Context::from_waker(Waker::noop());
        let mut messages = Vec::new();
        while let Poll::Ready(message) = self.end(node).poll_recv(&mut context) {
            messages.push(self.receive(node, message));
        }
        messages
    }

    /// Waits for the next message to a node; `None` if `until` comes first.
    pub(super) async fn recv(&mut self, node: NodeId, until: Instant) -> Option<TestMessage> {
        let end = self.end(node);
        let message = tokio::select! {
            biased;
            message = poll_fn(|cx| end.poll_recv(cx)) => message,
            () = sleep_until(until) => return None,
        };
        Some(self.receive(node, message))
    }

    fn receive(&mut self, node: NodeId, message: Option<(NodeId, bytes::Bytes)>) -> TestMessage {
        let Some((from, message)) = message else {
            panic!("the end of {node} closed by itself")
        };
        let sent =
            TestMessage::read(from, node, &message).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(
            self.sent.contains(&sent),
            "{sent:?} arrived, and was never sent"
        );
        self.received.insert(sent);
        sent
    }

    pub(super) fn was_received(&self, sent: &TestMessage) -> bool {
        self.received.contains(sent)
    }

    /// Sends these until all have arrived; they may be lost, so they are sent again.
    pub(super) async fn deliver(&mut self, messages: &[TestMessage]) {
        let deadline = Instant::now() + TIMEOUT;
        let mut again = interval(AGAIN);
        loop {
            let left: Vec<TestMessage> = messages
                .iter()
                .filter(|l| !self.was_received(l))
                .copied()
                .collect();
            let Some(first) = left.first() else { return };
            assert!(
                Instant::now() < deadline,
                "{first:?} does not arrive, however often it is sent; {} do not",
                left.len()
            );
            for sent in &left {
                self.queue(*sent);
            }
            let nodes: Vec<NodeId> = self.ends.keys().copied().collect();
            for node in &nodes {
                self.end(*node).flush();
            }
            // A round of waiting, in which all nodes read.
            again.tick().await;
            let until = Instant::now() + AGAIN;
            for node in nodes {
                self.arrived(node);
            }
            if left.iter().any(|sent| !self.was_received(sent)) {
                self.recv(first.to, until).await;
            }
        }
    }

    /// Waits until two nodes reach each other.
    pub(super) async fn meet(&mut self, one: NodeId, two: NodeId) {
        let messages = [self.make(one, two, 0, true), self.make(two, one, 0, false)];
        self.deliver(&messages).await;
    }

    /// Waits a moment in which nothing may arrive at a node; returns whatever does.
    pub(super) async fn listen(&mut self, node: NodeId) -> Option<TestMessage> {
        let until = Instant::now() + MOMENT;
        self.recv(node, until).await
    }
}

/// Sends empty messages, which cannot identify themselves, until one arrives.
pub(super) async fn deliver_empty<N: Network>(post: &mut Post<N>) {
    let deadline = Instant::now() + TIMEOUT;
    let (mut one, mut two) = (post.take(ONE), post.take(TWO));
    loop {
        assert!(
            Instant::now() < deadline,
            "an empty message does not arrive"
        );
        one.send(TWO, synod_transport::Lane::Bulk, Parcel::default());
        one.flush();
        let mut again = pin!(sleep_until(Instant::now() + AGAIN));
        let message = tokio::select! {
            biased;
            message = poll_fn(|cx| two.poll_recv(cx)) => message,
            () = &mut again => continue,
        };
        assert!(
            matches!(&message, Some((ONE, bytes)) if bytes.is_empty()),
            "an empty message arrives as {message:?}"
        );
        return;
    }
}

/// Far longer than anything that must happen takes, on the slowest machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// After this time, what was lost is sent again.
pub(super) const AGAIN: Duration = Duration::from_millis(20);
/// How long to wait to see that nothing arrives.
const MOMENT: Duration = Duration::from_millis(50);
