//! How fast a disk is at present, and whether its syncs may hold up the loop.

use std::time::Duration;

use crate::time::Instant;

/// The time that syncs took lately.
///
/// A fast disk is synced in place, since to wake another thread costs a fifth of a sync; a slow one
/// is left to a thread, so that messages and timers go on. One slow sync of a fast disk changes
/// nothing yet, and a disk is tried in place again after some fast ones, or when it was left alone
/// for long.
#[derive(Debug)]
pub(super) struct Pace {
    /// Above this a sync is slow, and below half of it a slow one is fast again: or a disk in between
    /// would change with every sync.
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
    /// Of a disk of which nothing is known; with zero it is slow whatever happens.
    pub(super) fn new(slow: Duration) -> Self {
        Self {
            slow,
            smoothed: Duration::ZERO,
            at: Instant::default(),
            is_slow: false,
        }
    }

    /// A sync took that long.
    pub(super) fn note(&mut self, now: Instant, took: Duration) {
        self.smoothed = (self.time(now) * 3 + took) / 4;
        self.at = now;
        self.is_slow = self.smoothed > self.bound();
    }

    /// How long a sync takes: half of it is forgotten with each [`HALF_LIFE`].
    pub(super) fn time(&self, now: Instant) -> Duration {
        let halves = now.since(self.at).as_secs() / HALF_LIFE.as_secs();
        // Shifted out as a whole when it is longer ago than any sync is long.
        self.smoothed / 2_u32.saturating_pow(u32::try_from(halves).unwrap_or(u32::MAX))
    }

    /// Whether the next one is better done elsewhere.
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

/// Above this a sync is slow, as a rule.
const SLOW: Duration = Duration::from_millis(4);
/// What was seen counts half after this.
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
