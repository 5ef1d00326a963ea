//! Paxos as pure state machines: no I/O, no clock, no threads, and durability in the types.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ballot;
mod id;
mod quorum;
pub mod single;
mod time;

pub use ballot::Ballot;
pub use id::NodeId;
pub use quorum::{AcceptorSet, QuorumDecodeError, QuorumError, Quorums};
pub use time::Instant;
