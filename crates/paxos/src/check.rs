//! Verifies the rules of Multi-Paxos while a driver runs; for tests (feature `check`).
//!
//! A driver owns the log, the network, the clock and the state machine, and most errors in the use
//! of a consensus library are made there: a sync that was skipped, a record that was not read back,
//! a message that was sent twice or too early. A [`Checker`] observes a whole group from the
//! outside, in a test or a simulation, and returns the first [`Violation`] at the step that causes
//! it, long before two state machines differ.
//!
//! It trusts no node. It determines what is chosen by itself, from the votes on the disks of a
//! group, so it knows that a value is chosen before any node does. It also determines what a leader
//! may propose, from the votes on the disks of the nodes that promised, not from what the leader
//! was told.
//!
//! # The loop
//!
//! Report to the checker when a node has started, after each of its inputs, for each of its
//! outputs, and when its write is durable.
//!
//! ```
//! use core::convert::Infallible;
//! use synod_paxos::check::Checker;
//! use synod_paxos::{Config, NodeId, Output, Paxos, Position, Quorums, Recovered, Slot, Vote};
//! # use synod_paxos::Instant;
//!
//! # fn main() -> Result<(), synod_paxos::check::Violation> {
//! let node = NodeId(1);
//! let mut checker = Checker::default(); // one for the group
//! let recovered = Recovered {
//!     state: None,
//!     start: Position::ZERO,
//!     snapshot: None,
//!     votes: core::iter::empty::<Result<Vote, Infallible>>(),
//! };
//! let quorums = Quorums::majority([node]).unwrap();
//! let mut paxos = Paxos::new(Config::new(node, quorums), recovered, Instant::ZERO).unwrap();
//! checker.started(&paxos)?;
//!
//! let now = paxos.poll_timeout().unwrap();
//! paxos.handle_timeout(now);
//! checker.stepped(&paxos)?;
//! let mut proposed = false;
//! while let Some(output) = paxos.poll_output() {
//!     checker.polled(node, &output)?;
//!     if let Output::Persist(write) = output {
//!         let Ok((messages, receipt)) = write.persist(|record| {
//!             // the driver's own log
//! #           let _ = record;
//!             Ok::<(), Infallible>(())
//!         });
//!         checker.persisted(node)?;
//!         paxos.handle_persisted(now, receipt);
//!         checker.stepped(&paxos)?;
//! #       assert!(messages.is_empty());
//!     }
//!     if paxos.leader() == Some(node) && !proposed {
//!         paxos.propose(now, "x".into()).unwrap();
//!         checker.stepped(&paxos)?;
//!         proposed = true;
//!     }
//! }
//! assert_eq!(checker.chosen(), Slot(1));
//! # Ok(())
//! # }
//! ```
//!
//! A sync may take time: call [`Checker::persisted`] when it has ended, not when it began. A
//! simulated disk knows exactly when that is. A driver that relies on its log for this tests that
//! log too, as soon as a node crashes and restarts with less.
//!
//! # The rules
//!
//! Paxos Made Simple is *PMS*, The Part-Time Parliament *PTP*.
//!
//! - **one value a ballot**: in a ballot and slot all votes and proposals are for one value, and an
//!   origin names one value (PMS §2.2; PTP §2.1). Checked for each record and accept request.
//! - **agreement**: one value per slot, and what a node holds, reports, applies or covers as chosen
//!   is that value (PMS §2.1). Checked when a write is durable or a chosen prefix grows, and for
//!   `Apply` and `Restore`.
//! - **P2b**: no proposal of a higher ballot differs from the chosen value (PMS §2.2). Checked when
//!   a value is chosen.
//! - **P2c**: a proposal is the value of the highest vote of some phase-1 quorum that promised, or
//!   free if that quorum has none; or it is chosen already (PMS §2.2; PTP §2.1, B3). Checked for
//!   each record and accept request.
//! - **ballot owner**: a node acts only in its own ballots, and leads with durable promises of a
//!   phase-1 quorum (PMS §2.2, §2.5). Checked when a node leads or a leader sends.
//! - **ballot used twice**: a ballot belongs to one campaign of one incarnation (PMS §2.5; PTP
//!   §2.1, B1). Checked when a node campaigns or requests promises.
//! - **promise fell**: promises never decrease, in memory and on disk (PMS §2.2, P1a). Checked for
//!   each step and record.
//! - **vote below the promise**: no vote is below the promise, and none above it, because accepting
//!   is promising (PMS §2.2, P1a). Checked for each record.
//! - **unsayable**: no message reports what a crash could make false, and a promise reports all its
//!   votes (PMS §2.5). Checked when a write is durable or a message is sent.
//! - **chosen not durable**: a phase-2 quorum of disks has, or had, votes in one ballot for what is
//!   called chosen (PMS §2.3). Checked when a prefix grows, and for any message that reports it.
//! - **chosen fell**: a chosen prefix never decreases within an incarnation (PMS §2.1). Checked for
//!   each step.
//! - **chosen ahead of its votes**: the chosen prefix in a record is held by the disk including
//!   that record. Checked for each record.
//! - **state machine safety**: values are applied in order, once (PMS §3). Checked for `Apply` and
//!   `Restore`.
//! - **stale read**: a confirmed read sees what was known to be chosen when it was asked. When:
//!   `Output::Read`, after [`Checker::asked`].
//! - **proposed during a transfer**: a leader that hands over proposes nothing new (Raft thesis §3.10).
//!   When: each step.
//! - **led on**: who gives up leadership for a cause does not lead on in that ballot. When: each step.
//! - **not preferred**: a leader that makes way by itself does so for a node of a higher priority. When:
//!   each step.
//! - **invited behind**: who is invited to a higher ballot has voted for all that its leader proposed.
//!   When: a message leaves.
//! - **configuration in force** (Lamport, *Reconfiguring a State Machine*; PMS §3): a quorum is one of
//!   the configuration that governs its slot, by what the disks have chosen α slots before; nothing is
//!   proposed where that is not decided, and no node knows the configurations otherwise. Checked for each
//!   proposal, step, promise and snapshot.
//! - **one change at a time**: a configuration is proposed only in a slot where the latest one that was
//!   chosen before that slot is in force, follows it, and not before that one is settled. Checked for
//!   each proposal.
//! - **settled**: what is called settled is: a phase-2 quorum of the configuration has, durably, a chosen
//!   prefix up to its first slot. Checked for a heartbeat, a refusal, and a node that stops because it was
//!   removed.
//! - **recovery**: a node comes back with what was durable, perhaps with the write under way or
//!   the first steps of it (PMS §2.5). When: a start.
//!
//! # Cost
//!
//! A step costs in proportion to what it changed: mostly a comparison of a few numbers, a pass over
//! the votes of a record, and the whole log only at a start. The checker keeps the origin and a
//! fingerprint of each proposal it has seen. It is a value, so an exhaustive search can include it
//! in its states; [`Checker::crashed`] makes more of those states equal. (Nodes cannot be renamed,
//! unlike those of Raft: ballots of one round are ordered by their nodes.)

mod checker;
mod durable;
mod history;
mod members;
mod named;
mod recovery;
#[cfg(test)]
mod tests;
mod violation;
mod watch;

pub use checker::Checker;
pub use durable::Durable;
pub use named::Named;
pub use violation::Violation;
