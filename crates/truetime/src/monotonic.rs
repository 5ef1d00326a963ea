use core::sync::atomic::AtomicU64;

use crate::register::MaxRegister;
use crate::{Disruption, Reading, TimeError, TrueTime};

/// A clock whose `earliest` never decreases.
///
/// Of two readings, one of which ended before the other began, the later one has the same or a
/// greater `earliest`, in all threads. That is sound, since true time does not go back: what was
/// certainly past stays so. It makes intervals narrower, and never wider.
///
/// If `earliest` would pass `latest`, the inner clock contradicts itself, and there is an error: until
/// time has come to where the clock once said it was.
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
/// inner.set_offset(-900_000); // as honest, and to the other side
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
    /// Begins with what the inner clock says.
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
        // What had been said before this reading began. What others say while this thread is stopped in
        // the middle of it is of a later instant, and contradicts nothing.
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
