use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::check::named::Named;
use crate::check::violation::Violation;
use crate::{Ballot, NodeId, Position, Record, Slot, State, Value, Vote, Votes};

/// A vote without the body of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) ballot: Ballot,
    pub(crate) value: Named,
}

impl Held {
    pub(crate) fn of(ballot: Ballot, value: &Value) -> Self {
        let value = Named::of(value);
        Self { ballot, value }
    }
}

/// The contents of a node's disk: its promise, its stored chosen prefix, its votes, and its
/// snapshot. This is what would be left after a crash now.
///
/// Invariants: every vote is after `start`; `snapshot` is never before `start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Durable {
    pub(crate) state: State,
    pub(crate) start: Position,
    pub(crate) votes: BTreeMap<Slot, Held>,
    /// Votes up to this slot were there before the checker, which has not seen them.
    pub(crate) unseen: Slot,
    pub(crate) snapshot: Position,
}

/// A record without its bodies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) state: Option<State>,
    pub(crate) votes: Vec<(Slot, Held)>,
    pub(crate) start: Option<Position>,
}

impl Durable {
    /// The highest ballot that is promised.
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.state.promised
    }

    /// The chosen prefix stored on the disk.
    #[must_use]
    pub fn chosen(&self) -> Slot {
        self.state.chosen
    }

    /// The log begins after this position.
    #[must_use]
    pub fn start(&self) -> Position {
        self.start
    }

    /// The last slot with a vote, or the start.
    #[must_use]
    pub fn last(&self) -> Slot {
        let last = self.votes.last_key_value().map(|(slot, _)| *slot);
        last.unwrap_or(self.start.slot).max(self.unseen)
    }

    /// The last position that the newest snapshot covers.
    #[must_use]
    pub fn snapshot(&self) -> Position {
        self.snapshot
    }

    /// The vote for a slot: its ballot and its value.
    #[must_use]
    pub fn vote(&self, slot: Slot) -> Option<(Ballot, Named)> {
        let held = self.votes.get(&slot)?;
        Some((held.ballot, held.value))
    }

    /// The slot up to which a node that starts from this disk knows everything to be chosen.
    pub(crate) fn knows_to(&self) -> Slot {
        self.state.chosen.max(self.snapshot.slot)
    }

    /// The slot up to which everything is in a snapshot, or was there before the checker.
    pub(crate) fn covered(&self) -> Slot {
        self.snapshot.slot.max(self.start.slot).max(self.unseen)
    }

    /// Stores the whole record, in its order.
    pub(crate) fn store(&mut self, node: NodeId, change: &Change) -> Result<(), Violation> {
        let before = self.state.promised;
        if let Some(state) = change.state {
            if state.promised < before {
                let (from, to) = (before, state.promised);
                return Err(Violation::PromiseFell { node, from, to });
            }
            self.state = state;
        }
        if let Some(start) = change.start {
            self.begin_at(node, start)?;
        }
        for (slot, held) in &change.votes {
            self.cast(node, before, *slot, *held)?;
        }
        Ok(())
    }

    /// Removes the votes after `last`.
    pub(crate) fn lose(&mut self, last: Slot) {
        self.votes.split_off(&last.next());
        self.state.chosen = self.state.chosen.min(last);
    }

    /// Adds a vote. It must not be below the promise at the last record, and accepting is
    /// promising.
    fn cast(
        &mut self,
        node: NodeId,
        before: Ballot,
        slot: Slot,
        held: Held,
    ) -> Result<(), Violation> {
        let ballot = held.ballot;
        let last = self.votes.get(&slot).map_or(before, |old| old.ballot);
        let promised = before.max(last);
        if ballot < promised {
            return Err(Violation::VoteBelowPromise {
                node,
                slot,
                ballot,
                promised,
            });
        }
        if ballot > self.state.promised {
            let promised = self.state.promised;
            return Err(Violation::VoteWithoutPromise {
                node,
                slot,
                ballot,
                promised,
            });
        }
        self.votes.insert(slot, held);
        Ok(())
    }

    fn begin_at(&mut self, node: NodeId, start: Position) -> Result<(), Violation> {
        if start.slot <= self.start.slot {
            return Ok(());
        }
        if start.slot > self.snapshot.slot {
            return Err(Violation::SnapshotLost {
                node,
                needed: start.slot,
                snapshot: self.snapshot.slot,
            });
        }
        self.votes = self.votes.split_off(&start.slot.next());
        self.start = start;
        Ok(())
    }

    /// The start of the log of a node that starts from this disk: the log begins after the newest
    /// snapshot, and later votes are kept.
    pub(crate) fn recovered_start(&self) -> Position {
        match self.snapshot.slot > self.start.slot {
            true => self.snapshot,
            false => self.start,
        }
    }
}

impl Change {
    pub(crate) fn of(record: &Record) -> Self {
        let votes = record.votes.iter().flat_map(Votes::iter);
        let held = |vote: Vote<&Value>| (vote.slot, Held::of(vote.ballot, vote.value));
        Self {
            state: record.state,
            votes: votes.map(held).collect(),
            start: record.start.as_deref().copied(),
        }
    }

    /// The part of this change that is left by a crash between its steps, with this many votes.
    pub(crate) fn torn(&self, votes: usize) -> Self {
        Self {
            state: self.state,
            votes: self.votes[..votes].to_vec(),
            start: None,
        }
    }
}
