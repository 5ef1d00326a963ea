//! `walls cap`: cut in two, a store is silent or wrong; whole, it is slow or wrong.
//!
//! Gilbert and Lynch, *Brewer's Conjecture and the Feasibility of Consistent, Available,
//! Partition-Tolerant Web Services* (2002).

mod abd;
mod conflict;
mod execution;
mod last_writer;
mod latency;
mod siblings;
mod story;

pub use abd::{Majority, Word as MajorityWord};
pub use conflict::{Remains, collide, sessions};
pub use execution::{Operation, Seen, cut};
pub use last_writer::LastWriter;
pub use latency::{Latency, measure};
pub use siblings::Siblings;
pub use story::{CapOptions, run};
