#[cfg(target_has_atomic = "64")]
use crate::Config;
#[cfg(target_has_atomic = "64")]
use crate::timestamp::nanos;
use crate::{Clocks, Disruption, Local};

/// An observation of all clocks of a machine; comparing two of them detects disruptions in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) local: Local,
    pub(crate) monotonic: u64,
    /// Nanoseconds of suspend since some start, a lower bound.
    pub(crate) asleep: u64,
    /// `realtime - monotonic`, which only sleep and steps change.
    pub(crate) wall: i64,
    /// The hypervisor's marker.
    pub(crate) marker: u64,
    /// The uncertainty of `wall`, because its two clocks are not read at the same instant.
    wall_slack: u64,
    /// The combined granularity of two readings of `local`.
    granules: u64,
}

impl Observation {
    #[cfg(target_has_atomic = "64")]
    pub(crate) fn new(local: Local, monotonic: u64, asleep: u64, wall: i64, marker: u64) -> Self {
        Self {
            local,
            monotonic,
            asleep,
            wall,
            marker,
            wall_slack: 0,
            granules: 0,
        }
    }

    /// Reads all clocks. A thread may be preempted between two readings, so it reads several times
    /// and uses the readings that are closest together.
    pub(crate) fn of(clocks: &(impl Clocks + ?Sized)) -> Self {
        let mut best = Self::once(clocks);
        for _ in 1..TRIES {
            if best.wall_slack <= SLEEP_SLACK_NANOS {
                break;
            }
            let again = Self::once(clocks);
            // Of lower bounds the greatest is the closest.
            let asleep = best.asleep.max(again.asleep);
            // The first marker, so that a change in between is detected by the next comparison.
            let marker = best.marker;
            if again.wall_slack < best.wall_slack {
                best = again;
            }
            (best.asleep, best.marker) = (asleep, marker);
        }
        best
    }

    fn once(clocks: &(impl Clocks + ?Sized)) -> Self {
        // The other clocks are read between two readings of this one, which bound the time between
        // them.
        let monotonic = clocks.monotonic();
        // Read before the others, so that a migration in between is detected by the next
        // observation.
        let marker = clocks.disruption_marker();
        let local = clocks.local();
        let realtime = clocks.realtime();
        let boottime = clocks.boottime();
        let after = clocks.monotonic();
        Self {
            local,
            monotonic,
            // Read after the boottime, the monotonic clock makes this too small if anything.
            asleep: boottime.saturating_sub(after),
            marker,
            wall: realtime.as_nanos().saturating_sub_unsigned(monotonic),
            wall_slack: after.saturating_sub(monotonic),
            granules: 2 * u64::from(clocks.granularity()),
        }
    }

    /// Detects disruptions between an earlier observation and this one.
    #[cfg(target_has_atomic = "64")]
    pub(crate) fn compare(&self, earlier: &Self, config: &Config) -> Result<(), Disruption> {
        self.compare_oscillator(earlier)?;
        let step_max = nanos(config.step_max).saturating_add(self.slack(earlier));
        if self.wall.abs_diff(earlier.wall) > step_max {
            return Err(Disruption::Stepped);
        }
        Ok(())
    }

    /// Detects disruptions of the oscillator only, ignoring steps of the wall clock.
    pub(crate) fn compare_oscillator(&self, earlier: &Self) -> Result<(), Disruption> {
        if self.marker != earlier.marker {
            return Err(Disruption::Moved);
        }
        if self.local < earlier.local || self.monotonic < earlier.monotonic {
            return Err(Disruption::Backwards);
        }
        if self.asleep > earlier.asleep.saturating_add(SLEEP_SLACK_NANOS) {
            return Err(Disruption::Suspended);
        }
        let counted = self.local.nanos_since(earlier.local);
        let slewed = self.monotonic.saturating_sub(earlier.monotonic);
        let apart_max = (counted.max(slewed) / SLEW_SHARE)
            .saturating_add(self.slack(earlier))
            .saturating_add(self.granules);
        if counted.abs_diff(slewed) > apart_max {
            return Err(Disruption::Rate);
        }
        Ok(())
    }

    /// The possible difference of two observations because their clocks were not read at the same
    /// instant.
    fn slack(&self, earlier: &Self) -> u64 {
        let read_apart = self.wall_slack.saturating_add(earlier.wall_slack);
        read_apart.saturating_add(READ_SLACK_NANOS)
    }
}

/// Whether the machine has been suspended for more than `asleep` nanoseconds in total plus
/// [`SLEEP_SLACK_NANOS`].
#[inline]
pub(crate) fn slept(clocks: &(impl Clocks + ?Sized), asleep: u64) -> bool {
    if !clocks.may_sleep() {
        return false;
    }
    for _ in 0..TRIES {
        // In this order the difference is never too small, so no suspend is missed; a thread that
        // was preempted in between gets the right value when it reads again.
        let monotonic = clocks.monotonic();
        let now = clocks.boottime().saturating_sub(monotonic);
        if now <= asleep.saturating_add(SLEEP_SLACK_NANOS) {
            return false;
        }
    }
    true
}

/// The longest undetected suspend, by which each interval is widened on a machine that may be suspended.
/// A real suspend takes milliseconds; this covers the time between two readings, some microseconds where
/// the kernel has no fast clock.
pub(crate) const SLEEP_SLACK_NANOS: u64 = 10_000;

/// The tolerated deviation of two clocks.
const READ_SLACK_NANOS: u64 = 1_000_000;

/// An eighth: chrony slews by at most a twelfth, the kernel by less.
const SLEW_SHARE: u64 = 8;

/// How often clocks are read before a deviation counts as real.
const TRIES: u32 = 8;
