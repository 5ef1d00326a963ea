//! The `kv` program: see the library for what its parts do.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use synod_kv::{
    BackupOptions, CertsOptions, DemoOptions, DumpOptions, ExitStatus, ForgetOptions, LoadOptions,
    MemberCommand, RecoverOptions, RestoreOptions, ServeOptions, StatusOptions, TransferOptions,
};

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
    Certs(CertsOptions),
    #[command(subcommand)]
    Member(MemberCommand),
    Transfer(TransferOptions),
    Status(StatusOptions),
    Backup(BackupOptions),
    Restore(RestoreOptions),
    Recover(RecoverOptions),
    /// Look into a node's log
    #[command(subcommand)]
    Log(Log),
    /// What a node knows of itself and of its peers
    #[command(subcommand)]
    Identity(Identity),
}

#[derive(Debug, Subcommand)]
enum Log {
    Dump(DumpOptions),
}

#[derive(Debug, Subcommand)]
enum Identity {
    Forget(ForgetOptions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            // Where nobody listens, the exit status has to do.
            let _ = writeln!(io::stderr(), "kv: {error}");
            ExitCode::from(ExitStatus::Failed as u8)
        }
    }
}

fn run(cli: Cli) -> Result<ExitStatus, Box<dyn Error>> {
    // One thread for everything: see `serve.rs`. The load generators are quickest in one thread
    // too, and leave the other cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let verdict = |passed| match passed {
        true => ExitStatus::Stopped,
        false => ExitStatus::Failed,
    };
    Ok(match cli.command {
        None => verdict(runtime.block_on(synod_kv::demo(&cli.demo))?),
        Some(Command::Demo(options)) => verdict(runtime.block_on(synod_kv::demo(&options))?),
        Some(Command::Load(options)) => verdict(runtime.block_on(synod_kv::load(&options))?),
        Some(Command::Serve(options)) => {
            let served = runtime.block_on(synod_kv::serve(&options));
            // A disk that hangs must not keep a process that has ended: what a storage task still
            // does, nobody waits for.
            runtime.shutdown_background();
            // The error was told already, to the log.
            served.map_or_else(|error| error.status(), |()| ExitStatus::Stopped)
        }
        Some(Command::Certs(options)) => {
            #[expect(
                clippy::disallowed_methods,
                reason = "certificates are valid by the time of the day"
            )]
            let made = synod_kv::certs(&options, std::time::SystemTime::now())?;
            // They are there, whoever reads of it.
            let _ = writeln!(io::stdout(), "{made}");
            ExitStatus::Stopped
        }
        Some(Command::Member(command)) => runtime.block_on(synod_kv::member(&command))?,
        Some(Command::Transfer(options)) => runtime.block_on(synod_kv::transfer(&options))?,
        Some(Command::Status(options)) => runtime.block_on(synod_kv::status(&options))?,
        Some(Command::Backup(options)) => {
            runtime.block_on(synod_kv::backup(&options))?;
            ExitStatus::Stopped
        }
        Some(Command::Restore(options)) => {
            synod_kv::restore(&options).map(|()| ExitStatus::Stopped)?
        }
        Some(Command::Recover(options)) => synod_kv::recover(&options)?,
        Some(Command::Log(Log::Dump(options))) => {
            synod_kv::dump(&options).map(|()| ExitStatus::Stopped)?
        }
        Some(Command::Identity(Identity::Forget(options))) => {
            let forgotten = synod_kv::forget(&options)?;
            // It is done, whoever reads of it.
            let _ = writeln!(io::stdout(), "{forgotten}");
            ExitStatus::Stopped
        }
    })
}
