use alloc::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{NodeId, QuorumDecodeError, Quorums, Slot};

/// The nodes of a group: its acceptors and their quorums, learners, and what the driver keeps for
/// each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The nodes whose promises and votes count, and which sets of them do.
    pub quorums: Quorums,
    /// Nodes that receive everything and count for nothing. None of them is an acceptor.
    pub learners: BTreeSet<NodeId>,
    /// What the driver keeps for a member, for instance its address: opaque to this crate. A member
    /// without an entry has none; there are no empty entries.
    pub contexts: BTreeMap<NodeId, Bytes>,
}

/// A [`Membership`] as the log decides it (Lamport, *Reconfiguring a State Machine*; Paxos Made
/// Simple §3). One that is chosen in slot i governs from slot i + α on, until the next one does.
///
/// It takes effect only if it follows the one that is then the latest: chosen behind another of its
/// number it is a no-op, on every node. So no two leaders can change a group at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// Its number: 0 for the first, which is in [`Config`](crate::Config), and one more than that of
    /// the configuration that it follows.
    pub number: u64,
    /// α: how many slots after its decision a configuration governs, and so how far beyond the chosen
    /// prefix a leader proposes. Decided with the first configuration, and the same in all that
    /// follow.
    pub alpha: u64,
    /// The highest id that a member of this configuration or an earlier one ever had. New members
    /// have higher ids, so a node that was removed is never admitted again, and this one number is all
    /// that has to be remembered of all of them.
    pub highest: NodeId,
    /// The nodes.
    pub membership: Membership,
}

impl Membership {
    /// Maximum number of members. That of the members before and after a change together is the same.
    pub const NODES_MAX: usize = 64;
    /// Maximum length of the context of a member, in bytes.
    pub const CONTEXT_BYTES_MAX: usize = 256;

    /// Acceptors with these quorums, without learners and contexts.
    #[must_use]
    pub fn of(quorums: Quorums) -> Self {
        Self {
            quorums,
            learners: BTreeSet::new(),
            contexts: BTreeMap::new(),
        }
    }

    /// Whether the node is an acceptor or a learner.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.quorums.contains(node) || self.learners.contains(&node)
    }

    /// All members: the acceptors, then the learners, each in ascending order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let learners = self.learners.iter().copied();
        self.quorums.acceptors().chain(learners)
    }

    /// Checks the rules of this type, whose fields are public.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn validate(&self) -> Result<(), MembershipError> {
        if self.nodes().count() > Self::NODES_MAX {
            return Err(MembershipError::TooManyNodes);
        }
        if let Some(node) = self.learners.iter().find(|id| self.quorums.contains(**id)) {
            return Err(MembershipError::LearnerAccepts { node: *node });
        }
        for (node, context) in &self.contexts {
            let node = *node;
            if !self.contains(node) {
                return Err(MembershipError::ContextOfStranger { node });
            }
            if context.is_empty() || context.len() > Self::CONTEXT_BYTES_MAX {
                return Err(MembershipError::ContextLength { node });
            }
        }
        Ok(())
    }

    /// The members of both, each once.
    pub(crate) fn union(&self, other: &Self) -> BTreeSet<NodeId> {
        self.nodes().chain(other.nodes()).collect()
    }
}

impl Configuration {
    /// α unless another is chosen: one message of values. That is eight times the thousand values that
    /// a pipeline usually has in flight, and the no-ops that end a change are one run of that length.
    pub const ALPHA: u64 = 1 << 13;
    /// The largest α: followers that have not received the newest chosen prefix still accept.
    pub const ALPHA_MAX: u64 = Slot::AHEAD_MAX / 2;

    /// The first configuration of a group, with the α of [`ALPHA`](Self::ALPHA).
    #[must_use]
    pub fn first(membership: Membership) -> Self {
        let highest = membership.nodes().max().unwrap_or_default();
        Self {
            number: 0,
            alpha: Self::ALPHA,
            highest,
            membership,
        }
    }

    /// The configuration with this membership that follows this one.
    #[must_use]
    pub fn next(&self, membership: Membership) -> Self {
        let highest = membership.nodes().max().unwrap_or_default();
        Self {
            number: self.number.saturating_add(1),
            alpha: self.alpha,
            highest: self.highest.max(highest),
            membership,
        }
    }

    /// Checks the rules of this type, whose fields are public.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn validate(&self) -> Result<(), MembershipError> {
        if self.alpha == 0 || self.alpha > Self::ALPHA_MAX {
            return Err(MembershipError::Alpha);
        }
        if self.membership.nodes().any(|node| node > self.highest) {
            return Err(MembershipError::Highest);
        }
        self.membership.validate()
    }

    /// Whether `next` takes effect if it is chosen while this one is the latest and in force.
    ///
    /// # Errors
    /// The first rule that it violates.
    pub fn admits(&self, next: &Self) -> Result<(), MembershipError> {
        if next.number != self.number.saturating_add(1) {
            return Err(MembershipError::Follows);
        }
        if next.alpha != self.alpha {
            return Err(MembershipError::Alpha);
        }
        if next.highest < self.highest {
            return Err(MembershipError::Highest);
        }
        let is_back = |node: &NodeId| *node <= self.highest && !self.membership.contains(*node);
        if let Some(node) = next.membership.nodes().find(is_back) {
            return Err(MembershipError::Readmitted { node });
        }
        if self.membership.union(&next.membership).len() > Membership::NODES_MAX {
            return Err(MembershipError::TooManyNodes);
        }
        Ok(())
    }

    /// The bytes of a [`Kind::Configuration`](crate::Kind::Configuration) value. Numbers are
    /// little-endian:
    ///
    /// ```text
    /// ┌─────────┬────────────┬───────────┬─────────────┬────────────┬─────────┐
    /// │ version │ number u64 │ alpha u64 │ highest u64 │ length u16 │ quorums │
    /// ├─────────┴┬───────────┴───────────┴─────┬───────┴────────────┴─────────┤
    /// │ count u8 │ learner u64, ascending      │                              │
    /// ├──────────┼─────────────────────────────┴──────────────────────────────┤
    /// │ count u8 │ member u64, length u16, context; ascending by member       │
    /// └──────────┴────────────────────────────────────────────────────────────┘
    /// ```
    ///
    /// # Panics
    /// If it violates a rule that [`validate`](Self::validate) reports.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        assert_eq!(self.validate(), Ok(()), "only lawful ones are encoded");
        let Membership {
            quorums,
            learners,
            contexts,
        } = &self.membership;
        let quorums = quorums.encode();
        let mut bytes = BytesMut::with_capacity(32 + quorums.len() + 8 * learners.len());
        bytes.put_u8(VERSION);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.alpha);
        bytes.put_u64_le(self.highest.0);
        // All lengths are small: `validate` has checked them.
        bytes.put_u16_le(quorums.len() as u16);
        bytes.put_slice(&quorums);
        bytes.put_u8(learners.len() as u8);
        learners.iter().for_each(|id| bytes.put_u64_le(id.0));
        bytes.put_u8(contexts.len() as u8);
        for (node, context) in contexts {
            bytes.put_u64_le(node.0);
            bytes.put_u16_le(context.len() as u16);
            bytes.put_slice(context);
        }
        bytes.freeze()
    }

    /// Decodes the output of [`encode`](Self::encode). Only bytes that it would write are accepted, so
    /// equal configurations have equal bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes. Nothing is allocated beyond the bounds.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MembershipError> {
        let input = &mut bytes;
        let version = byte(input)?;
        if version != VERSION {
            return Err(MembershipError::Version { version });
        }
        let (number, alpha, highest) = (number(input)?, number(input)?, NodeId(number(input)?));
        let quorums = Quorums::decode(part(input)?)?;
        let mut learners = BTreeSet::new();
        for _ in 0..count(input)? {
            let id = NodeId(self::number(input)?);
            if learners.last().is_some_and(|last| *last >= id) {
                return Err(MembershipError::Order);
            }
            learners.insert(id);
        }
        let mut contexts: BTreeMap<NodeId, Bytes> = BTreeMap::new();
        for _ in 0..count(input)? {
            let id = NodeId(self::number(input)?);
            if contexts
                .last_key_value()
                .is_some_and(|(last, _)| *last >= id)
            {
                return Err(MembershipError::Order);
            }
            let context = part(input)?;
            if context.len() > Membership::CONTEXT_BYTES_MAX {
                return Err(MembershipError::ContextLength { node: id });
            }
            contexts.insert(id, Bytes::copy_from_slice(context));
        }
        if input.has_remaining() {
            return Err(MembershipError::Length);
        }
        let configuration = Self {
            number,
            alpha,
            highest,
            membership: Membership {
                quorums,
                learners,
                contexts,
            },
        };
        configuration.validate()?;
        Ok(configuration)
    }
}

pub(crate) fn byte(bytes: &mut &[u8]) -> Result<u8, MembershipError> {
    bytes.try_get_u8().map_err(|_| MembershipError::Length)
}

pub(crate) fn number(bytes: &mut &[u8]) -> Result<u64, MembershipError> {
    bytes.try_get_u64_le().map_err(|_| MembershipError::Length)
}

/// Bytes behind their length.
pub(crate) fn part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], MembershipError> {
    let length = bytes.try_get_u16_le();
    let length = length.map_err(|_| MembershipError::Length)?;
    let (part, rest) = bytes
        .split_at_checked(usize::from(length))
        .ok_or(MembershipError::Length)?;
    *bytes = rest;
    Ok(part)
}

fn count(bytes: &mut &[u8]) -> Result<usize, MembershipError> {
    match usize::from(byte(bytes)?) {
        count if count > Membership::NODES_MAX => Err(MembershipError::TooManyNodes),
        count => Ok(count),
    }
}

/// Why a membership or a configuration was refused, or bytes are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// More than [`Membership::NODES_MAX`], alone or together with those that it replaces.
    #[error("more members than a group may have")]
    TooManyNodes,
    /// A node counts or it does not.
    #[error("{node} is an acceptor and a learner")]
    LearnerAccepts {
        /// The node.
        node: NodeId,
    },
    /// A context for a node that is no member.
    #[error("a context for {node}, which is no member")]
    ContextOfStranger {
        /// The node.
        node: NodeId,
    },
    /// An empty context, or more than [`Membership::CONTEXT_BYTES_MAX`].
    #[error("the context of {node} is empty or too long")]
    ContextLength {
        /// The node.
        node: NodeId,
    },
    /// Not from 1 to [`Configuration::ALPHA_MAX`], or not that of the configuration before.
    #[error("alpha is out of bounds or changes")]
    Alpha,
    /// A member has a higher id than the highest, or the highest fell.
    #[error("a member has a higher id than the highest")]
    Highest,
    /// It does not follow the latest configuration.
    #[error("it does not follow the latest configuration")]
    Follows,
    /// The node was removed, or a higher id was given before: its id is never admitted again.
    #[error("{node} is not a new id")]
    Readmitted {
        /// The node.
        node: NodeId,
    },
    /// Written by a later version.
    #[error("unknown version {version}")]
    Version {
        /// The first byte.
        version: u8,
    },
    /// Too short, or bytes are left over.
    #[error("the length does not fit the content")]
    Length,
    /// Ids, or configurations, must ascend.
    #[error("ids or configurations are out of order")]
    Order,
    /// The quorums do not decode.
    #[error(transparent)]
    Quorums(#[from] QuorumDecodeError),
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        let quorums = Quorums::flexible([1, 2, 5].map(NodeId), 2, 2).unwrap();
        let mut membership = Membership::of(quorums);
        membership.learners = [7, 9].map(NodeId).into();
        membership.contexts = [(NodeId(9), Bytes::from_static(b"host:1"))].into();
        Configuration::first(membership)
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else_is() {
        let configuration = configuration();
        let bytes = configuration.encode();
        assert_eq!(Configuration::decode(&bytes), Ok(configuration));
        for len in 0..bytes.len() {
            assert!(Configuration::decode(&bytes[..len]).is_err(), "{len}");
        }
        let longer: Bytes = [&bytes[..], &[0]].concat().into();
        assert_eq!(Configuration::decode(&longer), Err(MembershipError::Length));
    }

    #[test]
    fn a_removed_id_is_not_admitted_again() {
        let first = configuration();
        let with = |ids: &[u64]| {
            let ids = ids.iter().copied().map(NodeId);
            first.next(Membership::of(Quorums::majority(ids).unwrap()))
        };
        assert_eq!(first.admits(&with(&[1, 2, 9, 10])), Ok(()));
        let old = first.admits(&with(&[1, 2, 4]));
        assert_eq!(old, Err(MembershipError::Readmitted { node: NodeId(4) }));
        let second = with(&[1, 2]);
        assert_eq!(second.highest, NodeId(9));
        let back = second.next(first.membership.clone());
        let back = second.admits(&back);
        assert_eq!(back, Err(MembershipError::Readmitted { node: NodeId(5) }));
        assert_eq!(first.admits(&first), Err(MembershipError::Follows));
    }

    #[test]
    fn each_rule_has_an_error() {
        let broken = |change: fn(&mut Configuration)| {
            let mut configuration = configuration();
            change(&mut configuration);
            configuration.validate()
        };
        let node = NodeId(1);
        let learner = broken(|c| c.membership.learners.extend([NodeId(1)]));
        assert_eq!(learner, Err(MembershipError::LearnerAccepts { node }));
        let empty = broken(|c| c.membership.contexts.extend([(NodeId(1), Bytes::new())]));
        assert_eq!(empty, Err(MembershipError::ContextLength { node }));
        let node = NodeId(3);
        let context = Bytes::from_static(b"x");
        let mut stranger = configuration();
        stranger.membership.contexts.insert(node, context);
        assert_eq!(
            stranger.validate(),
            Err(MembershipError::ContextOfStranger { node })
        );
        assert_eq!(broken(|c| c.alpha = 0), Err(MembershipError::Alpha));
        assert_eq!(
            broken(|c| c.highest = NodeId(8)),
            Err(MembershipError::Highest)
        );
        let many = broken(|c| c.membership.learners.extend((10..=80).map(NodeId)));
        assert!(many.is_err());
    }
}
