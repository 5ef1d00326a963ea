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
//!   their messages, and lets [`Fault`]s strike: drawn by its nemesis, or written in a [`Script`].
//!   [`Swarm`] draws which kinds there are, and how strong.
//! - [`Campaign`] runs many seeds and reports the first that fails, with one command that repeats
//!   it. [`Shrink`] turns a failure into the few faults that it takes.
//! - [`History`] notes what clients called and what came back, and keeps honest about what nobody
//!   knows.
//! - [`Checker`] decides whether a history is linearizable against a [`Model`]; [`Kv`] is the model
//!   of a key-value store.
//! - [`Rng`] makes all draws.
//! - [`search`] visits every schedule of a few nodes, instead of drawing some of many.
//! - [`script`] plays stories that a person reads, and [`cluster`] has nodes, disks and a network for
//!   them that do nothing by themselves.
//! - [`page`] makes a page for a browser of any of these runs.
//!
//! None of them knows a protocol, a log, or a transport, and the checker works on histories of real
//! servers too. `examples/primary_backup.rs` draws in 150 lines what a small store does wrong and
//! tells the story of the run that shows it; `examples/two_phase_commit.rs` explores a protocol until
//! it blocks, and plays that in a script.
//!
//! # What goes wrong
//!
//! - Network: delay, loss, duplication, reordering, copies that come seconds later, full links,
//!   clogged links; partitions into sides of any sizes, with one node or the leader apart, one way,
//!   or with a bridge.
//! - Process: kill and power loss at any point (between steps, in a step after some of its messages,
//!   in any operation on the disk), power loss of all, pause.
//! - Disk: unsynced writes and names lost, torn, reordered; a sync that fails, stalls, a full disk,
//!   short writes, bits that rot within a budget of nodes.
//! - Clocks: the monotonic one drifts, stands still, leaps, and begins anywhere; the wall clock does
//!   so too, has an offset, and is set forward and back.
//!
//! # Guarantees
//!
//! - Equal seeds and calls give equal runs on every machine, shown by [`World::fingerprint`]. The
//!   processes must do their part: no clock but the context's, no threads, no draws of their own, no
//!   order of a hash table.
//! - Each kind of fault draws from a generator of its own, and so does each link: switching one
//!   kind off leaves the draws of the others alone.
//! - A script of what struck in a run lets the same run come again.
//! - The checker's answer is exact in both directions. If it cannot decide within its budget, it
//!   says so, and that is not a pass.
//!
//! # The loop
//!
//! A test makes a world from a seed, feeds it with [`World::inject`], and lets it run with
//! [`World::step`], [`World::run_until`] or [`World::run_while`] while faults strike by
//! [`WorldOptions`] or by the test's own [`World::strike`]. That was safety. Then liveness: it ends
//! the faults with [`World::stop_faults`], or only within a core with [`World::heal_core`], and
//! demands progress within a bound of virtual time. At last it checks the history. A run that panics
//! under a [`Campaign`] is reported with its seed, what was drawn, and the last events;
//! [`World::story`] draws them with a column for each node, and a [`page`] shows all of the run.
//!
//! # What is left out
//!
//! - Reads that fail, misdirected writes, and stale reads of a disk; a disk that is wiped under an
//!   old name (bring another [`Disk`] with [`World::with_disks`]).
//! - Nodes that join while a world runs: give it all of them at the beginning.
//! - A disk operation takes no time by itself; [`Context::start_sync`] lets a sync take some.
//! - Threads: a process is one value that takes one event at a time.

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
