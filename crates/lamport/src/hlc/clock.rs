use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicU64};
use core::time::Duration;

use super::layout::Divided;
use super::reservation::Pending;
use super::timestamp::time_of;
use super::{Layout, Millis48, NowError, PhysicalClock};
use super::{ReceiveError, Reservation, ReserveError, Timestamp};
use crate::word::{Word, advance};

/// A hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone: *Logical Physical Clocks*,
/// 2014) that threads share without a lock: an event costs one reading of the physical clock and
/// one compare-and-swap.
///
/// Invariants:
/// - each timestamp is greater than all that the clock has given and received;
/// - its physical part is not below the reading of the physical clock, and it is the greatest
///   reading that this event can know of, its own or one in a received timestamp, or that of a
///   stored bound (but see [`Nanos64`](super::Nanos64));
/// - the counter is 0 where the physical part is this event's own reading and nobody had it
///   before;
/// - no timestamp lies above the bound that is stored, if the clock has one;
/// - a refused operation changes nothing.
///
/// ```
/// use synod_lamport::hlc::HybridClock;
///
/// // Two machines; the clock of the second is 80 ms slow.
/// let one = HybridClock::new(|| 1_795_417_200_100_000_000);
/// let two = HybridClock::new(|| 1_795_417_200_020_000_000);
/// let sent = one.now()?;
/// let received = two.receive(sent)?; // the timestamp of the receiving event itself
/// assert_eq!(sent.to_string(), "2026-11-23T07:00:00.100Z-0000");
/// assert_eq!(received.to_string(), "2026-11-23T07:00:00.100Z-0001");
/// assert!(two.now()? > received);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct HybridClock<C, L = Millis48> {
    physical: C,
    shared: Shared<AtomicU64, L>,
    lead_max: Duration,
    lead_ticks_max: u64,
    /// Whether a reservation is open.
    reserving: AtomicBool,
}

/// What the events of a clock change, on any kind of word.
#[derive(Debug)]
pub(crate) struct Shared<W, L> {
    /// The latest timestamp.
    latest: W,
    /// No timestamp above this is given. Only rises.
    bound: W,
    layout: PhantomData<fn() -> L>,
}

impl<C: PhysicalClock> HybridClock<C> {
    /// A clock of the layout [`Millis48`] without a bound: after a restart it may repeat
    /// timestamps if the physical clock has been set back, or lagged behind a peer's. Where that
    /// must not be, use [`restore`](Self::restore).
    ///
    /// ```
    /// # use synod_lamport::hlc::HybridClock;
    /// let clock = HybridClock::new(|| 3_000_000);
    /// assert_eq!(clock.now()?.ticks(), 3);
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    #[must_use]
    pub fn new(physical: C) -> Self {
        Self::with_layout(physical)
    }
}

impl<C: PhysicalClock, L: Layout> HybridClock<C, L> {
    /// How far a received timestamp may be ahead of the physical clock unless
    /// [`with_lead_max`](Self::with_lead_max) says otherwise: 500 ms.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Millis48};
    /// assert_eq!(HybridClock::<fn() -> u64, Millis48>::LEAD_MAX_DEFAULT.as_millis(), 500);
    /// ```
    pub const LEAD_MAX_DEFAULT: Duration = Duration::from_millis(500);

    /// As [`new`](HybridClock::new), of any layout.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Millis42};
    /// let clock = HybridClock::<_, Millis42>::with_layout(|| 1_795_417_200_000_000_000);
    /// assert_eq!(clock.now()?.to_string(), "2026-11-23T07:00:00.000Z-000000");
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    #[must_use]
    pub fn with_layout(physical: C) -> Self {
        Self::starting(physical, 0, u64::MAX)
    }

    /// A clock that never gives a timestamp again that it gave before a restart. `stored` is the
    /// bound that was last stored, [`Timestamp::ZERO`] at the very first start: all timestamps
    /// from here on lie above it, and none is given before [`reserve`](Self::reserve) has raised
    /// the bound again.
    ///
    /// The first timestamps may be ahead of the physical clock by as much as had been reserved,
    /// and peers may refuse them as [`TooFarAhead`](ReceiveError::TooFarAhead). So wait for
    /// [`lead`](Self::lead) first, or see to it that peers take more than is reserved. A stored
    /// bound that is far ahead shows in `lead` too.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, NowError, Timestamp};
    /// let stored: Timestamp = "2026-11-23T07:00:03.000Z-0000".parse().unwrap();
    /// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, stored);
    /// assert_eq!(clock.lead(), Duration::from_secs(3));
    /// assert_eq!(clock.now(), Err(NowError::AboveBound));
    /// ```
    #[must_use]
    pub fn restore(physical: C, stored: Timestamp<L>) -> Self {
        // The greatest word stands for no bound. As a stored one it leaves nothing either way.
        let bound = stored.as_u64().min(u64::MAX - 1);
        Self::starting(physical, stored.as_u64(), bound)
    }

    fn starting(physical: C, latest: u64, bound: u64) -> Self {
        let clock = Self {
            physical,
            shared: Shared::new(AtomicU64::new(latest), AtomicU64::new(bound)),
            lead_max: Duration::ZERO,
            lead_ticks_max: 0,
            reserving: AtomicBool::new(false),
        };
        clock.with_lead_max(Self::LEAD_MAX_DEFAULT)
    }

    /// Sets how far ahead of the physical clock a received timestamp may be, rounded up to ticks;
    /// `Duration::MAX` takes all. It should cover what honest clocks differ by, and what a
    /// restarted peer may lead by. A lying peer can carry this clock's timestamps so far ahead of
    /// the time and no further; and by using up the counter there, it can make this clock refuse
    /// for as long.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let clock = HybridClock::new(|| 0).with_lead_max(Duration::from_secs(2));
    /// assert!(clock.receive(Timestamp::from_parts(2_000, 0).unwrap()).is_ok());
    /// assert!(clock.receive(Timestamp::from_parts(2_001, 0).unwrap()).is_err());
    /// ```
    #[must_use]
    pub fn with_lead_max(mut self, lead_max: Duration) -> Self {
        self.lead_max = lead_max;
        self.lead_ticks_max = L::ticks_covering(lead_max.as_nanos());
        self
    }

    /// A local event, or the sending of a message: its timestamp, greater than all before.
    ///
    /// The physical clock may have stepped back: the physical part then stays, and the counter
    /// goes up, until that clock has caught up.
    ///
    /// # Errors
    /// [`NowError`].
    ///
    /// ```
    /// # use synod_lamport::hlc::HybridClock;
    /// let clock = HybridClock::new(|| 3_000_000);
    /// let (first, second) = (clock.now()?, clock.now()?);
    /// assert_eq!((first.logical(), second.logical()), (0, 1));
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    #[inline]
    pub fn now(&self) -> Result<Timestamp<L>, NowError> {
        let unix_nanos = self.physical.now_nanos();
        let ticks = L::ticks_at(unix_nanos).ok_or(NowError::OutOfRange)?;
        self.shared
            .advance(ticks, 0)
            .map_err(|refused| refused.explain::<L>(unix_nanos))
    }

    /// The receipt of a message that carries `timestamp`: the receiving event's own timestamp,
    /// greater than that one and than all before.
    ///
    /// # Errors
    /// [`ReceiveError`]. The message has then not been received, as far as this clock knows: what
    /// is stamped next may lie below it.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let clock = HybridClock::new(|| 3_000_000);
    /// let received = clock.receive(Timestamp::from_parts(5, 7).unwrap())?;
    /// assert_eq!((received.ticks(), received.logical()), (5, 8));
    /// # Ok::<(), synod_lamport::hlc::ReceiveError>(())
    /// ```
    #[inline]
    pub fn receive(&self, timestamp: Timestamp<L>) -> Result<Timestamp<L>, ReceiveError> {
        let unix_nanos = self.physical.now_nanos();
        let ticks = L::ticks_at(unix_nanos).ok_or(NowError::OutOfRange)?;
        let ahead = timestamp.ticks().saturating_sub(ticks);
        if ahead > self.lead_ticks_max {
            return Err(ReceiveError::TooFarAhead {
                ahead: time_of::<L>(ahead),
                lead_max: self.lead_max,
            });
        }
        let stamped = self.shared.advance(ticks, timestamp.as_u64());
        Ok(stamped.map_err(|refused| refused.explain::<L>(unix_nanos))?)
    }

    /// The latest timestamp that was given; of a restored clock, before that, what was stored. No
    /// event happens by asking.
    ///
    /// ```
    /// # use synod_lamport::hlc::HybridClock;
    /// let clock = HybridClock::new(|| 3_000_000);
    /// assert_eq!(clock.now()?, clock.latest());
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    #[must_use]
    pub fn latest(&self) -> Timestamp<L> {
        Timestamp::from_u64(self.shared.latest.read())
    }

    /// How far the latest timestamp is ahead of the physical clock: what that clock was set back
    /// by, or is slower than the fastest peer's, or what a restart skipped. Worth a metric.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let clock = HybridClock::new(|| 3_000_000);
    /// clock.receive(Timestamp::from_parts(5, 0).unwrap())?;
    /// assert_eq!(clock.lead(), Duration::from_millis(2));
    /// # Ok::<(), synod_lamport::hlc::ReceiveError>(())
    /// ```
    #[must_use]
    pub fn lead(&self) -> Duration {
        let unix = Duration::from_nanos(self.physical.now_nanos());
        self.latest().since_unix_epoch().saturating_sub(unix)
    }

    /// The bound that is stored: no timestamp above it is given. `None` if the clock has none.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Millis48, Timestamp};
    /// assert_eq!(HybridClock::new(|| 0).bound(), None);
    /// assert_eq!(HybridClock::restore(|| 0, Timestamp::<Millis48>::ZERO).bound(), Some(Timestamp::<Millis48>::ZERO));
    /// ```
    #[must_use]
    pub fn bound(&self) -> Option<Timestamp<L>> {
        let bound = self.shared.bound.read();
        (bound != u64::MAX).then(|| Timestamp::from_u64(bound))
    }

    /// Begins to raise the bound to `ahead` beyond the physical clock. Do it again well before that
    /// time is over. Less than [`with_lead_max`](Self::with_lead_max) allows is not useful, since
    /// a received timestamp may lie that far ahead.
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
    /// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, Timestamp::<Millis48>::ZERO);
    /// let reservation = clock.reserve(Duration::from_secs(3))?;
    /// assert_eq!(reservation.bound().to_string(), "2026-11-23T07:00:03.000Z-0000");
    /// # Ok::<(), synod_lamport::hlc::ReserveError>(())
    /// ```
    pub fn reserve(&self, ahead: Duration) -> Result<Reservation<'_, L>, ReserveError> {
        let pending = Pending::take(&self.reserving).ok_or(ReserveError::Pending)?;
        let current = self.bound().ok_or(ReserveError::Unbounded)?;
        let out_of_range = ReserveError::OutOfRange;
        let ticks = L::ticks_at(self.physical.now_nanos()).ok_or(out_of_range)?;
        let ticks = ticks.checked_add(L::ticks_covering(ahead.as_nanos()));
        let of_physical = Timestamp::from_parts(ticks.ok_or(out_of_range)?, 0);
        // Not `ahead` of the latest timestamp: a node that restarts again and again would run away
        // from the time by that much each time.
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

    /// The physical clock.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, PhysicalClock};
    /// assert_eq!(HybridClock::new(|| 7).physical().now_nanos(), 7);
    /// ```
    #[must_use]
    pub fn physical(&self) -> &C {
        &self.physical
    }
}

/// Without the physical clock, which may be a closure.
impl<C, L: Layout> fmt::Debug for HybridClock<C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridClock")
            .field(
                "latest",
                &Timestamp::<L>::from_u64(self.shared.latest.read()),
            )
            .field("bound", &Timestamp::<L>::from_u64(self.shared.bound.read()))
            .field("lead_max", &self.lead_max)
            .finish_non_exhaustive()
    }
}

impl<W: Word, L: Layout> Shared<W, L> {
    pub(crate) fn new(latest: W, bound: W) -> Self {
        Self {
            latest,
            bound,
            layout: PhantomData,
        }
    }

    /// The bound is stored. Only the one open reservation calls this, with a bound that is not
    /// below the one before.
    pub(crate) fn raise(&self, bound: Timestamp<L>) {
        self.bound.write(bound.as_u64());
    }

    /// One event: the paper's rules for a send (with `received` 0) and for a receipt in one, since
    /// comparing words compares the physical parts first and the counters second.
    #[inline]
    pub(crate) fn advance(&self, ticks: u64, received: u64) -> Result<Timestamp<L>, Refused> {
        // It only rises, so an older value refuses too early at worst.
        let bound = self.bound.read();
        advance(&self.latest, |latest| {
            let latest = latest.max(received);
            match L::following(latest, ticks) {
                Some(next) if next <= bound => Ok(next),
                Some(_) => Err(Refused::AboveBound),
                None => Err(Refused::UsedUp { latest }),
            }
        })
        .map(Timestamp::from_u64)
    }
}

/// Why there is no next timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    AboveBound,
    UsedUp { latest: u64 },
}

impl Refused {
    #[cold]
    fn explain<L: Layout>(self, unix_nanos: u64) -> NowError {
        match self {
            Self::AboveBound => NowError::AboveBound,
            Self::UsedUp { latest } => {
                let latest = Timestamp::<L>::from_u64(latest);
                if latest.ticks() == L::TICKS_MAX {
                    return NowError::OutOfRange;
                }
                let next = latest.since_unix_epoch() + Duration::from_nanos(L::TICK_NANOS);
                let wait = next.saturating_sub(Duration::from_nanos(unix_nanos));
                NowError::LogicalOverflow { wait }
            }
        }
    }
}

/// As many timestamps as [`Millis48`] has in a tick, which is what such a clock can give while the
/// physical one is behind.
const STAMPS_RESERVED_MIN: u64 = 1 << 16;
