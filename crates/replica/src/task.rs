//! Storage work off the hot path, all of one shape: run it anywhere, hand the completion back.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use synod_transport::NodeId;
use synod_wal::{GroupId, Seal, Slot, Snapshot, SnapshotError};

use crate::applier::Frozen;
use crate::log::{LogError, LogReader, SnapshotStore};
use crate::protocol::Protocol;

/// Work that reads or writes storage and may take its time.
#[derive(Debug)]
pub enum Task<P: Protocol> {
    /// Read entries the core's cache no longer holds.
    Fetch(P::Fetch),
    /// Write a state as a snapshot.
    Save(Frozen),
    /// Remove the snapshots that are no longer read by anybody.
    Prune {
        /// Those below this index.
        keep_from: u64,
    },
    /// Read a chunk of a snapshot for a peer.
    ReadChunk {
        /// Who asked.
        to: NodeId,
        /// Which snapshot.
        snapshot: SnapshotName,
        /// From which byte of the file.
        at: u64,
        /// How many bytes at the most.
        bytes_max: usize,
    },
    /// Store a received chunk, and with the last one verify the whole.
    WriteChunk {
        /// Which snapshot.
        snapshot: Snapshot,
        /// What the whole is to be.
        seal: Seal,
        /// At which byte of the file.
        at: u64,
        /// The chunk.
        bytes: Bytes,
        /// Whether it is the last.
        last: bool,
    },
    /// Forget a received chunk or all of them.
    DiscardPart(Snapshot),
    /// Read a whole snapshot against its hash: somebody got it damaged.
    Verify(SnapshotName),
}

/// A snapshot as peers name it: the file's header says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotName {
    /// The last index it covers.
    pub index: u64,
    /// That index' tag.
    pub tag: synod_wal::Tag,
}

impl From<&Snapshot> for SnapshotName {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            index: snapshot.index,
            tag: snapshot.tag,
        }
    }
}

/// What became of [`Task::ReadChunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// It was read.
    Read {
        /// What the file says of itself as a whole.
        seal: Seal,
        /// The chunk.
        bytes: Bytes,
    },
    /// There is no such snapshot, or no such chunk of it.
    Gone,
    /// It cannot be read at present, for want of a descriptor: the snapshot is there.
    NotNow,
}

/// How a task ended.
#[derive(Debug)]
pub enum Completion<P: Protocol> {
    /// Of [`Task::Fetch`].
    Fetched(P::Fetch, Result<Vec<Slot>, LogError>),
    /// Of [`Task::Save`]: the snapshot, and its file's length.
    Saved(Result<(Snapshot, u64), SnapshotError>),
    /// Of [`Task::Prune`].
    Pruned,
    /// Of [`Task::ReadChunk`].
    ChunkRead {
        /// Who asked.
        to: NodeId,
        /// Which snapshot.
        snapshot: SnapshotName,
        /// From which byte.
        at: u64,
        /// What was found.
        chunk: Chunk,
    },
    /// Of [`Task::WriteChunk`]: the chunk is stored, up to this byte.
    ChunkWritten(Snapshot, Result<u64, SnapshotError>),
    /// Of the last [`Task::WriteChunk`]: the file is whole, verified and durable.
    Received(Snapshot, Result<(), SnapshotError>),
    /// Of [`Task::DiscardPart`].
    Discarded(Snapshot),
    /// Of [`Task::Verify`].
    Verified(Result<(), SnapshotError>),
}

impl<P: Protocol> Task<P> {
    /// Does the work, blocking.
    pub fn run(
        self,
        group: GroupId,
        log: &dyn LogReader,
        snapshots: &dyn SnapshotStore,
    ) -> Completion<P> {
        self.run_until(group, log, snapshots, &AtomicBool::new(false))
    }

    /// As [`run`](Self::run), but gives up a snapshot that is being written once `given_up` says so:
    /// with its next chunk it fails, and what was written of it is removed.
    pub fn run_until(
        self,
        group: GroupId,
        log: &dyn LogReader,
        snapshots: &dyn SnapshotStore,
        given_up: &AtomicBool,
    ) -> Completion<P> {
        match self {
            Self::Fetch(fetch) => {
                let (range, bytes_max) = P::range(&fetch);
                let slots = log.read(group, range, bytes_max);
                Completion::Fetched(fetch, slots)
            }
            Self::Save(frozen) => Completion::Saved(save(frozen, group, snapshots, given_up)),
            Self::Prune { keep_from } => {
                // What cannot be removed now is tried again with the next snapshot.
                let _left = snapshots.remove_before(group, keep_from);
                Completion::Pruned
            }
            Self::ReadChunk {
                to,
                snapshot,
                at,
                bytes_max,
            } => {
                let chunk = read_chunk(snapshot, at, bytes_max, group, snapshots);
                Completion::ChunkRead {
                    to,
                    snapshot,
                    at,
                    chunk,
                }
            }
            Self::WriteChunk {
                snapshot,
                seal,
                at,
                bytes,
                last,
            } => match snapshots.write_part(group, &snapshot, &seal, at, &bytes) {
                Err(error) => Completion::ChunkWritten(snapshot, Err(error)),
                Ok(()) if last => {
                    let finished = snapshots.finish_part(group, &snapshot, &seal);
                    Completion::Received(snapshot, finished)
                }
                Ok(()) => Completion::ChunkWritten(snapshot, Ok(at + bytes.len() as u64)),
            },
            Self::DiscardPart(snapshot) => {
                // What cannot be discarded is overwritten by the next pull, and removed with the
                // next snapshot.
                let _left = snapshots.discard_part(group, &snapshot);
                Completion::Discarded(snapshot)
            }
            Self::Verify(snapshot) => {
                Completion::Verified(match snapshots.open(group, snapshot.index) {
                    Ok(_) | Err(SnapshotError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error),
                })
            }
        }
    }
}

fn save(
    frozen: Frozen,
    group: GroupId,
    snapshots: &dyn SnapshotStore,
    given_up: &AtomicBool,
) -> Result<(Snapshot, u64), SnapshotError> {
    let snapshot = frozen.snapshot.clone();
    let mut frozen = Some(frozen);
    let bytes = snapshots.create(group, &snapshot, &mut |to| {
        let frozen = frozen.take().ok_or(io::ErrorKind::Other)?;
        let mut to = Until { to, given_up };
        frozen.write(&mut to)?;
        // A machine that has written its last chunk is given up too: what follows is a sync.
        to.check()
    })?;
    Ok((snapshot, bytes))
}

/// Writes for as long as somebody wants it.
struct Until<'a> {
    to: &'a mut dyn Write,
    given_up: &'a AtomicBool,
}

impl Until<'_> {
    fn check(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("the snapshot is not wanted any more"));
        }
        Ok(())
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        // A large chunk is written in small ones, so that a slow medium is not waited for.
        self.to.write(&bytes[..bytes.len().min(CHUNK_BYTES_MAX)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.to.flush()
    }
}

fn read_chunk(
    name: SnapshotName,
    at: u64,
    bytes_max: usize,
    group: GroupId,
    snapshots: &dyn SnapshotStore,
) -> Chunk {
    let index = name.index;
    let read = || -> Result<Option<(Seal, Bytes)>, SnapshotError> {
        let seal = snapshots.seal(group, index)?;
        let Some(left) = seal.len.checked_sub(at) else {
            return Ok(None);
        };
        let want = usize::try_from(left).map_or(bytes_max, |left| left.min(bytes_max));
        let mut chunk = BytesMut::zeroed(want);
        let mut filled = 0;
        while filled < want {
            match snapshots.read(group, index, at + filled as u64, &mut chunk[filled..])? {
                0 => return Ok(None),
                n => filled += n,
            }
        }
        Ok(Some((seal, chunk.freeze())))
    };
    match read() {
        Ok(Some((seal, bytes))) => Chunk::Read { seal, bytes },
        Err(SnapshotError::Full) => Chunk::NotNow,
        Ok(None) | Err(_) => Chunk::Gone,
    }
}

/// What is written of a snapshot between two looks at whether it is still wanted.
const CHUNK_BYTES_MAX: usize = 1 << 20;
