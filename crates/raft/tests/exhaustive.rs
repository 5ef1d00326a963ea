//! Every reachable state of a small group: real cores, their disks and the messages between them,
//! breadth first, checked against the rules of [`synod_raft::check`] at each step.
//!
//! - A message that was sent may arrive at any time, any number of times, or never. This covers
//!   loss, delay, duplication and reordering, without a bound.
//! - Timers fire at any time; a fingerprint contains neither time nor random generator nor
//!   counters.
//! - A write takes any time, and a crash loses it. A write without a record completes at once.
//! - An append carries one entry, so that each entry may be acknowledged by itself.
//! - States that differ only in the names of nodes are one.
//! - Pre-vote and check-quorum are off.
//!
//! Everything else is bounded by the [`Budget`] of each model, and within it the search is
//! complete. Builds with debug assertions use a smaller budget. To run the full ones: `cargo test
//! --release -p synod-raft --test exhaustive -- --nocapture --test-threads 1`.

#[path = "exhaustive/goals.rs"]
mod goals;
#[path = "exhaustive/model.rs"]
mod model;
#[path = "exhaustive/node.rs"]
mod node;

use goals::Goal;
use model::{Budget, Model};
use node::Roster;
use synod_raft::{Echo, Message, Replicate};
use synod_sim::search::verify;

/// Votes: three candidacies, two crashes, slow disks. The network carries vote requests and their
/// answers, and loses every message of a leader.
#[test]
fn elections() {
    let full = Budget {
        terms: 3,
        candidacies: 3,
        restarts: 2,
        overtakings: Budget::ANY,
        ..Budget::default()
    };
    let small = Budget {
        terms: 2,
        candidacies: 2,
        restarts: 1,
        ..full
    };
    verify(
        "elections",
        &Model {
            size: 3,
            change: None,
            budget: if SMALL { small } else { full },
            carries: |message| matches!(message, Message::Binding(_)),
        },
        &[
            Goal::Leader,
            Goal::SecondLeader,
            Goal::LeaderDeposed,
            Goal::VoteRefused,
            Goal::VoteLost,
            Goal::TermLost,
            Goal::RequestAgain,
        ],
    );
}

/// Five nodes, of which two campaign in the same term: a majority needs more than the candidate and
/// one other.
#[test]
fn a_split_vote() {
    verify(
        "a split vote",
        &Model {
            size: 5,
            change: None,
            budget: Budget {
                terms: 1,
                candidacies: 2,
                restarts: if SMALL { 0 } else { 1 },
                overtakings: if SMALL { 0 } else { 1 },
                ..Budget::default()
            },
            carries: |message| matches!(message, Message::Binding(_)),
        },
        &[Goal::Leader, Goal::RequestAgain],
    );
}

/// Two leaders, one after the other or at the same time, each with the first entry of its term and
/// all their messages.
#[test]
fn two_terms() {
    let budget = Budget {
        overtakings: 2,
        ..TWO_TERMS
    };
    verify(
        "two terms",
        &Model {
            size: 3,
            change: None,
            budget: if SMALL { TWO_TERMS } else { budget },
            carries: if SMALL { without_hints } else { |_| true },
        },
        &[
            Goal::SecondLeader,
            Goal::LeaderDeposed,
            Goal::VoteRefused,
            Goal::Commit,
            Goal::CommitInSecondTerm,
            Goal::CommitOfFirstTerm,
            Goal::Truncated,
            Goal::Rejected,
            Goal::Stale,
            Goal::AppendAgain,
            Goal::FollowerCommit,
        ],
    );
}

/// The same with a crash at any point, which loses what is not synced.
#[test]
fn two_terms_and_a_crash() {
    let full = Budget {
        restarts: 1,
        overtakings: 1,
        ..TWO_TERMS
    };
    let small = Budget {
        overtakings: 0,
        ..full
    };
    verify(
        "two terms and a crash",
        &Model {
            size: 3,
            change: None,
            budget: if SMALL { small } else { full },
            carries: without_hints,
        },
        &[
            Goal::SecondLeader,
            Goal::CommitInSecondTerm,
            Goal::CommitOfFirstTerm,
            Goal::Truncated,
            Goal::Rejected,
            Goal::VoteLost,
            Goal::TermLost,
            Goal::EntryLost,
        ],
    );
}

/// A command after the first entry of a term: a log of three entries.
#[test]
fn a_command() {
    let full = Budget {
        commands: 1,
        ..TWO_TERMS
    };
    let small = Budget {
        terms: 1,
        candidacies: 1,
        ..full
    };
    verify(
        "a command",
        &Model {
            size: 3,
            change: None,
            budget: if SMALL { small } else { full },
            carries: without_hints,
        },
        &[Goal::Commit, Goal::AppendAgain, Goal::FollowerCommit],
    );
}

/// A leader that sends heartbeats, and a crash of any node.
#[test]
fn heartbeats() {
    verify(
        "heartbeats",
        &Model {
            size: 3,
            change: None,
            budget: Budget {
                terms: 1,
                candidacies: 1,
                heartbeats: 1,
                restarts: if SMALL { 0 } else { 1 },
                ..Budget::default()
            },
            carries: |_| true,
        },
        &[Goal::Commit, Goal::AppendAgain, Goal::FollowerCommit],
    );
}

/// A leader that hands over, to a node that lacks something or not, and leads on if nothing comes of
/// it; the message that asks for a candidacy arrives at any time, and again.
#[test]
fn a_transfer() {
    let full = Budget {
        candidacies: 1,
        transfers: 1,
        heartbeats: 1,
        ..TWO_TERMS
    };
    let small = Budget {
        heartbeats: 0,
        ..full
    };
    let goals = [
        Goal::SecondLeader,
        Goal::CommitInSecondTerm,
        Goal::Invited,
        Goal::Transferred,
        Goal::TransferGivenUp,
    ];
    let met = if SMALL { &goals[..4] } else { &goals[..] };
    verify(
        "a transfer",
        &Model {
            size: 3,
            change: None,
            budget: if SMALL { small } else { full },
            carries: without_hints,
        },
        met,
    );
}

/// A node of two is replaced by an empty one: it catches up, both memberships decide, and the new one
/// alone. Another leader may continue it, and whoever leads may be told to take it back.
#[test]
fn a_replacement() {
    let roster = Roster {
        voters: 2,
        first: 1,
        witness: 0,
        target: &[1, 3],
    };
    let goals = [
        Goal::Joint,
        Goal::ChangeEnded,
        Goal::ChangeAborted,
        Goal::ChangeInherited,
    ];
    a_change("a replacement", roster, 1, &goals);
}

/// The leader of three removes itself.
#[test]
fn a_leader_that_goes() {
    let roster = Roster {
        voters: 3,
        first: 3,
        witness: 0,
        target: &[1, 2],
    };
    let goals = [
        Goal::Joint,
        Goal::ChangeEnded,
        Goal::ChangeInherited,
        Goal::ChangeCut,
        Goal::Removed,
    ];
    a_change("a leader that goes", roster, 0, &goals);
}

/// One of three is a witness: either of the others leads, with its vote and its acknowledgement.
#[test]
fn a_witness() {
    let roster = Roster {
        voters: 3,
        first: 1,
        witness: 3,
        target: &[],
    };
    let budget = Budget {
        commands: 1,
        candidacies: if SMALL { 1 } else { 2 },
        ..TWO_TERMS
    };
    let model = Model {
        size: 3,
        change: Some(roster),
        budget,
        carries: without_hints,
    };
    let goals = [
        Goal::Commit,
        Goal::FollowerCommit,
        Goal::SecondLeader,
        Goal::CommitInSecondTerm,
    ];
    verify(
        "a witness",
        &model,
        if SMALL { &goals[..2] } else { &goals },
    );
}

/// One change. Builds with debug assertions have one leader, and so meet only the first goals.
fn a_change(name: &str, roster: Roster, aborts: u8, goals: &[Goal]) {
    let small = Budget {
        candidacies: 1,
        terms: 1,
        ..TWO_TERMS
    };
    let budget = Budget {
        changes: 1,
        aborts,
        ..if SMALL { small } else { TWO_TERMS }
    };
    let model = Model {
        size: 3,
        change: Some(roster),
        budget,
        carries: without_hints,
    };
    verify(name, &model, if SMALL { &goals[..2] } else { goals });
}

/// Figure 8 needs three leaders: one, another, and the first again. Only in release builds.
#[test]
#[cfg_attr(debug_assertions, ignore = "a minute in release builds, ten without")]
fn three_terms() {
    verify(
        "three terms",
        &Model {
            size: 3,
            change: None,
            budget: Budget {
                terms: 3,
                candidacies: 3,
                ..TWO_TERMS
            },
            carries: without_hints,
        },
        &[
            Goal::SecondLeader,
            Goal::ThirdLeader,
            Goal::CommitInSecondTerm,
            Goal::CommitOfFirstTerm,
            Goal::Truncated,
        ],
    );
}

const TWO_TERMS: Budget = Budget {
    terms: 2,
    candidacies: 2,
    heartbeats: 0,
    commands: 0,
    transfers: 0,
    changes: 0,
    aborts: 0,
    restarts: 0,
    overtakings: 0,
};

/// All messages except those that only speed up what happens without them too.
fn without_hints(message: &Message) -> bool {
    !matches!(
        message,
        Message::Echo(Echo::Stale { .. }) | Message::Replicate(Replicate::Commit { .. })
    )
}

const SMALL: bool = cfg!(debug_assertions);
