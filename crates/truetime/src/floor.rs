use core::sync::atomic::AtomicU64;
use core::time::Duration;

use crate::register::MaxRegister;
use crate::{Interval, Timestamp};

/// Finds a clock that breaks its bound, by ordinary messages and without the true time.
///
/// Every message carries the greatest `earliest` that its sender knows of: 8 bytes. Whoever receives
/// it compares that with its own `latest`: if `latest` is below, then one clock says that an instant
/// has certainly passed of which the other says that it has certainly not come. One of them is wrong,
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
/// 2. *No miss for what a message has caused, while commit wait is on.* The wait ends with `earliest
///    > s1`, the floor carries that `earliest` to wherever the second transaction gets its `s2 >= latest`; so
///    `s2 <= s1` would need `latest < earliest`, and that is refused.
///
/// The check must use the same reading as the choice of the timestamp. Without commit wait there is no
/// second theorem. A link by a channel that does not carry the floor is not seen. An alarm proves that some
/// clock on the path is wrong and not which one: that takes [`marzullo`](crate::marzullo()) over three.
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
/// Invariant: the floor never falls.
#[derive(Debug)]
pub struct CausalFloor {
    floor: MaxRegister<AtomicU64>,
}

impl CausalFloor {
    /// A floor below everything.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            floor: MaxRegister::new(AtomicU64::new(0)),
        }
    }

    /// What a message carries that is sent now, by a reading taken for it.
    pub fn outgoing(&self, now: &Interval) -> Timestamp {
        self.floor.raise(now.earliest())
    }

    /// What came with a message that was received before the reading was taken.
    ///
    /// # Errors
    /// [`ClockBoundViolated`]: do not act on the message. What it carried is forgotten, so that one
    /// wrong clock does not stop everybody who hears of it.
    pub fn incoming(&self, carried: Timestamp, now: &Interval) -> Result<(), ClockBoundViolated> {
        self.check(carried, now)?;
        let _ = self.floor.raise(carried);
        Ok(())
    }

    /// Whether a reading of this node contradicts what it has heard. It must be taken after the last message
    /// was: a reading from before one that another thread has just let in is not wrong, only old.
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
#[error("a clock broke its bound: what is said to be past is {by:?} in the future")]
#[non_exhaustive]
pub struct ClockBoundViolated {
    /// From the local `latest` to the floor.
    pub by: Duration,
}
