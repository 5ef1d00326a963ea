//! A deterministic world in virtual time, and checkers of what was seen in it.
mod disk;
mod history;
mod kv;
mod linearizability;
mod rng;
mod value;
mod world;

pub use disk::{Disk, DiskOptions, DiskStats, FILE_BYTES_MAX, SECTOR_BYTES};
pub use history::{ClientId, Counts, History, Moment, OpId, Operation, Outcome, RecordError};
pub use kv::{KeyName, Kv, KvInput, KvOutput, KvRequest};
pub use linearizability::{Checker, Effect, Model, Verdict, Violation, check};
pub use rng::Rng;
pub use value::Value;
pub use world::{Context, Crash, Event, NodeId, Process, Start, World, WorldOptions, WorldStats};
