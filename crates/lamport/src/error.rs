/// Why [`tick`](crate::LamportClock::tick) failed: the clock has reached its maximum. It stays
/// there, because wrapping around would order new events before all earlier ones.
///
/// ```
/// use synod_lamport::{LamportClock, LamportTime, Overflow};
///
/// let mut clock = LamportClock::new(LamportTime::MAX);
/// assert_eq!(clock.tick(), Err(Overflow));
/// assert_eq!(clock.now(), LamportTime::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the clock shows the last time there is")]
pub struct Overflow;

/// Why [`receive`](crate::LamportClock::receive) rejected a message's time. The clock is unchanged.
///
/// ```
/// use synod_lamport::{LamportClock, LamportTime, ReceiveError};
///
/// let mut clock = LamportClock::new(LamportTime::ZERO).with_jump_max(1_000);
/// let hostile = clock.receive(LamportTime::MAX);
/// assert_eq!(hostile, Err(ReceiveError::TooFarAhead { ahead: u64::MAX, jump_max: 1_000 }));
/// assert_eq!(clock.now(), LamportTime::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// There is no time after this one.
    #[error("there is no time after the message's or the clock's")]
    Overflow,
    /// One message may not carry the clock further than `jump_max`.
    #[error("the message's time is {ahead} ahead of the clock, at most {jump_max} is accepted")]
    TooFarAhead {
        /// How far the message's time is ahead of the clock.
        ahead: u64,
        /// The clock's jump bound.
        jump_max: u64,
    },
}
