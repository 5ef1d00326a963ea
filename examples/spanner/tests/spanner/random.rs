//! A bank on three shards, each with a log that two replicas follow at their own pace, and everything goes wrong that
//! may: leaders take over while old ones go on, what an old one proposed lands behind what a new one did or is lost,
//! as in Multi-Paxos; messages are lost, repeated and reordered; nodes crash and come back from a snapshot, and pause
//! between the look at the clock and the act; clients fall silent; clocks wander within their bound.
//!
//! What is checked is in [`bank`](crate::bank).

mod audits;
mod lying;
mod node;
mod run;

use crate::bank::witness::Counts;
use run::{Options, Run};

#[test]
fn money_is_conserved_and_order_is_real_whoever_leads() {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seeds: u64 = number("SPANNER_SEEDS").unwrap_or(200);
    let first: u64 = number("SPANNER_FROM").unwrap_or(0);
    let mut sum = Counts::default();
    for seed in first..first + seeds {
        let mut run = Run::new(seed, Options::default());
        run.storm(12_000);
        let calm = run.calm(150_000);
        // What a step broke first is the cause of what then waits.
        if let (Err(waiting), None) = (calm, &run.book.watch.found) {
            panic!("seed {seed}: {waiting}");
        }
        match run.check() {
            Ok(counts) => sum += counts,
            Err(found) => panic!("seed {seed}: {found}"),
        }
    }
    println!("{seeds} seeds from {first}: {sum}");
    // What never happens is not tested.
    assert!(sum.is_rich(seeds), "{sum}");
}
