//! The `walls` program: each command is a theorem.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use synod_sim::page::Recorder;
use synod_walls::{Report, cap, clocks, comforts, fallacies, flp, generals, illusion, suspicion};

/// What no distributed system can do, run and seen.
///
/// Each command prints what a theorem says, what was run and what was seen. Its verdict is computed:
/// the exit status is 0 if it stands.
#[derive(Debug, Parser)]
#[command(name = "walls", version)]
struct Cli {
    /// Writes what happened as a page, too, which any browser shows: a space-time diagram that opens
    /// at the moment of the verdict
    #[arg(long, value_name = "FILE", global = true)]
    html: Option<PathBuf>,
    #[command(subcommand)]
    wall: Wall,
}

#[derive(Debug, Subcommand)]
enum Wall {
    Cap(cap::CapOptions),
    Clocks(clocks::ClocksOptions),
    Comforts(comforts::ComfortsOptions),
    Fallacies(fallacies::FallaciesOptions),
    Flp(flp::FlpOptions),
    Illusion(illusion::IllusionOptions),
    Generals(generals::GeneralsOptions),
    Suspicion(suspicion::SuspicionOptions),
}

fn main() -> ExitCode {
    let Cli { html, wall } = Cli::parse();
    let recorder = html.as_ref().map(|_| wall.recorder());
    let report = wall.run(recorder.as_ref());
    // Whoever does not read to the end still gets the verdict.
    let _ = io::stdout().write_all(report.text.as_bytes());
    if let (Some(recorder), Some(path)) = (recorder, html)
        && let Err(error) = recorder.write(&path)
    {
        eprintln!("walls: {}: {error}", path.display());
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(!report.stands))
}

impl Wall {
    fn run(&self, recorder: Option<&Recorder>) -> Report {
        match self {
            Self::Cap(options) => cap::run(options, recorder),
            Self::Clocks(options) => clocks::run(options, recorder),
            Self::Comforts(options) => comforts::run(options, recorder),
            Self::Fallacies(options) => fallacies::run(options, recorder),
            Self::Flp(options) => flp::run(options, recorder),
            Self::Illusion(options) => illusion::run(options, recorder),
            Self::Generals(options) => generals::run(options, recorder),
            Self::Suspicion(options) => suspicion::run(options, recorder),
        }
    }

    /// Of what is shown the end: a page that holds more is no longer looked at.
    fn recorder(&self) -> Recorder {
        let (title, seed) = match self {
            Self::Cap(it) => ("CAP: a register that is cut in two", it.seed),
            Self::Clocks(it) => ("Clocks: two runs that nobody can tell apart", it.seed),
            Self::Comforts(it) => ("Two of the three lost comforts", it.seed),
            Self::Fallacies(it) => ("The eight fallacies", it.seed),
            Self::Flp(it) => ("FLP: our Paxos, kept undecided", it.seed),
            Self::Illusion(it) => ("The illusion, around its longest pause", it.seed),
            Self::Generals(it) => ("The two generals", it.seed),
            Self::Suspicion(it) => ("Suspicion: dead and slow", it.seed),
        };
        // What a client saw before its longest pause was more of the same.
        let events_max = match self {
            Self::Illusion(_) => EVENTS_MAX / 3,
            _ => EVENTS_MAX,
        };
        let recorder = Recorder::new(title).events_max(events_max);
        recorder.about("seed", seed);
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        recorder.about("command", format!("walls {}", arguments.join(" ")));
        recorder
    }
}

const EVENTS_MAX: usize = 7_000;
