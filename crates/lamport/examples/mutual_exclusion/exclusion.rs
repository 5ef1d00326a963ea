//! Mutual exclusion without a coordinator: what the total order of 1978 is for.
//!
//! A resource may be used by one process at a time, and in the order in which it was asked for.
//! Nobody grants it: each process knows from stamped messages who asked when, and all come to the
//! same conclusion (Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*,
//! the five rules behind figure 2).
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
//! Every message tells the whole of what its sender asks for at a time, and of two the later one
//! counts. So messages may overtake one another, come twice, and get lost as long as
//! [`handle_timeout`](MutualExclusion::handle_timeout) asks again; and the queue of requests is at
//! most one a process.
//!
//! As in the paper, processes do not fail: one that stops while others wait stops them all until
//! it comes back, and then it must not begin at time zero, but at the
//! [time it had](MutualExclusion::now).

#[path = "message.rs"]
mod message;
#[path = "peer.rs"]
mod peer;

use synod_lamport::{LamportClock, LamportTime, Overflow, Stamp};

pub(crate) use message::{Message, Output};
use peer::Owed;
pub(crate) use peer::Peer;

/// One process's side of the exclusion, without I/O: requests and messages go in, messages and
/// the news of having entered come out of [`poll_output`](Self::poll_output).
///
/// `P` holds the other processes and decides where: an array needs no allocator, a `Vec` any
/// number of them. Nothing here allocates.
///
/// Invariants:
/// - at most one process of all is between [`Output::Entered`] and
///   [`release`](Self::release) (condition I of the paper);
/// - they enter in the order of the stamps of their requests (condition II), so the stamp serves
///   as a fencing token;
/// - if messages arrive and nobody keeps the resource, every request is granted (condition III);
/// - whatever this process asks for or gives up ticks its clock, so one time of its clock is one
///   state of its request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MutualExclusion<N, P> {
    id: N,
    clock: LamportClock,
    peers: P,
    phase: Phase,
    /// Having entered has not been told yet.
    news: bool,
    ignored: u64,
}

/// Where a process stands with its own request.
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
    /// The process `id` among `peers`, which are all others. Its clock begins at `start`:
    /// [`LamportTime::ZERO`], or, where a process of this name has been before, a time not below
    /// that one's last [`now`](Self::now). What that one had asked for or held is given up.
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

    /// Asks for the resource, and gives the stamp of the request, by which it is granted in turn
    /// (rule 1).
    ///
    /// # Errors
    /// [`RequestError`]; nothing is asked for then.
    pub(crate) fn request(&mut self) -> Result<Stamp<N>, RequestError> {
        if self.phase != Phase::Idle {
            return Err(RequestError::Pending);
        }
        // One time is kept for the release, so that it cannot fail.
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

    /// Gives the resource back, or stops waiting for it (rule 3).
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

    /// A message came from the process `from`, as the transport knows it (rules 2 and 4). One
    /// that makes no sense is ignored and counted: from nobody, asking later than it was sent, or
    /// from too far a future.
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
        // Also to one that was overtaken: its sender waits for a word from here all the same.
        if matches!(message, Message::Request { .. }) {
            peer.owed = peer.owed.max(Owed::Acknowledge);
        }
        self.enter_if_granted();
    }

    /// Asks those again who stand in the way: call it when messages may have been lost. Does
    /// nothing while no request waits.
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

    /// What to do next; `None` until something happens. There is at most one message to each
    /// process, since the latest says all.
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

    /// The time of this process's clock. Store it at an orderly stop: the process that takes its
    /// place must not begin below it.
    #[must_use]
    pub(crate) const fn now(&self) -> LamportTime {
        self.clock.now()
    }

    /// How many messages were ignored because they made no sense.
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
    /// The time of the own request, from asking to giving back.
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
#[error("the resource was not asked for")]
pub(crate) struct NotRequested;

/// Why [`MutualExclusion::request`] asked for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    /// The resource is held or asked for already.
    #[error("the resource is held or asked for already")]
    Pending,
    /// The clock has no time left for a request and its release.
    #[error("the clock has no time left")]
    Overflow,
}

/// No receipt and no request carries a clock further than this, so that a release has a time.
const LAST_BUT_ONE: LamportTime = LamportTime::new(u64::MAX - 1);
