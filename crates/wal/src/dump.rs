//! Reads a log for people: every record, with its contents.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::{Catalog, Found};
use crate::disk::Disk;
use crate::format::{self, Kind, Stored};
use crate::scan::{Cursor, Frame, Window};
use crate::{Corruption, GroupId, Lsn, OpenError, ReadError, Tag};

/// A record of a log, as read by [`dump`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpedRecord {
    /// The number in the name of the segment's file.
    pub segment: u64,
    /// The segment's position in the log; each use of a file has its own.
    pub generation: u64,
    /// The offset of the record in the file, in bytes.
    pub offset: u64,
    /// The length of the record with header and padding, in bytes.
    pub len: u64,
    /// The record's position in the log.
    pub lsn: Lsn,
    /// Up to where the log was durable when the record was written.
    pub durable: Lsn,
    /// The number of the batch that the record was written in.
    pub batch: u64,
    /// The contents of the record.
    pub content: DumpedContent,
}

/// The contents of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpedContent {
    /// Operations as they were appended.
    Ops {
        /// The group that they are on.
        group: GroupId,
        /// The operations, in order.
        ops: Vec<DumpedOp>,
    },
    /// Slots that were carried forward from an oldest segment; always `Put`s.
    Carried {
        /// The group of the slots.
        group: GroupId,
        /// The operations, in the order of the record they come from.
        ops: Vec<DumpedOp>,
    },
    /// The opening of a segment.
    Head {
        /// The oldest generation that was part of the log at that time.
        oldest: u64,
        /// The state and start of each group at that time.
        groups: Vec<(GroupId, Option<Tag>, (u64, Tag))>,
    },
    /// The first record of a process.
    Open,
}

/// An operation with an owned body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpedOp {
    /// See [`Op::State`](crate::Op::State).
    State(Tag),
    /// See [`Op::Truncate`](crate::Op::Truncate).
    Truncate {
        /// The first forgotten slot.
        from: u64,
    },
    /// See [`Op::Put`](crate::Op::Put).
    Put {
        /// The number of the slot.
        index: u64,
        /// The owner's tag.
        tag: Tag,
        /// The contents of the slot.
        body: Bytes,
    },
    /// See [`Op::Start`](crate::Op::Start).
    Start {
        /// The last forgotten slot.
        after: u64,
        /// The tag that was kept of it.
        tag: Tag,
    },
}

/// Reads all records of the log on `disk`, oldest first, without changing anything. A log may be
/// read while it is written; the stream then ends at some recent record. It ends with the log, or
/// after an error.
///
/// The end is not judged as in [`Wal::open`](crate::Wal::open): a bad record in the newest segment
/// ends the stream.
///
/// # Errors
/// Those of reading the openings of the segments.
pub fn dump<D: Disk>(
    disk: &D,
) -> Result<impl Iterator<Item = Result<DumpedRecord, ReadError>> + use<D>, OpenError> {
    let mut catalog = Catalog::read(disk)?;
    let segments = catalog.heads.split_off(&catalog.oldest);
    Ok(Dump::<D> {
        segments: segments.into_iter().collect(),
        open: None,
        cursor: None,
    })
}

struct Dump<D: Disk> {
    segments: VecDeque<(u64, Found<D::File>)>,
    open: Option<(u64, u64, Window<D::File>)>,
    cursor: Option<Cursor>,
}

impl<D: Disk> Dump<D> {
    fn read(&mut self) -> Result<Option<DumpedRecord>, ReadError> {
        loop {
            if let (Some((generation, segment, window)), Some(cursor)) =
                (&mut self.open, &mut self.cursor)
                && let Some((frame, next)) = window.next(*generation, cursor)?
            {
                *cursor = next;
                return decode(*segment, &frame, window.payload(&frame)?).map(Some);
            }
            let Some((generation, found)) = self.segments.pop_front() else {
                return Ok(None);
            };
            let Some(head) = &found.head else {
                return Ok(None);
            };
            let cursor = self
                .cursor
                .map_or_else(|| Cursor::before(&head.header), Cursor::into_next_segment);
            if cursor.lsn.next() != Some(head.header.lsn) {
                let (segment, offset) = self
                    .open
                    .as_ref()
                    .map_or((found.number, 0), |open| (open.1, cursor.at));
                return Err(Corruption {
                    segment,
                    offset,
                    lsn: cursor.lsn.next().unwrap_or(cursor.lsn),
                }
                .into());
            }
            self.cursor = Some(cursor);
            self.open = Some((
                generation,
                found.number,
                Window::new(Arc::clone(&found.file), found.len, Some(head.header.salt)),
            ));
        }
    }
}

impl<D: Disk> Iterator for Dump<D> {
    type Item = Result<DumpedRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read().transpose();
        if !matches!(record, Some(Ok(_))) {
            self.segments.clear();
            self.open = None;
        }
        record
    }
}

fn decode(segment: u64, frame: &Frame, payload: &[u8]) -> Result<DumpedRecord, ReadError> {
    let header = frame.header;
    let malformed = Corruption {
        segment,
        offset: frame.at,
        lsn: header.lsn,
    };
    let ops = || {
        format::decode_ops(payload)
            .map(|op| op.map(own))
            .collect::<Result<Vec<_>, _>>()
    };
    let group = header.group;
    let content = match header.kind {
        Kind::Ops => DumpedContent::Ops {
            group,
            ops: ops().map_err(|_| malformed)?,
        },
        Kind::Carry => DumpedContent::Carried {
            group,
            ops: ops().map_err(|_| malformed)?,
        },
        Kind::Open => DumpedContent::Open,
        Kind::Head => {
            let (oldest, groups) = format::decode_head(payload).map_err(|_| malformed)?;
            DumpedContent::Head {
                oldest,
                groups: groups
                    .map(|head| (head.group, head.state, head.start))
                    .collect(),
            }
        }
    };
    Ok(DumpedRecord {
        segment,
        generation: header.generation,
        offset: frame.at,
        len: frame.len,
        lsn: header.lsn,
        durable: header.durable,
        batch: header.batch,
        content,
    })
}

fn own(stored: Stored<'_>) -> DumpedOp {
    match stored {
        Stored::State(tag) => DumpedOp::State(tag),
        Stored::Truncate { from } => DumpedOp::Truncate { from },
        Stored::Put {
            index, tag, body, ..
        } => DumpedOp::Put {
            index,
            tag,
            body: Bytes::copy_from_slice(body),
        },
        Stored::Start { after, tag } => DumpedOp::Start { after, tag },
    }
}
