//! `walls fallacies`: eight things that everybody believes at first, each switched off.
//!
//! Seven are of Peter Deutsch and others at Sun (1994), the eighth of James Gosling (1997).

mod costs;
mod network;
mod people;

use synod_sim::page::Recorder;

use crate::report::{Page, Report};

/// The eight fallacies of distributed computing, each switched on in a simulated cluster
#[derive(Clone, Debug, clap::Args)]
pub struct FallaciesOptions {
    /// Draws delays, losses and failures
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What became of those who believed, and of those who did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What of the world was other than believed.
    pub switched_on: String,
    /// What a naive program did.
    pub naive: String,
    /// It broke.
    pub breaks: bool,
    /// What ours did.
    pub ours: String,
    /// It held.
    pub holds: bool,
    /// What cannot be switched on here, and is told only.
    pub told: Option<String>,
}

/// One of the eight.
#[derive(Clone, Copy, Debug)]
pub struct Fallacy {
    /// Its words.
    pub name: &'static str,
    show: fn(u64, Option<&Recorder>) -> Shown,
}

impl Fallacy {
    /// Switches it on, in a cluster of this seed.
    #[must_use]
    pub fn show(&self, seed: u64, recorder: Option<&Recorder>) -> Shown {
        (self.show)(seed, recorder)
    }
}

/// All eight, in the order in which they are told.
pub const ALL: [Fallacy; 8] = [
    fallacy("The network is reliable", network::reliable),
    fallacy("Latency is zero", network::zero_latency),
    fallacy("Bandwidth is infinite", network::infinite_bandwidth),
    fallacy("The network is secure", people::secure),
    fallacy("Topology does not change", network::fixed_topology),
    fallacy("There is one administrator", people::one_administrator),
    fallacy("Transport costs nothing", costs::free_transport),
    fallacy("The network is homogeneous", costs::homogeneous),
];

const fn fallacy(name: &'static str, show: fn(u64, Option<&Recorder>) -> Shown) -> Fallacy {
    Fallacy { name, show }
}

/// The demo.
#[must_use]
pub fn run(options: &FallaciesOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "The eight fallacies of distributed computing",
        "Deutsch and others at Sun, 1994; Gosling 1997",
        "\"Essentially everyone, when they first build a distributed application, makes the following \
         eight assumptions. All prove to be false in the long run and all cause big trouble and \
         painful learning experiences.\"",
    );
    for (number, fallacy) in (1..).zip(ALL) {
        let shown = fallacy.show(options.seed, recorder);
        page.head(&format!("{number}. {}", fallacy.name));
        page.paragraph(&format!("switched on: {}", shown.switched_on));
        page.paragraph(&format!("naive:       {}", shown.naive));
        page.paragraph(&format!("ours:        {}", shown.ours));
        if let Some(told) = &shown.told {
            page.paragraph(&format!("told only:   {told}"));
        }
        page.verdict(
            shown.breaks && shown.holds,
            "the naive one breaks, ours holds.",
        );
    }
    page.end()
}
