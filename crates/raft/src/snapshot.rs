use crate::{LogId, Membership};

/// The identity of a snapshot. Its bytes are in a file of the driver, which the core never reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The last entry it covers. All entries up to it are committed.
    pub last: LogId,
    /// The membership as of that entry.
    pub membership: Membership,
}
