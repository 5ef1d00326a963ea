//! Paxos as pure state machines: no I/O, no clock, no threads, and durability in the types.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ballot;
#[cfg(feature = "check")]
pub mod check;
mod id;
mod quorum;
mod time;

pub use ballot::Ballot;
pub use id::NodeId;
pub use quorum::{AcceptorSet, QuorumDecodeError, QuorumError, Quorums};
pub use time::Instant;

// Multi-Paxos.
mod config;
mod election;
mod error;
mod follower;
mod invariants;
mod leader;
mod learn;
mod log;
mod message;
mod outbox;
mod output;
mod patience;
mod paxos;
mod poll;
mod progress;
mod random;
mod read;
mod recover;
mod replicate;
mod role;
mod slot;
mod snapshot;
mod status;
mod tally;

pub use config::{Config, ConfigError};
pub use error::{FetchError, ProposeError, ReadError, RecoverError, Refusal};
pub use message::{Binding, Echo, Envelope, Message, Replicate};
pub use output::{Fetch, Output, Receipt, Record, Staged, State, Wanted, Write};
pub use paxos::Paxos;
pub use read::ReadId;
pub use recover::Recovered;
pub use role::Role;
pub use slot::{Chosen, Kind, Position, Slot, Value, Vote};
pub use snapshot::{Configuration, Snapshot};
pub use status::{Counters, PeerState, PeerStatus, Status};
