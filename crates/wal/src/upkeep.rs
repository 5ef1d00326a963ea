//! What keeps the log short and the next segment ready, a little after each batch.

use std::io;
use std::sync::Arc;

use crate::GroupId;
use crate::disk::{Disk, File, is_full};
use crate::format::{self, Kind, Stored};
use crate::scan::{Cursor, Window};
use crate::spares::FILL_BYTES;
use crate::writer::Writer;

/// Walks through the oldest segment, for the slots in it that still live.
#[derive(Debug)]
pub(crate) struct Carrier<F> {
    generation: u64,
    window: Window<F>,
    cursor: Cursor,
    /// It cannot go on: a record that was good is bad now. The segment stays until its slots are
    /// forgotten.
    stuck: bool,
}

impl<D: Disk> Writer<D> {
    /// Does a part of the upkeep in proportion to a batch of `written` bytes.
    pub(crate) fn upkeep(&mut self, written: u64) {
        self.free();
        if self.is_mostly_garbage() && self.carry(written.max(CARRY_BYTES_MIN)).is_err() {
            self.stats.upkeep_failures += 1;
            self.carrier
                .iter_mut()
                .for_each(|carrier| carrier.stuck = true);
        }
        let Some(place) = self.place else { return };
        if place.at > place.len / 2 && !self.spares.any_ready() {
            let bytes = FILL_BYTES.min(self.options.segment_bytes);
            if let Err(error) = self.spares.fill(&self.disk, bytes) {
                self.stats.upkeep_failures += 1;
                if !is_full(&error) {
                    self.latch();
                }
            }
        }
    }

    /// Takes the segments without a live slot from the front of the log.
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

    /// Whether it pays to move the slots that still live in the oldest segment: a log is at most
    /// about twice what lives in it, and a few segments.
    fn is_mostly_garbage(&self) -> bool {
        let index = self.shared.lock();
        let segment = self.options.segment_bytes;
        index.segments.len() as u64 * segment > 2 * index.live_bytes + 3 * segment
    }

    /// Appends slots that live in the oldest segment anew, until `bytes` of the segment have been
    /// looked through.
    fn carry(&mut self, bytes: u64) -> io::Result<()> {
        let Some(mut carrier) = self.take_carrier()? else {
            return Ok(());
        };
        let end = carrier.cursor.at + bytes;
        while !carrier.stuck && carrier.cursor.at < end {
            let Some((frame, next)) = carrier.window.next(carrier.generation, &carrier.cursor)?
            else {
                // All slots of the segment were met, so none is left unless a record has gone bad.
                carrier.stuck = true;
                break;
            };
            let (group, at) = (frame.header.group, frame.at + format::HEADER_BYTES as u64);
            let (mut moved, mut count) = (Vec::new(), 0);
            if matches!(frame.header.kind, Kind::Ops | Kind::Carry) {
                let payload = carrier.window.payload(&frame)?;
                count = self.collect(group, payload, carrier.generation, at, &mut moved);
            }
            if !moved.is_empty() {
                let room = format::frame_len(0, moved.len(), false);
                if !self.has_room(room, true)
                    || self.append(Kind::Carry, group, &moved, true).is_err()
                {
                    break;
                }
                self.stats.slots_carried += count;
            }
            carrier.cursor = next;
        }
        self.carrier = Some(carrier);
        Ok(())
    }

    /// Adds the puts of a record that still live to `moved`; returns how many.
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

    /// The walk through the segment that is the oldest now.
    fn take_carrier(&mut self) -> io::Result<Option<Carrier<D::File>>> {
        let (generation, file) = {
            let index = self.shared.lock();
            let Some((generation, segment)) = index.segments.first_key_value() else {
                return Ok(None);
            };
            (*generation, Arc::clone(&segment.file))
        };
        if self
            .place
            .is_none_or(|place| generation >= place.generation)
        {
            return Ok(None);
        }
        if let Some(carrier) = self
            .carrier
            .take_if(|carrier| carrier.generation == generation)
        {
            return Ok(Some(carrier));
        }
        let len = file.len()?;
        let mut window = Window::new(file, len, Some(self.salt));
        let Some(head) = window.frame(0)? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(Some(Carrier {
            generation,
            window,
            cursor: Cursor::before(&head.header),
            stuck: false,
        }))
    }
}

/// How much of the oldest segment is looked through after a small batch.
const CARRY_BYTES_MIN: u64 = 64 * 1024;
