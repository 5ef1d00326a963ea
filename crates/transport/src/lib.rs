//! Message passing that is lossy by contract.

mod memory;
mod message;
mod outbox;
mod transport;

pub use memory::{Memory, MemoryNetwork};
pub use message::{Lane, NodeId, Parcel};
pub use outbox::LaneLimits;
pub use transport::Transport;
