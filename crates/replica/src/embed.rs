//! The inside of a node, for whoever drives it otherwise than by its loop: in a simulation, in a loop of
//! their own, or to look at it in a test.
//!
//! An [`Engine`] is one group's share in a node: it takes frames, requests, completions and deadlines,
//! and says what is to be done. It owns the core, which is a [`Protocol`], and no I/O. An [`Applier`]
//! gives the machine its commands and answers whoever waits, a [`Ticket`] each.
//!
//! ```text
//!  frames, requests, ──▶ Engine ──▶ Effect: append to the log, send to a peer
//!  completions, time      │  │ └──▶ Task: read the log, write or move a snapshot ──▶ Completion
//!                         │  └────▶ Job ──▶ Applier ──▶ StateMachine, Ticket
//!                         └ Protocol
//! ```
//!
//! Users of a node need none of this. It follows the inside of the runtime, and changes with it.

pub use crate::applier::{Applier, ApplyError, Done, Frozen, Job, Ran, Rest};
pub use crate::engine::{
    Effect, Engine, EngineConfig, EngineLoad, EngineStatus, INTERVAL_PARTS_MAX, Poisoned, Proposal,
};
pub use crate::machine::Ticket;
pub use crate::protocol::{
    Committed, CoreStatus, DiskHealth, Kind, Leadership, Output, PeerStatus, Protocol, ReadId,
    RecoverError, Refusal,
};
pub use crate::task::{Chunk, Completion, SnapshotName, Task};
pub use crate::time::Instant;
