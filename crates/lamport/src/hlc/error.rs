use core::time::Duration;

/// Why [`HybridClock::now`](super::HybridClock::now) returned no timestamp. The clock is unchanged.
///
/// ```
/// use synod_lamport::hlc::{HybridClock, Millis48, NowError, Timestamp};
///
/// // After a restart nothing is given out before a new bound is stored.
/// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, Timestamp::<Millis48>::ZERO)?;
/// assert_eq!(clock.now(), Err(NowError::AboveBound));
/// # Ok::<(), synod_lamport::hlc::RestoreError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NowError {
    /// The timestamp would lead the physical clock by more than the limit. It will not after `wait`,
    /// if that clock runs correctly.
    #[error("the stamp would lead the physical clock by too much for another {wait:?}")]
    Ahead {
        /// How long the physical clock needs to catch up.
        wait: Duration,
    },
    /// The timestamp would be above the stored bound, and a restart could repeat it: reserve more.
    #[error("the stamp would lie above the bound that is stored")]
    AboveBound,
    /// The layout cannot represent the physical clock's time, or has no timestamp left.
    #[error("the time is beyond the last that the layout can tell")]
    OutOfRange,
    /// The physical clock does not know the time.
    #[error("the physical clock does not know the time")]
    Unknown,
}

/// Why [`HybridClock::restore`](super::HybridClock::restore) rejected the stored bound.
///
/// ```
/// use core::time::Duration;
/// use synod_lamport::hlc::{HybridClock, RestoreError, Timestamp};
///
/// // The wall clock was wrong when this was stored, or it is now.
/// let stored: Timestamp = "2036-11-23T07:00:00.000Z-0000".parse().unwrap();
/// let ahead = Duration::from_secs(3_653 * 86_400);
/// let ahead_max = Duration::from_secs(3_600);
/// assert_eq!(
///     HybridClock::restore(|| 1_795_417_200_000_000_000, stored).err(),
///     Some(RestoreError::TooFarAhead { ahead, ahead_max }),
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It is implausibly far ahead of the physical clock.
    #[error(
        "the stored bound is {ahead:?} ahead of the physical clock, at most {ahead_max:?} is accepted"
    )]
    TooFarAhead {
        /// How far it is ahead of the physical clock.
        ahead: Duration,
        /// The accepted maximum.
        ahead_max: Duration,
    },
    /// The physical clock does not know the time, so the bound cannot be checked.
    #[error("the physical clock does not know the time")]
    Unknown,
}

/// Why [`HybridClock::receive`](super::HybridClock::receive) rejected a timestamp. The clock is
/// unchanged.
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
    /// The timestamp is too far ahead of this node's physical clock: one of the two clocks is
    /// wrong.
    #[error(
        "the timestamp is {ahead:?} ahead of the physical clock, at most {lead_max:?} is accepted"
    )]
    TooFarAhead {
        /// How far ahead of the physical clock here.
        ahead: Duration,
        /// This clock's limit.
        lead_max: Duration,
    },
    /// The timestamp is of a later epoch, which this clock was not told to follow. Only for wide
    /// timestamps.
    #[error("the timestamp is of epoch {epoch}, and this clock is in {own}")]
    NewEpoch {
        /// The epoch of the timestamp.
        epoch: u32,
        /// The epoch of this clock.
        own: u32,
    },
    /// There is no timestamp for the receiving event.
    #[error(transparent)]
    Now(#[from] NowError),
}

/// Why [`HybridClock::reserve`](super::HybridClock::reserve) reserved nothing.
///
/// ```
/// use core::time::Duration;
/// use synod_lamport::hlc::{HybridClock, Millis48, ReserveError, Timestamp};
///
/// let clock = HybridClock::restore(|| 0, Timestamp::<Millis48>::ZERO)?;
/// let first = clock.reserve(Duration::from_secs(3))?;
/// assert_eq!(clock.reserve(Duration::from_secs(9)).err(), Some(ReserveError::Pending));
/// drop(first); // the write failed: the bound stays where it was
/// assert!(clock.reserve(Duration::from_secs(9)).is_ok());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The clock was made with `new`, without a bound.
    #[error("the clock has no bound")]
    Unbounded,
    /// Another reservation is open. Two concurrent writes could reach the disk in either order and
    /// leave the smaller bound there.
    #[error("another reservation is being stored")]
    Pending,
    /// The bound would be beyond the last timestamp of the layout.
    #[error("the bound is beyond the last timestamp of the layout")]
    OutOfRange,
    /// The physical clock does not know the time.
    #[error("the physical clock does not know the time")]
    Unknown,
}
