//! Failure detectors: who may have crashed, as far as silence tells.
//!
//! # Problem
//!
//! Over a network that delays without bound nobody can tell a peer that crashed from one that is slow (Fischer,
//! Lynch, Paterson 1985). So a detector does not know: it **suspects**, takes that back, and never convicts. What
//! it says may wake a group, start an election or raise an alarm, and must be harmless when it is wrong. How wrong
//! it is can be measured, and the crate's README has the numbers.
//!
//! # Model
//!
//! A detector watches a fixed set of peers. It is fed with every frame that arrives, whatever the frame is about, and
//! with time; it reads no clock, holds no socket, and is polled for what it has to say:
//!
//! ```text
//!   frames ── handle_frame ────▶ ┌──────────┐ ── poll_output ──▶ Suspect(n2), Trust(n2), Send(n3, message)
//!   its own messages             │ detector │
//!         ── handle_message ───▶ │          │ ── poll_timeout ──▶ when to call again, at the latest
//!   time  ── handle_timeout ───▶ └──────────┘
//! ```
//!
//! What it knows of a peer is of one incarnation of it. A later one begins with a clean slate, and frames of an earlier
//! one say nothing.
//!
//! # Guarantees
//!
//! - **Completeness:** a peer from which nothing comes any more is suspected within a bound, and stays suspected, as
//!   long as the detector is polled.
//! - **Accuracy** is a matter of assumptions. *Eventually perfect* (◇P of Chandra and Toueg 1996) means that from some
//!   moment on nobody is suspected who has not crashed:
//!
//! | detector | eventually perfect when, from some moment on |
//! |---|---|
//! | [`Deadline`] | the silences of whoever lives have a bound below `timeout_max`, **which nobody needs to know** |
//! | [`PhiAccrual`] | they stay below `heartbeat + pause_accepted + z · deviation_min`, and `timeout_max` |
//! | [`Gossip`] | each is heard within each round that probes it, directly or by a helper, or refutes in `refute_max` |
//!
//!   A deadline gets there by mistakes, each of which makes it more patient; with `growth` 0 the bound must be below
//!   `timeout_first`. In the line of accrual z is the quantile of its threshold: where silences are longer it errs
//!   for ever, at a rate that their tail decides, since gaps that end a suspicion are not learnt.
//!   All three need an owner that polls in time. They need no clock that is right, only one whose rate is nearly so.
//! - **A detector that was itself held up suspects nobody for a while** ([`Attention`]): neither suspects it by a
//!   silence through which it was deaf, nor does it learn from one.
//! - **Bounds:** memory is that of the peers it was made with; what strangers and earlier incarnations say is counted
//!   ([`Counts`]).
//!
//! # The loop
//!
//! ```
//! use std::time::Duration;
//! use synod_transport::NodeId;
//! use synod_transport::detector::{Deadline, DeadlineSettings, Detector, Incarnation, Instant, Output};
//!
//! let at = |ms| Instant(Duration::from_millis(ms));
//! let settings = DeadlineSettings::of(Duration::from_millis(100));
//! let mut detector = Deadline::new(at(0), [NodeId(2)], settings)?;
//!
//! // Frames first, then time: what has arrived is heard before silence is judged.
//! detector.handle_frame(at(90), NodeId(2), Incarnation(1));
//! let mut now = at(90);
//! while !detector.suspects(NodeId(2)) {
//!     now = detector.poll_timeout();
//!     detector.handle_timeout(now);
//! }
//! assert_eq!(now, at(390), "three heartbeats of silence");
//! assert_eq!(detector.poll_output(), Some(Output::Suspect(NodeId(2))));
//!
//! detector.handle_frame(at(400), NodeId(2), Incarnation(1));
//! assert_eq!(detector.poll_output(), Some(Output::Trust(NodeId(2))), "it was slow");
//! # Ok::<(), synod_transport::detector::SettingsError>(())
//! ```
//!
//! # What is left out
//!
//! Membership: the set of peers is fixed, and nobody is ever removed by what a detector says. Accrual for gossip. A
//! quorum of suspicions, which is the protocol's affair.

mod arrivals;
mod attention;
mod deadline;
mod gossip;
mod instant;
mod normal;
mod phi;
mod window;

use crate::NodeId;

pub use attention::Attention;
pub use deadline::{Deadline, DeadlineSettings};
pub use gossip::{
    DecodeError, Gossip, GossipSettings, Kind, Message, RUMORS_MAX, Refutation, Rumor, Seq,
};
pub use instant::Instant;
pub use phi::{PhiAccrual, PhiSettings};

/// Suspects peers by their silence. See the [module](self) for what each kind of it promises.
pub trait Detector {
    /// A frame came from `peer`, in this incarnation of it. Any frame counts, whatever it is about; one of a
    /// stranger or of an earlier incarnation is counted and says nothing.
    fn handle_frame(&mut self, now: Instant, peer: NodeId, incarnation: Incarnation);

    /// A frame came that holds a message of this detector's kind. It counts as a frame too; a detector
    /// that has no messages takes it for nothing else.
    fn handle_message(
        &mut self,
        now: Instant,
        from: NodeId,
        incarnation: Incarnation,
        message: &Message,
    ) {
        let _has_none = message;
        self.handle_frame(now, from, incarnation);
    }

    /// Time has passed. Silence is judged here and nowhere else, so an owner takes the frames that are there first.
    fn handle_timeout(&mut self, now: Instant);

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, at the latest. An owner that calls much
    /// later, and has not fed a frame either, is taken to have been held up.
    fn poll_timeout(&self) -> Instant;

    /// What there is to say; to be asked until there is nothing, after each call. What came and went between two
    /// questions is not told.
    fn poll_output(&mut self) -> Option<Output>;

    /// Whether `peer` is suspected now. A stranger is not.
    fn suspects(&self, peer: NodeId) -> bool;

    /// What it has seen, since it was made.
    fn counts(&self) -> Counts;
}

/// What a [`Detector`] has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The peer may have crashed.
    Suspect(NodeId),
    /// It is not suspected any more.
    Trust(NodeId),
    /// A message for the detector of a peer. It may be lost.
    Send(NodeId, Message),
}

/// Which incarnation of its node a frame is of: it rises with each start.
/// [`Transport::incarnation`](crate::Transport::incarnation) has it. Where peers have no lives it is always the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// What a [`Detector`] has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Suspicions, right and wrong.
    pub suspicions: u64,
    /// Suspicions that ended by a sign of the same incarnation: they were wrong.
    pub mistakes: u64,
    /// How often the detector itself was held up.
    pub held_up: u64,
    /// Frames, and rumours, of nodes that it does not watch.
    pub strangers: u64,
    /// Frames, and rumours, of another incarnation than the one that is known.
    pub stale: u64,
    /// What only a liar says, or a node that is broken.
    pub nonsense: u64,
    /// Messages of its own that nobody came for.
    pub unsent: u64,
}

/// Why a detector cannot be made of these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A time that must not be 0 is.
    #[error("{0} must not be 0")]
    NoTime(&'static str),
    /// Two that must be in this order are not.
    #[error("{0} must not exceed {1}")]
    Order(&'static str, &'static str),
    /// A number is outside of its range.
    #[error("{0} is out of its range")]
    Range(&'static str),
}
