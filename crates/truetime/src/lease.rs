//! Leases from intervals: at most one holder at any instant of true time, without a message to end a
//! lease.
//!
//! There are two kinds, both independent of how votes are transported and logs are stored; neither
//! reads a clock, as every method takes a reading.
//!
//! - Spanner's (OSDI 2012, section 4.1.1 and appendix A): voters grant timed votes ([`LeaseVote`]),
//!   and a leader with a quorum of votes holds the lease ([`LeaseInterval`]).
//! - LeaseGuard's (arXiv 2512.15659, for Raft): the log is the lease ([`LogLease`]); each entry carries
//!   the interval at which it was written.
//!
//! ```text
//!  leader 1   v = earliest ── ask ──╮           acts while latest < v + 10 s ─────┤
//!  voter                            ╰ until = latest + 10 s ─────────────────────────┤ earliest > until
//!  leader 2                                                                            ╰ gets the vote
//!             ───────────────────────────────────────────────────────────── true time ────────▶
//! ```
//!
//! The leader counts from before it sent the request and stops early, the voter counts from after it
//! received the request and stops late; so a vote ends for the leader before it ends for the voter,
//! whatever the message delay.

mod interval;
mod log;
mod vote;

pub use interval::{LeaseInterval, LeaseRequest};
pub use log::LogLease;
pub use vote::{LeaseHeld, LeaseVote, Promise, Unstored};
