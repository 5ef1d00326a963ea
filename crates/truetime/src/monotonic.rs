use core::sync::atomic::AtomicU64;

use crate::register::MaxRegister;
use crate::{Disruption, Reading, TimeError, TrueTime};

/// A clock whose `earliest` never decreases.
///
/// If one reading ended before another began, in any thread, the later one has the same or a
/// greater `earliest`. This is sound, since true time does not go back. It makes intervals
/// narrower, never wider.
///
/// If `earliest` would exceed `latest`, the inner clock contradicts itself, and reading fails until
/// time has reached the earlier claim.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::sim::{Offset, World};
/// use synod_truetime::{Monotonic, TrueTime};
///
/// let world = World::new(7);
/// let inner = Offset::new(&world, 900_000, Duration::from_millis(1));
/// let clock = Monotonic::new(&inner);
/// let before = clock.now()?;
/// inner.set_offset(-900_000); // still within its bound, on the other side
/// assert!(inner.now()?.earliest() < before.earliest());
/// assert_eq!(clock.now()?.earliest(), before.earliest());
/// # Ok::<(), synod_truetime::TimeError>(())
/// ```
#[derive(Debug)]
pub struct Monotonic<T> {
    inner: T,
    earliest: MaxRegister<AtomicU64>,
}

impl<T: TrueTime> Monotonic<T> {
    /// Wraps a clock.
    #[must_use]
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            earliest: MaxRegister::new(AtomicU64::new(0)),
        }
    }

    /// The clock inside.
    pub fn inner(&self) -> &T {
        &self.inner
    }
}

impl<T: TrueTime> TrueTime for Monotonic<T> {
    fn read(&self) -> Result<Reading, TimeError> {
        // The greatest value from before this reading began. Values added by other threads during it
        // belong to later instants, and contradict nothing.
        let earliest = self.earliest.greatest();
        let reading = self.inner.read()?;
        let Some(interval) = reading.interval.not_before(earliest) else {
            return Err(TimeError::Disrupted(Disruption::Contradiction));
        };
        let _ = self.earliest.raise(interval.earliest());
        Ok(Reading {
            interval,
            ..reading
        })
    }
}
