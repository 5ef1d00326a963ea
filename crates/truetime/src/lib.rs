//! TrueTime for everybody: an interval that contains true time, from real clocks, or an error.
//!
//! # The problem
//!
//! A clock shows one number, and is wrong by an amount that it does not tell. Two timestamps from two
//! machines can be compared only by whoever knows how wrong each of them is. Spanner (OSDI 2012) made that
//! amount part of the answer: its clock shows an interval that contains true time. With it a database can wait
//! out its own uncertainty, a leader can hold a lease that no other one holds at the same instant, and an event can be
//! *certainly* before another one. The catch is the word *contains*: an interval that is almost always right
//! is worse than none, because what is built on it breaks in silence.
//!
//! # The model
//!
//! Every machine has an oscillator that runs within a stated bound of true time (200 ppm unless told
//! otherwise). Now and then a source says where true time is, give or take; in between, the interval moves on with the
//! oscillator and grows by its drift:
//!
//! ```text
//!   ε
//!   │        ╱│          ╱│          ╱│                          ╱ ✗ BoundTooWide, or Stale:
//!   │      ╱  │        ╱  │        ╱  │                     ╱        an error, no interval
//!   │    ╱    │      ╱    │      ╱    │                ╱
//!   │  ╱      │    ╱      │    ╱      │           ╱    Holdover: as true as before, and wider
//!   │╱        │  ╱        │  ╱        │      ╱
//!   │         │╱          │╱          │ ╱   200 µs a second
//!   │         ·           ·           ·
//!   └─────────┴───────────┴───────────┴──────────────────────────────────▶ true time
//!    sample    sample      sample      sample, the last one
//!    ε = half the round trip + what the source admits
//! ```
//!
//! # The parts
//!
//! ```text
//!  source::*   kernel, chrony, ClockBound, PTP, peers     what can be asked
//!      │ Sample
//!  Combined    marzullo: what enough agree on, liars named
//!      │ Sample
//!  Disciplined grows, judges age, detects steps, freezes, sleep; one writer, many readers, no lock
//!      │ Reading                                          Monotonic wraps any clock
//!  TrueTime    read, now, after, before over &self
//!      │ Interval
//!  CommitWait · lease::{LeaseVote, LeaseInterval, LogLease} · CausalFloor, NamedFloor
//! ```
//!
//! - [`Interval`] and [`Timestamp`] are plain numbers; all arithmetic rounds outward.
//! - [`TrueTime`] is the clock: a trait over `&self` that can be made into an object.
//! - A [`Source`] is asked for [`Sample`]s; [`Disciplined`] makes a clock of them.
//! - [`marzullo`](marzullo()) and [`Combined`] outvote sources that lie.
//! - [`CommitWait`] waits out the uncertainty; [`lease`] and [`CausalFloor`] build on intervals, and
//!   know nothing of any consensus protocol: they take and give plain numbers. [`NamedFloor`] names the two nodes.
//! - `sim` (a feature) is a world with true time, and machines whose clocks go wrong in every way.
//!
//! # Guarantees
//!
//! - An interval contains true time at some instant between the call and the return, if the oscillator keeps
//!   its bound and the source's sample was right. Nothing is rounded inward, anywhere; a sample's round trip,
//!   the steps a clock counts in, and the second order of the drift are all counted.
//! - No interval without a bound: not synchronised, too old, too wide, disrupted are errors. What is noticed of
//!   steps, freezes, sleep and contradictions makes a clock unknown until samples agree again; see
//!   [`Disciplined`] for what is noticed when.
//! - Reading takes no lock and waits for nobody.
//! - A bound says what kind of promise it is: [`BoundKind`].
//!
//! # The loop
//!
//! ```
//! # #[cfg(all(target_os = "linux", feature = "std"))] {
//! use std::sync::Arc;
//! use std::time::Duration;
//! use synod_truetime::source::FixedEpsilon;
//! use synod_truetime::{CommitWait, Config, Disciplined, SystemClocks, TrueTime};
//!
//! let clocks = SystemClocks::new();
//! let source = FixedEpsilon::new(clocks, Duration::from_millis(1)); // for development: it believes the wall clock
//! let clock = Arc::new(Disciplined::new(source, clocks, Config::default()));
//! clock.poll()?;
//! let _poller = clock.spawn(Duration::from_secs(1))?;
//!
//! // A transaction: its timestamp now, its result when that has certainly passed.
//! let mut wait = CommitWait::start(&clock.now()?);
//! // ... replicate it meanwhile ...
//! wait.wait(&*clock)?;
//! assert!(clock.after(wait.timestamp())?);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A machine that is stopped with all its clocks
//!
//! A hypervisor that pauses or moves a machine stops all of its clocks at once, and no clock shows it. Until the next
//! sample, which contradicts the last one, the interval is wrong by the pause, less its own width. So the window is the
//! time between two polls: one second at `spawn(Duration::from_secs(1))`, 16 at 16; a pause that is shorter than half
//! the interval's width leaves it right. Where the hypervisor tells (`vmclock`), the first reader behind the pause
//! knows, and the window is nothing.
//!
//! # What is left out
//!
//! - Setting any clock. This crate reads; `chronyd` and its like discipline.
//! - Leap seconds: a clock is on the [`Scale`] that its [`Config`] names, and samples of another are refused. On plain
//!   UTC the second before a leap comes twice: smear, or use TAI.
//! - Version 3 of ClockBound's layout.
//! - `vmclock` and [`source::phc`] were tested against pages, clocks and answers made by the documents, never
//!   on hardware.
//!
//! # Features
//!
//! - `std` (on by default): `SystemClocks`, sources that need an operating system, waiting and polling in a
//!   thread. Without it the crate is `no_std` and allocates nothing.
//! - `kernel`: `source::Kernel`, which asks Linux by a system call that only `libc` has.
//! - `tokio`: `CommitWait::wait_tokio`, `Disciplined::wait_synchronised_tokio`.
//! - `tracing`: why polls fail, in the log.
//! - `sim`: `sim`, for the tests of what is built on this crate.
//! - `serde`: `Serialize` and `Deserialize` for timestamps, intervals and promises of votes.
//!
//! Of other targets `wasm32-unknown-unknown` is expected to work without `std`: the arithmetic, the vote, leases, and
//! [`Disciplined`] with [`Clocks`] and a [`Source`] of the caller's; it has no `SystemClocks`.
//!
//! [`Disciplined`], [`Monotonic`] and [`CausalFloor`] need a target with 64-bit atomics; the
//! arithmetic, [`marzullo`](marzullo()), [`CommitWait`] and [`lease`] do not.

#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(target_has_atomic = "64")]
mod anchor;
mod combined;
mod commit_wait;
mod config;
#[cfg(target_has_atomic = "64")]
mod disciplined;
#[cfg(target_has_atomic = "64")]
mod floor;
mod growth;
#[cfg(test)]
mod interleavings;
mod interval;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod journal;
#[cfg(target_has_atomic = "64")]
mod latch;
pub mod lease;
mod local;
mod marzullo;
#[cfg(target_has_atomic = "64")]
mod monotonic;
mod named_floor;
#[cfg(target_has_atomic = "64")]
mod oscillator;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod poller;
#[cfg(target_has_atomic = "64")]
mod register;
mod scale;
#[cfg(feature = "sim")]
pub mod sim;
pub mod source;
mod stratum;
#[cfg(all(feature = "std", target_os = "linux"))]
mod system;
mod timestamp;
mod truetime;
#[cfg(all(feature = "std", unix))]
pub mod vmclock;
#[cfg(any(feature = "std", target_has_atomic = "64"))]
mod watch;
#[cfg(target_has_atomic = "64")]
mod word;

/// The examples of the README run too.
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use combined::Combined;
pub use commit_wait::{CommitWait, Overlap, Wait};
pub use config::Config;
#[cfg(target_has_atomic = "64")]
pub use disciplined::{Disciplined, PollError, Polled};
#[cfg(target_has_atomic = "64")]
pub use floor::{CausalFloor, ClockBoundViolated};
pub use growth::Drift;
pub use interval::{Interval, Reversed};
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub use journal::{Health, LastError, NotYet};
pub use local::{Clocks, Local};
pub use marzullo::{Agreement, NoAgreement, SOURCES_MAX, Tickers, marzullo};
#[cfg(target_has_atomic = "64")]
pub use monotonic::Monotonic;
pub use named_floor::{Contradiction, Floor, NamedFloor};
#[cfg(target_has_atomic = "64")]
pub use oscillator::{OutOfBound, Rates};
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub use poller::{Poller, SpawnError};
pub use scale::{Scale, WrongScale};
pub use source::{Sample, Source, SourceError, Unsynchronized};
pub use stratum::Stratum;
#[cfg(all(feature = "std", target_os = "linux"))]
pub use system::SystemClocks;
pub use timestamp::Timestamp;
pub use truetime::{BoundKind, Disruption, Reading, Status, TimeError, TrueTime};
