//! *Paxos Made Simple* (Lamport, 2001), claim by claim, with its section above each group of tests;
//! and where it adds something, *The Part-Time Parliament* (Lamport, 1998, "PTP").
//!
//! The roles are used as a program would use them: every message is made by a role.

#[cfg(test)]
#[path = "made_simple/choosing.rs"]
mod choosing;
#[cfg(test)]
#[path = "made_simple/learning.rs"]
mod learning;
#[cfg(test)]
#[path = "made_simple/numbers.rs"]
mod numbers;

use core::convert::Infallible;

use synod_paxos::single::{Accept, Accepted, Acceptor, Learner, Prepare, Proposal, Proposer};
use synod_paxos::{Ballot, NodeId, Quorums};

fn ballot(round: u64, node: u64) -> Ballot {
    let node = NodeId(node);
    Ballot { round, node }
}

fn of_three() -> Quorums {
    Quorums::majority([1, 2, 3].map(NodeId)).expect("a lawful system")
}

fn proposal(ballot: Ballot, value: &'static str) -> Proposal<&'static str> {
    Proposal { ballot, value }
}

/// Stable storage that never fails and is never read.
fn stored<R>(_record: &R) -> Result<(), Infallible> {
    Ok(())
}

/// A proposer that has reached the preceding round, so that its next ballot is this one.
fn proposer_before(ballot: Ballot, quorums: Quorums) -> Proposer<&'static str> {
    let tried = Ballot {
        round: ballot.round - 1,
        ..ballot
    };
    Proposer::recover(ballot.node, quorums, tried)
}

/// Phase 1a.
fn prepare(proposer: &mut Proposer<&'static str>, wish: &'static str) -> Prepare {
    let pending = proposer.prepare(wish).expect("a ballot is left");
    let Ok(prepare) = pending.persist(stored);
    prepare
}

/// Acceptors 1 to 3, and their answers.
struct Acceptors([Acceptor<&'static str>; 3]);

impl Acceptors {
    fn new() -> Self {
        Self([(); 3].map(|()| Acceptor::default()))
    }

    fn at(&mut self, id: u64) -> &mut Acceptor<&'static str> {
        &mut self.0[id as usize - 1]
    }

    /// Runs phase 1 with these acceptors, in this order. Returns the accept request.
    fn phase1(
        &mut self,
        proposer: &mut Proposer<&'static str>,
        wish: &'static str,
        with: &[u64],
    ) -> Option<Accept<&'static str>> {
        let prepare = prepare(proposer, wish);
        with.iter().find_map(|id| {
            let pending = self.at(*id).prepare(prepare.ballot()).ok()?;
            let Ok(promise) = pending.persist(stored);
            proposer.handle_promise(NodeId(*id), promise)
        })
    }

    /// Phase 2b; `None` if the acceptor refuses.
    fn accept(&mut self, id: u64, accept: &Accept<&'static str>) -> Option<Accepted<&'static str>> {
        let pending = self.at(id).accept(accept.clone()).ok()?;
        let Ok(accepted) = pending.persist(stored);
        Some(accepted)
    }

    /// Runs both phases in this ballot. Returns what a learner that receives every message then
    /// knows.
    fn decide(
        &mut self,
        ballot: Ballot,
        wish: &'static str,
        promise: &[u64],
        accept: &[u64],
    ) -> Option<&'static str> {
        let mut proposer = proposer_before(ballot, of_three());
        let request = self.phase1(&mut proposer, wish, promise)?;
        assert_eq!(request.proposal().ballot, ballot);
        let mut learner = Learner::new(of_three());
        for id in accept {
            if let Some(accepted) = self.accept(*id, &request) {
                learner.handle_accepted(NodeId(*id), accepted);
            }
        }
        learner.chosen().copied()
    }
}

/// A request to accept this, from a synod in which one acceptor is a quorum.
fn request(ballot: Ballot, value: &'static str) -> Accept<&'static str> {
    let alone = Quorums::majority([NodeId(1)]).expect("a lawful system");
    let mut proposer = proposer_before(ballot, alone);
    let accept = Acceptors::new().phase1(&mut proposer, value, &[1]);
    accept.expect("one promise is enough")
}
