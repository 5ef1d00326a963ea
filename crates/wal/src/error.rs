//! The errors of the log: a small enum for each operation.

use std::io;

use thiserror::Error;

use crate::{GroupId, Lsn};

/// A record that was durable once and is bad now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("segment {segment:08}.log is corrupt at offset {offset}: the record with lsn {lsn} is bad")]
pub struct Corruption {
    /// The number in the name of the segment's file.
    pub segment: u64,
    /// The offset of the bad record in the file, or of what an earlier recovery cut just before it.
    pub offset: u64,
    /// The sequence number of the bad record.
    pub lsn: Lsn,
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The medium failed.
    #[error("the medium failed")]
    Io(#[from] io::Error),
    /// A record is bad that others prove to have been durable. It is never cut, because it may
    /// contain a promise to a peer.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A segment of the log is missing.
    #[error("the segment of generation {generation} is missing")]
    Missing {
        /// The missing generation.
        generation: u64,
    },
    /// The log lacks what was durable when the mark [`Options::least`](crate::Options::least) was
    /// recorded. Its files are left as they are.
    #[error(
        "the log was durable up to lsn {least} and now ends at lsn {end}: files are missing, or their ends were erased"
    )]
    Lost {
        /// Where the log ends now; 0 if there is none.
        end: Lsn,
        /// Up to where it was durable.
        least: Lsn,
    },
    /// The disk holds another log than the one whose mark was recorded.
    #[error(
        "the disk holds another log than the one that was begun on it: it contains files of another directory"
    )]
    Another,
    /// A snapshot beside the log was written or received for another log, so this log does not
    /// continue from what it covers.
    #[error("snapshot {index} of group {group} belongs to another log than the one on the disk")]
    AnotherSnapshot {
        /// The group of the snapshot.
        group: GroupId,
        /// The index of the snapshot.
        index: u64,
    },
    /// A segment has a format that this version does not read.
    #[error(
        "segment {segment:08}.log has format version {version}, not 0: another version of the program wrote it"
    )]
    Version {
        /// The number in the name of the segment's file.
        segment: u64,
        /// The version in the file.
        version: u8,
    },
    /// `segment_bytes` is not a multiple of 4 KiB between 16 KiB and 1 GiB.
    #[error("a segment cannot have {bytes} bytes")]
    SegmentBytes {
        /// The requested length, in bytes.
        bytes: u64,
    },
    /// `record_bytes_max` is 0 or more than half a segment.
    #[error("a record cannot have up to {bytes} bytes in segments of this size")]
    RecordBytes {
        /// The requested length, in bytes.
        bytes: usize,
    },
}

/// Why an append was refused. Nothing of it is in the log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The disk has no space for another segment, or the process no file descriptor for it. Nothing
    /// is lost, and the call may succeed later. Slots without a body are accepted for longer, and
    /// operations without slots for longer still.
    #[error("the disk is full")]
    Full,
    /// More than `pending_bytes_max` is waiting for a sync.
    #[error("more than {bytes_max} bytes wait for a sync")]
    Pending {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The record is longer than `record_bytes_max`.
    #[error("a record of {bytes} bytes is above the bound of {bytes_max}")]
    TooLarge {
        /// The length at which the bound was exceeded, in bytes.
        bytes: usize,
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// Every segment opens with the state of every group, in at most a quarter of its length.
    #[error("a segment has no space for the states of more than {groups_max} groups")]
    TooManyGroups {
        /// The greatest number of groups.
        groups_max: usize,
    },
    /// The medium failed while space was allocated; the log is closed for good.
    #[error("the medium failed while space was allocated")]
    Io(#[source] io::Error),
    /// A write or a sync failed before, or the log has reached the greatest numbers, as only a
    /// forged one can: it accepts nothing more.
    #[error("the log is closed after a failed write or sync")]
    Latched,
}

/// Why a sync failed. What was appended since the last success may or may not be durable; this is
/// known only when the log is opened again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The write or its sync failed; the log is closed for good.
    #[error("a write or sync of the log failed")]
    Io(#[source] io::Error),
    /// A write or sync failed before.
    #[error("the log is closed after a failed write or sync")]
    Latched,
    /// A sync was begun and has not been finished. Nothing has changed.
    #[error("a sync of the log is in progress")]
    UnderWay,
    /// The finished sync was begun by another log, or by an earlier incarnation of this one.
    /// Nothing has changed.
    #[error("the sync was begun by another incarnation of the log")]
    OtherLife,
}

/// Why a read failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The range begins at or below the start: the log no longer holds it.
    #[error("the log starts after {start}")]
    Cut {
        /// The last slot that is not in the log.
        start: u64,
    },
    /// A slot that was good when it was written is bad now.
    #[error(
        "slot {index} of group {group} is corrupt: segment {segment:08}.log at offset {offset}"
    )]
    Slot {
        /// The group of the slot.
        group: GroupId,
        /// The number of the slot.
        index: u64,
        /// The number in the name of the segment's file.
        segment: u64,
        /// The offset of its body in the file.
        offset: u64,
    },
    /// A record is bad that others prove to have been durable.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The medium failed.
    #[error("the medium failed")]
    Io(#[from] io::Error),
}

/// Why an operation on a snapshot failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is no complete snapshot with this index, and no part of one.
    #[error("group {group} has no snapshot {index}")]
    NotFound {
        /// The group of the snapshot.
        group: GroupId,
        /// The index of the snapshot.
        index: u64,
    },
    /// The file does not match its checksum and hash, or is not the requested snapshot.
    #[error("snapshot {index} of group {group} is corrupt")]
    Corrupt {
        /// The group of the snapshot.
        group: GroupId,
        /// The index of the snapshot.
        index: u64,
    },
    /// The file is good, but belongs to another log.
    #[error("snapshot {index} of group {group} belongs to another log")]
    Another {
        /// The group of the snapshot.
        group: GroupId,
        /// The index of the snapshot.
        index: u64,
    },
    /// The file has a format that this version does not read.
    #[error(
        "snapshot {index} of group {group} has format version {version}, not 1: another version of the program wrote it"
    )]
    Version {
        /// The group of the snapshot.
        group: GroupId,
        /// The index of the snapshot.
        index: u64,
        /// The version in the file.
        version: u32,
    },
    /// The received file is a good file of the snapshot, but not the one whose length and hash came
    /// with its chunks.
    #[error("snapshot {index} of group {group} does not have the announced length and hash")]
    Seal {
        /// The group of the snapshot.
        group: GroupId,
        /// The index of the snapshot.
        index: u64,
    },
    /// A chunk does not follow the bytes received so far: chunks come in order, though they may be
    /// repeated.
    #[error("the part has {len} bytes: the chunk would leave a gap")]
    Gap {
        /// The number of bytes received so far.
        len: u64,
    },
    /// The owner's bytes in the header are longer than the format allows.
    #[error("{bytes} bytes of meta data are above the bound of {bytes_max}")]
    MetaTooLarge {
        /// Their length, in bytes.
        bytes: usize,
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The disk is full, or the process has no file descriptor left. Nothing is lost, and the call
    /// may succeed later.
    #[error("the disk is full")]
    Full,
    /// The medium, or the writer of the body, failed.
    #[error("the medium failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        if crate::disk::is_full(&error) {
            Self::Full
        } else {
            Self::Io(error)
        }
    }
}
