//! Segments in waiting: filled with zeros ahead of need, or left over from the front of the log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::catalog::{self, Found};
use crate::disk::{Disk, File};

/// The segments that are not part of the log.
///
/// A segment whose blocks were written before takes a write without any change of the file system's
/// own records, which is what makes its sync cheap. So a new one is filled with zeros first, and an
/// old one is never truncated.
#[derive(Debug)]
pub(crate) struct Spares<F> {
    ready: VecDeque<Spare<F>>,
    /// No longer part of the log in memory; on disk only when a durable opening says so.
    freed: Vec<(u64, Spare<F>)>,
    filling: Option<(Spare<F>, u64)>,
    segment_bytes: u64,
    number_max: u64,
    filled: u64,
}

#[derive(Debug)]
pub(crate) struct Spare<F> {
    pub(crate) number: u64,
    pub(crate) file: Arc<F>,
    /// It was part of the log before.
    pub(crate) used: bool,
}

impl<F: File> Spares<F> {
    /// Takes over the files that recovery found to be no part of the log.
    pub(crate) fn new<D: Disk<File = F>>(
        disk: &D,
        segment_bytes: u64,
        number_max: u64,
        unused: Vec<Found<F>>,
    ) -> io::Result<Self> {
        let ready = VecDeque::new();
        let mut spares = Self {
            ready,
            freed: Vec::new(),
            filling: None,
            segment_bytes,
            number_max,
            filled: 0,
        };
        for Found {
            number,
            file,
            len,
            head,
        } in unused
        {
            let spare = Spare {
                number,
                file,
                used: head.is_some(),
            };
            if len == segment_bytes && spares.ready.len() < READY_MAX {
                spares.ready.push_back(spare);
            } else if len < segment_bytes && spares.filling.is_none() {
                spares.filling = Some((spare, len));
            } else {
                disk.remove(&catalog::name(number))?;
            }
        }
        Ok(spares)
    }

    pub(crate) fn take(&mut self) -> Option<Spare<F>> {
        self.ready.pop_front()
    }

    pub(crate) fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many segments were filled with zeros.
    pub(crate) fn filled(&self) -> u64 {
        self.filled
    }

    /// Makes sure that a segment is ready, however long it takes.
    pub(crate) fn allocate<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        while self.ready.is_empty() {
            self.fill(disk, self.segment_bytes)?;
        }
        Ok(())
    }

    /// Fills some more of the next segment. On an error, also of a full disk, it can go on later.
    pub(crate) fn fill<D: Disk<File = F>>(&mut self, disk: &D, bytes: u64) -> io::Result<()> {
        let (spare, at) = match self.filling.take() {
            Some(filling) => filling,
            None => {
                let number = self.number_max + 1;
                if number > catalog::NUMBER_MAX {
                    // It would not be found again.
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                let file = Arc::new(disk.open(&catalog::name(number))?);
                self.number_max = number;
                // A segment is of use only if its name is durable before its first record is.
                disk.sync()?;
                (
                    Spare {
                        number,
                        file,
                        used: false,
                    },
                    0,
                )
            }
        };
        let (spare, at) = self.filling.insert((spare, at));
        let end = (*at + bytes).min(self.segment_bytes);
        let zeros = vec![0; FILL_BYTES.min(end - *at) as usize];
        let mut written = *at;
        while written < end {
            let count = FILL_BYTES.min(end - written);
            spare.file.write_at(written, &zeros[..count as usize])?;
            written += count;
        }
        spare.file.sync()?;
        *at = end;
        if *at == self.segment_bytes
            && let Some((spare, _)) = self.filling.take()
        {
            self.filled += 1;
            self.ready.push_back(spare);
        }
        Ok(())
    }

    /// Takes a segment from the front of the log.
    pub(crate) fn free(&mut self, generation: u64, number: u64, file: Arc<F>) {
        self.freed.push((
            generation,
            Spare {
                number,
                file,
                used: true,
            },
        ));
    }

    /// A durable opening says that the generations below `oldest` are no part of the log: they may
    /// be written over.
    pub(crate) fn release<D: Disk<File = F>>(&mut self, disk: &D, oldest: u64) -> io::Result<()> {
        let (released, freed) = self
            .freed
            .drain(..)
            .partition(|(generation, _)| *generation < oldest);
        let released: Vec<(u64, Spare<F>)> = released;
        self.freed = freed;
        for (_, spare) in released {
            if self.ready.len() < READY_MAX && spare.file.len()? == self.segment_bytes {
                self.ready.push_back(spare);
            } else {
                disk.remove(&catalog::name(spare.number))?;
            }
        }
        Ok(())
    }
}

/// How many segments wait at most; more of them go back to the file system.
const READY_MAX: usize = 4;

/// How much is filled at once, so that a batch does not wait long behind it.
pub(crate) const FILL_BYTES: u64 = 256 * 1024;
