use rustix::time::{ClockId, clock_gettime};

use crate::{Clocks, Local, Timestamp};

/// The clocks of this machine, by the vDSO: about 25 ns each. Linux only, because other systems do not
/// reveal whether the machine was suspended.
///
/// ```
/// use synod_truetime::{Clocks, SystemClocks};
///
/// let clocks = SystemClocks::new();
/// let before = clocks.local();
/// assert!(clocks.local() >= before);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SystemClocks {
    sleepless: bool,
}

impl SystemClocks {
    /// Clocks of a machine that may be suspended: each read checks for it.
    #[must_use]
    pub const fn new() -> Self {
        Self { sleepless: false }
    }

    /// Clocks of a machine that is never suspended: a reading of an interval reads one clock instead of
    /// three. If it is suspended after all, intervals are wrong until the next sample.
    #[must_use]
    pub const fn sleepless() -> Self {
        Self { sleepless: true }
    }
}

impl Clocks for SystemClocks {
    #[inline]
    fn local(&self) -> Local {
        Local::from_nanos(read(ClockId::MonotonicRaw).cast_unsigned())
    }

    #[inline]
    fn monotonic(&self) -> u64 {
        read(ClockId::Monotonic).cast_unsigned()
    }

    #[inline]
    fn boottime(&self) -> u64 {
        read(ClockId::Boottime).cast_unsigned()
    }

    #[inline]
    fn realtime(&self) -> Timestamp {
        Timestamp::from_nanos(read(ClockId::Realtime))
    }

    #[inline]
    fn may_sleep(&self) -> bool {
        !self.sleepless
    }
}

/// Only the wall clock can be negative, and it can be set to beyond the end of time.
#[inline]
fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    let seconds = time.tv_sec.saturating_mul(1_000_000_000);
    seconds.saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_of_this_machine_go_on_together() {
        let clocks = SystemClocks::new();
        let (local, monotonic, boottime) = (clocks.local(), clocks.monotonic(), clocks.boottime());
        while clocks.local().nanos_since(local) < 1_000_000 {}
        assert!(clocks.monotonic() - monotonic > 500_000);
        assert!(clocks.boottime() - boottime > 500_000);
        assert!(clocks.boottime() >= clocks.monotonic() - 1_000_000);
        assert!(clocks.realtime() > Timestamp::UNIX_EPOCH);
    }
}
