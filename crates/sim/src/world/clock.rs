//! The clocks of a node and their faults.

use std::time::Duration;

use crate::world::fault::ClockChange;

/// One oscillator that drives two clocks: the monotonic one, and the wall clock at an offset to it.
///
/// Invariant: the monotonic clock never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// True time of the last change, and what the monotonic clock showed then.
    since: Duration,
    local: Duration,
    drift_ppm: i32,
    /// True time until which both clocks stand still.
    frozen_until: Option<Duration>,
    /// The wall clock is this far ahead of the monotonic one.
    wall_ahead: Duration,
}

impl Clock {
    /// A correct clock at the beginning of the world.
    pub(super) fn new() -> Self {
        Self {
            since: Duration::ZERO,
            local: Duration::ZERO,
            drift_ppm: 0,
            frozen_until: None,
            wall_ahead: WALL_START,
        }
    }

    /// The monotonic clock has counted this much already; the wall clock stays.
    pub(super) fn set_uptime(&mut self, uptime: Duration) {
        self.local += uptime;
        self.wall_ahead = self.wall_ahead.saturating_sub(uptime);
    }

    /// What the monotonic clock shows.
    pub(super) fn local(&self, now: Duration) -> Duration {
        if self.frozen_until.is_some() {
            return self.local;
        }
        let passed = now.saturating_sub(self.since);
        if self.drift_ppm == 0 {
            return self.local.saturating_add(passed);
        }
        let counted = passed.as_nanos() * self.rate() / MILLION;
        self.local.saturating_add(nanos(counted))
    }

    /// What the wall clock shows, since the epoch of Unix.
    pub(super) fn wall(&self, now: Duration) -> Duration {
        self.local(now).saturating_add(self.wall_ahead)
    }

    /// The first true time at which the monotonic clock shows `local` or more, as far as is known
    /// now; `None` while it stands still before that, or if it is out of reach.
    pub(super) fn reaches(&self, local: Duration) -> Option<Duration> {
        let rest = local.saturating_sub(self.local);
        if rest.is_zero() {
            return Some(self.since);
        }
        if self.frozen_until.is_some() {
            return None;
        }
        if self.drift_ppm == 0 {
            return self.since.checked_add(rest);
        }
        let passes = (rest.as_nanos() * MILLION).div_ceil(self.rate());
        self.since
            .checked_add(Duration::from_nanos(u64::try_from(passes).ok()?))
    }

    /// Applies a fault from `now` on.
    pub(super) fn change(&mut self, now: Duration, change: ClockChange) {
        self.settle(now);
        match change {
            ClockChange::Drift { ppm } => self.drift_ppm = ppm,
            ClockChange::Freeze { lasts } => {
                let until = now.saturating_add(lasts);
                self.frozen_until = Some(self.frozen_until.map_or(until, |at| at.max(until)));
            }
            ClockChange::Jump { by } => self.local = self.local.saturating_add(by),
            ClockChange::StepForward { by } => {
                self.wall_ahead = self.wall_ahead.saturating_add(by);
            }
            ClockChange::StepBack { by } => self.wall_ahead = self.wall_ahead.saturating_sub(by),
        }
    }

    /// Until when the clocks stand still, if they do.
    pub(super) fn frozen_until(&self) -> Option<Duration> {
        self.frozen_until
    }

    pub(super) fn thaw(&mut self, now: Duration) {
        self.settle(now);
        self.frozen_until = None;
    }

    /// Makes a current freeze permanent.
    pub(super) fn keep_frozen(&mut self) {
        if let Some(until) = &mut self.frozen_until {
            *until = Duration::MAX;
        }
    }

    fn settle(&mut self, now: Duration) {
        self.local = self.local(now);
        self.since = now;
    }

    fn rate(&self) -> u128 {
        // The rate stays positive, so that the clock neither stops nor runs backwards.
        (1_000_000 + i64::from(self.drift_ppm)).max(1) as u128
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

const MILLION: u128 = 1_000_000;

/// The true wall-clock time when a world begins: far enough from the epoch for errors before it.
pub(super) const WALL_START: Duration = Duration::from_secs(1_700_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_right_clock_shows_the_time() {
        let clock = Clock::new();
        assert_eq!(
            (clock.local(ms(7)), clock.wall(ms(7))),
            (ms(7), WALL_START + ms(7))
        );
        assert_eq!(clock.reaches(ms(9)), Some(ms(9)));
    }

    #[test]
    fn drift_counts_more_or_less_than_passes() {
        let mut clock = Clock::new();
        clock.change(ms(1000), ClockChange::Drift { ppm: 200_000 });
        assert_eq!(clock.local(ms(2000)), ms(2200));
        clock.change(ms(2000), ClockChange::Drift { ppm: -500_000 });
        assert_eq!(clock.local(ms(3000)), ms(2700));
        assert_eq!(clock.wall(ms(3000)), WALL_START + ms(2700));
    }

    #[test]
    fn a_time_is_reached_at_the_first_nanosecond_and_not_before() {
        let mut clock = Clock::new();
        for ppm in [-999_999, -333_333, -7, 0, 1, 250, 999_983, 7_000_003] {
            clock.change(ms(5), ClockChange::Drift { ppm });
            for ahead in [1, 2, 3, 999, 1_000_007, 123_456_789] {
                let local = clock.local(ms(5)) + Duration::from_nanos(ahead);
                let at = clock.reaches(local).unwrap();
                assert!(clock.local(at) >= local, "{ppm} {ahead}");
                assert!(
                    clock.local(at - Duration::from_nanos(1)) < local,
                    "{ppm} {ahead}"
                );
            }
        }
        assert_eq!(clock.reaches(Duration::ZERO), Some(ms(5)), "long ago");
        assert_eq!(Clock::new().reaches(Duration::MAX), Some(Duration::MAX));
        assert_eq!(clock.reaches(Duration::MAX), None);
    }

    #[test]
    fn a_frozen_clock_goes_on_from_where_it_stood() {
        let mut clock = Clock::new();
        clock.change(ms(10), ClockChange::Freeze { lasts: ms(5) });
        clock.change(ms(12), ClockChange::Freeze { lasts: ms(1) });
        assert_eq!(clock.frozen_until(), Some(ms(15)));
        assert_eq!(clock.local(ms(14)), ms(10));
        assert_eq!(
            (clock.reaches(ms(11)), clock.reaches(ms(10))),
            (None, Some(ms(12)))
        );
        clock.thaw(ms(15));
        assert_eq!(clock.local(ms(16)), ms(11));
        assert_eq!(clock.reaches(ms(11)), Some(ms(16)));
    }

    #[test]
    fn jumps_move_both_clocks_and_steps_the_wall_clock_alone() {
        let mut clock = Clock::new();
        clock.change(ms(1), ClockChange::Jump { by: ms(100) });
        assert_eq!(
            (clock.local(ms(1)), clock.wall(ms(1))),
            (ms(101), WALL_START + ms(101))
        );
        clock.change(ms(1), ClockChange::StepBack { by: ms(300) });
        assert_eq!(
            (clock.local(ms(1)), clock.wall(ms(1))),
            (ms(101), WALL_START - ms(199))
        );
        clock.change(ms(1), ClockChange::StepForward { by: ms(500) });
        assert_eq!(
            (clock.local(ms(1)), clock.wall(ms(1))),
            (ms(101), WALL_START + ms(301))
        );
        clock.set_uptime(ms(1000));
        assert_eq!(
            (clock.local(ms(1)), clock.wall(ms(1))),
            (ms(1101), WALL_START + ms(301))
        );
    }
}
