//! The rules of Multi-Paxos as a value: for tests of a driver (feature `check`).
//!
//! A driver owns the log, the network, the clock and the machine, and most of what goes wrong with a
//! consensus library goes wrong there: a sync that was skipped, a record that was not read back, a
//! message that left twice or too early. A [`Checker`] watches a whole group from the outside, in a
//! test or a simulation, and tells the first [`Violation`] at the step that commits it, long before
//! two machines differ.
//!
//! It believes no node. What is chosen it works out by itself, from the votes on the disks of a
//! group, so it knows a value to be chosen before any node does; and what a leader may propose it
//! works out from the votes on the disks of those who promised, not from what the leader was told.
//!
//! # The loop
//!
//! Four words a node: when it has started, after each of its inputs, for each of its outputs, and
//! when its write is durable.
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
//! A sync may take its time: tell [`Checker::persisted`] when it has ended, not when it began. A
//! simulated disk knows best when that was; a driver that is told by its log tests its log too, as
//! soon as a node crashes and comes back with less.
//!
//! # The rules
//!
//! Paxos Made Simple is *PMS*, The Part-Time Parliament *PTP*.
//!
//! - **one value a ballot**: in a ballot and slot all votes and proposals are for one value, and
//!   an origin names one (PMS §2.2; PTP §2.1). When: a record, an accept request.
//! - **agreement**: one value a slot, and what a node holds, tells, applies or covers as chosen
//!   is that (PMS §2.1). When: a write is durable, a prefix moves, `Apply`, `Restore`.
//! - **P2b**: no proposal of a higher ballot differs from what is chosen (PMS §2.2). When: a
//!   value is chosen.
//! - **P2c**: a proposal is the value of the highest vote of some phase-1 quorum that promised,
//!   or its own if that quorum has none; or chosen already (PMS §2.2; PTP §2.1, B3). When: a
//!   record, an accept request.
//! - **ballot owner**: who acts in a ballot is the node in it, and leads with durable promises of
//!   a phase-1 quorum (PMS §2.2, §2.5). When: a node leads, a leader sends.
//! - **ballot used twice**: a ballot belongs to one campaign of one incarnation (PMS §2.5; PTP §2.1,
//!   B1). When: a node campaigns, asks for promises.
//! - **promise fell**: in memory and on disk (PMS §2.2, P1a). When: each step, each record.
//! - **vote below the promise**: no vote below what was promised, and none above it: to accept is
//!   to promise (PMS §2.2, P1a). When: each record.
//! - **unsayable**: nothing is said that a crash would unsay; a promise tells all its votes (PMS
//!   §2.5). When: a write is durable, a message leaves.
//! - **chosen not durable**: a phase-2 quorum of disks has, or had, votes in one ballot for what
//!   is called chosen (PMS §2.3). When: a prefix moves, any message that tells of it.
//! - **chosen fell**: not within an incarnation (PMS §2.1). When: each step.
//! - **chosen ahead of its votes**: a record says so much to be chosen as the disk holds with it.
//!   When: each record.
//! - **state machine safety**: values are applied in order, once (PMS §3). When: `Apply`,
//!   `Restore`.
//! - **stale read**: a confirmed read sees what was known to be chosen when it was asked. When:
//!   `Output::Read`, after [`Checker::asked`].
//! - **proposed during a transfer**: a leader that hands over proposes nothing new (Raft thesis §3.10).
//!   When: each step.
//! - **invited behind**: who is invited to a higher ballot has voted for all that its leader proposed.
//!   When: a message leaves.
//! - **recovery**: a node comes back with what was durable, perhaps with the write under way or
//!   the first steps of it (PMS §2.5). When: a start.
//!
//! # Cost
//!
//! A step costs what has changed in it: a comparison of a few numbers for most, a pass over the
//! votes of a record, the whole log only for a start. The checker keeps the origin and a fingerprint
//! of each proposal it ever saw. It is a value, so that an exhaustive search can have it in its
//! states; [`Checker::crashed`] makes more of those equal. (Nodes cannot be renamed, as those of
//! Raft can: two ballots of one round are ordered by who owns them.)

mod checker;
mod durable;
mod history;
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
