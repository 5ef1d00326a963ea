//! The events that a search must have met; otherwise it shows nothing.

use synod_paxos::Ballot;
use synod_paxos::single::{Acceptor, Message};

use crate::actor::{Actor, Input, Packet, Step};
use crate::rules::Facts;

/// Something that has happened somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goal {
    ChosenInFirstRound,
    ChosenInSecondRound,
    /// Chosen in two ballots, with the same value.
    ChosenAgain,
    /// A proposer proposes another value than its own: one that is chosen, or one that is not.
    AdoptedChosen,
    Adopted,
    /// A proposer learns of no vote although there was a proposal, and proposes its own value.
    FreeAgain,
    /// An acceptor voted for another value than the chosen one.
    VoteOverruled,
    /// Each of two proposers has made a proposal, and every acceptor has promised a higher ballot
    /// to one of them before it could vote.
    Duel,
    /// A crash loses a promise, a vote, or a ballot.
    PromiseLost,
    VoteLost,
    BallotLost,
    /// A proposer starts another ballot after a crash.
    BallotAfterCrash,
    /// A request is received again, and answered again.
    PromiseAgain,
    VoteAgain,
    /// A learner learns the chosen value.
    Learned,
    /// A node answers that a value is chosen.
    ChosenTold,
}

/// The goals that a step of an actor has reached.
pub(crate) fn of_step(
    before: &Actor,
    input: Input,
    packet: Option<&Packet>,
    step: &Step,
) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut reach = |goal: Goal, reached: bool| goals.extend(reached.then_some(goal));
    let (was, is) = (remembered(before), remembered(&step.actor));
    if input == Input::Crash {
        reach(Goal::PromiseLost, was.promised > is.promised);
        reach(Goal::VoteLost, was.voted > is.voted);
        reach(Goal::BallotLost, was.tried > is.tried);
    }
    let again = was == is && !step.sent.is_empty();
    match packet.map(|packet| &packet.message) {
        Some(Message::Prepare(asked)) => {
            reach(Goal::PromiseAgain, again && asked.ballot() == was.promised);
        }
        Some(Message::Accept(asked)) => {
            let ballot = asked.proposal().ballot;
            reach(Goal::VoteAgain, again && ballot == was.voted);
        }
        _ => {}
    }
    goals
}

/// The goals that the set of all messages has reached.
pub(crate) fn of_facts(facts: &Facts) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut reach = |goal: Goal, reached: bool| goals.extend(reached.then_some(goal));
    let in_round = |round| facts.chosen.iter().any(|ballot| ballot.round == round);
    reach(Goal::ChosenInFirstRound, in_round(1));
    reach(Goal::ChosenInSecondRound, in_round(2));
    reach(Goal::ChosenAgain, facts.chosen.len() > 1);
    let chosen = facts.chosen.first();
    for (ballot, value) in &facts.values {
        let is_own = u64::from(*value) == ballot.node.0;
        let settled = chosen.is_some_and(|chosen| chosen < ballot);
        let later = facts
            .values
            .first_key_value()
            .is_some_and(|first| first.0 < ballot);
        reach(Goal::AdoptedChosen, !is_own && settled);
        reach(Goal::Adopted, !is_own && chosen.is_none());
        reach(Goal::FreeAgain, is_own && later && !settled);
        let voted = facts.votes.contains_key(ballot);
        let overruled = chosen.is_some_and(|chosen| facts.values[chosen] != *value);
        reach(Goal::VoteOverruled, voted && overruled);
    }
    reach(Goal::Duel, duel(facts));
    reach(Goal::ChosenTold, !facts.told.is_empty());
    goals
}

/// Two proposers have made proposals in their last ballots, and for each proposal a quorum of
/// acceptors has promised a higher ballot without voting.
fn duel(facts: &Facts) -> bool {
    let proposers: Vec<_> = facts.values.keys().map(|ballot| ballot.node).collect();
    let two = proposers.iter().any(|node| *node != proposers[0]);
    let above = facts.values.keys().all(|ballot| {
        let promised = facts.promises.iter();
        promised
            .filter(|(_, promise)| promise.ballot() > *ballot)
            .count()
            >= 2
    });
    two && above && facts.votes.is_empty()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered {
    promised: Ballot,
    voted: Ballot,
    tried: Ballot,
}

fn remembered(actor: &Actor) -> Remembered {
    let voted =
        |acceptor: &Acceptor<u8>| acceptor.accepted().map_or(Ballot::ZERO, |vote| vote.ballot);
    match actor {
        Actor::Acceptor { memory, .. } => Remembered {
            promised: memory.promised(),
            voted: voted(memory),
            tried: Ballot::ZERO,
        },
        Actor::Proposer { memory, .. } => Remembered {
            promised: Ballot::ZERO,
            voted: Ballot::ZERO,
            tried: memory.tried(),
        },
        Actor::Node { memory, .. } => Remembered {
            promised: memory.acceptor().promised(),
            voted: voted(memory.acceptor()),
            tried: memory.acceptor().promised(),
        },
    }
}
