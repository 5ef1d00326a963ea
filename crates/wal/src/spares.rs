//! Spare segments: filled with zeros ahead of need, or released from the front of the log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::catalog::{self, Found};
use crate::disk::{Disk, File, is_full, read_full};

/// The segments that are not part of the log.
///
/// Writing to blocks that were written before changes no metadata of the file system, which makes
/// the sync cheap. So a new segment is filled with zeros first, and an old one is never truncated.
#[derive(Debug)]
pub(crate) struct Spares<F> {
    ready: VecDeque<Spare<F>>,
    /// No longer part of the log in memory; on disk only once a durable opening says so.
    freed: Vec<(u64, Spare<F>)>,
    /// Segments being filled. More than one only if a segment was needed at once while another
    /// thread filled one.
    half: Vec<(Spare<F>, u64)>,
    segment_bytes: u64,
    number_max: u64,
    filled: u64,
}

#[derive(Debug)]
pub(crate) struct Spare<F> {
    pub(crate) number: u64,
    pub(crate) file: Arc<F>,
    /// Whether it was part of the log before.
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
            half: Vec::new(),
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
            } else if len < segment_bytes && spares.half.is_empty() && is_zero(&*spare.file, len)? {
                spares.half.push((spare, len));
            } else {
                disk.remove(&catalog::name(number))?;
            }
        }
        Ok(spares)
    }

    pub(crate) fn take(&mut self) -> Option<Spare<F>> {
        self.ready.pop_front()
    }

    /// How many segments are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether segments wait for an opening that releases them.
    pub(crate) fn any_freed(&self) -> bool {
        !self.freed.is_empty()
    }

    /// How many segments were filled with zeros.
    pub(crate) fn filled(&self) -> u64 {
        self.filled
    }

    /// Makes sure that `count` segments are ready, however long it takes.
    pub(crate) fn allocate<D: Disk<File = F>>(&mut self, disk: &D, count: usize) -> io::Result<()> {
        while self.ready.len() < count {
            let mut filling = self.begin(self.segment_bytes)?;
            let filled = filling.run(disk);
            self.end(filling);
            filled?;
        }
        Ok(())
    }

    /// Begins to fill the next part of a segment, on any thread; the result goes back to
    /// [`end`](Self::end).
    pub(crate) fn begin(&mut self, bytes: u64) -> io::Result<Filling<F>> {
        let (number, spare, at) = match self.half.pop() {
            Some((spare, at)) => (spare.number, Some(spare), at),
            None if self.number_max >= catalog::NUMBER_MAX => {
                // A file with a greater number would not be found again.
                return Err(io::ErrorKind::InvalidInput.into());
            }
            None => {
                self.number_max += 1;
                (self.number_max, None, 0)
            }
        };
        Ok(Filling {
            number,
            spare,
            at,
            end: (at + bytes).min(self.segment_bytes),
        })
    }

    /// Takes a filling back. After an error it can continue later, unless the disk was full: then
    /// nothing is left of it.
    pub(crate) fn end(&mut self, filling: Filling<F>) {
        match filling.spare {
            Some(spare) if filling.at == self.segment_bytes => {
                self.filled += 1;
                self.ready.push_back(spare);
            }
            Some(spare) => self.half.push((spare, filling.at)),
            None if filling.number == self.number_max => self.number_max -= 1,
            None => {}
        }
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

    /// A durable opening states that the generations below `oldest` are no longer part of the log:
    /// they may be overwritten.
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

/// A part of a segment to fill with zeros.
#[derive(Debug)]
pub(crate) struct Filling<F> {
    number: u64,
    /// `None` before the file is created.
    spare: Option<Spare<F>>,
    at: u64,
    end: u64,
}

impl<F: File> Filling<F> {
    /// Fills and syncs. On a full disk the begun segment is removed: it is useless, and other
    /// writes may need the space to free more, such as a snapshot at which the log can be cut.
    pub(crate) fn run<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        let filled = self.fill(disk);
        if let Err(error) = &filled
            && is_full(error)
            && self.spare.take().is_some()
        {
            // The first error is the one to report. A file that stays is opened again by its
            // number.
            let _ = disk.remove(&catalog::name(self.number));
        }
        filled
    }

    fn fill<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        let spare = match &mut self.spare {
            Some(spare) => spare,
            empty => {
                let spare = empty.insert(Spare {
                    number: self.number,
                    file: Arc::new(disk.open(&catalog::name(self.number))?),
                    used: false,
                });
                // A segment is usable only if its name is durable before its first record is.
                disk.sync()?;
                spare
            }
        };
        let zeros = vec![0; FILL_BYTES.min(self.end - self.at) as usize];
        let mut written = self.at;
        while written < self.end {
            let count = FILL_BYTES.min(self.end - written);
            spare.file.write_at(written, &zeros[..count as usize])?;
            written += count;
        }
        spare.file.sync()?;
        self.at = self.end;
        Ok(())
    }
}

/// Whether a file contains only zeros. Anything else must not be filled further: filling could
/// complete a record that the end of the file cuts in its padding or in a body of zeros, and the
/// next `open` would then find it in a log that was opened without it.
fn is_zero(file: &impl File, len: u64) -> io::Result<bool> {
    let mut buffer = vec![0; FILL_BYTES.min(len) as usize];
    let mut at = 0;
    while at < len {
        let count = read_full(file, at, &mut buffer)?;
        if count == 0 || buffer[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// The greatest number of segments that wait; further ones are removed.
const READY_MAX: usize = 4;

/// How much is filled at once, so that a batch does not wait long after it.
pub(crate) const FILL_BYTES: u64 = 256 * 1024;
