//! An in-process network for tests and examples.

use crate::{Lane, LaneLimits, NodeId, Parcel, Transport, outbox::Outbox};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A network of nodes in this process. Clones are handles to the same network.
///
/// Every ordered pair of nodes has a link with two bounded lanes. A healthy link delivers
/// everything in order, control first; a link that was [`cut`](Self::cut) loses messages flushed
/// after the cut. Messages flushed before the cut have arrived.
#[derive(Clone, Debug)]
pub struct MemoryNetwork {
    hub: Arc<Mutex<Hub>>,
    control: LaneLimits,
    bulk: LaneLimits,
}

impl MemoryNetwork {
    /// An empty network with the default limits of the lanes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(LaneLimits::CONTROL, LaneLimits::BULK)
    }

    /// An empty network whose links hold at most this much.
    #[must_use]
    pub fn with_limits(control: LaneLimits, bulk: LaneLimits) -> Self {
        Self {
            hub: Arc::default(),
            control,
            bulk,
        }
    }

    /// Joins the network as `id`. An existing end with this id is replaced, as by a restart: it is
    /// closed, and its undelivered messages are lost.
    #[must_use]
    pub fn join(&self, id: NodeId) -> Memory {
        let mut hub = self.lock();
        hub.joins += 1;
        let join = hub.joins;
        let before = hub.mailboxes.insert(id, Mailbox::new(join));
        drop(hub);
        if let Some(waker) = before.and_then(|mailbox| mailbox.waker) {
            waker.wake();
        }
        Memory {
            network: self.clone(),
            id,
            join,
            queued: BTreeMap::new(),
            lost: 0,
        }
    }

    /// Drops all messages from `from` to `to` from now on. The other direction is not affected.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.lock().cuts.insert((from, to));
    }

    /// Undoes [`cut`](Self::cut).
    pub fn heal(&self, from: NodeId, to: NodeId) {
        self.lock().cuts.remove(&(from, to));
    }

    fn lock(&self) -> MutexGuard<'_, Hub> {
        // A poisoned lock is safe to use: no panic can leave the hub partially changed.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> Outbox<Parcel> {
        Outbox::new(self.control, self.bulk)
    }
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

/// One node's end of a [`MemoryNetwork`]. Dropping it makes the node leave the network.
#[derive(Debug)]
pub struct Memory {
    network: MemoryNetwork,
    id: NodeId,
    /// The number of this join: a replaced handle has an older one and is ignored.
    join: u64,
    queued: BTreeMap<NodeId, Outbox<Parcel>>,
    lost: u64,
}

impl Memory {
    /// The id under which this end joined.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// How many messages that this end sent were lost: to full lanes, cut links, absent nodes, or
    /// because they were addressed to itself.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Transport for Memory {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        if to == self.id {
            self.lost += 1;
            return;
        }
        let queue = self
            .queued
            .entry(to)
            .or_insert_with(|| self.network.outbox());
        self.lost += queue.push(lane, parcel.len(), parcel);
    }

    fn flush(&mut self) {
        let mut woken = Vec::new();
        let mut hub = self.network.lock();
        let here = hub
            .mailboxes
            .get(&self.id)
            .is_some_and(|mailbox| mailbox.join == self.join);
        for (to, queue) in std::mem::take(&mut self.queued) {
            let open = here && !hub.cuts.contains(&(self.id, to));
            let mailbox = hub.mailboxes.get_mut(&to).filter(|_| open);
            self.lost += match mailbox {
                Some(mailbox) => mailbox.deliver(self.id, queue, &self.network, &mut woken),
                None => queue.iter().count() as u64,
            };
        }
        drop(hub);
        for waker in woken {
            waker.wake();
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        let mut hub = self.network.lock();
        let Some(mailbox) = hub
            .mailboxes
            .get_mut(&self.id)
            .filter(|mailbox| mailbox.join == self.join)
        else {
            return Poll::Ready(None);
        };
        if let Some((from, parcel)) = mailbox.take() {
            drop(hub);
            return Poll::Ready(Some((from, parcel.to_bytes())));
        }
        mailbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut hub = self.network.lock();
        if hub
            .mailboxes
            .get(&self.id)
            .is_some_and(|mailbox| mailbox.join == self.join)
        {
            hub.mailboxes.remove(&self.id);
        }
    }
}

#[derive(Debug, Default)]
struct Hub {
    mailboxes: BTreeMap<NodeId, Mailbox>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    joins: u64,
}

/// The messages that arrived at one node, with a separate link for each sender, so that no sender
/// can displace another's messages.
#[derive(Debug)]
struct Mailbox {
    join: u64,
    links: BTreeMap<NodeId, Outbox<Parcel>>,
    served: Option<NodeId>,
    waker: Option<Waker>,
}

impl Mailbox {
    fn new(join: u64) -> Self {
        Self {
            join,
            links: BTreeMap::new(),
            served: None,
            waker: None,
        }
    }

    /// Moves the messages that `from` flushed into its link and returns how many were lost to the
    /// link's limits.
    fn deliver(
        &mut self,
        from: NodeId,
        mut queue: Outbox<Parcel>,
        network: &MemoryNetwork,
        woken: &mut Vec<Waker>,
    ) -> u64 {
        let link = self.links.entry(from).or_insert_with(|| network.outbox());
        let mut lost = 0;
        while let Some((lane, parcel)) = queue.pop() {
            lost += link.push(lane, parcel.len(), parcel);
        }
        woken.extend(self.waker.take());
        lost
    }

    /// The next message, round-robin over the links, so that a busy sender does not starve another.
    fn take(&mut self) -> Option<(NodeId, Parcel)> {
        let after = self.served.map_or(Unbounded, Excluded);
        let behind = self
            .links
            .range((after, Unbounded))
            .find(|(_, link)| !link.is_empty());
        let next = behind.or_else(|| self.links.iter().find(|(_, link)| !link.is_empty()));
        let from = *next?.0;
        let (_, parcel) = self.links.get_mut(&from)?.pop()?;
        self.served = Some(from);
        Some((from, parcel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::time::sleep;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);
    const THREE: NodeId = NodeId(3);

    fn post(from: &mut impl Transport, to: NodeId, lane: Lane, text: &'static str) {
        from.send(to, lane, Bytes::from_static(text.as_bytes()).into());
    }

    async fn recv(at: &mut impl Transport) -> Option<(NodeId, Bytes)> {
        tokio::select! {
            biased;
            // First, so that a receiver whom nobody woke is not asked once more when time is up.
            () = sleep(Duration::from_secs(10)) => panic!("nobody woke the receiver"),
            message = poll_fn(|cx| at.poll_recv(cx)) => message,
        }
    }

    fn arrived(at: &mut impl Transport) -> Vec<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match at.poll_recv(&mut cx) {
            Poll::Ready(Some((_, message))) => Some(message),
            _ => None,
        })
        .collect()
    }

    #[tokio::test]
    async fn nothing_leaves_before_the_flush_and_control_leaves_first() {
        let network = MemoryNetwork::new();
        let (mut one, mut two) = (network.join(ONE), network.join(TWO));
        post(&mut one, TWO, Lane::Bulk, "bulk");
        post(&mut one, TWO, Lane::Control, "control");
        assert!(arrived(&mut two).is_empty());
        one.flush();
        assert_eq!(
            recv(&mut two).await,
            Some((ONE, Bytes::from_static(b"control")))
        );
        assert_eq!(
            recv(&mut two).await,
            Some((ONE, Bytes::from_static(b"bulk")))
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_waiting_task_is_woken() {
        let network = MemoryNetwork::new();
        let (mut one, mut two) = (network.join(ONE), network.join(TWO));
        for _ in 0..1000 {
            let waiting = tokio::spawn(async move { (recv(&mut two).await, two) });
            post(&mut one, TWO, Lane::Control, "wake");
            one.flush();
            let (message, back) = waiting.await.expect("the waiting task ends");
            assert_eq!(message, Some((ONE, Bytes::from_static(b"wake"))));
            two = back;
        }
    }

    #[test]
    fn a_cut_is_directed_and_healed() {
        let network = MemoryNetwork::new();
        let (mut one, mut two) = (network.join(ONE), network.join(TWO));
        network.cut(ONE, TWO);
        post(&mut one, TWO, Lane::Control, "lost");
        post(&mut two, ONE, Lane::Control, "back");
        one.flush();
        two.flush();
        assert_eq!(
            (arrived(&mut one), arrived(&mut two)),
            (vec![Bytes::from("back")], vec![])
        );
        assert_eq!(one.lost(), 1);
        network.heal(ONE, TWO);
        post(&mut one, TWO, Lane::Control, "healed");
        one.flush();
        assert_eq!(arrived(&mut two), ["healed"]);
    }

    #[tokio::test]
    async fn a_restart_replaces_and_the_old_end_is_closed() {
        let network = MemoryNetwork::new();
        let (mut one, mut old) = (network.join(ONE), network.join(TWO));
        let waiting = tokio::spawn(async move { (recv(&mut old).await, old) });
        tokio::task::yield_now().await;
        let mut new = network.join(TWO);
        let (end, mut old) = waiting.await.expect("the old end is woken");
        assert_eq!(end, None);

        post(&mut old, ONE, Lane::Control, "a ghost speaks");
        old.flush();
        drop(old);
        post(&mut one, TWO, Lane::Control, "welcome");
        one.flush();
        assert_eq!(
            recv(&mut new).await,
            Some((ONE, Bytes::from_static(b"welcome")))
        );
        assert!(
            arrived(&mut one).is_empty(),
            "nothing of the replaced end arrives"
        );
    }

    #[test]
    fn links_are_bounded_by_lane_and_do_not_share() {
        let limits = LaneLimits {
            messages_max: 2,
            bytes_max: 100,
        };
        let network = MemoryNetwork::with_limits(limits, limits);
        let (mut one, mut two, mut three) =
            (network.join(ONE), network.join(TWO), network.join(THREE));
        for text in ["a", "b", "c"] {
            post(&mut one, THREE, Lane::Control, text);
            post(&mut one, THREE, Lane::Bulk, text);
            one.flush();
        }
        post(&mut two, THREE, Lane::Bulk, "quiet");
        two.flush();
        assert_eq!(arrived(&mut three), ["b", "quiet", "c", "a", "b"]);
        assert_eq!((one.lost(), two.lost()), (2, 0));
    }

    #[test]
    fn absent_nodes_and_oneself_get_nothing() {
        let network = MemoryNetwork::new();
        let mut one = network.join(ONE);
        post(&mut one, ONE, Lane::Control, "myself");
        post(&mut one, TWO, Lane::Control, "nobody");
        one.flush();
        assert_eq!(one.lost(), 2);
        let mut two = network.join(TWO);
        assert!(arrived(&mut one).is_empty() && arrived(&mut two).is_empty());
    }
}
