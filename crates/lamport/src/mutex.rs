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
//! ```
//! use std::collections::VecDeque;
//! use synod_lamport::LamportTime;
//! use synod_lamport::mutex::{MutualExclusion, Output, Peer};
//!
//! let process = |id| {
//!     let others = (0..3).filter(|other| *other != id).map(Peer::new).collect::<Vec<_>>();
//!     MutualExclusion::new(id, others, LamportTime::ZERO)
//! };
//! let mut processes = [process(0)?, process(1)?, process(2)?];
//! for process in &mut processes {
//!     process.request()?;
//! }
//! let (mut network, mut entered) = (VecDeque::new(), Vec::new());
//! loop {
//!     for (from, process) in processes.iter_mut().enumerate() {
//!         while let Some(output) = process.poll_output() {
//!             match output {
//!                 Output::Send { to, message } => network.push_back((from, to, message)),
//!                 Output::Entered(stamp) => {
//!                     entered.push(stamp.to_string());
//!                     process.release()?; // after a look at the resource
//!                 }
//!             }
//!         }
//!     }
//!     let Some((from, to, message)) = network.pop_front() else { break };
//!     processes[to].handle_message(from, message);
//! }
//! assert_eq!(entered, ["1@0", "1@1", "1@2"]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! As in the paper, processes do not fail: one that stops while others wait stops them all until
//! it comes back, and then it must not begin at time zero, but at the
//! [time it had](MutualExclusion::now).

mod message;
mod peer;

use crate::{LamportClock, LamportTime, Overflow, Stamp};

pub use message::{Message, Output};
use peer::Owed;
pub use peer::Peer;

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
///
/// ```
/// use synod_lamport::LamportTime;
/// use synod_lamport::mutex::{MutualExclusion, Output, Peer};
///
/// let mut one = MutualExclusion::new(1, [Peer::new(2)], LamportTime::ZERO)?;
/// let mut two = MutualExclusion::new(2, [Peer::new(1)], LamportTime::ZERO)?;
/// let stamp = one.request()?;
/// let Some(Output::Send { to: 2, message }) = one.poll_output() else { panic!() };
/// two.handle_message(1, message);
/// let Some(Output::Send { to: 1, message }) = two.poll_output() else { panic!() };
/// one.handle_message(2, message);
/// assert_eq!(one.poll_output(), Some(Output::Entered(stamp)));
/// one.release()?;
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MutualExclusion<N, P> {
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
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::{MutualExclusion, Peer, PeersError};
    /// let names = ["lyon", "oslo"];
    /// let peers: Vec<_> = names.into_iter().map(Peer::new).collect();
    /// assert!(MutualExclusion::new("bern", peers.clone(), LamportTime::ZERO).is_ok());
    /// assert_eq!(MutualExclusion::new("oslo", peers, LamportTime::ZERO), Err(PeersError));
    /// ```
    pub fn new(id: N, peers: P, start: LamportTime) -> Result<Self, PeersError> {
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
    ///
    /// ```
    /// # use synod_lamport::{LamportTime, Stamp};
    /// # use synod_lamport::mutex::{MutualExclusion, Peer, RequestError};
    /// let mut process = MutualExclusion::new(1, [Peer::new(2)], LamportTime::ZERO)?;
    /// assert_eq!(process.request(), Ok(Stamp::new(LamportTime::new(1), 1)));
    /// assert_eq!(process.request(), Err(RequestError::Pending));
    /// # Ok::<(), synod_lamport::mutex::PeersError>(())
    /// ```
    pub fn request(&mut self) -> Result<Stamp<N>, RequestError> {
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
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::{MutualExclusion, NotRequested};
    /// let mut alone = MutualExclusion::new(1, [], LamportTime::ZERO)?;
    /// alone.request()?;
    /// assert_eq!(alone.release(), Ok(()));
    /// assert_eq!(alone.release(), Err(NotRequested));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn release(&mut self) -> Result<(), NotRequested> {
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
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::{Message, MutualExclusion, Output, Peer};
    /// let mut process = MutualExclusion::new(1, [Peer::new(2)], LamportTime::ZERO)?;
    /// let time = LamportTime::new(7);
    /// process.handle_message(2, Message::Request { time, request: time });
    /// let answer = Message::Acknowledge { time: LamportTime::new(8), request: None };
    /// assert_eq!(process.poll_output(), Some(Output::Send { to: 2, message: answer }));
    /// # Ok::<(), synod_lamport::mutex::PeersError>(())
    /// ```
    pub fn handle_message(&mut self, from: N, message: Message) {
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
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::{MutualExclusion, Output, Peer};
    /// let mut process = MutualExclusion::new(1, [Peer::new(2)], LamportTime::ZERO)?;
    /// process.request()?;
    /// assert!(matches!(process.poll_output(), Some(Output::Send { to: 2, .. })));
    /// assert_eq!(process.poll_output(), None);
    /// process.handle_timeout();
    /// assert!(matches!(process.poll_output(), Some(Output::Send { to: 2, .. })));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn handle_timeout(&mut self) {
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
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::{MutualExclusion, Output};
    /// let mut alone = MutualExclusion::new(1, [], LamportTime::ZERO)?;
    /// let stamp = alone.request()?;
    /// assert_eq!(alone.poll_output(), Some(Output::Entered(stamp)));
    /// assert_eq!(alone.poll_output(), None);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn poll_output(&mut self) -> Option<Output<N>> {
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
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::MutualExclusion;
    /// let mut alone = MutualExclusion::new(1, [], LamportTime::ZERO)?;
    /// assert_eq!(alone.holds(), None);
    /// let stamp = alone.request()?;
    /// assert_eq!(alone.holds(), Some(stamp));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub fn holds(&self) -> Option<Stamp<N>> {
        match self.phase {
            Phase::Holding(time) => Some(Stamp::new(time, self.id)),
            Phase::Idle | Phase::Waiting(_) => None,
        }
    }

    /// The time of this process's clock. Store it at an orderly stop: the process that takes its
    /// place must not begin below it.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::MutualExclusion;
    /// let mut process = MutualExclusion::new(1, [], LamportTime::ZERO)?;
    /// process.request()?;
    /// process.release()?;
    /// let mut restarted = MutualExclusion::new(1, [], process.now())?;
    /// assert_eq!(restarted.request()?.time, LamportTime::new(3)); // later than all before
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn now(&self) -> LamportTime {
        self.clock.now()
    }

    /// How many messages were ignored because they made no sense.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::{Message, MutualExclusion, Peer};
    /// let mut process = MutualExclusion::new(1, [Peer::new(2)], LamportTime::ZERO)?;
    /// process.handle_message(3, Message::Release { time: LamportTime::new(1) });
    /// process.handle_message(2, Message::Release { time: LamportTime::MAX });
    /// assert_eq!(process.ignored(), 2);
    /// # Ok::<(), synod_lamport::mutex::PeersError>(())
    /// ```
    #[must_use]
    pub fn ignored(&self) -> u64 {
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
///
/// ```
/// use synod_lamport::LamportTime;
/// use synod_lamport::mutex::{MutualExclusion, Peer, PeersError};
///
/// let twice = [Peer::new(2), Peer::new(2)];
/// assert_eq!(MutualExclusion::new(1, twice, LamportTime::ZERO), Err(PeersError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("a process is named twice")]
pub struct PeersError;

/// There is nothing to release.
///
/// ```
/// use synod_lamport::LamportTime;
/// use synod_lamport::mutex::{MutualExclusion, NotRequested};
///
/// let mut alone = MutualExclusion::new(1, [], LamportTime::ZERO)?;
/// assert_eq!(alone.release(), Err(NotRequested));
/// # Ok::<(), synod_lamport::mutex::PeersError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the resource was not asked for")]
pub struct NotRequested;

/// Why [`MutualExclusion::request`] asked for nothing.
///
/// ```
/// use synod_lamport::LamportTime;
/// use synod_lamport::mutex::{MutualExclusion, RequestError};
///
/// let mut alone = MutualExclusion::new(1, [], LamportTime::MAX)?;
/// assert_eq!(alone.request(), Err(RequestError::Overflow));
/// # Ok::<(), synod_lamport::mutex::PeersError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The resource is held or asked for already.
    #[error("the resource is held or asked for already")]
    Pending,
    /// The clock has no time left for a request and its release.
    #[error("the clock has no time left")]
    Overflow,
}

/// No receipt and no request carries a clock further than this, so that a release has a time.
const LAST_BUT_ONE: LamportTime = LamportTime::new(u64::MAX - 1);
