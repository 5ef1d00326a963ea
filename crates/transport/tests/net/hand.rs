//! Hand-written hellos, queries and frames, as a second implementation of the format.

use super::{Cluster, in_time};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use synod_transport::{
    ClusterId, DiskId, Founding, Hello, LastIncarnation, NodeId, Parcel, Tcp, frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const CLUSTER: u16 = 2;
pub(crate) const UNKNOWN_NODE: u16 = 4;
pub(crate) const STALE: u16 = 7;
pub(crate) const TWIN: u16 = 12;
pub(crate) const LEAP: u16 = 13;
pub(crate) const UNCONFIRMED: u16 = 14;
pub(crate) const QUESTION: u16 = u16::MAX;
pub(crate) const VERSION: u16 = 1;
pub(crate) const HELLO_BYTES: usize = 92;

pub(crate) fn hello(hello: &Hello, to: u64, version: u16, verdict: u16) -> [u8; HELLO_BYTES] {
    let mut bytes = b"SYND".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(verdict.to_le_bytes());
    bytes.extend(to.to_le_bytes());
    bytes.extend(hello.cluster.0.to_le_bytes());
    bytes.extend(hello.node.0.to_le_bytes());
    bytes.extend(hello.disk.0.to_le_bytes());
    bytes.extend(hello.boot.to_le_bytes());
    bytes.extend(hello.nonce.to_le_bytes());
    bytes.extend(hello.founding.decided_at.to_le_bytes());
    bytes.extend(hello.founding.digest.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.try_into().expect("92 bytes")
}

/// The placeholder identity in answers that must not disclose the real one.
pub(crate) const NOBODY: Hello = Hello {
    cluster: ClusterId(0),
    node: NodeId(0),
    disk: DiskId(0),
    boot: 0,
    nonce: 0,
    founding: Founding {
        decided_at: 0,
        digest: 0,
    },
};

pub(crate) fn framed(message: &Bytes) -> Vec<u8> {
    let mut bytes = frame::header(&Parcel::from(message.clone()))
        .expect("fits")
        .to_vec();
    bytes.extend_from_slice(message);
    bytes
}

/// Sends a hand-written hello and returns the verdict of the answer; `None` when there is none.
pub(crate) async fn dial(node: &Tcp, bytes: &[u8]) -> (TcpStream, Option<u16>) {
    let mut stream = TcpStream::connect(node.local_addr())
        .await
        .expect("listens");
    stream.write_all(bytes).await.expect("takes the hello");
    let verdict = verdict(&mut stream).await;
    (stream, verdict)
}

pub(crate) async fn verdict(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = [0; HELLO_BYTES];
    let answered = in_time(stream.read_exact(&mut answer)).await.is_ok();
    answered.then(|| u16::from_le_bytes([answer[6], answer[7]]))
}

/// Waits until the other side has closed.
pub(crate) async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _end_or_reset = in_time(stream.read_to_end(&mut rest)).await;
}

/// A hand-written peer: accepts one connection and answers its hello.
pub(crate) async fn accept(listener: &TcpListener, answer: &[u8]) -> TcpStream {
    let (mut stream, _) = in_time(listener.accept()).await.expect("accepts");
    in_time(stream.read_exact(&mut [0; HELLO_BYTES]))
        .await
        .expect("a hello");
    stream.write_all(answer).await.expect("takes the answer");
    stream
}

/// Answers queries at a peer's address, confirming or denying each, and does nothing else.
pub(crate) struct Home {
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Home {
    pub(crate) fn of(
        cluster: &Cluster,
        id: u64,
        is_own: impl Fn(u64) -> bool + Send + 'static,
    ) -> Self {
        let listener = cluster.listeners.share(id);
        listener.set_nonblocking(true).expect("can be");
        let listener = TcpListener::from_std(listener).expect("on a runtime");
        let asked = Arc::new(AtomicU64::new(0));
        let counted = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accepts");
                let mut said = [0; HELLO_BYTES];
                if stream.read_exact(&mut said).await.is_err() || said[6..8] != [255, 255] {
                    continue;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let boot = u64::from_le_bytes(*said[56..].first_chunk().expect("eight bytes"));
                let verdict = if is_own(boot) { 0 } else { UNCONFIRMED };
                let _gone = stream.write_all(&hello(&NOBODY, 0, VERSION, verdict)).await;
            }
        });
        Self { asked, task }
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The listener of a hand-written peer.
pub(crate) fn listener(cluster: &Cluster, id: u64) -> TcpListener {
    TcpListener::from_std(cluster.with_small_buffer(id)).expect("on a runtime")
}

pub(crate) fn last_life(hello: &Hello) -> LastIncarnation {
    LastIncarnation {
        disk: hello.disk,
        boot: hello.boot,
        nonce: hello.nonce,
    }
}
