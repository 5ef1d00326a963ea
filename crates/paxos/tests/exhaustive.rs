//! Every state that a small group can be in: real cores, their disks and the messages between them,
//! breadth first, with the rules of [`synod_paxos::check`] at each step.
//!
//! - A message that was sent once may arrive at any time, any number of times, or never: loss, delay,
//!   duplication and disorder are one thing, without a bound.
//! - Timers fire at any time; a fingerprint has neither time nor generator nor counters.
//! - A write takes any time, and a crash loses it, or only its last vote. A write without a record
//!   completes at once.
//! - When a node asks whether others have a leader, they always let it campaign: an answer changes
//!   nothing but the round.
//! - Nodes 1 and 2 campaign, node 3 only votes: two ballots of one round are ordered by their
//!   nodes, so there is no symmetry between names here.
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

/// Only phase 1: promises, campaigns, crashes, slow disks.
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

/// A command that the second leader must adopt if it may be chosen, with a crash and inputs that
/// overtake a write.
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

/// Two commands, from one leader or from both: gaps, and slots that are decided out of order.
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

/// The same with one value per message and one vote per page of a promise.
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
                after: None,
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

/// A third ballot: two leaders with one value each for one slot, and then the first one again.
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

/// Refusals by nodes that have promised more, reports of what is chosen, and a leader that learns
/// chosen values that it lacks.
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

/// One leader that sends heartbeats, with all messages, and a crash of any node.
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

/// A read, which needs a quorum's echo, and all that phase 1 found to be chosen.
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
                    after: None,
                },
                budget: if SMALL { small } else { full },
                carries: phases,
            },
            &[Goal::Leader, Goal::Chosen, Goal::PromiseLost],
        );
    }
}

/// One change of membership: {1, 2, 3} become {2, 3} or {1, 2} in the slot after the one in which that is
/// chosen. The leader dies or is deposed at any step, and another one finds the configuration or not.
fn a_change(after: [u64; 2], budget: Budget) -> Model {
    Model {
        group: Group {
            after: Some(Quorums::majority(after.map(NodeId)).expect("a group")),
            ..majority()
        },
        budget: Budget {
            changes: 1,
            slots: 3,
            ..budget
        },
        carries: phases,
    }
}

/// And a command, before or after the change or instead of it.
#[test]
fn the_leader_is_removed() {
    let budget = Budget {
        commands: if SMALL { 0 } else { 1 },
        ..TWO_BALLOTS
    };
    let (changed, waits) = (Goal::Changed, Goal::WaitsForPromises);
    let mut goals = vec![changed, Goal::ChangeInherited, waits];
    goals.extend((!SMALL).then_some(Goal::ChosenAfterChange));
    verify("the leader is removed", &a_change([2, 3], budget), &goals);
}

/// And a crash.
#[test]
fn an_acceptor_is_removed() {
    let budget = Budget {
        restarts: if SMALL { 0 } else { 1 },
        ..TWO_BALLOTS
    };
    let goals = [Goal::Changed, Goal::ChangeInherited];
    verify("an acceptor is removed", &a_change([1, 2], budget), &goals);
}

const TWO_BALLOTS: Budget = Budget {
    proposers: 2,
    campaigns: 2,
    heartbeats: 0,
    commands: 0,
    slots: 2,
    reads: 0,
    transfers: 0,
    changes: 0,
    restarts: 0,
    overtakings: 0,
};

fn majority() -> Group {
    Group {
        quorums: Quorums::majority([1, 2, 3].map(NodeId)).expect("a group"),
        one_by_one: false,
        after: None,
    }
}

/// Only phase 1 and phase 2.
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

/// All messages except heartbeats.
fn without_heartbeats(message: &Message) -> bool {
    !matches!(
        message,
        Message::Replicate(Replicate::Heartbeat { .. }) | Message::Echo(Echo::Heartbeat { .. })
    )
}

/// The two phases, and the rounds that confirm reads. A leader's first round only announces it.
fn phases_and_reads(message: &Message) -> bool {
    match message {
        Message::Replicate(Replicate::Heartbeat { round, .. })
        | Message::Echo(Echo::Heartbeat { round, .. }) => *round > 1,
        _ => phases(message),
    }
}

const SMALL: bool = cfg!(debug_assertions);
