//! Failure detectors: which peers may have crashed, judged by their silence.
//!
//! # Problem
//!
//! In a network with unbounded delays a crashed peer cannot be distinguished from a slow one (Fischer, Lynch,
//! Paterson 1985). A detector therefore only **suspects**, and withdraws a suspicion when something arrives; it
//! never declares a peer dead. Its output may wake a group, start an election or raise an alarm, and must be
//! harmless when it is wrong. The crate's README has measurements of how often it is.
//!
//! # Model
//!
//! A detector monitors a fixed set of peers. It is given every received frame, whatever its contents, and the time;
//! it reads no clock, holds no socket, and is polled for its output:
//!
//! ```text
//!   frames ── handle_frame ────▶ ┌──────────┐ ── poll_output ──▶ Suspect(n2), Trust(n2), Send(n3, message)
//!   its own messages             │ detector │
//!         ── handle_message ───▶ │          │ ── poll_timeout ──▶ when to call again, at the latest
//!   time  ── handle_timeout ───▶ └──────────┘
//! ```
//!
//! Its state of a peer belongs to one incarnation. A later one starts afresh, and frames of an earlier one are
//! ignored.
//!
//! # Guarantees
//!
//! - **Completeness:** a peer from which nothing arrives any more is suspected within a bound, and stays suspected,
//!   as long as the detector is polled.
//! - **Accuracy** depends on timing assumptions. *Eventually perfect* (◇P of Chandra and Toueg 1996) means that from
//!   some moment on no live peer is suspected:
//!
//! | detector | eventually perfect when, from some moment on |
//! |---|---|
//! | [`Deadline`] | the gaps of live peers have a bound below `timeout_max`, **which need not be known** |
//! | [`PhiAccrual`] | they stay below `heartbeat + pause_accepted + z · deviation_min`, and `timeout_max` |
//! | [`Gossip`] | each live peer answers in each round that probes it, also by a helper, or refutes in `refute_max` |
//!
//!   A deadline converges by mistakes, each of which extends the timeout; with `growth` 0 the bound must be below
//!   `timeout_first`. For accrual, z is the quantile of its threshold: where gaps are longer it makes mistakes
//!   forever, at a rate given by the tail of their distribution, since gaps that end a suspicion are not learnt. All
//!   three need an owner that polls in time. The clock need not be correct, but its rate must be nearly so.
//! - **A detector that was itself stalled suspects nobody during a grace period** ([`Attention`]): a gap that
//!   includes the stall neither causes a suspicion nor is learnt.
//! - **Bounds:** memory depends only on the initial set of peers; frames of unknown nodes and earlier incarnations
//!   are ignored and counted ([`Counts`]).
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
//! // Frames first, then time: arrivals are processed before silence is judged.
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
//! # Out of scope
//!
//! Membership: the set of peers is fixed, and a suspicion never removes a peer. Accrual for gossip. Quorums of
//! suspicions, which are left to the protocol.

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

/// Suspects peers by their silence. See the [module](self) for the guarantees of each
/// implementation.
pub trait Detector {
    /// Records a frame from this incarnation of `peer`. Any frame counts, whatever its contents; one from an
    /// unknown node or an earlier incarnation is counted and ignored.
    fn handle_frame(&mut self, now: Instant, peer: NodeId, incarnation: Incarnation);

    /// Handles a frame with a detector message, which also counts as a frame. Detectors without
    /// messages of their own ignore its contents.
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

    /// Judges silence as of `now`. Only this method raises suspicions, so received frames should be passed in
    /// first.
    fn handle_timeout(&mut self, now: Instant);

    /// The latest time to call [`handle_timeout`](Self::handle_timeout). An owner that calls much later, and
    /// has passed no frame meanwhile, is considered stalled.
    fn poll_timeout(&self) -> Instant;

    /// The next output; to be polled after each call until it returns `None`. A suspicion that was raised and
    /// withdrawn between two polls is not reported.
    fn poll_output(&mut self) -> Option<Output>;

    /// Whether `peer` is suspected now. Never true of an unknown node.
    fn suspects(&self, peer: NodeId) -> bool;

    /// Counters since its creation.
    fn counts(&self) -> Counts;
}

/// The output of a [`Detector`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The peer may have crashed.
    Suspect(NodeId),
    /// It is not suspected any more.
    Trust(NodeId),
    /// A message for the detector of a peer. It may be lost.
    Send(NodeId, Message),
}

/// The incarnation of the node that sent a frame, which increases with each start; see
/// [`Transport::incarnation`](crate::Transport::incarnation). Constant where incarnations are not tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// The counters of a [`Detector`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Suspicions, right and wrong.
    pub suspicions: u64,
    /// Wrong suspicions: a sign of life of the same incarnation ended them.
    pub mistakes: u64,
    /// How often the detector itself was stalled.
    pub held_up: u64,
    /// Frames from, and rumours about, nodes that are not monitored.
    pub strangers: u64,
    /// Frames from, and rumours about, an incarnation other than the known one.
    pub stale: u64,
    /// Messages that only a malicious or faulty node sends.
    pub nonsense: u64,
    /// Its own messages that were dropped because they were not polled.
    pub unsent: u64,
}

/// Why the settings of a detector are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A duration that must be positive is 0.
    #[error("{0} must not be 0")]
    NoTime(&'static str),
    /// The first setting exceeds the second.
    #[error("{0} must not exceed {1}")]
    Order(&'static str, &'static str),
    /// A number is outside of its range.
    #[error("{0} is out of its range")]
    Range(&'static str),
}
