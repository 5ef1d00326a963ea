//! The `walls` program: each command is a theorem.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use synod_walls::{cap, clocks, comforts, fallacies, flp, generals, illusion, suspicion};

/// What no distributed system can do, run and seen.
///
/// Each command prints what a theorem says, what was run and what was seen. Its verdict is computed:
/// the exit status is 0 if it stands.
#[derive(Debug, Parser)]
#[command(name = "walls", version)]
struct Cli {
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
    let report = match Cli::parse().wall {
        Wall::Cap(options) => cap::run(&options),
        Wall::Clocks(options) => clocks::run(&options),
        Wall::Comforts(options) => comforts::run(&options),
        Wall::Fallacies(options) => fallacies::run(&options),
        Wall::Flp(options) => flp::run(&options),
        Wall::Illusion(options) => illusion::run(&options),
        Wall::Generals(options) => generals::run(&options),
        Wall::Suspicion(options) => suspicion::run(&options),
    };
    // Whoever does not read to the end still gets the verdict.
    let _ = io::stdout().write_all(report.text.as_bytes());
    ExitCode::from(u8::from(!report.stands))
}
