//! The rules of Raft as a value: for tests of a driver (feature `check`).
//!
//! A driver owns the log, the network, the clock and the machine, and most of what goes wrong with a
//! consensus library goes wrong there: a sync that was skipped, a record that was not read back, a
//! message that left twice or too early. A [`Checker`] watches a whole group from the outside, in a
//! test or a simulation, and tells the first [`Violation`] at the step that commits it, long before
//! two machines differ. Random tests need a thousand runs to turn a vote that was not synced into
//! two leaders; the checker needs the vote.
//!
//! # The loop
//!
//! Four words a node: when it has started, after each of its inputs, for each of its outputs, and
//! when its write is durable.
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
//! A sync may take its time: tell [`Checker::persisted`] when it has ended, not when it began. A
//! simulated disk knows best when that was; a driver that is told by its log tests its log too, as
//! soon as a node crashes and comes back with less.
//!
//! # The rules
//!
//! | rule | what it asks | when |
//! |---|---|---|
//! | election safety | one leader a term, elected by durable votes of a quorum (§5.2) | a node leads, a leader sends |
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
//! | not invited | who campaigns by transfer was asked by the leader of the term before | a write is durable |
//! | voted twice | one vote a term and node (§5.2) | a record is durable |
//! | term fell, commit fell | terms never go back, commit indexes not within an incarnation | each step, each record |
//! | recovery | a node comes back with what was durable, perhaps with the write under way | a start |
//!
//! Figure 3 is in the table, and the rest is how an implementation comes to break it.
//!
//! # Cost
//!
//! A step costs what has changed in it: a comparison of a few numbers for most, a pass over the
//! entries of a record, the whole log only for a start. The checker keeps an identity and a
//! fingerprint of each entry it ever saw. It is a value, so that an exhaustive search can have it in
//! its states; [`Checker::crashed`] and [`Checker::renamed`] make more of those equal.

mod checker;
mod durable;
mod fingerprint;
mod history;
mod recovery;
mod rules;
#[cfg(test)]
mod tests;
mod violation;
mod watch;

pub use checker::Checker;
pub use durable::Durable;
pub use violation::Violation;
