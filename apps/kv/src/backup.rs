//! `kv backup`: what a cluster holds at one moment, into a file, while it runs.

mod format;
mod giving;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use redis_protocol::resp2::types::BytesFrame;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    client::{Client, ClientError},
    demo::report::grouped,
    output::print,
    reach::{Reach, ReachOptions},
};
pub(crate) use format::{Backup, Head};
pub(crate) use giving::Backups;

/// Write what a cluster holds into a file, while it runs
///
/// The file holds everything that was acknowledged before, as it was at one moment: keys, their times, and sessions.
/// `kv restore` begins a new cluster with it.
#[derive(Clone, Debug, clap::Args)]
pub struct BackupOptions {
    /// Where clients reach a node, any that takes part
    #[arg(value_name = "HOST:PORT")]
    pub node: String,
    /// The file, which must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the node is reached
    #[command(flatten)]
    pub reach: ReachOptions,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Why there is no backup. What was written of it was removed, as far as that was possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It is never written over another.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The node was not reached, or does not take the password.
    #[error("{node}: {error}")]
    Unreachable {
        /// Which.
        node: String,
        /// Why not.
        error: io::Error,
    },
    /// The node gives none.
    #[error("{node} gives no backup: {why}")]
    Refused {
        /// Which.
        node: String,
        /// Its answer.
        why: String,
    },
    /// The connection was lost, or the node took too long.
    #[error("{node}: {error}")]
    Lost {
        /// Which.
        node: String,
        /// Why.
        error: ClientError,
    },
    /// The file cannot be written, or is not what was sent.
    #[error("{}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was written, for a program.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    file: &'a Path,
    bytes: u64,
    keys: u64,
    cluster_id: String,
    node: u64,
    protocol: &'a str,
}

/// Writes a backup, and prints what it holds.
///
/// # Errors
/// [`BackupError`]
pub async fn backup(options: &BackupOptions) -> Result<(), BackupError> {
    let file = &options.file;
    if file.exists() {
        return Err(BackupError::Exists(file.clone()));
    }
    let reach = Reach::read(&options.reach)?;
    // Under another name until it is whole, durable, and found to be what was sent.
    let mut part = file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(options, &reach, &part).await;
    let (head, bytes) = match written {
        Ok(written) => written,
        Err(error) => {
            // The first error is the one to tell.
            let _left = fs::remove_file(&part);
            return Err(error);
        }
    };
    publish(&part, file).map_err(of(file))?;
    let summary = Summary {
        file,
        bytes,
        keys: head.keys,
        cluster_id: head.cluster.to_string(),
        node: head.node,
        protocol: &head.protocol,
    };
    match options.json {
        true => print(serde_json::to_string(&summary).map_err(io::Error::other)?)?,
        false => print(format!(
            "{}: {} keys of cluster {} ({}), by node {}; {} bytes, read back and found whole",
            file.display(),
            grouped(head.keys),
            head.cluster,
            head.protocol,
            head.node,
            grouped(bytes)
        ))?,
    }
    Ok(())
}

async fn write(
    options: &BackupOptions,
    reach: &Reach,
    part: &Path,
) -> Result<(Head, u64), BackupError> {
    let node = &options.node;
    let connected = timeout(TIMEOUT, reach.connect(node)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let mut client = connected.map_err(|error| BackupError::Unreachable {
        node: node.clone(),
        error,
    })?;
    let number = match ask(&mut client, node, &[b"BACKUP", b"BEGIN"]).await? {
        BytesFrame::Integer(number) => number.to_string(),
        other => return Err(refused(node, &other)),
    };
    let mut to = OpenOptions::new();
    // What clients wrote is for its owner's eyes.
    to.write(true).create(true).truncate(true).mode(0o600);
    let mut to = to.open(part).map_err(of(part))?;
    loop {
        let next = [&b"BACKUP"[..], b"NEXT", number.as_bytes()];
        match ask(&mut client, node, &next).await? {
            BytesFrame::BulkString(piece) if piece.is_empty() => break,
            BytesFrame::BulkString(piece) => to.write_all(&piece).map_err(of(part))?,
            other => return Err(refused(node, &other)),
        }
    }
    to.sync_all().map_err(of(part))?;
    let backup = read(part).map_err(of(part))?;
    let head = backup.head().clone();
    let bytes = backup.verify().map_err(of(part))?;
    Ok((head, bytes))
}

async fn ask(client: &mut Client, node: &str, args: &[&[u8]]) -> Result<BytesFrame, BackupError> {
    let answer = timeout(TIMEOUT, client.call(args)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
    answer.map_err(|error| BackupError::Lost {
        node: node.to_owned(),
        error,
    })
}

fn refused(node: &str, answer: &BytesFrame) -> BackupError {
    let why = match answer {
        BytesFrame::Error(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    BackupError::Refused {
        node: node.to_owned(),
        why,
    }
}

/// Opens a backup for reading.
pub(crate) fn read(file: &Path) -> io::Result<Backup<BufReader<File>>> {
    Backup::open(BufReader::with_capacity(READ_BYTES, File::open(file)?))
}

/// Gives a file its name, durably.
fn publish(part: &Path, file: &Path) -> io::Result<()> {
    // Does not take the place of a file that has come meanwhile.
    fs::hard_link(part, file)?;
    fs::remove_file(part)?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn of(file: &Path) -> impl Fn(io::Error) -> BackupError {
    move |error| BackupError::File {
        file: file.to_owned(),
        error,
    }
}

/// For the next piece. The node looks for a leader meanwhile.
const TIMEOUT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 256 * 1_024;
