//! Nodes around cores without I/O, on disks and a network that do nothing by themselves: a test says
//! what is delivered, what becomes durable and who crashes.
//!
//! For cores of a replicated log that hand out writes, messages and what is to be applied
//! ([`Protocol`]). Where [`World`](crate::World) draws everything and runs whole programs, a
//! [`Cluster`] does what one test says, on one core a node:
//!
//! - the test itself, by the methods of [`Cluster`];
//! - a script, whose commands [`ClusterStage`] plays, if the protocol says how things are written and
//!   read ([`Cast`]);
//! - a generator, step by step: [`Schedule`], which at last ends the faults and demands progress.
//!
//! A [`Watch`] of the protocol's own looks at every step and panics with the rule that is broken.
//! [`Cluster::record`] lets a [page](crate::page) be made of what happens.

mod cast;
mod core;
mod group;
mod journal;
mod lease;
mod node;
mod packet;
mod recording;
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
