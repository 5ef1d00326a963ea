//! Paxos as a pure state machine: no I/O, no clock, no threads, and durability in the types.
//!
//! # The problem
//!
//! A few machines shall act as one that does not fail: agree on one sequence of values, although
//! any of them may stop at any time and the network may lose, repeat, delay and reorder messages.
//! Paxos (Lamport, *The Part-Time Parliament*, 1998, and *Paxos Made Simple*, 2001, whose sections
//! are cited as §) decides one value: see [`single`]. [`Paxos`] is that once for each *slot* of a
//! sequence, with one leader for all of them: phase 1 once, then one round trip a value (§3).
//!
//! # The model
//!
//! Nodes crash and come back with what was durable (crash-recovery), and do not lie. Nothing about
//! safety rests on time. For progress a quorum of each phase must be up and connected to one node,
//! and messages must arrive within an election timeout. [`Paxos`] is one node of one group,
//! proposer, acceptor and learner in one: a value. What happened goes in, with the time it
//! happened; what to do comes out. The driver owns the log, the network, the clock and the state
//! machine.
//!
//! ```text
//!   handle_message  handle_timeout  propose  read              handle_persisted
//!         │               │            │       │                     ▲
//!         ▼               ▼            ▼       ▼                     │ receipt
//!  ┌──────────────────────────────────────────────┐   Persist   ┌────┴─────┐ messages that
//!  │ Paxos: promise, votes, chosen prefix, role   ├────────────▶│  Write   ├─ had to wait ─▶ peers
//!  │                                              │             └──────────┘
//!  └──┬────────┬───────┬──────────┬──────────┬────┘
//!     │ Send   │ Apply │ Read     │ Fetch    │ PullSnapshot, Restore
//!     ▼        ▼       ▼          ▼          ▼
//!   peers   machine  callers     log      snapshot files
//! ```
//!
//! # The life of a value
//!
//! ```text
//!   slot        1     2     3     4     5     6     7
//!   acceptor A  a     b     c     ·     e                  votes, with the ballot of each
//!   acceptor B  a     b     ·     ·     e
//!               └─ chosen ─┘
//!   A new leader hears A and B: 1 and 2 are known to be chosen, 3 and 5 have votes, 4 has none.
//!
//!   slot        1     2  │  3     4     5  │  6     7
//!                 learns │  c    no-op  e  │  its own
//! ```
//!
//! 1. Who has heard no leader for an election timeout *asks* every acceptor whether it misses one
//!    too ([`Echo::Ask`]). With a yes from quorums of both phases it campaigns. So whoever is
//!    connected to quorums leads, whatever else is cut and however stale its log is, and who is not
//!    disturbs nobody.
//! 2. It promises itself a ballot above all it heard of, and when that is durable it asks for
//!    promises ([`Binding::Prepare`]); acceptors tell their votes in pages.
//! 3. With a phase-1 quorum it leads. What is known to be chosen it *learns*; where there are votes
//!    it proposes the value of the highest ballot again (P2c); gaps below it fills with no-ops.
//! 4. Then it proposes what it is given, slot by slot, without waiting for the one before
//!    ([`Replicate::Accept`]), in runs of [`Entries`]. An acceptor takes values in any order. A value is chosen with a
//!    phase-2 quorum of votes, its own vote among them once that is durable, and delivered when
//!    all before it is chosen.
//!
//! # The loop
//!
//! ```
//! use core::convert::Infallible;
//! use bytes::Bytes;
//! use synod_paxos::{Config, Instant, NodeId, Output, Paxos, Position, Quorums, Recovered, Vote};
//!
//! // A group of one, so that nobody needs to be heard.
//! let config = Config::new(NodeId(1), Quorums::majority([NodeId(1)])?);
//! let empty = Recovered {
//!     state: None,
//!     start: Position::ZERO,
//!     snapshot: None,
//!     votes: core::iter::empty::<Result<Vote, Infallible>>(),
//! };
//! let mut paxos = Paxos::new(config, empty, Instant::ZERO).unwrap();
//! let mut disk = Vec::new();
//! let mut applied = Vec::new();
//!
//! let now = paxos.poll_timeout().unwrap();
//! paxos.handle_timeout(now); // nobody leads: ask, and campaign
//! for command in [None, Some("hello")] {
//!     if let Some(command) = command {
//!         paxos.propose(now, Bytes::from_static(command.as_bytes())).unwrap();
//!     }
//!     while let Some(output) = paxos.poll_output() {
//!         match output {
//!             Output::Persist(write) => {
//!                 let stored = write.persist(|record| Ok::<(), Infallible>(disk.push(record)));
//!                 let Ok((messages, receipt)) = stored;
//!                 assert!(messages.is_empty()); // to a peer, if there were one: only now
//!                 paxos.handle_persisted(now, receipt);
//!             }
//!             Output::Apply(chosen) => applied.extend(chosen.iter().map(|(_, value)| value.body.clone())),
//!             Output::Send(envelope) => unreachable!("no peer to send {envelope:?} to"),
//!             Output::Fetch(_) | Output::Read { .. } => {}
//!             Output::PullSnapshot { .. } | Output::Restore(_) => {}
//!             Output::Stop(why) => panic!("{why}"),
//!         }
//!     }
//! }
//! assert_eq!(applied, ["hello"]);
//! assert_eq!(disk.len(), 2); // the promise, the vote
//! # Ok::<(), synod_paxos::QuorumError>(())
//! ```
//!
//! Give a node all the inputs that there are, and then drain it. What was proposed by then is one run
//! of values from there on: one message to each peer, one record, one word to the machine, with one
//! count of references each and no copy. Draining after each proposal is as safe, and each pays for a
//! round of its own, which at a thousand in flight is about twenty times as much.
//!
//! Rules for a driver: hand the receipt back once the record is durable, in any thread, at any
//! later time; after a failed write poll no more and drop the value; answer each [`Fetch`]; with
//! [`Output::Restore`] throw away what was applied and begin from that snapshot. Skipping or
//! delaying anything else is safe and only slow.
//!
//! # Guarantees
//!
//! In each slot at most one value is chosen, and all nodes hand out the same values in the same
//! order. The invariants behind it are listed at [`Paxos`] and asserted in debug builds. Beyond
//! them:
//!
//! - what tells a peer that this node remembers something is a [`Binding`] and travels inside the
//!   [`Write`] that makes it true. The leader's [`Replicate`] messages and the [`Echo`]es need no
//!   write;
//! - one write is in flight at a time; whatever happens meanwhile is in the next one (group
//!   commit);
//! - own promise and own votes count when their write is durable, not before;
//! - each accepted read ends in exactly one [`Output::Read`];
//! - input of a peer never panics and is never an error: nonsense is ignored and counted in
//!   [`Counters`];
//! - memory is bounded by [`Config`] and [`Slot::AHEAD_MAX`]: cached, in-flight and unchosen bytes,
//!   reads, messages that wait, and how far votes go beyond what is chosen;
//! - a node that is connected to quorums of both phases leads within four election timeouts in each
//!   of the topologies of Ng, Haridi and Carbone (*Omni-Paxos*, EuroSys 2023): quorum loss,
//!   constrained election, chained. In the last the leader stays.
//!
//! # Where the twins differ
//!
//! `synod_raft::Raft` has the same shape, and a driver needs to know the difference in few places.
//!
//! | | Raft | here |
//! |---|---|---|
//! | who may lead | who holds all that is committed | anybody: phase 1 tells it, and it learns while it leads |
//! | order across leaders | Log Matching | none, see below |
//! | a proposal whose leader is gone | lost once another entry is committed there | the same, but for its slot alone |
//! | terms or origins along the log | never fall | need not rise |
//! | an entry's name | term and index | slot and [`Value::origin`]; its ballot differs from node to node |
//! | a follower's log | may be truncated | votes give way to higher ballots, slot by slot; may have gaps |
//! | a leader's first entry | its own, to commit older ones | none: it proposes what it found, in its ballot |
//! | appends | refused if what is before them differs | taken in any order |
//! | quorums | majorities | any [`Quorums`] that meet across the phases |
//! | durable besides the log | term, vote | the promise; lazily also how far all is chosen |
//! | two leaders of one number | impossible in a term | share a round at most; ballots have nodes |
//!
//! No order across leaders means that a value of an old leader may be chosen after values of later
//! ones, although the one it proposed before was not. Until another value is chosen at its slot
//! nobody can say that it is lost, however many later slots are chosen.
//!
//! # Steps that are not in the papers
//!
//! Each with why it is sound.
//!
//! - *An acceptor acknowledges a slot that it knows to be chosen as if it had voted in the leader's
//!   ballot ([`Binding::Accepted`], and the chosen prefix in echoes and late promises)*: of a
//!   chosen value nothing else can be proposed (P2b), so the leader's proposal there is the value
//!   that it holds.
//! - *A promise leaves out the votes at or below the chosen prefix it tells of*: they are for what
//!   is chosen; a leader proposes nothing there, and learns.
//! - *A leader learns chosen values from one node ([`Echo::Learned`]) instead of from a quorum's
//!   votes*: nodes do not lie, and what is chosen is chosen for ever.
//! - *A heartbeat's chosen prefix is taken as far as the acceptor has voted in that leader's ballot
//!   without a gap*: a leader proposes one value a slot, and those it knows to be chosen are of its
//!   ballot or of what it found.
//! - *Others are asked first whether they miss a leader ([`Echo::Ask`])*: changes nothing at either
//!   end; not campaigning is always safe.
//! - *An acceptor that hears of a higher ballot from one it has promised to may be told so
//!   ([`Echo::Preempted`])*: whoever gives way does nothing.
//! - *No vote far beyond the chosen prefix ([`Slot::AHEAD_MAX`]), and a new leader so far behind
//!   proposes nothing again before it has learned enough*: not voting and not proposing are always
//!   safe.
//! - *A promise with more gaps than that is not counted*: no acceptor has such votes; an acceptor
//!   that is not heard is always safe.
//! - *A message of a round more than [`Ballot::LEAP_MAX`] above the stored one is taken for a lost
//!   one*: a message may always be lost. Smaller leaps are taken, since a node may have been away
//!   for years, and to climb by them costs a write each. A node that hears no leader climbs by one
//!   when it hears of more ([`Leap`]): to promise a ballot is always safe.
//! - *A node with a write under way does not campaign, one with a slow or full disk waits longer; a
//!   leader steps down whose disk stalls, or is full while another has room, or that hears no phase-2
//!   quorum with room and does not hear all*: not leading is always safe.
//!
//! # When a node stops
//!
//! [`Output::Stop`] says that what this node has on its disk cannot be what it had, or another's
//! cannot: a leader proposes, or a snapshot covers, another value than the one that is chosen here
//! ([`Stop::Diverged`]). By P2b no honest leader does, a late message proves nothing (one of a lower
//! ballot is not looked at), and that nodes do not lie is the contract of this crate. A liar can
//! stop a node, as it can mislead it by any other word; the transport keeps liars out.
//!
//! An acceptor whose disk lost votes goes on: its echo says that it has less, and the leader sends it
//! all again, which it votes for in the same ballot. What it lost of earlier ballots nobody can tell
//! it: a disk that lost something must not come back under its name, for which the driver needs an
//! identity on that disk.
//!
//! # Words
//!
//! | paper | here |
//! |---|---|
//! | proposal number, ballot number | [`Ballot`] |
//! | instance, decree number | [`Slot`] |
//! | distinguished proposer, president | leader |
//! | prepare request and its response (phase 1a, 1b) | [`Binding::Prepare`], [`Binding::Promise`] |
//! | accept request and its response (phase 2a, 2b) | [`Replicate::Accept`], [`Binding::Accepted`] |
//! | leadership transfer (Raft thesis §3.10) | [`Paxos::transfer`], [`Replicate::Invite`] |
//! | vote | [`Vote`] |
//! | a majority | [`Quorums`]: one system for each phase |
//! | α, how far ahead a leader proposes | [`Slot::AHEAD_MAX`], in bytes [`Config::unchosen_bytes_max`] |
//!
//! # What is left out
//!
//! For later: changes of the [`Configuration`], which travels in snapshots and values already; reads
//! that a quorum answers without the leader.
//!
//! Not planned: *Fast Paxos*, which saves a message delay when proposals do not collide and needs
//! larger quorums for it, where a leader's pipeline already makes the cost of a value a copy. *EPaxos*
//! and its kin, which have no leader and order only what does not commute: the driver would have to
//! tell what commutes, and recovery is so intricate that errors were found in it years after (Sutra,
//! *On the correctness of Egalitarian Paxos*, 2020).
//!
//! # Inside
//!
//! What a node knows in every role is one struct, and each role is another. A role's methods take
//! both and can touch nothing else; where the role may end, they answer which is next, and
//! [`Paxos`] alone makes the change. A file knows those in the rows below it, and its own children.
//!
//! - *The value*: `deliver`, which message is for which role, and the rules about ballots before
//!   that; `paxos`, the other inputs and the change of roles; `poll`, the outputs; `recover`,
//!   `status`, `invariants`.
//! - *Roles*: `role`, which is `follower`, `asking`, `candidate`, or `leader` with how it proposes,
//!   replicates, reads, learns and steps down. `election` and `teach`: what an acceptor owes to
//!   whoever campaigns, or leads and lacks what is chosen, which is no role's.
//! - *What a role knows*: `node`, which every role does, with `log`, `machine`, `outbox` and `pace`;
//!   `promises`, which is the candidate's; `progress`, `backoff`, `read` and `tally`, which
//!   are the leader's; `step`, what it answers; `due`, what is to be done next.
//! - *Words*: `message`, `output`, `slot`, `entries`, `config` and the like.
//!
//! # Features
//!
//! `serde`: `Serialize` and `Deserialize` for messages and what they carry. The crate is `no_std`
//! with `alloc`, with and without it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ballot;
#[cfg(feature = "check")]
pub mod check;
mod id;
mod quorum;
pub mod single;
mod time;

pub use ballot::Ballot;
pub use id::NodeId;
pub use quorum::{AcceptorSet, QuorumDecodeError, QuorumError, Quorums};
pub use time::Instant;

// Multi-Paxos.
mod asking;
mod backoff;
mod candidate;
mod config;
mod counters;
mod deliver;
mod disk;
mod due;
mod election;
mod entries;
mod error;
mod follower;
mod invariants;
mod leader;
mod log;
mod machine;
mod message;
mod node;
mod outbox;
mod output;
mod pace;
mod paxos;
mod poll;
mod progress;
mod promises;
mod random;
mod read;
mod recover;
mod role;
mod slot;
mod snapshot;
mod status;
mod step;
mod stop;
mod tally;
mod teach;

pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use disk::DiskHealth;
pub use entries::Entries;
pub use error::{FetchError, ProposeError, ReadError, RecoverError, Refusal, TransferError};
pub use message::{Binding, Echo, Envelope, Message, Replicate};
pub use output::{Cast, Fetch, Op, Output, Own, Receipt, Record, Staged, State, Wanted, Write};
pub use paxos::Paxos;
pub use read::ReadId;
pub use recover::Recovered;
pub use role::Role;
pub use slot::{Chosen, Kind, Position, Slot, Value, Vote, Votes};
pub use snapshot::{Configuration, Snapshot};
pub use status::{Leap, PeerState, PeerStatus, Status};
pub use step::StepDown;
pub use stop::Stop;

/// Keeps the README's example running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
