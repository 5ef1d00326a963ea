//! The rules that every set of sent messages must satisfy. Sent messages stay sent, so most rules
//! of the papers are about this set alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use synod_paxos::single::{Accepted, Learner, Message, Promise};
use synod_paxos::{AcceptorSet, Ballot, NodeId, Quorums};

use crate::actor::Packet;

/// The contents of the messages, if they break no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The value of each proposal.
    pub(crate) values: BTreeMap<Ballot, u8>,
    pub(crate) votes: BTreeMap<Ballot, BTreeMap<NodeId, Accepted<u8>>>,
    /// The ballots in which a value is chosen.
    pub(crate) chosen: BTreeSet<Ballot>,
    pub(crate) promises: Vec<(NodeId, Promise<u8>)>,
    pub(crate) prepared: BTreeSet<Ballot>,
    /// The values that are reported as chosen.
    pub(crate) told: BTreeSet<u8>,
}

impl Facts {
    /// `with_promises`: the messages include all promises, also those of a node to itself.
    pub(crate) fn of<'a>(
        said: impl Iterator<Item = &'a Packet>,
        quorums: &Quorums,
        with_promises: bool,
    ) -> Result<Self, String> {
        let mut facts = Self::default();
        for Packet { from, message } in said {
            match message {
                Message::Prepare(prepare) => {
                    facts.prepared.insert(prepare.ballot());
                }
                Message::Promise(promise) => facts.promises.push((*from, promise.clone())),
                Message::Accept(accept) => {
                    let proposal = accept.proposal();
                    facts.propose(proposal.ballot, proposal.value)?;
                }
                Message::Accepted(accepted) => {
                    let proposal = accepted.proposal();
                    facts.propose(proposal.ballot, proposal.value)?;
                    let votes = facts.votes.entry(proposal.ballot).or_default();
                    votes.insert(*from, accepted.clone());
                }
                Message::Chosen(value) => {
                    facts.told.insert(*value);
                }
                Message::Preempted(_) => {}
            }
        }
        for (ballot, votes) in &facts.votes {
            if quorums.is_phase2(set(quorums, votes.keys().copied())) {
                facts.chosen.insert(*ballot);
            }
        }
        facts.check_promises()?;
        if with_promises {
            facts.check_p2c(quorums)?;
        }
        facts.check_p2b()?;
        let mut told = facts.told.iter();
        told.try_for_each(|value| check_learned(*value, facts.chosen()))?;
        Ok(facts)
    }

    /// B1: a ballot has one value.
    fn propose(&mut self, ballot: Ballot, value: u8) -> Result<(), String> {
        let before = self.values.insert(ballot, value);
        if let Some(before) = before.filter(|before| *before != value) {
            return Err(format!(
                "B1, one value a ballot: {ballot} is that of {before} and of {value}"
            ));
        }
        Ok(())
    }

    /// P1a: the promise of a ballot reports every vote of the acceptor below it, whether the vote
    /// was cast before or after.
    fn check_promises(&self) -> Result<(), String> {
        for (acceptor, promise) in &self.promises {
            let told = promise.accepted().map(|accepted| accepted.ballot);
            let below = self.votes.range(..promise.ballot());
            let mut hidden = below.filter(|(ballot, voters)| {
                voters.contains_key(acceptor) && told.is_none_or(|told| told < **ballot)
            });
            if let Some((ballot, _)) = hidden.next() {
                let promised = promise.ballot();
                return Err(format!(
                    "P1a, a promise is kept: {acceptor} promised {promised} and votes in {ballot}"
                ));
            }
        }
        Ok(())
    }

    /// P2c and B3: the value of each proposal follows from the promises of some quorum.
    fn check_p2c(&self, quorums: &Quorums) -> Result<(), String> {
        for (ballot, value) in &self.values {
            let promises = self.promises.iter();
            let promises = promises.filter(|(_, promise)| promise.ballot() == *ballot);
            let promises: Vec<_> = promises.collect();
            let follows = (0..1u32 << promises.len()).any(|members| {
                let inside = (0..).zip(&promises);
                let inside = inside.filter(|(at, _)| members >> at & 1 == 1);
                let inside: Vec<_> = inside.map(|(_, promise)| *promise).collect();
                let told = inside.iter().filter_map(|(_, promise)| promise.accepted());
                let highest = told.max_by_key(|accepted| accepted.ballot);
                quorums.is_phase1(set(quorums, inside.iter().map(|(from, _)| *from)))
                    && highest.is_none_or(|highest| highest.value == *value)
            });
            if !follows {
                return Err(format!(
                    "P2c, the value of the highest: {value} in {ballot} follows from no quorum"
                ));
            }
        }
        Ok(())
    }

    /// P2b: once a value is chosen, every proposal of a higher ballot has it. This implies P2 and
    /// P2a, and that no two values are chosen.
    fn check_p2b(&self) -> Result<(), String> {
        let Some(first) = self.chosen.first() else {
            return Ok(());
        };
        let value = self.values[first];
        let mut higher = self.values.range(first..);
        let Some((ballot, other)) = higher.find(|(_, other)| **other != value) else {
            return Ok(());
        };
        let rule = if self.chosen.contains(ballot) {
            "agreement: two values are chosen"
        } else {
            "P2b, what is chosen stays"
        };
        Err(format!("{rule}: {value} in {first}, {other} in {ballot}"))
    }

    /// The chosen value. There is at most one, as was checked.
    pub(crate) fn chosen(&self) -> Option<u8> {
        self.chosen.first().map(|ballot| self.values[ballot])
    }

    /// Checks every order in which the votes can reach a learner. Returns whether it can learn
    /// anything.
    pub(crate) fn check_learner(&self, quorums: &Quorums) -> Result<bool, String> {
        let mut learners = vec![Learner::new(quorums.clone())];
        let mut seen: HashSet<Learner<u8>> = HashSet::new();
        let mut learned = false;
        while let Some(learner) = learners.pop() {
            for (from, accepted) in self.votes.values().flatten() {
                let mut after = learner.clone();
                if let Some(value) = after.handle_accepted(*from, accepted.clone()) {
                    learned = true;
                    check_learned(*value, self.chosen())?;
                } else if seen.insert(after.clone()) {
                    learners.push(after);
                }
            }
        }
        Ok(learned)
    }
}

/// Checks that every value reported as chosen is chosen.
pub(crate) fn check_learned(value: u8, chosen: Option<u8>) -> Result<(), String> {
    if chosen == Some(value) {
        return Ok(());
    }
    Err(format!("a learner learns {value}, which is not chosen"))
}

fn set(quorums: &Quorums, members: impl Iterator<Item = NodeId>) -> AcceptorSet {
    let mut set = AcceptorSet::default();
    for member in members {
        quorums.insert(&mut set, member);
    }
    set
}
