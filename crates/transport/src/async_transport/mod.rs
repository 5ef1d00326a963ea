//! Adapters for `async` networks: feature `async-trait`.
//!
//! A [`Transport`](crate::Transport) never blocks its owner, but many networks are written as functions that
//! wait. [`AsyncTransport`] is the trait for such a network, [`FromAsync`] turns one into a transport, and
//! [`ToAsync`] makes any transport available to async code.
//!
//! The trait is object-safe by the crate `async-trait`, which boxes each future. Native `async fn`s in traits are
//! not object-safe, and implementations would have to box their futures by hand as the macro does. It is
//! re-exported as [`async_trait`], so that users need no dependency on it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::future::poll_fn;
//! use bytes::Bytes;
//! use synod_transport::async_transport::{AsyncTransport, FromAsync, async_trait};
//! use synod_transport::{Lane, NodeId, Parcel, Transport};
//! use tokio::sync::{Mutex, mpsc};
//!
//! /// A network that waits: each node has a channel, and a sender waits while it is full.
//! struct Channels {
//!     own: NodeId,
//!     to: BTreeMap<NodeId, mpsc::Sender<(NodeId, Bytes)>>,
//!     inbox: Mutex<mpsc::Receiver<(NodeId, Bytes)>>,
//! }
//!
//! #[async_trait]
//! impl AsyncTransport for Channels {
//!     async fn send(&self, to: NodeId, _lane: Lane, parcel: Parcel) {
//!         if let Some(to) = self.to.get(&to) {
//!             let _lost = to.send((self.own, parcel.to_bytes())).await;
//!         }
//!     }
//!
//!     async fn recv(&self) -> Option<(NodeId, Bytes)> {
//!         self.inbox.lock().await.recv().await
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let nodes = [NodeId(1), NodeId(2)];
//! let (senders, inboxes): (Vec<_>, Vec<_>) = nodes.map(|_| mpsc::channel(8)).into_iter().unzip();
//! let mut ends = nodes.into_iter().zip(inboxes).map(|(own, inbox)| {
//!     let to = nodes.into_iter().zip(senders.clone()).collect();
//!     let network = Channels { own, to, inbox: Mutex::new(inbox) };
//!     // A node of the runtime can be started with this; a `Box<dyn AsyncTransport>` works too.
//!     FromAsync::new(network, nodes.into_iter().filter(|peer| *peer != own))
//! });
//! let (Some(mut one), Some(mut two)) = (ends.next(), ends.next()) else { return };
//!
//! one.send(NodeId(2), Lane::Control, Bytes::from_static(b"hello").into());
//! one.flush();
//! let hello = poll_fn(|cx| two.poll_recv(cx)).await;
//! assert_eq!(hello, Some((NodeId(1), Bytes::from_static(b"hello"))));
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod from_async;
mod to_async;

use crate::{Hello, Lane, NodeId, Parcel, Status};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use async_trait::async_trait;
pub use from_async::FromAsync;
pub use to_async::ToAsync;

/// Carries messages between nodes, and may wait. As lossy as a [`Transport`](crate::Transport): a message may be
/// lost, arrive twice, and overtake another; it never arrives changed or under another node's name.
///
/// Both functions are called concurrently, `send` for several peers at once. Their futures may be dropped before
/// completion: `recv` must be cancel-safe, so that no message is lost by it.
#[async_trait]
pub trait AsyncTransport: Send + Sync + 'static {
    /// Sends one message, or loses it. The next message to this peer is sent after it returns.
    async fn send(&self, to: NodeId, lane: Lane, parcel: Parcel);

    /// The next message and its sender. `None`: the network is closed for good.
    async fn recv(&self) -> Option<(NodeId, Bytes)>;

    /// The incarnation of `peer` that sent the last message which [`recv`](Self::recv) returned from it, see
    /// [`Transport::incarnation`](crate::Transport::incarnation).
    fn incarnation(&self, _peer: NodeId) -> Option<u64> {
        None
    }

    /// The hello of its own node, see [`Transport::hello`](crate::Transport::hello).
    fn hello(&self) -> Option<Hello> {
        None
    }

    /// Replaces the set of peers, see [`Transport::set_peers`](crate::Transport::set_peers).
    fn set_peers(&self, _peers: &BTreeMap<NodeId, String>) {}

    /// Its counters; all zero for a network that does not count.
    fn status(&self) -> Status {
        Status::default()
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<T: AsyncTransport + ?Sized> AsyncTransport for $pointer<T> {
            async fn send(&self, to: NodeId, lane: Lane, parcel: Parcel) {
                (**self).send(to, lane, parcel).await;
            }

            async fn recv(&self) -> Option<(NodeId, Bytes)> {
                (**self).recv().await
            }

            fn incarnation(&self, peer: NodeId) -> Option<u64> {
                (**self).incarnation(peer)
            }

            fn hello(&self) -> Option<Hello> {
                (**self).hello()
            }

            fn set_peers(&self, peers: &BTreeMap<NodeId, String>) {
                (**self).set_peers(peers);
            }

            fn status(&self) -> Status {
                (**self).status()
            }
        }
    )*};
}

forward!(Box, Arc);

#[cfg(test)]
mod tests;
