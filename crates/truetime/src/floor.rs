use core::sync::atomic::AtomicU64;
use core::time::Duration;

use crate::register::MaxRegister;
use crate::{Interval, Timestamp};

/// Detects a clock that breaks its bound from ordinary messages, without access to true time.
///
/// Every message carries the greatest `earliest` that its sender has seen: 8 bytes. The receiver
/// compares it with its own `latest`: if `latest` is below, one clock claims that an instant has
/// certainly passed that according to the other has certainly not been reached. One of them is wrong,
/// and the message must not be acted on.
///
/// ```text
///  A   s1 = latest ─── commit wait until earliest > s1 ─── release, floor = earliest ──╮
///                                                                                      │
///  B                                                          latest >= floor? ◄───────╯
///                                          yes: s2 >= latest > s1;     no: refused, not committed
/// ```
///
/// # Two theorems
///
/// 1. *No false alarm.* If all clocks are within their bounds, `earliest <= sent <= received <= latest`
///    in true time, so nothing is ever refused.
/// 2. *No missed violation between causally related transactions, with commit wait.* The wait ends with
///    `earliest > s1`, the floor carries that `earliest` to wherever the second transaction gets its
///    `s2 >= latest`; so `s2 <= s1` would need `latest < earliest`, and that is refused.
///
/// The check must use the same reading as the choice of the timestamp. Without commit wait the second
/// theorem does not hold. A causal link through a channel that does not carry the floor is not detected. An
/// alarm proves that some clock on the path is wrong, but not which one: that takes
/// [`marzullo`](crate::marzullo()) over three.
///
/// ```
/// use synod_truetime::{CausalFloor, Interval, Timestamp};
///
/// let at = |earliest, latest| {
///     Interval::new(Timestamp::from_nanos(earliest), Timestamp::from_nanos(latest)).unwrap()
/// };
/// let (a, b) = (CausalFloor::new(), CausalFloor::new());
/// let carried = a.outgoing(&at(100, 108));
/// assert!(b.incoming(carried, &at(99, 107)).is_ok());
/// let violated = b.incoming(carried, &at(90, 98)).unwrap_err();
/// assert_eq!(violated.by.as_nanos(), 2);
/// ```
///
/// Invariant: the floor never decreases.
#[derive(Debug)]
pub struct CausalFloor {
    floor: MaxRegister<AtomicU64>,
}

impl CausalFloor {
    /// The initial floor, below every timestamp.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            floor: MaxRegister::new(AtomicU64::new(0)),
        }
    }

    /// The floor to send with a message, given a reading taken for it.
    pub fn outgoing(&self, now: &Interval) -> Timestamp {
        self.floor.raise(now.earliest())
    }

    /// Checks the floor of a message that was received before the reading was taken.
    ///
    /// # Errors
    /// [`ClockBoundViolated`]: do not act on the message. Its floor is discarded, so that one wrong
    /// clock does not stop every node that receives it.
    pub fn incoming(&self, carried: Timestamp, now: &Interval) -> Result<(), ClockBoundViolated> {
        self.check(carried, now)?;
        let _ = self.floor.raise(carried);
        Ok(())
    }

    /// Checks a reading of this node against the floor. It must be taken after the last message was
    /// accepted: a reading from before a message that another thread has just accepted is not wrong, only
    /// old.
    ///
    /// # Errors
    /// [`ClockBoundViolated`]: do not use the reading.
    pub fn own(&self, now: &Interval) -> Result<(), ClockBoundViolated> {
        self.check(self.floor(), now)
    }

    /// The greatest `earliest` known.
    pub fn floor(&self) -> Timestamp {
        self.floor.greatest()
    }

    fn check(&self, carried: Timestamp, now: &Interval) -> Result<(), ClockBoundViolated> {
        if now.latest() < carried {
            return Err(ClockBoundViolated {
                by: carried - now.latest(),
            });
        }
        Ok(())
    }
}

impl Default for CausalFloor {
    fn default() -> Self {
        Self::new()
    }
}

/// Two clocks contradict each other: at least one of them is outside its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock broke its bound: an instant that it reports as past is {by:?} in the future")]
#[non_exhaustive]
pub struct ClockBoundViolated {
    /// The time from the local `latest` to the floor.
    pub by: Duration,
}
