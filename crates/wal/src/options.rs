//! The bounds of a log, and what it has done.

use crate::catalog::SEGMENT_BYTES_MAX;
use crate::format::{BLOCK_BYTES, HEADER_BYTES, head_len};
use crate::{Mark, OpenError};

/// The bounds of a log.
///
/// ```
/// let mut options = synod_wal::Options::default();
/// options.segment_bytes = 1 << 20;
/// options.record_bytes_max = 1 << 18;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Length of a segment: a multiple of 4 KiB from 16 KiB to 1 GiB. It may differ from that of
    /// segments that exist. A log whose segments are longer goes on with their length: records and
    /// openings that fit them, and have to be written anew, might not fit shorter ones.
    pub segment_bytes: u64,
    /// The longest record: what one append may write, beside a header of 64 bytes. At most half a
    /// segment.
    pub record_bytes_max: usize,
    /// How much may wait for a sync.
    pub pending_bytes_max: usize,
    /// How much space is kept back, in a file of zeros, for a snapshot that does not fit the disk: by
    /// it a log that has filled its disk can be cut. About the length of a snapshot. 0 keeps none.
    pub reserve_bytes: u64,
    /// The secret of a log that is begun; nothing draws one at random. It stands in each record, so
    /// that no body that a client made up can be taken for a record. A log that exists keeps its
    /// own. To be given only where runs must repeat each other byte for byte: who knows it can forge.
    pub salt: Option<u64>,
    /// What the log must hold at least, as noted in an earlier incarnation. Without one nothing can be known to
    /// be missing when whole segments are.
    pub least: Option<Mark>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            record_bytes_max: 4 << 20,
            pending_bytes_max: 64 << 20,
            reserve_bytes: 16 << 20,
            salt: None,
            least: None,
        }
    }
}

impl Options {
    pub(crate) fn validate(&self) -> Result<(), OpenError> {
        let bytes = self.segment_bytes;
        if !(4 * BLOCK_BYTES..=SEGMENT_BYTES_MAX).contains(&bytes)
            || !bytes.is_multiple_of(BLOCK_BYTES)
        {
            return Err(OpenError::SegmentBytes { bytes });
        }
        let max = self.record_bytes_max;
        if max == 0 || max as u64 > bytes / 2 - HEADER_BYTES as u64 {
            return Err(OpenError::RecordBytes { bytes: max });
        }
        Ok(())
    }

    /// How many groups there may be: the opening of a segment takes at most a quarter of it.
    pub(crate) fn groups_max(&self) -> usize {
        (self.segment_bytes as usize / 4 - HEADER_BYTES - head_len(0)) / (head_len(1) - head_len(0))
    }

    /// What a record leaves over at the end of the last segment, so that a full disk still takes what
    /// matters more.
    pub(crate) fn left_bytes(&self, need: Need) -> u64 {
        let unit = (self.segment_bytes / 16).next_multiple_of(BLOCK_BYTES);
        match need {
            Need::Body => 2 * unit,
            Need::Empty => unit,
            Need::State => 0,
        }
    }
}

/// How much a record is needed, when space is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// What has a body can wait for space.
    Body,
    /// Slots without a body: the entry by which a leader begins.
    Empty,
    /// States and starts: votes, and what cuts the log.
    State,
}

/// What a log has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Syncs of batches: the ones that somebody waited for.
    pub syncs: u64,
    /// Records written, the log's own among them.
    pub records: u64,
    /// Bytes written in batches, with headers and padding.
    pub bytes_written: u64,
    /// Segments that were filled with zeros.
    pub segments_filled: u64,
    /// Segments that were written over.
    pub segments_recycled: u64,
    /// Slots carried forward from an oldest segment.
    pub slots_carried: u64,
    /// Attempts to carry slots forward or to fill a segment that failed without harm: a full disk,
    /// a bad old record.
    pub upkeep_failures: u64,
    /// Segments that are part of the log.
    pub segments: u64,
    /// Bytes that the live slots of all groups take.
    pub live_bytes: u64,
    /// Bytes that the segments of the log take on disk.
    pub segment_bytes: u64,
}
