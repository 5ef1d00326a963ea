//! Mutual exclusion without a coordinator, by the total order of Lamport (1978).
//!
//! A resource may be used by one process at a time, in the order of requests. There is no
//! coordinator: each process learns from timestamped messages which process requested it when, and
//! all reach the same conclusion (Lamport, *Time, Clocks, and the Ordering of Events in a
//! Distributed System*, the five rules behind figure 2).
//!
//! ```text
//!   P1  ──●request 1@1────────────────────────●─enters──────●release────────────▶
//!           ╲                               ╱ 1@1 is first,  ╲
//!            ╲ Request 1@1     Acknowledge ╱  and P2 spoke     ╲ Release
//!             ╲               (asks 1@2)  ╱   after it          ╲
//!   P2  ──●────●─────────────────────────●───────────────────────●─enters───────▶
//!        request 1@2                                               1@2 is first
//! ```
//!
//! | the paper | here |
//! |---|---|
//! | rule 1: send "T_m:P_i requests resource", put it on the own queue | [`request`](MutualExclusion::request) |
//! | rule 2: put it on the queue, send an acknowledgement | [`handle_message`](MutualExclusion::handle_message) |
//! | rule 3: remove the own request, send a release | [`release`](MutualExclusion::release) |
//! | rule 4: remove the request | [`handle_message`](MutualExclusion::handle_message) |
//! | rule 5: granted if the own request is first in ⇒ and everybody has sent something later | [`Output::Entered`] |
//! | messages arrive, and in the order in which they were sent | neither is needed, see below |
//!
//! Every message contains the complete state of its sender's request at a time, and a later message
//! replaces an earlier one. So messages may be reordered, duplicated, and lost as long as
//! [`handle_timeout`](MutualExclusion::handle_timeout) retransmits; and the queue holds at most one
//! request per process.
//!
//! As in the paper, processes do not fail: one that stops while others wait blocks them until it
//! restarts, and then it must not start at time zero, but at the [time it
//! had](MutualExclusion::now).

#[path = "message.rs"]
mod message;
#[path = "peer.rs"]
mod peer;

use synod_lamport::{LamportClock, LamportTime, Overflow, Stamp};

pub(crate) use message::{Message, Output};
use peer::Owed;
pub(crate) use peer::Peer;

/// One process's side of the exclusion, without I/O: requests and messages go in; messages and the
/// notification of having entered come out of [`poll_output`](Self::poll_output).
///
/// `P` holds the other processes and decides where: an array needs no allocator, a `Vec` any
/// number of them. Nothing here allocates.
///
/// Invariants:
/// - at most one process of all is between [`Output::Entered`] and
///   [`release`](Self::release) (condition I of the paper);
/// - they enter in the order of the stamps of their requests (condition II), so the stamp serves
///   as a fencing token;
/// - if messages arrive and every holder releases the resource, every request is granted (condition
///   III);
/// - each request and release ticks the clock, so each time of the clock corresponds to one state
///   of the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MutualExclusion<N, P> {
    id: N,
    clock: LamportClock,
    peers: P,
    phase: Phase,
    /// The entry has not been reported yet.
    news: bool,
    ignored: u64,
}

/// The state of the own request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Waiting(LamportTime),
    Holding(LamportTime),
}

impl<N, P> MutualExclusion<N, P>
where
    N: Copy + Ord,
    P: AsRef<[Peer<N>]> + AsMut<[Peer<N>]>,
{
    /// The process `id`, with all other processes as `peers`. Its clock starts at `start`:
    /// [`LamportTime::ZERO`], or, for a restarted process, a time not below its last
    /// [`now`](Self::now). A request from before the restart is abandoned.
    ///
    /// # Errors
    /// [`PeersError`] if a name occurs twice.
    pub(crate) fn new(id: N, peers: P, start: LamportTime) -> Result<Self, PeersError> {
        let others = peers.as_ref();
        let repeated = others.iter().enumerate().any(|(at, peer)| {
            let earlier = &others[..at];
            peer.id == id || earlier.iter().any(|other| other.id == peer.id)
        });
        if repeated {
            return Err(PeersError);
        }
        Ok(Self {
            id,
            clock: LamportClock::new(start),
            peers,
            phase: Phase::Idle,
            news: false,
            ignored: 0,
        })
    }

    /// Requests the resource, and returns the stamp of the request, which determines its turn (rule
    /// 1).
    ///
    /// # Errors
    /// [`RequestError`]; nothing is requested then.
    pub(crate) fn request(&mut self) -> Result<Stamp<N>, RequestError> {
        if self.phase != Phase::Idle {
            return Err(RequestError::Pending);
        }
        // One time is reserved for the release, so that it cannot fail.
        if self.clock.now() >= LAST_BUT_ONE {
            return Err(RequestError::Overflow);
        }
        let time = self
            .clock
            .tick()
            .map_err(|Overflow| RequestError::Overflow)?;
        self.phase = Phase::Waiting(time);
        self.owe_all(Owed::Request);
        self.enter_if_granted();
        Ok(Stamp::new(time, self.id))
    }

    /// Releases the resource, or stops waiting for it (rule 3).
    ///
    /// # Errors
    /// [`NotRequested`].
    pub(crate) fn release(&mut self) -> Result<(), NotRequested> {
        if self.phase == Phase::Idle {
            return Err(NotRequested);
        }
        let ticked = self.clock.tick();
        assert!(ticked.is_ok(), "a time is kept for the release");
        self.phase = Phase::Idle;
        self.news = false;
        self.owe_all(Owed::Release);
        Ok(())
    }

    /// Handles a message from the process `from`, as identified by the transport (rules 2 and 4).
    /// An invalid one is ignored and counted: from an unknown process, with a request later than
    /// its sending, or too far in the future.
    pub(crate) fn handle_message(&mut self, from: N, message: Message) {
        let (time, request) = (message.time(), message.request());
        let late = time >= LAST_BUT_ONE || self.clock.now() >= LAST_BUT_ONE;
        let sender = self.peers.as_mut().iter_mut().find(|peer| peer.id == from);
        let Some(peer) = sender.filter(|_| !late && request.is_none_or(|at| at <= time)) else {
            self.ignored += 1;
            return;
        };
        if self.clock.receive(time).is_err() {
            self.ignored += 1;
            return;
        }
        if time >= peer.heard {
            peer.heard = time;
            peer.request = request;
        }
        // Also to an outdated one: its sender waits for an answer all the same.
        if matches!(message, Message::Request { .. }) {
            peer.owed = peer.owed.max(Owed::Acknowledge);
        }
        self.enter_if_granted();
    }

    /// Sends the request again to the processes that have not let it pass: call it when messages
    /// may have been lost. Does nothing while no request is waiting.
    pub(crate) fn handle_timeout(&mut self) {
        let Phase::Waiting(own) = self.phase else {
            return;
        };
        let own = Stamp::new(own, self.id);
        for peer in self.peers.as_mut() {
            if !peer.lets_pass(own) {
                peer.owed = Owed::Request;
            }
        }
    }

    /// The next output; `None` if there is none. There is at most one message to each process,
    /// since the latest contains the complete state.
    pub(crate) fn poll_output(&mut self) -> Option<Output<N>> {
        if self.news {
            self.news = false;
            return self.holds().map(Output::Entered);
        }
        let (time, request) = (self.clock.now(), self.phase.request());
        let peers = self.peers.as_mut();
        let peer = peers.iter_mut().find(|peer| peer.owed != Owed::Nothing)?;
        let message = match (core::mem::take(&mut peer.owed), request) {
            (Owed::Request, Some(request)) => Message::Request { time, request },
            (Owed::Release, None) => Message::Release { time },
            (_, request) => Message::Acknowledge { time, request },
        };
        let to = peer.id;
        Some(Output::Send { to, message })
    }

    /// The stamp of the request by which this process holds the resource, if it does.
    #[must_use]
    pub(crate) fn holds(&self) -> Option<Stamp<N>> {
        match self.phase {
            Phase::Holding(time) => Some(Stamp::new(time, self.id)),
            Phase::Idle | Phase::Waiting(_) => None,
        }
    }

    /// The time of this process's clock. Store it at shutdown: a restarted process must not start
    /// below it.
    #[must_use]
    pub(crate) const fn now(&self) -> LamportTime {
        self.clock.now()
    }

    /// How many invalid messages were ignored.
    #[must_use]
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Rule 5.
    fn enter_if_granted(&mut self) {
        let Phase::Waiting(time) = self.phase else {
            return;
        };
        let own = Stamp::new(time, self.id);
        if self.peers.as_ref().iter().all(|peer| peer.lets_pass(own)) {
            self.phase = Phase::Holding(time);
            self.news = true;
        }
    }

    fn owe_all(&mut self, owed: Owed) {
        for peer in self.peers.as_mut() {
            peer.owed = owed;
        }
    }
}

impl Phase {
    /// The time of the own request, from request to release.
    fn request(self) -> Option<LamportTime> {
        match self {
            Self::Idle => None,
            Self::Waiting(time) | Self::Holding(time) => Some(time),
        }
    }
}

/// A process was named twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("a process is named twice")]
pub(crate) struct PeersError;

/// There is nothing to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the resource was not requested")]
pub(crate) struct NotRequested;

/// Why [`MutualExclusion::request`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    /// The resource is already held or requested.
    #[error("the resource is already held or requested")]
    Pending,
    /// The clock has no time left for a request and its release.
    #[error("the clock has no time left")]
    Overflow,
}

/// The limit of the clock for receipts and requests, so that a time is left for the release.
const LAST_BUT_ONE: LamportTime = LamportTime::new(u64::MAX - 1);
