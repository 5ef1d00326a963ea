//! A deterministic simulator of distributed systems in virtual time, and checkers for the observed
//! histories.
//!
//! # The problem
//!
//! A distributed program fails in unexpected interleavings: power is lost between a write and its
//! sync, a message from before a restart arrives after it, two clients overlap in just the wrong
//! way. On real machines such interleavings are rare and not reproducible. Here the unchanged
//! program runs in a simulated world that generates thousands of them from seeds and reproduces
//! each one on demand; and the results that its clients observed are checked against a
//! specification of a dozen lines.
//!
//! # The parts
//!
//! ```text
//!   Campaign: seeds, all cores, a budget          Shrink: the same failure with less
//!      │ a Trial a seed                              │ a Script of what struck
//!      v                                             v
//!  ┌─────────────────────── World ───────────────────────┐
//!  │  queue of events, virtual time, nemesis             │
//!  │     │ one step at a time                            │
//!  │     v                                               │         History              Checker
//!  │  Process n1   Process n2   Process n3  ── network   │  ──> calls, returns,  ──>  + Model  ──> Ok
//!  │     │            │            │                     │      unknown outcomes                   Violation
//!  │  Disk, clocks  Disk, clocks Disk, clocks            │                                         Undecided
//!  └─────────────────────────────────────────────────────┘
//! ```
//!
//! - [`World`] runs [`Process`]es on nodes with [`Disk`]s and clocks, delays, loses and repeats
//!   their messages, and injects [`Fault`]s: drawn by its nemesis, or listed in a [`Script`].
//!   [`Swarm`] draws which kinds occur, and how often.
//! - [`Campaign`] runs many seeds and reports the first that fails, with a command that reproduces
//!   it. [`Shrink`] reduces a failure to a minimal set of faults.
//! - [`History`] records clients' calls and results, including operations with unknown outcome.
//! - [`Checker`] decides whether a history is linearizable against a [`Model`]; [`Kv`] is the model
//!   of a key-value store.
//! - [`serializability`] decides whether a history of transactions is strictly serializable, by what
//!   clients see or by the timestamps that the service claims, and reads and writes Jepsen's format.
//! - [`Rng`] is the random number generator of all draws.
//! - [`search`] explores every schedule of a few nodes exhaustively, instead of sampling schedules.
//! - [`script`] runs human-readable scenarios, and [`cluster`] provides nodes, disks and a network
//!   for them that do nothing by themselves.
//! - [`page`] renders any of these runs as an HTML page.
//!
//! None of them depends on a protocol, a log, or a transport, and the checker works on histories of
//! real servers too. `examples/primary_backup.rs` finds in 150 lines a bug of a small store and
//! prints the run that shows it; `examples/two_phase_commit.rs` explores a protocol until it blocks,
//! and replays that as a script.
//!
//! # Faults
//!
//! - Network: delay, loss, duplication, reordering, copies that arrive seconds later, full links,
//!   clogged links; partitions into sides of any size, isolating one node or the leader, one-way,
//!   or with a bridge.
//! - Process: kill and power loss at any point (between steps, in a step after some of its messages,
//!   in any operation on the disk), power loss of all, pause.
//! - Disk: unsynced writes and names lost, torn, reordered; a sync that fails, stalls, a full disk,
//!   short writes, bit rot on a limited number of nodes.
//! - Clocks: the monotonic clock drifts, stops, jumps, and starts at any value; the wall clock does
//!   so too, has an offset, and is set forward and back.
//!
//! # Guarantees
//!
//! - Equal seeds and calls give equal runs on every machine, shown by [`World::fingerprint`]. The
//!   processes must be deterministic too: no clock but the context's, no threads, no randomness of
//!   their own, no dependence on the order of a hash table.
//! - Each kind of fault has its own generator, and so does each link: switching one kind off does
//!   not change the draws of the others.
//! - A script of the faults of a run reproduces the run.
//! - The checkers' answers are exact in both directions. If one cannot decide, it reports so, which
//!   does not count as a pass.
//!
//! # The loop
//!
//! A test makes a world from a seed, submits inputs with [`World::inject`], and runs it with
//! [`World::step`], [`World::run_until`] or [`World::run_while`] while faults are injected by
//! [`WorldOptions`] or by the test's own [`World::strike`]. This tests safety. For liveness it then
//! ends the faults with [`World::stop_faults`], or only within a core with [`World::heal_core`], and
//! requires progress within a bound of virtual time. Finally it checks the history. A run that
//! panics under a [`Campaign`] is reported with its seed, its options and faults, and the last
//! events; [`World::story`] prints them with a column for each node, and a [`page`] shows the whole
//! run.
//!
//! # Out of scope
//!
//! - Reads that fail, misdirected writes, and stale reads of a disk; a disk that is wiped while its
//!   node keeps its id (pass another [`Disk`] to [`World::with_disks`]).
//! - Nodes that join while a world runs: create all of them at the beginning.
//! - Disk operations take no time, except for syncs by [`Context::start_sync`].
//! - Threads: a process is a single value that handles one event at a time.

#![forbid(unsafe_code)]

mod campaign;
pub mod cluster;
mod disk;
mod history;
mod kv;
mod linearizability;
pub mod page;
mod panic;
mod rng;
pub mod script;
pub mod search;
pub mod serializability;
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

/// Keeps the README's example running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
