//! Reads that a quorum of acceptors answers, without the leader (Charapko, Ailijiang and Demirbas, *Linearizable
//! Quorum Reads in Paxos*, HotStorage 2019).

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use crate::counters::count;
use crate::due::Task;
use crate::node::Common;
use crate::{Echo, Instant, NodeId, Output, ReadError, ReadId, Refusal, Slot};

/// A node's reads that wait for acceptors to answer how far they have voted.
///
/// A round asks the acceptors for the highest slot that they have voted in, in any ballot, and covers the
/// reads that arrived before it. It is over when everything up to the highest of their answers is chosen here,
/// as far as this node knows, and a phase-1 quorum has answered of the configuration that governs the next
/// slot. The reads are then served from the chosen prefix.
///
/// Why such a read is linearizable: let s be the slot after that prefix, and assume that it was chosen, and known
/// to be, when the read arrived. The configuration that governs s is known here, because everything before s is.
/// A phase-2 quorum of it had voted in s, and has an acceptor in common with the phase-1 quorum that has
/// answered since. So one of the answers was s or more, and s is in the prefix: a contradiction. That some
/// answer knew s to be *chosen* is not certain, hence the highest slot *voted* in is asked for.
///
/// Rounds have numbers, and an answer carries the number and the [life](crate::Config::life) of its question:
/// an answer to an earlier round may be from before the read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inquiries {
    waiting: VecDeque<ReadId>,
    /// When the last of them arrived.
    arrived: Instant,
    /// The number of the last round.
    number: u64,
    round: Option<Round>,
}

/// The round in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    reads: VecDeque<ReadId>,
    /// How far each acceptor has voted that has answered.
    voted: BTreeMap<NodeId, Slot>,
    /// The configuration that was the latest when the acceptors were last asked.
    configuration: u64,
    /// When those that have not answered are asked again, and how long they were waited for before.
    retry: Instant,
    waited: Duration,
    /// When the round ends without an answer.
    deadline: Instant,
}

impl Inquiries {
    pub(crate) fn contains(&self, id: ReadId) -> bool {
        let mut asked = self.round.iter().flat_map(|round| &round.reads);
        self.waiting.contains(&id) || asked.any(|read| *read == id)
    }

    pub(crate) fn len(&self) -> usize {
        let asked = self.round.as_ref().map_or(0, |round| round.reads.len());
        self.waiting.len() + asked
    }

    /// When something is to be done, if nothing else happens.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let round = self.round.as_ref();
        round.map(|round| round.retry.min(round.deadline))
    }

    /// Resets what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.arrived = Instant::ZERO;
        if let Some(round) = &mut self.round {
            (round.retry, round.deadline) = (Instant::ZERO, Instant::ZERO);
        }
    }
}

impl Common {
    /// Adds a read, which waits for a round that begins after it.
    pub(crate) fn inquire(&mut self, now: Instant, id: ReadId) -> Result<(), ReadError> {
        if self.inquiries.len() + self.refused() >= self.config.reads_max {
            return Err(ReadError::Busy);
        }
        if self.inquiries.contains(id) {
            return Err(ReadError::Duplicate);
        }
        if self.open().is_empty() {
            return Err(ReadError::NoMembers);
        }
        self.inquiries.waiting.push_back(id);
        self.inquiries.arrived = now;
        self.due.set(Task::Round);
        Ok(())
    }

    /// Begins a round for the reads that wait, if none is in flight. Reads that arrived meanwhile share it. A
    /// round that has come to know a later configuration asks its acceptors too.
    pub(crate) fn begin_inquiry(&mut self) {
        let latest = self.configurations.number();
        let voted = self.voted_to();
        let timeout = self.config.election_timeout_max;
        let inquiries = &mut self.inquiries;
        if let Some(round) = &mut inquiries.round {
            if round.configuration == latest {
                return;
            }
            round.configuration = latest;
        } else if inquiries.waiting.is_empty() {
            return;
        } else {
            let now = inquiries.arrived;
            inquiries.number = inquiries.number.wrapping_add(1);
            inquiries.round = Some(Round {
                reads: core::mem::take(&mut inquiries.waiting),
                voted: BTreeMap::from([(self.config.id, voted)]),
                configuration: latest,
                retry: now.plus(self.config.heartbeat_interval),
                waited: self.config.heartbeat_interval,
                deadline: now.plus(timeout * TIMEOUTS_A_ROUND),
            });
        }
        self.ask_how_far();
        self.due.set(Task::Read);
    }

    /// Asks the acceptors of all open configurations that have not answered.
    fn ask_how_far(&mut self) {
        let Some(round) = &self.inquiries.round else {
            return;
        };
        let mut peers = self.other_acceptors();
        peers.retain(|peer| !round.voted.contains_key(peer));
        let (promised, life) = (self.promised, self.config.life);
        let number = self.inquiries.number;
        for peer in peers {
            let question = Echo::HowFar {
                promised,
                life,
                number,
            };
            self.echo(peer, question);
        }
    }

    /// Answers how far this node has voted.
    pub(crate) fn answer_how_far(&mut self, from: NodeId, life: u64, number: u64) {
        let answer = Echo::Voted {
            promised: self.promised,
            life,
            number,
            last: self.voted_to(),
        };
        self.echo(from, answer);
    }

    /// The last slot that this node has voted in, or knows to be chosen.
    fn voted_to(&self) -> Slot {
        self.log.last().max(self.log.chosen())
    }

    pub(crate) fn handle_voted(&mut self, from: NodeId, life: u64, number: u64, last: Slot) {
        if last > Slot::MAX {
            count(&mut self.counters.malformed);
            return;
        }
        let inquiries = &mut self.inquiries;
        let is_ours = life == self.config.life && number == inquiries.number;
        match inquiries.round.as_mut().filter(|_| is_ours) {
            Some(round) => {
                round.voted.insert(from, last);
                self.due.set(Task::Read);
            }
            None => count(&mut self.counters.out_of_role),
        }
    }

    /// Asks again, since questions and answers may be lost, or gives up.
    pub(crate) fn handle_inquiry_timeout(&mut self, now: Instant) {
        let Some(round) = &mut self.inquiries.round else {
            return;
        };
        if now >= round.deadline {
            self.end_inquiry(Refusal::Unanswered);
        } else if now >= round.retry {
            round.waited = (round.waited * 2).min(self.config.election_timeout_max);
            round.retry = now.plus(round.waited);
            self.ask_how_far();
        }
    }

    /// Ends the round in flight without an answer.
    fn end_inquiry(&mut self, why: Refusal) {
        if let Some(round) = self.inquiries.round.take() {
            self.refuse(round.reads.into_iter(), why);
        }
        self.due.set(Task::Round);
    }

    /// Ends all these reads, because this node stops.
    pub(crate) fn end_inquiries(&mut self) {
        self.end_inquiry(Refusal::Stopped);
        let waiting = core::mem::take(&mut self.inquiries.waiting);
        self.refuse(waiting.into_iter(), Refusal::Stopped);
    }

    /// More is chosen, or known of who governs it.
    #[inline]
    pub(crate) fn go_on_with_inquiries(&mut self) {
        if self.inquiries.round.is_some() {
            self.due.set_all(&[Task::Read, Task::Round]);
        }
    }

    /// The next read of a round that is over, and the slot that must be applied before it is served.
    pub(crate) fn poll_inquiry(&mut self) -> Option<Output> {
        let chosen = self.log.chosen();
        let next = self.configurations.governing(chosen.next());
        let round = self.inquiries.round.as_mut()?;
        let quorums = &next?.configuration.membership.quorums;
        let voted = round.voted.values().max();
        let is_over = voted.is_some_and(|voted| *voted <= chosen)
            && quorums.is_phase1(quorums.set_of(round.voted.keys().copied()));
        if !is_over {
            return None;
        }
        let id = round.reads.pop_front();
        if id.is_none() {
            self.inquiries.round = None;
            self.due.set(Task::Round);
        }
        let slot = Ok(chosen);
        id.map(|id| Output::Read { id, slot })
    }
}

/// In this time somebody leads who is connected to quorums, if there is such a node, and what was voted for is
/// chosen.
const TIMEOUTS_A_ROUND: u32 = 4;
