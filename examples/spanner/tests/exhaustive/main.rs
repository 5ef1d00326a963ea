//! Every reachable state of two shards and up to two transactions while a leader dies: the very values that a server
//! runs (`Leader`, `Shard`, `SafeTime`) and a client's `Attempt`, breadth first, checked against the rules at each step
//! ([`rules`]), in each state ([`model`]), and where time is over ([`ends`]).
//!
//! - A message that was sent may arrive at any time, in any order, or never. What leaders and clients receive from a
//!   leader may arrive any number of times; a client's request arrives again as often as the budget allows.
//! - The log of a shard is a simple sequence, and one replica applies what is in it. What a leader has proposed is in
//!   the log before its next input; an *overtaking* is an input that comes first.
//! - A leader may die at any time, also with proposals that are not in the log: these are lost, and it is checked that
//!   they would have no effect if they came behind the take-over of its successor, which begins at once.
//! - Time has a few stretches ([`clock`]), and moves on at any time. A *skew* is an input that comes while one clock is
//!   a stretch ahead of the other.
//! - What a node keeps to itself it receives just before the step that shows it.
//!
//! Within its [`Budget`] each search is complete. It asserts how many states there are, so that a change of what it
//! covers is seen. Builds with debug assertions use a smaller budget, unless `SPANNER_SEARCH=full` is set. To run the
//! full ones: `cargo test --release -p synod-spanner --test exhaustive -- --nocapture --test-threads 1`.
//!
//! | search | states | with debug assertions |
//! |---|---|---|
//! | [`a_transfer`] | 1,279,063 | 31,977 |
//! | [`clocks_that_differ`] | 669,790 | 16,029 |
//! | [`two_writers`] | 485,971 | 42,885 |
//! | [`a_write_skew`] | 1,108,937 | 52,574 |
//! | [`two_transfers`] | 3,297,161 | 70,498 |
//!
//! Not in it: snapshots, horizons, what is forgotten, changes of membership, bounds that are reached, and leaders that
//! live on when they are deposed. I10 is not checked, since locks may go early.

mod client;
mod clock;
mod ends;
mod goals;
mod history;
mod message;
mod model;
mod rules;
mod server;

use client::Script;
use goals::Goal;
use model::{Budget, Model};
use synod_sim::search::verify;
use synod_spanner::ShardId;

/// One transaction that reads and writes on both shards. Its client asks what became of it, and what it has said comes
/// again.
#[test]
fn a_transfer() {
    let full = Budget {
        overtakings: 1,
        inquiries: 1,
        repetitions: 1,
        ..A_DEATH
    };
    let small = Budget {
        overtakings: 0,
        repetitions: 0,
        ..full
    };
    let states = explore(
        "a transfer",
        &[transfer(1, A)],
        if is_small() { (small, 3) } else { (full, 4) },
        &[
            Goal::AllCommitted,
            Goal::Aborted,
            Goal::InheritedPrepared,
            Goal::RecordLost,
            Goal::Settled,
        ],
    );
    assert_eq!(states, if is_small() { 31_977 } else { 1_279_063 });
}

/// The same with clocks that differ, and with a promise to readers that nothing will be assigned below.
#[test]
fn clocks_that_differ() {
    let budget = Budget {
        skews: 2,
        closings: 1,
        overtakings: 1,
        successions: if is_small() { 0 } else { 1 },
        ..A_DEATH
    };
    let states = explore(
        "clocks that differ",
        &[transfer(1, A)],
        (budget, if is_small() { 2 } else { 3 }),
        &[Goal::AllCommitted],
    );
    assert_eq!(states, if is_small() { 16_029 } else { 669_790 });
}

/// Two transactions that write on both shards and have read nothing, each decided by another shard: each is prepared
/// where the other decides.
#[test]
fn two_writers() {
    let budget = Budget {
        overtakings: if is_small() { 1 } else { 0 },
        successions: if is_small() { 0 } else { 1 },
        ..A_DEATH
    };
    let states = explore(
        "two writers",
        &[writer(1, A), writer(2, B)],
        (budget, if is_small() { 2 } else { 3 }),
        &[Goal::Aborted, Goal::WoundPassedOn, Goal::VotedNo],
    );
    assert_eq!(states, if is_small() { 42_885 } else { 485_971 });
}

/// Each reads on the other's shard what the other writes: no serial order has both, if neither saw the other.
#[test]
fn a_write_skew() {
    let full = [(A_DEATH, 5)];
    let small = [(A_DEATH, 2)];
    let scripts = [
        Script {
            number: 1,
            coordinator: A,
            reads: &[(B, "b")],
            writes: &[(A, "a")],
        },
        Script {
            number: 2,
            coordinator: B,
            reads: &[(A, "a")],
            writes: &[(B, "b")],
        },
    ];
    let goals = [
        Goal::Aborted,
        Goal::VotedForReads,
        Goal::WoundPassedOn,
        Goal::AllCommitted,
        Goal::ToldBySuccessor,
    ];
    let [bounds] = if is_small() { small } else { full };
    let met = if is_small() { &goals[..2] } else { &goals };
    let states = explore("a write skew", &scripts, bounds, met);
    assert_eq!(states, if is_small() { 52_574 } else { 1_108_937 });
}

/// Two transactions that read and write the same on both shards, each decided by another one.
#[test]
fn two_transfers() {
    let budget = Budget {
        successions: if is_small() { 0 } else { 1 },
        ..A_DEATH
    };
    let states = explore(
        "two transfers",
        &[transfer(1, A), transfer(2, B)],
        (budget, if is_small() { 2 } else { 3 }),
        &[Goal::Aborted, Goal::WoundPassedOn, Goal::VotedNo],
    );
    assert_eq!(states, if is_small() { 70_498 } else { 3_297_161 });
}

/// Until the last stretch of time. How many states there are.
fn explore(name: &str, scripts: &[Script], (budget, last): (Budget, u8), goals: &[Goal]) -> usize {
    verify(name, &Model::new(scripts, budget, last), goals)
}

fn transfer(number: u64, coordinator: ShardId) -> Script {
    Script {
        reads: &[(A, "a"), (B, "b")],
        ..writer(number, coordinator)
    }
}

fn writer(number: u64, coordinator: ShardId) -> Script {
    Script {
        number,
        coordinator,
        reads: &[],
        writes: &[(A, "a"), (B, "b")],
    }
}

const A: ShardId = ShardId(1);
const B: ShardId = ShardId(2);

const A_DEATH: Budget = Budget {
    stretches: [0; 2],
    successions: 1,
    closings: 0,
    inquiries: 0,
    repetitions: 0,
    overtakings: 0,
    skews: 0,
};

/// Whether to search within the smaller bounds.
fn is_small() -> bool {
    cfg!(debug_assertions) && std::env::var_os("SPANNER_SEARCH").is_none()
}
