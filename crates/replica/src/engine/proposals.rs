//! Proposals of this node: queued, sealed into bodies, and matched to their outcomes by name.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::body::{self, COMMAND_OVERHEAD_BYTES, NAME_BYTES, Name};
use crate::log::RECORD_SPARE_BYTES;
use crate::protocol::{Epoch, Leadership};
use crate::time::Instant;

/// A command on its way into the log.
#[derive(Debug)]
pub struct Proposal<T> {
    /// The bytes that the machine's `apply` receives.
    pub command: Bytes,
    /// When the request must have ended.
    pub deadline: Instant,
    /// The receiver of the outcome.
    pub ticket: T,
}

/// The ticket of a command that has left the queue, and its deadline.
type Waiting<T> = Option<(Instant, T)>;

/// A body that left this node under a name.
struct Open<T> {
    leadership: Leadership,
    sealed: Instant,
    /// A snapshot was restored since and may cover the body, so its outcome is unknown.
    in_doubt: bool,
    /// As it was sealed: its commands may have to be queued again.
    body: Bytes,
    waiting: Vec<Waiting<T>>,
}

/// Bodies that were overtaken by an applied one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overtaken<T> {
    /// Certainly never applied.
    pub(super) lost: Vec<T>,
    /// Possibly applied, within a snapshot.
    pub(super) in_doubt: Vec<T>,
}

/// # Invariants
/// - A ticket is in `queue` or in `open`, and in one of them once.
/// - Sequence numbers rise in the order of the calls to [`push`](Self::push): bodies are sealed
///   from the queue's front.
/// - `queued_bytes` is the sum over `queue`.
pub(super) struct Proposals<T> {
    node: u64,
    incarnation: u64,
    /// Names are numbered from here.
    base: u64,
    sequence: u64,
    queue: VecDeque<Proposal<T>>,
    queued_bytes: usize,
    open: BTreeMap<u64, Open<T>>,
    open_count: usize,
    /// The leadership that the last body was sealed for.
    sealed_for: Option<Leadership>,
    /// A leadership that is over, whatever this node has heard of it.
    over: Option<Leadership>,
    /// A later incarnation of this node has proposed: no name of this one can be applied any more.
    is_outlived: bool,
    /// No deadline is earlier than this. It may be before the earliest one: `expire` then finds
    /// nothing and moves it.
    wake: Option<Instant>,
}

impl<T> Default for Overtaken<T> {
    fn default() -> Self {
        Self {
            lost: Vec::new(),
            in_doubt: Vec::new(),
        }
    }
}

impl<T> Proposals<T> {
    pub(super) fn new(node: u64, incarnation: u64, base: u64) -> Self {
        Self {
            node,
            incarnation,
            base,
            sequence: base,
            queue: VecDeque::new(),
            queued_bytes: 0,
            open: BTreeMap::new(),
            open_count: 0,
            sealed_for: None,
            over: None,
            is_outlived: false,
            wake: None,
        }
    }

    /// Commands in progress, queued or sealed.
    pub(super) fn count(&self) -> usize {
        self.queue.len() + self.open_count
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn push(&mut self, proposal: Proposal<T>) {
        self.wake = Some(
            self.wake
                .map_or(proposal.deadline, |wake| wake.min(proposal.deadline)),
        );
        self.queued_bytes += proposal.command.len();
        self.queue.push_back(proposal);
    }

    /// The most bytes that the next body takes in the log; 0 if there is none.
    pub(super) fn next_bytes(&self, bytes_max: usize) -> usize {
        match self.next(bytes_max) {
            (0, _) => 0,
            (_, bytes) => bytes + RECORD_SPARE_BYTES,
        }
    }

    /// The number of commands in the next body, and its length.
    fn next(&self, bytes_max: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, NAME_BYTES);
        for proposal in &self.queue {
            let more = COMMAND_OVERHEAD_BYTES + proposal.command.len();
            if bytes + more > bytes_max {
                break;
            }
            (count, bytes) = (count + 1, bytes + more);
        }
        (count, bytes)
    }

    /// Seals the front of the queue as one body of at most `bytes_max`, for one leadership.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        leadership: Leadership,
        bytes_max: usize,
    ) -> Option<(u64, Bytes)> {
        let (count, _) = self.next(bytes_max);
        if count == 0 || self.is_over(leadership) {
            return None;
        }
        self.sealed_for = Some(leadership);
        self.sequence += 1;
        let name = Name {
            node: self.node,
            incarnation: self.incarnation,
            sequence: self.sequence,
        };
        let body = body::encode(name, self.queue.iter().take(count).map(|p| &p.command));
        let mut waiting = Vec::with_capacity(count);
        for proposal in self.queue.drain(..count) {
            self.queued_bytes -= proposal.command.len();
            waiting.push(Some((proposal.deadline, proposal.ticket)));
        }
        self.open_count += count;
        self.open.insert(
            self.sequence,
            Open {
                leadership,
                sealed: now,
                in_doubt: false,
                body: body.clone(),
                waiting,
            },
        );
        Some((self.sequence, body))
    }

    /// The bodies sealed for this leadership and still open, and when the newest was sealed.
    pub(super) fn under_way(&self, leadership: Leadership) -> (usize, Option<Instant>) {
        let mut newest = self
            .open
            .values()
            .rev()
            .take_while(|open| open.leadership == leadership);
        let sealed = newest.next().map(|open| open.sealed);
        (newest.count() + usize::from(sealed.is_some()), sealed)
    }

    /// The leadership that a body was sealed for.
    pub(super) fn leadership(&self, sequence: u64) -> Option<Leadership> {
        self.open.get(&sequence).map(|open| open.leadership)
    }

    /// Takes the tickets of a body, by their position in it.
    pub(super) fn take(&mut self, sequence: u64) -> Vec<Option<T>> {
        let Some(open) = self.open.remove(&sequence) else {
            return Vec::new();
        };
        self.open_count -= open.waiting.len();
        open.waiting
            .into_iter()
            .map(|waiting| waiting.map(|(_, ticket)| ticket))
            .collect()
    }

    /// The leader that a body was sealed for leads no more, and has proposed neither it nor anything that
    /// was sealed for that leadership later. The commands of all these are queued again, in their order
    /// and before everything else. Returned are those that cannot be queued without changing places:
    /// another body has left meanwhile for the next leader.
    pub(super) fn give_back(&mut self, sequence: u64) -> Vec<T> {
        let Some(leadership) = self.leadership(sequence) else {
            return Vec::new();
        };
        self.over = Some(leadership);
        if self.sealed_for != Some(leadership) {
            return self.take(sequence).into_iter().flatten().collect();
        }
        let behind = std::mem::take(&mut self.queue);
        for open in self.open.split_off(&sequence).into_values() {
            self.open_count -= open.waiting.len();
            let mut commands = body::after_name(&open.body);
            for waiting in open.waiting {
                let command = body::split_command(&mut commands);
                if let (Some(command), Some((deadline, ticket))) = (command, waiting) {
                    self.queued_bytes += command.len();
                    self.queue.push_back(Proposal {
                        command,
                        deadline,
                        ticket,
                    });
                }
            }
        }
        self.queue.extend(behind);
        Vec::new()
    }

    /// Whether this leadership is over, as its leader has said.
    pub(super) fn is_over(&self, leadership: Leadership) -> bool {
        self.over == Some(leadership)
    }

    /// If `body` was proposed by this incarnation, takes its tickets, and those of the older bodies
    /// it overtook: the applier drops a name that does not rise, so what was not applied before
    /// never will be.
    pub(super) fn applied(&mut self, body: &Bytes) -> (Vec<Option<T>>, Overtaken<T>) {
        let mut overtaken = Overtaken::default();
        let ours = |name: &Name| (name.node, name.incarnation) == (self.node, self.incarnation);
        let Some(name) = body::name(body).filter(ours) else {
            return (Vec::new(), overtaken);
        };
        let tickets = self.take(name.sequence);
        while let Some((&first, open)) = self.open.first_key_value()
            && first < name.sequence
        {
            let into = if open.in_doubt {
                &mut overtaken.in_doubt
            } else {
                &mut overtaken.lost
            };
            into.extend(self.take(first).into_iter().flatten());
        }
        (tickets, overtaken)
    }

    /// Whether this body was proposed by this incarnation and may be covered by a snapshot.
    pub(super) fn is_in_doubt(&self, body: &[u8]) -> bool {
        let ours = |name: &Name| (name.node, name.incarnation) == (self.node, self.incarnation);
        let open = body::name(body).filter(ours);
        open.and_then(|name| self.open.get(&name.sequence))
            .is_some_and(|open| open.in_doubt)
    }

    /// The name of a body that another incarnation, but no earlier one, proposed under this node's
    /// name: a later one, or one of a copy of this disk, whose number may be equal.
    pub(super) fn used_by(&self, body: &[u8]) -> Option<Name> {
        body::name(body).filter(|name| {
            let counts_alike = name.incarnation == self.incarnation;
            let was_given_here = self.base < name.sequence && name.sequence <= self.sequence;
            let is_of_copy = counts_alike && !was_given_here;
            name.node == self.node && (is_of_copy || name.incarnation > self.incarnation)
        })
    }

    /// Whether no name of this incarnation can be applied after this one.
    pub(super) fn is_outlived_by(&self, name: Name) -> bool {
        (name.incarnation, name.sequence) > (self.incarnation, self.sequence)
    }

    pub(super) fn is_outlived(&self) -> bool {
        self.is_outlived
    }

    /// Takes all tickets, for good: of commands that can never be applied, and of those that a
    /// snapshot may cover.
    pub(super) fn outlive(&mut self) -> (Vec<T>, Vec<T>) {
        self.is_outlived = true;
        let is_in_doubt = |open: &Open<T>| open.in_doubt;
        let in_doubt = self.open.iter().filter(|(_, open)| is_in_doubt(open));
        let sequences: Vec<u64> = in_doubt.map(|(sequence, _)| *sequence).collect();
        let take = |sequence| self.take(sequence);
        let in_doubt = sequences.into_iter().flat_map(take).flatten().collect();
        let (queued, sent) = self.drain();
        (queued.into_iter().chain(sent).collect(), in_doubt)
    }

    /// A snapshot was restored: open commands may have been applied without being seen here.
    pub(super) fn mark_in_doubt(&mut self) {
        self.open.values_mut().for_each(|open| open.in_doubt = true);
    }

    /// Takes the tickets whose leader is gone, now that an entry of a later epoch is decided.
    pub(super) fn superseded(&mut self, epoch: Epoch) -> Vec<T> {
        let mut gone = Vec::new();
        while let Some((&first, open)) = self.open.first_key_value()
            && open.leadership.epoch < epoch
        {
            gone.extend(self.take(first).into_iter().flatten());
        }
        gone
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Takes the tickets whose deadline has passed: of queued commands, and of sealed ones.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<T>, Vec<T>) {
        if self.wake.is_none_or(|wake| now < wake) {
            return (Vec::new(), Vec::new());
        }
        let mut queued = Vec::new();
        for proposal in std::mem::take(&mut self.queue) {
            if proposal.deadline <= now {
                self.queued_bytes -= proposal.command.len();
                queued.push(proposal.ticket);
            } else {
                self.queue.push_back(proposal);
            }
        }
        let mut sent = Vec::new();
        for waiting in self.open.values_mut().flat_map(|open| &mut open.waiting) {
            sent.extend(
                waiting
                    .take_if(|(deadline, _)| *deadline <= now)
                    .map(|(_, ticket)| ticket),
            );
        }
        self.forget_unawaited();
        let open = self
            .open
            .values()
            .flat_map(|open| &open.waiting)
            .flatten()
            .map(|(deadline, _)| *deadline);
        self.wake = self.queue.iter().map(|p| p.deadline).chain(open).min();
        (queued, sent)
    }

    /// Takes all tickets: of queued commands, and of sealed ones.
    pub(super) fn drain(&mut self) -> (Vec<T>, Vec<T>) {
        self.queued_bytes = 0;
        self.open_count = 0;
        self.wake = None;
        let queued = std::mem::take(&mut self.queue)
            .into_iter()
            .map(|p| p.ticket)
            .collect();
        let open = std::mem::take(&mut self.open).into_values();
        (
            queued,
            open.flat_map(|open| open.waiting)
                .flatten()
                .map(|(_, ticket)| ticket)
                .collect(),
        )
    }

    fn forget_unawaited(&mut self) {
        let open_count = &mut self.open_count;
        self.open.retain(|_, open| {
            let awaited = open.waiting.iter().any(Option::is_some);
            if !awaited {
                *open_count -= open.waiting.len();
            }
            awaited
        });
    }
}

#[cfg(test)]
mod tests;
