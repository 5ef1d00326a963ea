//! State machine replication: one runtime for any consensus core, log and transport.
//!
//! If every node applies the same commands in the same order to a deterministic state machine, all
//! nodes reach the same state. A consensus protocol agrees on the order. This crate does everything
//! else: it persists before it sends, answers each request exactly once, serves linearizable reads,
//! transfers snapshots, and bounds every queue. It is written once, for every protocol.
//!
//! ```text
//!  Group::propose ──┐                 ┌────────────── one turn of the node's loop ─────────────┐
//!  Group::read ─────┤ inbox           │                                                        │
//!                   └──────────▶ Engine ── Persist(write) ──▶ Log::append ─▶ sync ─▶ durable ──┤
//!                                 │  ▲ └── Send ───────────▶ Transport::send, flush            │
//!  frames ────────────────────────┼──┘ └── Task ──▶ read the log, write and move snapshots     │
//!                                 │                 (another thread; completions come back)    │
//!                                 └── Job ──▶ Applier ── apply ──▶ StateMachine                │
//!                                                  └── one answer for each request ──▶ caller  │
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
//! # async fn run(incarnation: Incarnation, wal: impl Log, transport: impl Transport)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::start(incarnation, NodeConfig::default(), wal, transport);
//! let peers = raft::Config::new(raft::NodeId(1), [1, 2, 3].map(raft::NodeId));
//! let group = node.open(GroupId(1), peers, Kv::default()).await?;
//! let response = group.propose("set x 1").await?; // or an error: Rejected or Unknown
//! let value = group.read(Consistency::Linearizable, |kv| kv.get("x")).await?;
//! # Ok(()) }
//! ```
//!
//! # Guarantees
//!
//! - **One outcome.** By its deadline, each request ends in a response, in [`Failure::Rejected`]
//!   (it did not take effect and never will) or in [`Failure::Unknown`] (it may have taken effect,
//!   or may yet). A request that may have taken effect is never retried.
//! - **Durable before sent.** A message or response that promises that this node remembers
//!   something is held inside the write that stores it, and is released when the log reports that
//!   write durable.
//! - **Order.** Commands proposed on one node are applied in the order of the calls, if at all.
//!   This holds when they are forwarded, when frames are lost, duplicated or reordered, and across
//!   leader changes.
//! - **Linearizable reads** from any node, without a write to the log, and cheaper ones for who wants
//!   less, see [`Consistency`]. Reads by lease rest on clocks, and only they: the configuration states
//!   how far these may drift, and on Linux the node holds its clock against two others, so that a machine
//!   that was suspended, or a clock that is driven too fast, costs the lease. No node can notice that all
//!   of its clocks have stood still.
//! - **Storage faults are final.** A node whose log fails stops acknowledging, voting and leading.
//!   Its requests end, and its peers continue without it. A node whose disk is merely full refuses
//!   new work until there is space.
//! - **Bounds**, in bytes where bytes matter: see [`NodeConfig`]. A request that exceeds one is
//!   rejected as [`Reason::Busy`].
//!
//! # What runs in the loop
//!
//! A node runs all its groups on one thread, and some of your code runs there too: a machine's
//! `apply`, `freeze` and `restore`, the closures passed to `read`, and the `tracing` subscriber.
//! Code that is slow or blocks there delays heartbeats and may cost an election. In particular, a
//! subscriber must not block on its reader: a full pipe would stop the node. Hand lines to a thread
//! through a bounded queue, and drop and count those that do not fit, as `apps/kv` does.
//!
//! # The parts
//!
//! The engine and the applier contain all the logic and do no I/O. A thin loop drives them in
//! production; with the feature `sim` the same two, with the real log, run inside `synod-sim`. To
//! drive them from a loop of your own, see [`embed`]. A protocol is a consensus core (`raft` or
//! `paxos`, chosen by feature); [`Log`] and [`Transport`] connect a node to its disk and its
//! network.
//!
//! # Features
//!
//! - `raft` (default): groups that run `synod_raft`.
//! - `paxos` (default): groups that run `synod_paxos`.
//! - `conformance`: the module `conformance`, with test suites for your own log, transport or
//!   machine.
//! - `sim`: the module `sim`, which runs whole nodes in a simulated world.
//!
//! # Decorators of machines
//!
//! They go around any machine and into each other, and are the same for every protocol:
//!
//! - [`Sessions`]: a client that asks again gets the first answer, and its command takes effect once.
//! - [`Timed`]: a time that all replicas agree on, by which things expire.
//! - [`Fenced`]: the commands of a leader that is gone take no effect.
//!
//! # Messages beside the groups
//!
//! A system of several groups has things to say that belong into no log. A [`Channel`] carries messages of
//! the application between nodes over the connections that they have, without delaying the groups. It
//! promises as little as a [`Transport`].
//!
//! # Left out
//!
//! Applying commands on a separate thread.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body;
pub mod embed;

mod applier;
mod birth;
mod budget;
mod change;
mod channel;
mod clocks;
mod closed;
#[cfg(feature = "conformance")]
pub mod conformance;
mod consistency;
mod destroy;
mod drive;
mod engine;
mod events;
pub mod fenced;
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
mod members;
mod misfit;
mod node;
mod peers;
mod protocol;
mod salvage;
mod seed;
pub mod sessions;
#[cfg(feature = "sim")]
pub mod sim;
mod status;
mod task;
mod time;
pub mod timed;
mod varint;

pub use birth::Birth;
pub use channel::{
    Channel, ChannelBounds, ChannelId, ChannelMessage, ChannelStats, OpenChannelError, SendError,
};
pub use closed::{Cause, Closed};
pub use consistency::Consistency;
pub use destroy::DestroyError;
pub use engine::Bounds;
pub use fenced::{Ended, Fenced, FencedCommand, FencedReply, Reign, ReignId};
pub use group::{Answer, Group};
pub use handover::TransferError;
pub use identity::{ForgetError, Forgotten, Identity, IdentityError, Owner, forget, owner};
pub use incarnation::Incarnation;
pub use log::{
    Log, LogError, LogReader, LogSpace, LogStats, RECORD_SPARE_BYTES, Recovered, SnapshotStore,
    ThreadedLog,
};
pub use machine::{Applying, Failure, Reason, StateMachine};
pub use members::{Change, ChangeEnd, ChangeError, ChangePhase, ChangeStatus, Member, Members};
pub use misfit::Misfit;
pub use node::{Node, NodeConfig, OpenGroupError};
pub use protocol::{Configured, Divergence, Epoch, Leap, Position, Role, StepDown};
pub use salvage::{SalvageError, Salvaged, salvage};
pub use seed::{SeedError, seed};
pub use sessions::{
    Heard, Next, Sequence, SessionClient, SessionCommand, SessionId, SessionLimits, SessionMachine,
    SessionName, SessionRefusal, SessionReply, Sessions,
};
pub use status::{Peer, Status, StatusWatch};
pub use timed::{LogTime, LoggedTime, Timed, TimedCommand, TimedMachine, TimedReply, Timekeeper};

pub use bytes::Bytes;
#[cfg(feature = "paxos")]
pub use synod_paxos as paxos;
#[cfg(feature = "raft")]
pub use synod_raft as raft;
pub use synod_transport::{self as transport, Lane, NodeId, Parcel, Transport};
pub use synod_wal::{self as wal, GroupId, Lsn, Op, Slot, Snapshot, Tag};

/// Keeps the README's example running.
#[cfg(all(doctest, feature = "raft"))]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
