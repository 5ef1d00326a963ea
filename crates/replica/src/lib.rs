//! State machine replication: one runtime for any consensus core, log and transport.
//!
//! (crate docs follow)

pub mod body;

mod applier;
mod engine;
mod frame;
mod group;
mod host;
mod identity;
mod log;
mod machine;
mod node;
mod protocol;
#[cfg(feature = "sim")]
pub mod sim;
mod status;
mod task;
mod time;

pub use applier::{Applier, ApplyError, Done, Frozen, Job};
pub use engine::{Consistency, Effect, Engine, EngineConfig, EngineStatus, Poisoned, Proposal};
pub use group::{Answer, Group};
pub use identity::{Identity, IdentityError};
pub use log::{Log, LogError, LogReader, LogStats, Recovered, SnapshotStore};
pub use machine::{Applying, Failure, Outcome, Reason, StateMachine, Ticket};
pub use node::{Node, NodeConfig, OpenGroupError};
pub use protocol::{
    Committed, Configured, CoreStatus, Kind, Leadership, Output, PeerStatus, Position, Protocol,
    ReadId, RecoverError, Refusal, Role,
};
pub use status::Status;
pub use task::{Completion, SnapshotName, Task};
pub use time::Instant;

#[cfg(feature = "raft")]
pub use synod_raft as raft;
pub use synod_transport::{NodeId, Parcel, Transport};
pub use synod_wal::{GroupId, Snapshot};
