use core::time::Duration;

use crate::source::Sample;
use crate::{BoundKind, Clocks, Drift, Interval, Local, Scale, Stratum, Timestamp};

/// A query about the wall clock, with readings of the machine's clocks before and after it.
///
/// Daemons and kernels bound the error of the *wall* clock at the instant of their answer. A
/// [`Sample`] is relative to the *oscillator* at an instant before the query. The wall clock may be
/// slewed in between, so it is read on both sides, and its gain or loss relative to the oscillator
/// is included in the interval:
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
/// Holds for a wall clock that is slewed in one direction during the question. The interval
/// includes a step too, but then the bound may be the one from before or after it, and
/// [`Disciplined`](crate::Disciplined) rejects the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    at: Local,
    /// The possible readings of the wall clock at `at`, from both sides of the query.
    wall: Interval,
    /// The time from `at` until after the answer, by the oscillator, with its granularity.
    taken_nanos: u64,
}

impl Question {
    /// Runs the query, and reads the clocks before and after it.
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

    /// The sample, if the error of the wall clock was at most so many nanoseconds at some instant of
    /// the query.
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

    /// An upper bound of the wall clock's reading before the query.
    pub const fn wall(&self) -> Timestamp {
        self.wall.latest()
    }

    /// How long the oscillator may count from the query until this UTC day ends, possibly with a
    /// leap second; `None` when the day may already have ended, given the bound and a margin of a
    /// second.
    #[must_use]
    pub fn until_leap(&self, bound_nanos: u64) -> Option<Duration> {
        let margin = bound_nanos.saturating_add(NANOS_PER_SECOND);
        let into_day = self.wall.earliest().as_nanos().rem_euclid(NANOS_PER_DAY);
        // The day may have just begun, with the leap second not applied yet.
        let left = u64::try_from(NANOS_PER_DAY - into_day).ok()?;
        let left = left.checked_sub(margin.saturating_add(self.wall.width_nanos()))?;
        if into_day.unsigned_abs() < margin {
            return None;
        }
        // A slow oscillator has counted less when the leap second occurs.
        let drift = Drift::from_ppb(Sample::DRIFT_PPB_LEAST);
        Some(Duration::from_nanos(drift.least(left)))
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_DAY: i64 = 86_400 * 1_000_000_000;
