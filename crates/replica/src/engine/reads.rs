//! Linearizable reads: grouped into rounds, given an index by the leader, and served once the
//! machine has applied that index.
//!
//! A read has no effect, so it may be retried as often as needed: with the next leader, or when an
//! answer does not arrive. Round numbers are never reused within an incarnation, so a late answer
//! matches no round (torture list E2).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use synod_transport::NodeId;

use crate::protocol::{Leadership, ReadId};
use crate::time::Instant;

/// The ticket of a read, and its deadline.
pub(super) type Waiting<T> = (Instant, T);

struct Round<T> {
    asked: Leadership,
    at: Instant,
    waiting: Vec<Waiting<T>>,
}

/// A follower's round: the node, its incarnation, and the round's number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    pub(super) id: u64,
}

/// # Invariants
/// - A ticket is in one of `queue`, `rounds` and `confirmed`, once.
/// - Keys of `rounds`, `confirmed` and `remote` come from the same counter.
pub(super) struct Reads<T> {
    queue: VecDeque<Waiting<T>>,
    rounds: BTreeMap<u64, Round<T>>,
    confirmed: BTreeMap<(u64, u64), Vec<Waiting<T>>>,
    /// Rounds that followers requested from this node as leader.
    remote: BTreeMap<u64, Remote>,
    next: u64,
    count: usize,
    wake: Option<Instant>,
}

impl<T> Reads<T> {
    pub(super) fn new() -> Self {
        let (queue, rounds, confirmed, remote) = Default::default();
        Self {
            queue,
            rounds,
            confirmed,
            remote,
            next: 0,
            count: 0,
            wake: None,
        }
    }

    /// Reads in progress.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, deadline: Instant, ticket: T) {
        self.wake = Some(self.wake.map_or(deadline, |wake| wake.min(deadline)));
        self.count += 1;
        self.queue.push_back((deadline, ticket));
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn under_way(&self) -> usize {
        self.rounds.len()
    }

    /// Makes one round of everything queued, to be requested from `leader`.
    pub(super) fn ask(&mut self, now: Instant, leader: Leadership) -> ReadId {
        self.next += 1;
        let waiting = self.queue.drain(..).collect();
        self.rounds.insert(
            self.next,
            Round {
                asked: leader,
                at: now,
                waiting,
            },
        );
        ReadId(self.next)
    }

    /// Records a follower's request for an index.
    pub(super) fn ask_for(&mut self, remote: Remote) -> ReadId {
        self.next += 1;
        self.remote.insert(self.next, remote);
        ReadId(self.next)
    }

    /// Takes the follower's round of this id, if it is one.
    pub(super) fn take_remote(&mut self, id: ReadId) -> Option<Remote> {
        self.remote.remove(&id.0)
    }

    pub(super) fn remote_count(&self) -> usize {
        self.remote.len()
    }

    /// Records the index of a round. An answer from another node than the one asked is ignored.
    pub(super) fn confirm(&mut self, from: NodeId, id: ReadId, index: u64) {
        if self
            .rounds
            .get(&id.0)
            .is_some_and(|round| round.asked.node == from)
            && let Some(round) = self.rounds.remove(&id.0)
        {
            self.confirmed.insert((index, id.0), round.waiting);
        }
    }

    /// Puts the reads of a round back to the front of the queue: it will not get an index from the
    /// node it was asked of.
    pub(super) fn requeue(&mut self, id: ReadId) {
        if let Some(round) = self.rounds.remove(&id.0) {
            for waiting in round.waiting.into_iter().rev() {
                self.queue.push_front(waiting);
            }
        }
    }

    /// The node that a round was asked of.
    pub(super) fn asked_of(&self, id: ReadId) -> Option<NodeId> {
        self.rounds.get(&id.0).map(|round| round.asked.node)
    }

    /// Takes the tickets of a round that was refused.
    pub(super) fn refuse(&mut self, id: ReadId) -> Vec<T> {
        let waiting = self
            .rounds
            .remove(&id.0)
            .map(|round| round.waiting)
            .unwrap_or_default();
        self.count -= waiting.len();
        waiting.into_iter().map(|(_, ticket)| ticket).collect()
    }

    /// Rounds asked of another leadership than this, or of a peer more than `retry_after` ago.
    pub(super) fn stale(
        &self,
        now: Instant,
        leadership: Option<Leadership>,
        here: NodeId,
        retry_after: Duration,
    ) -> Vec<ReadId> {
        let stale = self.rounds.iter().filter(|(_, round)| {
            Some(round.asked) != leadership
                || (round.asked.node != here && now.since(round.at) >= retry_after)
        });
        stale.map(|(&id, _)| ReadId(id)).collect()
    }

    /// When the oldest round asked of a peer becomes stale.
    pub(super) fn stale_at(&self, here: NodeId, retry_after: Duration) -> Option<Instant> {
        self.rounds
            .values()
            .filter(|round| round.asked.node != here)
            .map(|round| round.at + retry_after)
            .min()
    }

    /// Takes the reads that a machine at `applied` may serve.
    pub(super) fn serve(&mut self, applied: u64) -> Vec<T> {
        let mut ready = Vec::new();
        while let Some(first) = self.confirmed.first_entry()
            && first.key().0 <= applied
        {
            ready.extend(first.remove().into_iter().map(|(_, ticket)| ticket));
        }
        self.count -= ready.len();
        ready
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Takes the tickets whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<T> {
        if self.wake.is_none_or(|wake| now < wake) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut part = |waiting: &mut Vec<Waiting<T>>| {
            for (deadline, ticket) in std::mem::take(waiting) {
                if deadline <= now {
                    due.push(ticket);
                } else {
                    waiting.push((deadline, ticket));
                }
            }
        };
        let mut queue = Vec::from(std::mem::take(&mut self.queue));
        part(&mut queue);
        self.queue = queue.into();
        self.rounds
            .values_mut()
            .for_each(|round| part(&mut round.waiting));
        self.confirmed.values_mut().for_each(part);
        self.confirmed.retain(|_, waiting| !waiting.is_empty());
        self.rounds.retain(|_, round| !round.waiting.is_empty());
        self.count -= due.len();
        self.wake = self.all().map(|(deadline, _)| *deadline).min();
        due
    }

    /// Takes all tickets.
    pub(super) fn drain(&mut self) -> Vec<T> {
        let queue = std::mem::take(&mut self.queue);
        let rounds = std::mem::take(&mut self.rounds)
            .into_values()
            .flat_map(|round| round.waiting);
        let confirmed = std::mem::take(&mut self.confirmed).into_values().flatten();
        self.remote.clear();
        self.count = 0;
        self.wake = None;
        queue
            .into_iter()
            .chain(rounds)
            .chain(confirmed)
            .map(|(_, ticket)| ticket)
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Waiting<T>> {
        let rounds = self.rounds.values().flat_map(|round| &round.waiting);
        self.queue
            .iter()
            .chain(rounds)
            .chain(self.confirmed.values().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Epoch;

    const HERE: NodeId = NodeId(1);
    const TIMEOUT: Duration = Duration::from_millis(50);

    fn at(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    fn leader(node: u64, round: u64) -> Leadership {
        Leadership {
            node: NodeId(node),
            epoch: Epoch::of_round(round),
        }
    }

    #[test]
    fn a_read_is_served_once_its_index_is_applied() {
        let mut reads = Reads::new();
        reads.push(at(100), "a");
        reads.push(at(100), "b");
        let id = reads.ask(at(0), leader(2, 1));
        reads.push(at(100), "c");
        reads.confirm(NodeId(3), id, 1);
        assert!(reads.serve(9).is_empty(), "an answer from a stranger");
        reads.confirm(NodeId(2), id, 5);
        reads.confirm(NodeId(2), id, 1);
        assert!(reads.serve(4).is_empty());
        assert_eq!(reads.serve(5), ["a", "b"]);
        assert_eq!(reads.count(), 1);
    }

    #[test]
    fn a_round_is_asked_again_of_the_next_leader_or_after_a_while() {
        let mut reads = Reads::new();
        reads.push(at(100), "a");
        let first = reads.ask(at(0), leader(2, 1));
        assert!(
            reads
                .stale(at(49), Some(leader(2, 1)), HERE, TIMEOUT)
                .is_empty()
        );
        assert_eq!(reads.stale_at(HERE, TIMEOUT), Some(at(50)));
        assert_eq!(
            reads.stale(at(50), Some(leader(2, 1)), HERE, TIMEOUT),
            [first]
        );
        assert_eq!(
            reads.stale(at(1), Some(leader(3, 2)), HERE, TIMEOUT),
            [first]
        );
        reads.requeue(first);
        let second = reads.ask(at(51), leader(3, 2));
        reads.confirm(NodeId(2), first, 1);
        assert!(reads.serve(9).is_empty(), "the first answer came too late");
        reads.confirm(NodeId(3), second, 2);
        assert_eq!(reads.serve(9), ["a"]);
    }

    #[test]
    fn every_read_ends_by_its_deadline() {
        let mut reads = Reads::new();
        reads.push(at(10), "round");
        reads.ask(at(0), leader(2, 1));
        reads.push(at(10), "confirmed");
        let id = reads.ask(at(0), leader(2, 1));
        reads.confirm(NodeId(2), id, 7);
        reads.push(at(10), "queued");
        reads.push(at(11), "later");
        assert!(reads.expire(at(9)).is_empty());
        assert_eq!(reads.expire(at(10)), ["queued", "round", "confirmed"]);
        assert_eq!((reads.wake(), reads.count()), (Some(at(11)), 1));
    }
}
