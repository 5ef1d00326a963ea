//! Views of an engine for checkers and tests.

use std::fmt;

use super::Engine;
use crate::protocol::Protocol;

/// How full an engine is, in the units of its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineLoad {
    /// Requests in progress; at most [`Bounds::requests_max`](super::Bounds).
    pub requests: usize,
    /// Bytes of commands waiting to be sealed; at most [`Bounds::queued_bytes_max`](super::Bounds) and
    /// what a former leader gave back, which is at most `forwards_max` bodies.
    pub queued_bytes: usize,
    /// Writes appended to the log and not durable yet; at most one for a core that keeps one in
    /// flight.
    pub staged: usize,
    /// Rounds of this node's reads in progress.
    pub rounds: usize,
    /// Rounds of followers' reads in progress.
    pub remote_rounds: usize,
}

impl<P: Protocol, T> Engine<P, T> {
    /// The consensus core.
    pub fn core(&self) -> &P {
        &self.core
    }

    /// How full the engine is.
    pub fn load(&self) -> EngineLoad {
        EngineLoad {
            requests: self.requests(),
            queued_bytes: self.proposals.queued_bytes(),
            staged: self.staged.len(),
            rounds: self.reads.under_way(),
            remote_rounds: self.reads.remote_count(),
        }
    }
}

impl<P: Protocol, T> fmt::Debug for Engine<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
