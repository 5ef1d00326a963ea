//! Nodes around cores without I/O, on disks and a network that do nothing by themselves.

mod cast;
mod core;
mod group;
mod journal;
mod node;
mod packet;
mod schedule;
mod selector;
mod stage;
mod story;

pub use cast::Cast;
pub use core::{Answer, Disk, File, Output, PacketOf, Protocol, Standing, Stored, Watch};
pub use group::Cluster;
pub use journal::Deed;
pub use node::Node;
pub use packet::Packet;
pub use schedule::{ALWAYS_MET, STEPS, Schedule, play_seeds};
pub use stage::ClusterStage;
