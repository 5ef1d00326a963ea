//! Space for what comes: in the segment at hand, in the next, and what is left to those that matter
//! more.

use std::io;

use crate::AppendError;
use crate::disk::{Disk, is_full};
use crate::format::{self, BLOCK_BYTES};
use crate::options::Need;
use crate::sync::SyncWork;
use crate::writer::Writer;

impl<D: Disk> Writer<D> {
    /// Whether a record fits where the log ends now, or in the next segment. As long as
    /// there is none, it leaves over what is kept for those that matter more.
    pub(crate) fn has_room(&self, frame: u64, need: Need) -> bool {
        // Before the first append of a process comes the record that opens its incarnation.
        let opening = if self.opened { 0 } else { BLOCK_BYTES };
        self.can_rotate() || self.fits(opening + frame, need)
    }

    /// Whether there is room for a record with a body, after trying to make it. A log that is
    /// latched, be it by this very try, is not waited for.
    pub(crate) fn find_room(&mut self, payload_bytes: usize) -> bool {
        if self.is_roomy(payload_bytes) {
            return true;
        }
        let allocated = self.allocate();
        self.is_full = allocated.is_err();
        !self.is_full || self.latched
    }

    /// The same without trying. What was full has room again only when a whole segment waits, so that
    /// it does not change its mind with each record.
    pub(crate) fn is_roomy(&mut self, payload_bytes: usize) -> bool {
        let frame = format::frame_len(0, payload_bytes, false);
        self.is_full &= !self.can_rotate();
        self.latched || !self.is_full && self.has_room(frame, Need::Body)
    }

    /// What records with bodies find for sure, in space that is allocated. Of the segment at hand and
    /// the one that waits it is the larger: a record that does not fit the one goes into the other, and
    /// what it leaves over is lost.
    pub(crate) fn room_bytes(&self) -> u64 {
        let left = self.options.left_bytes(Need::Body);
        let opening = if self.opened { 0 } else { BLOCK_BYTES };
        let at_hand = self.place.map_or(0, |place| {
            let end = (place.at + opening).next_multiple_of(BLOCK_BYTES) + left;
            place.len.saturating_sub(end)
        });
        // A segment at hand in which nothing lives may be given back now, and not any more with what
        // is appended to it next.
        if self.spares.ready() < self.spares_needed(self.place.map(|place| place.generation)) {
            return at_hand;
        }
        at_hand.max(self.fresh_bytes())
    }

    /// What records with bodies find in a segment that is begun.
    fn fresh_bytes(&self) -> u64 {
        let head = format::frame_len(0, format::head_len(self.shared.lock().groups.len()), false);
        let opening = if self.opened { 0 } else { BLOCK_BYTES };
        let end = self.options.segment_bytes - self.options.left_bytes(Need::Body);
        // The last batch ends with a block.
        (end - end % BLOCK_BYTES).saturating_sub(head + opening)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The same as [`find_room`](Self::find_room), as work: what it is about is known when it is
    /// given back.
    pub(crate) fn begin_room(&mut self, payload_bytes: usize) -> Option<SyncWork<D>> {
        if self.under_way.is_some() || self.is_roomy(payload_bytes) {
            return None;
        }
        (self.fill_due, self.is_room_wanted) = (self.options.segment_bytes, true);
        self.begin_upkeep()
    }

    /// Whether the log may go on in another segment: when one is ready, and there is one for the next
    /// time. A segment of the log is free only when a later one says so. So a log that went into the
    /// last segment without giving one back would have no space for that, and would stay full though
    /// all in it were forgotten.
    pub(crate) fn can_rotate(&self) -> bool {
        self.spares.ready() >= self.spares_needed(None)
    }

    /// How many segments must be ready for the log to go on in one of them, unless the oldest segment
    /// is given back: which it is when nothing lives in it, and it is not the one that is used still.
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
            // The next batch begins at a block, so what is left counts in whole blocks.
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
