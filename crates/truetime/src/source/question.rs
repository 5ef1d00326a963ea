use core::time::Duration;

use crate::source::Sample;
use crate::{BoundKind, Clocks, Drift, Interval, Local, Scale, Stratum, Timestamp};

/// A question about the wall clock, and what the machine's clocks showed around it.
///
/// Daemons and kernels bound the error of the *wall* clock, at the instant when they answer. A
/// [`Sample`] speaks of the *oscillator*, at an instant before they were asked. In between the wall
/// clock may be slewed, so it is read on both sides, and what it gained or lost on the oscillator
/// goes into the interval:
///
/// ```text
///  oscillator   at       l1                        l2      after
///  ─────────────┼───┬────┼────── the question ─────┼───┬────┼──────▶
///  wall clock       r1         ±bound, somewhere       r2
///
///  wall − oscillator   within [r1 − l1, r1 − at] before, within [r2 − after, r2 − l2] behind it,
///                      and between the extremes of both during the question
/// ```
///
/// Holds for a wall clock that is slewed in one direction during the question. A step is inside the
/// interval too, but then the bound is the one from before or from behind it, and
/// [`Disciplined`](crate::Disciplined) refuses the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    at: Local,
    /// Where the wall clock may have stood at `at`, judged by either side of the question.
    wall: Interval,
    /// From `at` until after the answer, by the oscillator, with what a reading may be behind.
    taken_nanos: u64,
}

impl Question {
    /// Asks, and looks at the clocks before and after.
    pub fn ask<C: Clocks + ?Sized, T>(clocks: &C, ask: impl FnOnce() -> T) -> (Self, T) {
        let at = clocks.local();
        let wall_before = clocks.realtime();
        let asked = clocks.local();
        let answer = ask();
        let answered = clocks.local();
        let wall_after = clocks.realtime();
        let after = clocks.local();

        let granule = u64::from(clocks.granularity());
        let since = |local: Local| local.nanos_since(at);
        let early = wall_before
            .earlier(since(asked))
            .min(wall_after.earlier(since(after)));
        let late = wall_before.max(wall_after.earlier(since(answered)));
        let question = Self {
            at,
            // The wall clock counts nanoseconds: a reading is less than one of them behind.
            wall: Interval::spanning(early, late).widen(granule + 1),
            taken_nanos: since(after).saturating_add(granule),
        };
        (question, answer)
    }

    /// The sample, if the wall clock was wrong by at most so many nanoseconds at some instant of the
    /// question.
    #[must_use]
    pub fn sample(&self, bound_nanos: u64) -> Sample {
        let drift = Drift::from_ppb(Sample::DRIFT_PPB_LEAST);
        let bound_nanos = bound_nanos.saturating_add(drift.growth(self.taken_nanos));
        Sample {
            at: self.at,
            interval: self.wall.widen(bound_nanos),
            drift_ppb: 0,
            valid_for: Duration::MAX,
            bound: BoundKind::Hard,
            stratum: Stratum::NONE,
            scale: Scale::Utc,
        }
    }

    /// What the wall clock showed before the question, at most.
    pub const fn wall(&self) -> Timestamp {
        self.wall.latest()
    }

    /// How long the oscillator may count from the question on before this UTC day ends, which a leap
    /// second may move; `None` when it may already have come, the bound and a second considered.
    #[must_use]
    pub fn until_leap(&self, bound_nanos: u64) -> Option<Duration> {
        let margin = bound_nanos.saturating_add(NANOS_PER_SECOND);
        let into_day = self.wall.earliest().as_nanos().rem_euclid(NANOS_PER_DAY);
        // The day may have begun a moment ago with the leap not yet made.
        let left = u64::try_from(NANOS_PER_DAY - into_day).ok()?;
        let left = left.checked_sub(margin.saturating_add(self.wall.width_nanos()))?;
        if into_day.unsigned_abs() < margin {
            return None;
        }
        // A slow oscillator has not counted all of it when the leap comes.
        let drift = Drift::from_ppb(Sample::DRIFT_PPB_LEAST);
        Some(Duration::from_nanos(drift.least(left)))
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_DAY: i64 = 86_400 * 1_000_000_000;
