//! A log file of one node: changes one after the other, each with its length and a checksum.
//!
//! It has neither segments nor snapshots, so it grows for ever; `synod-wal` is a log for real use.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use synod_raft::{Entries, Entry, Index, LogId, NodeId, Op, Record, Recovered, Term};

/// A change as it is stored.
#[derive(Serialize, Deserialize)]
enum Change {
    Vote(Term, Option<NodeId>),
    Truncate(Index),
    Append(Entry),
}

/// The file, and what it holds.
pub(crate) struct Log {
    file: File,
    vote: Option<(Term, Option<NodeId>)>,
    /// Entry i is in place i - 1.
    entries: Vec<Entry>,
}

impl Log {
    /// Opens the file, or makes an empty one. A change that was only written in part when the node crashed is cut
    /// off: nobody was told of it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut log = Self {
            file,
            vote: None,
            entries: Vec::new(),
        };
        let mut rest = &bytes[..];
        while let Some((change, after)) = decode(rest) {
            log.keep(change);
            rest = after;
        }
        log.file.set_len((bytes.len() - rest.len()) as u64)?;
        io::Seek::seek(&mut log.file, io::SeekFrom::End(0))?;
        // The name of a new file has to survive, too.
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(log)
    }

    /// What the core starts from.
    pub(crate) fn recovered(&self) -> Recovered<impl Iterator<Item = io::Result<Entry>>> {
        Recovered {
            vote: self.vote,
            start: LogId::ZERO,
            snapshot: None,
            entries: self.entries.clone().into_iter().map(Ok),
        }
    }

    /// Stores a record durably: one write, one sync.
    pub(crate) fn store(&mut self, record: &Record) -> io::Result<()> {
        let mut bytes = Vec::new();
        for op in record.ops() {
            let changes = match op {
                Op::Vote(term, vote) => vec![Change::Vote(term, vote)],
                Op::Truncate(index) => vec![Change::Truncate(index)],
                Op::Append(entries) => entries.iter().cloned().map(Change::Append).collect(),
                Op::Start(_) => return Err(io::Error::other("nobody here takes snapshots")),
            };
            for change in changes {
                encode(&change, &mut bytes)?;
                self.keep(change);
            }
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }

    fn keep(&mut self, change: Change) {
        match change {
            Change::Vote(term, vote) => self.vote = Some((term, vote)),
            Change::Truncate(index) => self.entries.truncate(place(index)),
            Change::Append(entry) => self.entries.push(entry),
        }
    }

    /// The entries of these indexes, which are stored.
    pub(crate) fn read(&self, from: Index, to: Index) -> Entries {
        self.entries[place(from)..=place(to)].to_vec().into()
    }
}

fn place(index: Index) -> usize {
    usize::try_from(index.0 - 1).unwrap_or(usize::MAX)
}

/// Length, checksum, change.
fn encode(change: &Change, into: &mut Vec<u8>) -> io::Result<()> {
    let body = postcard::to_allocvec(change).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    into.extend(length.to_le_bytes());
    into.extend(checksum(&body).to_le_bytes());
    into.extend(body);
    Ok(())
}

/// The first change, and what follows. None at the end, or where a change is not whole.
fn decode(bytes: &[u8]) -> Option<(Change, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (body, rest) = rest.split_at_checked(length)?;
    let is_whole = length > 0 && checksum(body) == u64::from_le_bytes(*sum);
    let change = is_whole.then(|| postcard::from_bytes(body).ok())?;
    Some((change?, rest))
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    let mix = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}
