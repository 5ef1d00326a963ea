//! The `kv` program: see the library for what its parts do.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use synod_kv::{DemoOptions, DumpOptions, LoadOptions, ServeOptions};

/// A replicated key-value server that speaks RESP, the demo that kills it, and a load generator.
///
/// Without a command: the demo.
#[derive(Debug, Parser)]
#[command(name = "kv", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: DemoOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<ServeOptions>),
    Demo(Box<DemoOptions>),
    Load(Box<LoadOptions>),
    /// Look into a node's log
    #[command(subcommand)]
    Log(Log),
}

#[derive(Debug, Subcommand)]
enum Log {
    Dump(DumpOptions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kv: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<bool, Box<dyn Error>> {
    // One thread for everything: see `serve.rs`. The load generators are quickest in one thread
    // too, and leave the other cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(match cli.command {
        None => runtime.block_on(synod_kv::demo(&cli.demo))?,
        Some(Command::Demo(options)) => runtime.block_on(synod_kv::demo(&options))?,
        Some(Command::Load(options)) => runtime.block_on(synod_kv::load(&options))?,
        Some(Command::Serve(options)) => {
            runtime.block_on(synod_kv::serve(&options)).map(|()| true)?
        }
        Some(Command::Log(Log::Dump(options))) => synod_kv::dump(&options).map(|()| true)?,
    })
}
