//! A sync as a value: what is to be written, which any thread can do, and what came of it.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::disk::{Disk, File};
use crate::index::Shared;
use crate::reserve::Reserve;
use crate::spares::Filling;

/// The writes and syncs of a log that are due, for any thread: [`run`](Self::run) blocks for as
/// long as the medium takes, and the log goes on meanwhile.
///
/// Comes from [`Wal::begin_sync`](crate::Wal::begin_sync), and what `run` returns goes back by
/// [`Wal::finish_sync`](crate::Wal::finish_sync). It holds the medium, and so the lock of a
/// [`Directory`](crate::Directory), until it is done: nobody opens the log anew while an earlier
/// life may still write to it.
#[must_use = "the log syncs nothing else before this is run and given back"]
pub struct SyncWork<D: Disk> {
    pub(crate) disk: D,
    pub(crate) life: Arc<Shared<D::File>>,
    pub(crate) job: Job<D::File>,
}

/// What came of a [`SyncWork`].
#[must_use = "the log learns of the sync by this alone"]
pub struct SyncDone<D: Disk> {
    pub(crate) life: Arc<Shared<D::File>>,
    pub(crate) ended: Ended<D::File>,
}

/// What is to be done.
pub(crate) enum Job<F> {
    /// Batches, oldest first, each when the one before it is durable.
    Write(Vec<Write<F>>),
    /// Zeros for a segment to come.
    Fill(Filling<F>),
    /// Zeros for the space that is kept back.
    Reserve(Reserve),
}

/// A batch on its way.
pub(crate) struct Write<F> {
    pub(crate) file: Arc<F>,
    pub(crate) base: u64,
    pub(crate) bytes: Arc<Vec<u8>>,
}

/// How it ended.
pub(crate) enum Ended<F> {
    /// How many batches are durable, and how many bytes they were; and what kept the others.
    Wrote(usize, u64, io::Result<()>),
    Filled(Filling<F>, io::Result<()>),
    Reserved(io::Result<()>),
}

impl<D: Disk> SyncWork<D> {
    /// Does the work, blocking.
    pub fn run(self) -> SyncDone<D> {
        let Self { disk, life, job } = self;
        let ended = match job {
            Job::Write(writes) => write(&writes),
            Job::Fill(mut filling) => {
                let filled = filling.run(&disk);
                Ended::Filled(filling, filled)
            }
            Job::Reserve(reserve) => Ended::Reserved(reserve.fill(&disk)),
        };
        SyncDone { life, ended }
    }
}

fn write<F: File>(writes: &[Write<F>]) -> Ended<F> {
    let (mut batches, mut written) = (0, 0);
    for Write { file, base, bytes } in writes {
        if let Err(error) = file.write_at(*base, bytes).and_then(|()| file.sync()) {
            return Ended::Wrote(batches, written, Err(error));
        }
        batches += 1;
        written += bytes.len() as u64;
    }
    Ended::Wrote(batches, written, Ok(()))
}

impl<D: Disk> fmt::Debug for SyncWork<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncWork").finish_non_exhaustive()
    }
}

impl<D: Disk> fmt::Debug for SyncDone<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncDone").finish_non_exhaustive()
    }
}
