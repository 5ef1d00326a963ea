//! The clocks that reads by lease rest on, held against each other.

use std::fmt;
use std::time::Duration;

/// One look at the clocks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The clock that the cores are given. It may stand still while the machine is suspended.
    pub(crate) given: Duration,
    /// One that goes on while the machine is suspended.
    pub(crate) boot: Duration,
    /// One whose rate nothing corrects.
    pub(crate) raw: Duration,
}

/// The clocks of a machine. Tests have others.
pub(crate) trait Clocks: Send {
    /// `None` if the machine has no such clocks.
    fn read(&self) -> Option<Reading>;
}

/// Finds out that the clock of the cores is not what the stated drift says: that the machine was
/// suspended, or that the clock was driven faster or slower than that.
///
/// A lease read looks at the cores' clock, and at the others behind that: whatever happened to the first
/// before it was read shows in the others. A machine that stands still with *all* its clocks, as a virtual
/// machine does that is stopped and continued, shows nothing, and breaks the bound that its configuration
/// states.
pub(crate) struct Guard {
    clocks: Box<dyn Clocks>,
    drift_ppm: u32,
    /// What later readings are held against.
    since: Option<Reading>,
}

impl Guard {
    /// `drift_ppm`: by how many parts per million clocks may differ from true time.
    pub(crate) fn new(clocks: Box<dyn Clocks>, drift_ppm: u32) -> Self {
        Self {
            clocks,
            drift_ppm,
            since: None,
        }
    }

    /// Whether the clocks agree with what they showed before. If not, nothing that counted on them does
    /// any more; from then on the present readings count. A machine without a second clock never agrees.
    pub(crate) fn agrees(&mut self) -> bool {
        let Some(now) = self.clocks.read() else {
            return false;
        };
        let Some(since) = self.since.replace(now) else {
            return true;
        };
        let given = now.given.saturating_sub(since.given);
        let allowed = given.as_nanos() * u128::from(self.drift_ppm) / 1_000_000;
        let allowed = allowed + SLACK.as_nanos();
        let agrees = |before: Duration, after: Duration| {
            let passed = after.saturating_sub(before);
            passed.abs_diff(given).as_nanos() <= allowed
        };
        let agree = agrees(since.boot, now.boot) && agrees(since.raw, now.raw);
        // Small differences add up until they show: the reference stays for a while.
        if agree && given < WINDOW {
            self.since = Some(since);
        }
        agree
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = &mut f.debug_struct("Guard");
        guard.field("since", &self.since).finish_non_exhaustive()
    }
}

/// The clocks of this machine.
#[derive(Debug)]
pub(crate) struct Machine;

impl Clocks for Machine {
    #[cfg(target_os = "linux")]
    fn read(&self) -> Option<Reading> {
        use rustix::time::{ClockId, clock_gettime};
        let read = |id| {
            let time = clock_gettime(id);
            let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
            let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
            Duration::new(seconds, nanos)
        };
        Some(Reading {
            given: read(ClockId::Monotonic),
            boot: read(ClockId::Boottime),
            raw: read(ClockId::MonotonicRaw),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn read(&self) -> Option<Reading> {
        None
    }
}

/// The clocks are read one after the other. Who is interrupted for longer in between confirms a read.
const SLACK: Duration = Duration::from_millis(2);
/// For how long readings are held against the same one.
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Fake(Arc<Mutex<Option<Reading>>>);

    impl Clocks for Fake {
        fn read(&self) -> Option<Reading> {
            *self.0.lock().unwrap()
        }
    }

    /// A guard with a bound of 1000 ppm, after readings whose clocks have advanced by so many
    /// milliseconds each time.
    fn agree(steps: &[(u64, u64, u64)]) -> Vec<bool> {
        let ms = Duration::from_millis;
        let mut shown = Reading {
            given: ms(0),
            boot: ms(70_000),
            raw: ms(5),
        };
        let clocks = Arc::new(Mutex::new(Some(shown)));
        let mut guard = Guard::new(Box::new(Fake(clocks.clone())), 1000);
        assert!(guard.agrees(), "there is nothing to disagree with");
        let mut step = |(given, boot, raw): &(u64, u64, u64)| {
            shown.given += ms(*given);
            shown.boot += ms(*boot);
            shown.raw += ms(*raw);
            *clocks.lock().unwrap() = Some(shown);
            guard.agrees()
        };
        steps.iter().map(&mut step).collect()
    }

    #[test]
    fn a_suspension_shows_once() {
        let seen = agree(&[(100, 100, 100), (1, 5000, 1), (100, 100, 100)]);
        assert_eq!(seen, [true, false, true]);
    }

    #[test]
    fn a_clock_that_is_driven_too_fast_or_too_slowly_shows() {
        assert_eq!(agree(&[(1000, 1000, 998)]), [true]);
        assert_eq!(agree(&[(1000, 1000, 996)]), [false]);
        assert_eq!(agree(&[(1000, 1000, 1004)]), [false]);
        // A step of the cores' clock, which no clock of its kind should make.
        assert_eq!(agree(&[(1000, 1000, 0)]), [false]);
    }

    #[test]
    fn small_differences_add_up() {
        let seen = agree(&[(100, 100, 99); 4]);
        assert_eq!(seen, [true, true, false, true]);
    }

    #[test]
    fn without_a_second_clock_nothing_agrees() {
        let mut guard = Guard::new(Box::new(Fake(Arc::default())), 1000);
        assert!(!guard.agrees());
        assert!(!guard.agrees());
    }
}
