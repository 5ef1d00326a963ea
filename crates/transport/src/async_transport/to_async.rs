//! An async interface to any transport.

use super::{AsyncTransport, async_trait};
use crate::{Hello, Lane, NodeId, Parcel, Status, Transport};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An [`AsyncTransport`] over a [`Transport`], which several tasks may share.
///
/// `send` flushes its message at once and never waits: a full lane loses a message by its rule. Of several receiving
/// tasks only the last one to call is woken, as with the wrapped transport.
#[derive(Debug)]
pub struct ToAsync<T> {
    transport: Mutex<T>,
}

impl<T: Transport> ToAsync<T> {
    /// Wraps a transport.
    #[must_use]
    pub fn new(transport: T) -> Self {
        let transport = Mutex::new(transport);
        Self { transport }
    }

    /// Returns the wrapped transport.
    #[must_use]
    pub fn into_inner(self) -> T {
        let inner = self.transport.into_inner();
        inner.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A transport that panicked in one task remains usable by the others.
        self.transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<T: Transport> AsyncTransport for ToAsync<T> {
    async fn send(&self, to: NodeId, lane: Lane, parcel: Parcel) {
        let mut transport = self.lock();
        transport.send(to, lane, parcel);
        transport.flush();
    }

    async fn recv(&self) -> Option<(NodeId, Bytes)> {
        poll_fn(|cx| self.lock().poll_recv(cx)).await
    }

    fn incarnation(&self, peer: NodeId) -> Option<u64> {
        self.lock().incarnation(peer)
    }

    fn hello(&self) -> Option<Hello> {
        self.lock().hello()
    }

    fn set_peers(&self, peers: &BTreeMap<NodeId, String>) {
        self.lock().set_peers(peers);
    }

    fn status(&self) -> Status {
        self.lock().status()
    }
}
