//! A non-blocking transport over an async network.

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
/// Each peer has a sending task, so that a slow peer does not delay the others; the two bounded lanes queue
/// messages in front of it. One more task receives, and waits while [`INBOX_MESSAGES_MAX`] messages have not
/// been polled by the owner. When a task ends because the network panicked, the transport closes.
///
/// The tasks end soon after it is dropped, and the network is dropped with the last of them.
pub struct FromAsync<T> {
    pub(super) links: BTreeMap<NodeId, Link>,
    inbox: mpsc::Receiver<Arrival>,
    lives: BTreeMap<NodeId, u64>,
    tasks: JoinSet<()>,
    /// The tasks of removed peers; their end does not close the transport.
    stopped: BTreeSet<Id>,
    ended: bool,
    network: Arc<T>,
}

pub(super) struct Link {
    /// Messages queued since the last flush.
    staged: Outbox<Parcel>,
    pub(super) waiting: Arc<Waiting>,
    /// The sending task.
    task: AbortHandle,
}

/// Flushed messages that the network has not accepted yet.
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
    /// Starts the tasks that drive `network`, which send to these peers and receive from any. Must be called within a
    /// `tokio` runtime.
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
        // Read now, because it may have changed by the time the owner polls.
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
        // A poisoned lock is safe to use: no panic can leave the queue partially changed.
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
        // Every other task ends only when the network closes or panics.
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

/// The most received messages that the owner has not polled yet.
pub(super) const INBOX_MESSAGES_MAX: usize = 256;
