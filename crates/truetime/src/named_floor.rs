use core::time::Duration;

use crate::{Interval, Timestamp};

/// The greatest `earliest` that a message's sender has seen, and the node whose clock it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Floor {
    /// An instant that has certainly passed according to a clock.
    pub earliest: Timestamp,
    /// The node whose clock it is, as a number chosen by the caller; not necessarily the sender.
    pub said_by: u64,
}

/// A [`CausalFloor`](crate::CausalFloor) that records the node of the floor, so that a contradiction names
/// both nodes.
///
/// The theorems are those of `CausalFloor`. An alarm still does not prove which of the two clocks is wrong, but a
/// node that occurs in alarms with several others is the likely culprit. It is a plain value: sharing it between
/// threads needs a lock, because a timestamp with a node does not fit in one atomic word.
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
/// // `b` passes on `a`'s floor, because its own clock's is lower.
/// let from_b = b.outgoing(&at(96, 104));
/// let found = c.incoming(from_b, &at(90, 98)).unwrap_err();
/// assert_eq!((found.said_by, found.contradicted_by, found.by.as_nanos()), (1, 3, 2));
/// ```
///
/// Invariant: the floor never decreases.
#[derive(Clone, Debug)]
pub struct NamedFloor {
    node: u64,
    floor: Floor,
}

impl NamedFloor {
    /// The initial floor of this node, below every timestamp.
    #[must_use]
    pub const fn new(node: u64) -> Self {
        let floor = Floor {
            earliest: Timestamp::MIN,
            said_by: node,
        };
        Self { node, floor }
    }

    /// The floor to send with a message, given a reading taken for it.
    pub fn outgoing(&mut self, now: &Interval) -> Floor {
        self.raise(Floor {
            earliest: now.earliest(),
            said_by: self.node,
        });
        self.floor
    }

    /// Checks the floor of a message that was received before the reading was taken. Timestamps must then be
    /// chosen by the same reading.
    ///
    /// # Errors
    /// [`Contradiction`]: do not act on the message. Its floor is discarded, so that one wrong clock does not
    /// stop every node that receives it.
    pub fn incoming(&mut self, carried: Floor, now: &Interval) -> Result<(), Contradiction> {
        self.check(carried, now)?;
        self.raise(carried);
        Ok(())
    }

    /// Checks a reading of this node, taken after the last message, against the floor.
    ///
    /// # Errors
    /// [`Contradiction`]: do not use the reading.
    pub fn own(&self, now: &Interval) -> Result<(), Contradiction> {
        self.check(self.floor, now)
    }

    /// The greatest `earliest` seen, and its node.
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
    /// The node whose `earliest` is the floor.
    pub said_by: u64,
    /// The node whose `latest` is below it.
    pub contradicted_by: u64,
    /// The time from that `latest` to the floor.
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
