use core::time::Duration;

use super::{NowError, PhysicalClock, ReceiveError, ReserveError, RestoreError, WideTimestamp};

/// A hybrid logical clock of [`WideTimestamp`]s, for a single owner: 128-bit atomics are not widely
/// available, so sharing between threads needs a lock.
///
/// Its rules are those of [`HybridClock`](super::HybridClock), with one more: a timestamp of a later
/// epoch is rejected until [`follow`](Self::follow) is called, because a new epoch is an operator's
/// decision and not a peer's.
///
/// ```
/// use synod_lamport::hlc::{RestoreError, WideClock, WideTimestamp};
///
/// const NOW: u64 = 1_795_417_200_000_000_000; // November 2026
/// const TEN_YEARS: u64 = 10 * 365 * 86_400 * 1_000_000_000;
///
/// // The wall clock was ten years ahead at the last start, and that is what is stored.
/// let stored = WideTimestamp::from_parts(0, NOW + TEN_YEARS, 0);
/// assert!(matches!(WideClock::restore(|| NOW, stored), Err(RestoreError::TooFarAhead { .. })));
///
/// let mut clock = WideClock::reset(|| NOW, stored)?;
/// let bound = clock.reserve(core::time::Duration::from_secs(3))?;
/// // Store it, then say so:
/// clock.persisted(bound);
/// let stamp = clock.now()?;
/// assert!(stamp > stored);
/// assert_eq!((stamp.epoch(), stamp.unix_nanos()), (1, NOW));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WideClock<C> {
    physical: C,
    latest: WideTimestamp,
    /// No timestamp above this is returned. Never decreases.
    bound: Option<WideTimestamp>,
    lead_max: Duration,
}

impl<C> WideClock<C> {
    /// A clock without a bound, of epoch 0.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideClock;
    /// let mut clock = WideClock::new(|| 7);
    /// assert_eq!(clock.now()?.unix_nanos(), 7);
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    #[must_use]
    pub const fn new(physical: C) -> Self {
        Self::starting(physical, WideTimestamp::ZERO, None)
    }

    const fn starting(physical: C, latest: WideTimestamp, bound: Option<WideTimestamp>) -> Self {
        Self {
            physical,
            latest,
            bound,
            lead_max: Duration::from_millis(500),
        }
    }

    /// Sets how far ahead of the physical clock a received timestamp may be; default 500 ms.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{WideClock, WideTimestamp};
    /// let mut clock = WideClock::new(|| 0).with_lead_max(Duration::from_secs(2));
    /// assert!(clock.receive(WideTimestamp::from_parts(0, 2_000_000_000, 0)).is_ok());
    /// ```
    #[must_use]
    pub const fn with_lead_max(mut self, lead_max: Duration) -> Self {
        self.lead_max = lead_max;
        self
    }

    /// The latest timestamp.
    ///
    /// ```
    /// # use synod_lamport::hlc::{WideClock, WideTimestamp};
    /// assert_eq!(WideClock::new(|| 0).latest(), WideTimestamp::ZERO);
    /// ```
    #[must_use]
    pub const fn latest(&self) -> WideTimestamp {
        self.latest
    }

    /// The stored bound, above which no timestamp is returned. `None` if the clock has none.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideClock;
    /// assert_eq!(WideClock::new(|| 0).bound(), None);
    /// ```
    #[must_use]
    pub const fn bound(&self) -> Option<WideTimestamp> {
        self.bound
    }
}

impl<C: PhysicalClock> WideClock<C> {
    /// A clock that continues above the last stored bound, as
    /// [`HybridClock::restore`](super::HybridClock::restore) does.
    ///
    /// # Errors
    /// [`RestoreError`] if that is an hour or more ahead of the physical clock.
    ///
    /// ```
    /// # use synod_lamport::hlc::{NowError, WideClock, WideTimestamp};
    /// let mut clock = WideClock::restore(|| 7, WideTimestamp::from_parts(0, 9, 0))?;
    /// assert_eq!(clock.now(), Err(NowError::AboveBound));
    /// # Ok::<(), synod_lamport::hlc::RestoreError>(())
    /// ```
    pub fn restore(physical: C, stored: WideTimestamp) -> Result<Self, RestoreError> {
        if stored != WideTimestamp::ZERO {
            let unix_nanos = physical.now_nanos().ok_or(RestoreError::Unknown)?;
            let ahead = Duration::from_nanos(stored.unix_nanos().saturating_sub(unix_nanos));
            if ahead > RESTORE_AHEAD_MAX {
                return Err(RestoreError::TooFarAhead {
                    ahead,
                    ahead_max: RESTORE_AHEAD_MAX,
                });
            }
        }
        Ok(Self::starting(physical, stored, Some(stored)))
    }

    /// A clock in the epoch after that of the stored bound, at the time of the physical clock: the
    /// recovery from a wrong time. No timestamp is returned before a bound of the new epoch is
    /// [reserved](Self::reserve) and stored.
    ///
    /// Peers reject the new epoch until they [`follow`](Self::follow) it. Timestamps that they make
    /// in the old epoch meanwhile are earlier than any in the new one, whenever they were made.
    ///
    /// # Errors
    /// [`ReserveError::OutOfRange`] if there is no epoch left.
    ///
    /// ```
    /// # use synod_lamport::hlc::{WideClock, WideTimestamp};
    /// let clock = WideClock::reset(|| 7, WideTimestamp::from_parts(3, 9_000, 1))?;
    /// assert_eq!(clock.latest(), WideTimestamp::from_parts(4, 0, 0));
    /// # Ok::<(), synod_lamport::hlc::ReserveError>(())
    /// ```
    pub fn reset(physical: C, stored: WideTimestamp) -> Result<Self, ReserveError> {
        let epoch = stored.epoch().checked_add(1);
        let epoch = epoch.ok_or(ReserveError::OutOfRange)?;
        let start = WideTimestamp::from_parts(epoch, 0, 0);
        Ok(Self::starting(physical, start, Some(start)))
    }

    /// Switches to this epoch, if it is later than the present one: an operator started it on another
    /// node with [`reset`](Self::reset). A clock with a bound returns no timestamp before a bound of the
    /// new epoch is stored.
    ///
    /// ```
    /// # use synod_lamport::hlc::WideClock;
    /// let mut clock = WideClock::new(|| 7);
    /// clock.follow(2);
    /// assert_eq!(clock.now()?.epoch(), 2);
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    pub fn follow(&mut self, epoch: u32) {
        self.latest = self.latest.max(WideTimestamp::from_parts(epoch, 0, 0));
    }

    /// A local event, or the sending of a message.
    ///
    /// # Errors
    /// [`NowError`]; nothing is changed.
    ///
    /// ```
    /// # use synod_lamport::hlc::{WideClock, WideTimestamp};
    /// let mut clock = WideClock::new(|| 7);
    /// assert_eq!(clock.now()?, WideTimestamp::from_parts(0, 7, 0));
    /// assert_eq!(clock.now()?, WideTimestamp::from_parts(0, 7, 1));
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    pub fn now(&mut self) -> Result<WideTimestamp, NowError> {
        let unix_nanos = self.physical.now_nanos().ok_or(NowError::Unknown)?;
        self.advance(unix_nanos, WideTimestamp::ZERO)
    }

    /// The receipt of a message that carries `timestamp`: the receiving event's own timestamp, greater
    /// than that one and than all before.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing is changed.
    ///
    /// ```
    /// # use synod_lamport::hlc::{ReceiveError, WideClock, WideTimestamp};
    /// let mut clock = WideClock::new(|| 7);
    /// let received = clock.receive(WideTimestamp::from_parts(0, 9, 5))?;
    /// assert_eq!(received, WideTimestamp::from_parts(0, 9, 6));
    /// let reset = WideTimestamp::from_parts(1, 0, 0);
    /// assert_eq!(clock.receive(reset), Err(ReceiveError::NewEpoch { epoch: 1, own: 0 }));
    /// # Ok::<(), ReceiveError>(())
    /// ```
    pub fn receive(&mut self, timestamp: WideTimestamp) -> Result<WideTimestamp, ReceiveError> {
        let own = self.latest.epoch();
        if timestamp.epoch() > own {
            return Err(ReceiveError::NewEpoch {
                epoch: timestamp.epoch(),
                own,
            });
        }
        let unix_nanos = self.physical.now_nanos().ok_or(NowError::Unknown)?;
        let lead_max = self.physical.lead_max().unwrap_or(self.lead_max);
        let ahead = Duration::from_nanos(timestamp.unix_nanos().saturating_sub(unix_nanos));
        // A timestamp of an earlier epoch is in the past, whatever its time.
        if timestamp.epoch() == own && ahead > lead_max {
            return Err(ReceiveError::TooFarAhead { ahead, lead_max });
        }
        Ok(self.advance(unix_nanos, timestamp)?)
    }

    /// The bound to store: `ahead` beyond the physical clock, in the present epoch, and not below the
    /// stored one. Once it is durable, call [`persisted`](Self::persisted).
    ///
    /// # Errors
    /// [`ReserveError`].
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{WideClock, WideTimestamp};
    /// let clock = WideClock::restore(|| 7, WideTimestamp::ZERO)?;
    /// let bound = clock.reserve(Duration::from_nanos(10))?;
    /// assert_eq!(bound.unix_nanos(), 17);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn reserve(&self, ahead: Duration) -> Result<WideTimestamp, ReserveError> {
        let current = self.bound.ok_or(ReserveError::Unbounded)?;
        let unix_nanos = self.physical.now_nanos().ok_or(ReserveError::Unknown)?;
        let of_physical = u64::try_from(ahead.as_nanos()).ok();
        let of_physical = of_physical.and_then(|ahead| unix_nanos.checked_add(ahead));
        let of_physical = of_physical.ok_or(ReserveError::OutOfRange)?;
        let of_physical = WideTimestamp::from_parts(self.latest.epoch(), of_physical, 0);
        let of_latest = self.latest.as_u128().checked_add(STAMPS_RESERVED_MIN);
        let of_latest = WideTimestamp::from_u128(of_latest.ok_or(ReserveError::OutOfRange)?);
        if of_latest.epoch() != self.latest.epoch() {
            return Err(ReserveError::OutOfRange);
        }
        Ok(of_physical.max(of_latest).max(current))
    }

    /// Records that this bound is durable. Has no effect on a clock without a bound, or if the
    /// bound is lower than before.
    ///
    /// ```
    /// # use synod_lamport::hlc::{WideClock, WideTimestamp};
    /// let mut clock = WideClock::restore(|| 7, WideTimestamp::ZERO)?;
    /// let bound = clock.reserve(core::time::Duration::from_nanos(10))?;
    /// clock.persisted(bound);
    /// assert!(clock.now().is_ok());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn persisted(&mut self, bound: WideTimestamp) {
        self.bound = self.bound.map(|current| current.max(bound));
    }

    fn advance(
        &mut self,
        unix_nanos: u64,
        received: WideTimestamp,
    ) -> Result<WideTimestamp, NowError> {
        let latest = self.latest.max(received);
        let physical = WideTimestamp::from_parts(latest.epoch(), unix_nanos, 0);
        let next = if physical > latest {
            physical
        } else {
            let next = latest
                .as_u128()
                .checked_add(1)
                .ok_or(NowError::OutOfRange)?;
            WideTimestamp::from_u128(next)
        };
        // The counter is carried into the time, and the time never into the epoch.
        if next.epoch() != latest.epoch() {
            return Err(NowError::OutOfRange);
        }
        if self.bound.is_some_and(|bound| next > bound) {
            return Err(NowError::AboveBound);
        }
        self.latest = next;
        Ok(next)
    }
}

/// Omits the physical clock, which may be a closure.
impl<C> core::fmt::Debug for WideClock<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WideClock")
            .field("latest", &self.latest)
            .field("bound", &self.bound)
            .field("lead_max", &self.lead_max)
            .finish_non_exhaustive()
    }
}

/// As for the narrow clock.
const RESTORE_AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// The least number of timestamps of a reservation, while the physical clock is behind.
const STAMPS_RESERVED_MIN: u128 = 1 << 16;
