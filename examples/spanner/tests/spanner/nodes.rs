//! The same bank over the real thing: three whole nodes, each with a replica of every shard under Raft or Paxos, on
//! one simulated disk, and two nodes of clients. Network, disks, clocks and processes fail together, leaders hand over
//! or lose their role without a word, members are replaced, and servers pause between the look at the clock and the
//! act.
//!
//! ```text
//!  seed ── draws ──> faults, clocks, pauses
//!                       │
//!  Customer ── Mail ──> Server ── proposals ──> groups of the node (Raft or Paxos, log, applier)
//!     │                   │  Leader, SafeTime        │ Replica: every command, before it is applied
//!     └── Record, Look ───┴──────────> Facts <───────┘
//! ```
//!
//! A server does what a real one would: it takes over where its node leads the group, proposes by tickets, and ends the
//! reign with the first outcome that is not "applied, next in number", unknown ones too.

mod cluster;
mod customer;
mod facts;
mod looks;
mod mail;
mod run;
mod server;

use synod_sim::Campaign;

use cluster::{Paxos, Raft, Subject};

/// How often a thousand runs must have come to this. What never happens is not tested.
const MINIMUMS: [(&str, u64); 22] = [
    ("aborts", 2000),
    ("commands behind a gap", 20),
    ("commands of a reign that was over", 500),
    ("commands whose end is not known, or refused", 400),
    ("commits", 8000),
    ("commits on several shards", 3000),
    ("commits unknown to their clients", 80),
    ("crashes", 1500),
    ("hand-overs", 300),
    ("leaders that lost their role", 200),
    ("members replaced", 300),
    ("parts read at followers", 20_000),
    ("parts read at leaders", 10_000),
    ("pauses between the clock and the act", 1500),
    ("prepared when a reign began", 300),
    ("prepared when their coordinator was replaced", 300),
    ("reads of bounded staleness", 1000),
    ("replacements while a transaction was prepared", 100),
    ("snapshots restored", 400),
    ("strong reads", 5000),
    ("transfers without a word", 300),
    ("untold when a reign began", 100),
];

#[test]
fn over_raft_money_is_conserved_and_order_is_real() {
    keeps_its_rules::<Raft>();
}

#[test]
fn over_paxos_money_is_conserved_and_order_is_real() {
    keeps_its_rules::<Paxos>();
}

fn keeps_its_rules<S: Subject>() {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seeds = number("SPANNER_SEEDS").unwrap_or(SEEDS);
    let campaign = Campaign::new(S::NAME).seeds(number("SPANNER_FROM").unwrap_or(0), seeds);
    let campaign = MINIMUMS.iter().fold(campaign, |campaign, (what, least)| {
        campaign.at_least(what, *least)
    });
    let campaign = campaign.replay(format!(
        "SPANNER_FROM={{seed}} SPANNER_SEEDS=1 cargo test -p synod-spanner --test spanner nodes::over_{}",
        S::NAME
    ));
    let report = campaign.run(run::draw, run::run::<S>);
    // A few seeds, run one by one, need not show everything.
    let few = report.failure.is_none() && (1..SEEDS).contains(&report.runs);
    assert!(report.is_ok() || few, "{report}");
    println!("{report}");
}

const SEEDS: u64 = 30;
