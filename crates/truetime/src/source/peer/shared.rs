use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Peer, PeerError, Reply, Request};
use crate::source::{Sample, Source, SourceError};
use crate::{Clocks, Drift};

/// A [`Peer`] that is shared: the transport's thread fills it, and as a [`Source`] it answers with
/// what it was told last.
#[derive(Debug)]
pub struct PeerSource<C> {
    clocks: C,
    peer: Mutex<Peer>,
}

impl<C: Clocks> PeerSource<C> {
    /// As [`Peer::new`].
    pub const fn new(clocks: C, drift: Drift, age_max: Duration) -> Self {
        Self {
            clocks,
            peer: Mutex::new(Peer::new(drift, age_max)),
        }
    }

    /// Begins an exchange, and gives up the one before it. The request must go now: what it waits
    /// counts as its way.
    pub fn ask(&self, nonce: u64) -> Request {
        let mut peer = self.lock();
        peer.ask(nonce, self.clocks.local())
    }

    /// Takes an answer, which must have come just now.
    ///
    /// # Errors
    /// As [`Peer::handle_reply`].
    pub fn handle_reply(&self, reply: &Reply) -> Result<Sample, PeerError> {
        let answered = self.clocks.local();
        self.lock().handle_reply(reply, answered)
    }

    fn lock(&self) -> MutexGuard<'_, Peer> {
        // A peer is whole between any two statements.
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clocks> Source for PeerSource<C> {
    /// The narrowest of its answers; [`SourceError::TimedOut`] if the last one is too old.
    fn sample(&self) -> Result<Sample, SourceError> {
        let now = self.clocks.local();
        self.lock().best(now).ok_or(SourceError::TimedOut)
    }
}
