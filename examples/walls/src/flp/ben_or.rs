//! Consensus with coins: Ben-Or (1983), for crashes.

use std::collections::BTreeMap;

use synod_sim::Rng;

use super::protocol::all;
use super::{ProcessId, Protocol, Sends, Value};

/// Rounds of two exchanges. In the first, everybody reports its value and waits for `n - f` reports.
/// Whoever sees more than half of *all* processes report one value proposes that, and otherwise
/// nothing. In the second it waits for `n - f` proposals: more than `f` for a value decide, one is
/// taken over, and where there is none a coin is tossed.
///
/// A step without a message does nothing but begin: no clock is needed. `f < n/2` may crash.
#[derive(Clone, Debug)]
pub struct BenOr {
    /// How many processes: odd.
    pub processes: usize,
    /// Of the coins. They are tossed when they are needed; but who knows this knows them before.
    pub seed: u64,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Member {
    at: ProcessId,
    /// From 1; 0 before the first step.
    round: u64,
    proposes: bool,
    value: Value,
    coin: Rng,
    reports: BTreeMap<u64, BTreeMap<ProcessId, Value>>,
    proposals: BTreeMap<u64, BTreeMap<ProcessId, Option<Value>>>,
    decided: Option<Value>,
}

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// My value in this round.
    Report(u64, Value),
    /// Most have this value in this round, or I see none that most have.
    Proposal(u64, Option<Value>),
    /// Decided.
    Decided(Value),
}

impl BenOr {
    /// How many may crash.
    #[must_use]
    pub fn faults(&self) -> usize {
        (self.processes - 1) / 2
    }

    fn broadcast(&self, from: ProcessId, word: Word) -> Sends<Word> {
        let others = all(self).filter(|to| *to != from);
        others.map(|to| (to, word)).collect()
    }

    fn report(&self, member: &mut Member, sends: &mut Sends<Word>) {
        member.round += 1;
        member.proposes = false;
        member.reports = member.reports.split_off(&member.round);
        member.proposals = member.proposals.split_off(&member.round);
        let (at, round, value) = (member.at, member.round, member.value);
        member.reports.entry(round).or_default().insert(at, value);
        sends.extend(self.broadcast(at, Word::Report(round, value)));
    }

    fn advance(&self, member: &mut Member, sends: &mut Sends<Word>) {
        let quorum = self.processes - self.faults();
        while member.decided.is_none() {
            let (at, round) = (member.at, member.round);
            if !member.proposes {
                let reports = member.reports.entry(round).or_default();
                if reports.len() < quorum {
                    return;
                }
                let has_most = |value| {
                    reports.values().filter(|it| **it == value).count() * 2 > self.processes
                };
                let most = [Value::Zero, Value::One]
                    .into_iter()
                    .find(|it| has_most(*it));
                member.proposes = true;
                let proposals = member.proposals.entry(round).or_default();
                proposals.insert(at, most);
                sends.extend(self.broadcast(at, Word::Proposal(round, most)));
            }
            let proposals = member.proposals.entry(round).or_default();
            if proposals.len() < quorum {
                return;
            }
            // No two processes propose different values: each was reported by more than half.
            let proposed = proposals.values().flatten();
            let count = proposed.clone().count();
            match proposed.copied().next() {
                Some(value) if count > self.faults() => {
                    sends.extend(self.decide(member, value));
                    return;
                }
                Some(value) => member.value = value,
                None => member.toss(),
            }
            self.report(member, sends);
        }
    }

    fn decide(&self, member: &mut Member, value: Value) -> Sends<Word> {
        member.decided = Some(value);
        self.broadcast(member.at, Word::Decided(value))
    }
}

impl Member {
    /// The round it is in.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round
    }

    /// What it reports in this round.
    #[must_use]
    pub fn value(&self) -> Value {
        self.value
    }

    fn toss(&mut self) {
        self.value = match self.coin.chance(0.5) {
            true => Value::One,
            false => Value::Zero,
        };
    }
}

impl Protocol for BenOr {
    type State = Member;
    type Message = Word;

    fn processes(&self) -> usize {
        self.processes
    }

    fn start(&self, at: ProcessId, input: Value) -> Member {
        let mut coins = Rng::new(self.seed);
        let coin = (0..at.0).fold(coins.fork(), |_, _| coins.fork());
        Member {
            at,
            round: 0,
            proposes: false,
            value: input,
            coin,
            reports: BTreeMap::new(),
            proposals: BTreeMap::new(),
            decided: None,
        }
    }

    fn receive(&self, member: &mut Member, from: ProcessId, word: Word) -> Sends<Word> {
        let mut sends = Vec::new();
        if member.decided.is_some() {
            return sends;
        }
        if member.round == 0 {
            self.report(member, &mut sends);
        }
        match word {
            Word::Report(round, value) if round >= member.round => {
                let reports = member.reports.entry(round).or_default();
                reports.insert(from, value);
            }
            Word::Proposal(round, value) if round >= member.round => {
                let proposals = member.proposals.entry(round).or_default();
                proposals.insert(from, value);
            }
            Word::Decided(value) => return self.decide(member, value),
            Word::Report(..) | Word::Proposal(..) => {}
        }
        self.advance(member, &mut sends);
        sends
    }

    fn step_alone(&self, member: &mut Member) -> Sends<Word> {
        let mut sends = Vec::new();
        if member.decided.is_none() && member.round == 0 {
            self.report(member, &mut sends);
            self.advance(member, &mut sends);
        }
        sends
    }

    fn decision(&self, member: &Member) -> Option<Value> {
        member.decided
    }
}
