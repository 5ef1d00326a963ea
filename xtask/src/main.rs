//! The workspace's own chores: `cargo xtask tidy`.

mod arrows;
mod finding;
mod manifest;
mod names;
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
        ["tidy"] => tidy::run(),
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
          characters and paths, what manifests must inherit, and the arrows between crates.
          Prints each finding as `path:line: rule: message`; exit status 1 when there are any.
  help    prints this.";
