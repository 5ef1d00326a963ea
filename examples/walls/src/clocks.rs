//! `walls clocks`: a better network does not give the clock back.
//!
//! Lundelius and Lynch, *An Upper and Lower Bound for Clock Synchronization* (1984).

mod causes;
mod network;
mod shifting;
mod shown;
mod synchronisers;

use synod_sim::Rng;
use synod_sim::page::Recorder;

pub use causes::{Stamps, draw, stamp};
pub use network::{Delays, EPSILON, Synchroniser, World, skew};
pub use shifting::{Shown, shift};
pub use synchronisers::{Average, FollowFirst, Middle};

use crate::report::{Page, Report};
use crate::scene::begin_run;

/// Why clocks cannot be made one, and Lamport's clock, which does without
#[derive(Clone, Debug, clap::Args)]
pub struct ClocksOptions {
    /// Draws offsets and delays
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many drawn runs are measured
    #[arg(long, default_value_t = 20_000)]
    pub runs: u64,
}

/// The demo.
#[must_use]
pub fn run(options: &ClocksOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "Clocks: what the network does not know, no clock knows",
        "Lundelius and Lynch 1984",
        "If messages take between d and d + u, no way of synchronising n clocks gets them closer than \
         u (1 - 1/n) in every run, not even if the clocks run perfectly and nothing fails. And one \
         way gets them so close.",
    );
    two_runs(&mut page, recorder);
    bounds(&mut page, options);
    better_networks(&mut page, options);
    lamport(&mut page, options, recorder);
    page.end()
}

/// The bound of the theorem.
#[must_use]
pub fn bound(processes: usize, delays: Delays) -> f64 {
    delays.uncertainty * (1.0 - 1.0 / processes as f64)
}

/// The greatest skew in runs that are drawn.
pub fn measured(
    by: &impl Synchroniser,
    processes: usize,
    delays: Delays,
    runs: u64,
    rng: &mut Rng,
) -> f64 {
    let runs = (0..runs).map(|_| skew(&draw(processes, delays, rng).adjusted(by, delays)));
    runs.fold(0.0, f64::max)
}

fn two_runs(page: &mut Page, recorder: Option<&Recorder>) {
    page.head("Two runs that nobody can tell apart");
    let delays = Delays {
        least: 1.0,
        uncertainty: 4.0,
    };
    let shown = shift(&Average, 2, delays);
    if let Some(recorder) = recorder {
        shown::show(recorder, &shown, delays);
    }
    page.line("messages take 1 to 5 ms; two clocks; each sends when its own shows zero");
    for (number, world) in (1..).zip(&shown.worlds) {
        page.line(format_args!(
            "  run {number}: clocks begin at {:?} ms; 1 to 2 takes {} ms, 2 to 1 takes {} ms",
            world.offsets, world.takes[0][1], world.takes[1][0]
        ));
        for at in 0..2 {
            page.line(format_args!(
                "    clock {} shows {} ms when the message comes",
                at + 1,
                world.view(at)[1 - at]
            ));
        }
        let clocks = world.adjusted(&Average, delays);
        page.line(format_args!(
            "    adjusted, they show {clocks:?} at the same instant: {} ms apart",
            skew(&clocks)
        ));
    }
    page.verdict(
        shown.is_proof && shown.worst() >= bound(2, delays) - EPSILON,
        "each sees the same in both runs, sets its clock by the same, and in one of them they are \
         no closer than half of u.",
    );
}

fn bounds(page: &mut Page, options: &ClocksOptions) {
    page.head("n clocks, u = 1 ms");
    let delays = Delays {
        least: 1.0,
        uncertainty: 1.0,
    };
    page.line("the worst run of those that look alike, and the worst of the drawn runs:");
    page.line("   n   u (1 - 1/n)   average: worst   of the drawn   follow the first: worst   middle: worst");
    let mut rng = Rng::new(options.seed);
    let mut stands = true;
    for processes in [2, 3, 5, 10, 30] {
        let least = bound(processes, delays);
        let average = shift(&Average, processes, delays);
        let first = shift(&FollowFirst, processes, delays);
        let middle = shift(&Middle, processes, delays);
        let runs = options.runs / processes as u64;
        let drawn = measured(&Average, processes, delays, runs.max(1), &mut rng);
        page.line(format_args!(
            "{processes:>4}   {least:>11.4}   {:>14.4}   {drawn:>12.4}   {:>23.4}   {:>13.4}",
            average.worst(),
            first.worst(),
            middle.worst(),
        ));
        for shown in [&average, &first, &middle] {
            stands &= shown.is_proof && shown.worst() >= least - EPSILON;
        }
        stands &= (average.worst() - least).abs() < EPSILON && drawn <= least + EPSILON;
    }
    page.verdict(
        stands,
        "of n runs that look alike there is one for each way in which it is no closer than the bound, \
         and the average is never further apart. (The ways tried exchange one message each way; the \
         theorem covers all.)",
    );
}

fn better_networks(page: &mut Page, options: &ClocksOptions) {
    page.head("A better network, three clocks");
    page.line("           u     bound   worst run   worst of the drawn runs");
    let mut rng = Rng::new(options.seed);
    let mut stands = true;
    let mut previous: Option<f64> = None;
    for exponent in 0..6 {
        let uncertainty = 10.0 / 10_f64.powi(exponent);
        let delays = Delays {
            least: 0.1,
            uncertainty,
        };
        let least = bound(3, delays);
        let worst = shift(&Average, 3, delays).worst();
        let drawn = measured(&Average, 3, delays, options.runs / 4 + 1, &mut rng);
        page.line(format_args!(
            "  {uncertainty:>8.4} ms  {least:.6}    {worst:.6}   {drawn:>23.6}"
        ));
        stands &= (worst - least).abs() < EPSILON && drawn > 0.0 && drawn <= worst + EPSILON;
        // Each network is ten times better than the one before.
        stands &= previous.is_none_or(|it| (worst / it - 0.1).abs() < 1e-3);
        previous = Some(worst);
    }
    page.verdict(
        stands,
        "ten times better is ten times closer, and never together. A clock that is honest tells how \
         wrong it may be: that is TrueTime, and synod-truetime.",
    );
}

fn lamport(page: &mut Page, options: &ClocksOptions, recorder: Option<&Recorder>) {
    page.head("Without it: cause and effect");
    let delays = Delays {
        least: 0.05,
        uncertainty: 1.0,
    };
    let mut rng = Rng::new(options.seed);
    let mut all = Stamps::default();
    begin_run(
        recorder,
        "Messages, stamped by the best clocks and by Lamport's",
    );
    for number in 0..50 {
        let shown = recorder.filter(|_| number == 0);
        let stamps = stamp(5, delays, 200, &mut rng, shown);
        all.messages += stamps.messages;
        all.early_by_clocks += stamps.early_by_clocks;
        all.early_by_lamport += stamps.early_by_lamport;
    }
    page.line(format_args!(
        "{} messages between five processes whose clocks are as close as clocks can be:",
        all.messages
    ));
    page.line(format_args!(
        "  by these clocks {:>5} came before they were sent",
        all.early_by_clocks
    ));
    page.line(format_args!(
        "  by Lamport's    {:>5}",
        all.early_by_lamport
    ));
    page.verdict(
        all.early_by_clocks > 0 && all.early_by_lamport == 0,
        "Lamport's clock (1978) puts every effect behind its cause. It needs no bound on anything.",
    );
}
