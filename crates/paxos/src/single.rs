//! Single-decree Paxos, the synod: nodes that may stop at any time agree on one value.
//!
//! Sections are those of Lamport, *Paxos Made Simple* (2001), or where stated of *The Part-Time
//! Parliament* (1998).
//!
//! # The problem
//!
//! Several nodes each propose a value. Exactly one of these values may be *chosen*, and every node
//! that learns a chosen value learns this one (§2.1). Nodes stop and restart with what they stored;
//! messages may be lost, delayed, duplicated and reordered; no node lies.
//!
//! # Three roles
//!
//! A [`Proposer`] gets a value chosen, [`Acceptor`]s are the memory that decides, and a [`Learner`]
//! finds out what was chosen. A value is chosen when a phase-2 quorum ([`Quorums`](crate::Quorums))
//! has accepted it in one ballot, whether or not any node knows. The danger is that a second
//! proposer gets a different value chosen in a later ballot. Hence there are two phases: before it
//! proposes, a proposer asks a phase-1 quorum what they have accepted, and makes them promise not
//! to accept anything of earlier ballots any more. Whatever was or may still be chosen below its
//! ballot has an acceptor in that quorum, and the proposer takes that value instead of its own
//! (P2c).
//!
//! ```text
//!  proposer 1   acceptors  A    B    C    proposer 2
//!      │ prepare 1.1       │    │    │        │
//!      ├──────────────────▶├───▶┤    │        │
//!      │◀───── promise ────●────●    │        │       ● durable before it is sent
//!      │ accept 1.1 "x"    │    │    │        │
//!      ├──────────────────▶├───▶┤    │        │
//!      │◀──── accepted ────●────●    │        │       "x" is chosen: A and B are a quorum
//!      │                   │    │    │        │
//!      │                   │    │◀───┤◀───────┤ prepare 2.2 (would like "y")
//!      │                   │    ●────●─ promise ─────▶│  B had accepted "x" in 1.1, C nothing
//!      │                   │    │◀───┤◀───────┤ accept 2.2 "x"
//!      │                   │    ●────●─ accepted ────▶│  "x" again, as it has to be
//! ```
//!
//! # What is durable when
//!
//! | role | stores | before it sends |
//! |---|---|---|
//! | proposer | the last ballot it tried | [`Prepare`] |
//! | acceptor | the ballot it promised | [`Promise`] |
//! | acceptor | that and the proposal it accepted | [`Accepted`] |
//! | learner | nothing | |
//!
//! This order is enforced by types: each of the three messages comes out of a [`Pending`] by
//! [`Pending::persist`], and in no other way. Likewise, an [`Accept`] is only made from a quorum of
//! promises.
//!
//! ```
//! use synod_paxos::single::{Acceptor, Learner, Proposer};
//! use synod_paxos::{Ballot, NodeId, Quorums};
//! # use core::convert::Infallible;
//! # fn disk<R: ?Sized>(_record: &R) -> Result<(), Infallible> { Ok(()) }
//!
//! let ids = [1, 2, 3].map(NodeId);
//! let quorums = Quorums::majority(ids)?;
//! let mut acceptors = [(); 3].map(|()| Acceptor::default());
//! let mut learner = Learner::new(quorums.clone());
//!
//! // A first proposer reaches one acceptor, and then fails.
//! let mut first = Proposer::recover(ids[0], quorums.clone(), Ballot::ZERO);
//! let prepare = first.prepare("x")?.persist(disk)?;
//! let mut accept = None;
//! for at in [0, 1] {
//!     let promise = acceptors[at].prepare(prepare.ballot())?.persist(disk)?;
//!     accept = first.handle_promise(ids[at], promise);
//! }
//! let accepted = acceptors[1].accept(accept.unwrap())?.persist(disk)?;
//! assert_eq!(learner.handle_accepted(ids[1], accepted), None);
//!
//! // A second one proposes another value, learns of the first, and finishes its work.
//! let mut second = Proposer::recover(ids[1], quorums, Ballot::ZERO);
//! let refusal = acceptors[0].prepare(Ballot { round: 1, node: NodeId(0) }).unwrap_err();
//! second.handle_preempted(refusal);
//! let prepare = second.prepare("y")?.persist(disk)?;
//! let mut accept = None;
//! for at in [1, 2] {
//!     let promise = acceptors[at].prepare(prepare.ballot())?.persist(disk)?;
//!     accept = second.handle_promise(ids[at], promise);
//! }
//! let accept = accept.unwrap();
//! for at in [1, 2] {
//!     let accepted = acceptors[at].accept(accept.clone())?.persist(disk)?;
//!     learner.handle_accepted(ids[at], accepted);
//! }
//! assert_eq!(learner.chosen(), Some(&"x"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A node
//!
//! [`Synod`] plays all three roles, and adds what needs time: it retries, and gives precedence to
//! others for a random time, because two proposers can stop each other for ever (§2.4). That no
//! protocol without time can do better is the theorem of Fischer, Lynch and Paterson (1985).
//!
//! ```
//! use synod_paxos::single::{Acceptor, Config, Output, Synod};
//! use synod_paxos::{Instant, NodeId, Quorums};
//!
//! let ids = [1, 2, 3].map(NodeId);
//! let quorums = Quorums::majority(ids)?;
//! let mut disks = [(); 3].map(|()| Acceptor::default());
//! let mut nodes = Vec::new();
//! for (id, disk) in ids.into_iter().zip(&disks) {
//!     nodes.push(Synod::new(Config::new(id, quorums.clone()), disk.clone())?);
//! }
//!
//! nodes[0].propose(Instant::ZERO, "x")?;
//! let mut network = Vec::new();
//! loop {
//!     for ((id, node), disk) in ids.into_iter().zip(&mut nodes).zip(&mut disks) {
//!         while let Some(output) = node.poll_output() {
//!             match output {
//!                 Output::Persist(write) => {
//!                     let stored = write.persist(|acceptor| {
//!                         *disk = acceptor.clone();
//!                         Ok::<(), core::convert::Infallible>(())
//!                     });
//!                     network.extend(stored?.into_iter().map(|envelope| (id, envelope)));
//!                 }
//!                 Output::Send(envelope) => network.push((id, envelope)),
//!                 Output::Chosen(value) => assert_eq!(value, "x"),
//!             }
//!         }
//!     }
//!     let Some((from, envelope)) = network.pop() else { break };
//!     let to = ids.iter().position(|id| *id == envelope.to).unwrap();
//!     nodes[to].handle_message(Instant::ZERO, from, envelope.message);
//! }
//! assert!(nodes.iter().all(|node| node.chosen() == Some(&"x")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Terminology
//!
//! | Paxos Made Simple | The Part-Time Parliament | here |
//! |---|---|---|
//! | proposal number | ballot number | [`Ballot`](crate::Ballot) |
//! | value | decree | `V` |
//! | proposal | ballot and its decree | [`Proposal`] |
//! | prepare request | NextBallot | [`Prepare`] |
//! | response to it, promise | LastVote | [`Promise`] |
//! | accept request | BeginBallot | [`Accept`] |
//! | accepted | Voted | [`Accepted`] |
//! | | Success | [`Message::Chosen`] |
//! | highest-numbered proposal it has tried | lastTried | [`Proposer::tried`] |
//! | highest-numbered prepare request it answered | nextBal | [`Acceptor::promised`] |
//! | highest-numbered proposal it has accepted | prevVote | [`Acceptor::accepted`] |
//!
//! # Left out
//!
//! Retransmission: a lost message costs a ballot. A distinguished proposer (§2.4) and learner
//! (§2.3): they pay off for a sequence of values, and Multi-Paxos has them. Fast Paxos: it saves a
//! delay while proposals do not collide, for larger quorums and a harder recovery when they do.

mod acceptor;
mod backoff;
mod config;
mod learner;
mod message;
mod pending;
mod proposer;
mod synod;

pub use acceptor::{Acceptor, RecoverError};
pub use config::{Config, ConfigError};
pub use learner::Learner;
pub use message::{Accept, Accepted, Envelope, Message, Preempted, Prepare, Promise, Proposal};
pub use pending::Pending;
pub use proposer::{BallotsUsedUp, Proposer};
pub use synod::{Output, ProposeError, Synod, Write};
