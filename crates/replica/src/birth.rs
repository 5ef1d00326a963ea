//! What a data directory is created as: its cluster, its node, and what its groups are founded on.
//!
//! A group that was founded on one protocol, one set of voters and one quorum system must not be
//! opened with another: the other would find nothing in its log, accept writes, and leave no way
//! back. So the founding is stored in the directory and sent to peers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use synod_transport::{ClusterId, Founding, NodeId};
use synod_wal::GroupId;

use crate::protocol::Configured;

/// What a data directory was, or is to be, created as.
///
/// ```
/// # #[cfg(feature = "raft")] {
/// use synod_replica::{Birth, GroupId, NodeId, raft};
/// use synod_transport::ClusterId;
///
/// let config = raft::Config::new(raft::NodeId(1), [1, 2, 3].map(raft::NodeId));
/// let birth = Birth::new(ClusterId(7), NodeId(1)).group(GroupId(1), &config);
/// assert_eq!(birth.founding(), "group 1: raft, voters 1, 2, 3; formats 2");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    groups: BTreeMap<GroupId, String>,
}

impl Birth {
    /// A node that is founded on no group yet, and opens none.
    #[must_use]
    pub const fn new(cluster: ClusterId, node: NodeId) -> Self {
        Self {
            cluster,
            node,
            groups: BTreeMap::new(),
        }
    }

    /// Adds a group to the founding. A directory that was created without it accepts it when it is
    /// first [opened](crate::Node::open), if its log holds nothing of it. Nodes with different
    /// foundings do not connect to each other, so add a group on all nodes at once.
    ///
    /// A group that was not added cannot be opened.
    #[must_use]
    pub fn group(mut self, group: GroupId, config: &impl Configured) -> Self {
        self.groups.insert(group, config.founding());
        self
    }

    /// The founding of all groups, as it is stored and compared.
    #[must_use]
    pub fn founding(&self) -> String {
        self.founding_without(&BTreeSet::new())
    }

    /// The founding without these groups.
    pub(crate) fn founding_without(&self, groups: &BTreeSet<GroupId>) -> String {
        let mut text = String::new();
        for (group, founding) in &self.groups {
            if !groups.contains(group) {
                let _written = write!(text, "group {}: {founding}; ", group.0);
            }
        }
        let _written = write!(text, "formats {FORMATS}");
        text
    }

    /// The groups that this `founding` lacks, if it is of a directory that can be opened as this
    /// one. `None` if it differs in a group or in the formats, or names a group that is not in this
    /// one.
    pub(crate) fn beyond(&self, founding: &str) -> Option<BTreeSet<GroupId>> {
        let beyond = self.groups.iter().filter(|(group, text)| {
            let piece = format!("group {}: {text}; ", group.0);
            !founding.starts_with(&piece) && !founding.contains(&format!("; {piece}"))
        });
        let beyond = beyond.map(|(group, _)| *group).collect();
        (self.founding_without(&beyond) == founding).then_some(beyond)
    }

    /// The digest that the hello carries.
    pub(crate) fn digest(&self) -> Founding {
        Founding {
            decided_at: 0,
            digest: digest(self.founding().as_bytes()),
        }
    }

    /// The founding of one group.
    pub(crate) fn of(&self, group: GroupId) -> &str {
        self.groups.get(&group).map_or("nothing", String::as_str)
    }
}

/// FNV-1a, 64 bits: detects differences by accident, not by malice.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Raised with any change of the formats on the wire, in the log or in snapshots.
const FORMATS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_fnv_1a() {
        // From the reference's list of test vectors.
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// Directories and peers depend on these texts and numbers. The numbers were computed by
    /// another implementation.
    #[cfg(all(feature = "raft", feature = "paxos"))]
    #[test]
    fn golden_foundings() {
        use crate::{paxos, raft};

        let node = paxos::NodeId;
        let raft = raft::Config::new(raft::NodeId(1), [3, 1, 2].map(raft::NodeId));
        let paxos = |quorums: Result<_, _>| paxos::Config::new(node(1), quorums.unwrap());
        let majority = paxos(paxos::Quorums::majority([1, 2, 3].map(node)));
        let weights = [(1, 2), (2, 1), (3, 1)].map(|(id, weight)| (node(id), weight));
        let weighted = paxos(paxos::Quorums::weighted(weights, 3, 2));
        let grid = paxos(paxos::Quorums::grid(
            [[1, 4], [2, 3]].map(|row| row.map(node)),
        ));
        let bare = || Birth::new(ClusterId(7), NodeId(1));
        let births = [
            (bare(), "formats 2", 0xda82_cb75_b566_6281),
            (
                bare().group(GroupId(2), &majority).group(GroupId(1), &raft),
                "group 1: raft, voters 1, 2, 3; group 2: paxos, acceptors 1, 2, 3, phase 1 by 2, phase 2 by 2; \
                 formats 2",
                0x9a6c_f606_1546_d658,
            ),
            (
                bare().group(GroupId(1), &weighted),
                "group 1: paxos, acceptors 1 (weight 2), 2, 3, phase 1 by 3, phase 2 by 2; formats 2",
                0x1033_93ba_9b0e_a3d8,
            ),
            (
                bare().group(GroupId(1), &grid),
                "group 1: paxos, acceptors in rows (1 4), (2 3); formats 2",
                0x8d77_97b6_c93f_1a51,
            ),
        ];
        for (birth, words, digest) in births {
            assert_eq!(birth.founding(), words);
            assert_eq!(birth.digest().digest, digest, "{words}");
        }
    }
}
