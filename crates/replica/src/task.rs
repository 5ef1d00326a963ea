//! Storage work off the loop: run a task on any thread, then hand its completion back.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use synod_transport::NodeId;
use synod_wal::{GroupId, Seal, Slot, Snapshot, SnapshotError};

use crate::applier::Frozen;
use crate::log::{LogError, LogReader, SnapshotStore};
use crate::protocol::Protocol;

/// Work that reads or writes storage and may take long.
#[derive(Debug)]
pub enum Task<P: Protocol> {
    /// Read entries that the core's cache no longer holds.
    Fetch(P::Fetch),
    /// Write a state as a snapshot.
    Save(Frozen),
    /// Remove the snapshots that nobody reads any more.
    Prune {
        /// Snapshots below this index are removed.
        keep_from: u64,
    },
    /// Read a chunk of a snapshot for a peer.
    ReadChunk {
        /// The peer that requested it.
        to: NodeId,
        /// The requested snapshot.
        snapshot: SnapshotName,
        /// The offset in the file, in bytes.
        at: u64,
        /// The most bytes to read.
        bytes_max: usize,
    },
    /// Store a received chunk and, after the last one, verify the whole file.
    WriteChunk {
        /// The snapshot being received.
        snapshot: Snapshot,
        /// The expected length and hash of the whole file.
        seal: Seal,
        /// The offset in the file, in bytes.
        at: u64,
        /// The bytes of the chunk.
        bytes: Bytes,
        /// Whether it is the last chunk.
        last: bool,
    },
    /// Discard the chunks received of a snapshot.
    DiscardPart(Snapshot),
    /// Check a whole snapshot against its hash: a peer received it damaged.
    Verify(SnapshotName),
}

/// A snapshot as peers name it; the file's header holds the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotName {
    /// The last index it covers.
    pub index: u64,
    /// The tag of that index.
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

/// The result of [`Task::ReadChunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// The chunk was read.
    Read {
        /// The length and hash of the whole file.
        seal: Seal,
        /// The bytes of the chunk.
        bytes: Bytes,
    },
    /// There is no such snapshot, or it has no such chunk.
    Gone,
    /// The snapshot is there but cannot be read at present, for want of a file descriptor.
    NotNow,
}

/// The result of a task.
#[derive(Debug)]
pub enum Completion<P: Protocol> {
    /// Of [`Task::Fetch`].
    Fetched(P::Fetch, Result<Vec<Slot>, LogError>),
    /// Of [`Task::Save`]: the snapshot and its file's length, in bytes.
    Saved(Result<(Snapshot, u64), SnapshotError>),
    /// Of [`Task::Prune`].
    Pruned,
    /// Of [`Task::ReadChunk`].
    ChunkRead {
        /// The peer that requested it.
        to: NodeId,
        /// The requested snapshot.
        snapshot: SnapshotName,
        /// The offset in the file, in bytes.
        at: u64,
        /// What was read.
        chunk: Chunk,
    },
    /// Of [`Task::WriteChunk`]: the file is stored up to this byte.
    ChunkWritten(Snapshot, Result<u64, SnapshotError>),
    /// Of the last [`Task::WriteChunk`]: the file is complete, verified and durable.
    Received(Snapshot, Result<(), SnapshotError>),
    /// Of [`Task::DiscardPart`].
    Discarded(Snapshot),
    /// Of [`Task::Verify`].
    Verified(Result<(), SnapshotError>),
}

impl<P: Protocol> Task<P> {
    /// Runs the task, blocking.
    pub fn run(
        self,
        group: GroupId,
        log: &dyn LogReader,
        snapshots: &dyn SnapshotStore,
    ) -> Completion<P> {
        self.run_until(group, log, snapshots, &AtomicBool::new(false))
    }

    /// Like [`run`](Self::run), but abandons a snapshot that is being written once `given_up` is
    /// set: its next write fails, and what was written is removed.
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
                // What cannot be removed now is removed with the next snapshot.
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
        // A machine that has written everything is abandoned too: a sync would follow.
        to.check()
    })?;
    Ok((snapshot, bytes))
}

/// Writes until the snapshot is abandoned.
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
        // Large writes are split, so that a slow medium is noticed in between.
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

/// How much of a snapshot is written between two checks whether it was abandoned.
const CHUNK_BYTES_MAX: usize = 1 << 20;
