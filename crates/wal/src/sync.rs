//! A sync as a value: work that any thread can do, and its result.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::SyncError;
use crate::disk::{Disk, File, is_full};
use crate::index::{Batch, Shared};
use crate::reserve::Reserve;
use crate::spares::Filling;
use crate::writer::Writer;

/// The pending writes and syncs of a log, for any thread: [`run`](Self::run) blocks for as long as
/// the medium takes, while the log remains usable.
///
/// Returned by [`Wal::begin_sync`](crate::Wal::begin_sync); pass the result of `run` to
/// [`Wal::finish_sync`](crate::Wal::finish_sync). It holds the medium, and with it the lock of a
/// [`Directory`](crate::Directory), until it is done: the log cannot be opened again while an
/// earlier incarnation may still write to it.
#[must_use = "the log syncs nothing else until this was run and finished"]
pub struct SyncWork<D: Disk> {
    pub(crate) disk: D,
    pub(crate) incarnation: Arc<Shared<D::File>>,
    pub(crate) job: Job<D::File>,
}

/// The result of a [`SyncWork`].
#[must_use = "only `finish_sync` tells the log of the sync"]
pub struct SyncDone<D: Disk> {
    pub(crate) incarnation: Arc<Shared<D::File>>,
    pub(crate) ended: Ended<D::File>,
}

/// The kind of work.
pub(crate) enum Job<F> {
    /// Batches, oldest first, each written when the one before it is durable.
    Write(Vec<Write<F>>),
    /// Zeros for a future segment.
    Fill(Filling<F>),
    /// Zeros for the reserve.
    Reserve(Reserve),
}

/// A batch to be written.
pub(crate) struct Write<F> {
    pub(crate) file: Arc<F>,
    pub(crate) base: u64,
    pub(crate) bytes: Arc<Vec<u8>>,
}

/// The result of the work.
pub(crate) enum Ended<F> {
    /// How many batches are durable, how many bytes they are, and the error that stopped the rest.
    Wrote(usize, u64, io::Result<()>),
    Filled(Filling<F>, io::Result<()>),
    Reserved(io::Result<()>),
}

impl<D: Disk> SyncWork<D> {
    /// Does the work, blocking.
    pub fn run(self) -> SyncDone<D> {
        let Self {
            disk,
            incarnation,
            job,
        } = self;
        let ended = match job {
            Job::Write(writes) => write(&writes),
            Job::Fill(mut filling) => {
                let filled = filling.run(&disk);
                Ended::Filled(filling, filled)
            }
            Job::Reserve(reserve) => Ended::Reserved(reserve.fill(&disk)),
        };
        SyncDone { incarnation, ended }
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

impl<D: Disk> Writer<D> {
    /// Writes the pending batches, each when the one before it is durable, and does the upkeep that
    /// is then due.
    pub(crate) fn sync(&mut self) -> Result<(), SyncError> {
        if self.latched {
            return Err(SyncError::Latched);
        }
        if self.under_way.is_some() {
            return Err(SyncError::UnderWay);
        }
        let Some(work) = self.begin_write() else {
            return Ok(());
        };
        let done = work.run();
        self.finish_sync(done)?;
        while let Some(work) = self.begin_upkeep() {
            let done = work.run();
            self.finish_sync(done)?;
        }
        Ok(())
    }

    /// Begins the next work, for any thread.
    pub(crate) fn begin_sync(&mut self) -> Result<Option<SyncWork<D>>, SyncError> {
        if self.latched {
            return Err(SyncError::Latched);
        }
        if self.under_way.is_some() {
            return Ok(None);
        }
        Ok(match self.begin_upkeep() {
            Some(work) => Some(work),
            None => self.begin_write(),
        })
    }

    /// Takes the result back.
    pub(crate) fn finish_sync(&mut self, done: SyncDone<D>) -> Result<(), SyncError> {
        if !Arc::ptr_eq(&done.incarnation, &self.shared) {
            return Err(SyncError::OtherLife);
        }
        let bytes = self.under_way.take().unwrap_or(0);
        match done.ended {
            Ended::Wrote(batches, written, result) => {
                (0..batches).for_each(|_| self.settle());
                if let Err(error) = result {
                    self.latched = true;
                    return Err(SyncError::Io(error));
                }
                self.pending_bytes -= bytes;
                self.stats.bytes_written += written;
                self.upkeep(written);
            }
            Ended::Filled(filling, result) => {
                self.spares.end(filling);
                self.is_full |= std::mem::take(&mut self.is_room_wanted) && result.is_err();
                self.upkept(result);
            }
            Ended::Reserved(result) => self.upkept(result),
        }
        Ok(())
    }

    /// The pending batches, as work.
    fn begin_write(&mut self) -> Option<SyncWork<D>> {
        self.close();
        let writes = self.writes();
        if writes.is_empty() {
            return None;
        }
        self.under_way = Some(self.pending_bytes);
        Some(self.work(Job::Write(writes)))
    }

    /// The upkeep that is due, as work.
    pub(crate) fn begin_upkeep(&mut self) -> Option<SyncWork<D>> {
        if self.latched {
            return None;
        }
        let bytes = std::mem::take(&mut self.fill_due);
        let job = if bytes > 0 && !self.can_rotate() {
            match self.spares.begin(bytes) {
                Ok(filling) => Job::Fill(filling),
                Err(error) => {
                    self.upkept(Err(error));
                    return None;
                }
            }
        } else if std::mem::take(&mut self.reserve_due) && self.reserve.is_wanted() {
            Job::Reserve(self.reserve.clone())
        } else {
            return None;
        };
        self.under_way = Some(0);
        Some(self.work(job))
    }

    fn work(&self, job: Job<D::File>) -> SyncWork<D> {
        SyncWork {
            disk: self.disk.clone(),
            incarnation: Arc::clone(&self.shared),
            job,
        }
    }

    /// Upkeep that fails on a full disk does no harm.
    fn upkept(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.stats.upkeep_failures += 1;
            self.latched |= !is_full(&error);
        }
    }

    /// All pending batches; none of them is open.
    fn writes(&self) -> Vec<Write<D::File>> {
        let index = self.shared.lock();
        let write = |batch: &Batch| {
            let segment = index.segments.get(&batch.generation)?;
            Some(Write {
                file: Arc::clone(&segment.file),
                base: batch.base,
                bytes: Arc::clone(&batch.bytes),
            })
        };
        index.pending.iter().map_while(write).collect()
    }

    /// The first pending batch is durable.
    fn settle(&mut self) {
        let Some(batch) = self.shared.lock().pending.pop_front() else {
            return;
        };
        debug_assert_eq!(
            batch.durable, self.durable,
            "a batch is written when all before it is durable"
        );
        (self.durable, self.durable_generation) = (batch.end, batch.generation);
        self.stats.syncs += 1;
        if let Some(oldest) = batch.oldest {
            if self.spares.release(&self.disk, oldest).is_err() {
                self.stats.upkeep_failures += 1;
            }
            self.reserve_due = true;
        }
    }
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
