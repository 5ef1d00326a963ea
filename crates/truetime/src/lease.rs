//! Leases from intervals: at most one holder at any instant of true time, with no message to end one.
//!
//! Two ways to have them, both without a word about how votes travel or what a log is; neither reads a
//! clock, every method takes the reading it goes by.
//!
//! - Spanner's (OSDI 2012, section 4.1.1 and appendix A): voters give a vote for a while
//!   ([`LeaseVote`]), and whoever has a quorum of votes holds the lease ([`LeaseInterval`]).
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
//! The leader counts from before it asked and stops early, the voter counts from after it was asked and
//! stops late; so what one gives is over for the leader before it is over for the voter, whatever the
//! message took.

mod interval;
mod log;
mod vote;

pub use interval::{LeaseInterval, LeaseRequest};
pub use log::LogLease;
pub use vote::{LeaseHeld, LeaseVote, Promise, Unstored};
