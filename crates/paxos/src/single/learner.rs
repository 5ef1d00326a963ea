use alloc::collections::BTreeMap;

use super::{Accepted, Proposal};
use crate::{AcceptorSet, Ballot, NodeId, Quorums};

/// Finds out what is chosen: a proposal that a phase-2 quorum has accepted in one ballot (Paxos
/// Made Simple §2.3).
///
/// It stores nothing: after a restart a proposal finds out again what is chosen.
///
/// - What it has learned never changes.
/// - It keeps one ballot per acceptor, the highest reported one. Votes of older ballots that arrive
///   late do not count; that may cost another ballot, and bounds its memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learner<V> {
    quorums: Quorums,
    votes: BTreeMap<NodeId, Ballot>,
    chosen: Option<V>,
}

impl<V> Learner<V> {
    /// A learner that knows nothing.
    #[must_use]
    pub fn new(quorums: Quorums) -> Self {
        Self {
            quorums,
            votes: BTreeMap::new(),
            chosen: None,
        }
    }

    /// Handles an acceptance. Returns the value if it became known by this.
    pub fn handle_accepted(&mut self, from: NodeId, accepted: Accepted<V>) -> Option<&V> {
        let Proposal { ballot, value } = accepted.proposal;
        if self.chosen.is_some() || !self.quorums.contains(from) {
            return None;
        }
        let last = self.votes.entry(from).or_default();
        *last = ballot.max(*last);
        if !self.quorums.is_phase2(self.voters(ballot)) {
            return None;
        }
        self.handle_chosen(value)
    }

    /// Handles a report of the chosen value. Returns the value if it was not known.
    pub fn handle_chosen(&mut self, value: V) -> Option<&V> {
        if self.chosen.is_some() {
            return None;
        }
        self.votes.clear();
        Some(self.chosen.insert(value))
    }

    /// The chosen value, if it is known.
    #[must_use]
    pub fn chosen(&self) -> Option<&V> {
        self.chosen.as_ref()
    }

    fn voters(&self, ballot: Ballot) -> AcceptorSet {
        let mut voters = AcceptorSet::default();
        for (acceptor, last) in &self.votes {
            if *last == ballot {
                self.quorums.insert(&mut voters, *acceptor);
            }
        }
        voters
    }
}
