//! Whether a node's disk allows it to accept new work.

use std::time::Duration;

use crate::time::Instant;

/// Tracks whether a log has room, and trusts regained room only if it lasts.
///
/// A disk that something else fills gains and loses a little space all the time. A node that
/// trusted each gain would campaign, win, and then refuse to write; so it serves again only after
/// its log had room for [`ROOM_HELD`].
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Since when there is no room.
    full: Option<Instant>,
    /// Since when there is room again.
    free: Option<Instant>,
    asked: Instant,
}

impl Room {
    /// Whether there is room. A log that had none is asked only every [`ROOM_RETRY`]: it tries to
    /// allocate each time.
    pub(crate) fn look(&mut self, now: Instant, ask: impl FnOnce() -> bool) -> bool {
        if self.full.is_some() && now.since(self.asked) < ROOM_RETRY {
            return false;
        }
        self.asked = now;
        if !ask() {
            self.full.get_or_insert(now);
            self.free = None;
        } else if self.full.is_some() && now.since(*self.free.get_or_insert(now)) >= ROOM_HELD {
            (self.full, self.free) = (None, None);
        }
        self.has_room()
    }

    /// The result of the last look.
    pub(crate) fn has_room(&self) -> bool {
        self.full.is_none()
    }

    /// When to look again at the latest.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.full.map(|_| self.asked + ROOM_RETRY)
    }
}

/// How often a full log is asked again.
const ROOM_RETRY: Duration = Duration::from_millis(500);
/// How long regained room must last before it is trusted.
const ROOM_HELD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    #[test]
    fn a_node_is_fit_again_only_when_there_is_room_for_seconds() {
        let mut room = Room::default();
        assert!(room.look(at(0), || true));
        assert_eq!(room.wake(), None);
        assert!(!room.look(at(1), || false));
        let mut now = 1;
        // Room comes and goes.
        for has_room in [true, true, false, true, true, true, true] {
            now += 500;
            assert_eq!(room.wake(), Some(at(now)));
            assert!(!room.look(at(now), || has_room), "{now}");
        }
        assert!(room.look(at(now + 500), || true));
        assert_eq!(room.wake(), None);
    }

    #[test]
    fn a_full_disk_is_not_asked_in_every_turn() {
        let mut room = Room::default();
        room.look(at(0), || false);
        let mut asked = 0;
        for now in 1..=1_000 {
            room.look(at(now), || {
                asked += 1;
                false
            });
        }
        assert_eq!(asked, 2);
    }
}
