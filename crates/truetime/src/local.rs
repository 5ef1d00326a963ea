use core::fmt;
use core::time::Duration;

use crate::Timestamp;

/// A reading of a machine's own oscillator: nanoseconds since an arbitrary start that is fixed for
/// the lifetime of the process. Not comparable between machines.
///
/// ```
/// use synod_truetime::Local;
///
/// assert_eq!(Local::from_nanos(9).nanos_since(Local::from_nanos(4)), 5);
/// assert_eq!(Local::from_nanos(4).nanos_since(Local::from_nanos(9)), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use]
pub struct Local(u64);

impl Local {
    /// The instant so many nanoseconds after the start.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `other` to this; 0 if this is the earlier one.
    #[must_use]
    #[inline]
    pub const fn nanos_since(self, other: Self) -> u64 {
        self.0.saturating_sub(other.0)
    }

    /// Later by so many nanoseconds, at most the last instant there is.
    #[inline]
    pub const fn later(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Duration::from_nanos(self.0).as_secs_f64(), f)
    }
}

/// The clocks of one machine. None of them is trusted alone: intervals are extrapolated by
/// [`local`](Self::local), and the others are used to detect when it was disrupted.
///
/// | | counts while the machine sleeps | is slewed | is stepped | Linux |
/// |---|---|---|---|---|
/// | `local` | no | no | no | `CLOCK_MONOTONIC_RAW` |
/// | `monotonic` | no | yes | no | `CLOCK_MONOTONIC` |
/// | `boottime` | yes | as `monotonic` | no | `CLOCK_BOOTTIME` |
/// | `realtime` | yes | as `monotonic` | yes | `CLOCK_REALTIME` |
///
/// `local` is not slewed because the drift bound is that of the oscillator: a daemon that corrects
/// an offset may slew the other clocks by a thousand times as much. `boottime - monotonic` is
/// constant except for suspends, `realtime - monotonic` except for steps and suspends, both to the
/// nanosecond.
///
/// The methods read; none of them may block.
pub trait Clocks: Send + Sync {
    /// The oscillator whose drift is bounded.
    fn local(&self) -> Local;

    /// Nanoseconds since some start, slewed by the daemon that disciplines the clock.
    fn monotonic(&self) -> u64;

    /// As [`monotonic`](Self::monotonic), but also counts while the machine is suspended.
    fn boottime(&self) -> u64;

    /// The wall clock, which may be set.
    fn realtime(&self) -> Timestamp;

    /// The granularity of `local` in nanoseconds: a reading is behind by at most so much. 1 for a
    /// clock that counts nanoseconds.
    #[inline]
    fn granularity(&self) -> u32 {
        1
    }

    /// Changes whenever the machine was paused or migrated with all its clocks, which only the hypervisor can
    /// report. Always 0 where it does not.
    #[inline]
    fn disruption_marker(&self) -> u64 {
        0
    }

    /// Whether the machine may be suspended. If not, reads skip that check.
    #[inline]
    fn may_sleep(&self) -> bool {
        true
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<C: Clocks + ?Sized> Clocks for $pointer {
            #[inline]
            fn local(&self) -> Local {
                (**self).local()
            }

            #[inline]
            fn monotonic(&self) -> u64 {
                (**self).monotonic()
            }

            #[inline]
            fn boottime(&self) -> u64 {
                (**self).boottime()
            }

            #[inline]
            fn realtime(&self) -> Timestamp {
                (**self).realtime()
            }

            #[inline]
            fn granularity(&self) -> u32 {
                (**self).granularity()
            }

            #[inline]
            fn disruption_marker(&self) -> u64 {
                (**self).disruption_marker()
            }

            #[inline]
            fn may_sleep(&self) -> bool {
                (**self).may_sleep()
            }
        }
    )*};
}

forward!(&C);
#[cfg(feature = "std")]
forward!(std::sync::Arc<C>, std::boxed::Box<C>);
