//! The outbound link to one peer: its send queue and, while connected, the stream.

use super::sendqueue::SendQueue;
use super::status::Counters;
use super::wire::Wire;
use crate::{Lane, LaneLimits, Parcel, frame};
use std::io::{ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Shared by the owner of the transport, which queues messages and writes what the stream accepts
/// at once, and the connection's task, which writes the rest when the stream accepts more. The lock
/// is never held across an await.
#[derive(Debug)]
pub(crate) struct Link {
    state: Mutex<State>,
    /// Notifies the connection's task that the owner left unwritten messages or closed the stream.
    left: Notify,
}

#[derive(Debug)]
struct State {
    queue: SendQueue,
    stream: Option<Arc<Wire>>,
    /// Closed for good: a stream that is attached later is rejected.
    shut: bool,
}

/// The state of a stream after writing queued messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything was written.
    Idle,
    /// The stream accepts no more now.
    Blocked,
    /// There is no stream, or it broke.
    Closed,
}

impl Link {
    pub(crate) fn new(control: LaneLimits, bulk: LaneLimits) -> Self {
        let queue = SendQueue::new(control, bulk);
        Self {
            state: Mutex::new(State {
                queue,
                stream: None,
                shut: false,
            }),
            left: Notify::new(),
        }
    }

    /// Queues a message.
    pub(crate) fn push(
        &self,
        lane: Lane,
        header: [u8; frame::HEADER_BYTES],
        parcel: Parcel,
        counters: &Counters,
    ) {
        let lost = self.lock().queue.push(lane, header, parcel);
        counters.lost(lost);
    }

    /// Writes what the stream accepts now, on the caller's thread: waking another would cost far
    /// more than the write. The connection's task writes the rest.
    pub(crate) fn flush(&self, counters: &Counters) {
        let mut state = self.lock();
        if state.stream.is_some() && state.write(counters) != Progress::Idle {
            self.left.notify_one();
        }
    }

    /// As [`flush`](Self::flush), for the connection's task.
    pub(crate) fn resume(&self, counters: &Counters) -> Progress {
        self.lock().write(counters)
    }

    /// Waits until the owner left unwritten messages or closed the stream.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    /// Replaces the stream. A frame that was partially written to the previous stream is lost. Complete frames may
    /// be lost too, if the peer closes that stream before it has read them; senders must expect lost messages
    /// anyway.
    pub(crate) fn attach(&self, stream: Arc<Wire>, counters: &Counters) {
        let mut state = self.lock();
        if state.stream.is_some() {
            counters.lost(state.queue.abandon());
        }
        if !state.shut {
            state.stream = Some(stream);
        }
    }

    /// Closes the link for good.
    pub(crate) fn shut(&self, counters: &Counters) {
        self.lock().shut = true;
        self.close(counters);
    }

    /// Closes the stream, if there is one, and notifies its task.
    pub(crate) fn close(&self, counters: &Counters) {
        self.lock().disconnect(counters);
        self.left.notify_one();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().stream.is_some()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().queue.bytes()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only an assertion of this crate can panic under the lock, and the queue is consistent
        // between its methods.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, counters: &Counters) -> Progress {
        let Some(stream) = &self.stream else {
            return Progress::Closed;
        };
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = self.queue.gather(&mut slices);
            match stream.try_write(&slices[..used]) {
                Ok(0) => {
                    self.disconnect(counters);
                    return Progress::Closed;
                }
                Ok(bytes) => counters.sent(self.queue.advance(bytes), bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "the stream to a peer broke");
                    self.disconnect(counters);
                    return Progress::Closed;
                }
            }
        }
        // The last encrypted record may not be fully written yet.
        match stream.try_flush() {
            Ok(()) => Progress::Idle,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Progress::Blocked,
            Err(_) => {
                self.disconnect(counters);
                Progress::Closed
            }
        }
    }

    fn disconnect(&mut self, counters: &Counters) {
        if self.stream.take().is_some() {
            counters.lost(self.queue.disconnect());
        }
    }
}

/// The most pieces of one vectored write. Far below the systems' limit of 1,024, and enough for
/// about 20 messages.
const SLICES_MAX: usize = 64;
