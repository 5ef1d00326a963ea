//! Reads that are not stale: grouped into rounds, given an index by the leader, and served once the
//! machine has applied that index.
//!
//! A round also tells how fresh the machine is from then on: it has all that had ended when the round was
//! asked for. Nothing else tells that. A heartbeat may have been under way for any time.
//!
//! A read has no effect, so it may be retried as often as needed: with the next leader, or when an
//! answer does not arrive. Round numbers are never reused within an incarnation, so a late answer
//! matches no round (torture list E2).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use synod_transport::NodeId;

use crate::consistency::Consistency;
use crate::protocol::{Leadership, ReadId};
use crate::time::Instant;

/// The ticket of a read, and its deadline.
pub(super) type Waiting<T> = (Instant, T);

struct Round<T> {
    asked: Leadership,
    at: Instant,
    by_lease: bool,
    /// A quorum was asked, whoever leads. The core of this node answers, and gives up by itself.
    by_quorum: bool,
    waiting: Vec<Waiting<T>>,
}

/// Reads that have their index, and when that was asked for.
struct Confirmed<T> {
    asked_at: Instant,
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
    /// Whether a read is queued that takes no lease for an answer.
    is_strict: bool,
    /// When the newest index was asked for that the machine has been given.
    fresh: Option<Instant>,
    /// What the clock showed before says nothing of how long ago that was.
    distrusted: Instant,
    rounds: BTreeMap<u64, Round<T>>,
    confirmed: BTreeMap<(u64, u64), Confirmed<T>>,
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
            is_strict: false,
            fresh: None,
            distrusted: Instant::default(),
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

    pub(super) fn push(&mut self, deadline: Instant, consistency: Consistency, ticket: T) {
        self.note(deadline);
        self.is_strict |= !consistency.takes_lease();
        self.queue.push_back((deadline, ticket));
    }

    /// Adds a read whose index is known: it was asked for now.
    pub(super) fn push_confirmed(
        &mut self,
        now: Instant,
        index: u64,
        deadline: Instant,
        ticket: T,
    ) {
        self.note(deadline);
        self.next += 1;
        let confirmed = Confirmed {
            asked_at: now,
            waiting: vec![(deadline, ticket)],
        };
        self.confirmed.insert((index, self.next), confirmed);
    }

    fn note(&mut self, deadline: Instant) {
        self.wake = Some(self.wake.map_or(deadline, |wake| wake.min(deadline)));
        self.count += 1;
    }

    /// A moment by which all that had ended is in what the machine has been given.
    pub(super) fn fresh(&self) -> Option<Instant> {
        self.fresh
    }

    /// The clock was wrong until `now`: no age counts from what it showed.
    pub(super) fn distrust(&mut self, now: Instant) {
        (self.fresh, self.distrusted) = (None, now);
    }

    /// Whether the machine as it is may answer.
    pub(super) fn is_fresh(&self, now: Instant, consistency: Consistency) -> bool {
        match consistency {
            Consistency::Stale => true,
            Consistency::Bounded(most) => self.fresh.is_some_and(|at| now.since(at) <= most),
            Consistency::Linearizable | Consistency::Lease => false,
        }
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn under_way(&self) -> usize {
        self.rounds.len()
    }

    /// Makes one round of everything queued, to be requested from `leader`.
    /// Also returns whether the leader may answer by its lease.
    pub(super) fn ask(&mut self, now: Instant, leader: Leadership) -> (ReadId, bool) {
        self.next += 1;
        let by_lease = !std::mem::take(&mut self.is_strict);
        let waiting = self.queue.drain(..).collect();
        self.rounds.insert(
            self.next,
            Round {
                asked: leader,
                at: now,
                by_lease,
                by_quorum: false,
                waiting,
            },
        );
        (ReadId(self.next), by_lease)
    }

    /// A quorum is asked for the index of this round; the core of this node, which is `here`, answers.
    pub(super) fn ask_a_quorum(&mut self, id: ReadId, here: NodeId) {
        if let Some(round) = self.rounds.get_mut(&id.0) {
            round.by_quorum = true;
            round.asked.node = here;
        }
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
            let confirmed = Confirmed {
                asked_at: round.at,
                waiting: round.waiting,
            };
            self.confirmed.insert((index, id.0), confirmed);
        }
    }

    /// Puts the reads of a round back to the front of the queue: it will not get an index from the
    /// node it was asked of.
    pub(super) fn requeue(&mut self, id: ReadId) {
        if let Some(round) = self.rounds.remove(&id.0) {
            self.is_strict |= !round.by_lease;
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
        let by_leader = self.rounds.iter().filter(|(_, round)| !round.by_quorum);
        let stale = by_leader.filter(|(_, round)| {
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
            let first = first.remove();
            if first.asked_at >= self.distrusted {
                self.fresh = self.fresh.max(Some(first.asked_at));
            }
            ready.extend(first.waiting.into_iter().map(|(_, ticket)| ticket));
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
        let confirmed = self.confirmed.values_mut();
        confirmed.for_each(|confirmed| part(&mut confirmed.waiting));
        self.confirmed.retain(|_, it| !it.waiting.is_empty());
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
        let confirmed = std::mem::take(&mut self.confirmed)
            .into_values()
            .flat_map(|confirmed| confirmed.waiting);
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
            .chain(self.confirmed.values().flat_map(|it| &it.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Consistency::{Bounded, Lease, Linearizable};
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
        reads.push(at(100), Linearizable, "a");
        reads.push(at(100), Linearizable, "b");
        let (id, _) = reads.ask(at(0), leader(2, 1));
        reads.push(at(100), Linearizable, "c");
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
        reads.push(at(100), Linearizable, "a");
        let (first, _) = reads.ask(at(0), leader(2, 1));
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
        let (second, _) = reads.ask(at(51), leader(3, 2));
        reads.confirm(NodeId(2), first, 1);
        assert!(reads.serve(9).is_empty(), "the first answer came too late");
        reads.confirm(NodeId(3), second, 2);
        assert_eq!(reads.serve(9), ["a"]);
    }

    #[test]
    fn a_round_of_a_quorum_goes_on_under_the_next_leader() {
        let mut reads = Reads::new();
        reads.push(at(100), Linearizable, "a");
        let (id, _) = reads.ask(at(0), leader(2, 1));
        reads.ask_a_quorum(id, HERE);
        assert_eq!(reads.stale_at(HERE, TIMEOUT), None);
        for led_by in [None, Some(leader(3, 2))] {
            assert!(reads.stale(at(90), led_by, HERE, TIMEOUT).is_empty());
        }
        reads.confirm(NodeId(2), id, 1);
        assert!(reads.serve(9).is_empty(), "the leader was not asked");
        reads.confirm(HERE, id, 7);
        assert_eq!(reads.serve(7), ["a"]);
    }

    #[test]
    fn every_read_ends_by_its_deadline() {
        let mut reads = Reads::new();
        reads.push(at(10), Linearizable, "round");
        reads.ask(at(0), leader(2, 1));
        reads.push(at(10), Linearizable, "confirmed");
        let (id, _) = reads.ask(at(0), leader(2, 1));
        reads.confirm(NodeId(2), id, 7);
        reads.push(at(10), Linearizable, "queued");
        reads.push(at(11), Linearizable, "later");
        assert!(reads.expire(at(9)).is_empty());
        assert_eq!(reads.expire(at(10)), ["queued", "round", "confirmed"]);
        assert_eq!((reads.wake(), reads.count()), (Some(at(11)), 1));
    }

    #[test]
    fn a_round_is_by_lease_if_all_of_it_may_be() {
        let mut reads = Reads::new();
        reads.push(at(100), Lease, "a");
        reads.push(at(100), Bounded(TIMEOUT), "b");
        assert!(reads.ask(at(0), leader(2, 1)).1);
        reads.push(at(100), Lease, "c");
        reads.push(at(100), Linearizable, "d");
        let (strict, by_lease) = reads.ask(at(0), leader(2, 1));
        assert!(!by_lease);
        reads.push(at(100), Lease, "e");
        reads.requeue(strict);
        assert!(!reads.ask(at(1), leader(2, 1)).1, "with `d` again");
        reads.push(at(100), Lease, "f");
        assert!(reads.ask(at(1), leader(2, 1)).1);
    }

    /// The age counts from the question, whenever the answer came and whenever the machine got there.
    #[test]
    fn a_machine_is_as_fresh_as_the_question_whose_answer_it_has_reached() {
        let mut reads = Reads::new();
        reads.push(at(100), Lease, "a");
        let (id, _) = reads.ask(at(10), leader(2, 1));
        assert_eq!(reads.fresh(), None);
        assert!(!reads.is_fresh(at(10), Bounded(TIMEOUT)));
        reads.confirm(NodeId(2), id, 5);
        assert!(reads.serve(4).is_empty());
        assert_eq!(reads.fresh(), None, "the machine has not got there");
        assert_eq!(reads.serve(5), ["a"]);
        assert_eq!(reads.fresh(), Some(at(10)));
        assert!(reads.is_fresh(at(60), Bounded(TIMEOUT)));
        assert!(!reads.is_fresh(at(61), Bounded(TIMEOUT)));
        assert!(!reads.is_fresh(at(10), Lease));
        // What was asked for earlier makes nothing older.
        reads.push_confirmed(at(90), 7, at(200), "b");
        reads.push_confirmed(at(80), 6, at(200), "c");
        assert_eq!(reads.serve(7), ["c", "b"]);
        assert_eq!((reads.fresh(), reads.count()), (Some(at(90)), 0));
    }
}
