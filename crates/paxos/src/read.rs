use alloc::collections::VecDeque;

use crate::Slot;

/// The caller's id for a read. It must be unique among all reads requested from this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// A leader's reads that wait for confirmation: Raft's ReadIndex, in ballots.
///
/// A read is linearizable if no later leader had chosen anything when it arrived, and it is served
/// from a state that contains everything chosen by then. So:
/// - A read waits until everything that phase 1 found is chosen: before that, the leader does not
///   know what its predecessors chose.
/// - It then takes the chosen prefix and the number of a heartbeat round that begins *afterwards*.
/// - It is confirmed when a phase-2 quorum has echoed that round or a later one. A node that echoes
///   had promised no higher ballot. A later leader needs the promises of a phase-1 quorum, which
///   intersects this one, so its phase 1 had not ended when the read arrived. Rounds increase
///   within a ballot and an echo carries its ballot, so an echo of an older round or of another
///   ballot never confirms it.
///
/// All waiting reads share the next round, and a round is begun for them only if no other is in
/// flight: many reads cost one round per round trip.
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

    /// Whether a round is in flight for some of the reads.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.pending.is_empty()
    }

    /// Assigns all waiting reads to a round that begins while everything up to `slot` is chosen.
    pub(crate) fn begin_round(&mut self, round: u64, slot: Slot) {
        let waiting = self.waiting.drain(..);
        self.pending
            .extend(waiting.map(|id| Pending { id, slot, round }));
    }

    /// A configuration has come into force: reads that wait for its acceptors alone have to see
    /// everything that was chosen up to there.
    pub(crate) fn raise_to(&mut self, slot: Slot) {
        let pending = self.pending.iter_mut();
        pending.for_each(|read| read.slot = read.slot.max(slot));
    }

    /// The next read that a quorum's echo of `round` confirms.
    pub(crate) fn confirmed(&mut self, round: u64) -> Option<(ReadId, Slot)> {
        let read = self.pending.front().filter(|read| read.round <= round)?;
        let confirmed = (read.id, read.slot);
        self.pending.pop_front();
        Some(confirmed)
    }

    /// All reads, when the leader steps down.
    pub(crate) fn end(self) -> impl Iterator<Item = ReadId> {
        self.pending
            .into_iter()
            .map(|read| read.id)
            .chain(self.waiting)
    }
}
