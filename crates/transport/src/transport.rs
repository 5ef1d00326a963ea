//! The contract between whoever has messages to send and whatever carries them.

use crate::{Hello, Lane, NodeId, Parcel, Status};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::task::{Context, Poll};

/// Carries messages between the nodes of a cluster, lossy by contract.
///
/// A message may be lost, may arrive twice, and may overtake another, also within a lane. It never
/// arrives changed and never under another node's name. Whoever needs more (acknowledgement, order,
/// once only) builds it above, which a consensus protocol does anyway.
///
/// No method blocks or waits: a queue that is full loses something instead, by the rule of its
/// [`Lane`], and counts it. Only [`poll_recv`](Self::poll_recv) may be asked to wake a task later.
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
    /// Queues `parcel` for `to`. Nothing leaves before [`flush`](Self::flush), so that what a turn
    /// of the caller's loop has to say leaves together. A message to the node itself, or to one the
    /// transport does not know, is dropped.
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel);

    /// Hands what is queued to the medium, as far as the medium takes it without waiting. The rest
    /// follows on its own as soon as the medium takes it: nobody needs to call again for that.
    fn flush(&mut self);

    /// The next message that arrived and who sent it. `None`: the transport is closed for good.
    ///
    /// When nothing is there the task of `cx` is woken once something is; only the task of the last
    /// call is.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>>;

    /// The incarnation of the peer that the last message came from which [`poll_recv`](Self::poll_recv) gave of
    /// it: the boot counter of its hello. `None` for a transport whose peers say no hello, and then whoever
    /// asks has to believe what the message says.
    fn incarnation(&self, _peer: NodeId) -> Option<u64> {
        None
    }

    /// What it says of its own node to each peer, so that whoever drives it can see that it speaks for the
    /// node and the incarnation that it is driven for. `None` for a transport that says no hello.
    fn hello(&self) -> Option<Hello> {
        None
    }

    /// From now on these are the peers, each with where it is reached, in whatever words this transport is told
    /// that (`host:port` for [`Tcp`](crate::Tcp)); an entry of the node itself is ignored. What waits for a peer
    /// that is no longer named is lost. A transport that reaches everybody without being told does nothing.
    fn set_peers(&mut self, _peers: &BTreeMap<NodeId, String>) {}

    /// What it has done, and how its peers stand; all zero for one that does not count.
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
