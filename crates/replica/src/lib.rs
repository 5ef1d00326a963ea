//! State machine replication: one runtime for any consensus core, log and transport.
//!
//! A deterministic machine that is given the same commands in the same order is in the same state
//! everywhere. A consensus protocol agrees on the order; what is left is what its users get wrong:
//! to write before speaking, to answer each request once, to read what is current, to move
//! snapshots, to keep bounds. This crate is that part, written once for every protocol.
//!
//! ```text
//!  Group::propose ──┐                 ┌──────────── one turn of the host's loop ───────────────┐
//!  Group::read ─────┤ inbox           │                                                        │
//!                   └──────────▶ Engine ── Persist(write) ──▶ Log::append ─▶ sync ─▶ durable ──┤
//!                                 │  ▲ └── Send ───────────▶ Transport::send, flush            │
//!  frames ────────────────────────┼──┘ └── Task ──▶ read the log, write and move snapshots     │
//!                                 │                 (another thread; completions come back)    │
//!                                 └── Job ──▶ Applier ── apply ──▶ StateMachine                │
//!                                                  └── answers, each once ──▶ whoever waits    │
//! ```
//!
//! ```no_run
//! # use synod_replica::{Applying, Bytes, StateMachine, Log, Transport};
//! # #[derive(Default)] struct Kv;
//! # impl Kv { fn get(&self, _: &str) -> Option<String> { None } }
//! # impl StateMachine for Kv {
//! #     type Response = ();
//! #     type Frozen = ();
//! #     fn apply(&mut self, _: Applying, _: Bytes) {}
//! #     fn freeze(&self) {}
//! #     fn write(_: (), _: &mut dyn std::io::Write) -> std::io::Result<()> { Ok(()) }
//! #     fn restore(&mut self, _: &mut dyn std::io::Read) -> std::io::Result<()> { Ok(()) }
//! # }
//! # #[cfg(feature = "raft")]
//! use synod_replica::{Consistency, GroupId, Incarnation, Node, NodeConfig, raft};
//!
//! # #[cfg(feature = "raft")]
//! # async fn run(incarnation: Incarnation, wal: impl Log, transport: impl Transport) -> Result<(), Box<dyn
//! std::error::Error>> { let node = Node::start(incarnation, NodeConfig::default(), wal, transport);
//! let peers = raft::Config::new(raft::NodeId(1), [1, 2, 3].map(raft::NodeId));
//! let group = node.open(GroupId(1), peers, Kv::default()).await?;
//! let response = group.propose("set x 1").await?;     // a response, or Rejected, or Unknown
//! let value = group.read(Consistency::Linearizable, |kv| kv.get("x")).await?;
//! # Ok(()) }
//! ```
//!
//! # Guarantees
//!
//! - **One outcome.** A request ends by its deadline in a response, in
//!   [`Failure::Rejected`] (it did not happen and never will) or in [`Failure::Unknown`] (it may have,
//!   or may yet). Nothing that may have happened is tried again.
//! - **Durable before said.** What tells a peer or a client that this node remembers something is
//!   inside the write that makes it true, and comes out when the log says so.
//! - **Order.** Commands handed to one node are applied in the order of the calls, if at all; also
//!   when they are forwarded, when frames are lost, repeated or reordered, and when leaders change.
//! - **Linearizable reads** from any node, without a write.
//! - **Storage faults are final.** A node whose log fails stops acknowledging, voting and leading;
//!   its requests end, and its peers go on. A node whose disk is merely full refuses new work until
//!   it is not.
//! - **Bounds**, in bytes where bytes matter: [`NodeConfig`]. What is over one is
//!   rejected as [`Reason::Busy`].
//!
//! # What runs in the loop
//!
//! A node has one thread for all its groups, and some of what it runs there is yours: `apply`, `freeze` and
//! `restore` of a machine, closures that read, and the subscriber of `tracing`. What takes long there, or
//! waits for anybody, holds up heartbeats and may cost an election. So a subscriber must not wait for
//! whoever reads its lines: a pipe that nobody empties would stop the node. Give lines to a thread by a
//! bounded queue, and drop and count what does not fit, as `apps/kv` does.
//!
//! # The parts
//!
//! An engine and an applier hold everything that can go wrong and do no I/O; a thin loop drives
//! them in production, and the feature `sim` runs the same two, with the real log, inside
//! `synod-sim`. Whoever drives them otherwise finds them in [`embed`]. A protocol is a consensus core
//! (`raft` and `paxos`, by feature); [`Log`] and [`Transport`] are the world.
//!
//! # Features
//!
//! - `raft` (default): groups by `synod_raft`.
//! - `paxos` (default): groups by `synod_paxos`.
//! - `conformance`: the module `conformance`, suites for a log, a transport or a machine of your own.
//! - `sim`: the module `sim`, to run whole nodes in a simulated world.
//!
//! # Left out
//!
//! Membership change; client sessions that make a client's own retries
//! apply once (a forwarded frame that is repeated *is* applied once); applying on a thread of its own.

pub mod body;
pub mod embed;

mod applier;
mod birth;
mod budget;
mod closed;
#[cfg(feature = "conformance")]
pub mod conformance;
mod drive;
mod engine;
mod events;
mod frame;
mod group;
mod handover;
mod host;
mod identity;
mod incarnation;
mod leave;
mod log;
mod lookout;
mod machine;
mod misfit;
mod node;
mod protocol;
#[cfg(feature = "sim")]
pub mod sim;
mod status;
mod task;
mod time;

pub use birth::Birth;
pub use closed::{Cause, Closed};
pub use engine::{Bounds, Consistency};
pub use group::{Answer, Group};
pub use handover::TransferError;
pub use identity::{ForgetError, Forgotten, Identity, IdentityError, forget};
pub use incarnation::Incarnation;
pub use log::{
    Log, LogError, LogReader, LogSpace, LogStats, RECORD_SPARE_BYTES, Recovered, SnapshotStore,
    ThreadedLog,
};
pub use machine::{Applying, Failure, Reason, StateMachine};
pub use misfit::Misfit;
pub use node::{Node, NodeConfig, OpenGroupError};
pub use protocol::{Configured, Divergence, Epoch, Leap, Position, Role, StepDown};
pub use status::{Peer, Status, StatusWatch};

pub use bytes::Bytes;
#[cfg(feature = "paxos")]
pub use synod_paxos as paxos;
#[cfg(feature = "raft")]
pub use synod_raft as raft;
pub use synod_transport::{self as transport, Lane, NodeId, Parcel, Transport};
pub use synod_wal::{self as wal, GroupId, Lsn, Op, Slot, Snapshot, Tag};
