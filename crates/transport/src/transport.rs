//! The interface between a node and the network that carries its messages.

use crate::{Hello, Lane, NodeId, Parcel, Status};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::task::{Context, Poll};

/// Carries messages between the nodes of a cluster, lossy by contract.
///
/// A message may be lost, may arrive twice, and may overtake another, also within a lane. It never
/// arrives changed and never under another node's name. Stronger guarantees (acknowledgement,
/// order, exactly-once delivery) are built on top, which a consensus protocol does anyway.
///
/// No method blocks or waits: a full queue loses a message instead, by the rule of its [`Lane`],
/// and counts it. Only [`poll_recv`](Self::poll_recv) registers a task to be woken.
///
/// The trait is object-safe: a node holds a `Box<dyn Transport>`.
///
/// ```
/// use bytes::Bytes;
/// use std::future::poll_fn;
/// use synod_transport::{Lane, MemoryNetwork, NodeId, Transport};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let network = MemoryNetwork::new();
/// let mut one = network.join(NodeId(1));
/// let mut two: Box<dyn Transport> = Box::new(network.join(NodeId(2)));
///
/// one.send(NodeId(2), Lane::Control, Bytes::from_static(b"ping").into());
/// one.flush();
/// assert_eq!(poll_fn(|cx| two.poll_recv(cx)).await, Some((NodeId(1), Bytes::from_static(b"ping"))));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Transport: Send + 'static {
    /// Queues `parcel` for `to`. Nothing leaves before [`flush`](Self::flush), so that the messages
    /// of one turn of the caller's loop leave together. A message to the node itself, or to an
    /// unknown node, is dropped.
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel);

    /// Writes the queued messages to the network, as far as it accepts them without waiting. The
    /// rest follows as soon as the network accepts more, without another call.
    fn flush(&mut self);

    /// The next received message and its sender. `None`: the transport is closed for good.
    ///
    /// When none is available, the task of `cx` is woken once one is; only the task of the last
    /// call is woken.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>>;

    /// The incarnation of `peer` that sent the last message which [`poll_recv`](Self::poll_recv) returned from
    /// it: the boot counter of its hello. `None` for a transport without hellos; callers then have to rely on
    /// the contents of the message.
    fn incarnation(&self, _peer: NodeId) -> Option<u64> {
        None
    }

    /// The hello that is sent to each peer, so that the owner can check that it names the owner's node and
    /// incarnation. `None` for a transport without hellos.
    fn hello(&self) -> Option<Hello> {
        None
    }

    /// Replaces the set of peers, each with its address in the form that this transport uses (`host:port` for
    /// [`Tcp`](crate::Tcp)); an entry for the node itself is ignored. Messages queued for a removed peer are
    /// lost. A transport that needs no addresses does nothing.
    fn set_peers(&mut self, _peers: &BTreeMap<NodeId, String>) {}

    /// Counters and the state of the peers; all zero for a transport that does not count.
    fn status(&self) -> Status {
        Status::default()
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        (**self).send(to, lane, parcel);
    }

    fn flush(&mut self) {
        (**self).flush();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        (**self).poll_recv(cx)
    }

    fn incarnation(&self, peer: NodeId) -> Option<u64> {
        (**self).incarnation(peer)
    }

    fn hello(&self) -> Option<Hello> {
        (**self).hello()
    }

    fn set_peers(&mut self, peers: &BTreeMap<NodeId, String>) {
        (**self).set_peers(peers);
    }

    fn status(&self) -> Status {
        (**self).status()
    }
}
