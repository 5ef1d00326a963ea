//! A whole node inside `synod-sim`: the real engine, applier and log, on a simulated disk, network
//! and clock. Only the loop around them is the simulator's own.
//!
//! Describe the group with a [`Cluster`] and let a `synod_sim::World` run its [`SimNode`]s. A
//! [`Witness`] observes each node from inside: the core's state, what became durable, and what is
//! sent. A node may have several groups on its one disk, and an [`Application`] beside them: a server, say, whose
//! messages go over the same connections.
//!
//! ```text
//!   World ── message, timer, sync done, request ──> SimNode ── began ────────────> Witness
//!     ^                                               │ Engine, Applier, Wal          ^
//!     └── messages, one timer, one sync ──────────────┘ staged, durable, sent,        │
//!                                                       applied, stepped, rested ─────┘
//! ```
//!
//! ```
//! use std::time::Duration;
//! use synod_replica::sim::{Cluster, SimNode, SimRequest};
//! # #[cfg(feature = "raft")]
//! # {
//! use synod_replica::embed::{Instant, Ticket};
//! use synod_replica::{Applying, Bytes, Failure, NodeId, StateMachine, raft};
//! use synod_sim::{World, WorldOptions};
//! # use std::io::{self, Read, Write};
//! #
//! # #[derive(Default)]
//! # struct Counter(u64);
//! #
//! # impl StateMachine for Counter {
//! #     type Response = u64;
//! #     type Frozen = u64;
//! #     fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
//! #         self.0 += u64::from(command.first().copied().unwrap_or(1));
//! #         self.0
//! #     }
//! #     fn freeze(&self) -> u64 { self.0 }
//! #     fn write(frozen: u64, to: &mut dyn Write) -> io::Result<()> { to.write_all(&frozen.to_le_bytes()) }
//! #     fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
//! #         let mut bytes = [0; 8];
//! #         from.read_exact(&mut bytes)?;
//! #         self.0 = u64::from_le_bytes(bytes);
//! #         Ok(())
//! #     }
//! # }
//!
//! /// Three nodes that count.
//! struct Group;
//!
//! struct Caller;
//!
//! impl Ticket<Counter> for Caller {
//!     fn applied(self, count: u64) { assert_eq!(count, 7) }
//!     fn read(self, _: &Counter, _: Option<Instant>) {}
//!     fn failed(self, failure: Failure) { panic!("{failure:?}") }
//! }
//!
//! impl Cluster for Group {
//!     type Config = raft::Config;
//!     type Machine = Counter;
//!     type Ticket = Caller;
//!     type Witness = ();
//!
//!     fn config(&self, node: NodeId, seed: u64) -> raft::Config {
//!         let mut config = raft::Config::new(raft::NodeId(node.0), (1..=3).map(raft::NodeId));
//!         config.seed = seed;
//!         config
//!     }
//!     fn machine(&self) -> Counter { Counter::default() }
//!     fn witness(&self, _: NodeId) {}
//! }
//!
//! let mut world = World::<SimNode<Group>>::new(42, 3, WorldOptions::default(), Group);
//! world.run_until(Duration::from_secs(1)); // by then there is a leader
//! let add = SimRequest::Propose {
//!     command: vec![7].into(),
//!     timeout: Duration::from_secs(1),
//!     ticket: Caller,
//! };
//! world.inject(synod_sim::NodeId(2), add);
//! world.run_until(Duration::from_secs(2));
//! for id in world.node_ids() {
//!     assert_eq!(world.process(id).map(|node| node.machine().0), Some(7));
//! }
//! # }
//! ```

mod application;
mod cluster;
mod disk;
mod group;
mod node;
mod packet;
mod portrait;
mod storage;

pub use application::{AppContext, Application};
pub use cluster::{Cluster, Core, SimRequest, Witness};
pub use disk::{SimDisk, SimFile};
pub use group::SimGroup;
pub use node::SimNode;
pub use packet::Packet;
