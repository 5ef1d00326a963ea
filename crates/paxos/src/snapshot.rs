use crate::{Configurations, Position};

/// The identity of a snapshot. Its bytes are in a file of the driver, which the core never reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The last slot it covers. All slots up to it are chosen.
    pub last: Position,
    /// The configuration in force after that slot, and the one decided up to it that is not yet in
    /// force: [`Paxos::configurations_at`](crate::Paxos::configurations_at) that slot.
    pub configurations: Configurations,
}
