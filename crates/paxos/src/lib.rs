//! The Paxos consensus protocol as a pure state machine: no I/O, no clock, no threads. Types ensure
//! that no message leaves before the write it depends on is durable.
//!
//! # The problem
//!
//! Several machines should behave like one that does not fail: they agree on one sequence of
//! values, although any of them may stop at any time and the network may lose, duplicate, delay and
//! reorder messages. Paxos (Lamport, *The Part-Time Parliament*, 1998, and *Paxos Made Simple*,
//! 2001, cited by section as §) decides one value: see [`single`]. [`Paxos`] does that for each
//! *slot* of a sequence, with one leader for all of them: phase 1 once, then one round trip per
//! value (§3).
//!
//! # The model
//!
//! Nodes crash and restart with the state that was durable (crash-recovery), and they do not lie.
//! Safety does not depend on time. Progress requires that a quorum of each phase is up and
//! connected to one node, and that messages arrive within an election timeout. [`Paxos`] is a
//! value: the state of one node in one group, which is proposer, acceptor and learner in one.
//! Inputs are events with the time at which they happened; outputs are the actions to take. The
//! driver owns the log, the network, the clock and the state machine.
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
//! # From proposal to delivery
//!
//! ```text
//!   slot        1     2     3     4     5     6     7
//!   acceptor A  a     b     c     ·     e                  votes, with the ballot of each
//!   acceptor B  a     b     ·     ·     e
//!               └─ chosen ─┘
//!   A new leader has the promises of A and B: 1 and 2 are chosen, 3 and 5 have votes, 4 has none.
//!
//!   slot        1     2  │  3     4     5  │  6     7
//!                 learns │  c    no-op  e  │  its own
//! ```
//!
//! 1. A node without contact with a leader for an election timeout *asks* every acceptor whether it
//!    has lost contact too ([`Echo::Ask`]). If quorums of both phases say yes, it campaigns. So a
//!    node that is connected to quorums becomes leader, whatever other links are cut and however
//!    stale its log is, and a node that is not connected disturbs nobody.
//! 2. It promises itself a ballot above all that it has seen. When that is durable it requests
//!    promises ([`Binding::Prepare`]), and acceptors report their votes in pages.
//! 3. With a phase-1 quorum it leads. It *learns* values that are known to be chosen; where there
//!    are votes it proposes the value of the highest ballot again (P2c); gaps below those it fills
//!    with no-ops.
//! 4. Then it proposes new values, slot by slot, without waiting for earlier ones
//!    ([`Replicate::Accept`]), in runs of [`Entries`]. An acceptor takes values in any order. A
//!    value is chosen with a phase-2 quorum of votes; the leader's own vote counts once it is
//!    durable. A value is delivered when all slots before it are chosen.
//!
//! # The loop
//!
//! ```
//! use core::convert::Infallible;
//! use bytes::Bytes;
//! use synod_paxos::{Config, Instant, NodeId, Output, Paxos, Position, Quorums, Recovered, Vote};
//!
//! // A group with a single node, so no messages are needed.
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
//! paxos.handle_timeout(now); // there is no leader: ask, and campaign
//! for command in [None, Some("hello")] {
//!     if let Some(command) = command {
//!         paxos.propose(now, Bytes::from_static(command.as_bytes())).unwrap();
//!     }
//!     while let Some(output) = paxos.poll_output() {
//!         match output {
//!             Output::Persist(write) => {
//!                 let stored = write.persist(|record| Ok::<(), Infallible>(disk.push(record)));
//!                 let Ok((messages, receipt)) = stored;
//!                 assert!(messages.is_empty()); // with peers, they would be sent here
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
//! Pass in all pending inputs before draining the outputs. Whatever was proposed by then is one run
//! of values: one message to each peer, one record and one output for the state machine, with one
//! reference count each and no copy. Draining after each proposal is just as safe, but each then
//! costs a round of its own, which with a thousand in flight is about twenty times as much.
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
//! # Guarantees
//!
//! In each slot at most one value is chosen, and all nodes deliver the same values in the same
//! order. The invariants behind this are listed at [`Paxos`] and asserted in debug builds. In
//! addition:
//!
//! - A message that tells a peer what this node remembers is a [`Binding`]. It travels inside the
//!   [`Write`] that makes it true. The leader's [`Replicate`] messages and the [`Echo`]es need no
//!   write.
//! - One write is in flight at a time. Everything that happens meanwhile is part of the next one
//!   (group commit).
//! - The node's own promise and own votes count when their write is durable, not before.
//! - Each accepted read ends in exactly one [`Output::Read`].
//! - Input from a peer never panics and never returns an error. Invalid messages are ignored and
//!   counted in [`Counters`].
//! - Memory is bounded by [`Config`] and [`Slot::AHEAD_MAX`]: cached, in-flight and unchosen bytes,
//!   reads, waiting messages, and how far votes go beyond the chosen prefix.
//! - A node that is connected to quorums of both phases becomes leader within four election
//!   timeouts in each of the topologies of Ng, Haridi and Carbone (*Omni-Paxos*, EuroSys 2023):
//!   quorum loss, constrained election, chained. In the last one the leader stays.
//!
//! # How the members change
//!
//! The log itself decides who governs it (Lamport, *Reconfiguring a State Machine*; §3). A
//! [`Configuration`] that is chosen in slot i governs from slot i + α on. α is part of the first
//! configuration, and never changes.
//!
//! ```text
//!   chosen in          i                        i + α = border
//!   ───────────────────┼────────────────────────┼──────────────────────▶ slots
//!   governed by  old   │ old: commands, and     │ new
//!                      │ no-ops for the rest    │
//!     catch up ─▶ propose ─▶ promises of the new ─▶ fill ─▶ settle ─▶ the old are dismissed
//! ```
//!
//! 1. [`Paxos::change_membership`] adds new acceptors to those that the leader sends to. They catch up in
//!    passes and count for nothing. So far the change can be aborted.
//! 2. The configuration is proposed, and chosen by the old acceptors. From here on any leader ends the
//!    change, because all that it needs is in the log.
//! 3. The leader requests promises in its own ballot from the new acceptors. Meanwhile commands are chosen
//!    in slots before the border. With a phase-1 quorum of the new it fills the slots that are left with one
//!    run of no-ops, and goes on behind them.
//! 4. It asks the new acceptors to make durable that everything before the border is chosen
//!    ([`Replicate::Settle`]). With a phase-2 quorum of answers the old ones are not needed any more, even if
//!    all others restart. Those that are in no configuration are told ([`Echo::Removed`]) and stop with
//!    [`Stop::Removed`].
//!
//! The rules (each of them asserted, or verified by the module `check`):
//! - A leader proposes in a slot only if it knows every configuration that was decided α slots before, and
//!   has the promises of a phase-1 quorum of the one that governs the slot. A candidate needs a quorum of
//!   each configuration that governs a slot which may be open. Promises tell it of later ones
//!   ([`Binding::Promise`]), whose acceptors it then asks too.
//! - Sets of acceptors of two configurations are never mixed: each configuration has its own tallies, by the
//!   places of its own acceptors. Runs end where the configuration changes.
//! - A configuration names the one that it follows by its number. Chosen behind another, or while that one
//!   is not in force, it is a no-op on every node ([`Configurations::is_decided_in`]).
//! - Reads, and a leader's contact, need phase-2 quorums of each configuration that governs an open slot.
//!   When one comes into force, waiting reads are raised to the slots before it.
//! - A node takes every message, whoever its own configurations name. Only who counts looks at them.
//! - New members have higher ids than all that ever were: [`Configuration::highest`] is all that has to be
//!   remembered of those that were removed.
//!
//! There is no joint step. If too many of the new acceptors die between the decision and the end, the group
//! waits for them; that is why they have to be caught up, and in contact, before anything is proposed.
//!
//! # Reads by lease
//!
//! A read that a round of heartbeats confirms ([`Paxos::read`]) rests on no clock. With
//! [`Config::lease`], a bound on how far clocks drift, a leader may answer without a message
//! ([`Paxos::read_by_lease`]):
//!
//! ```text
//!   leader     sent ├──── granted * (1 - d) / (1 + d) ────┤ may read by lease    its clock
//!                    \          ▲                              ends before
//!   acceptor          ▼─────────/──── granted ───────────────┤ pledge             its clock
//! ```
//!
//! - Heartbeats name the length that is asked for, and echoes the length that is granted. An acceptor that
//!   has granted a lease answers no other node's [`Binding::Prepare`] until it is over, does not campaign, and
//!   says that there is a leader. This pledge belongs to no role and no ballot.
//! - The leader counts from the sending of the round that a phase-2 quorum of each configuration of an open
//!   slot has granted, in the configurations of the moment of the read. It has to know all that earlier
//!   leaders have chosen.
//! - Whoever leads next needs an answer, after its pledge, of an acceptor in each of those quorums before it
//!   can propose anything. The derivations are at [`Lease`].
//! - A pledge is in memory. A node that starts with a promise on its disk keeps, for a whole length, what it
//!   may have granted; and it grants nothing in a ballot that is not on its disk. The setting is the group's:
//!   [`Lease`] describes how it is changed.
//! - A leader that invites another one ([`Paxos::transfer`]) has given up its lease for as long as its ballot
//!   lasts. The one that it has invited, and nobody else, is answered within a pledge to it.
//! - `now` of [`Paxos::handle_message`] and [`Paxos::read_by_lease`] must have been read from the clock after
//!   the message or the request was taken, and the clock must count suspension. [`Paxos::handle_clock_fault`]
//!   is for a driver that finds its clock to have run outside the bound.
//!
//! # Reads that acceptors answer
//!
//! Any node may read without the leader ([`Paxos::read_by_quorum`]; Charapko, Ailijiang and Demirbas,
//! *Linearizable Quorum Reads in Paxos*, HotStorage 2019), also without any clock. It asks a phase-1 quorum how far
//! its acceptors have *voted*: a value may be chosen, and its proposer told so, while no acceptor knows it to be
//! chosen. It waits until everything up to there is chosen here. If that reveals a later configuration, it asks a
//! quorum of that one too. The read takes a round trip to acceptors, and where proposals are open the time until
//! they are chosen and this node learns it.
//!
//! # How it differs from `synod_raft`
//!
//!
//!
//! `synod_raft::Raft` has the same shape. A driver needs to know these differences:
//!
//! | | Raft | here |
//! |---|---|---|
//! | who may lead | a node with all committed entries | any node: it learns the rest from phase 1 and while leading |
//! | order across leaders | Log Matching | none, see below |
//! | a proposal whose leader is gone | lost once another entry is committed there | the same, but for its slot alone |
//! | terms or origins along the log | never decrease | need not increase |
//! | an entry's identity | term and index | slot and [`Value::origin`]; its ballot differs from node to node |
//! | a follower's log | may be truncated | higher ballots replace votes, slot by slot; may have gaps |
//! | a leader's first entry | its own, to commit older ones | none: it proposes what it found, in its ballot |
//! | appends | rejected if the preceding entry differs | accepted in any order |
//! | quorums | majorities | any [`Quorums`] that intersect across the phases |
//! | durable besides the log | term, vote | the promise; lazily also the chosen prefix |
//! | two leaders with one number | impossible in a term | may share a round; ballots include the node |
//!
//! There is no order across leaders: a value of an old leader may be chosen after values of later
//! leaders, although the value that it proposed before was not. Until another value is chosen in its slot,
//! nobody can say that it is lost, however many later slots are chosen.
//!
//! # Steps that are not in the papers
//!
//! Each with the reason why it is sound.
//!
//! - *An acceptor acknowledges a slot that it knows to be chosen as if it had voted in the leader's
//!   ballot ([`Binding::Accepted`], and the chosen prefix in echoes and late promises).* No other
//!   value than the chosen one can be proposed (P2b), so the leader's proposal there is the value
//!   that it holds.
//! - *A promise omits the votes at or below the chosen prefix that it reports.* Those slots are
//!   chosen; the leader proposes nothing there, and learns them.
//! - *A leader learns chosen values from one node ([`Echo::Learned`]) instead of from a quorum's
//!   votes.* Nodes do not lie, and a chosen value stays chosen for ever.
//! - *A heartbeat's chosen prefix is applied only as far as the acceptor has voted in that leader's
//!   ballot without a gap.* A leader proposes one value per slot, and those that it knows to be
//!   chosen are of its ballot or among those that it found.
//! - *A node first asks others whether they have a leader ([`Echo::Ask`]).* This changes no state
//!   on either node, and not campaigning is always safe.
//! - *A node whose ballot is below the receiver's promise is told the promised ballot
//!   ([`Echo::Preempted`]).* A node that gives way does nothing, which is always safe.
//! - *No votes are cast far beyond the chosen prefix ([`Slot::AHEAD_MAX`]), and a new leader that
//!   is that far behind proposes nothing before it has learned enough.* Not voting and not
//!   proposing are always safe.
//! - *A leader goes on proposing in slots of the configuration in force while it asks the acceptors of the
//!   next one for promises.* Phase 1 is for slots, and those of the two configurations are apart.
//! - *A configuration is proposed only while the one before is in force and settled.* Not proposing is always
//!   safe, and so at most two configurations govern open slots.
//! - *An acceptor that has granted a lease ignores requests for promises.* Not promising is always safe.
//! - *A promise with more gaps than that is not counted.* No acceptor has such votes, and ignoring
//!   an acceptor is always safe.
//! - *A message whose round is more than [`Ballot::LEAP_MAX`] above the stored one is treated as
//!   lost.* Any message may be lost. Smaller leaps are accepted, because a node may have been away
//!   for years and climbing one round at a time costs a write each. A node without a leader raises
//!   its round by one such leap when it receives a message from further above ([`Leap`]). Promising
//!   a ballot is always safe.
//! - *A node with a write in flight does not campaign; one with a slow or full disk waits longer. A
//!   leader steps down when its disk stalls, when its disk is full and another node has room, or
//!   when no phase-2 quorum in contact has room while some peer is out of contact.* Not leading is
//!   always safe.
//!
//! # When a node stops
//!
//! [`Output::Stop`] reports that the contents of this node's disk, or of another's, cannot be what
//! they were: a leader proposes, or a snapshot covers, a different value than the one that is
//! chosen here ([`Stop::Diverged`]). By P2b no honest leader does that. A late message proves
//! nothing, because messages of lower ballots are ignored. All this rests on the assumption that
//! nodes do not lie. A lying peer can stop a node, as it can mislead it with any other message;
//! keeping liars out is the job of the transport.
//!
//! An acceptor whose disk lost votes continues: its echo reports that it has less, and the leader
//! sends everything again, for which it votes in the same ballot. The votes that it lost of earlier
//! ballots cannot be restored. A disk that lost data must therefore not come back under the same
//! node id; the driver ensures that with an identity stored on the disk.
//!
//! # Terminology
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
//! | α, how far ahead a leader proposes | [`Configuration::alpha`], in bytes [`Config::unchosen_bytes_max`] |
//! | leader lease | [`Lease`], [`Paxos::read_by_lease`] |
//! | how far ahead an acceptor votes (no bound in the papers) | [`Slot::AHEAD_MAX`] |
//! | the configuration of instance i (*Reconfiguring a State Machine*) | [`Configurations::governing`] |
//!
//! # What is left out
//!
//! For later: witnesses.
//!
//! Not planned: *Fast Paxos*, which saves a message delay when proposals do not collide and needs
//! larger quorums for that, where a leader's pipeline already makes the cost of a value a copy.
//! *EPaxos* and related protocols, which have no leader and order only commands that do not
//! commute: the driver would have to know which commands commute, and recovery is so intricate that
//! errors were found in it years later (Sutra, *On the correctness of Egalitarian Paxos*, 2020).
//!
//! # Internals
//!
//! State that is independent of the role is one struct, and each role has its own. A role's methods
//! take these two and can touch nothing else. Where a role may end, the method returns the next
//! role, and only [`Paxos`] makes the change. A file depends on files in the rows below its own,
//! and on its children.
//!
//! - *The value*: `deliver` applies the rules about ballots and passes each message to its role;
//!   `paxos` has the other inputs and the change of roles; `poll` the outputs; `recover`, `status`
//!   and `invariants` the rest.
//! - *Roles*: `role` is one of `follower`, `asking`, `candidate` and `leader`, which has its
//!   children for proposing, replication, reads, learning, changes of membership and stepping down. `election`
//!   and `teach` hold an acceptor's duties towards candidates, and towards leaders that lack chosen values;
//!   they belong to no role.
//! - *State of the roles*: `node` is shared by all roles, with `log`, `machine`, `outbox`, `pace`
//!   and `due`, the set of pending tasks. `promises` belongs to the candidate; `progress`,
//!   `backoff`, `read` and `tally` to the leader; `lease` is an acceptor's half of leases, `inquiry` has the
//!   reads that acceptors answer; `step` is what a role's method returns.
//! - *Types*: `message`, `output`, `slot`, `entries`, `config` and so on.
//!
//! # Features
//!
//! `serde`: `Serialize` and `Deserialize` for messages and their contents. `check`: the module of
//! that name, which verifies the rules on this page in tests of a driver. With or without them the
//! crate is `no_std` with `alloc`.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ballot;
#[cfg(feature = "check")]
pub mod check;
mod id;
mod inquiry;
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
mod change;
mod config;
mod configurations;
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
mod lease;
mod log;
mod machine;
mod member;
mod members;
mod membership;
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

pub use change::{ChangeEnd, ChangePhase, ChangeStatus};
pub use config::{Config, ConfigError};
pub use configurations::{Configurations, Governing};
pub use counters::Counters;
pub use disk::DiskHealth;
pub use entries::Entries;
pub use error::{
    ChangeError, FetchError, NoLease, ProposeError, ReadError, RecoverError, Refusal, TransferError,
};
pub use lease::{Drift, Lease};
pub use membership::{Configuration, Membership, MembershipError};
pub use message::{Binding, Echo, Envelope, Message, Replicate};
pub use output::{Cast, Fetch, Op, Output, Own, Receipt, Record, Staged, State, Wanted, Write};
pub use paxos::Paxos;
pub use read::ReadId;
pub use recover::Recovered;
pub use role::Role;
pub use slot::{Chosen, Kind, Position, Slot, Value, Vote, Votes};
pub use snapshot::Snapshot;
pub use status::{Leap, PeerState, PeerStatus, Status};
pub use step::StepDown;
pub use stop::Stop;

/// Keeps the README's example running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
