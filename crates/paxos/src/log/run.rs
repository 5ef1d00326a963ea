use alloc::vec::Vec;

use crate::{Ballot, Slot, Value, Votes};

/// A run of votes in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) votes: Votes,
    /// The bytes that they keep in memory.
    pub(super) bytes: usize,
    pub(super) durability: Durability,
}

/// The open tail, after all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tail {
    pub(super) first: Slot,
    pub(super) ballot: Ballot,
    pub(super) values: Vec<Value>,
    pub(super) bytes: usize,
    /// Whether some value is a configuration.
    pub(super) configures: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Durability {
    Unwritten,
    Writing,
    Durable,
}

impl Tail {
    pub(super) fn last(&self) -> Option<Slot> {
        let more = self.values.len().checked_sub(1)? as u64;
        Some(Slot(self.first.0.saturating_add(more)))
    }
}
