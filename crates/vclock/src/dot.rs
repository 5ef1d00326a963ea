use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU64;

use crate::codec::{DecodeError, Reader, Wire};

/// The name of one event: the `counter`-th event of `actor`, counted from one.
///
/// The derived order is by actor and then by counter. It sorts dots and says nothing about
/// causality: ask a [`VersionVector`](crate::VersionVector) whether it
/// [contains](crate::VersionVector::contains) a dot.
///
/// ```
/// use synod_vclock::Dot;
///
/// let dot = Dot::new("a", 3).unwrap();
/// assert_eq!(dot.to_string(), "a:3");
/// assert_eq!(Dot::new("a", 0), None); // there is no event before the first
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Dot<A> {
    /// Who made the event.
    pub actor: A,
    /// The number of the event, from one.
    pub counter: NonZeroU64,
}

impl<A> Dot<A> {
    /// The dot with this counter; `None` for zero, which names no event.
    ///
    /// ```
    /// use synod_vclock::Dot;
    ///
    /// assert_eq!(Dot::new("a", 3).map(|dot| dot.counter.get()), Some(3));
    /// ```
    #[must_use]
    pub fn new(actor: A, counter: u64) -> Option<Self> {
        NonZeroU64::new(counter).map(|counter| Self { actor, counter })
    }
}

impl<A: fmt::Display> fmt::Display for Dot<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.actor, self.counter)
    }
}

/// The actor, then the counter, which is not zero.
impl<A: Wire> Wire for Dot<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.actor.encode(out);
        self.counter.get().encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let actor = A::decode(reader)?;
        let counter = reader.counter()?;
        Ok(Self { actor, counter })
    }
}

/// A counter has reached its maximum. Nothing was changed.
///
/// A clock that wrapped would order new events before old ones. At a million events a second 64
/// bits last half a million years, so in practice this error means a counter from a faulty or
/// hostile peer.
///
/// ```
/// use synod_vclock::{Overflow, VersionVector};
///
/// let mut vector = VersionVector::from_iter([("a", u64::MAX)]);
/// assert_eq!(vector.increment("a"), Err(Overflow));
/// assert_eq!(vector.get(&"a"), u64::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the counter is at its end")]
pub struct Overflow;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_costs_no_more_than_its_parts() {
        // The storage of vectors relies on it: an empty slot is a counter of zero.
        assert_eq!(size_of::<Option<Dot<u64>>>(), 16);
    }

    #[test]
    fn dots_sort_by_actor_first() {
        assert!(Dot::new(1, 9) < Dot::new(2, 1));
        assert!(Dot::new(1, 1) < Dot::new(1, 2));
    }
}
