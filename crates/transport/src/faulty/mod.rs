//! Links that fail on purpose, around any transport: feature `faulty`.

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

/// A transport whose links lose, delay, repeat, reorder, are narrow, or are cut, as [`Faults`] says.
///
/// Faults strike what is sent, between this end and the transport inside, which carries as before what is left. So
/// each direction of a link is its own, and a link between two processes is cut by whoever drives the sender's. With no
/// fault on it is the transport inside and nothing else. Counted is by [`Faults::counts`].
///
/// **The same seed and the same calls give the same fates.** What becomes of the n-th message to a peer
/// depends on seed, sender, peer and n, and each kind of fault is drawn for itself, so one that is switched
/// on leaves the others as they were. When a delayed message arrives is a matter of clocks, and not promised.
///
/// What is delayed leaves when the owner polls [`poll_recv`](Transport::poll_recv), which an owner does that waits for
/// messages; it is woken for it. So whoever delays needs a `tokio` runtime with a clock. What waits in a
/// link is bounded, by lane, as elsewhere.
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
    /// When something is due that waits in a link.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T: Transport> Faulty<T> {
    /// The end of node `id`, whose messages go by what `faults` says.
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

    /// The transport inside.
    #[must_use]
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Hands over what is due; `true` when that was something.
    fn release(&mut self, now: Instant) -> bool {
        let mut released = false;
        for (to, link) in &mut self.links {
            if link.is_empty() {
                continue;
            }
            let faults = self.faults.on(self.id, *to);
            link.depart(now, &faults);
            while let Some((lane, parcel)) = link.arrive(now) {
                // What was under way when the link was cut is lost.
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

    /// Waits for what is due next. `true` when that is now.
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
                // Whoever changes the faults wakes those whose messages wait for the old ones.
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
