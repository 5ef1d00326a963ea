//! Part 5: a transport of one's own. This one counts what another sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use synod_replica::conformance::{self, Network};
use synod_replica::transport::MemoryNetwork;
use synod_replica::{Bytes, Lane, NodeId, Parcel, Transport};

pub(crate) struct Metered<T> {
    inner: T,
    sent: Arc<AtomicU64>,
}

impl<T: Transport> Transport for Metered<T> {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.inner.send(to, lane, parcel);
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        self.inner.poll_recv(cx)
    }
}

#[derive(Default)]
struct MeteredNetwork {
    memory: MemoryNetwork,
    sent: Arc<AtomicU64>,
}

impl Network for MeteredNetwork {
    type Transport = Metered<synod_replica::transport::Memory>;

    async fn join(&mut self, node: NodeId, _incarnation: u64) -> Self::Transport {
        let inner = self.memory.join(node);
        let sent = Arc::clone(&self.sent);
        Metered { inner, sent }
    }
}

/// As a test would: what may be lost and what may not, blocking, queues, restarts.
pub(crate) async fn conforms() {
    let report = conformance::transport(MeteredNetwork::default).await;
    println!(
        "a transport of one's own: {} cases passed, {} skipped",
        report.passed.len(),
        report.skipped.len()
    );
}
