//! The way out to one peer: its queue and, while there is one, the stream it drains into.

use super::sendqueue::SendQueue;
use super::status::Counters;
use super::wire::Wire;
use crate::{Lane, LaneLimits, Parcel, frame};
use std::io::{ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Shared by the owner of the transport, who queues and writes what the stream takes at once, and
/// the task of the connection, which writes the rest when the stream takes more. The lock is never
/// held across a wait.
#[derive(Debug)]
pub(crate) struct Link {
    state: Mutex<State>,
    /// Tells the task of the connection that the owner left something behind, or closed the stream.
    left: Notify,
}

#[derive(Debug)]
struct State {
    queue: SendQueue,
    stream: Option<Arc<Wire>>,
    /// The owner is gone: a stream that comes late is not taken.
    shut: bool,
}

/// How a stream stands after it was given what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It took everything.
    Idle,
    /// It takes no more now.
    Blocked,
    /// There is none, or it broke.
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

    /// Gives the stream what it takes now, from the caller's thread: a wake-up of another would
    /// cost far more than the write. What it does not take is left to the task of the connection.
    pub(crate) fn flush(&self, counters: &Counters) {
        let mut state = self.lock();
        if state.stream.is_some() && state.write(counters) != Progress::Idle {
            self.left.notify_one();
        }
    }

    /// As [`flush`](Self::flush), from the task of the connection itself.
    pub(crate) fn resume(&self, counters: &Counters) -> Progress {
        self.lock().write(counters)
    }

    /// Waits until the owner left something behind.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    /// From now on the queue drains into this stream. If it did into another, what that has taken a part of is
    /// lost here. What it had taken whole may be lost, too, where the peer closes it before it has read all of it:
    /// whoever sends knows that messages may be lost, and sends again.
    pub(crate) fn attach(&self, stream: Arc<Wire>, counters: &Counters) {
        let mut state = self.lock();
        if state.stream.is_some() {
            counters.lost(state.queue.abandon());
        }
        if !state.shut {
            state.stream = Some(stream);
        }
    }

    /// Closes for good.
    pub(crate) fn shut(&self, counters: &Counters) {
        self.lock().shut = true;
        self.close(counters);
    }

    /// Closes the stream, if there is one, and tells its task.
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
        // A panic under the lock can only be one of our own asserts; the queue is whole between its
        // methods.
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
        // What was sealed last may not have left yet.
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

/// The pieces given to one write. Far below the systems' limit of 1,024, and what 20 messages or so
/// need.
const SLICES_MAX: usize = 64;
