//! Space in the log that is claimed: by what cores were given and have not appended yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The space left in a log, shared by all engines that write to it.
///
/// A log is asked for its space once a turn, and a turn may bring more than that. What a core was
/// given cannot be taken back, and if the log refuses it, the group ends. So each piece is checked
/// against the space left before it is given to a core; what exceeds it waits, or is dropped as on
/// a full disk. The first piece always fits while the log accepts one record of any length, which
/// may be longer than the space left for several.
///
/// Clones share the same space. There is no bound until one is set.
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
    /// Sets what the log is certain to accept from now on: a number of bytes, as reported by
    /// [`Log::room_bytes`](super::Log::room_bytes), and whether, instead, one record of any length,
    /// as reported by [`Log::takes_a_record`](super::Log::takes_a_record). What engines have
    /// claimed and not appended yet must fit in it too.
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

/// The space that one engine has claimed.
///
/// Invariant: there is only one claim, or all claims together were no more than the room when the
/// last one was made.
#[derive(Debug)]
pub(crate) struct Claim {
    space: LogSpace,
    bytes: u64,
}

impl Claim {
    /// Claims this many bytes, if they are left.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.space.take(bytes as u64);
        if fits {
            self.bytes = self.bytes.saturating_add(bytes as u64);
        }
        fits
    }

    /// Everything that was given to the core is in the log now.
    pub(crate) fn handed(&mut self) {
        self.space.handed(std::mem::take(&mut self.bytes));
    }

    /// The core has nothing to append, and no write is in progress that it waits for: what was
    /// claimed needed no space, because the core held it already.
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
        assert!(!one.take(1), "what was appended uses the room");
        space.set(5, true);
        assert!(!one.take(2) && one.take(1), "four are still claimed");
        drop(other);
        assert!(one.take(4), "a dropped claim is released");
        one.give_back();
        assert!(
            one.take(5) && !one.take(1),
            "returned claims are free again"
        );
        one.give_back();
        assert!(
            one.take(6),
            "otherwise the longest record would always be dropped"
        );
        one.give_back();
        space.set(5, false);
        assert!(
            !one.take(6) && one.take(5),
            "there is nothing but what is left"
        );
    }
}
