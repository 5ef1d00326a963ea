use core::cmp::Ordering;
use core::fmt;

use crate::NodeId;

/// A ballot number (Paxos Made Simple §2.2: a *proposal number*). Ballots are totally ordered, and
/// the node in it makes those of two proposers different.
///
/// Invariant of whoever issues them: a node never issues one twice, also not after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ballot {
    /// Compared first. From 1; 0 is before every ballot.
    pub round: u64,
    /// Whose ballot it is.
    pub node: NodeId,
}

impl Ballot {
    /// Before every ballot: nothing was promised or accepted yet.
    pub const ZERO: Self = Self {
        round: 0,
        node: NodeId(0),
    };
    /// The last round that may be used; a message with a later one is nonsense. Two bits are left, so
    /// that a driver can store what kind of value it is in one word with the round of its origin.
    pub const ROUND_MAX: u64 = u64::MAX >> 2;
    /// A message whose round is further above what this node has stored is not believed, see
    /// [`Leap`](crate::Leap); without that one message of the last round would end a group for ever.
    ///
    /// Large enough that no honest history gets there, each round costing a campaign and a write:
    /// with ten campaigns a second and no leader all the while it takes three years. Small enough
    /// that whoever would use the rounds up waits for 2^32 writes, one after the other, as with Raft's
    /// terms.
    pub const LEAP_MAX: u64 = 1 << 30;

    /// Whether this is too far above a ballot that is stored.
    pub(crate) fn is_leap_from(self, stored: Self) -> bool {
        self.round > stored.round.saturating_add(Self::LEAP_MAX)
    }
}

/// As one number, which takes one comparison: each message is held against what is promised.
impl Ord for Ballot {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |ballot: &Self| u128::from(ballot.round) << 64 | u128::from(ballot.node.0);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Ballot {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node.0)
    }
}
