//! ClockBound's shared memory segment, version 2 of the layout.
//!
//! The daemon writes one segment, any number of processes read it. A generation number keeps them
//! from taking half of an update for a segment: it is odd while the daemon writes, and another one
//! afterwards.
//!
//! # Read, not mapped
//!
//! The file is read by `pread` and not mapped into memory. A mapping would save the system calls, and
//! costs `unsafe`, a data race by the language's rules (somebody else writes the memory that is
//! read), and the process: a daemon that starts anew cuts the file to nothing for a moment, and
//! touching a mapping of nothing is a `SIGBUS`. A source is asked once a second and not on the way
//! of a transaction, so a few microseconds are no price.
//!
//! Consistency needs the reads to happen in order, no more:
//!
//! ```text
//!  reader   head: generation g      whole segment     head: generation g       g even, three times
//!  ────────────────┼───────────────────┼─┼─┼───────────────┼─────────▶
//!  writer      between these two the daemon has not begun an update
//! ```
//!
//! A daemon that had written during the second read would have made the generation odd before, or
//! different behind. `pread` copies from the same pages that the daemon has mapped, so it sees what
//! a mapping would; the copies of different calls happen in the order of the calls, because a call
//! takes and releases references to the page, which are full barriers, and there is one more fence
//! here, for a kernel that should find a way without. Within one call any order will do. Only a
//! daemon that makes 32 767 updates, back to the same generation, between two of these reads is not
//! noticed.

use core::sync::atomic::{Ordering, fence};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::source::{Question, Sample, Source, SourceError};
use crate::{Clocks, Drift};

mod segment;

use segment::HEAD_BYTES;
pub use segment::{ClockStatus, SEGMENT_BYTES, Segment, SegmentError};

/// Reads ClockBound's segment.
///
/// The file is opened for each sample: a daemon may replace it. Nothing is kept, so any number of
/// threads may ask at a time.
///
/// The monotonic clock of the given [`Clocks`] must be the kernel's `CLOCK_MONOTONIC`, by which the
/// segment tells its age.
///
/// What is not read: the marker of the hypervisor (`/dev/vmclock0`), by which a process may learn of
/// a live migration a moment before the daemon does.
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

    /// Reads at [`PATH`](Self::PATH), takes the drift for 50 ppm at least, and believes a clock that
    /// runs free until the daemon calls the segment void.
    pub fn new(clocks: C) -> Self {
        Self {
            clocks,
            path: PathBuf::from(Self::PATH),
            drift: Drift::from_ppm(50),
            free_running: true,
        }
    }

    /// Reads somewhere else.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = path.as_ref().to_path_buf();
        self
    }

    /// How fast the bound grows at least, whatever the segment says: the daemon says 1 ppm unless it
    /// was started with something better.
    #[must_use]
    pub const fn with_drift_least(mut self, drift: Drift) -> Self {
        self.drift = drift;
        self
    }

    /// Takes a clock that runs free for one that is not synchronised.
    #[must_use]
    pub const fn without_free_running(mut self) -> Self {
        self.free_running = false;
        self
    }

    /// What the segment says now.
    ///
    /// # Errors
    /// [`ReadError`] if there is no file, or no consistent segment in it.
    pub fn segment(&self) -> Result<Segment, ReadError> {
        let file = File::open(&self.path)?;
        read(|buffer| read_some(&file, buffer))
    }

    fn ask(&self) -> Result<(Segment, u64), ReadError> {
        let segment = self.segment()?;
        // Behind the reading, so that the age is not too small.
        Ok((segment, self.clocks.monotonic()))
    }
}

impl<C: Clocks> Source for ClockBound<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (question, answer) = Question::ask(&self.clocks, || self.ask());
        let (segment, monotonic_nanos) = answer?;
        if segment.status == ClockStatus::FreeRunning && !self.free_running {
            return Err(SourceError::NotSynchronized);
        }
        segment.sample(&question, monotonic_nanos, self.drift)
    }
}

/// Why there is no segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file, or it may not be read.
    #[error("the segment cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is no complete segment.
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

/// Reads a segment by a function that copies the file's first bytes and tells how many there were.
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
    // Checks what makes it a segment, and that the generation is that of a finished update.
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
