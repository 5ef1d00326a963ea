//! What a node is born as: its cluster, its name, and what its groups are founded on.
//!
//! A group that was founded on one protocol, one set of voters and one system of quorums must not be
//! opened as another: the other would read nothing in its log, take writes, and leave no way back. So
//! what a directory was born as is written into it, and told to peers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use synod_transport::{ClusterId, Founding, NodeId};
use synod_wal::GroupId;

use crate::protocol::Configured;

/// What a data directory is, or is to be, born as.
///
/// ```
/// # #[cfg(feature = "raft")] {
/// use synod_replica::{Birth, GroupId, NodeId, raft};
/// use synod_transport::ClusterId;
///
/// let config = raft::Config::new(raft::NodeId(1), [1, 2, 3].map(raft::NodeId));
/// let birth = Birth::new(ClusterId(7), NodeId(1)).group(GroupId(1), &config);
/// assert_eq!(birth.founding(), "group 1: raft, voters 1, 2, 3; formats 1");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    groups: BTreeMap<GroupId, String>,
}

impl Birth {
    /// A node that is founded on no group yet: which groups it opens is not checked.
    #[must_use]
    pub const fn new(cluster: ClusterId, node: NodeId) -> Self {
        Self {
            cluster,
            node,
            groups: BTreeMap::new(),
        }
    }

    /// With this group among those it is founded on. Once there is one, a group that is not among them
    /// is not opened.
    #[must_use]
    pub fn group(mut self, group: GroupId, config: &impl Configured) -> Self {
        self.groups.insert(group, config.founding());
        self
    }

    /// What the groups are founded on, as it is stored and compared.
    #[must_use]
    pub fn founding(&self) -> String {
        let mut text = String::new();
        for (group, founding) in &self.groups {
            let _written = write!(text, "group {}: {founding}; ", group.0);
        }
        let _written = write!(text, "formats {FORMATS}");
        text
    }

    /// What the hello says of it.
    pub(crate) fn digest(&self) -> Founding {
        Founding {
            decided_at: 0,
            digest: digest(self.founding().as_bytes()),
        }
    }

    /// What this group was founded on; `None` when nothing is known of any.
    pub(crate) fn of(&self, group: GroupId) -> Option<&str> {
        let founded = self.groups.get(&group).map(String::as_str);
        (!self.groups.is_empty()).then(|| founded.unwrap_or("nothing"))
    }
}

/// FNV-1a, 64 bits: two foundings that are told apart by chance, not ones that somebody made alike.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Rises with any change of what is on the wire, in the log or in snapshots.
const FORMATS: u32 = 1;

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
}
