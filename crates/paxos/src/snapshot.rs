use bytes::Bytes;

use crate::{Position, QuorumDecodeError, Quorums};

/// Who accepts, and which sets of them decide.
///
/// Fixed for the life of a group in this version; it travels in snapshots so that a later one can
/// change it. With the feature `serde` it travels as the bytes of [`encode`](Self::encode).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Configuration {
    /// The acceptors, who here are all nodes of the group.
    pub quorums: Quorums,
}

impl Configuration {
    /// The bytes of a [`Kind::Configuration`](crate::Kind::Configuration) value and of a snapshot's
    /// header.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.quorums.encode()
    }

    /// The configuration that [`encode`](Self::encode) wrote. Quorums that need not meet are refused
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
