use core::ops::Deref;
use core::time::Duration;

/// A source of physical time. A hybrid clock reads it once for each event.
///
/// It may be wrong and may step back: this does not affect the hybrid clock's order, only the
/// distance of its timestamps from true time. It may also report that the time is unknown: then
/// events get no timestamp, rather than one of a stopped clock.
///
/// Every closure that returns a `u64` or an `Option<u64>` is one, for instance around a cached
/// reading, a simulated clock, or a hardware clock. A clock behind a pointer (`&C`, `Arc<C>`,
/// `Box<dyn PhysicalClock>`) is wrapped in [`Through`].
///
/// ```
/// use core::cell::Cell;
/// use synod_lamport::hlc::{HybridClock, NowError};
///
/// let wall = Cell::new(Some(5_000_000)); // nanoseconds since 1970
/// let clock = HybridClock::new(|| wall.get());
/// let before = clock.now()?;
/// wall.set(Some(1_000_000)); // somebody sets the clock back
/// let after = clock.now()?;
/// assert!(before < after);
/// assert_eq!((after.ticks(), after.logical()), (5, 1));
/// wall.set(None); // its source is lost
/// assert_eq!(clock.now(), Err(NowError::Unknown));
/// # Ok::<(), NowError>(())
/// ```
pub trait PhysicalClock {
    /// Nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted; 0 before that. `None` if the
    /// time is not known.
    ///
    /// ```
    /// # use synod_lamport::hlc::PhysicalClock;
    /// assert_eq!((|| 7).now_nanos(), Some(7));
    /// ```
    fn now_nanos(&self) -> Option<u64>;

    /// How far a received timestamp may be ahead of this clock at present, if the clock knows the
    /// bound of its own error and of its peers'. `None` leaves it to
    /// [`with_lead_max`](super::HybridClock::with_lead_max).
    ///
    /// ```
    /// # use core::cell::Cell;
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, PhysicalClock, Through, Timestamp};
    /// struct Bounded(Cell<u64>);
    /// impl PhysicalClock for Bounded {
    ///     fn now_nanos(&self) -> Option<u64> {
    ///         Some(0)
    ///     }
    ///     fn lead_max(&self) -> Option<Duration> {
    ///         Some(2 * Duration::from_millis(self.0.get())) // its own error, and a peer's
    ///     }
    /// }
    /// let physical = Bounded(Cell::new(1));
    /// let clock = HybridClock::new(Through(&physical));
    /// let message = Timestamp::from_parts(5, 0).unwrap();
    /// assert!(clock.receive(message).is_err());
    /// physical.0.set(3);
    /// assert!(clock.receive(message).is_ok());
    /// ```
    fn lead_max(&self) -> Option<Duration> {
        None
    }
}

impl<F, R> PhysicalClock for F
where
    F: Fn() -> R,
    R: Into<Option<u64>>,
{
    #[inline]
    fn now_nanos(&self) -> Option<u64> {
        self().into()
    }
}

/// A physical clock behind a pointer: a reference, a `Box`, an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use synod_lamport::hlc::{HybridClock, PhysicalClock, SystemClock, Through};
///
/// let shared = Arc::new(SystemClock);
/// let (one, two) = (HybridClock::new(Through(shared.clone())), HybridClock::new(Through(shared)));
/// let any: Box<dyn PhysicalClock> = Box::new(|| 7_000_000);
/// let three = HybridClock::new(Through(any));
/// assert!(three.now()? < one.now()?.max(two.now()?));
/// # Ok::<(), synod_lamport::hlc::NowError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Through<P>(pub P);

impl<P> PhysicalClock for Through<P>
where
    P: Deref,
    P::Target: PhysicalClock,
{
    #[inline]
    fn now_nanos(&self) -> Option<u64> {
        self.0.now_nanos()
    }

    fn lead_max(&self) -> Option<Duration> {
        self.0.lead_max()
    }
}

/// The wall clock of the machine.
///
/// It returns 0 before 1970 and `u64::MAX` nanoseconds after 2554.
///
/// ```
/// use synod_lamport::hlc::{HybridClock, SystemClock};
///
/// let clock = HybridClock::new(SystemClock);
/// assert!(clock.now()? < clock.now()?);
/// # Ok::<(), synod_lamport::hlc::NowError>(())
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SystemClock;

#[cfg(feature = "std")]
impl PhysicalClock for SystemClock {
    #[inline]
    fn now_nanos(&self) -> Option<u64> {
        #[expect(
            clippy::disallowed_methods,
            reason = "passing this clock requests the machine's time"
        )]
        Some(unix_nanos(std::time::SystemTime::now()))
    }
}

#[cfg(feature = "std")]
#[inline]
fn unix_nanos(time: std::time::SystemTime) -> u64 {
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => since
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(since.subsec_nanos().into()),
        Err(_) => 0,
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// uhlc 0.9 panics there.
    #[test]
    fn uhlc_system_time_before_1970_panics() {
        assert_eq!(unix_nanos(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(unix_nanos(UNIX_EPOCH + Duration::new(1, 7)), 1_000_000_007);
        let year_2600 = Duration::from_secs(19_880_899_200);
        assert_eq!(unix_nanos(UNIX_EPOCH + year_2600), u64::MAX);
    }
}
