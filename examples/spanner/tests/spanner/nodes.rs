//! The same bank over the real thing: three whole nodes, each with a replica of every shard under Raft or Paxos, on
//! one simulated disk, and two nodes of clients. Network, disks, clocks and processes fail together, leaders hand over
//! or lose their role without a word, and servers pause between the look at the clock and the act.
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
const MINIMUMS: [(&str, u64); 0] = [];

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
