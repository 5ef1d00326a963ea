//! Upkeep: keeps the log short and the next segment ready, a little after each batch.

use std::io;
use std::sync::Arc;

use crate::GroupId;
use crate::disk::{Disk, File};
use crate::format::{self, Kind, Stored};
use crate::options::Need;
use crate::scan::{Cursor, Window};
use crate::spares::FILL_BYTES;
use crate::writer::Writer;

/// Walks through the oldest segment and collects the slots that are still live.
#[derive(Debug)]
pub(crate) struct Carrier<F> {
    generation: u64,
    /// Where to continue; `None` if that is impossible, because a good record has become bad or
    /// unreadable. The segment then stays until its slots are forgotten, and is not tried again.
    walk: Option<(Window<F>, Cursor)>,
}

impl<D: Disk> Writer<D> {
    /// Does upkeep in proportion to a batch of `written` bytes, and records what else is due that
    /// needs a sync.
    pub(crate) fn upkeep(&mut self, written: u64) {
        self.free();
        if self.is_mostly_garbage() && self.carry(written.max(CARRY_BYTES_MIN)).is_err() {
            self.stats.upkeep_failures += 1;
        }
        let Some(place) = self.place else { return };
        if place.at > place.len / 2 && !self.can_rotate() {
            // As much as keeps ahead of batches of this size.
            let bytes = FILL_BYTES.max(written.saturating_mul(FILL_FACTOR));
            self.fill_due = bytes.min(self.options.segment_bytes);
        }
    }

    /// Releases the segments without live slots at the front of the log.
    fn free(&mut self) {
        let Some(place) = self.place else { return };
        let mut index = self.shared.lock();
        while let Some(entry) = index.segments.first_entry() {
            if entry.get().slots > 0 || *entry.key() >= place.generation {
                break;
            }
            let (generation, segment) = entry.remove_entry();
            self.spares.free(generation, segment.number, segment.file);
        }
    }

    /// Whether it pays to move the live slots of the oldest segment: a log is at most about twice
    /// the size of its live contents, plus a few segments.
    fn is_mostly_garbage(&self) -> bool {
        let index = self.shared.lock();
        let segment = self.options.segment_bytes;
        index.segments.len() as u64 * segment > 2 * index.live_bytes + 3 * segment
    }

    /// Appends live slots of the oldest segment again, until `bytes` of the segment have been
    /// searched.
    fn carry(&mut self, bytes: u64) -> io::Result<()> {
        let Some((generation, file)) = self.oldest() else {
            return Ok(());
        };
        let kept = self
            .carrier
            .take()
            .filter(|kept| kept.generation == generation);
        // Stays so after an error, or the walk would start over with each batch.
        self.carrier = Some(Carrier {
            generation,
            walk: None,
        });
        let mut walk = match kept {
            Some(kept) => kept.walk,
            None => Some(self.enter(file)?),
        };
        if let Some((window, cursor)) = &mut walk
            && self.walk(generation, window, cursor, bytes)?
        {
            self.carrier = Some(Carrier { generation, walk });
        }
        Ok(())
    }

    /// Continues through a segment. Returns whether it can continue later.
    fn walk(
        &mut self,
        generation: u64,
        window: &mut Window<D::File>,
        cursor: &mut Cursor,
        bytes: u64,
    ) -> io::Result<bool> {
        let end = cursor.at + bytes;
        while cursor.at < end {
            let Some((frame, next)) = window.next(generation, cursor)? else {
                // All slots of the segment were visited, so none is left unless a record has become
                // bad.
                return Ok(false);
            };
            let (group, at) = (frame.header.group, frame.at + format::HEADER_BYTES as u64);
            let (mut moved, mut count) = (Vec::new(), 0);
            if matches!(frame.header.kind, Kind::Ops | Kind::Carry) {
                let payload = window.payload(&frame)?;
                count = self.collect(group, payload, generation, at, &mut moved);
            }
            if !moved.is_empty() {
                let room = format::frame_len(0, moved.len(), false);
                if !self.has_room(room, Need::Body)
                    || self.append(Kind::Carry, group, &moved, Need::Body).is_err()
                {
                    break;
                }
                self.stats.slots_carried += count;
            }
            *cursor = next;
        }
        Ok(true)
    }

    /// Appends the live puts of a record to `moved`; returns how many.
    fn collect(
        &self,
        group: GroupId,
        payload: &[u8],
        generation: u64,
        at: u64,
        moved: &mut Vec<u8>,
    ) -> u64 {
        let index = self.shared.lock();
        let mut count = 0;
        for stored in format::decode_ops(payload).flatten() {
            if let Stored::Put {
                index: slot,
                tag,
                body,
                body_at,
            } = stored
                && index.is_live(group, slot, generation, at + body_at as u64)
            {
                format::encode_put(moved, slot, tag, body);
                count += 1;
            }
        }
        count
    }

    /// The oldest segment, unless it is also the newest.
    fn oldest(&self) -> Option<(u64, Arc<D::File>)> {
        let newest = self.place?.generation;
        let index = self.shared.lock();
        let (generation, segment) = index.segments.first_key_value()?;
        (*generation < newest).then(|| (*generation, Arc::clone(&segment.file)))
    }

    /// A walk through a segment, from its beginning.
    fn enter(&self, file: Arc<D::File>) -> io::Result<(Window<D::File>, Cursor)> {
        let len = file.len()?;
        let mut window = Window::new(file, len, Some(self.salt));
        let head = window.frame(0)?.ok_or(io::ErrorKind::InvalidData)?;
        let cursor = Cursor::before(&head.header);
        Ok((window, cursor))
    }
}

/// How many bytes of the next segment are filled for each byte of a large batch: a segment is
/// complete before an eighth of one is written, and so before there is no room for the longest
/// record.
const FILL_FACTOR: u64 = 8;
/// How much of the oldest segment is searched after a small batch.
const CARRY_BYTES_MIN: u64 = 64 * 1024;
