use core::fmt;

use crate::NodeId;

/// A ballot number (Paxos Made Simple §2.2: a *proposal number*). Ballots are totally ordered, and
/// the node in it makes those of two proposers different.
///
/// Invariant of whoever issues them: a node never issues one twice, also not after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// The last round that may be used. A message with a later one is nonsense, so that no peer can
    /// use the rounds up.
    pub const ROUND_MAX: u64 = u64::MAX >> 8;
    /// A message whose round is further above what this node has stored is taken for a lost one. No
    /// honest history gets there, each round costing a campaign and a write; without it one message
    /// of the last round would end a group for ever.
    pub const LEAP_MAX: u64 = 1 << 32;

    /// Whether this is too far above a ballot that is stored.
    pub(crate) fn is_leap_from(self, stored: Self) -> bool {
        self.round > stored.round.saturating_add(Self::LEAP_MAX)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node.0)
    }
}
