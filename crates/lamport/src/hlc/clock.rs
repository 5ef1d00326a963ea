use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicU64};
use core::time::Duration;

use super::layout::Divided;
use super::timestamp::time_of;
use super::{Layout, Millis48, NowError, PhysicalClock, ReceiveError, Timestamp};
use crate::word::{Word, advance};

/// A hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone: *Logical Physical Clocks*,
/// 2014) for several threads, without a lock: an event costs one reading of the physical clock and
/// one compare-and-swap.
///
/// Invariants:
/// - each timestamp is greater than all that the clock has returned and received;
/// - its physical part is not below the reading of the physical clock, and it is the greatest
///   reading in the event's causal past (its own, one in a received timestamp, or a stored bound),
///   plus a tick for each overflow of the counter since then;
/// - the counter is 0 where the physical part is this event's own reading and was not used before;
/// - no timestamp lies above the bound that is stored, if the clock has one;
/// - a rejected operation changes nothing.
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
    pub(super) physical: C,
    pub(super) shared: Shared<AtomicU64, L>,
    lead_max: Duration,
    /// Whether a reservation is open.
    pub(super) reserving: AtomicBool,
}

/// The mutable state of a clock, on any kind of word.
#[derive(Debug)]
pub(crate) struct Shared<W, L> {
    /// The latest timestamp.
    pub(super) latest: W,
    /// No timestamp above this is returned. Never decreases.
    pub(super) bound: W,
    layout: PhantomData<fn() -> L>,
}

impl<C: PhysicalClock> HybridClock<C> {
    /// A clock of the layout [`Millis48`] without a bound: after a restart it may repeat timestamps
    /// if the physical clock has been set back, or lagged behind a peer's. To prevent that, use
    /// [`restore`](Self::restore).
    ///
    /// ```
    /// # use synod_lamport::hlc::HybridClock;
    /// let clock = HybridClock::new(|| 3_000_000);
    /// assert_eq!(clock.now()?.ticks(), 3);
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    #[must_use]
    pub const fn new(physical: C) -> Self {
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
    pub const fn with_layout(physical: C) -> Self {
        Self::starting(physical, 0, u64::MAX)
    }

    pub(super) const fn starting(physical: C, latest: u64, bound: u64) -> Self {
        Self {
            physical,
            shared: Shared::new(AtomicU64::new(latest), AtomicU64::new(bound)),
            lead_max: Self::LEAD_MAX_DEFAULT,
            reserving: AtomicBool::new(false),
        }
    }

    /// Sets how far ahead of the physical clock a received timestamp may be, rounded up to ticks;
    /// `Duration::MAX` accepts all. It should cover the differences of correct clocks, and the lead
    /// of a restarted peer or of one whose clock was set back. A malicious peer can carry this
    /// clock's timestamps that far ahead, and a tick further each time the counter overflows there.
    ///
    /// A physical clock that knows the bound of its error may provide the limit instead, for each
    /// message: [`PhysicalClock::lead_max`].
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let clock = HybridClock::new(|| 0).with_lead_max(Duration::from_secs(2));
    /// assert!(clock.receive(Timestamp::from_parts(2_000, 0).unwrap()).is_ok());
    /// assert!(clock.receive(Timestamp::from_parts(2_001, 0).unwrap()).is_err());
    /// ```
    #[must_use]
    pub const fn with_lead_max(mut self, lead_max: Duration) -> Self {
        self.lead_max = lead_max;
        self
    }

    /// A local event, or the sending of a message: its timestamp, greater than all before.
    ///
    /// If the physical clock stepped back, the physical part stays and the counter increases until
    /// that clock has caught up. A counter overflow is carried into the physical part, which
    /// increases the lead by a tick; peers reject timestamps whose lead exceeds their limit, and
    /// [`now_within`](Self::now_within) returns none of that kind.
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
        let unix_nanos = self.physical.now_nanos().ok_or(NowError::Unknown)?;
        let ticks = L::ticks_at(unix_nanos).ok_or(NowError::OutOfRange)?;
        Ok(self.shared.advance(ticks, 0, u64::MAX)?)
    }

    /// As [`now`](Self::now), for a message that peers must not reject: the timestamp leads the
    /// physical clock by no more than `lead_max`, or an error is returned.
    ///
    /// # Errors
    /// [`NowError`]; in particular [`Ahead`](NowError::Ahead) with the time to wait. If the stored
    /// bound is exceeded as well, the error is [`AboveBound`](NowError::AboveBound), since waiting
    /// would not help.
    ///
    /// ```
    /// # use core::cell::Cell;
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, NowError};
    /// let wall = Cell::new(60_000_000_000);
    /// let clock = HybridClock::new(|| wall.get());
    /// clock.now()?;
    /// wall.set(0); // set back by a minute
    /// let half = Duration::from_millis(500);
    /// let wait = Duration::from_millis(59_500);
    /// assert_eq!(clock.now_within(half), Err(NowError::Ahead { wait }));
    /// wall.set(wait.as_nanos() as u64);
    /// assert!(clock.now_within(half).is_ok());
    /// # Ok::<(), NowError>(())
    /// ```
    pub fn now_within(&self, lead_max: Duration) -> Result<Timestamp<L>, NowError> {
        let unix_nanos = self.physical.now_nanos().ok_or(NowError::Unknown)?;
        let ticks = L::ticks_at(unix_nanos).ok_or(NowError::OutOfRange)?;
        let ticks_max = ticks.saturating_add(L::ticks_covering(lead_max.as_nanos()));
        let stamped = self.shared.advance(ticks, 0, ticks_max);
        stamped.map_err(|refused| match refused {
            Refused::Ahead { ticks } => {
                let within = L::time_of_tick(ticks).saturating_sub(lead_max);
                let wait = within.saturating_sub(Duration::from_nanos(unix_nanos));
                NowError::Ahead { wait }
            }
            other => other.into(),
        })
    }

    /// The receipt of a message that carries `timestamp`: the receiving event's own timestamp,
    /// greater than that one and than all before.
    ///
    /// # Errors
    /// [`ReceiveError`]. The message then counts as not received: the next timestamp may be below
    /// it.
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
        let unix_nanos = self.physical.now_nanos().ok_or(NowError::Unknown)?;
        let ticks = L::ticks_at(unix_nanos).ok_or(NowError::OutOfRange)?;
        let lead_max = self.physical.lead_max().unwrap_or(self.lead_max);
        let ahead = timestamp.ticks().saturating_sub(ticks);
        if ahead > 0 && ahead > L::ticks_covering(lead_max.as_nanos()) {
            return Err(ReceiveError::TooFarAhead {
                ahead: time_of::<L>(ahead),
                lead_max,
            });
        }
        let stamped = self.shared.advance(ticks, timestamp.as_u64(), u64::MAX);
        Ok(stamped.map_err(NowError::from)?)
    }

    /// The latest timestamp; for a restored clock initially the stored bound. Not itself an event.
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

    /// How far the latest timestamp is ahead of the physical clock: because that clock was set back
    /// or is behind a peer's, because a restart skipped timestamps, or because of carries. `None`
    /// if the physical clock does not know the time. Useful as a metric, with an alarm when it
    /// comes near the peers' limit.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Timestamp};
    /// let clock = HybridClock::new(|| 3_000_000);
    /// clock.receive(Timestamp::from_parts(5, 0).unwrap())?;
    /// assert_eq!(clock.lead(), Some(Duration::from_millis(2)));
    /// # Ok::<(), synod_lamport::hlc::ReceiveError>(())
    /// ```
    #[must_use]
    pub fn lead(&self) -> Option<Duration> {
        let unix = Duration::from_nanos(self.physical.now_nanos()?);
        Some(self.latest().since_unix_epoch().saturating_sub(unix))
    }

    /// The stored bound, above which no timestamp is returned. `None` if the clock has none.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, Millis48, Timestamp};
    /// assert_eq!(HybridClock::new(|| 0).bound(), None);
    /// let stored = Timestamp::<Millis48>::ZERO;
    /// assert_eq!(HybridClock::restore(|| 0, stored).unwrap().bound(), Some(stored));
    /// ```
    #[must_use]
    pub fn bound(&self) -> Option<Timestamp<L>> {
        let bound = self.shared.bound.read();
        (bound != u64::MAX).then(|| Timestamp::from_u64(bound))
    }

    /// The physical clock.
    ///
    /// ```
    /// # use synod_lamport::hlc::{HybridClock, PhysicalClock};
    /// assert_eq!(HybridClock::new(|| 7).physical().now_nanos(), Some(7));
    /// ```
    #[must_use]
    pub fn physical(&self) -> &C {
        &self.physical
    }
}

/// Omits the physical clock, which may be a closure.
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

impl<W, L> Shared<W, L> {
    pub(crate) const fn new(latest: W, bound: W) -> Self {
        Self {
            latest,
            bound,
            layout: PhantomData,
        }
    }
}

impl<W: Word, L: Layout> Shared<W, L> {
    /// Records that the bound is stored. Only called by the one open reservation, with a bound not
    /// below the previous one.
    pub(crate) fn raise(&self, bound: Timestamp<L>) {
        self.bound.write(bound.as_u64());
    }

    /// One event: the paper's rules for a send (with `received` 0) and for a receipt in one, since
    /// comparing words compares the physical parts first and the counters second. The physical part
    /// does not go beyond `ticks_max`.
    #[inline]
    pub(crate) fn advance(
        &self,
        ticks: u64,
        received: u64,
        ticks_max: u64,
    ) -> Result<Timestamp<L>, Refused> {
        // It never decreases, so an outdated value can only cause an early rejection.
        let bound = self.bound.read();
        advance(&self.latest, |latest| {
            let next = L::following(latest.max(received), ticks).ok_or(Refused::UsedUp)?;
            if next > bound {
                return Err(Refused::AboveBound);
            }
            let ticks = Timestamp::<L>::from_u64(next).ticks();
            if ticks > ticks_max {
                return Err(Refused::Ahead { ticks });
            }
            Ok(next)
        })
        .map(Timestamp::from_u64)
    }
}

/// Why there is no next timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    AboveBound,
    /// It would be in this tick, which is beyond the limit.
    Ahead {
        ticks: u64,
    },
    /// The layout has no further timestamp.
    UsedUp,
}

impl From<Refused> for NowError {
    #[cold]
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::AboveBound => Self::AboveBound,
            // Nobody asked for a limit who does not explain it himself.
            Refused::UsedUp | Refused::Ahead { .. } => Self::OutOfRange,
        }
    }
}
