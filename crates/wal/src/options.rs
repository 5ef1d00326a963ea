//! The bounds of a log, and its counters.

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
    /// The length of a segment: a multiple of 4 KiB between 16 KiB and 1 GiB. It may differ from
    /// that of existing segments. If those are longer, their length is used instead: records and
    /// openings that fit them, and may have to be written again, might not fit shorter ones.
    pub segment_bytes: u64,
    /// The longest record that one append may write, not counting its header of 64 bytes. At most
    /// half a segment.
    pub record_bytes_max: usize,
    /// The most bytes that may wait for a sync.
    pub pending_bytes_max: usize,
    /// The space reserved, in a file of zeros, for a snapshot that does not fit on the disk: with
    /// it a log that has filled its disk can be cut. About the length of a snapshot; 0 for no
    /// reserve.
    pub reserve_bytes: u64,
    /// The secret of a new log; `None` draws one at random. It is in each record, so that a body
    /// made by a client cannot be mistaken for a record. An existing log keeps its own. Set this
    /// only where runs must be identical byte for byte: anyone who knows it can forge records.
    pub salt: Option<u64>,
    /// The mark that the log must have reached, as recorded in an earlier incarnation. Without it
    /// the loss of whole segments goes unnoticed.
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

    /// The greatest number of groups: the opening of a segment takes at most a quarter of it.
    pub(crate) fn groups_max(&self) -> usize {
        (self.segment_bytes as usize / 4 - HEADER_BYTES - head_len(0)) / (head_len(1) - head_len(0))
    }

    /// The bytes that a record must leave free at the end of the last segment, so that a full disk
    /// still accepts more important records.
    pub(crate) fn left_bytes(&self, need: Need) -> u64 {
        let unit = (self.segment_bytes / 16).next_multiple_of(BLOCK_BYTES);
        match need {
            Need::Body => 2 * unit,
            Need::Empty => unit,
            Need::State => 0,
        }
    }
}

/// How important a record is when space is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Records with a body, which can wait for space.
    Body,
    /// Slots without a body, such as a leader's first entry.
    Empty,
    /// States and starts: votes, and what cuts the log.
    State,
}

/// What a log has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Syncs of batches, not counting those of upkeep.
    pub syncs: u64,
    /// Records written, including the log's own.
    pub records: u64,
    /// Bytes written in batches, with headers and padding.
    pub bytes_written: u64,
    /// Segments that were filled with zeros.
    pub segments_filled: u64,
    /// Segments that were recycled.
    pub segments_recycled: u64,
    /// Slots carried forward from an oldest segment.
    pub slots_carried: u64,
    /// Attempts to carry slots forward or to fill a segment that failed without harm, because of a
    /// full disk or a bad old record.
    pub upkeep_failures: u64,
    /// Segments that are part of the log.
    pub segments: u64,
    /// Bytes that the live slots of all groups take.
    pub live_bytes: u64,
    /// Bytes that the segments of the log take on disk.
    pub segment_bytes: u64,
}
