use core::time::Duration;

/// Why [`HybridClock::now`](super::HybridClock::now) gave no timestamp. The clock is as it was.
///
/// ```
/// use synod_lamport::hlc::{HybridClock, Millis48, NowError, Timestamp};
///
/// // After a restart nothing is given out before a new bound is stored.
/// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, Timestamp::<Millis48>::ZERO);
/// assert_eq!(clock.now(), Err(NowError::AboveBound));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NowError {
    /// The counter of the latest stamp's tick is used up, and the physical clock has not got
    /// beyond that tick. It will have in `wait`, if it runs as it should.
    #[error("the logical counter is used up for another {wait:?}")]
    LogicalOverflow {
        /// How long the physical clock has to go to the next tick.
        wait: Duration,
    },
    /// The stamp would lie above the persisted bound, and a restart could give it again: reserve
    /// more.
    #[error("the stamp would lie above the bound that is stored")]
    AboveBound,
    /// The layout has no tick for the time that the physical clock tells, or no stamp is left.
    #[error("the time is beyond the last that the layout can tell")]
    OutOfRange,
}

/// Why [`HybridClock::receive`](super::HybridClock::receive) refused a timestamp. The clock is as
/// it was.
///
/// ```
/// use core::time::Duration;
/// use synod_lamport::hlc::{HybridClock, ReceiveError, Timestamp};
///
/// let clock = HybridClock::new(|| 0).with_lead_max(Duration::from_millis(500));
/// let (honest, hostile) = (Timestamp::from_parts(500, 0), Timestamp::from_parts(501, 0));
/// assert!(clock.receive(honest.unwrap()).is_ok());
/// assert_eq!(
///     clock.receive(hostile.unwrap()),
///     Err(ReceiveError::TooFarAhead { ahead: Duration::from_millis(501), lead_max: Duration::from_millis(500) }),
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The timestamp is further ahead of this node's physical clock than any honest one can be:
    /// one of the two clocks is wrong.
    #[error(
        "the timestamp is {ahead:?} ahead of the physical clock, at most {lead_max:?} is taken"
    )]
    TooFarAhead {
        /// How far ahead of the physical clock here.
        ahead: Duration,
        /// The most that this clock takes.
        lead_max: Duration,
    },
    /// The receiving event gets no timestamp.
    #[error(transparent)]
    Now(#[from] NowError),
}

/// Why [`HybridClock::reserve`](super::HybridClock::reserve) reserved nothing.
///
/// ```
/// use core::time::Duration;
/// use synod_lamport::hlc::{HybridClock, Millis48, ReserveError, Timestamp};
///
/// let clock = HybridClock::restore(|| 0, Timestamp::<Millis48>::ZERO);
/// let first = clock.reserve(Duration::from_secs(3))?;
/// assert_eq!(clock.reserve(Duration::from_secs(9)).err(), Some(ReserveError::Pending));
/// drop(first); // the write failed: the bound stays where it was
/// assert!(clock.reserve(Duration::from_secs(9)).is_ok());
/// # Ok::<(), ReserveError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The clock was made with `new`, without a bound, and has nothing to keep.
    #[error("the clock has no bound")]
    Unbounded,
    /// Another reservation is open. Two writes under way could reach the disk in either order and
    /// leave the smaller bound there.
    #[error("another reservation is being stored")]
    Pending,
    /// The bound would be beyond the last timestamp of the layout.
    #[error("the bound is beyond the last timestamp of the layout")]
    OutOfRange,
}
