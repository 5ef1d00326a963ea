//! Every reachable state of a small synod: the real roles, their disks and the messages between
//! them, breadth first, checked against the rules of the papers in each state.
//!
//! - A message that was sent may arrive at any time, any number of times, or never. This covers
//!   loss, delay, duplication and reordering, without a bound.
//! - A write is durable or lost. A role whose write was lost continues with its memory ahead of its
//!   disk, or crashes and has only the disk.
//! - A proposer starts a ballot at any time.
//! - A learner sends nothing, so what it may learn is searched separately: every order in which the
//!   votes can reach it, whenever there are more of them.
//! - States that differ only in the names of acceptors are one, if the quorums do not distinguish
//!   acceptors.
//!
//! Ballots, crashes and lost writes are bounded by each model, and within these bounds the search
//! is complete. Builds with debug assertions use a smaller scope where stated. To run the full one:
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

/// Two proposers, one of which returns: it was preempted, and preempts the other.
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

/// Three proposers with one value each.
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

/// Lost writes, and crashes of actors that had sent, or not sent, what they held.
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

/// A proposer that crashes and restarts, whether its ballot was durable or not.
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

/// The same with another proposer, whose ballot is between those two, or below both. Only in
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

/// Refusals, which tell a proposer of higher ballots. Only two acceptors, because one more message
/// for each late one leads to a great many states.
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

/// Systems in which two quorums of one phase need not intersect.
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

/// Whole nodes, which hold their replies until their own write is durable.
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

/// All messages except those that only speed up what happens without them too.
fn without_hints(message: &Message<u8>) -> bool {
    !matches!(message, Message::Preempted(_))
}

fn majority(count: u64) -> Quorums {
    Quorums::majority((1..=count).map(NodeId)).expect("a lawful system")
}

const SMALL: bool = cfg!(debug_assertions);
