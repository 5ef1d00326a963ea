//! The internals of a node, for driving it in another way than by its loop: in a simulation, in a
//! loop of your own, or step by step in a test.
//!
//! An [`Engine`] is one group's part of a node: it takes frames, requests, completions and
//! deadlines, and returns what to do. It owns the consensus core, which is a [`Protocol`], and does
//! no I/O. An [`Applier`] applies commands to the machine and answers requests, each through a
//! [`Ticket`].
//!
//! ```text
//!  frames, requests, ──▶ Engine ──▶ Effect: append to the log, send to a peer
//!  completions, time      │  │ └──▶ Task: read the log, write or move a snapshot ──▶ Completion
//!                         │  └────▶ Job ──▶ Applier ──▶ StateMachine, Ticket
//!                         └ Protocol
//! ```
//!
//! Users of a node need none of this. It changes with the internals of the runtime.

pub use crate::applier::{Applier, ApplyError, Done, Frozen, Job, Ran, Rest};
pub use crate::engine::{
    Effect, Engine, EngineConfig, EngineLoad, EngineStatus, INTERVAL_PARTS_MAX, Poisoned, Proposal,
};
pub use crate::machine::Ticket;
pub use crate::protocol::{
    Committed, CoreStatus, DiskHealth, Kind, Leadership, Output, PeerStatus, Protocol, ReadId,
    RecoverError, Refusal, Seed,
};
pub use crate::task::{Chunk, Completion, SnapshotName, Task};
pub use crate::time::Instant;
