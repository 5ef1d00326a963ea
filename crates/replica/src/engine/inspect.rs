//! What a checker may look at, and nothing else needs.

use std::fmt;

use super::Engine;
use crate::protocol::Protocol;

/// How full an engine is, in the units of its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineLoad {
    /// Requests whose end is open; at most [`EngineConfig::requests_max`](super::EngineConfig).
    pub requests: usize,
    /// Bytes of commands that wait to be sealed; at most
    /// [`EngineConfig::queued_bytes_max`](super::EngineConfig).
    pub queued_bytes: usize,
    /// Writes that the log has taken and not made durable: one, for a core that keeps one in flight.
    pub staged: usize,
    /// Rounds of reads of this node under way.
    pub rounds: usize,
    /// Rounds of reads under way for followers.
    pub remote_rounds: usize,
}

impl<P: Protocol, T> Engine<P, T> {
    /// The core.
    pub fn core(&self) -> &P {
        &self.core
    }

    /// How full it is.
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
