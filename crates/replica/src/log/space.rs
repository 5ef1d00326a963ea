//! Space of the log that is spoken for: by what cores were given and have not handed to the log yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The space that is left in a log, shared by all engines that write to it.
///
/// A log is asked for space once a turn, and a turn may bring more than it then had. What a core was
/// given cannot be taken back, and a log that does not take it ends the group; so each piece is held
/// against what is left before it is given: what is over waits, or is dropped as on a disk without space.
/// The first is never too much where the log takes one record of any length: it may be longer than what
/// is left for many.
///
/// All clones are one. Until somebody tells of a bound, there is none.
#[derive(Clone, Debug, Default)]
pub struct LogSpace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    room_bytes: AtomicU64,
    takes_a_record: AtomicBool,
    claimed_bytes: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            room_bytes: AtomicU64::new(u64::MAX),
            takes_a_record: AtomicBool::new(true),
            claimed_bytes: AtomicU64::new(0),
        }
    }
}

impl LogSpace {
    /// What the log takes for sure from now on: bytes, as [`Log::room_bytes`](super::Log::room_bytes) tells it, and
    /// whether instead of them one record of any length, as [`Log::takes_a_record`](super::Log::takes_a_record) does.
    /// What engines have claimed and not handed to the log yet is to find its place in it.
    pub fn set(&self, room_bytes: u64, takes_a_record: bool) {
        self.0.room_bytes.store(room_bytes, Ordering::Relaxed);
        self.0
            .takes_a_record
            .store(takes_a_record, Ordering::Relaxed);
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim {
            space: self.clone(),
            bytes: 0,
        }
    }

    fn take(&self, bytes: u64) -> bool {
        let before = self.0.claimed_bytes.load(Ordering::Relaxed);
        let claimed = before.saturating_add(bytes);
        let is_first = before == 0 && self.0.takes_a_record.load(Ordering::Relaxed);
        let fits = is_first || claimed <= self.0.room_bytes.load(Ordering::Relaxed);
        if fits {
            self.0.claimed_bytes.store(claimed, Ordering::Relaxed);
        }
        fits
    }

    fn handed(&self, bytes: u64) {
        let room = self.0.room_bytes.load(Ordering::Relaxed);
        let room = room.saturating_sub(bytes);
        self.0.room_bytes.store(room, Ordering::Relaxed);
        self.give_back(bytes);
    }

    fn give_back(&self, bytes: u64) {
        let claimed = self.0.claimed_bytes.load(Ordering::Relaxed);
        let claimed = claimed.saturating_sub(bytes);
        self.0.claimed_bytes.store(claimed, Ordering::Relaxed);
    }
}

/// What one engine has spoken for.
///
/// Invariant: the claims on a space are one, or together no more than its room when the last was made.
#[derive(Debug)]
pub(crate) struct Claim {
    space: LogSpace,
    bytes: u64,
}

impl Claim {
    /// Speaks for this many bytes, if so much is left.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.space.take(bytes as u64);
        if fits {
            self.bytes = self.bytes.saturating_add(bytes as u64);
        }
        fits
    }

    /// All that was given to the core is in the log now.
    pub(crate) fn handed(&mut self) {
        self.space.handed(std::mem::take(&mut self.bytes));
    }

    /// The core has nothing for the log, and no write is under way behind which it waits: what was claimed
    /// needed no space, because the core held it already.
    pub(crate) fn give_back(&mut self) {
        self.space.give_back(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_claimed_than_there_is_whoever_asks() {
        let space = LogSpace::default();
        let (mut one, mut other) = (space.claim(), space.claim());
        assert!(one.take(usize::MAX));
        one.give_back();
        space.set(10, true);
        assert!(one.take(6) && !other.take(5) && other.take(4));
        one.handed();
        assert!(!one.take(1), "what was handed over is in the log");
        space.set(5, true);
        assert!(!one.take(2) && one.take(1), "four are claimed still");
        drop(other);
        assert!(one.take(4), "whoever is gone hands nothing over");
        one.give_back();
        assert!(one.take(5) && !one.take(1), "nothing came of it");
        one.give_back();
        assert!(one.take(6), "or the longest would be dropped for ever");
        one.give_back();
        space.set(5, false);
        assert!(
            !one.take(6) && one.take(5),
            "there is nothing but what is left"
        );
    }
}
