//! `walls comforts`: what a program has in one process, and no longer on three nodes.

mod bank;
mod naive;
mod one_process;
mod three_nodes;

pub use bank::transfer_in_halves;
pub use naive::{Change, Naive};
pub use one_process::{Comfort, one_process};
pub use three_nodes::{Counted, Moved, Ordered, count, order, transfer_as_one};

use synod_sim::page::Recorder;

use crate::raft_service::RaftService;
use crate::report::{Page, Report};
use crate::scene::begin_run;

/// One program in one process, then on three nodes: memory, clock and clean failure are gone
#[derive(Clone, Debug, clap::Args)]
pub struct ComfortsOptions {
    /// Draws delays, offsets and failures
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How often each thread, or each client, raises the counter
    #[arg(long, default_value_t = 200)]
    pub each: u64,
}

/// The demo.
#[must_use]
pub fn run(options: &ComfortsOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "The three lost comforts: shared memory, one clock, clean failure",
        "after Lamport 1978, Herlihy and Wing 1990, and Gray 1978",
        "In one process all threads see one memory, read one clock, and fail together or are told. \
         Of three machines none of this is true; what follows is the same program on both.",
    );
    comfort(&mut page, options);
    memory(&mut page, options, recorder);
    clock(&mut page, options);
    failure(&mut page, options, recorder);
    page.end()
}

fn comfort(page: &mut Page, options: &ComfortsOptions) {
    page.head("Three threads in one process");
    let it = one_process(3, options.each);
    page.line(format_args!(
        "  counter   raised {} times, shows {}",
        it.raised, it.counted
    ));
    page.line(format_args!(
        "  clock     {} messages, {} of them came before they were sent",
        it.messages, it.early
    ));
    let told = if it.failure_is_told {
        "the next who came was told"
    } else {
        "nobody was told"
    };
    page.line(format_args!(
        "  failure   a transfer was cut off in the middle: {told}"
    ));
    page.verdict(
        it.raised == it.counted && it.early == 0 && it.failure_is_told,
        "all three are there.",
    );
}

fn memory(page: &mut Page, options: &ComfortsOptions, recorder: Option<&Recorder>) {
    page.head("Shared memory: a counter, three nodes");
    let naive = count::<Naive>(options.seed, options.each, None);
    let logged = count::<RaftService>(options.seed, options.each.min(100), None);
    if recorder.is_some() {
        // The first rounds of the same runs.
        let each = options.each.min(SHOWN);
        begin_run(recorder, "A counter, each node with a memory of its own");
        count::<Naive>(options.seed, each, recorder);
        begin_run(recorder, "The same in one log");
        count::<RaftService>(options.seed, each, recorder);
    }
    for (name, it) in [
        ("each in its own memory, and tells", naive),
        ("one log (synod-raft)", logged),
    ] {
        page.line(format_args!(
            "  {name:<34} raised {:>4} times, shows {:?}",
            it.raised, it.shown
        ));
    }
    page.verdict(
        naive.is_stale && naive.shown.iter().all(|shown| *shown < naive.raised),
        "the counter goes stale and loses what it was told: two raise what both have read.",
    );
    page.verdict(
        !logged.is_stale && logged.shown.iter().all(|shown| *shown == logged.raised),
        "one order of all commands gives it back: synod-raft or synod-paxos, with synod-replica around.",
    );
}

fn clock(page: &mut Page, options: &ComfortsOptions) {
    page.head("One clock: a cause on one node, its effect on another");
    let it = order(options.seed, 1_000);
    page.line(format_args!(
        "  {} messages between two clocks that run right and began up to a second apart:",
        it.pairs
    ));
    for (name, reversed) in [
        ("by the clocks of the nodes", it.reversed_by_clocks),
        ("by Lamport's", it.reversed_by_lamport),
    ] {
        page.line(format_args!(
            "  {name:<27} {reversed:>4} effects are stamped before their causes"
        ));
    }
    page.line(format_args!(
        "  {:<27} {:>4} effects know of their causes; {} events from before the message do not",
        "by vector clocks", it.known_by_vectors, it.apart_by_vectors
    ));
    page.verdict(
        it.reversed_by_clocks > 0,
        "two clocks put effects before their causes, though each of them runs right.",
    );
    page.verdict(
        it.reversed_by_lamport == 0
            && it.known_by_vectors == it.pairs
            && it.apart_by_vectors == it.pairs,
        "synod-lamport puts no effect before its cause, synod-vclock tells also which events did not \
         know of each other, and synod-truetime tells how far a clock may be off.",
    );
}

fn failure(page: &mut Page, options: &ComfortsOptions, recorder: Option<&Recorder>) {
    page.head("Clean failure: a transfer, and who does it dies");
    begin_run(recorder, "A transfer as two messages, and the teller dies");
    let halves = transfer_in_halves(options.seed, 60, recorder);
    let whole = transfer_as_one(options.seed, 20);
    for (name, it) in [
        ("two messages to two nodes", halves),
        ("one entry of one log", whole),
    ] {
        page.line(format_args!(
            "  {name:<26} {:>3} transfers, {:>3} left a half behind",
            it.transfers, it.halves
        ));
    }
    page.line(format_args!(
        "  {:<26} {:>3} times the leader lost power meanwhile; {} acknowledged and lost, {} not answered",
        "", whole.power_losses, whole.lost, whole.unanswered
    ));
    page.verdict(
        halves.halves > 0,
        "half a transfer survives, and nobody is told.",
    );
    page.verdict(
        whole.halves == 0 && whole.lost == 0 && whole.unanswered == 0 && whole.power_losses > 0,
        "what is one entry happens whole or not at all, though the leader loses power: \
         synod-wal keeps it, synod-durable sees to it that nothing is said before.",
    );
}

/// How often each client raises the counter on a page.
const SHOWN: u64 = 5;
