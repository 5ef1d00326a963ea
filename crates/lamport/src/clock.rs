use crate::{LamportTime, Overflow, ReceiveError, rules};

/// A Lamport clock for a single owner.
///
/// Invariants:
/// - the time never decreases;
/// - every event gets a time above all earlier events and all received times;
/// - a rejected operation changes nothing.
///
/// With them, the clock condition holds: if `a` happened before `b`, then `C(a) < C(b)` (Lamport,
/// *Time, Clocks, and the Ordering of Events in a Distributed System*, 1978).
///
/// ```
/// use synod_lamport::{LamportClock, LamportTime};
///
/// let mut here = LamportClock::new(LamportTime::ZERO);
/// let mut there = LamportClock::new(LamportTime::new(41));
/// let sent = there.tick()?;               // travels in the message
/// let received = here.receive(sent)?;     // the time of the receiving event itself
/// assert_eq!((sent.as_u64(), received.as_u64()), (42, 43));
/// assert_eq!(here.tick()?.as_u64(), 44);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LamportClock {
    now: LamportTime,
    jump_max: u64,
}

impl LamportClock {
    /// How far one message may carry a clock forward unless [`with_jump_max`](Self::with_jump_max)
    /// says otherwise: 2^48, the events of nine years at a million a second. Late joiners are not
    /// rejected, and a single corrupted or hostile message does not exhaust the clock; 65,536 of them
    /// would, so set a lower bound against malicious peers. A clock that was carried that far may
    /// exceed its own peers' bounds: in correct use no clock comes near it.
    ///
    /// ```
    /// # use synod_lamport::LamportClock;
    /// assert_eq!(LamportClock::JUMP_MAX_DEFAULT, 1 << 48);
    /// ```
    pub const JUMP_MAX_DEFAULT: u64 = 1 << 48;

    /// A clock that shows `start`: [`LamportTime::ZERO`] in a new system, and after a restart a
    /// time that is not below any that was given out before it.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime};
    /// let clock = LamportClock::new(LamportTime::new(9));
    /// assert_eq!(clock.now().as_u64(), 9);
    /// ```
    #[must_use]
    pub const fn new(start: LamportTime) -> Self {
        Self {
            now: start,
            jump_max: Self::JUMP_MAX_DEFAULT,
        }
    }

    /// Sets how far ahead of this clock the time of a message may be; `u64::MAX` accepts all.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime};
    /// let mut clock = LamportClock::new(LamportTime::ZERO).with_jump_max(10);
    /// assert!(clock.receive(LamportTime::new(10)).is_ok());
    /// assert!(clock.receive(LamportTime::new(22)).is_err()); // the clock shows 11
    /// ```
    #[must_use]
    pub const fn with_jump_max(mut self, jump_max: u64) -> Self {
        self.jump_max = jump_max;
        self
    }

    /// The time of the latest event. Not itself an event.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime};
    /// let mut clock = LamportClock::new(LamportTime::ZERO);
    /// clock.tick()?;
    /// assert_eq!(clock.now(), clock.now());
    /// # Ok::<(), synod_lamport::Overflow>(())
    /// ```
    #[must_use]
    pub const fn now(&self) -> LamportTime {
        self.now
    }

    /// A local event, or the sending of a message: rule IR1. Returns the event's time, which a
    /// message carries (IR2 (a)).
    ///
    /// # Errors
    /// [`Overflow`] at [`LamportTime::MAX`].
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime};
    /// let mut clock = LamportClock::new(LamportTime::ZERO);
    /// assert!(clock.tick()? < clock.tick()?);
    /// # Ok::<(), synod_lamport::Overflow>(())
    /// ```
    pub const fn tick(&mut self) -> Result<LamportTime, Overflow> {
        match rules::tick(self.now.as_u64()) {
            Ok(next) => {
                self.now = LamportTime::new(next);
                Ok(self.now)
            }
            Err(overflow) => Err(overflow),
        }
    }

    /// The receipt of a message that carries `time`: rule IR2 (b). Returns the receiving event's
    /// own time, `max(now, time) + 1`.
    ///
    /// # Errors
    /// [`ReceiveError::TooFarAhead`] beyond the jump bound, [`ReceiveError::Overflow`] at the end
    /// of time. The message then counts as not received.
    ///
    /// ```
    /// # use synod_lamport::{LamportClock, LamportTime};
    /// let mut clock = LamportClock::new(LamportTime::new(5));
    /// assert_eq!(clock.receive(LamportTime::new(3))?.as_u64(), 6);
    /// assert_eq!(clock.receive(LamportTime::new(9))?.as_u64(), 10);
    /// # Ok::<(), synod_lamport::ReceiveError>(())
    /// ```
    pub const fn receive(&mut self, time: LamportTime) -> Result<LamportTime, ReceiveError> {
        match rules::receive(self.now.as_u64(), time.as_u64(), self.jump_max) {
            Ok(next) => {
                self.now = LamportTime::new(next);
                Ok(self.now)
            }
            Err(error) => Err(error),
        }
    }
}

impl Default for LamportClock {
    fn default() -> Self {
        Self::new(LamportTime::ZERO)
    }
}
