use alloc::collections::VecDeque;

use crate::Slot;

/// The caller's id for a read. It must be unique among all reads requested from this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Reads of a leader that wait to be confirmed: Raft's ReadIndex, in ballots.
///
/// A read is linearizable if no later leader had chosen anything when it came in, and it is served
/// from a state that holds everything chosen by then. So:
/// - a read waits until everything that phase 1 found is chosen: before that the leader does not
///   know what its predecessors chose;
/// - then it takes the chosen prefix and the number of a heartbeat round that begins *after*;
/// - it is confirmed when a phase-2 quorum has echoed that round or a later one. Whoever echoes had
///   promised nothing higher, and a later leader needs the promises of a phase-1 quorum, which meets
///   this one: so it had not finished its phase 1 when the read came in. Rounds rise within a ballot
///   and an echo names its ballot, so no echo of an older round or of another ballot is ever taken
///   for it.
///
/// All reads that wait share the next round, and a round is begun for them only if none is under
/// way: a flood of reads costs one round a round trip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reads {
    waiting: VecDeque<ReadId>,
    pending: VecDeque<Pending>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    id: ReadId,
    slot: Slot,
    round: u64,
}

impl Reads {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.pending.len()
    }

    pub(crate) fn contains(&self, id: ReadId) -> bool {
        self.waiting.contains(&id) || self.pending.iter().any(|read| read.id == id)
    }

    pub(crate) fn push(&mut self, id: ReadId) {
        self.waiting.push_back(id);
    }

    /// Whether a round is under way for some of them.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.pending.is_empty()
    }

    /// A round begins while everything up to `slot` is chosen.
    pub(crate) fn begin_round(&mut self, round: u64, slot: Slot) {
        let waiting = self.waiting.drain(..);
        self.pending
            .extend(waiting.map(|id| Pending { id, slot, round }));
    }

    /// The next read that a quorum's echo of `round` confirms.
    pub(crate) fn confirmed(&mut self, round: u64) -> Option<(ReadId, Slot)> {
        let read = self.pending.front().filter(|read| read.round <= round)?;
        let confirmed = (read.id, read.slot);
        self.pending.pop_front();
        Some(confirmed)
    }

    /// All of them, when the leader resigns.
    pub(crate) fn end(self) -> impl Iterator<Item = ReadId> {
        self.pending
            .into_iter()
            .map(|read| read.id)
            .chain(self.waiting)
    }
}
