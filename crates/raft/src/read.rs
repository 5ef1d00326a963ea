use alloc::collections::VecDeque;

use crate::Index;

/// The caller's name for a read; unique among the reads that this node was ever asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Reads of a leader that wait to be confirmed (ReadIndex, §8 and thesis §6.4).
///
/// A read is linearizable if the leader still led at some moment after the read came in, and serves
/// it from a state that holds everything committed by then. So:
/// - a read waits until an entry of the leader's own term is committed: before that the leader does
///   not know what its predecessors committed;
/// - then it takes the commit index and the number of a heartbeat round that begins *after*;
/// - it is confirmed when a quorum has echoed that round or a later one. Rounds rise within a term
///   and an echo names its term, so no echo of an older round or of another term is ever taken for
///   it.
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

    /// A round begins while `commit` is committed.
    pub(crate) fn begin_round(&mut self, round: u64, index: Index) {
        let waiting = self.waiting.drain(..);
        self.pending
            .extend(waiting.map(|id| Pending { id, index, round }));
    }

    /// The round that the first read waits for.
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.pending.front().map(|read| read.round)
    }

    /// The first read, once its round is confirmed.
    pub(crate) fn pop(&mut self) -> Option<(ReadId, Index)> {
        let read = self.pending.pop_front()?;
        Some((read.id, read.index))
    }

    /// All of them, when the leader steps down.
    pub(crate) fn end(self) -> impl Iterator<Item = ReadId> {
        self.pending
            .into_iter()
            .map(|read| read.id)
            .chain(self.waiting)
    }
}
