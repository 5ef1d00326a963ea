//! The segment, as bytes: version 2 of the layout that ClockBound documents.

use thiserror::Error;

use crate::Drift;
use crate::source::{Question, Sample, SourceError, Unsynchronized};

/// The bytes of a segment.
pub const SEGMENT_BYTES: usize = 80;

/// The state of the wall clock as published by ClockBound's daemon to all processes of a machine.
///
/// ```text
///   0  magic                   8 bytes, two numbers of 32 bits
///   8  size of the segment     u32
///  12  version of the layout   u16   0 while the daemon starts
///  14  generation              u16   odd while it is written, 0 while it was never written
///  16  as of                   i64 seconds, i64 nanoseconds of CLOCK_MONOTONIC_COARSE
///  32  void after              i64 seconds, i64 nanoseconds of CLOCK_MONOTONIC_COARSE
///  48  bound                   i64   nanoseconds
///  56  disruption marker       u64
///  64  greatest drift          u32   parts per thousand million
///  68  status                  i32
///  72  disruptions are seen    u8, and seven bytes of padding       all in the machine's own order
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The time for which the bound was computed, in nanoseconds of the monotonic clock.
    pub as_of_nanos: u64,
    /// The time from which on the segment is invalid, in nanoseconds of the monotonic clock.
    pub void_after_nanos: u64,
    /// The bound on the error of the wall clock at `as_of_nanos`.
    pub bound_nanos: u64,
    /// How fast that grows, in parts per thousand million.
    pub drift_ppb: u32,
    /// The daemon's view of the clock.
    pub status: ClockStatus,
    /// Changes when the hypervisor has migrated or paused the machine.
    pub disruption_marker: u64,
    /// Whether the daemon watches that marker.
    pub disruption_support: bool,
}

/// The state of the clock according to ClockBound's daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockStatus {
    /// Unknown: the daemon has just started, or has never had a source.
    Unknown,
    /// Synchronised to the daemon's source.
    Synchronized,
    /// It was synchronised and is free-running now; the bound grows and still holds.
    FreeRunning,
    /// The hypervisor has migrated or paused the machine: no bound holds.
    Disrupted,
}

/// Why a file is not a readable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The file is too short, or its header states a size that is.
    #[error("a segment has {SEGMENT_BYTES} bytes, not {bytes}")]
    Length {
        /// The length of the file, or the size in its header.
        bytes: usize,
    },
    /// The magic number is wrong.
    #[error("not a ClockBound segment")]
    Magic,
    /// An unknown version of the layout.
    #[error("version {found} of the layout is not known here")]
    Version {
        /// The version in the header.
        found: u16,
    },
    /// The daemon has made the file and has not written to it.
    #[error("the segment was never written")]
    Uninitialized,
    /// Every read found an update in progress, or the daemon died during one.
    #[error("the segment is being written")]
    Updating,
    /// A field has a value that the layout does not allow.
    #[error("the field {field} makes no sense")]
    Field {
        /// The name of the field.
        field: &'static str,
    },
}

impl From<SegmentError> for SourceError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Uninitialized => Self::NotSynchronized(Unsynchronized::Said),
            SegmentError::Updating => Self::TimedOut,
            SegmentError::Version { found } => Self::UnknownVersion {
                found: found.into(),
            },
            SegmentError::Length { .. } | SegmentError::Magic | SegmentError::Field { .. } => {
                Self::Malformed
            }
        }
    }
}

impl Segment {
    /// Decodes a segment that was read between two equal readings of `generation`.
    ///
    /// # Errors
    /// When the bytes are not a complete segment.
    pub fn decode(bytes: &[u8; SEGMENT_BYTES]) -> Result<Self, SegmentError> {
        check_head(bytes)?;
        let status = match i32::from_ne_bytes(field(bytes, 68)) {
            0 => ClockStatus::Unknown,
            1 => ClockStatus::Synchronized,
            2 => ClockStatus::FreeRunning,
            3 => ClockStatus::Disrupted,
            _ => return Err(SegmentError::Field { field: "status" }),
        };
        let drift_ppb = u32::from_ne_bytes(field(bytes, 64));
        if drift_ppb > DRIFT_PPB_MAX {
            return Err(SegmentError::Field { field: "drift" });
        }
        let bound_nanos = u64::try_from(i64::from_ne_bytes(field(bytes, 48)))
            .map_err(|_| SegmentError::Field { field: "bound" })?;
        Ok(Self {
            as_of_nanos: time(bytes, 16).ok_or(SegmentError::Field { field: "as of" })?,
            void_after_nanos: time(bytes, 32).ok_or(SegmentError::Field {
                field: "void after",
            })?,
            bound_nanos,
            drift_ppb,
            status,
            disruption_marker: u64::from_ne_bytes(field(bytes, 56)),
            disruption_support: bytes[72] != 0,
        })
    }

    /// The sample from this segment, read during that question, with `monotonic_nanos` read from
    /// the monotonic clock afterwards.
    ///
    /// The daemon reads a coarse clock, which is never ahead of the one read here, so the age is
    /// not underestimated. The monotonic clock is slewed; the age is therefore increased by an
    /// eighth, which is more than any daemon slews.
    ///
    /// # Errors
    /// - [`SourceError::NotSynchronized`] if the status is unknown, the segment is void, or its bound is zero: that
    ///   is what the daemon makes of a `chronyd` that follows nothing but its own clock.
    /// - [`SourceError::Disrupted`] if the daemon says so, or if the segment is of the future: it was
    ///   written before this machine was started.
    pub fn sample(
        &self,
        question: &Question,
        monotonic_nanos: u64,
        drift: Drift,
    ) -> Result<Sample, SourceError> {
        match self.status {
            ClockStatus::Unknown => {
                return Err(SourceError::NotSynchronized(Unsynchronized::Said));
            }
            ClockStatus::Disrupted => return Err(SourceError::Disrupted),
            ClockStatus::Synchronized | ClockStatus::FreeRunning => {}
        }
        let age_nanos = monotonic_nanos
            .checked_sub(self.as_of_nanos)
            .ok_or(SourceError::Disrupted)?;
        if monotonic_nanos >= self.void_after_nanos {
            return Err(SourceError::NotSynchronized(Unsynchronized::Old));
        }
        if self.bound_nanos == 0 {
            return Err(SourceError::NotSynchronized(Unsynchronized::Unmeasured));
        }
        let drift = drift.max(Drift::from_ppb(self.drift_ppb));
        let age_nanos = age_nanos.saturating_add(age_nanos / 8 + 1);
        let bound_nanos = self.bound_nanos.saturating_add(drift.growth(age_nanos));
        let mut sample = question.sample(bound_nanos);
        sample.drift_ppb = self.drift_ppb;
        sample.valid_for =
            core::time::Duration::from_nanos(self.void_after_nanos - monotonic_nanos);
        Ok(sample)
    }
}

/// Checks the header of a segment and returns its generation.
pub(super) fn generation(head: &[u8; HEAD_BYTES]) -> Result<u16, SegmentError> {
    match u16::from_ne_bytes([head[14], head[15]]) {
        0 => Err(SegmentError::Uninitialized),
        odd if odd % 2 == 1 => Err(SegmentError::Updating),
        generation => Ok(generation),
    }
}

fn check_head(bytes: &[u8; SEGMENT_BYTES]) -> Result<(), SegmentError> {
    let magic: [[u8; 4]; 2] = [field(bytes, 0), field(bytes, 4)];
    if magic.map(u32::from_ne_bytes) != MAGIC {
        return Err(SegmentError::Magic);
    }
    match u16::from_ne_bytes(field(bytes, 12)) {
        VERSION => {}
        0 => return Err(SegmentError::Uninitialized),
        found => return Err(SegmentError::Version { found }),
    }
    let said = u32::from_ne_bytes(field(bytes, 8)) as usize;
    if said < SEGMENT_BYTES {
        return Err(SegmentError::Length { bytes: said });
    }
    let head = field(bytes, 0);
    generation(&head).map(|_| ())
}

/// The bytes from `at` on; `at` is one of the layout's offsets.
fn field<const N: usize>(bytes: &[u8; SEGMENT_BYTES], at: usize) -> [u8; N] {
    core::array::from_fn(|i| bytes[at + i])
}

/// Nanoseconds of the monotonic clock; `None` if they are none.
fn time(bytes: &[u8; SEGMENT_BYTES], at: usize) -> Option<u64> {
    let seconds = u64::try_from(i64::from_ne_bytes(field(bytes, at))).ok()?;
    let nanos = u64::try_from(i64::from_ne_bytes(field(bytes, at + 8))).ok()?;
    if nanos >= NANOS_PER_SECOND {
        return None;
    }
    seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)
}

pub(super) const HEAD_BYTES: usize = 16;
const MAGIC: [u32; 2] = [0x414d_5a4e, 0x4342_0200];
const VERSION: u16 = 2;
/// A tenth; no clock drifts more.
const DRIFT_PPB_MAX: u32 = 100_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
