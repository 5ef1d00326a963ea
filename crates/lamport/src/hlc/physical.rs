/// A source of physical time. A hybrid clock reads it once for each event.
///
/// It may be wrong and it may step back: the hybrid clock's order does not suffer, only the
/// distance between its stamps and the true time. Every closure that gives a `u64` is one, and it
/// may hold whatever it needs: a cached reading, a simulated clock, a hardware clock.
///
/// ```
/// use core::cell::Cell;
/// use synod_lamport::hlc::HybridClock;
///
/// let wall = Cell::new(5_000_000); // nanoseconds since 1970
/// let clock = HybridClock::new(|| wall.get());
/// let before = clock.now()?;
/// wall.set(1_000_000); // somebody sets the clock back
/// let after = clock.now()?;
/// assert!(before < after);
/// assert_eq!((after.ticks(), after.logical()), (5, 1));
/// # Ok::<(), synod_lamport::hlc::NowError>(())
/// ```
pub trait PhysicalClock {
    /// Nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted; 0 before that.
    ///
    /// ```
    /// # use synod_lamport::hlc::PhysicalClock;
    /// assert_eq!((|| 7).now_nanos(), 7);
    /// ```
    fn now_nanos(&self) -> u64;
}

impl<F: Fn() -> u64> PhysicalClock for F {
    #[inline]
    fn now_nanos(&self) -> u64 {
        self()
    }
}

/// The wall clock of the machine.
///
/// It stands at 0 before 1970 and at `u64::MAX` nanoseconds after 2554.
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
    fn now_nanos(&self) -> u64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "who passes this clock asks for the machine's time"
        )]
        unix_nanos(std::time::SystemTime::now())
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
    use std::time::{Duration, UNIX_EPOCH};

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
