use alloc::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The id of a node. It must never be given to another disk: an empty voter with an old id forgets
/// what that id has promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u64);

/// The nodes of a group. While `outgoing` is not empty the membership is joint: every decision
/// needs a majority of `voters` and a majority of `outgoing` (§6).
///
/// With the feature `serde` it is serialized as the bytes of [`encode`](Self::encode), so
/// deserialized values are within the bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Bytes", into = "Bytes"))]
pub struct Membership {
    /// Nodes whose votes and acknowledgements count.
    pub voters: BTreeSet<NodeId>,
    /// The voters of the membership that is being replaced; empty outside a change.
    pub outgoing: BTreeSet<NodeId>,
    /// Nodes that receive the log but do not count.
    pub learners: BTreeSet<NodeId>,
}

impl Membership {
    /// Maximum number of nodes in each of the three sets: a bound for decoders, not a
    /// recommendation.
    pub const NODES_MAX: usize = 64;

    /// A membership with voters only.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            voters: voters.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Whether the node is in any of the sets.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id) || self.learners.contains(&id)
    }

    /// All nodes, each once, in ascending order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let nodes: BTreeSet<NodeId> = [&self.voters, &self.outgoing, &self.learners]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        nodes.into_iter()
    }

    /// The bytes of a `Kind::Membership` entry and of a snapshot's header: a version, then for each
    /// set its size as a byte and its ids as little-endian `u64`, ascending.
    ///
    /// # Panics
    /// If a set holds more than [`Self::NODES_MAX`] nodes, which [`validate`](Self::validate)
    /// reports.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let sets = [&self.voters, &self.outgoing, &self.learners];
        let mut bytes =
            BytesMut::with_capacity(4 + 8 * sets.iter().map(|set| set.len()).sum::<usize>());
        bytes.put_u8(VERSION);
        for set in sets {
            assert!(
                set.len() <= Self::NODES_MAX,
                "a membership is within its bound"
            );
            bytes.put_u8(u8::try_from(set.len()).expect("the bound fits a byte"));
            set.iter().for_each(|id| bytes.put_u64_le(id.0));
        }
        bytes.freeze()
    }

    /// Decodes the output of [`encode`](Self::encode). Only bytes that it would write are accepted,
    /// so equal memberships have equal bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes. Nothing is allocated beyond the bound.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MembershipError> {
        let version = bytes.try_get_u8().map_err(|_| MembershipError::Length)?;
        if version != VERSION {
            return Err(MembershipError::Version { version });
        }
        let membership = Self {
            voters: decode_set(&mut bytes)?,
            outgoing: decode_set(&mut bytes)?,
            learners: decode_set(&mut bytes)?,
        };
        if bytes.has_remaining() {
            return Err(MembershipError::Length);
        }
        membership.validate()?;
        Ok(membership)
    }

    /// Checks that [`decode`](Self::decode) could return this value; one that was built otherwise
    /// may break its rules.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn validate(&self) -> Result<(), MembershipError> {
        let sets = [&self.voters, &self.outgoing, &self.learners];
        if sets.iter().any(|set| set.len() > Self::NODES_MAX) {
            return Err(MembershipError::TooManyNodes);
        }
        if !self.learners.is_disjoint(&self.voters) {
            return Err(MembershipError::LearnerVotes);
        }
        Ok(())
    }
}

impl From<Membership> for Bytes {
    fn from(membership: Membership) -> Self {
        membership.encode()
    }
}

impl TryFrom<Bytes> for Membership {
    type Error = MembershipError;

    fn try_from(bytes: Bytes) -> Result<Self, MembershipError> {
        Self::decode(&bytes)
    }
}

fn decode_set(bytes: &mut &[u8]) -> Result<BTreeSet<NodeId>, MembershipError> {
    let len = usize::from(bytes.try_get_u8().map_err(|_| MembershipError::Length)?);
    if len > Membership::NODES_MAX {
        return Err(MembershipError::TooManyNodes);
    }
    let mut set = BTreeSet::new();
    for _ in 0..len {
        let id = NodeId(
            bytes
                .try_get_u64_le()
                .map_err(|_| MembershipError::Length)?,
        );
        if set.last().is_some_and(|last| *last >= id) {
            return Err(MembershipError::Order);
        }
        set.insert(id);
    }
    Ok(set)
}

/// Why bytes, or three sets, are not a valid [`Membership`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Written by a later version.
    #[error("unknown version {version}")]
    Version {
        /// The first byte.
        version: u8,
    },
    /// Too short, or bytes are left over.
    #[error("the length does not fit the content")]
    Length,
    /// A set larger than [`Membership::NODES_MAX`].
    #[error("more nodes than a membership allows")]
    TooManyNodes,
    /// Ids must ascend.
    #[error("ids are not in ascending order")]
    Order,
    /// A node cannot be learner and voter of the same membership.
    #[error("a learner is also a voter")]
    LearnerVotes,
}

const VERSION: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sets() -> impl Strategy<Value = Membership> {
        let set = || proptest::collection::btree_set(any::<u64>().prop_map(NodeId), 0..6);
        (set(), set(), set()).prop_map(|(voters, outgoing, learners)| Membership {
            learners: learners.difference(&voters).copied().collect(),
            voters,
            outgoing,
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(membership in sets()) {
            prop_assert_eq!(Membership::decode(&membership.encode()), Ok(membership));
        }

        #[test]
        fn arbitrary_bytes_decode_to_their_own_encoding_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            if let Ok(membership) = Membership::decode(&bytes) {
                prop_assert_eq!(&membership.encode()[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn each_malformation_has_its_name() {
        let bytes = Membership::of_voters([NodeId(1), NodeId(2)]).encode();
        assert_eq!(Membership::decode(&[]), Err(MembershipError::Length));
        assert_eq!(
            Membership::decode(&[9]),
            Err(MembershipError::Version { version: 9 })
        );
        assert_eq!(
            Membership::decode(&bytes[..bytes.len() - 1]),
            Err(MembershipError::Length)
        );
        assert_eq!(
            Membership::decode(&[0, 65]),
            Err(MembershipError::TooManyNodes)
        );
        let mut twice = bytes.to_vec();
        twice[10] = 1;
        assert_eq!(Membership::decode(&twice), Err(MembershipError::Order));
        let mut learner = bytes.to_vec();
        *learner.last_mut().unwrap() = 1;
        learner.extend(2u64.to_le_bytes());
        assert_eq!(
            Membership::decode(&learner),
            Err(MembershipError::LearnerVotes)
        );
    }
}
