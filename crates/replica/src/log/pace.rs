//! How fast a disk is at present, and whether its syncs may block the loop.

use std::time::Duration;

use crate::time::Instant;

/// The duration of recent syncs.
///
/// A fast disk is synced in place, since waking another thread costs a fifth of a sync. A slow one
/// is synced by a thread, so that messages and timers are not delayed. A single slow sync of a fast
/// disk changes nothing. A slow disk is tried in place again after some fast syncs, or after a long
/// pause.
#[derive(Debug)]
pub(super) struct Pace {
    /// Longer syncs are slow. A slow disk is fast again only below half of this; without the gap, a
    /// disk near the bound would switch with every sync.
    slow: Duration,
    /// As of `at`.
    smoothed: Duration,
    at: Instant,
    is_slow: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(SLOW)
    }
}

impl Pace {
    /// For a disk of which nothing is known yet. With zero, every sync is slow.
    pub(super) fn new(slow: Duration) -> Self {
        Self {
            slow,
            smoothed: Duration::ZERO,
            at: Instant::default(),
            is_slow: false,
        }
    }

    /// Records the duration of a sync.
    pub(super) fn note(&mut self, now: Instant, took: Duration) {
        self.smoothed = (self.time(now) * 3 + took) / 4;
        self.at = now;
        self.is_slow = self.smoothed > self.bound();
    }

    /// How long a sync takes at present: halved with each [`HALF_LIFE`] that passes without one.
    pub(super) fn time(&self, now: Instant) -> Duration {
        let halves = now.since(self.at).as_secs() / HALF_LIFE.as_secs();
        // Saturates: after enough half-lives nothing is left of any duration.
        self.smoothed / 2_u32.saturating_pow(u32::try_from(halves).unwrap_or(u32::MAX))
    }

    /// Whether the next sync should run on the thread.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        self.slow.is_zero() || self.is_slow && self.time(now) > self.bound()
    }

    fn bound(&self) -> Duration {
        if self.is_slow {
            self.slow / 2
        } else {
            self.slow
        }
    }
}

/// The default bound above which a sync is slow.
const SLOW: Duration = Duration::from_millis(4);
/// The time after which a measurement counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    fn after(syncs_millis: &[u64]) -> Pace {
        let mut pace = Pace::default();
        for millis in syncs_millis {
            pace.note(at(0), Duration::from_millis(*millis));
        }
        pace
    }

    #[test]
    fn a_fast_disk_is_synced_in_place_also_behind_a_hiccup() {
        assert!(!after(&[]).is_slow(at(0)));
        assert!(!after(&[1; 100]).is_slow(at(0)));
        assert!(!after(&[1, 1, 12, 1, 1]).is_slow(at(0)));
    }

    #[test]
    fn one_long_sync_is_enough_and_some_short_ones_end_it() {
        assert!(after(&[20]).is_slow(at(0)));
        assert!(after(&[300, 0, 0, 0]).is_slow(at(0)));
        assert!(!after(&[&[300][..], &[0; 20]].concat()).is_slow(at(0)));
    }

    #[test]
    fn between_the_bounds_it_stays_as_it_was() {
        assert!(!after(&[3; 50]).is_slow(at(0)));
        assert!(after(&[&[300][..], &[3; 50]].concat()).is_slow(at(0)));
    }

    #[test]
    fn what_was_seen_is_forgotten_in_time() {
        let pace = after(&[400]);
        assert_eq!(pace.time(at(0)), Duration::from_millis(100));
        assert_eq!(pace.time(at(10_000)), Duration::from_millis(50));
        assert_eq!(pace.time(at(30_000)), Duration::from_micros(12_500));
        assert!(pace.is_slow(at(30_000)) && !pace.is_slow(at(60_000)));
        assert_eq!(pace.time(Instant(Duration::MAX)), Duration::ZERO);
    }
}
