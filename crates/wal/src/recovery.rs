//! Finds the end of the log, and distinguishes a torn batch from a corrupt record.
//!
//! Every record states up to where the log was durable when its batch was written. So the records
//! after a bad one are evidence: if any of them was written when the bad one was already durable,
//! the bad one is corrupt and the log does not open. Otherwise the bad one belongs to the final
//! batch, for which no sync has returned, and is cut.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::catalog::{Catalog, Found};
use crate::disk::{Disk, File};
use crate::format::{self, BLOCK_BYTES, Header, Kind};
use crate::index::{Index, Segment};
use crate::scan::{Cursor, Frame, Window};
use crate::{Corruption, Lsn, Mark, OpenError};

/// The log as found on disk.
#[derive(Debug)]
pub(crate) struct Recovery<F> {
    pub(crate) index: Index<F>,
    /// The position after the last record; `None` for an empty log.
    pub(crate) tail: Option<Tail>,
    /// Files that are not part of the log.
    pub(crate) unused: Vec<Found<F>>,
    pub(crate) number_max: u64,
    /// The length of the longest segment of the log, in whole blocks.
    pub(crate) segment_bytes: u64,
    /// The salt of the log; `None` if there is no log yet.
    pub(crate) salt: Option<u64>,
}

/// The end of the log, in its newest segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) generation: u64,
    pub(crate) cursor: Cursor,
    /// The length of the segment.
    pub(crate) len: u64,
}

/// Reads the whole log.
///
/// On return all of it is durable: a process that was killed between a write and its sync leaves
/// records that can be read but that a power loss would still lose, so the final batch is written
/// and synced again.
pub(crate) fn recover<D: Disk>(
    disk: &D,
    least: Option<Mark>,
) -> Result<Recovery<D::File>, OpenError> {
    disk.sync()?;
    let mut catalog = Catalog::read(disk)?;
    catalog.complete()?;
    let (mut index, mut tail) = (Index::default(), None);
    let salt = catalog.salt();
    let used = catalog.heads.split_off(&catalog.oldest);
    let longest = used.values().map(|found| found.len).max();
    for (generation, found) in used {
        tail = Some(replay(&mut index, generation, found, tail)?);
    }
    let (end, newest) = tail.map_or((Lsn(0), 1), |tail| (tail.cursor.lsn, tail.generation));
    // A crash may have torn the opening of the next segment, with the rest of its batch; and an
    // earlier crash may have torn another one, which was to become the newest segment in another
    // file.
    catalog.refute(salt, |header| match header.generation.cmp(&newest) {
        Ordering::Less => false,
        Ordering::Equal => header.durable >= end,
        Ordering::Greater => header.durable > end,
    })?;
    if let Some(least) = least {
        check_kept(least, salt, tail)?;
    }
    if let Some(tail) = tail {
        finish(&index, tail)?;
    }
    let mut unused = catalog.headless;
    unused.extend(catalog.heads.into_values());
    Ok(Recovery {
        index,
        tail,
        unused,
        number_max: catalog.number_max,
        segment_bytes: longest.map_or(0, |len| len.next_multiple_of(BLOCK_BYTES)),
        salt,
    })
}

/// Called before anything is written to the log, so that its files are left for whoever
/// investigates the loss. Snapshots that were being written when the process ended are already
/// removed, see [`Wal::open`](crate::Wal::open).
fn check_kept(least: Mark, salt: Option<u64>, tail: Option<Tail>) -> Result<(), OpenError> {
    let found = Mark {
        salt: salt.unwrap_or(least.salt),
        generation: tail.map_or(0, |tail| tail.generation),
        end: tail.map_or(Lsn(0), |tail| tail.cursor.lsn),
    };
    if found.salt != least.salt {
        Err(OpenError::Another)
    } else if !least.is_kept_by(&found) {
        let (end, least) = (found.end, least.end);
        Err(OpenError::Lost { end, least })
    } else {
        Ok(())
    }
}

/// Reads one segment, which follows `before`, into the index.
fn replay<F: File>(
    index: &mut Index<F>,
    generation: u64,
    found: Found<F>,
    before: Option<Tail>,
) -> Result<Tail, OpenError> {
    let Found {
        number,
        file,
        len,
        head,
    } = found;
    let salt = head.as_ref().map(|head| head.header.salt);
    let mut window = Window::new(Arc::clone(&file), len, salt);
    let mut cursor = match (before, &head) {
        (Some(before), _) => before.cursor.into_next_segment(),
        (None, Some(head)) => Cursor::before(&head.header),
        (None, None) => return Err(OpenError::Missing { generation }),
    };
    let first = before.is_none();
    index.segments.insert(
        generation,
        Segment {
            number,
            file,
            slots: 0,
        },
    );
    while let Some((frame, next)) = window.next(generation, &cursor)? {
        let corrupt = Corruption {
            segment: number,
            offset: frame.at,
            lsn: frame.header.lsn,
        };
        apply(index, &mut window, &frame, first)?.ok_or(corrupt)?;
        cursor = next;
    }
    if cursor.at == 0 {
        // The opening is good but does not follow: the end of the previous segment is missing.
        return Err(before.map_or(OpenError::Missing { generation }, |before| {
            gap(index, before).into()
        }));
    }
    let is_proof = |header: &Header| header.generation == generation && header.durable > cursor.lsn;
    if window.search(cursor.at, is_proof)?.is_some() {
        return Err(corruption(number, &cursor).into());
    }
    Ok(Tail {
        generation,
        cursor,
        len,
    })
}

/// Applies a record, if its payload is well-formed.
fn apply<F: File>(
    index: &mut Index<F>,
    window: &mut Window<F>,
    frame: &Frame,
    first: bool,
) -> Result<Option<()>, OpenError> {
    let header = frame.header;
    let payload = window.payload(frame)?;
    Ok(match header.kind {
        Kind::Ops | Kind::Carry => index
            .apply(
                header.group,
                payload,
                header.generation,
                frame.at + format::HEADER_BYTES as u64,
            )
            .ok(),
        Kind::Open => Some(()),
        // Later openings repeat what the records contain.
        Kind::Head => format::decode_head(payload).ok().map(|(_, groups)| {
            groups
                .filter(|_| first)
                .for_each(|head| index.restore(head));
        }),
    })
}

/// Writes the final batch once more and syncs it. It is the only one that may be in the page cache
/// alone; after a failed sync the pages may even count as clean, so that a sync without the write
/// would do nothing.
fn finish<F: File>(index: &Index<F>, tail: Tail) -> Result<(), OpenError> {
    let Some(segment) = index.segments.get(&tail.generation) else {
        return Ok(());
    };
    let (from, to) = (
        tail.cursor.batch_at,
        tail.cursor.at.next_multiple_of(BLOCK_BYTES),
    );
    let mut window = Window::new(Arc::clone(&segment.file), tail.len, None);
    if let Some(batch) = window.bytes(from, to.min(tail.len) - from)? {
        segment.file.write_at(from, batch)?;
    }
    segment.file.sync()?;
    Ok(())
}

fn gap<F>(index: &Index<F>, before: Tail) -> Corruption {
    let number = index
        .segments
        .get(&before.generation)
        .map_or(0, |segment| segment.number);
    corruption(number, &before.cursor)
}

/// The record that should follow `cursor`.
fn corruption(segment: u64, cursor: &Cursor) -> Corruption {
    let offset = if cursor.last {
        cursor.at.next_multiple_of(BLOCK_BYTES)
    } else {
        cursor.at
    };
    Corruption {
        segment,
        offset,
        lsn: cursor.lsn.next().unwrap_or(cursor.lsn),
    }
}
