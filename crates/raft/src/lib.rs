//! The Raft consensus protocol as a pure state machine: no I/O, no clock, no threads. Types
//! ensure that no message leaves before the write it depends on is durable.
//!
//! # The problem
//!
//! Several machines should behave like one that does not fail: they agree on one sequence of
//! commands, although any of them may stop at any time and the network may lose, duplicate, delay
//! and reorder messages. Raft (Ongaro and Ousterhout, *In Search of an Understandable Consensus
//! Algorithm*, extended version, 2014; cited by section as §, the thesis of 2014 as "thesis §")
//! elects a leader that orders the commands. A command is committed once a majority stores it
//! durably.
//!
//! # The model
//!
//! Nodes crash and restart with the state that was durable (crash-recovery), and they do not lie.
//! Safety does not depend on time. Progress requires that a majority is up and that messages arrive
//! within an election timeout. [`Raft`] is a value: the state of one node in one group. Inputs are
//! events with the time at which they happened; outputs are the actions to take. The driver owns
//! the log, the network, the clock and the state machine.
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
//! // A group with a single node, so no messages are needed.
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
//! raft.handle_timeout(now); // there is no leader: campaign
//! for command in [None, Some("hello")] {
//!     if let Some(command) = command {
//!         raft.propose(now, Bytes::from_static(command.as_bytes())).unwrap();
//!     }
//!     while let Some(output) = raft.poll_output() {
//!         match output {
//!             Output::Persist(write) => {
//!                 let stored = write.persist(|record| Ok::<(), Infallible>(disk.push(record)));
//!                 let Ok((messages, receipt)) = stored;
//!                 assert!(messages.is_empty()); // with peers, they would be sent here
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
//! Pass in all pending inputs before draining the outputs: whatever was proposed by then is sent
//! together, see [`Raft::poll_output`].
//!
//! A driver must:
//!
//! - return the receipt once the record is durable, from any thread and at any later time;
//! - after a failed write, stop polling and drop the value;
//! - answer each [`Fetch`];
//! - on [`Output::Restore`], discard the applied state and start from that snapshot.
//!
//! Skipping or delaying anything else is safe; it only costs time.
//!
//! The example `driver` is a whole driver, with threads, channels and a log file, watched by
//! the checker of [`check`](#features).
//!
//! # Who takes part
//!
//! The nodes of a group are in its log (§6). Each change of them is a [`Membership`] entry that a
//! leader's core appends; the last one in a node's log is in force there from the moment it is in the
//! log, and no longer than that. [`Config::voters`] are only the first ones.
//!
//! ```
//! # use core::convert::Infallible;
//! # use synod_raft::{Config, Entry, Instant, LogId, Output, Raft, Recovered};
//! use synod_raft::{ChangePhase, Membership, NodeId};
//! # fn node(config: Config) -> Raft {
//! #     let entries = core::iter::empty::<Result<Entry, Infallible>>();
//! #     let start = LogId::ZERO;
//! #     Raft::new(config, Recovered { vote: None, start, snapshot: None, entries }, Instant::ZERO).unwrap()
//! # }
//! # fn settle(raft: &mut Raft, now: Instant) {
//! #     while let Some(output) = raft.poll_output() {
//! #         if let Output::Persist(write) = output {
//! #             let Ok((_, receipt)) = write.persist(|_| Ok::<(), Infallible>(()));
//! #             raft.handle_persisted(now, receipt);
//! #         }
//! #     }
//! # }
//! # let mut raft = node(Config::new(NodeId(1), [NodeId(1)]));
//! # let now = raft.poll_timeout().unwrap();
//! # raft.handle_timeout(now);
//! # settle(&mut raft, now);
//! // Node 1 leads a group of its own. Node 2 has an empty disk, and knows nobody.
//! let joining = node(Config::new(NodeId(2), []));
//! assert!(joining.membership().voters.is_empty(), "it follows, and never campaigns");
//!
//! let pair = Membership::of_voters([NodeId(1), NodeId(2)]);
//! raft.change_membership(now, pair).unwrap();
//! settle(&mut raft, now);
//! let change = raft.status().change.unwrap();
//! assert_eq!(change.phase, ChangePhase::CatchingUp); // until node 2 has the log
//!
//! raft.abort_change(now).unwrap();
//! settle(&mut raft, now);
//! assert!(raft.status().change.is_none());
//! ```
//!
//! [`Raft::change_membership`] describes the steps: new voters catch up, both sides decide, the new
//! side decides. Every leader continues what its log says, so a change needs nobody to watch over it.
//!
//! - A change begins when the last one, and an entry of the leader's own term, are committed, and one
//!   at a time.
//! - [`Raft::abort_change`] leads back to the old side until the new side alone is in the log. A change
//!   whose new voters do not catch up ends by itself: [`ChangeEnd`].
//! - Every node takes every message of its cluster and answers it: the sender may lead or campaign by
//!   entries that are not here yet. Only who counts votes and acknowledgements looks at the membership.
//!   The driver lets nobody in who is no node of the cluster.
//! - A node that the last membership drops takes part until it knows that this is committed: perhaps
//!   only it can win. Then it stops, [`Stop::Removed`]. Its leader tells it; if it was away, whomever it
//!   asks for a vote does ([`Echo::Removed`]).
//! - Ids rise: a new node has an id above every earlier one, so a membership needs to keep only
//!   [`Membership::highest`], and an id that was removed never returns.
//!
//! # Reads by lease
//!
//! [`Raft::read`] confirms a read with a round of heartbeats. With [`Config::lease`] set,
//! [`Raft::read_by_lease`] needs no message (thesis §6.4.1): voters promise with each echo to elect
//! nobody else for a while, and a leader that a quorum is bound to knows of everything that is committed.
//! [`Lease`] has the argument, and what a change of the setting asks for.
//!
//! - A promise is kept by the voter in every role and term ([`Lease`] says what a restart means). A voter
//!   that is bound refuses votes and pre-votes, does not look at the candidate's term, and does not
//!   campaign itself.
//! - Only the leader that counts on a promise can release it, by the word of a transfer. From then on it
//!   has no lease in its term, also if the transfer fails.
//! - The lease counts from the sending of the heartbeat, by the membership in force when a read is
//!   asked for. No end of it is stored.
//! - Without a lease ([`NoLease`]) the core does nothing by itself: the driver can confirm the read.
//!
//! Safety rests on clocks here, and only here: on the bound [`Drift`], and on two duties of the driver.
//! The `now` of [`Raft::handle_message`] must have been read after the message arrived, or a promise
//! begins before it was asked for; and the `now` of a read by lease after the read was received. The
//! clock has to count the time for which the machine is suspended. A driver with a second clock can
//! compare the two and call [`Raft::handle_clock_fault`].
//!
//! # Guarantees
//!
//! The five properties of Figure 3, listed at [`Raft`] and asserted in debug builds. In addition:
//!
//! - A message that tells a peer what this node remembers is a [`Binding`]. It travels inside the
//!   [`Write`] that makes it true. The leader's [`Replicate`] messages and the [`Echo`]es need no
//!   write.
//! - One write is in flight at a time. Everything that happens meanwhile is part of the next one
//!   (group commit).
//! - The node's own vote and own acknowledgement count when their write is durable, not before.
//!   Only a receipt from the same core value is accepted; any other is refused and counted.
//! - Entries are shared in runs ([`Entries`]): entries that were proposed together are one
//!   allocation for the disk, every peer and the state machine, and are never copied.
//! - Each accepted read ends in exactly one [`Output::Read`].
//! - Input from a peer never panics and never returns an error. Invalid messages are ignored and
//!   counted in [`Counters`].
//! - Memory is bounded by [`Config`]: cached, in-flight and uncommitted bytes, reads, and waiting
//!   messages.
//!
//! # Terminology
//!
//! | paper | here |
//! |---|---|
//! | currentTerm, votedFor | [`Op::Vote`], durable together |
//! | commitIndex | [`Status::commit`]; volatile, never stored |
//! | lastApplied | [`Status::delivered`]: passed to the driver, which knows what it has applied |
//! | nextIndex, matchIndex | [`PeerStatus::next`], [`PeerStatus::matched`] |
//! | AppendEntries | [`Replicate::Append`]; the empty one as a heartbeat is [`Replicate::Heartbeat`] |
//! | AppendEntries result | [`Binding::Appended`] if true, [`Echo::Rejected`] if false |
//! | RequestVote and its result | [`Binding::RequestVote`], [`Binding::Vote`] |
//! | InstallSnapshot | [`Replicate::Snapshot`] (an offer), [`Output::PullSnapshot`], [`Binding::Installed`] |
//! | lastIncludedIndex, lastIncludedTerm | [`Snapshot::last`]; of the log: [`Op::Start`] |
//! | lease (thesis §6.4.1) | [`Lease`], [`Raft::read_by_lease`] |
//! | leadership transfer (thesis §3.10) | [`Raft::transfer`], [`Replicate::TimeoutNow`] |
//! | hand-over for a cause, and to who is preferred | [`StepDown`], [`Config::priority`] |
//! | cluster configuration, C(old,new) (§6) | [`Membership`], while its [`change`](Change::is_joint) is joint |
//! | non-voting member (§6), round (thesis §4.2.1) | a learner, or a voter to be; [`CatchingUp`] |
//! | witness (Pâris, *Voting with Witnesses*, ICDCS 1986) | [`Membership::is_witness`] |
//! | server, cluster | node, group |
//!
//! # Steps that are not in the papers
//!
//! Each with the reason why it is sound.
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
//! - *A leader that lost its quorum asks one node to campaign and stops leading in the same step*: the
//!   message is of its term, and whether it still leads when it arrives makes no difference to a vote.
//! - *A witness acknowledges entries without their commands*: agreement is about which entries there are,
//!   and it knows that. It elects only nodes that hold them, and never leads itself. Of the voters, before
//!   and after a change, a majority are none, so every quorum has a node with the commands.
//! - *A vote is refused, term unseen, while a promise to a leader lasts, in whatever term this node is*:
//!   refusing is always safe.
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
//! - *A joint membership may be left to the old side*: every membership since the change began needs a
//!   majority of the old voters, and that of the new ones alone follows only when the joint one is
//!   committed. Whether another leader has done that is known once an entry of the own term is.
//! - *Who is removed, and that is committed, gets no vote and its later terms are not entered*: no
//!   quorum needs it, and its messages may be lost.
//!
//! # When a node stops
//!
//! [`Output::Stop`] reports that this node was removed, see above, or that the contents of this node's
//! disk, or of another's, cannot be what they were. Of that there are two proofs. Both rest on the
//! assumption that nodes do not lie about what they hold:
//!
//! - The leader's log or snapshot differs from what is committed here ([`Stop::Diverged`]).
//! - The leader has received acknowledgements in this term for more than this node holds
//!   ([`Stop::Forgot`]).
//!
//! A late message proves neither. An entry in a leader's log stays there for its whole term, a
//! received acknowledgement stays received, and messages of earlier terms are ignored. A lying peer
//! can stop a node, as it can mislead it with any other message; keeping liars out is the job of
//! the transport.
//!
//! A leader counts neither the copy nor the contact of a node that [forgot](Echo::Forgot). A group
//! that needs this node therefore has no leader until enough other nodes are up, instead of waiting
//! for ever. In a later term nobody knows what the node had acknowledged. A disk that lost data
//! must therefore not come back under the same node id; the driver ensures that with an identity
//! stored on the disk.
//!
//! # Deviations and omissions
//!
//! - Pre-vote, leader stickiness and check-quorum (thesis §9.6, §4.2.3, §6.2) are on by default. A
//!   leader whose own disk stalls steps down ([`Config::write_stall_max`]), and a node with a write
//!   under way does not campaign. A follower whose disk stalls still counts as heard: a leader that
//!   needs its copy leads on without committing until the stall ends.
//! - A snapshot's bytes are pulled by the receiver's driver instead of pushed in chunks by the
//!   leader.
//! - Changes are joint always: the one by one server (thesis §4.1) is not offered.
//!
//! # Internals
//!
//! State that is independent of the role is one struct, and each role has its own. A role's methods
//! take these two and can touch nothing else. Where a role may end, the method returns the next
//! role, and only [`Raft`] makes the change. A file depends on files in the rows below its own, and
//! on its children.
//!
//! - *The value*: `deliver` applies the rules about terms and passes each message to its role;
//!   `raft` has the other inputs and the change of roles; `poll` the outputs; `recover`, `status`
//!   and `invariants` the rest.
//! - *Roles*: `role` is one of `follower`, `candidate` and `leader`, which has its children for its
//!   peers, replication, reads, changes of membership and stepping down. `election` holds a voter's
//!   duties, which belong to no role.
//! - *State of the roles*: `node` is shared by all roles, with `log`, `promise` (to a leader that reads
//!   by lease), `configurations` (the memberships of the log), `machine`, `outbox`, `quorum`, `pace` and
//!   `due`, the set of pending tasks. `progress`, `backoff`, `read` and `uncommitted` belong to the
//!   leader; `step` is what a role's method returns.
//! - *Types*: `message`, `output`, `entry`, `entries`, `membership`, `change` (its steps), `config` and
//!   so on. [`synod_durable`] has
//!   the types that keep a message inside its write.
//!
//! # Features
//!
//! `serde`: `Serialize` and `Deserialize` for messages and their contents. `check`: the module of
//! that name, which verifies the rules on this page in tests of a driver. With or without them the
//! crate is `no_std` with `alloc`.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

mod backoff;
mod candidate;
mod change;
#[cfg(feature = "check")]
pub mod check;
mod config;
mod configurations;
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
mod lease;
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
mod promise;
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

pub use change::{CatchingUp, ChangeEnd, ChangePhase, ChangeStatus};
pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use disk::DiskHealth;
pub use entries::Entries;
pub use entry::{Entry, Index, Kind, LogId, Term};
pub use error::{
    ChangeError, FetchError, ProposeError, ReadError, RecoverError, Refusal, TransferError,
};
pub use lease::{Drift, Lease, NoLease};
pub use membership::{Change, Membership, MembershipError, NodeId};
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

/// Keeps the README's example running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
