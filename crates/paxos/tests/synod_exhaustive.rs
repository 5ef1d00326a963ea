//! Every state that a small synod can be in: the real roles, their disks and the messages between
//! them, breadth first, with the rules of the papers at each state.
//!
//! - A message that was sent once may arrive at any time, any number of times, or never: loss, delay,
//!   duplication and disorder are one thing, without a bound.
//! - A write is durable or lost; a role whose write was lost goes on with its memory ahead of its
//!   disk, or crashes and has only the disk.
//! - A proposer starts a ballot whenever it likes.
//! - A learner says nothing that others hear, so what it may come to know is searched apart: every
//!   order in which the votes that were cast can reach it, whenever there are more of them.
//! - States that differ in the names of acceptors only are one, if the quorums do not tell acceptors
//!   apart.
//!
//! Ballots, crashes and lost writes are bounded by each model, and within them the search is complete.
//! Builds with debug assertions take a smaller scope where it says so. The full one:
//! `cargo test --release -p synod-paxos --test synod_exhaustive -- --nocapture --test-threads 1`.

#[path = "synod_exhaustive/actor.rs"]
mod actor;
#[path = "synod_exhaustive/goals.rs"]
mod goals;
#[path = "synod_exhaustive/model.rs"]
mod model;
#[path = "synod_exhaustive/rules.rs"]
mod rules;

use std::cell::RefCell;

use goals::Goal;
use model::{Budget, Cast, Model};
use synod_paxos::single::Message;
use synod_paxos::{NodeId, Quorums};
use synod_sim::search::verify;

/// Two proposers, of which one comes back: it has been overtaken, and overtakes.
#[test]
fn two_proposers() {
    verify(
        "two proposers",
        &Model {
            budget: THREE_BALLOTS,
            ..roles(majority(3), 2)
        },
        &[
            Goal::ChosenInFirstRound,
            Goal::ChosenInSecondRound,
            Goal::ChosenAgain,
            Goal::Adopted,
            Goal::AdoptedChosen,
            Goal::FreeAgain,
            Goal::VoteOverruled,
            Goal::Duel,
            Goal::PromiseAgain,
            Goal::VoteAgain,
            Goal::Learned,
        ],
    );
}

/// Three proposers with a value each.
#[test]
fn three_proposers() {
    verify(
        "three proposers",
        &Model {
            budget: Budget {
                ballots: [1, 1, if SMALL { 0 } else { 1 }],
                crashes: 1,
                losses: 0,
            },
            ..roles(majority(3), 3)
        },
        &[
            Goal::ChosenInFirstRound,
            Goal::ChosenAgain,
            Goal::Adopted,
            Goal::AdoptedChosen,
            Goal::FreeAgain,
            Goal::VoteOverruled,
        ],
    );
}

/// Writes that are lost, and crashes of whoever had said, or not said, what they held.
#[test]
fn lost_writes() {
    let small = Budget {
        ballots: [1, 1, 0],
        crashes: 1,
        losses: 1,
    };
    let full = Budget {
        crashes: 2,
        losses: 2,
        ..small
    };
    verify(
        "lost writes",
        &Model {
            budget: if SMALL { small } else { full },
            ..roles(majority(3), 2)
        },
        &[
            Goal::ChosenInFirstRound,
            Goal::AdoptedChosen,
            Goal::PromiseLost,
            Goal::VoteLost,
            Goal::BallotLost,
        ],
    );
}

/// A proposer that crashes and comes back, whether its ballot was durable or not.
#[test]
fn a_proposer_comes_back() {
    let alone = Budget {
        ballots: [2, 0, 0],
        crashes: 1,
        losses: 1,
    };
    verify(
        "a proposer comes back",
        &Model {
            budget: alone,
            ..roles(majority(3), 1)
        },
        &[
            Goal::BallotAfterCrash,
            Goal::BallotLost,
            Goal::ChosenInFirstRound,
            Goal::ChosenInSecondRound,
            Goal::ChosenAgain,
        ],
    );
}

/// The same while another proposer is about, whose ballot is between those two, or below both. Only in
/// release builds.
#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimisation")]
fn a_proposer_comes_back_among_others() {
    verify(
        "a proposer comes back among others",
        &Model {
            budget: Budget {
                ballots: [1, 2, 0],
                crashes: 1,
                losses: 0,
            },
            ..roles(majority(3), 2)
        },
        &[
            Goal::BallotAfterCrash,
            Goal::AdoptedChosen,
            Goal::FreeAgain,
            Goal::VoteOverruled,
        ],
    );
}

/// Refusals, which tell a proposer how far others are. Two acceptors, because one more message for
/// each that is late makes a great many states.
#[test]
fn refusals() {
    verify(
        "refusals",
        &Model {
            budget: THREE_BALLOTS,
            carries: |_| true,
            ..roles(majority(2), 2)
        },
        &[
            Goal::ChosenInFirstRound,
            Goal::ChosenInSecondRound,
            Goal::AdoptedChosen,
        ],
    );
}

/// Systems in which two quorums of one phase need not meet.
#[test]
fn other_quorums() {
    let ids = || (1..=4).map(NodeId);
    let weights = [(1, 2), (2, 1), (3, 1)].map(|(id, weight)| (NodeId(id), weight));
    for (name, quorums) in [
        ("phase 2 with 2 of 4", Quorums::flexible(ids(), 3, 2)),
        ("phase 1 with 2 of 4", Quorums::flexible(ids(), 2, 3)),
        (
            "a grid",
            Quorums::grid([[1, 2], [3, 4]].map(|row| row.map(NodeId))),
        ),
        ("weights", Quorums::weighted(weights, 3, 2)),
    ] {
        verify(
            name,
            &Model {
                budget: Budget {
                    ballots: [1, 1, 0],
                    crashes: u8::from(!SMALL),
                    losses: 0,
                },
                ..roles(quorums.expect("a lawful system"), 2)
            },
            &[
                Goal::ChosenInFirstRound,
                Goal::ChosenAgain,
                Goal::AdoptedChosen,
                Goal::VoteOverruled,
                Goal::Learned,
            ],
        );
    }
}

/// Whole nodes, which hold their replies until a write of their own is durable.
#[test]
fn nodes() {
    let two = Budget {
        ballots: [1, 1, 0],
        ..Budget::default()
    };
    let crash = Budget { crashes: 1, ..two };
    let loss = Budget { losses: 1, ..two };
    for budget in if SMALL { vec![two] } else { vec![crash, loss] } {
        verify(
            "nodes",
            &Model {
                cast: Cast::Nodes,
                budget,
                ..roles(majority(3), 0)
            },
            &[
                Goal::ChosenInFirstRound,
                Goal::AdoptedChosen,
                Goal::VoteOverruled,
                Goal::Learned,
                Goal::ChosenTold,
            ],
        );
    }
}

const THREE_BALLOTS: Budget = Budget {
    ballots: [2, 1, 0],
    crashes: 0,
    losses: 0,
};

fn roles(quorums: Quorums, proposers: u64) -> Model {
    Model {
        quorums,
        cast: Cast::Roles { proposers },
        budget: Budget::default(),
        carries: without_hints,
        chosen: RefCell::default(),
        learners: RefCell::default(),
    }
}

/// All but the words that only hurry what happens without them too.
fn without_hints(message: &Message<u8>) -> bool {
    !matches!(message, Message::Preempted(_))
}

fn majority(count: u64) -> Quorums {
    Quorums::majority((1..=count).map(NodeId)).expect("a lawful system")
}

const SMALL: bool = cfg!(debug_assertions);
