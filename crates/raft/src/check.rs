//! Verifies the rules of Raft while a driver runs; for tests (feature `check`).
//!
//! A driver owns the log, the network, the clock and the state machine, and most errors in the use
//! of a consensus library are made there: a sync that was skipped, a record that was not read back,
//! a message that was sent twice or too early. A [`Checker`] observes a whole group from the
//! outside, in a test or a simulation, and returns the first [`Violation`] at the step that causes
//! it, long before two state machines differ. Random tests need a thousand runs until a vote that
//! was not synced leads to two leaders; the checker only needs that vote.
//!
//! # The loop
//!
//! Report to the checker when a node has started, after each of its inputs, for each of its
//! outputs, and when its write is durable.
//!
//! ```
//! use core::convert::Infallible;
//! use synod_raft::check::Checker;
//! use synod_raft::{Config, Entry, LogId, NodeId, Output, Raft, Recovered};
//! # use synod_raft::Instant;
//!
//! # fn main() -> Result<(), synod_raft::check::Violation> {
//! let node = NodeId(1);
//! let mut checker = Checker::default(); // one for the group
//! let recovered = Recovered {
//!     vote: None,
//!     start: LogId::ZERO,
//!     snapshot: None,
//!     entries: core::iter::empty::<Result<Entry, Infallible>>(),
//! };
//! let mut raft = Raft::new(Config::new(node, [node]), recovered, Instant::ZERO).unwrap();
//! checker.started(&raft)?;
//!
//! let now = raft.poll_timeout().unwrap();
//! raft.handle_timeout(now);
//! checker.stepped(&raft)?;
//! while let Some(output) = raft.poll_output() {
//!     checker.polled(node, &output)?;
//!     if let Output::Persist(write) = output {
//!         let Ok((messages, receipt)) = write.persist(|record| {
//!             // the driver's own log
//! #           let _ = record;
//!             Ok::<(), Infallible>(())
//!         });
//!         checker.persisted(node)?;
//!         raft.handle_persisted(now, receipt);
//!         checker.stepped(&raft)?;
//! #       assert!(messages.is_empty());
//!     }
//! }
//! assert_eq!(checker.durable(node).unwrap().last().index.0, 1);
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
//! | rule | what it requires | checked when |
//! |---|---|---|
//! | election safety | one leader per term, with durable votes of a quorum (§5.2) | a node leads, a leader sends |
//! | leader append-only | a leader's log only grows (§5.3) | each step |
//! | log matching | an identity has one content and one predecessor (§5.3) | a record, an append |
//! | leader completeness | a leader has what was committed in earlier terms (§5.4) | a node leads, a leader commits |
//! | state machine safety | one entry an index, applied in order (§5.4.3) | a commit moves, `Apply`, `Restore` |
//! | commit not durable | a quorum of disks holds what is committed, and keeps it | a commit moves, a log is cut |
//! | commit of an older term | a leader counts for entries of its term only (§5.4.2) | a leader commits |
//! | commit beyond the match | a follower takes a commit index as far as it matches (§5.3) | a commit moves |
//! | unsayable | nothing is said that a crash would unsay | a write is durable, a message leaves |
//! | proposed during a transfer | a leader that hands over appends nothing (thesis §3.10) | each step |
//! | invited behind | who is asked to campaign holds all that the leader has | a message leaves |
//! | no copy | what is committed is durable with its body on some node | a step |
//! | led on | who gives up leadership for a cause does not lead on in that term | a step |
//! | not preferred | a leader hands over for a priority only to a higher one | a step |
//! | not invited | who campaigns by transfer was asked by the leader of the term before | a write is durable |
//! | membership in force | the last in the log, from when it is there until it is cut (§6) | each step |
//! | membership step | one step of a change at a time, no quorum beside another (§6, thesis §4.3) | a leader appends |
//! | membership too early | the one before and an entry of the own term are committed | a leader appends |
//! | campaign without a vote | who campaigns may vote, or could until now (thesis §4.2.2) | each step |
//! | snapshot's membership | that of its last entry | each step |
//! | needless stop | who stops was removed, or a disk has lost something | a node stops |
//! | voted twice | one vote a term and node (§5.2) | a record is durable |
//! | term fell, commit fell | terms never go back, commit indexes not within an incarnation | each step, each record |
//! | recovery | a node comes back with what was durable, perhaps with the write under way | a start |
//!
//! The table includes Figure 3; the other rules are the ways in which implementations come to break
//! it.
//!
//! # Cost
//!
//! A step costs in proportion to what it changed: mostly a comparison of a few numbers, a pass over
//! the entries of a record, and the whole log only at a start. The checker keeps an identity and a
//! fingerprint of each entry it has seen. It is a value, so an exhaustive search can include it in
//! its states; [`Checker::crashed`] and [`Checker::renamed`] make more of those states equal.

mod checker;
mod durable;
mod fingerprint;
mod history;
mod membership;
mod recovery;
mod rules;
#[cfg(test)]
mod tests;
mod violation;
mod watch;

pub use checker::Checker;
pub use durable::Durable;
pub use violation::Violation;
