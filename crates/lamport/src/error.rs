/// Why [`tick`](crate::LamportClock::tick) gave no time: the clock shows the last one there is. It
/// stays there, because going on would mean to begin again below everything that was stamped.
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

/// Why [`receive`](crate::LamportClock::receive) refused a message's time. The clock is as it was.
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
    #[error("the message's time is {ahead} ahead of the clock, at most {jump_max} is taken")]
    TooFarAhead {
        /// How far the message's time is ahead of the clock.
        ahead: u64,
        /// The most that this clock follows.
        jump_max: u64,
    },
}
