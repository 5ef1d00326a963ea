use bytes::Bytes;

use crate::{Position, QuorumDecodeError, Quorums};

/// The acceptors of a group, and the sets of them that are quorums.
///
/// Fixed for the lifetime of a group in this version. It is part of snapshots so that a later
/// version can change it. With the feature `serde` it is serialized as the bytes of
/// [`encode`](Self::encode).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Configuration {
    /// The acceptors, which are all nodes of the group, and their quorums.
    pub quorums: Quorums,
}

impl Configuration {
    /// The bytes of a [`Kind::Configuration`](crate::Kind::Configuration) value and of a snapshot's
    /// header.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.quorums.encode()
    }

    /// Decodes the output of [`encode`](Self::encode). Quorums that need not intersect are refused
    /// here too.
    ///
    /// # Errors
    /// What is wrong with the bytes. Nothing is allocated beyond the bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, QuorumDecodeError> {
        let quorums = Quorums::decode(bytes)?;
        Ok(Self { quorums })
    }
}

/// The identity of a snapshot. Its bytes are in a file of the driver, which the core never reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The last slot it covers. All slots up to it are chosen.
    pub last: Position,
    /// The configuration as of that slot.
    pub configuration: Configuration,
}
