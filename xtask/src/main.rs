//! The workspace's own chores: `cargo xtask help` lists them.

mod api;
mod arrows;
mod finding;
mod git;
mod links;
mod manifest;
mod mutants;
mod names;
mod quotes;
mod replay;
mod shrink;
mod sim;
mod text;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["shrink", rest @ ..] => shrink::run(rest),
        ["replay", rest @ ..] => replay::run(rest),
        ["sim", rest @ ..] => sim::run(rest),
        ["tidy"] => tidy::run(),
        ["api"] => api::run(api::Order::Compare),
        ["api", "--write"] => api::run(api::Order::Write),
        ["mutants", order @ ..] => mutants::run(order),
        ["museum", order @ ..] => mutants::museum(order),
        [] | ["help" | "-h" | "--help"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("no such chore: {}\n\n{HELP}", other.join(" "));
            ExitCode::from(2)
        }
    }
}

const HELP: &str = "\
The workspace's own chores.

Usage: cargo xtask <chore>

Chores:
  tidy    checks what compiler and clippy do not: the length of files and lines, banned words and names, stray
          characters and paths, what manifests must inherit, links and quotes in Markdown
          files, and the arrows between crates.
          Prints each finding as `path:line: rule: message`; exit status 1 when there are any.
  api     compares the public items of each published library with `public-api.txt` in its folder; exit status 1 where
          they differ. `--write` makes these files, to be committed with the change.
  sim     runs whole nodes under seeded faults: [--protocol raft] [--runs N] [--base B] [--budget 90s], or one seed
          with its trace: --seed S, or a script of faults: --script FILE.
  replay  runs a seed again and writes it as a page for a browser: [--protocol raft] [--shrink] SEED --html FILE.
  shrink  makes the failure of a seed small: faults off one by one, fewer and shorter; leaves a script that fails.
  mutants [NAME..] [--crate FOLDER] [--shard K/N] [--check | --markdown]
          plants each bug of {apps,crates,examples}/*/mutants/*.patch into a copy of the tree, runs the tests that are
          meant for it, and prints which were caught; exit status 1 unless all were. `--shard` takes one of N parts of
          them; `--check` only looks whether the patches apply and their headers are whole; `--markdown` also writes the
          tables into crates/raft/TESTING.md.
  museum  [NAME..] [--crate FOLDER] [--shard K/N]
          plants each of these bugs, lets the simulation, script, search or story that catches it leave a page, shrunk
          where that can be, and hangs them up in target/museum/index.html, with the checker's words and where the bug
          has been.
  help    prints this.";
