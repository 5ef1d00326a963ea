use core::time::Duration;

use crate::{Interval, Timestamp};

/// The greatest `earliest` that a message's sender knows of, and which node read it off its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Floor {
    /// This instant has certainly passed, says a clock.
    pub earliest: Timestamp,
    /// The node whose clock says so, by a number of the caller's; it need not be the sender.
    pub said_by: u64,
}

/// A [`CausalFloor`](crate::CausalFloor) that remembers who said it, so that a contradiction names both nodes.
///
/// The theorems are those of `CausalFloor`. An alarm still does not prove which of the two clocks is wrong; but one
/// node that stands in alarms with several others is a good guess, and that it can be told is the use of the name.
/// It is a plain value: whoever shares it between threads brings a lock, because a timestamp with a name is no word
/// that a processor swaps.
///
/// ```
/// use synod_truetime::{Interval, NamedFloor, Timestamp};
///
/// let at = |earliest, latest| {
///     Interval::new(Timestamp::from_nanos(earliest), Timestamp::from_nanos(latest)).unwrap()
/// };
/// let (mut a, mut b, mut c) = (NamedFloor::new(1), NamedFloor::new(2), NamedFloor::new(3));
/// let from_a = a.outgoing(&at(100, 108));
/// b.incoming(from_a, &at(95, 103)).unwrap();
/// // `b` carries on what `a` has said, because its own clock says less.
/// let from_b = b.outgoing(&at(96, 104));
/// let found = c.incoming(from_b, &at(90, 98)).unwrap_err();
/// assert_eq!((found.said_by, found.contradicted_by, found.by.as_nanos()), (1, 3, 2));
/// ```
///
/// Invariant: the floor never falls.
#[derive(Clone, Debug)]
pub struct NamedFloor {
    node: u64,
    floor: Floor,
}

impl NamedFloor {
    /// A floor below everything, at this node.
    #[must_use]
    pub const fn new(node: u64) -> Self {
        let floor = Floor {
            earliest: Timestamp::MIN,
            said_by: node,
        };
        Self { node, floor }
    }

    /// What a message carries that is sent now, by a reading taken for it.
    pub fn outgoing(&mut self, now: &Interval) -> Floor {
        self.raise(Floor {
            earliest: now.earliest(),
            said_by: self.node,
        });
        self.floor
    }

    /// What came with a message that was received before the reading was taken. The reading that is checked here
    /// must be the one that timestamps are then chosen by.
    ///
    /// # Errors
    /// [`Contradiction`]: do not act on the message. What it carried is forgotten, so that one wrong clock does
    /// not stop everybody who hears of it.
    pub fn incoming(&mut self, carried: Floor, now: &Interval) -> Result<(), Contradiction> {
        self.check(carried, now)?;
        self.raise(carried);
        Ok(())
    }

    /// Whether a reading of this node, taken after the last message was, contradicts what it has heard.
    ///
    /// # Errors
    /// [`Contradiction`]: do not use the reading.
    pub fn own(&self, now: &Interval) -> Result<(), Contradiction> {
        self.check(self.floor, now)
    }

    /// The greatest `earliest` known, and whose.
    #[must_use]
    pub const fn floor(&self) -> Floor {
        self.floor
    }

    fn raise(&mut self, by: Floor) {
        if by.earliest > self.floor.earliest {
            self.floor = by;
        }
    }

    fn check(&self, carried: Floor, now: &Interval) -> Result<(), Contradiction> {
        if now.latest() < carried.earliest {
            return Err(Contradiction {
                said_by: carried.said_by,
                contradicted_by: self.node,
                by: carried.earliest - now.latest(),
            });
        }
        Ok(())
    }
}

/// Two clocks contradict each other: at least one of them is outside its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {said_by} says to be past what is {by:?} in the future at node {contradicted_by}")]
#[non_exhaustive]
pub struct Contradiction {
    /// Its `earliest` is the floor.
    pub said_by: u64,
    /// Its `latest` lies below.
    pub contradicted_by: u64,
    /// From that `latest` to the floor.
    pub by: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_not_carried_on_and_the_name_stays_with_the_greatest() {
        let at = |nanos| Interval::around(Timestamp::from_nanos(nanos), Duration::from_nanos(4));
        let mut floor = NamedFloor::new(7);
        let wrong = Floor {
            earliest: Timestamp::from_nanos(900),
            said_by: 1,
        };
        assert!(floor.incoming(wrong, &at(100)).is_err());
        assert_eq!(floor.outgoing(&at(100)).said_by, 7);
        let right = Floor {
            earliest: Timestamp::from_nanos(98),
            said_by: 2,
        };
        assert_eq!(floor.incoming(right, &at(100)), Ok(()));
        assert_eq!(floor.outgoing(&at(101)), right, "its own clock says 97");
        assert!(floor.own(&at(93)).is_err());
        assert_eq!(floor.outgoing(&at(103)).said_by, 7);
    }
}
