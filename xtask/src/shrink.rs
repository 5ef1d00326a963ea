//! `cargo xtask shrink`: a failing seed, made small enough to read.

use std::process::ExitCode;

use crate::sim;

/// Shrinks the failure of a seed and leaves a script of faults that still fails.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let (&[seed], Some(_)) = (
        arguments,
        arguments.first().and_then(|text| sim::seed(text)),
    ) else {
        eprintln!("Usage: cargo xtask shrink SEED");
        return ExitCode::from(2);
    };
    let mut command = sim::test("raft", "shrinks");
    command.env("SIM_SEED", seed);
    sim::status(command)
}
