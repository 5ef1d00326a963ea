//! Restarts: the stored bound of a clock's timestamps, and its validation.

use core::time::Duration;

use super::layout::Divided;
use super::reservation::Pending;
use super::{
    HybridClock, Layout, PhysicalClock, Reservation, ReserveError, RestoreError, Timestamp,
};

impl<C: PhysicalClock, L: Layout> HybridClock<C, L> {
    /// How far a stored bound may be ahead of the physical clock unless
    /// [`restore_within`](Self::restore_within) says otherwise: one hour. Clocks are set back by
    /// seconds, or by an hour when time zones are confused.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Millis48};
    /// assert_eq!(HybridClock::<fn() -> u64, Millis48>::RESTORE_AHEAD_MAX.as_secs(), 3_600);
    /// ```
    pub const RESTORE_AHEAD_MAX: Duration = Duration::from_secs(3_600);

    /// A clock that never repeats a timestamp from before a restart. `stored` is the last stored
    /// bound, [`Timestamp::ZERO`] at the very first start: all timestamps from now on are above it,
    /// and none is returned before [`reserve`](Self::reserve) has raised the bound again.
    ///
    /// The first timestamps may be ahead of the physical clock by as much as had been reserved, and
    /// peers may reject them as [`TooFarAhead`](super::ReceiveError::TooFarAhead). So wait for
    /// [`lead`](Self::lead) first, or make sure that peers accept more than is reserved.
    ///
    /// # Errors
    /// [`RestoreError`] if the bound is ahead of the physical clock by more than
    /// [`RESTORE_AHEAD_MAX`](Self::RESTORE_AHEAD_MAX): one of the two is wrong. A clock that
    /// continued from a bound ten years ahead would stay there for ten years: 64-bit timestamps
    /// cannot go back and stay ordered. Set the physical clock, or
    /// - override the limit ([`restore_within`](Self::restore_within));
    /// - continue above the greatest timestamp in use, if a durable log has all of them
    ///   ([`after`](Self::after));
    /// - or migrate to wide timestamps and start a new epoch there
    ///   ([`WideClock::reset`](super::WideClock::reset)).
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, NowError, RestoreError, Timestamp};
    /// let stored: Timestamp = "2026-11-23T07:00:03.000Z-0000".parse().unwrap();
    /// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, stored)?;
    /// assert_eq!(clock.lead(), Some(Duration::from_secs(3)));
    /// assert_eq!(clock.now(), Err(NowError::AboveBound));
    ///
    /// let poisoned: Timestamp = "2036-11-23T07:00:00.000Z-0000".parse().unwrap();
    /// let refused = HybridClock::restore(|| 1_795_417_200_000_000_000, poisoned);
    /// assert!(matches!(refused, Err(RestoreError::TooFarAhead { .. })));
    /// # Ok::<(), RestoreError>(())
    /// ```
    pub fn restore(physical: C, stored: Timestamp<L>) -> Result<Self, RestoreError> {
        Self::restore_within(physical, stored, Self::RESTORE_AHEAD_MAX)
    }

    /// As [`restore`](Self::restore), with a bound that may be `ahead_max` ahead of the physical clock.
    /// `Duration::MAX` accepts any, even while the physical clock does not know the time.
    ///
    /// # Errors
    /// [`RestoreError`].
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let stored: Timestamp = "2026-11-23T07:00:00.000Z-0000".parse().unwrap();
    /// // A board without a battery starts in 1970.
    /// assert!(HybridClock::restore(|| 0, stored).is_err());
    /// assert!(HybridClock::restore_within(|| 0, stored, Duration::MAX).is_ok());
    /// ```
    pub fn restore_within(
        physical: C,
        stored: Timestamp<L>,
        ahead_max: Duration,
    ) -> Result<Self, RestoreError> {
        check_sanity(&physical, stored, ahead_max)?;
        // The greatest word represents no bound. As a stored bound it would leave no timestamps
        // anyway.
        let bound = stored.as_u64().min(u64::MAX - 1);
        Ok(Self::starting(physical, stored.as_u64(), bound))
    }

    /// A clock without a bound that continues above `newest`, the greatest timestamp in a durable
    /// log.
    ///
    /// It repeats no timestamp if the log has every timestamp that left the node, including those
    /// of messages, written and synced before it left. Such a log makes a bound unnecessary.
    ///
    /// # Errors
    /// [`RestoreError`], as [`restore`](Self::restore) does.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let newest: Timestamp = "2026-11-23T07:00:00.000Z-0004".parse().unwrap();
    /// let clock = HybridClock::after(|| 1_795_417_199_000_000_000, newest)?;
    /// assert_eq!(clock.now()?.to_string(), "2026-11-23T07:00:00.000Z-0005");
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn after(physical: C, newest: Timestamp<L>) -> Result<Self, RestoreError> {
        check_sanity(&physical, newest, Self::RESTORE_AHEAD_MAX)?;
        Ok(Self::starting(physical, newest.as_u64(), u64::MAX))
    }

    /// Begins to raise the bound to `ahead` beyond the physical clock. Repeat it well before that
    /// time has passed. Less than [`with_lead_max`](Self::with_lead_max) allows is not useful,
    /// since a received timestamp may lie that far ahead.
    ///
    /// If the latest timestamp is beyond that already, because the physical clock was set back or
    /// the stored bound was far ahead, 65,536 timestamps more are reserved.
    ///
    /// # Errors
    /// [`ReserveError`].
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Millis48, Timestamp};
    /// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, Timestamp::<Millis48>::ZERO)?;
    /// let reservation = clock.reserve(Duration::from_secs(3))?;
    /// assert_eq!(reservation.bound().to_string(), "2026-11-23T07:00:03.000Z-0000");
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn reserve(&self, ahead: Duration) -> Result<Reservation<'_, L>, ReserveError> {
        let pending = Pending::take(&self.reserving).ok_or(ReserveError::Pending)?;
        let current = self.bound().ok_or(ReserveError::Unbounded)?;
        let out_of_range = ReserveError::OutOfRange;
        let unix_nanos = self.physical.now_nanos().ok_or(ReserveError::Unknown)?;
        let ticks = L::ticks_at(unix_nanos).ok_or(out_of_range)?;
        let ticks = ticks.checked_add(L::ticks_covering(ahead.as_nanos()));
        let of_physical = Timestamp::from_parts(ticks.ok_or(out_of_range)?, 0);
        // Not `ahead` of the latest timestamp: a node that restarts repeatedly would get further
        // ahead each time.
        let of_latest = self.latest().as_u64().checked_add(STAMPS_RESERVED_MIN);
        let wanted = of_physical
            .ok_or(out_of_range)?
            .max(of_latest.ok_or(out_of_range)?.into())
            .max(current);
        if wanted == Timestamp::MAX {
            return Err(out_of_range);
        }
        Ok(Reservation {
            wanted,
            shared: &self.shared,
            _pending: pending,
        })
    }
}

/// Checks that the stored bound is plausible.
fn check_sanity<C: PhysicalClock, L: Layout>(
    physical: &C,
    stored: Timestamp<L>,
    ahead_max: Duration,
) -> Result<(), RestoreError> {
    if stored == Timestamp::ZERO || ahead_max == Duration::MAX {
        return Ok(());
    }
    let unix_nanos = physical.now_nanos().ok_or(RestoreError::Unknown)?;
    let unix = Duration::from_nanos(unix_nanos);
    let ahead = stored.since_unix_epoch().saturating_sub(unix);
    if ahead > ahead_max {
        return Err(RestoreError::TooFarAhead { ahead, ahead_max });
    }
    Ok(())
}

/// The number of timestamps in a tick of [`Millis48`](super::Millis48): a millisecond of lead.
const STAMPS_RESERVED_MIN: u64 = 1 << 16;
