//! Raft as a pure state machine: no I/O, no clock, no threads, and durability in the types.
//!
//! # The problem
//!
//! A few machines shall act as one that does not fail: agree on one sequence of commands, although
//! any of them may stop at any time and the network may lose, repeat, delay and reorder messages.
//! Raft (Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm*, extended
//! version, 2014; sections are cited as §, the thesis of 2014 as "thesis §") elects a leader that
//! orders the commands, and commits one once a majority holds it durably.
//!
//! # The model
//!
//! Nodes crash and come back with what was durable (crash-recovery), and do not lie. Nothing about
//! safety rests on time. For progress a majority must be up and messages must arrive within an
//! election timeout. [`Raft`] is one node of one group: a value. What happened goes in, with the
//! time it happened; what to do comes out. The driver owns the log, the network, the clock and the
//! state machine.
//!
//! ```text
//!   handle_message  handle_timeout  propose  read              handle_persisted
//!         │               │            │       │                     ▲
//!         ▼               ▼            ▼       ▼                     │ receipt
//!  ┌──────────────────────────────────────────────┐   Persist   ┌────┴─────┐ messages that
//!  │ Raft: term, vote, log tail, role             ├────────────▶│  Write   ├─ had to wait ─▶ peers
//!  │                                              │             └──────────┘
//!  └──┬────────┬───────┬──────────┬──────────┬────┘
//!     │ Send   │ Apply │ Read     │ Fetch    │ PullSnapshot, Restore
//!     ▼        ▼       ▼          ▼          ▼
//!   peers   machine  callers     log      snapshot files
//! ```
//!
//! # The loop
//!
//! ```
//! use core::convert::Infallible;
//! use bytes::Bytes;
//! use synod_raft::{Config, Entry, Instant, Kind, LogId, NodeId, Output, Raft, Recovered};
//!
//! // A group of one, so that nobody needs to be heard.
//! let config = Config::new(NodeId(1), [NodeId(1)]);
//! let empty = Recovered {
//!     vote: None,
//!     start: LogId::ZERO,
//!     snapshot: None,
//!     entries: core::iter::empty::<Result<Entry, Infallible>>(),
//! };
//! let mut raft = Raft::new(config, empty, Instant::ZERO).unwrap();
//! let mut disk = Vec::new();
//! let mut applied = Vec::new();
//!
//! let now = raft.poll_timeout().unwrap();
//! raft.handle_timeout(now); // nobody leads: campaign
//! for command in [None, Some("hello")] {
//!     if let Some(command) = command {
//!         raft.propose(now, Bytes::from_static(command.as_bytes())).unwrap();
//!     }
//!     while let Some(output) = raft.poll_output() {
//!         match output {
//!             Output::Persist(write) => {
//!                 let stored = write.persist(|record| Ok::<(), Infallible>(disk.push(record)));
//!                 let Ok((messages, receipt)) = stored;
//!                 assert!(messages.is_empty()); // to a peer, if there were one: only now
//!                 raft.handle_persisted(now, receipt);
//!             }
//!             Output::Apply(entries) => {
//!                 let commands = entries.iter().filter(|entry| entry.kind == Kind::Command);
//!                 applied.extend(commands.map(|entry| entry.body.clone()));
//!             }
//!             Output::Send(envelope) => unreachable!("no peer to send {envelope:?} to"),
//!             Output::Fetch(_) | Output::Read { .. } => {}
//!             Output::PullSnapshot { .. } | Output::Restore(_) => {}
//!             Output::Stop(why) => panic!("{why}"),
//!         }
//!     }
//! }
//! assert_eq!(applied, ["hello"]);
//! assert_eq!(disk.len(), 3); // the vote, the first entry of the term, the command
//! ```
//!
//! Feed it all inputs that there are, then drain it: what was proposed by then travels as one, see
//! [`Raft::poll_output`].
//!
//! Rules for a driver: hand the receipt back once the record is durable, in any thread, at any
//! later time; after a failed write poll no more and drop the value; answer each [`Fetch`]; with
//! [`Output::Restore`] throw away what was applied and begin from that snapshot. Skipping or
//! delaying anything else is safe and only slow.
//!
//! # Guarantees
//!
//! The five properties of Figure 3, listed at [`Raft`] and asserted in debug builds. Beyond them:
//!
//! - what tells a peer that this node remembers something is a [`Binding`] and travels inside the
//!   [`Write`] that makes it true. The leader's [`Replicate`] messages and the [`Echo`]es need no
//!   write;
//! - one write is in flight at a time; whatever happens meanwhile is in the next one (group
//!   commit);
//! - own vote and own acknowledgement count when their write is durable, not before, and by the receipt
//!   of the core value that made it; another's is refused and counted;
//! - entries are shared in runs ([`Entries`]): what was proposed together is one allocation for the disk,
//!   for every peer and for the machine, and nobody copies it;
//! - each accepted read ends in exactly one [`Output::Read`];
//! - input of a peer never panics and is never an error: nonsense is ignored and counted in
//!   [`Counters`];
//! - memory is bounded by [`Config`]: cached, in-flight and uncommitted bytes, reads, messages that
//!   wait.
//!
//! # Words
//!
//! | paper | here |
//! |---|---|
//! | currentTerm, votedFor | [`Op::Vote`], durable together |
//! | commitIndex | [`Status::commit`]; volatile, never stored |
//! | lastApplied | [`Status::delivered`]: delivered, the driver knows what it applied |
//! | nextIndex, matchIndex | [`PeerStatus::next`], [`PeerStatus::matched`] |
//! | AppendEntries | [`Replicate::Append`]; the empty one as a heartbeat is [`Replicate::Heartbeat`] |
//! | AppendEntries result | [`Binding::Appended`] if true, [`Echo::Rejected`] if false |
//! | RequestVote and its result | [`Binding::RequestVote`], [`Binding::Vote`] |
//! | InstallSnapshot | [`Replicate::Snapshot`] (an offer), [`Output::PullSnapshot`], [`Binding::Installed`] |
//! | lastIncludedIndex, lastIncludedTerm | [`Snapshot::last`]; of the log: [`Op::Start`] |
//! | leadership transfer (thesis §3.10) | [`Raft::transfer`], [`Replicate::TimeoutNow`] |
//! | server, cluster | node, group |
//!
//! # Steps that are not in the papers
//!
//! Each with why it is sound.
//!
//! - *A follower acknowledges what it knows to be committed to a leader that has sent it no entry
//!   yet: the first heartbeat asks with `matched`, and is answered with the committed prefix*: what
//!   is committed is in the log of every leader of a later term (Leader Completeness, §5.4), and a
//!   log that holds an entry of another holds all before it (Log Matching), so up to there the logs
//!   are equal; the acknowledgement goes by the same way as any, after the write.
//! - *Heartbeats carry no `prev`*: a follower takes their commit index only as far as it has itself
//!   seen its log match this leader's, which is the same test made earlier.
//! - *A heartbeat tells its receiver how far it has acknowledged*: it is what the receiver said;
//!   one that did more repeats it, and one that holds less has lost it and stops, see below.
//! - *A commit index travels alone ([`Replicate::Commit`])*: as in a heartbeat.
//! - *A refused append is answered with the last position that can match, and both sides step over
//!   whole terms*: no position between can match, terms never falling along a log (§5.3 sketches
//!   it).
//! - *`RequestVote` leaves only with its term durable, and nobody leads without its own vote
//!   durable*: stricter than the paper, see [`Binding::RequestVote`].
//! - *Votes are refused, term unseen, while a leader is heard; pre-votes*: thesis §4.2.3, §9.6;
//!   refusing is always safe.
//! - *`TimeoutNow` names the leader's last round of heartbeats and the end of its log, and is obeyed only by
//!   a follower that holds that much and has heard no later round*: not campaigning is always safe, and so a
//!   message of a transfer that was given up deposes nobody. It is sent again with each heartbeat.
//! - *A message of a term more than [`Term::LEAP_MAX`] above the stored one is taken for a lost one*:
//!   a message may always be lost. Smaller leaps are taken, since a node may have been away for
//!   years, and to climb by them costs a write each. A node that hears no leader climbs by one when it
//!   hears of more ([`Leap`]): to enter a term without a vote is always safe.
//! - *A node with a write under way does not campaign, one with a slow or full disk waits longer*:
//!   not campaigning is always safe; [`Raft::handle_disk`] bounds the wait.
//! - *A leader steps down whose disk stalls ([`Config::write_stall_max`]), or is full while a
//!   follower that lacks nothing has room; or that hears no quorum with room for as long, and does not
//!   hear all*: stepping down is always safe; what it says next as a follower binds it no less.
//! - *A snapshot that covers what the log holds commits it*: a snapshot covers what is committed.
//! - *An append whose `prev` lies before the start is taken*: what lies before the start is
//!   committed, and so equal in every later leader's log.
//!
//! # When a node stops
//!
//! [`Output::Stop`] says that what this node has on its disk cannot be what it had, or another's
//! cannot. There are two proofs, and both rest on the contract of this crate, that nodes do not lie
//! about what they hold: a leader whose log, or whose snapshot, differs from what is committed here
//! ([`Stop::Diverged`]), and a leader that was told of more in this term than is here
//! ([`Stop::Forgot`]). A late message proves neither: what a leader has at an index it has there for
//! as long as its term lasts, what it was told it was told, and a message of an earlier term is not
//! looked at. A liar can stop a node, as it can mislead it by any other word; the transport keeps
//! liars out.
//!
//! Of a node that [forgot](Echo::Forgot) its leader counts neither copy nor contact, so a group that
//! needs it has no leader, instead of one that waits for ever, until others are there. In a later
//! term nobody knows any more what the node had said: a disk that lost something must not come back
//! under its name, for which the driver needs an identity on that disk.
//!
//! # Deviations and omissions
//!
//! - Pre-vote, leader stickiness and check-quorum (thesis §9.6, §4.2.3, §6.2) are on by default. A
//!   leader whose own disk stalls steps down ([`Config::write_stall_max`]), and a node with a write
//!   under way does not campaign. A follower whose disk stalls still counts as heard: a leader that
//!   needs its copy leads on without committing until the stall ends.
//! - A snapshot's bytes are pulled by the receiver's driver instead of pushed in chunks by the
//!   leader.
//! - Voters are fixed. [`Membership`] travels in snapshots and [`Kind::Membership`] entries are
//!   replicated and delivered, but nothing here changes who votes yet; reads by lease (thesis §6.4.1) are
//!   not offered.
//!
//! # Inside
//!
//! What a node knows in every role is one struct, and each role is another. A role's methods take
//! both and can touch nothing else; where the role may end, they answer which is next, and
//! [`Raft`] alone makes the change. A file knows those in the rows below it, and its own children.
//!
//! - *The value*: `deliver`, which message is for which role, and the rules about terms before that;
//!   `raft`, the other inputs and the change of roles; `poll`, the outputs; `recover`, `status`,
//!   `invariants`.
//! - *Roles*: `role`, which is `follower`, one of `candidate`, or `leader` with how it replicates,
//!   reads and steps down. `election`: a voter's duties, which are no role's.
//! - *What a role knows*: `node`, which every role does, with `log`, `machine`, `outbox`, `quorum`,
//!   `pace` and `due`, which says what there is to do; `progress`, `backoff`, `read` and
//!   `uncommitted`, which are the leader's; `step`, what it answers.
//! - *Words*: `message`, `output`, `entry`, `entries`, `config` and the like. [`synod_durable`] has the
//!   types that keep a message inside its write.
//!
//! # Features
//!
//! `serde`: `Serialize` and `Deserialize` for messages and what they carry. `check`: the module of
//! that name, the rules of this page as a value that a test of a driver carries along. The crate is
//! `no_std` with `alloc`, with and without them.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod backoff;
mod candidate;
#[cfg(feature = "check")]
pub mod check;
mod config;
mod counters;
mod deliver;
mod disk;
mod due;
mod election;
mod entries;
mod entry;
mod error;
mod follower;
mod invariants;
mod leader;
mod log;
mod machine;
mod membership;
mod message;
mod node;
mod outbox;
mod output;
mod pace;
mod poll;
mod progress;
mod quorum;
mod raft;
mod random;
mod read;
mod recover;
mod role;
mod snapshot;
mod status;
mod step;
mod stop;
mod time;
mod uncommitted;

pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use disk::DiskHealth;
pub use entries::Entries;
pub use entry::{Entry, Index, Kind, LogId, Term};
pub use error::{FetchError, ProposeError, ReadError, RecoverError, Refusal, TransferError};
pub use membership::{Membership, MembershipError, NodeId};
pub use message::{Binding, Echo, Envelope, Message, Replicate};
pub use output::{Fetch, Op, Output, Own, Receipt, Record, Staged, Wanted, Write};
pub use raft::Raft;
pub use read::ReadId;
pub use recover::Recovered;
pub use role::Role;
pub use snapshot::Snapshot;
pub use status::{Leap, PeerState, PeerStatus, Status};
pub use step::StepDown;
pub use stop::Stop;
pub use time::Instant;
