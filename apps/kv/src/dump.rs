//! `kv log dump`: what a node's log holds, for a person to read. Changes nothing, also while the
//! node runs.

use std::{
    fmt,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use synod_replica::{SessionCommand, TimedCommand, body, timed::Stamp};
use synod_wal::{
    Directory, DirectoryError, DumpedContent, DumpedOp, DumpedRecord, OpenError, ReadError, Tag,
};

use crate::{
    command::{Blob, Command, Expiry, Unless, When},
    entry::command_of,
    request::{MAXKEYS, MAXMEMORY},
};

/// Print what a node's log holds, oldest first
///
/// A record is what was appended at once. Its first line says where it stands: the position in the
/// log, the batch that one sync made durable, the segment file with the offset and the length in
/// it. Tags are shown as their owner, the consensus protocol, writes them: numbers from the left,
/// zeros at the end left out.
#[derive(Clone, Debug, clap::Args)]
pub struct DumpOptions {
    /// The node's data directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Why a log could not be shown to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// There is no such directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It holds no log.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record is bad, and what comes behind it is not shown.
    #[error("the log ends here: {0}")]
    Read(#[from] ReadError),
    /// Standard output is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Prints a log to standard output.
///
/// # Errors
/// [`DumpError`]. That nobody reads on is none.
pub fn dump(options: &DumpOptions) -> Result<(), DumpError> {
    match print(options, &mut BufWriter::new(io::stdout().lock())) {
        Err(DumpError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn print(options: &DumpOptions, to: &mut dyn Write) -> Result<(), DumpError> {
    let disk = Directory::read_only(&options.directory)?;
    writeln!(
        to,
        "{:>10} {:>8} {:>8} {:>10} {:>9}",
        "position", "batch", "segment", "offset", "bytes"
    )?;
    for record in synod_wal::dump(&disk)? {
        match record {
            Ok(record) => print_record(&record, to)?,
            Err(error) => {
                to.flush()?;
                return Err(error.into());
            }
        }
    }
    Ok(to.flush()?)
}

fn print_record(record: &DumpedRecord, to: &mut dyn Write) -> io::Result<()> {
    let DumpedRecord {
        lsn,
        batch,
        segment,
        offset,
        len,
        content,
        ..
    } = record;
    // The position formats itself without a width.
    write!(
        to,
        "{:>10} {batch:>8} {segment:>8} {offset:>10} {len:>9}  ",
        lsn.0
    )?;
    match content {
        DumpedContent::Ops { group, ops } => {
            writeln!(to, "group {group}")?;
            ops.iter().try_for_each(|op| print_op(op, to))
        }
        DumpedContent::Carried { group, ops } => {
            writeln!(to, "group {group}, carried forward from an older segment")?;
            ops.iter().try_for_each(|op| print_op(op, to))
        }
        DumpedContent::Head { oldest, groups } => {
            writeln!(
                to,
                "segment begins, the oldest that counts is generation {oldest}"
            )?;
            for (group, state, (after, tag)) in groups {
                let state = state.unwrap_or_default();
                writeln!(
                    to,
                    "{:INDENT$}group {group}: state {}, starts after {after} {}",
                    "",
                    Words(&state),
                    Words(tag)
                )?;
            }
            Ok(())
        }
        DumpedContent::Open => writeln!(to, "a process begins to write"),
        other => writeln!(to, "{other:?}"),
    }
}

fn print_op(op: &DumpedOp, to: &mut dyn Write) -> io::Result<()> {
    write!(to, "{:INDENT$}", "")?;
    match op {
        DumpedOp::State(tag) => writeln!(to, "state {}", Words(tag)),
        DumpedOp::Truncate { from } => writeln!(to, "truncate from {from}"),
        DumpedOp::Start { after, tag } => writeln!(to, "start after {after} {}", Words(tag)),
        DumpedOp::Put { index, tag, body } => {
            write!(to, "put {index} {} ", Words(tag))?;
            let commands: Option<Vec<_>> = body::commands(body).map(Brief::decode).collect();
            match commands {
                Some(commands) if !commands.is_empty() => {
                    let mut gap = "";
                    for command in commands {
                        write!(to, "{gap}{command}")?;
                        gap = ", ";
                    }
                    writeln!(to)
                }
                _ => writeln!(to, "{}", bytes(body)),
            }
        }
        other => writeln!(to, "{other:?}"),
    }
}

/// A tag as little-endian numbers.
struct Words<'a>(&'a Tag);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, _) = self.0.0.as_chunks::<8>();
        let used = words
            .iter()
            .rposition(|word| *word != [0; 8])
            .map_or(1, |last| last + 1);
        let words: Vec<_> = words[..used]
            .iter()
            .map(|word| u64::from_le_bytes(*word).to_string())
            .collect();
        write!(f, "[{}]", words.join(" "))
    }
}

/// An entry's command as a client would write it, with long values cut.
struct Brief<'a> {
    stamp: Option<Stamp>,
    session: Option<SessionCommand<'a>>,
    command: Option<Command<'a>>,
}

impl<'a> Brief<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (stamp, session) = match TimedCommand::decode(bytes)? {
            TimedCommand::Plain(session) => (None, session),
            TimedCommand::Stamped(stamp, session) => (Some(stamp), session),
            TimedCommand::Tick(stamp) => {
                return Some(Self {
                    stamp: Some(stamp),
                    session: None,
                    command: None,
                });
            }
        };
        let session = SessionCommand::decode(session)?;
        let command = command_of(session);
        let holds_one = matches!(
            session,
            SessionCommand::Unnamed(_) | SessionCommand::Named(..)
        );
        (command.is_some() || !holds_one).then_some(Self {
            stamp,
            session: Some(session),
            command,
        })
    }
}

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stamp) = &self.stamp {
            write!(f, "({:?} since anchor {}) ", stamp.elapsed, stamp.anchor)?;
        }
        match &self.session {
            None => f.write_str("tick"),
            Some(SessionCommand::Unnamed(_)) => Ok(()),
            Some(SessionCommand::Named(name, _)) => {
                write!(f, "SESSION {} {} ", name.session, name.sequence.0)
            }
            Some(SessionCommand::Open) => f.write_str("SESSION NEW"),
            Some(SessionCommand::Close(session)) => write!(f, "SESSION CLOSE {session}"),
            Some(SessionCommand::Limit(limits)) => write!(f, "SESSION LIMIT {limits:?}"),
        }?;
        self.command
            .as_ref()
            .map_or(Ok(()), |command| write!(f, "{}", Client(command)))
    }
}

/// A command as a client would write it, with long values cut.
struct Client<'a>(&'a Command<'a>);

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |blobs: &mut dyn Iterator<Item = &Blob<'_>>| {
            blobs
                .map(|blob| bytes(blob.0))
                .collect::<Vec<_>>()
                .join(" ")
        };
        match self.0 {
            Command::Set {
                key,
                value,
                when,
                previous,
            } => {
                write!(f, "SET {} {}", bytes(key.0), bytes(value.0))?;
                f.write_str(options(*when, *previous))
            }
            Command::Delete { keys } => write!(f, "DEL {}", all(&mut keys.iter())),
            Command::Add { key, by } => write!(f, "INCRBY {} {by}", bytes(key.0)),
            Command::Append { key, value } => {
                write!(f, "APPEND {} {}", bytes(key.0), bytes(value.0))
            }
            Command::SetMany { pairs } => {
                write!(
                    f,
                    "MSET {}",
                    all(&mut pairs.iter().flat_map(|(key, value)| [key, value]))
                )
            }
            Command::Clear => f.write_str("FLUSHALL"),
            Command::Serves { node, at } => write!(f, "node {node} serves at {}", bytes(at.0)),
            Command::Limit {
                keys_max,
                bytes_max,
            } => {
                f.write_str("CONFIG SET")?;
                for (name, limit) in [(MAXKEYS, keys_max), (MAXMEMORY, bytes_max)] {
                    limit.map_or(Ok(()), |limit| write!(f, " {name} {limit}"))?;
                }
                Ok(())
            }
            Command::CompareAndSwap { key, expected, new } => {
                write!(
                    f,
                    "CAS {} {} {}",
                    bytes(key.0),
                    bytes(expected.0),
                    bytes(new.0)
                )
            }
            ending => write_ending(ending, f),
        }
    }
}

/// Commands that are there because keys end.
fn write_ending(command: &Command<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match command {
        Command::SetExpiring {
            key,
            value,
            when,
            previous,
            expiry,
        } => {
            write!(f, "SET {} {}", bytes(key.0), bytes(value.0))?;
            f.write_str(options(*when, *previous))?;
            match expiry {
                Expiry::Within { millis } => write!(f, " PX {millis}"),
                Expiry::Keep => f.write_str(" KEEPTTL"),
            }
        }
        Command::Expire {
            key,
            millis,
            unless,
        } => {
            write!(f, "PEXPIRE {} {millis}", bytes(key.0))?;
            f.write_str(match unless {
                Unless::Never => "",
                Unless::Lasting => " XX",
                Unless::Ending => " NX",
                Unless::Sooner => " GT",
                Unless::Later => " LT",
                Unless::LaterOrLasting => " XX LT",
            })
        }
        Command::Persist { key } => write!(f, "PERSIST {}", bytes(key.0)),
        Command::DeleteIf { key, value, is } => {
            let condition = if *is { "IFEQ" } else { "IFNE" };
            write!(f, "DELEX {} {condition} {}", bytes(key.0), bytes(value.0))
        }
        other => write!(f, "{other:?}"),
    }
}

fn options(when: When, previous: bool) -> &'static str {
    match (when, previous) {
        (When::Always, false) => "",
        (When::Always, true) => " GET",
        (When::Absent, false) => " NX",
        (When::Absent, true) => " NX GET",
        (When::Present, false) => " XX",
        (When::Present, true) => " XX GET",
    }
}

fn bytes(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES_MAX) {
        Some(head) if bytes.len() > SHOWN_BYTES_MAX => {
            format!("{}..({} bytes)", head.escape_ascii(), bytes.len())
        }
        _ if bytes.is_empty() => "\"\"".into(),
        _ => bytes.escape_ascii().to_string(),
    }
}

const INDENT: usize = 51;
const SHOWN_BYTES_MAX: usize = 32;
