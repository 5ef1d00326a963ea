//! What the nodes of a cluster hold in memory while one of them is gone, against what they are
//! configured to hold:
//!
//! ```text
//! cargo run --release -p synod-kv --example memory -- --seconds 60
//! ```
//!
//! Three nodes, each a process of this very program, are given a fixed set of keys; a follower is
//! killed and stays away; clients overwrite the keys. The table at the end has for each node that
//! is left its resident memory before, at its highest and after, the sum of its configured limits
//! (what `INFO memory` shows one by one, and the module `limits` of `synod_kv` explains), and what
//! is allowed: that sum and 64 MiB. The exit status is 0 only if no node grew by more.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use synod_kv::{MemoryOptions, ServeOptions};

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    memory: MemoryOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One of the nodes
    #[command(hide = true)]
    Serve(Box<ServeOptions>),
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(Command::Serve(options)) = cli.command {
        runtime.block_on(synod_kv::serve(&options))?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe()?;
    Ok(
        match runtime.block_on(synod_kv::memory(&cli.memory, program))? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
    )
}
