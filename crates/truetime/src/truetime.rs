use core::fmt;
use core::time::Duration;

use crate::{Interval, Scale, Stratum, Timestamp};

/// A clock that knows how wrong it may be: Spanner's `TT` (OSDI 2012, table 1).
///
/// Every method takes `&self`, so one clock serves all threads, and the trait can be made into an
/// object. It fails closed: an interval is right, or there is an error and no interval.
///
/// The promise: the interval contains true time at some instant between the call and the return.
/// A bound that is [`Statistical`](BoundKind::Statistical) is a promise with the stated odds.
///
/// ```
/// use synod_truetime::{Interval, Reading, TimeError, Timestamp, TrueTime};
///
/// struct Stopped(Interval);
///
/// impl TrueTime for Stopped {
///     fn read(&self) -> Result<Reading, TimeError> {
///         Ok(Reading::synchronized(self.0))
///     }
/// }
///
/// let at = Timestamp::from_nanos;
/// let clock: &dyn TrueTime = &Stopped(Interval::new(at(10), at(20)).unwrap());
/// assert!(clock.after(at(9))?);   // 9 is certainly past
/// assert!(clock.before(at(21))?); // 21 has certainly not come
/// assert!(!clock.after(at(15))? && !clock.before(at(15))?);
/// # Ok::<(), TimeError>(())
/// ```
pub trait TrueTime: Send + Sync {
    /// The interval, and what to think of it.
    ///
    /// # Errors
    /// [`TimeError`] if the clock knows no interval.
    fn read(&self) -> Result<Reading, TimeError>;

    /// `TT.now()`: the interval alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn now(&self) -> Result<Interval, TimeError> {
        Ok(self.read()?.interval)
    }

    /// `TT.after(t)`: whether `t` has certainly passed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn after(&self, t: Timestamp) -> Result<bool, TimeError> {
        Ok(t < self.now()?.earliest())
    }

    /// `TT.before(t)`: whether `t` has certainly not arrived.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn before(&self, t: Timestamp) -> Result<bool, TimeError> {
        Ok(self.now()?.latest() < t)
    }
}

/// What a [`TrueTime`] clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// True time lies in it.
    pub interval: Interval,
    /// Whether the source still stands behind it.
    pub status: Status,
    /// What kind of promise the interval is.
    pub bound: BoundKind,
    /// How far this clock is from whoever knows the time, as far as its source says.
    pub stratum: Stratum,
    /// On which scale the interval is.
    pub scale: Scale,
}

impl Reading {
    /// A reading of a synchronised clock with a hard bound.
    #[must_use]
    pub const fn synchronized(interval: Interval) -> Self {
        Self {
            interval,
            status: Status::Synchronized,
            bound: BoundKind::Hard,
            stratum: Stratum::NONE,
            scale: Scale::Utc,
        }
    }
}

/// Where an interval comes from. A clock that does not know the time, or has been disrupted, has no
/// status: it has an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// The source answered lately.
    Synchronized,
    /// The source has not answered for a while; the interval is as true, and growing.
    Holdover,
}

/// What kind of promise a bound is. The greater one is the weaker promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BoundKind {
    /// It holds as long as every part it was made of keeps its stated limit: delays, dispersions, the
    /// drift of the oscillator.
    Hard,
    /// It was estimated from how the clock behaved, and may be broken by chance.
    Statistical {
        /// How many readings of a thousand million are expected to be wrong, at most.
        miss_ppb: u32,
    },
}

impl BoundKind {
    /// Of a bound that holds only if both hold.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Hard, kind) | (kind, Self::Hard) => kind,
            (Self::Statistical { miss_ppb: one }, Self::Statistical { miss_ppb: two }) => {
                Self::Statistical {
                    miss_ppb: one.saturating_add(two),
                }
            }
        }
    }
}

/// Why a clock does not know the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// No source has told the time yet, or none that could be believed.
    #[error("the clock is not synchronised")]
    NotSynchronized,
    /// The last sample is too old.
    #[error("the clock was last synchronised {age:?} ago, at most {age_max:?} is allowed")]
    Stale {
        /// Since the sample was taken.
        age: Duration,
        /// The limit, the sample's or the clock's.
        age_max: Duration,
    },
    /// The interval is known, but wider than its user can use.
    #[error("the bound is {epsilon:?}, at most {epsilon_max:?} is allowed")]
    BoundTooWide {
        /// Half the width.
        epsilon: Duration,
        /// The limit.
        epsilon_max: Duration,
    },
    /// Something happened to the clocks since the last sample.
    #[error("the clock was disrupted: {0}")]
    Disrupted(Disruption),
    /// The oscillator does not keep the bound that intervals are extrapolated by.
    #[cfg(target_has_atomic = "64")]
    #[error(transparent)]
    OutOfBound(#[from] crate::OutOfBound),
}

/// What happened to the clocks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Disruption {
    /// The machine slept, and its oscillator did not count.
    Suspended,
    /// Somebody set the wall clock.
    Stepped,
    /// One clock stood still or ran off while another went on.
    Rate,
    /// The oscillator went back.
    Backwards,
    /// Two samples contradict each other: the oscillator broke its bound, or the source did.
    Contradiction,
    /// The source says that something happened to it.
    Source,
    /// The oscillator does not keep its drift bound.
    Oscillator,
    /// The hypervisor has stopped or moved the machine with all its clocks.
    Moved,
}

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspended => "the machine was suspended",
            Self::Stepped => "the wall clock was set",
            Self::Rate => "the clocks ran apart",
            Self::Backwards => "the oscillator went back",
            Self::Contradiction => "two samples contradict each other",
            Self::Source => "the source was disrupted",
            Self::Oscillator => "the oscillator does not keep its drift bound",
            Self::Moved => "the machine was stopped or moved with all its clocks",
        })
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: TrueTime + ?Sized> TrueTime for $pointer {
            #[inline]
            fn read(&self) -> Result<Reading, TimeError> {
                (**self).read()
            }

            #[inline]
            fn now(&self) -> Result<Interval, TimeError> {
                (**self).now()
            }

            #[inline]
            fn after(&self, t: Timestamp) -> Result<bool, TimeError> {
                (**self).after(t)
            }

            #[inline]
            fn before(&self, t: Timestamp) -> Result<bool, TimeError> {
                (**self).before(t)
            }
        }
    )*};
}

forward!(&T);
#[cfg(feature = "std")]
forward!(std::sync::Arc<T>, std::boxed::Box<T>);
