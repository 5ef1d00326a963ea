//! Every state that a small group can be in: real cores, their disks and the messages between them,
//! breadth first, with the rules of [`synod_paxos::check`] at each step.
//!
//! - A message that was sent once may arrive at any time, any number of times, or never: loss, delay,
//!   duplication and disorder are one thing, without a bound.
//! - Timers fire at any time; a fingerprint has neither time nor generator nor counters.
//! - A write takes as long as it likes, and a crash loses it, or the last vote of it. One without a
//!   record is done at once.
//! - Who wants to lead finds the others content with it: an answer to the question changes nothing
//!   but the round.
//! - Nodes 1 and 2 want to lead, node 3 votes: two ballots of one round are ordered by their nodes,
//!   so names are no symmetry here, and states that differ in names are two.
//!
//! The rest is bounded by the [`Budget`] of each model, and within it the search is complete. Builds
//! with debug assertions take a smaller budget. The full ones:
//! `cargo test --release -p synod-paxos --test exhaustive -- --nocapture --test-threads 1`.

#[path = "exhaustive/goals.rs"]
mod goals;
#[path = "exhaustive/model.rs"]
mod model;
#[path = "exhaustive/node.rs"]
mod node;

use goals::Goal;
use model::{Budget, Model};
use node::Group;
use synod_paxos::{Echo, Message, NodeId, Quorums, Replicate};
use synod_sim::search::verify;

/// Phase 1 alone: promises, campaigns, crashes, slow disks.
#[test]
fn ballots() {
    let full = Budget {
        proposers: 2,
        campaigns: 3,
        restarts: 2,
        overtakings: Budget::ANY,
        ..Budget::default()
    };
    let small = Budget {
        campaigns: 2,
        restarts: 1,
        ..full
    };
    verify(
        "ballots",
        &Model {
            group: majority(),
            budget: if SMALL { small } else { full },
            carries: |message| matches!(message, Message::Binding(_)),
        },
        &[
            Goal::Leader,
            Goal::LaterLeader,
            Goal::PromiseLost,
            Goal::PrepareAgain,
        ],
    );
}

/// A command, which the second leader must adopt if it may be chosen, with a crash and a write that
/// is overtaken on the way.
#[test]
fn a_command_and_a_crash() {
    verify(
        "a command and a crash",
        &Model {
            group: majority(),
            budget: Budget {
                commands: 1,
                restarts: 1,
                overtakings: 1,
                ..TWO_BALLOTS
            },
            carries: phases,
        },
        &[
            Goal::Leader,
            Goal::LaterLeader,
            Goal::Adopted,
            Goal::Chosen,
            Goal::ChosenAdopted,
            Goal::PromiseLost,
            Goal::VoteLost,
            Goal::PrepareAgain,
            Goal::AcceptAgain,
        ],
    );
}

/// Two commands, of one leader or of both: gaps, and slots that are decided out of order.
#[test]
fn two_commands() {
    let full = Budget {
        commands: 2,
        overtakings: 1,
        ..TWO_BALLOTS
    };
    let small = Budget {
        overtakings: 0,
        ..full
    };
    verify(
        "two commands",
        &Model {
            group: majority(),
            budget: if SMALL { small } else { full },
            carries: phases,
        },
        &[
            Goal::Adopted,
            Goal::Noop,
            Goal::Chosen,
            Goal::ChosenAdopted,
            Goal::FollowerChosen,
            Goal::VoteReplaced,
            Goal::AcceptAgain,
        ],
    );
}

/// The same where a message has one value and a page of a promise one vote.
#[test]
#[cfg_attr(debug_assertions, ignore = "seconds in release builds, many without")]
fn pages() {
    let full = Budget {
        commands: 2,
        ..TWO_BALLOTS
    };
    verify(
        "pages",
        &Model {
            group: Group {
                one_by_one: true,
                ..majority()
            },
            budget: full,
            carries: phases,
        },
        &[
            Goal::Adopted,
            Goal::Noop,
            Goal::NextPage,
            Goal::ChosenAdopted,
        ],
    );
}

/// A third ballot: two leaders with a value each for one slot, and the first again.
#[test]
#[cfg_attr(debug_assertions, ignore = "seconds in release builds, many without")]
fn three_ballots() {
    verify(
        "three ballots",
        &Model {
            group: majority(),
            budget: Budget {
                campaigns: 3,
                commands: 2,
                slots: 1,
                ..TWO_BALLOTS
            },
            carries: phases,
        },
        &[
            Goal::LaterLeader,
            Goal::Adopted,
            Goal::ChosenAdopted,
            Goal::VoteReplaced,
        ],
    );
}

/// Who has promised more says so, who knows what is chosen tells it, and a leader that lacks it
/// learns it.
#[test]
fn what_is_chosen_is_learned() {
    verify(
        "what is chosen is learned",
        &Model {
            group: majority(),
            budget: Budget {
                commands: if SMALL { 1 } else { 2 },
                ..TWO_BALLOTS
            },
            carries: without_heartbeats,
        },
        &[
            Goal::Adopted,
            Goal::PromiseRefused,
            Goal::AcceptRefused,
            Goal::LeaderDeposed,
            Goal::FollowerChosen,
            Goal::Learned,
        ],
    );
}

/// One leader that makes itself heard, every word of it, and a crash of anybody.
#[test]
fn heartbeats() {
    verify(
        "heartbeats",
        &Model {
            group: majority(),
            budget: Budget {
                proposers: 1,
                campaigns: 1,
                commands: 1,
                slots: 1,
                overtakings: if SMALL { 0 } else { 1 },
                restarts: 1,
                ..Budget::default()
            },
            carries: |_| true,
        },
        &[
            Goal::Chosen,
            Goal::FollowerChosen,
            Goal::ChosenRemembered,
            Goal::AcceptAgain,
        ],
    );
}

/// A read, which needs an echo of a quorum, and all that phase 1 found chosen.
#[test]
fn a_read() {
    let full = Budget {
        commands: 1,
        reads: 1,
        ..TWO_BALLOTS
    };
    verify(
        "a read",
        &Model {
            group: majority(),
            budget: full,
            carries: phases_and_reads,
        },
        &[Goal::Adopted, Goal::Chosen, Goal::Read],
    );
}

/// A leader that hands over, to a node that lacks something or not; the invitation arrives at any time,
/// and again.
#[test]
fn a_transfer() {
    let full = Budget {
        commands: 1,
        transfers: 1,
        ..TWO_BALLOTS
    };
    let small = Budget {
        campaigns: 1,
        ..full
    };
    verify(
        "a transfer",
        &Model {
            group: majority(),
            budget: if SMALL { small } else { full },
            carries: phases_and_invitations,
        },
        &[
            Goal::LaterLeader,
            Goal::FollowerChosen,
            Goal::Chosen,
            Goal::Invited,
            Goal::Transferred,
        ],
    );
}

/// Every acceptor promises and one accepts; and the other way round.
#[test]
fn flexible_quorums() {
    for (phase1, phase2) in [(3, 1), (1, 3)] {
        let full = Budget {
            commands: 2,
            restarts: 1,
            ..TWO_BALLOTS
        };
        let small = Budget {
            commands: 1,
            ..full
        };
        let quorums = Quorums::flexible([1, 2, 3].map(NodeId), phase1, phase2);
        verify(
            &format!("{phase1} promise and {phase2} accept"),
            &Model {
                group: Group {
                    quorums: quorums.expect("they meet"),
                    one_by_one: false,
                },
                budget: if SMALL { small } else { full },
                carries: phases,
            },
            &[Goal::Leader, Goal::Chosen, Goal::PromiseLost],
        );
    }
}

const TWO_BALLOTS: Budget = Budget {
    proposers: 2,
    campaigns: 2,
    heartbeats: 0,
    commands: 0,
    slots: 2,
    reads: 0,
    transfers: 0,
    restarts: 0,
    overtakings: 0,
};

fn majority() -> Group {
    Group {
        quorums: Quorums::majority([1, 2, 3].map(NodeId)).expect("a group"),
        one_by_one: false,
    }
}

/// Phase 1 and phase 2, and nothing else.
fn phases(message: &Message) -> bool {
    matches!(
        message,
        Message::Binding(_) | Message::Replicate(Replicate::Accept { .. })
    )
}

/// And what asks a node to campaign.
fn phases_and_invitations(message: &Message) -> bool {
    matches!(message, Message::Replicate(Replicate::Invite { .. })) || phases(message)
}

/// All but heartbeats.
fn without_heartbeats(message: &Message) -> bool {
    !matches!(
        message,
        Message::Replicate(Replicate::Heartbeat { .. }) | Message::Echo(Echo::Heartbeat { .. })
    )
}

/// And the rounds that confirm reads: the first of a leader is its greeting.
fn phases_and_reads(message: &Message) -> bool {
    match message {
        Message::Replicate(Replicate::Heartbeat { round, .. })
        | Message::Echo(Echo::Heartbeat { round, .. }) => *round > 1,
        _ => phases(message),
    }
}

const SMALL: bool = cfg!(debug_assertions);
