//! Consensus with a failure detector of class ◇S: Chandra and Toueg (1996), figure 6.

use std::collections::BTreeMap;

use super::protocol::all;
use super::{ProcessId, Protocol, Sends, Value};

/// The rotating coordinator. Rounds have a coordinator each, who gathers estimates from a majority,
/// proposes the most recent, and decides once a majority has taken it over. Whoever suspects the
/// coordinator goes on to the next round.
///
/// A step without a message is the word of the process's failure detector: "the coordinator of your
/// round is suspected". A detector may be wrong, so that step may come at any time. Fewer than half
/// of the processes may crash.
#[derive(Clone, Debug)]
pub struct ChandraToueg {
    /// How many processes.
    pub processes: usize,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Member {
    at: ProcessId,
    /// From 1; 0 before the first step.
    round: u64,
    estimate: Value,
    /// In which round the estimate was taken over from a coordinator.
    taken_in: u64,
    waits_for: Awaited,
    /// Of this round and of later ones.
    desk: BTreeMap<u64, Papers>,
    decided: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// It coordinates: phase 2.
    Estimates,
    /// Phase 3.
    Proposal,
    /// It coordinates: phase 4.
    Replies,
}

/// What came for a round.
#[derive(Clone, Debug, Default)]
struct Papers {
    estimates: BTreeMap<ProcessId, (u64, Value)>,
    proposal: Option<Value>,
    replies: BTreeMap<ProcessId, bool>,
}

/// What they say.
#[derive(Clone, Debug)]
pub enum Word {
    /// Phase 1: my estimate, and the round that I have it from.
    Estimate(u64, u64, Value),
    /// Phase 2: the coordinator's proposal.
    Proposal(u64, Value),
    /// Phase 3: I have taken it over, or I suspect you.
    Reply(u64, bool),
    /// Decided, and passed on by everybody: reliable broadcast.
    Decided(Value),
}

impl ChandraToueg {
    /// Who coordinates a round.
    #[must_use]
    pub fn coordinator(&self, round: u64) -> ProcessId {
        ProcessId(1 + (round % self.processes as u64) as usize)
    }

    fn majority(&self) -> usize {
        self.processes / 2 + 1
    }

    fn broadcast(&self, from: ProcessId, word: &Word) -> Sends<Word> {
        let others = all(self).filter(|to| *to != from);
        others.map(|to| (to, word.clone())).collect()
    }

    fn begin_round(&self, member: &mut Member, sends: &mut Sends<Word>) {
        member.round += 1;
        member.desk = member.desk.split_off(&member.round);
        let (round, coordinator) = (member.round, self.coordinator(member.round));
        let estimate = (member.taken_in, member.estimate);
        if coordinator == member.at {
            member.papers().estimates.insert(coordinator, estimate);
            member.waits_for = Awaited::Estimates;
        } else {
            let word = Word::Estimate(round, estimate.0, estimate.1);
            sends.push((coordinator, word));
            member.waits_for = Awaited::Proposal;
        }
    }

    /// Goes on for as long as what it waits for is there.
    fn advance(&self, member: &mut Member, sends: &mut Sends<Word>) {
        while member.decided.is_none() {
            let (at, round) = (member.at, member.round);
            let waits_for = member.waits_for;
            let papers = member.papers();
            match waits_for {
                Awaited::Estimates => {
                    let count = papers.estimates.len();
                    let estimates = papers.estimates.values();
                    let latest = estimates.max_by_key(|(taken_in, _)| *taken_in).copied();
                    let Some((_, value)) = latest.filter(|_| count >= self.majority()) else {
                        return;
                    };
                    papers.replies.insert(at, true);
                    (member.estimate, member.taken_in) = (value, round);
                    member.waits_for = Awaited::Replies;
                    sends.extend(self.broadcast(at, &Word::Proposal(round, value)));
                }
                Awaited::Proposal => {
                    let Some(value) = papers.proposal else {
                        return;
                    };
                    (member.estimate, member.taken_in) = (value, round);
                    sends.push((self.coordinator(round), Word::Reply(round, true)));
                    self.begin_round(member, sends);
                }
                Awaited::Replies => {
                    if papers.replies.len() < self.majority() {
                        return;
                    }
                    if papers.replies.values().all(|taken| *taken) {
                        sends.extend(self.decide(member, member.estimate));
                    } else {
                        self.begin_round(member, sends);
                    }
                }
            }
        }
    }

    fn decide(&self, member: &mut Member, value: Value) -> Sends<Word> {
        member.decided = Some(value);
        member.desk.clear();
        self.broadcast(member.at, &Word::Decided(value))
    }
}

impl Member {
    /// The round it is in.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Whether it waits for a coordinator's word, so that a suspicion would make it go on.
    #[must_use]
    pub fn waits_for_coordinator(&self) -> bool {
        self.decided.is_none() && self.round > 0 && self.waits_for == Awaited::Proposal
    }

    fn papers(&mut self) -> &mut Papers {
        self.desk.entry(self.round).or_default()
    }
}

impl Protocol for ChandraToueg {
    type State = Member;
    type Message = Word;

    fn processes(&self) -> usize {
        self.processes
    }

    fn start(&self, at: ProcessId, input: Value) -> Member {
        Member {
            at,
            round: 0,
            estimate: input,
            taken_in: 0,
            waits_for: Awaited::Proposal,
            desk: BTreeMap::new(),
            decided: None,
        }
    }

    fn receive(&self, member: &mut Member, from: ProcessId, word: Word) -> Sends<Word> {
        let mut sends = Vec::new();
        if member.decided.is_some() {
            return sends;
        }
        if member.round == 0 {
            self.begin_round(member, &mut sends);
        }
        let now = member.round;
        let is_current = |round: &u64| *round >= now;
        match word {
            Word::Estimate(round, taken_in, value) if is_current(&round) => {
                let papers = member.desk.entry(round).or_default();
                papers.estimates.insert(from, (taken_in, value));
            }
            Word::Proposal(round, value) if is_current(&round) => {
                member.desk.entry(round).or_default().proposal = Some(value);
            }
            Word::Reply(round, taken) if is_current(&round) => {
                let papers = member.desk.entry(round).or_default();
                papers.replies.insert(from, taken);
            }
            Word::Decided(value) => return self.decide(member, value),
            Word::Estimate(..) | Word::Proposal(..) | Word::Reply(..) => {}
        }
        self.advance(member, &mut sends);
        sends
    }

    fn step_alone(&self, member: &mut Member) -> Sends<Word> {
        let mut sends = Vec::new();
        if member.decided.is_some() {
            return sends;
        }
        if member.round == 0 {
            self.begin_round(member, &mut sends);
        } else if member.waits_for_coordinator() {
            let (round, coordinator) = (member.round, self.coordinator(member.round));
            sends.push((coordinator, Word::Reply(round, false)));
            self.begin_round(member, &mut sends);
        }
        self.advance(member, &mut sends);
        sends
    }

    fn decision(&self, member: &Member) -> Option<Value> {
        member.decided
    }
}
