//! Space for the next records: in the current segment, in the next one, and in the part left to
//! more important records.

use std::io;

use crate::AppendError;
use crate::disk::{Disk, is_full};
use crate::format::{self, BLOCK_BYTES};
use crate::options::Need;
use crate::sync::SyncWork;
use crate::writer::Writer;

impl<D: Disk> Writer<D> {
    /// Whether a record fits at the current end of the log, or in the next segment. If there is no
    /// next segment, it must leave the space that is kept for more important records.
    pub(crate) fn has_room(&self, frame: u64, need: Need) -> bool {
        // The first append of a process is preceded by the record that opens its incarnation.
        let opening = if self.opened { 0 } else { BLOCK_BYTES };
        self.can_rotate() || self.fits(opening + frame, need)
    }

    /// Whether there is room for a record with a body, after trying to make some. A log that is
    /// closed, even by this attempt, returns `true`: there is nothing to wait for.
    pub(crate) fn find_room(&mut self, payload_bytes: usize) -> bool {
        if self.is_roomy(payload_bytes) {
            return true;
        }
        let allocated = self.allocate();
        self.is_full = allocated.is_err();
        !self.is_full || self.latched
    }

    /// The same without trying. A log that was full has room again only when a whole segment is
    /// ready, so that the answer does not change with each record.
    pub(crate) fn is_roomy(&mut self, payload_bytes: usize) -> bool {
        let frame = format::frame_len(0, payload_bytes, false);
        self.is_full &= !self.can_rotate();
        self.latched || !self.is_full && self.has_room(frame, Need::Body)
    }

    /// The bytes of records with bodies that certainly fit, in allocated space: the larger of what
    /// the current segment has and what the next one has, since a record that does not fit into the
    /// first goes into the other, and the rest of the first is lost.
    pub(crate) fn room_bytes(&self) -> u64 {
        let left = self.options.left_bytes(Need::Body);
        let opening = if self.opened { 0 } else { BLOCK_BYTES };
        let at_hand = self.place.map_or(0, |place| {
            let end = (place.at + opening).next_multiple_of(BLOCK_BYTES) + left;
            place.len.saturating_sub(end)
        });
        // An empty current segment might be released now, but no longer once something is appended
        // to it.
        if self.spares.ready() < self.spares_needed(self.place.map(|place| place.generation)) {
            return at_hand;
        }
        at_hand.max(self.fresh_bytes())
    }

    /// The bytes of records with bodies that fit into a fresh segment.
    fn fresh_bytes(&self) -> u64 {
        let head = format::frame_len(0, format::head_len(self.shared.lock().groups.len()), false);
        let opening = if self.opened { 0 } else { BLOCK_BYTES };
        let end = self.options.segment_bytes - self.options.left_bytes(Need::Body);
        // The last batch ends at a block boundary.
        (end - end % BLOCK_BYTES).saturating_sub(head + opening)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The same as [`find_room`](Self::find_room), as work for any thread; the result is known when
    /// it is finished.
    pub(crate) fn begin_room(&mut self, payload_bytes: usize) -> Option<SyncWork<D>> {
        if self.under_way.is_some() || self.is_roomy(payload_bytes) {
            return None;
        }
        (self.fill_due, self.is_room_wanted) = (self.options.segment_bytes, true);
        self.begin_upkeep()
    }

    /// Whether the log may continue in another segment: one is ready, and there will be one for the
    /// next time. A segment of the log is free only when a later opening says so. If a log entered
    /// the last segment without releasing another, it would have no space for such an opening, and
    /// would stay full even if everything in it were forgotten.
    pub(crate) fn can_rotate(&self) -> bool {
        self.spares.ready() >= self.spares_needed(None)
    }

    /// How many segments must be ready for the log to continue in one of them: two, or one if the
    /// oldest segment will be released, because it has no live slots and is not the one in use.
    fn spares_needed(&self, used: Option<u64>) -> usize {
        let gives_back = || {
            let index = self.shared.lock();
            let oldest = index.segments.first_key_value();
            oldest.is_none_or(|(generation, segment)| {
                segment.slots == 0 && used.is_none_or(|used| used != *generation)
            })
        };
        match self.place.is_none() || self.spares.any_freed() || gives_back() {
            true => 1,
            false => 2,
        }
    }

    pub(crate) fn is_upkeep_due(&self) -> bool {
        self.fill_due > 0 || self.reserve_due && self.reserve.is_wanted()
    }

    pub(crate) fn fits(&self, frame: u64, need: Need) -> bool {
        let Some(place) = self.place else {
            return false;
        };
        let left = self.options.left_bytes(need);
        if left > 0 && !self.can_rotate() {
            // The next batch begins at a block, so the remaining space counts in whole blocks.
            let end = (place.at + frame).next_multiple_of(BLOCK_BYTES);
            return end + left <= place.len;
        }
        place.at + frame <= place.len
    }

    pub(crate) fn allocate(&mut self) -> Result<(), AppendError> {
        let count = self.spares_needed(None);
        self.spares
            .allocate(&self.disk, count)
            .map_err(|error: io::Error| {
                if is_full(&error) {
                    return AppendError::Full;
                }
                self.latched = true;
                AppendError::Io(error)
            })
    }
}
