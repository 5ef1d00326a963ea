//! ClockBound's shared memory segment, version 2 of the layout.
//!
//! The daemon writes one segment, which any number of processes read. A generation number detects
//! torn reads: it is odd during an update, and different afterwards.
//!
//! # Read, not mapped
//!
//! The file is read by `pread` and not mapped into memory. A mapping would save the system calls, but
//! requires `unsafe`, is a data race by the language's rules (another process writes the memory that
//! is read), and may crash the process: a daemon that restarts truncates the file for a moment, and
//! accessing a truncated mapping raises `SIGBUS`. A source is polled once a second and not for each
//! transaction, so a few microseconds do not matter.
//!
//! Consistency only requires that the reads happen in order:
//!
//! ```text
//!  reader   head: generation g      whole segment     head: generation g       g even, three times
//!  ────────────────┼───────────────────┼─┼─┼───────────────┼─────────▶
//!  writer      between these two the daemon has not begun an update
//! ```
//!
//! A daemon that had written during the second read would have made the generation odd before, or
//! different behind. `pread` copies from the same pages that the daemon has mapped, so it returns
//! what a mapping would; the copies of different calls happen in the order of the calls, because a
//! call takes and releases references to the page, which are full barriers, and there is one more
//! fence here, for a kernel that should find a way without. Within one call any order will do. Only
//! a daemon that makes 32 767 updates, back to the same generation, between two of these reads is
//! not noticed.

use core::sync::atomic::{Ordering, fence};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::source::{Question, Sample, Source, SourceError, Unsynchronized};
use crate::{Clocks, Drift};

mod segment;

use segment::HEAD_BYTES;
pub use segment::{ClockStatus, SEGMENT_BYTES, Segment, SegmentError};

/// A source that reads ClockBound's segment.
///
/// The file is opened for each sample: a daemon may replace it. No state is kept, so any number of
/// threads may take samples concurrently.
///
/// The monotonic clock of the given [`Clocks`] must be the kernel's `CLOCK_MONOTONIC`, by which the
/// segment states its age.
///
/// It does not read the hypervisor's marker (`/dev/vmclock0`), from which a process can detect a
/// live migration slightly before the daemon does.
#[derive(Clone, Debug)]
pub struct ClockBound<C> {
    clocks: C,
    path: PathBuf,
    drift: Drift,
    free_running: bool,
}

impl<C: Clocks> ClockBound<C> {
    /// Where the daemon keeps its segment.
    pub const PATH: &str = "/var/run/clockbound/shm0";

    /// Reads [`PATH`](Self::PATH), assumes a drift of at least 50 ppm, and accepts a free-running
    /// clock until the segment becomes void.
    pub fn new(clocks: C) -> Self {
        Self {
            clocks,
            path: PathBuf::from(Self::PATH),
            drift: Drift::from_ppm(50),
            free_running: true,
        }
    }

    /// Sets the path.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = path.as_ref().to_path_buf();
        self
    }

    /// Sets the least drift of the bound, whatever the segment states: the daemon states 1 ppm
    /// unless configured otherwise.
    #[must_use]
    pub const fn with_drift_least(mut self, drift: Drift) -> Self {
        self.drift = drift;
        self
    }

    /// Treats a free-running clock as not synchronised.
    #[must_use]
    pub const fn without_free_running(mut self) -> Self {
        self.free_running = false;
        self
    }

    /// Reads the segment.
    ///
    /// # Errors
    /// [`ReadError`] if there is no file, or it holds no consistent segment.
    pub fn segment(&self) -> Result<Segment, ReadError> {
        let file = File::open(&self.path)?;
        read(|buffer| read_some(&file, buffer))
    }

    fn ask(&self) -> Result<(Segment, u64), ReadError> {
        let segment = self.segment()?;
        // Read after the segment, so that the age is not too small.
        Ok((segment, self.clocks.monotonic()))
    }
}

impl<C: Clocks> Source for ClockBound<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (question, answer) = Question::ask(&self.clocks, || self.ask());
        let (segment, monotonic_nanos) = answer?;
        if segment.status == ClockStatus::FreeRunning && !self.free_running {
            return Err(SourceError::NotSynchronized(Unsynchronized::FreeRunning));
        }
        segment.sample(&question, monotonic_nanos, self.drift)
    }
}

/// Why the segment cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file does not exist or is not readable.
    #[error("the segment cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is not a complete segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

impl From<ReadError> for SourceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Denied,
            ReadError::Io(_) => Self::Unavailable,
            ReadError::Segment(error) => error.into(),
        }
    }
}

/// Reads a segment with a function that copies the file's first bytes and returns their number.
fn read(mut copy: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Result<Segment, ReadError> {
    for _ in 0..ATTEMPTS_MAX {
        match attempt(&mut copy) {
            // An update takes less than a microsecond, unless the daemon was stopped in it.
            Err(ReadError::Segment(SegmentError::Updating)) => std::thread::yield_now(),
            done => return done,
        }
    }
    Err(SegmentError::Updating.into())
}

fn attempt(copy: &mut impl FnMut(&mut [u8]) -> io::Result<usize>) -> Result<Segment, ReadError> {
    let mut bytes = [0; SEGMENT_BYTES];
    let before: [u8; HEAD_BYTES] = head(copy)?;
    fence(Ordering::SeqCst);
    whole(copy, &mut bytes)?;
    fence(Ordering::SeqCst);
    let after: [u8; HEAD_BYTES] = head(copy)?;
    // Checks that it is a segment, and that the generation is that of a completed update.
    let segment = Segment::decode(&bytes)?;
    if before != after || bytes[..HEAD_BYTES] != before {
        return Err(SegmentError::Updating.into());
    }
    Ok(segment)
}

fn head(
    copy: &mut impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> Result<[u8; HEAD_BYTES], ReadError> {
    let mut head = [0; HEAD_BYTES];
    whole(copy, &mut head)?;
    Ok(head)
}

fn whole(
    copy: &mut impl FnMut(&mut [u8]) -> io::Result<usize>,
    buffer: &mut [u8],
) -> Result<(), ReadError> {
    let bytes = copy(buffer)?;
    if bytes < buffer.len() {
        return Err(SegmentError::Length { bytes }.into());
    }
    Ok(())
}

/// As many of the file's first bytes as there are.
fn read_some(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

const ATTEMPTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A segment in memory, a daemon that writes it word by word, and a machine that lets it do so
    /// in the middle of a reading. Each update has a number, which all its words tell.
    struct Memory {
        bytes: [u8; SEGMENT_BYTES],
        generation: u16,
        number: u8,
        stores: VecDeque<(usize, Vec<u8>)>,
    }

    impl Memory {
        fn new(generation: u16) -> Self {
            let mut bytes = [0; SEGMENT_BYTES];
            bytes[0..4].copy_from_slice(&0x414d_5a4e_u32.to_ne_bytes());
            bytes[4..8].copy_from_slice(&0x4342_0200_u32.to_ne_bytes());
            bytes[8..12].copy_from_slice(&80_u32.to_ne_bytes());
            bytes[12..14].copy_from_slice(&2_u16.to_ne_bytes());
            bytes[14..16].copy_from_slice(&generation.to_ne_bytes());
            bytes[68..72].copy_from_slice(&1_i32.to_ne_bytes());
            Self {
                bytes,
                generation,
                number: 0,
                stores: VecDeque::new(),
            }
        }

        /// The daemon stores one more word.
        fn step(&mut self) {
            if self.stores.is_empty() {
                self.begin_update();
            }
            let (at, word) = self.stores.pop_front().expect("an update has stores");
            self.bytes[at..at + word.len()].copy_from_slice(&word);
        }

        fn begin_update(&mut self) {
            self.number = self.number.wrapping_add(1);
            let odd = self.generation.wrapping_add(1);
            self.generation = match odd.wrapping_add(1) {
                0 => 2,
                even => even,
            };
            let word = u64::from(self.number).to_ne_bytes();
            self.stores.push_back((14, odd.to_ne_bytes().to_vec()));
            for at in (16..64).step_by(8) {
                self.stores.push_back((at, word.to_vec()));
            }
            self.stores
                .push_back((64, u32::from(self.number).to_ne_bytes().to_vec()));
            self.stores
                .push_back((14, self.generation.to_ne_bytes().to_vec()));
        }
    }

    proptest! {
        /// Whatever the daemon does between the words of a reading, and in whatever order those are
        /// copied: what is taken for a segment is one update, whole.
        #[test]
        fn a_torn_reading_is_never_a_segment(
            begin in prop_oneof![Just(2_u16), Just(0xfffe)],
            backwards: bool,
            pauses in prop::collection::vec(prop_oneof![9 => Just(0_u8), 1 => 1_u8..20], 1..200),
        ) {
            let mut memory = Memory::new(begin);
            let mut pauses = pauses.into_iter().cycle();
            let mut daemon_stops = 500_usize;
            let segment = read(|buffer| {
                let words = buffer.len() / 8;
                for i in 0..words {
                    let word = if backwards { words - 1 - i } else { i };
                    let place = 8 * word..8 * word + 8;
                    buffer[place.clone()].copy_from_slice(&memory.bytes[place]);
                    for _ in 0..pauses.next().unwrap_or(0) {
                        daemon_stops = daemon_stops.saturating_sub(1);
                        if daemon_stops > 0 || !memory.stores.is_empty() {
                            memory.step();
                        }
                    }
                }
                Ok(buffer.len())
            });
            // The daemon stops after a while, so there is a segment in the end.
            let segment = segment.unwrap();
            let number = segment.bound_nanos;
            prop_assert_eq!(segment.as_of_nanos, number * 1_000_000_001);
            prop_assert_eq!(segment.void_after_nanos, number * 1_000_000_001);
            prop_assert_eq!(segment.disruption_marker, number);
            prop_assert_eq!(u64::from(segment.drift_ppb), number);
        }
    }

    #[test]
    fn a_daemon_that_died_while_it_wrote_does_not_hang_the_reader() {
        let mut memory = Memory::new(2);
        memory.step();
        let mut copies = 0;
        let read = read(|buffer| {
            copies += 1;
            buffer.copy_from_slice(&memory.bytes[..buffer.len()]);
            Ok(buffer.len())
        });
        assert!(matches!(
            read,
            Err(ReadError::Segment(SegmentError::Updating))
        ));
        assert_eq!(copies, 3 * ATTEMPTS_MAX);
    }
}
