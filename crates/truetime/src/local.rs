use core::fmt;
use core::time::Duration;

use crate::Timestamp;

/// A reading of a machine's own oscillator: nanoseconds since some start, the same one for the whole
/// life of the process. Between two machines it means nothing.
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

/// The clocks of one machine. None of them is trusted alone: an interval is extrapolated by
/// [`local`](Self::local), and the others tell when that one has been cheated.
///
/// | | counts while the machine sleeps | is slewed | is stepped | Linux |
/// |---|---|---|---|---|
/// | `local` | no | no | no | `CLOCK_MONOTONIC_RAW` |
/// | `monotonic` | no | yes | no | `CLOCK_MONOTONIC` |
/// | `boottime` | yes | as `monotonic` | no | `CLOCK_BOOTTIME` |
/// | `realtime` | yes | as `monotonic` | yes | `CLOCK_REALTIME` |
///
/// `local` is not slewed because a drift bound speaks of an oscillator: a daemon that corrects an
/// offset may slew the others by a thousand times as much. `boottime - monotonic` is constant but
/// for sleep, `realtime - monotonic` is constant but for steps and sleep, both to the nanosecond.
///
/// The methods read; none of them may block.
pub trait Clocks: Send + Sync {
    /// The oscillator whose drift is bounded.
    fn local(&self) -> Local;

    /// Nanoseconds since some start, slewed by whoever disciplines the clock.
    fn monotonic(&self) -> u64;

    /// As [`monotonic`](Self::monotonic), and it counts the time that the machine sleeps.
    fn boottime(&self) -> u64;

    /// What the machine takes for the time; it may be set.
    fn realtime(&self) -> Timestamp;

    /// How many nanoseconds may lie between two different readings of `local`: a reading is at most
    /// so much behind. 1 for a clock that counts nanoseconds.
    #[inline]
    fn granularity(&self) -> u32 {
        1
    }

    /// Changes whenever the machine was stopped or moved with all its clocks, which none of them shows. Only the
    /// hypervisor knows; 0 for ever where nobody tells.
    #[inline]
    fn disruption_marker(&self) -> u64 {
        0
    }

    /// Whether the machine may sleep. If not, no time is spent on looking whether it did.
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
