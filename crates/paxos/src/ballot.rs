use core::cmp::Ordering;
use core::fmt;

use crate::NodeId;

/// A ballot number (Paxos Made Simple §2.2: a *proposal number*). Ballots are totally ordered, and
/// contain the node, so that those of two proposers differ.
///
/// A proposer must never issue the same ballot twice, not even after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ballot {
    /// Compared first. Starts at 1; 0 is before every ballot.
    pub round: u64,
    /// The node that issued the ballot.
    pub node: NodeId,
}

impl Ballot {
    /// Lower than every ballot: nothing was promised or accepted yet.
    pub const ZERO: Self = Self {
        round: 0,
        node: NodeId(0),
    };
    /// The last valid round; a message with a later one is malformed. It leaves two bits, so that a
    /// driver can store the kind of a value in one word with the round of its origin.
    pub const ROUND_MAX: u64 = u64::MAX >> 2;
    /// A message whose round is further than this above the stored one is not believed, see
    /// [`Leap`](crate::Leap). Without this bound, one message with the last round would end a group
    /// for ever.
    ///
    /// Large enough that no honest history gets there, since each round costs a campaign and a
    /// write: ten campaigns a second without any leader would take three years. Small enough that
    /// an attacker has to wait for 2^32 writes, one after the other, to use up all rounds, as with
    /// Raft's terms.
    pub const LEAP_MAX: u64 = 1 << 30;

    /// Whether this ballot is too far above the `stored` one.
    pub(crate) fn is_leap_from(self, stored: Self) -> bool {
        self.round > stored.round.saturating_add(Self::LEAP_MAX)
    }
}

/// Compared as one number, in a single comparison: every message is compared with the promise.
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
