//! TrueTime for commodity machines: an interval that contains true time, from real clocks, or an
//! error.
//!
//! # The problem
//!
//! An ordinary clock returns one number with an unknown error. Timestamps of two machines can be compared only if the
//! error of each is known. Spanner (OSDI 2012) made the error part of the reading: its clock returns an interval that
//! contains true time. With it a database can wait out the uncertainty, a leader can hold a lease that no other
//! leader holds at the same instant, and an event can be *certainly* before another one. The interval must always
//! contain true time: one that almost always does is worse than none, because systems built on it fail silently.
//!
//! # The model
//!
//! Every machine has an oscillator that runs within a stated bound of true time (200 ppm unless told otherwise). From
//! time to time a source provides an interval for true time; in between, the interval is extrapolated by the
//! oscillator and grows with its drift:
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
//!  source::*   kernel, chrony, ClockBound, PTP, peers     time sources
//!      │ Sample
//!  Combined    marzullo: agreement of a majority, with falsetickers identified
//!      │ Sample
//!  Disciplined grows, checks age, detects steps, freezes, suspends; one writer, many readers, no lock
//!      │ Reading                                          Monotonic wraps any clock
//!  TrueTime    read, now, after, before over &self
//!      │ Interval
//!  CommitWait · lease::{LeaseVote, LeaseInterval, LogLease} · CausalFloor, NamedFloor
//! ```
//!
//! - [`Interval`] and [`Timestamp`] are plain numbers; all arithmetic rounds outward.
//! - [`TrueTime`] is the clock: an object-safe trait over `&self`.
//! - A [`Source`] provides [`Sample`]s; [`Disciplined`] makes a clock from them.
//! - [`marzullo`](marzullo()) and [`Combined`] outvote wrong sources.
//! - [`CommitWait`] waits out the uncertainty; [`lease`] and [`CausalFloor`] build on intervals and are
//!   independent of any consensus protocol: they take and return plain numbers. [`NamedFloor`] also identifies the
//!   two nodes.
//! - `sim` (a feature) simulates true time, and machines with all kinds of clock faults.
//!
//! # Guarantees
//!
//! - An interval contains true time at some instant between the call and the return, if the oscillator keeps
//!   its bound and the source's sample was right. All rounding is outward; the round trip of a sample, the
//!   granularity of the clocks, and the second-order term of the drift are included.
//! - Without a valid bound there is an error instead of an interval: not synchronised, too old, too wide, or
//!   disrupted. A detected step, freeze, suspend or contradiction makes a clock unsynchronised until samples
//!   agree again; see [`Disciplined`] for what is detected when.
//! - Reading takes no lock and never blocks.
//! - Each bound has a kind, hard or statistical: [`BoundKind`].
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
//! let source = FixedEpsilon::new(clocks, Duration::from_millis(1)); // for development: trusts the wall clock
//! let clock = Arc::new(Disciplined::new(source, clocks, Config::default()));
//! clock.poll()?;
//! let _poller = clock.spawn(Duration::from_secs(1))?;
//!
//! // A transaction: choose its timestamp now, release its result when that has certainly passed.
//! let mut wait = CommitWait::start(&clock.now()?);
//! // ... replicate it meanwhile ...
//! wait.wait(&*clock)?;
//! assert!(clock.after(wait.timestamp())?);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Virtual machines that are paused
//!
//! A hypervisor that pauses or migrates a machine stops all of its clocks at once, which no clock can show. Until the
//! next sample, which contradicts the last one, the interval is wrong by the pause, less its own width. The window is
//! thus the time between two polls: one second with `spawn(Duration::from_secs(1))`. A pause shorter than half the
//! interval's width leaves the interval right. Where the hypervisor reports pauses (`vmclock`), the first read after
//! the pause detects it, and there is no window.
//!
//! # Out of scope
//!
//! - Setting any clock. This crate only reads clocks; daemons such as `chronyd` discipline them.
//! - Leap seconds: a clock is on the [`Scale`] that its [`Config`] names, and samples of another are rejected. On
//!   plain UTC the second before a leap occurs twice: use smeared UTC, or TAI.
//! - Version 3 of ClockBound's layout.
//! - `vmclock` and [`source::phc`] were tested against data built from their specifications, never on
//!   hardware.
//!
//! # Features
//!
//! - `std` (on by default): `SystemClocks`, sources that need an operating system, waiting and polling in a
//!   thread. Without it the crate is `no_std` and allocates nothing.
//! - `kernel`: `source::Kernel`, which makes a Linux system call through `libc`.
//! - `tokio`: `CommitWait::wait_tokio`, `Disciplined::wait_synchronised_tokio`.
//! - `tracing`: logs why polls fail.
//! - `sim`: the module `sim`, for tests of code that uses this crate.
//! - `serde`: `Serialize` and `Deserialize` for timestamps, intervals and vote promises.
//!
//! The target `wasm32-unknown-unknown` is expected to work without `std`: the arithmetic, voting, leases, and
//! [`Disciplined`] with the caller's own [`Clocks`] and [`Source`]; it has no `SystemClocks`.
//!
//! [`Disciplined`], [`Monotonic`] and [`CausalFloor`] need a target with 64-bit atomics; the
//! arithmetic, [`marzullo`](marzullo()), [`CommitWait`] and [`lease`] do not.

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
