//! A replicated key-value server that speaks RESP, the demo that kills it, and a load generator.
//!
//! # The problem
//!
//! A key-value server on one machine forgets what its disk forgets and is gone while its machine
//! is. Three of them that agree on the order of all writes are one server that survives the loss of
//! any one, and that forgets nothing it has acknowledged, not even if all of them lose power at
//! once.
//!
//! # How the parts meet
//!
//! ```text
//!  clients ──RESP───> framing ─> request ──┬─ writes ─> Command ─> Group::propose ─┐
//!                     limits    meaning    └─ reads ──> Query ──> Group::read ─────┤
//!                                                                                  │
//!            synod-replica: Node ── consensus core ── synod-transport ──> the other nodes
//!                             │ └── synod-wal ── Directory, or PowerLoss around it
//!                             └──── Kv, the state machine ── snapshots
//! ```
//!
//! - [`Server`] takes connections and cuts them into requests ([`Framer`]); [`parse`] gives them a
//!   meaning; a pipeline is executed run by run, writes with writes and reads with reads.
//! - [`Command`] is what goes through the log, [`Kv`] the state that it changes, the same on every
//!   node.
//! - [`Store`] stands between the two: a replicated group, or one machine in memory ([`Local`]), so
//!   that the server can be tested without a cluster.
//! - [`serve`] puts one node together; [`Protocol`] is the only place that names a consensus
//!   protocol.
//! - [`member`], [`transfer`] and [`status`] ask a cluster as an operator does; [`backup`], [`restore`] and [`recover`]
//!   carry what it holds into another one.
//! - [`demo`] kills real processes under load and checks every promise; [`load`] measures any RESP
//!   server; [`memory`] measures what nodes hold against their [`MemoryLimits`]; [`dump`] shows a
//!   node's log.
//!
//! # What a client may rely on
//!
//! - Any node takes any command; a follower forwards it.
//! - Reads are linearizable: they see every write that was acknowledged before they were asked, by
//!   any client of any node.
//! - An answer to a write means that a majority has it on stable storage.
//! - An error that starts with `UNKNOWN` says that the write may or may not happen; one that starts
//!   with `REJECTED`, that it did not and will not. Both come within the node's `--timeout-ms`.
//!   Nothing is tried twice on a client's behalf. All ends of a request are in `docs/answers.md`.
//! - A write that is asked again under its name takes effect once and gets its first answer: `SESSION NEW` answers an
//!   id, `SESSION id sequence command ..` names a write, up to 64 of them at once, through any node.
//! - A key with a time (`SET .. EX`, `EXPIRE`) is over on all nodes at one point of the log, and not before its
//!   time. It may be there for up to 200 ms longer, and longer while no leader is elected: time stands still then.
//! - Requests of one connection are executed and answered in order, also when they are pipelined.
//!
//! - Any client of Redis may connect, in version 2 or 3 of the protocol. What a client cannot have is
//!   refused; where it would give another meaning to what follows (`MULTI`, `SUBSCRIBE`, `SELECT 1`),
//!   the connection ends with the error, and nothing behind it is obeyed.
//!
//! # Who is served
//!
//! No client holds its place for ever, and none keeps another out by being slow, large or silent.
//! Whoever sends half a request or does not take its answers is cut after `--client-stall-ms`; a host
//! that vanished, after two minutes. When seats run out (`--clients-max`), who has been idle longest
//! gives way to a client that asks for data; `PING` and `INFO` need no seat, so that an operator can
//! always look. When bytes run out (`--clients-bytes-max`), the largest holder goes; 16 KiB are exempt.
//! All bytes of a request count until it is answered, and so do its answers until they are taken.
//!
//! # What protects it
//!
//! Told nothing, a node stays on its machine: it neither listens nor dials where others reach it, and says what
//! can be done about that. Between nodes there is mutual TLS (`--tls-cert`, `--tls-key`, `--tls-ca`, `--tls-crl`),
//! in front of clients TLS (`--resp-tls`), a password (`--requirepass-file`), or both; [`certs`] makes certificates
//! for development. What changes on the disk is read again, and connections outlive that as long as their
//! certificates do.
//!
//! # How it ends
//!
//! A node that cannot go on says so and ends, so that a supervisor can act: its [`ExitStatus`] tells of
//! what kind the reason is, the last line of its log tells the reason itself. Until then `INFO` has it
//! as `closed`, and `PING` is answered with an error.
//!
//! # Left out
//!
//! Times of the day (`EXPIREAT`, `EXAT`), types other than strings, transactions, scripts, publish and subscribe,
//! inline commands, users, and more than one database. Keys are one group: `synod-replica` runs
//! many on a node, and the demo of sharding is another one. The map lives in memory; how large it may
//! become stands in the map itself ([`MapLimits`]), and `CONFIG SET maxmemory` changes it on all nodes
//! at one point of the log.

mod access;
mod advice;
mod answer;
mod backup;
mod capacity;
mod certs;
mod channel;
mod client;
mod clock;
mod cluster;
mod command;
mod connection;
mod consistency;
mod cut;
mod deadlines;
mod demo;
mod descriptors;
mod dump;
mod entry;
mod exit;
mod expire;
mod faults;
mod forget;
mod framing;
mod group;
mod handshake;
mod info;
mod kept;
mod lease;
mod limits;
mod links;
mod load;
mod machine;
mod map;
mod members;
mod memory;
mod names;
mod operate;
mod options;
mod output;
mod password;
mod ports;
mod protocol;
mod query;
mod random;
mod reach;
mod reap;
mod recover;
mod request;
mod response;
mod restore;
mod roster;
mod secure;
mod serve;
mod server;
mod session;
mod snapshot;
mod socket;
mod stop;
mod store;
mod value;

pub use access::Access;
pub use answer::{Answer, Resp};
pub use backup::{BackupError, BackupOptions, backup};
pub use capacity::{ENTRY_BYTES, KEY_BYTES_MAX, MapLimits, VALUE_BYTES_MAX};
pub use certs::{CertsError, CertsOptions, certs};
pub use client::{Client, ClientError, value_of};
pub use cluster::{Cluster, ClusterError, ClusterOptions, Listener, fresh_directory};
pub use command::{Blob, Command, Expiry, LIST_MAX, Unless, When};
pub use consistency::Freshness;
pub use demo::{DemoError, DemoOptions, Scenario, VerifyError, demo};
pub use dump::{DumpError, DumpOptions, dump};
pub use entry::{Entry, Machine};
pub use exit::ExitStatus;
pub use forget::{ForgetOptions, ForgetPeerError, forget};
pub use framing::{Framer, FramingError, RequestLimits};
pub use info::info_field;
pub use lease::Leases;
pub use limits::MemoryLimits;
pub use load::{LoadError, LoadOptions, load};
pub use machine::{Addresses, Kv, Left};
pub use members::Manage;
pub use memory::{MemoryError, MemoryOptions, memory};
pub use operate::{
    AskOptions, MemberCommand, OperateError, StatusOptions, TransferOptions, member, status,
    transfer,
};
pub use options::{Member, ServeOptions};
pub use password::{Password, PasswordError};
pub use protocol::{Agreement, AgreementError, Protocol, Timeouts, TimeoutsError};
pub use query::Query;
pub use reach::ReachOptions;
pub use recover::{RecoverError, RecoverOptions, recover};
pub use request::{Local as LocalRequest, Login, Request, RequestError, command_count, parse};
pub use response::{Refusal, Response};
pub use restore::{RestoreError, RestoreOptions, restore};
pub use secure::{SecurityError, SecurityOptions, Unprotected};
pub use serve::{ServeError, serve};
pub use server::{GRACE, LimitsError, Server, ServerLimits};
pub use snapshot::{read as read_snapshot, write as write_snapshot};
pub use store::{Consensus, Failure, Local, Peer, Store};
pub use value::Value;
