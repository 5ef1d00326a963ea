use core::fmt;
use core::time::Duration;

use crate::{Interval, Scale, Stratum, Timestamp};

/// A clock with bounded uncertainty: Spanner's `TT` (OSDI 2012, table 1).
///
/// Every method takes `&self`, so one clock serves all threads, and the trait is object-safe. It
/// fails closed: it returns a correct interval or an error.
///
/// Guarantee: the interval contains true time at some instant between the call and the return. A
/// [`Statistical`](BoundKind::Statistical) bound guarantees it with the stated probability.
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
    /// The interval and its status.
    ///
    /// # Errors
    /// [`TimeError`] if the clock has no interval.
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

/// A reading of a [`TrueTime`] clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Contains true time.
    pub interval: Interval,
    /// Whether the source has answered recently.
    pub status: Status,
    /// What kind of promise the interval is.
    pub bound: BoundKind,
    /// The distance of this clock from a reference clock, as reported by its source.
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

/// How recent an interval's sample is. A clock that is unsynchronised or disrupted returns an error
/// instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// The source answered recently.
    Synchronized,
    /// The source has not answered for a while; the interval is still correct, and growing.
    Holdover,
}

/// The kind of a bound. The greater one is the weaker guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BoundKind {
    /// It holds as long as all its components keep their stated limits: delays, dispersions, the
    /// drift of the oscillator.
    Hard,
    /// It was estimated from the behaviour of the clock, and is wrong with some probability.
    Statistical {
        /// The most readings in a billion that are expected to be wrong.
        miss_ppb: u32,
    },
}

impl BoundKind {
    /// The kind of a bound that holds only if both hold.
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

/// Why a clock has no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// No source has provided an acceptable sample yet.
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
    /// The interval is wider than the configured limit.
    #[error("the bound is {epsilon:?}, at most {epsilon_max:?} is allowed")]
    BoundTooWide {
        /// Half the width.
        epsilon: Duration,
        /// The limit.
        epsilon_max: Duration,
    },
    /// The clocks were disrupted since the last sample.
    #[error("the clock was disrupted: {0}")]
    Disrupted(Disruption),
    /// The oscillator does not keep its drift bound.
    #[cfg(target_has_atomic = "64")]
    #[error(transparent)]
    OutOfBound(#[from] crate::OutOfBound),
}

/// A disruption of the clocks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Disruption {
    /// The machine was suspended, and its oscillator did not count.
    Suspended,
    /// The wall clock was set.
    Stepped,
    /// One clock stopped or ran at a wrong rate relative to another.
    Rate,
    /// The oscillator went back.
    Backwards,
    /// Two samples contradict each other: the oscillator broke its bound, or the source did.
    Contradiction,
    /// The source reports a disruption.
    Source,
    /// The oscillator does not keep its drift bound.
    Oscillator,
    /// The hypervisor has paused or migrated the machine with all its clocks.
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
