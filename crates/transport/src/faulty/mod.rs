//! Fault injection around any transport: feature `faulty`.

mod fate;
mod faults;
mod link;

use crate::{Hello, Lane, NodeId, Parcel, Status, Transport};
use bytes::Bytes;
use fate::Fate;
use link::Link;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

pub use faults::{FaultCounts, Faults, LinkFaults};

/// A transport whose links lose, delay, duplicate or reorder messages, have limited bandwidth, or
/// are cut, as configured by [`Faults`].
///
/// Faults apply to outgoing messages, before they reach the wrapped transport. The two directions of a link are
/// therefore independent, and a link between two processes is cut in the sender's process. Without faults it behaves
/// exactly as the wrapped transport. [`Faults::counts`] counts the injected faults.
///
/// **The same seed and the same calls give the same fates.** The fate of the n-th message to a peer depends
/// on seed, sender, peer and n, and each kind of fault is drawn independently, so that switching one on does
/// not change the others. The arrival time of a delayed message depends on clocks and is not reproducible.
///
/// A delayed message is sent when the owner polls [`poll_recv`](Transport::poll_recv); an owner that waits for
/// messages is woken for it. Delays therefore need a `tokio` runtime with time enabled. The queues of a link are
/// bounded by lane, as elsewhere.
///
/// ```
/// use bytes::Bytes;
/// use std::future::poll_fn;
/// use synod_transport::faulty::{Faults, Faulty, LinkFaults};
/// use synod_transport::{Lane, MemoryNetwork, NodeId, Transport};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (network, faults) = (MemoryNetwork::new(), Faults::new(7));
/// let mut one = Faulty::new(NodeId(1), network.join(NodeId(1)), &faults);
/// let mut two = Faulty::new(NodeId(2), network.join(NodeId(2)), &faults);
///
/// faults.cut(NodeId(1), NodeId(2));
/// one.send(NodeId(2), Lane::Control, Bytes::from_static(b"lost").into());
/// one.flush();
/// faults.heal_all();
/// faults.set_all(LinkFaults { duplicate: 1.0, ..LinkFaults::NONE });
/// one.send(NodeId(2), Lane::Control, Bytes::from_static(b"twice").into());
/// one.flush();
/// for _ in 0..2 {
///     let message = poll_fn(|cx| two.poll_recv(cx)).await;
///     assert_eq!(message, Some((NodeId(1), Bytes::from_static(b"twice"))));
/// }
/// assert_eq!((faults.counts().cut, faults.counts().duplicated), (1, 1));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    id: NodeId,
    faults: Faults,
    links: BTreeMap<NodeId, Link>,
    /// Fires when the next delayed message is due.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T: Transport> Faulty<T> {
    /// The end of node `id`, whose outgoing messages are subject to `faults`.
    #[must_use]
    pub fn new(id: NodeId, inner: T, faults: &Faults) -> Self {
        Self {
            inner,
            id,
            faults: faults.clone(),
            links: BTreeMap::new(),
            timer: None,
        }
    }

    /// The wrapped transport.
    #[must_use]
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Sends the messages that are due; `true` when there were any.
    fn release(&mut self, now: Instant) -> bool {
        let mut released = false;
        for (to, link) in &mut self.links {
            if link.is_empty() {
                continue;
            }
            let faults = self.faults.on(self.id, *to);
            link.depart(now, &faults);
            while let Some((lane, parcel)) = link.arrive(now) {
                // Messages in flight when the link was cut are lost.
                if faults.cut {
                    self.faults.count(|counts| counts.cut += 1);
                } else {
                    self.inner.send(*to, lane, parcel);
                    released = true;
                }
            }
            let lost = link.take_lost();
            self.faults.count(|counts| counts.overflowed += lost);
        }
        released
    }

    /// Arms the timer for the next due message. `true` when one is due now.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let due = self.links.values().filter_map(Link::poll_timeout).min();
        let Some(due) = due else {
            self.timer = None;
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

impl<T: Transport> Transport for Faulty<T> {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        let faults = self.faults.on(self.id, to);
        let link = self.links.entry(to).or_default();
        let fate = Fate::draw(faults.seed, self.id, to, link.number(), &faults.link);
        self.faults.count(|counts| {
            counts.cut += u64::from(faults.cut);
            counts.lost += u64::from(!faults.cut && fate.lost);
            counts.duplicated += u64::from(!faults.cut && !fate.lost && fate.duplicated);
            counts.reordered += u64::from(!faults.cut && !fate.lost && fate.reordered);
        });
        if faults.cut || fate.lost {
            return;
        }
        let copy = fate.duplicated.then(|| parcel.clone());
        for parcel in [Some(parcel), copy].into_iter().flatten() {
            if faults.link.holds_nothing() && link.is_empty() {
                self.inner.send(to, lane, parcel);
            } else {
                link.take(lane, parcel, fate);
            }
        }
    }

    fn flush(&mut self) {
        if self.links.values().any(|link| !link.is_empty()) {
            let now = Instant::now();
            for link in self.links.values_mut() {
                link.flush(now);
            }
            self.release(now);
        }
        self.inner.flush();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        loop {
            if self.links.values().any(|link| !link.is_empty()) {
                // A change of faults wakes the ends whose messages are delayed by the old ones.
                self.faults.wake_later(self.id, cx.waker());
                if self.release(Instant::now()) {
                    self.inner.flush();
                }
            }
            let message = self.inner.poll_recv(cx);
            if message.is_ready() || !self.poll_timer(cx) {
                return message;
            }
        }
    }

    fn incarnation(&self, peer: NodeId) -> Option<u64> {
        self.inner.incarnation(peer)
    }

    fn hello(&self) -> Option<Hello> {
        self.inner.hello()
    }

    fn set_peers(&mut self, peers: &BTreeMap<NodeId, String>) {
        self.inner.set_peers(peers);
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

#[cfg(test)]
mod tests;
