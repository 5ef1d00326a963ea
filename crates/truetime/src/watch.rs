#[cfg(target_has_atomic = "64")]
use crate::Config;
#[cfg(target_has_atomic = "64")]
use crate::timestamp::nanos;
use crate::{Clocks, Disruption, Local};

/// The clocks of a machine seen together, so that two such views tell what happened in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) local: Local,
    pub(crate) monotonic: u64,
    /// Nanoseconds of sleep since some start, never more than there were.
    pub(crate) asleep: u64,
    /// `realtime - monotonic`, which only sleep and steps change.
    pub(crate) wall: i64,
    /// What the hypervisor's marker showed.
    pub(crate) marker: u64,
    /// How far `wall` may be off, because the two are not read at once.
    wall_slack: u64,
    /// By how much two readings of `local` may be off together.
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

    /// Reads all clocks. A thread that is stopped between two readings sees them apart, so it reads
    /// several times and takes what was read closest together.
    pub(crate) fn of(clocks: &(impl Clocks + ?Sized)) -> Self {
        let mut best = Self::once(clocks);
        for _ in 1..TRIES {
            if best.wall_slack <= SLEEP_SLACK_NANOS {
                break;
            }
            let again = Self::once(clocks);
            // Of lower bounds the greatest is the closest.
            let asleep = best.asleep.max(again.asleep);
            // The marker as it was first: a change in between is then seen by whoever compares.
            let marker = best.marker;
            if again.wall_slack < best.wall_slack {
                best = again;
            }
            (best.asleep, best.marker) = (asleep, marker);
        }
        best
    }

    fn once(clocks: &(impl Clocks + ?Sized)) -> Self {
        // All others between two readings of the same one, which tell how far apart they may be.
        let monotonic = clocks.monotonic();
        // Before the others: then whoever is moved between the two is found out by the next look.
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

    /// What happened between an earlier view and this one.
    #[cfg(target_has_atomic = "64")]
    pub(crate) fn compare(&self, earlier: &Self, config: &Config) -> Result<(), Disruption> {
        self.compare_oscillator(earlier)?;
        let step_max = nanos(config.step_max).saturating_add(self.slack(earlier));
        if self.wall.abs_diff(earlier.wall) > step_max {
            return Err(Disruption::Stepped);
        }
        Ok(())
    }

    /// What happened to the oscillator; that the wall clock was set is no matter.
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

    /// What two views differ by because their clocks were not read at once.
    fn slack(&self, earlier: &Self) -> u64 {
        let read_apart = self.wall_slack.saturating_add(earlier.wall_slack);
        read_apart.saturating_add(READ_SLACK_NANOS)
    }
}

/// Whether the machine has slept since it had slept for `asleep` nanoseconds, by more than
/// [`SLEEP_SLACK_NANOS`].
#[inline]
pub(crate) fn slept(clocks: &(impl Clocks + ?Sized), asleep: u64) -> bool {
    if !clocks.may_sleep() {
        return false;
    }
    for _ in 0..TRIES {
        // In this order the difference is too great if anything, so no sleep stays hidden; and a
        // thread that was stopped in between sees its error gone when it looks again.
        let monotonic = clocks.monotonic();
        let now = clocks.boottime().saturating_sub(monotonic);
        if now <= asleep.saturating_add(SLEEP_SLACK_NANOS) {
            return false;
        }
    }
    true
}

/// Sleep that may stay hidden, and that each interval of a machine that may sleep is wider by. Real sleep
/// takes milliseconds; this is for the time between two readings, some microseconds where the kernel
/// has no fast clock.
pub(crate) const SLEEP_SLACK_NANOS: u64 = 10_000;

/// Readings that are a millisecond apart are not yet clocks that ran apart.
const READ_SLACK_NANOS: u64 = 1_000_000;

/// An eighth: chrony slews by at most a twelfth, the kernel by less.
const SLEW_SHARE: u64 = 8;

/// How often clocks are read again before the worst is believed.
const TRIES: u32 = 8;
