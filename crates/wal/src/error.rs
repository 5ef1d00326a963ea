//! One small enum for each operation.

use std::io;

use thiserror::Error;

use crate::{GroupId, Lsn};

/// A record that was durable once and is bad now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("segment {segment:08}.log is corrupt at offset {offset}: the record with lsn {lsn} is bad")]
pub struct Corruption {
    /// Number in the name of the segment's file.
    pub segment: u64,
    /// Where in the file the bad record begins, or what an earlier recovery has cut in front of it.
    pub offset: u64,
    /// Which record it is.
    pub lsn: Lsn,
}

/// Why a log does not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The medium failed.
    #[error("the medium failed")]
    Io(#[from] io::Error),
    /// A bad record that others prove to have been durable. It is never cut: it may be a promise to
    /// a peer.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A segment of the log is gone.
    #[error("the segment of generation {generation} is missing")]
    Missing {
        /// The generation that no file has.
        generation: u64,
    },
    /// The log lacks what was durable when [`Options::least`](crate::Options::least) was noted. What is
    /// there of it is left as it is.
    #[error(
        "the log was durable up to lsn {least} and ends at lsn {end} now: files are gone, or emptied at their ends"
    )]
    Lost {
        /// Up to where it reaches; 0 when there is none.
        end: Lsn,
        /// Up to where it was durable.
        least: Lsn,
    },
    /// The disk holds another log than the one that was noted.
    #[error(
        "the disk holds another log than the one that was begun on it: files of another directory lie in it"
    )]
    Another,
    /// A snapshot lies beside the log that was written or received beside another one: what it covers is
    /// not what this log goes on from.
    #[error("snapshot {index} of group {group} belongs to another log than the one on the disk")]
    AnotherSnapshot {
        /// Whose snapshot.
        group: GroupId,
        /// Which one.
        index: u64,
    },
    /// A segment in a format that this version does not read.
    #[error(
        "segment {segment:08}.log has format version {version}, not 0: another version of the program wrote it"
    )]
    Version {
        /// Number in the name of the segment's file.
        segment: u64,
        /// What it says.
        version: u8,
    },
    /// `segment_bytes` is not a multiple of 4 KiB from 16 KiB to 1 GiB.
    #[error("a segment cannot have {bytes} bytes")]
    SegmentBytes {
        /// What was asked for.
        bytes: u64,
    },
    /// `record_bytes_max` is 0 or above half a segment.
    #[error("a record cannot have up to {bytes} bytes in segments of this size")]
    RecordBytes {
        /// What was asked for.
        bytes: usize,
    },
}

/// Why an append was refused. Nothing of it is in the log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The disk has no space for another segment, or the process no descriptor for it. Nothing is
    /// lost, and it may succeed later. Slots without a body are taken for longer, and operations
    /// without slots for still longer.
    #[error("the disk is full")]
    Full,
    /// More waits for a sync than `pending_bytes_max`.
    #[error("more than {bytes_max} bytes wait for a sync")]
    Pending {
        /// The bound.
        bytes_max: usize,
    },
    /// The record is longer than `record_bytes_max`.
    #[error("a record of {bytes} bytes is above the bound of {bytes_max}")]
    TooLarge {
        /// Its length; the first length found to be too much.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// Every segment opens with the state of every group, in at most a quarter of it.
    #[error("a segment has no space for the states of more than {groups_max} groups")]
    TooManyGroups {
        /// The bound.
        groups_max: usize,
    },
    /// The medium failed while space was allocated; the log is latched shut.
    #[error("the medium failed while space was allocated")]
    Io(#[source] io::Error),
    /// A write or a sync failed before, or the log has come to the end of all numbers, as only a forged
    /// one can: it takes nothing more.
    #[error("the log is latched shut after a failed write or sync")]
    Latched,
}

/// Why a sync failed. What was appended since the last success may be durable or not; nobody knows
/// before the log is opened anew.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The write or its sync failed; the log is latched shut.
    #[error("a write or sync of the log failed")]
    Io(#[source] io::Error),
    /// It failed before.
    #[error("the log is latched shut after a failed write or sync")]
    Latched,
    /// A sync that was begun has not been given back. Nothing has happened.
    #[error("a sync of the log is under way")]
    UnderWay,
    /// What is given back was begun by another log, or by an earlier incarnation of this one. Nothing has
    /// happened.
    #[error("that sync was begun by another incarnation of the log")]
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
        /// Whose slot.
        group: GroupId,
        /// Which slot.
        index: u64,
        /// Number in the name of the segment's file.
        segment: u64,
        /// Where its body begins.
        offset: u64,
    },
    /// A bad record that others prove to have been durable.
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
    /// No complete snapshot with this index, or no part of it.
    #[error("group {group} has no snapshot {index}")]
    NotFound {
        /// Whose snapshot.
        group: GroupId,
        /// Which one.
        index: u64,
    },
    /// The file is not what its checksum and its hash say, or not the snapshot that was asked for.
    #[error("snapshot {index} of group {group} is corrupt")]
    Corrupt {
        /// Whose snapshot.
        group: GroupId,
        /// Which one.
        index: u64,
    },
    /// The file is good, and of another log.
    #[error("snapshot {index} of group {group} belongs to another log")]
    Another {
        /// Whose snapshot.
        group: GroupId,
        /// Which one.
        index: u64,
    },
    /// The file is in a format that this version does not read.
    #[error(
        "snapshot {index} of group {group} has format version {version}, not 1: another version of the program wrote it"
    )]
    Version {
        /// Whose snapshot.
        group: GroupId,
        /// Which one.
        index: u64,
        /// What it says.
        version: u32,
    },
    /// What was received is a good file of the snapshot, and not the one whose length and hash came with its
    /// pieces.
    #[error("snapshot {index} of group {group} has another hash than the one that was announced")]
    Seal {
        /// Whose snapshot.
        group: GroupId,
        /// Which one.
        index: u64,
    },
    /// A chunk that does not join what is there: chunks come in order, though they may be repeated.
    #[error("the part has {len} bytes: the chunk would leave a gap")]
    Gap {
        /// How many bytes are there.
        len: u64,
    },
    /// The owner's bytes in the header are longer than the format allows.
    #[error("{bytes} bytes of meta data are above the bound of {bytes_max}")]
    MetaTooLarge {
        /// Their length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The disk is full, or the process has no descriptor left. Nothing is lost, and it may succeed
    /// later.
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
