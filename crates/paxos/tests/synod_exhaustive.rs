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
#[path = "synod_exhaustive/atlas.rs"]
mod atlas;
#[path = "synod_exhaustive/goals.rs"]
mod goals;
#[path = "synod_exhaustive/moves.rs"]
mod moves;
#[path = "synod_exhaustive/rules.rs"]
mod rules;
#[path = "synod_exhaustive/search.rs"]
mod search;

use goals::Goal;
use search::{Budget, Cast, Model, search};
use synod_paxos::single::Message;
use synod_paxos::{NodeId, Quorums};

/// Two proposers, of which one comes back: it has been overtaken, and overtakes.
#[test]
fn two_proposers() {
    run(
        "two proposers",
        &Model {
            budget: THREE_BALLOTS,
            goals: &[
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
            ..roles(majority(3), 2)
        },
    );
}

/// Three proposers with a value each.
#[test]
fn three_proposers() {
    run(
        "three proposers",
        &Model {
            budget: Budget {
                ballots: [1, 1, if SMALL { 0 } else { 1 }],
                crashes: 1,
                losses: 0,
            },
            goals: &[
                Goal::ChosenInFirstRound,
                Goal::ChosenAgain,
                Goal::Adopted,
                Goal::AdoptedChosen,
                Goal::FreeAgain,
                Goal::VoteOverruled,
            ],
            ..roles(majority(3), 3)
        },
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
    run(
        "lost writes",
        &Model {
            budget: if SMALL { small } else { full },
            goals: &[
                Goal::ChosenInFirstRound,
                Goal::AdoptedChosen,
                Goal::PromiseLost,
                Goal::VoteLost,
                Goal::BallotLost,
            ],
            ..roles(majority(3), 2)
        },
    );
}

/// A proposer that crashes and comes back.
#[test]
fn a_proposer_comes_back() {
    run(
        "a proposer comes back",
        &Model {
            budget: Budget {
                ballots: if SMALL { [2, 0, 0] } else { [2, 1, 0] },
                crashes: 1,
                losses: 1,
            },
            goals: &[
                Goal::BallotAfterCrash,
                Goal::BallotLost,
                Goal::ChosenInFirstRound,
                Goal::ChosenInSecondRound,
                Goal::ChosenAgain,
            ],
            ..roles(majority(3), 2)
        },
    );
}

/// Refusals, which tell a proposer how far others are. Two acceptors, because one more message for
/// each that is late makes a great many states.
#[test]
fn refusals() {
    run(
        "refusals",
        &Model {
            budget: THREE_BALLOTS,
            carries: |_| true,
            goals: &[
                Goal::ChosenInFirstRound,
                Goal::ChosenInSecondRound,
                Goal::AdoptedChosen,
            ],
            ..roles(majority(2), 2)
        },
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
        run(
            name,
            &Model {
                budget: Budget {
                    ballots: [1, 1, 0],
                    crashes: u8::from(!SMALL),
                    losses: 0,
                },
                goals: &[
                    Goal::ChosenInFirstRound,
                    Goal::ChosenAgain,
                    Goal::AdoptedChosen,
                    Goal::VoteOverruled,
                    Goal::Learned,
                ],
                ..roles(quorums.expect("a lawful system"), 2)
            },
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
        run(
            "nodes",
            &Model {
                cast: Cast::Nodes,
                budget,
                goals: &[
                    Goal::ChosenInFirstRound,
                    Goal::AdoptedChosen,
                    Goal::VoteOverruled,
                    Goal::Learned,
                    Goal::ChosenTold,
                ],
                ..roles(majority(3), 0)
            },
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
        goals: &[],
    }
}

/// All but the words that only hurry what happens without them too.
fn without_hints(message: &Message<u8>) -> bool {
    !matches!(message, Message::Preempted(_))
}

fn majority(count: u64) -> Quorums {
    Quorums::majority((1..=count).map(NodeId)).expect("a lawful system")
}

fn run(name: &str, model: &Model) {
    #[expect(clippy::disallowed_methods, reason = "a search tells how long it took")]
    let begun = std::time::Instant::now();
    let found = search(model);
    let seconds = begun.elapsed().as_secs_f32();
    println!("{name}: {found}; {seconds:.1} s");
    if let Some(violation) = found.violation {
        panic!("{name}: {violation}");
    }
    assert!(
        found.missed.is_empty(),
        "{name}: never met: {:?}",
        found.missed
    );
}

const SMALL: bool = cfg!(debug_assertions);
