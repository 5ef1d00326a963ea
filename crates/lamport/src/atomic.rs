use core::sync::atomic::AtomicU64;

use crate::word::{Word, advance};
use crate::{LamportClock, LamportTime, Overflow, ReceiveError, rules};

/// A Lamport clock for several threads: every method takes `&self`, and there is no lock. An event
/// costs one compare-and-swap, plus one for each concurrent event of another thread.
///
/// It is the clock of one process, whose threads are a single source of events: each event gets a
/// unique time, and a thread that has observed another's event gets greater times. Reading a time
/// also makes writes before its event visible.
///
/// Invariants: those of [`LamportClock`], in the order of the word's modifications.
///
/// ```
/// use std::thread;
/// use synod_lamport::{AtomicLamportClock, LamportTime};
///
/// static CLOCK: AtomicLamportClock = AtomicLamportClock::new(LamportTime::ZERO);
///
/// let workers: Vec<_> = (0..4)
///     .map(|_| thread::spawn(|| (0..100).filter_map(|_| CLOCK.tick().ok()).collect::<Vec<_>>()))
///     .collect();
/// let mut times: Vec<_> = workers.into_iter().flat_map(|it| it.join().unwrap()).collect();
/// times.sort();
/// times.dedup();
/// assert_eq!(times.len(), 400); // no time was given twice
/// assert_eq!(CLOCK.now().as_u64(), 400);
/// ```
#[derive(Debug)]
pub struct AtomicLamportClock {
    shared: Shared<AtomicU64>,
}

/// The clock on any kind of word.
#[derive(Debug)]
pub(crate) struct Shared<W> {
    now: W,
    jump_max: u64,
}

impl AtomicLamportClock {
    /// A clock that shows `start`; see [`LamportClock::new`].
    ///
    /// ```
    /// # use synod_lamport::{AtomicLamportClock, LamportTime};
    /// let clock = AtomicLamportClock::new(LamportTime::new(9));
    /// assert_eq!(clock.now().as_u64(), 9);
    /// ```
    #[must_use]
    pub const fn new(start: LamportTime) -> Self {
        Self {
            shared: Shared::new(
                AtomicU64::new(start.as_u64()),
                LamportClock::JUMP_MAX_DEFAULT,
            ),
        }
    }

    /// Sets how far ahead of this clock the time of a message may be; see
    /// [`LamportClock::with_jump_max`].
    ///
    /// ```
    /// # use synod_lamport::{AtomicLamportClock, LamportTime};
    /// let clock = AtomicLamportClock::new(LamportTime::ZERO).with_jump_max(10);
    /// assert!(clock.receive(LamportTime::new(11)).is_err());
    /// ```
    #[must_use]
    pub const fn with_jump_max(mut self, jump_max: u64) -> Self {
        self.shared.jump_max = jump_max;
        self
    }

    /// The time of the latest event. Not itself an event.
    ///
    /// ```
    /// # use synod_lamport::{AtomicLamportClock, LamportTime};
    /// assert_eq!(AtomicLamportClock::default().now(), LamportTime::ZERO);
    /// ```
    #[must_use]
    pub fn now(&self) -> LamportTime {
        self.shared.now()
    }

    /// A local event, or the sending of a message: returns its unique time.
    ///
    /// # Errors
    /// [`Overflow`] at [`LamportTime::MAX`].
    ///
    /// ```
    /// # use synod_lamport::AtomicLamportClock;
    /// let clock = AtomicLamportClock::default();
    /// assert!(clock.tick()? < clock.tick()?);
    /// # Ok::<(), synod_lamport::Overflow>(())
    /// ```
    #[inline]
    pub fn tick(&self) -> Result<LamportTime, Overflow> {
        self.shared.tick()
    }

    /// The receipt of a message that carries `time`: returns the receiving event's own time, above
    /// it and above all earlier times of this clock.
    ///
    /// # Errors
    /// As [`LamportClock::receive`].
    ///
    /// ```
    /// # use synod_lamport::{AtomicLamportClock, LamportTime};
    /// let clock = AtomicLamportClock::default();
    /// assert_eq!(clock.receive(LamportTime::new(41))?.as_u64(), 42);
    /// assert_eq!(clock.receive(LamportTime::new(7))?.as_u64(), 43);
    /// # Ok::<(), synod_lamport::ReceiveError>(())
    /// ```
    #[inline]
    pub fn receive(&self, time: LamportTime) -> Result<LamportTime, ReceiveError> {
        self.shared.receive(time)
    }
}

impl<W: Word> Shared<W> {
    pub(crate) const fn new(now: W, jump_max: u64) -> Self {
        Self { now, jump_max }
    }

    #[inline]
    pub(crate) fn now(&self) -> LamportTime {
        LamportTime::new(self.now.read())
    }

    #[inline]
    pub(crate) fn tick(&self) -> Result<LamportTime, Overflow> {
        advance(&self.now, rules::tick).map(LamportTime::new)
    }

    #[inline]
    pub(crate) fn receive(&self, time: LamportTime) -> Result<LamportTime, ReceiveError> {
        advance(&self.now, |now| {
            rules::receive(now, time.as_u64(), self.jump_max)
        })
        .map(LamportTime::new)
    }
}

impl Default for AtomicLamportClock {
    fn default() -> Self {
        Self::new(LamportTime::ZERO)
    }
}
