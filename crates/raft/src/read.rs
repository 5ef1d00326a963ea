use alloc::collections::VecDeque;

use crate::Index;

/// The caller's id for a read. It must be unique among all reads requested from this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// A leader's reads that wait for confirmation (ReadIndex, §8 and thesis §6.4).
///
/// A read is linearizable if the leader was still leading at some moment after the read arrived,
/// and serves it from a state that contains everything committed by then. So:
/// - A read waits until an entry of the leader's own term is committed: before that, the leader
///   does not know what its predecessors committed.
/// - It then takes the commit index and the number of a heartbeat round that begins *afterwards*.
/// - It is confirmed when a quorum has echoed that round or a later one. Rounds increase within a
///   term and an echo carries its term, so an echo of an older round or of another term never
///   confirms it.
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
    index: Index,
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

    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.pending.is_empty()
    }

    /// Assigns all waiting reads to a round that begins while `index` is the commit index.
    pub(crate) fn begin_round(&mut self, round: u64, index: Index) {
        let waiting = self.waiting.drain(..);
        self.pending
            .extend(waiting.map(|id| Pending { id, index, round }));
    }

    /// The round that the first read waits for.
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.pending.front().map(|read| read.round)
    }

    /// Removes the first read, whose round was confirmed.
    pub(crate) fn pop(&mut self) -> Option<(ReadId, Index)> {
        let read = self.pending.pop_front()?;
        Some((read.id, read.index))
    }

    /// All reads, when the leader steps down.
    pub(crate) fn end(self) -> impl Iterator<Item = ReadId> {
        self.pending
            .into_iter()
            .map(|read| read.id)
            .chain(self.waiting)
    }
}
