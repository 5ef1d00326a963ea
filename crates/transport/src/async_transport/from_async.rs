//! A transport that never waits, made of a network that does.

use super::AsyncTransport;
use crate::outbox::Outbox;
use crate::{Hello, Lane, LaneLimits, NodeId, Parcel, Status, Transport};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, Id, JoinSet};

/// A [`Transport`] over an [`AsyncTransport`].
///
/// A task a peer waits for the network in the owner's place, so that a slow peer holds up nobody else; in
/// front of it are the two lanes, with their bounds. One more task receives, and waits while the owner does
/// not listen: [`INBOX_MESSAGES_MAX`] messages are kept for it. A task that ends, by a panic of the network,
/// closes the transport.
///
/// The tasks end soon after it is dropped, and the network is dropped with the last of them.
pub struct FromAsync<T> {
    pub(super) links: BTreeMap<NodeId, Link>,
    inbox: mpsc::Receiver<Arrival>,
    lives: BTreeMap<NodeId, u64>,
    tasks: JoinSet<()>,
    /// The tasks of peers that were removed: that these end is no sign of anything.
    stopped: BTreeSet<Id>,
    ended: bool,
    network: Arc<T>,
}

pub(super) struct Link {
    /// What waits for the flush.
    staged: Outbox<Parcel>,
    pub(super) waiting: Arc<Waiting>,
    /// Sends what waits.
    task: AbortHandle,
}

/// What waits for the network to take it.
pub(super) struct Waiting {
    queue: Mutex<Outbox<Parcel>>,
    more: Notify,
}

struct Arrival {
    from: NodeId,
    incarnation: Option<u64>,
    message: Bytes,
}

impl<T: AsyncTransport> FromAsync<T> {
    /// Starts the tasks that drive `network`, for messages to these peers and from anybody. To be called in a `tokio`
    /// runtime.
    #[must_use]
    pub fn new(network: T, peers: impl IntoIterator<Item = NodeId>) -> Self {
        let network = Arc::new(network);
        let mut tasks = JoinSet::new();
        let (to, inbox) = mpsc::channel(INBOX_MESSAGES_MAX);
        tasks.spawn(receive(network.clone(), to));
        let mut transport = Self {
            links: BTreeMap::new(),
            inbox,
            lives: BTreeMap::new(),
            tasks,
            stopped: BTreeSet::new(),
            ended: false,
            network,
        };
        peers.into_iter().for_each(|peer| transport.add(peer));
        transport
    }

    fn add(&mut self, peer: NodeId) {
        let waiting = Arc::new(Waiting {
            queue: Mutex::new(outbox()),
            more: Notify::new(),
        });
        let sends = send(self.network.clone(), peer, waiting.clone());
        let link = Link {
            staged: outbox(),
            waiting,
            task: self.tasks.spawn(sends),
        };
        self.links.insert(peer, link);
    }
}

async fn receive<T: AsyncTransport>(network: Arc<T>, to: mpsc::Sender<Arrival>) {
    while let Some((from, message)) = network.recv().await {
        // Now, because it may be another by the time that the owner listens.
        let incarnation = network.incarnation(from);
        let arrival = Arrival {
            from,
            incarnation,
            message,
        };
        if to.send(arrival).await.is_err() {
            return;
        }
    }
}

async fn send<T: AsyncTransport>(network: Arc<T>, peer: NodeId, waiting: Arc<Waiting>) {
    loop {
        let next = waiting.lock().pop();
        match next {
            Some((lane, parcel)) => network.send(peer, lane, parcel).await,
            None => waiting.more.notified().await,
        }
    }
}

impl Waiting {
    pub(super) fn lock(&self) -> MutexGuard<'_, Outbox<Parcel>> {
        // No code runs under the lock that could leave it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outbox() -> Outbox<Parcel> {
    Outbox::new(LaneLimits::CONTROL, LaneLimits::BULK)
}

impl<T: AsyncTransport> Transport for FromAsync<T> {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        if let Some(link) = self.links.get_mut(&to) {
            let _lost = link.staged.push(lane, parcel.len(), parcel);
        }
    }

    fn flush(&mut self) {
        for link in self.links.values_mut().filter(|l| !l.staged.is_empty()) {
            let mut queue = link.waiting.lock();
            while let Some((lane, parcel)) = link.staged.pop() {
                let _lost = queue.push(lane, parcel.len(), parcel);
            }
            drop(queue);
            link.waiting.more.notify_one();
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(arrival)) = self.inbox.poll_recv(cx) {
            if let Some(incarnation) = arrival.incarnation {
                self.lives.insert(arrival.from, incarnation);
            }
            return Poll::Ready(Some((arrival.from, arrival.message)));
        }
        loop {
            let ended = ready!(self.tasks.poll_join_next_with_id(cx));
            let id = ended.map(|ended| ended.map_or_else(|error| error.id(), |(id, ())| id));
            if !id.is_some_and(|id| self.stopped.remove(&id)) {
                break;
            }
        }
        // All others end only with the network, or by a panic of it.
        self.ended = true;
        Poll::Ready(None)
    }

    fn incarnation(&self, peer: NodeId) -> Option<u64> {
        self.lives.get(&peer).copied()
    }

    fn hello(&self) -> Option<Hello> {
        self.network.hello()
    }

    fn set_peers(&mut self, peers: &BTreeMap<NodeId, String>) {
        for (_, link) in self.links.extract_if(.., |id, _| !peers.contains_key(id)) {
            link.task.abort();
            self.stopped.insert(link.task.id());
        }
        self.network.set_peers(peers);
        for peer in peers.keys() {
            if !self.links.contains_key(peer) {
                self.add(*peer);
            }
        }
    }

    fn status(&self) -> Status {
        self.network.status()
    }
}

impl<T> fmt::Debug for FromAsync<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromAsync")
            .field("peers", &self.links.keys())
            .finish_non_exhaustive()
    }
}

/// Received, and not yet taken.
pub(super) const INBOX_MESSAGES_MAX: usize = 256;
