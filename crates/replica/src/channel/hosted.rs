//! The channels of a node as its loop serves them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use synod_transport::{Lane, NodeId, Transport};
use synod_wal::GroupId;
use tokio::sync::{Mutex, Notify, mpsc, watch};

use super::quota::{Held, Quota};
use super::{
    Channel, ChannelBounds, ChannelId, ChannelMessage, Counters, Handle, Incoming,
    OpenChannelError, Outgoing, count,
};
use crate::frame::Frame;

/// All channels of a node, and the messages that wait to be sent.
///
/// Invariants:
/// - a message holds its part of its channel's quota from [`Channel::send`] until the transport has sent
///   it, and its part of the peer's window from when the transport is given it;
/// - what waits for a peer waits for its window, and the release of that wakes the loop.
pub(crate) struct Channels {
    bounds: ChannelBounds,
    open: BTreeMap<ChannelId, Open>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    outgoing_to: mpsc::UnboundedSender<Outgoing>,
    waiting: BTreeMap<NodeId, Waiting>,
    /// What the transport holds for each peer, of all channels.
    window: Arc<Quota>,
    known: watch::Sender<BTreeSet<NodeId>>,
    ignored: Ignored,
    wake: Arc<Notify>,
}

struct Open {
    incoming: mpsc::UnboundedSender<Incoming>,
    receive_quota: Arc<Quota>,
    counters: Arc<Counters>,
}

/// The messages for one peer that its window has no room for, in a queue for each channel.
#[derive(Default)]
struct Waiting {
    queues: BTreeMap<ChannelId, VecDeque<Outgoing>>,
    /// The channel that was served last: the next one is first.
    served: Option<ChannelId>,
}

/// How many messages came for channels that were not open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignored(Arc<AtomicU64>);

impl Ignored {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a message in the transport's hands. The transport drops it when the message was sent or is
/// lost, whichever transport that is.
struct Sent {
    body: Bytes,
    _queue: Held,
    _window: Held,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Channels {
    pub(crate) fn new(bounds: ChannelBounds, wake: Arc<Notify>) -> Self {
        let (outgoing_to, outgoing) = mpsc::unbounded_channel();
        let window = Quota::waking(WINDOW_BYTES_MAX, WINDOW_MESSAGES_MAX, wake.clone());
        Self {
            bounds,
            open: BTreeMap::new(),
            outgoing,
            outgoing_to,
            waiting: BTreeMap::new(),
            window: Arc::new(window),
            known: watch::Sender::default(),
            ignored: Ignored::default(),
            wake,
        }
    }

    pub(crate) fn ignored(&self) -> Ignored {
        self.ignored.clone()
    }

    pub(crate) fn open(&mut self, id: ChannelId) -> Result<Channel, OpenChannelError> {
        self.open.retain(|_, open| !open.incoming.is_closed());
        let channels = self.open.len();
        let Entry::Vacant(vacant) = self.open.entry(id) else {
            return Err(OpenChannelError::Open);
        };
        if channels >= self.bounds.channels_max {
            return Err(OpenChannelError::TooMany(channels));
        }
        let bounds = &self.bounds;
        let (to, incoming) = mpsc::unbounded_channel();
        let open = vacant.insert(Open {
            incoming: to,
            receive_quota: Arc::new(Quota::new(
                bounds.receive_bytes_max,
                bounds.receive_messages_max,
            )),
            counters: Arc::default(),
        });
        Ok(Channel(Arc::new(Handle {
            id,
            message_bytes_max: bounds.message_bytes_max,
            known: self.known.subscribe(),
            outgoing: self.outgoing_to.clone(),
            send_quota: Arc::new(Quota::new(bounds.send_bytes_max, bounds.send_messages_max)),
            incoming: Mutex::new(incoming),
            wake: self.wake.clone(),
            counters: open.counters.clone(),
        })))
    }

    /// Messages can be sent to these nodes, and to no other; what waits for another is lost.
    pub(crate) fn set_known(&mut self, known: BTreeSet<NodeId>) {
        for (_, gone) in self.waiting.extract_if(.., |peer, _| !known.contains(peer)) {
            gone.queues
                .into_values()
                .flatten()
                .for_each(|message| unsent(&self.open, &message));
        }
        self.known.send_replace(known);
    }

    /// Messages can be sent to these nodes too.
    pub(crate) fn add_known(&self, peers: impl IntoIterator<Item = NodeId>) {
        self.known.send_modify(|known| known.extend(peers));
    }

    /// Takes a message that has arrived, and never waits for who receives it.
    pub(crate) fn handle_message(
        &mut self,
        id: ChannelId,
        from: NodeId,
        incarnation: Option<u64>,
        body: &Bytes,
    ) {
        let open = self.open.get(&id);
        let Some(open) = open.filter(|open| !open.incoming.is_closed()) else {
            count(&self.ignored.0);
            return;
        };
        let fits = body.len() <= self.bounds.message_bytes_max;
        let Some(held) = open.receive_quota.take(from, body.len()).filter(|_| fits) else {
            count(&open.counters.dropped);
            return;
        };
        let message = ChannelMessage {
            from,
            incarnation,
            // A slice would keep the transport's whole read buffer for as long as the message waits.
            body: Bytes::copy_from_slice(body),
        };
        let incoming = Incoming {
            message,
            _held: held,
        };
        // Counted first: whoever has received it finds it counted.
        count(&open.counters.received);
        // An error means that the last handle was dropped just now.
        let _gone = open.incoming.send(incoming);
    }

    /// Gives the transport what the windows have room for. To be called behind the groups, whose frames go
    /// first.
    pub(crate) fn send(&mut self, transport: &mut dyn Transport) {
        self.take_outgoing();
        self.waiting.retain(|peer, waiting| {
            while let Some((message, window)) = waiting.next(&self.window, *peer) {
                if let Some(open) = self.open.get(&message.channel) {
                    count(&open.counters.sent);
                }
                let sent = Bytes::from_owner(Sent {
                    body: message.body,
                    _queue: message.held,
                    _window: window,
                });
                // A frame of no group: the channel's number is in the place of the group's.
                let place = GroupId(message.channel.0);
                transport.send(*peer, Lane::Bulk, Frame::Channel.encode(place, vec![sent]));
            }
            !waiting.queues.is_empty()
        });
    }

    fn take_outgoing(&mut self) {
        while let Ok(message) = self.outgoing.try_recv() {
            if !self.known.borrow().contains(&message.to) {
                unsent(&self.open, &message);
                continue;
            }
            let waiting = self.waiting.entry(message.to).or_default();
            let queue = waiting.queues.entry(message.channel).or_default();
            queue.push_back(message);
        }
    }

    /// Ends all channels: nothing more is sent, and what has arrived can still be received.
    pub(crate) fn close(&mut self) {
        self.outgoing.close();
        while self.outgoing.try_recv().is_ok() {}
        self.waiting.clear();
        self.open.clear();
    }
}

impl Waiting {
    /// The next message and its part of the window, round-robin over the channels.
    fn next(&mut self, window: &Arc<Quota>, peer: NodeId) -> Option<(Outgoing, Held)> {
        let after = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.queues.range((after, Bound::Unbounded)).next();
        let id = *behind.or_else(|| self.queues.iter().next())?.0;
        let Entry::Occupied(mut queue) = self.queues.entry(id) else {
            return None;
        };
        let bytes = queue.get().front()?.body.len();
        let held = window.take(peer, bytes)?;
        let message = queue.get_mut().pop_front()?;
        if queue.get().is_empty() {
            queue.remove();
        }
        self.served = Some(id);
        Some((message, held))
    }
}

fn unsent(open: &BTreeMap<ChannelId, Open>, message: &Outgoing) {
    if let Some(open) = open.get(&message.channel) {
        count(&open.counters.unsent);
    }
}

/// The most bytes for one peer in the transport's hands: what an entry of a group may have to wait for.
const WINDOW_BYTES_MAX: usize = 256 << 10;
/// The most messages, a small part of what a lane holds.
const WINDOW_MESSAGES_MAX: usize = 256;

#[cfg(test)]
mod tests;
