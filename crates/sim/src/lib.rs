//! A deterministic world in virtual time, and checkers of what was seen in it.
//!
//! # The problem
//!
//! A distributed program fails in the orders that nobody thought of: the power goes between a write
//! and its sync, a message from before the restart comes after it, two clients overlap just so. On
//! real machines such orders are rare and never come twice. Here the program runs, unchanged, in a
//! world that draws them by the thousand from a seed and repeats each one at will; and what its
//! clients saw is held against a definition of correct that is a dozen lines long.
//!
//! # The parts
//!
//! ```text
//!             seed
//!              │ draws delays, losses, crashes, partitions
//!              v
//!  ┌─────────────────────── World ───────────────────────┐
//!  │  queue of events, virtual time                      │
//!  │     │ one step at a time                            │
//!  │     v                                               │         History              Checker
//!  │  Process n1   Process n2   Process n3  ── network   │  ──> calls, returns,  ──>  + Model  ──> Ok
//!  │     │            │            │                     │      unknown outcomes                   Violation
//!  │   Disk         Disk         Disk                    │                                         Undecided
//!  └─────────────────────────────────────────────────────┘
//! ```
//!
//! - [`World`] runs [`Process`]es on nodes with [`Disk`]s, delays, loses and repeats their
//!   messages, and ends them where it hurts: between steps, in a step after some of its messages,
//!   in any operation on the disk, by a kill or a power loss.
//! - [`History`] notes what clients called and what came back, and keeps honest about what nobody
//!   knows.
//! - [`Checker`] decides whether a history is linearizable against a [`Model`]; [`Kv`] is the model
//!   of a key-value store.
//! - [`Rng`] makes all draws.
//!
//! None of them knows a protocol, a log, or a transport, and the second half works on histories of
//! real servers too.
//!
//! # Guarantees
//!
//! - Equal seeds and calls give equal runs on every machine, shown by [`World::fingerprint`]. The
//!   processes must do their part: no clock, no threads, no draws of their own, no order of a hash
//!   table.
//! - The checker's answer is exact in both directions. If it cannot decide within its budget, it
//!   says so, and that is not a pass.
//!
//! # The loop
//!
//! A test makes a world from a seed, feeds it with [`World::inject`], lets it run with
//! [`World::step`], [`World::run_until`] or [`World::run_while`], strikes by itself or through
//! [`WorldOptions`], then ends the faults with [`World::stop_faults`], demands progress within a
//! bound of virtual time, and checks the history. When something is wrong it prints the world:
//! seed, options, last events.
//!
//! # What is left out
//!
//! Read errors, misdirected writes and wiped disks; processes that come and go while a world runs.
//! Threads: a process is one value that takes one event at a time.

mod campaign;
mod disk;
mod history;
mod kv;
mod linearizability;
mod rng;
mod shrink;
mod value;
mod world;

pub use campaign::{Campaign, Coverage, Ended, EnvironmentError, Failure, Report, Trial};
pub use disk::{Disk, DiskOptions, DiskStats, FILE_BYTES_MAX, SECTOR_BYTES};
pub use history::{ClientId, Counts, History, Moment, OpId, Operation, Outcome, RecordError};
pub use kv::{KeyName, Kv, KvInput, KvOutput, KvRequest};
pub use linearizability::{Checker, Effect, Model, Verdict, Violation, check};
pub use rng::Rng;
pub use shrink::{Shrink, Shrunk};
pub use value::Value;
pub use world::{
    ClockChange, Context, Crash, Event, Fault, FaultKind, NodeId, Process, Script, ScriptError,
    Start, Strike, Swarm, World, WorldOptions, WorldStats,
};
