//! Message passing that is lossy by contract.

mod backoff;
pub mod frame;
mod hello;
mod memory;
mod message;
mod outbox;
mod tcp;
mod transport;

pub use hello::{ClusterId, DiskId, Hello, Refused};
pub use memory::{Memory, MemoryNetwork};
pub use message::{Lane, NodeId, Parcel};
pub use outbox::LaneLimits;
pub use tcp::{Admit, BindError, Listen, Monitor, PeerStatus, Status, Tcp, TcpConfig};
pub use transport::Transport;
