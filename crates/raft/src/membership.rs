use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The id of a node. It must never be given to another disk: an empty voter with an old id forgets
/// what that id has promised. Ids of new nodes rise, see [`Membership::highest`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u64);

/// The nodes of a group. While `change` is joint, every decision needs a majority of `voters` and a
/// majority of the voters of the change (§6).
///
/// The membership in force is the last one in the log, committed or not. It is an entry of
/// [`Kind::Membership`](crate::Kind::Membership), which only a leader's core appends: see
/// [`Raft::change_membership`](crate::Raft::change_membership).
///
/// With the feature `serde` it is serialized as the bytes of [`encode`](Self::encode), so
/// deserialized values are within the bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Bytes", into = "Bytes"))]
pub struct Membership {
    /// Nodes whose votes and acknowledgements count. Empty if the membership is not known: see
    /// [`Config::voters`](crate::Config::voters).
    pub voters: BTreeSet<NodeId>,
    /// Nodes that receive the log but do not count.
    pub learners: BTreeSet<NodeId>,
    /// Voters, before or after the change under way, that store no commands: see
    /// [`is_witness`](Self::is_witness).
    pub witnesses: BTreeSet<NodeId>,
    /// What replaces the voters and the learners when the change under way is over.
    pub change: Option<Box<Change>>,
    /// What the driver keeps for a node, such as its address; opaque here. At most
    /// [`CONTEXT_BYTES_MAX`](Self::CONTEXT_BYTES_MAX) bytes, and only for nodes of this membership.
    pub contexts: BTreeMap<NodeId, Bytes>,
    /// The highest id that was ever a member. A node that joins has a higher one: so no id returns
    /// that was removed, and nothing has to be kept of those that were.
    pub highest: NodeId,
}

/// The voters and learners that a change leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Change {
    /// Whether its voters count already, beside the old ones. Before that they receive the log like
    /// learners, until they have caught up.
    pub is_joint: bool,
    /// The voters after the change.
    pub voters: BTreeSet<NodeId>,
    /// The learners after the change.
    pub learners: BTreeSet<NodeId>,
}

impl Membership {
    /// Maximum number of nodes, old and new together: a bound for decoders, not a recommendation.
    pub const NODES_MAX: usize = 64;

    /// Maximum number of bytes of a node's context.
    pub const CONTEXT_BYTES_MAX: usize = 256;

    /// A membership with voters only.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Self {
        let voters: BTreeSet<NodeId> = voters.into_iter().collect();
        Self {
            highest: voters.last().copied().unwrap_or_default(),
            voters,
            ..Self::default()
        }
    }

    /// Whether the node is a voter or a learner, before or after the change under way.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.sets().any(|set| set.contains(&id))
    }

    /// Whether the node's vote counts now.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        let joint = self.joint();
        self.voters.contains(&id) || joint.is_some_and(|change| change.voters.contains(&id))
    }

    /// Whether the node's vote counts now, and will after the change under way.
    #[must_use]
    pub fn stays_voter(&self, id: NodeId) -> bool {
        let voters = match self.joint() {
            Some(change) => &change.voters,
            None => &self.voters,
        };
        voters.contains(&id)
    }

    /// Whether the node is a witness: a voter that acknowledges entries without their bodies and keeps only
    /// which entries there are, and the memberships. It costs a third machine next to no disk or network,
    /// and lets two others outlive the loss of either.
    ///
    /// A write that the leader and a witness have acknowledged has *one copy*, the leader's: if that disk is
    /// lost, so is the write, although it was committed. The witness then keeps anybody from leading who
    /// lacks it, and so the group stands still rather than forget it.
    ///
    /// A witness never campaigns and is no target of a transfer, so it is never a source of entries or
    /// snapshots. Of the voters a majority are none, so every quorum has a node with the whole log. A node
    /// stays what it is: to change it, it is removed, and added with another id.
    ///
    /// The driver of a witness has no state machine. What it is given to apply is
    /// [`Kind::Withheld`](crate::Kind::Withheld), and of a snapshot that it is to pull it stores what
    /// [`Snapshot`](crate::Snapshot) says, and no bytes. One that joins is started with
    /// [`Config::joins_as_witness`](crate::Config::joins_as_witness). A witness that is removed may be sent
    /// commands at its end.
    #[must_use]
    pub fn is_witness(&self, id: NodeId) -> bool {
        self.witnesses.contains(&id)
    }

    /// Whether the node is a member that stores commands.
    pub(crate) fn is_full(&self, id: NodeId) -> bool {
        self.contains(id) && !self.is_witness(id)
    }

    /// Whether the node's vote counts now, and will after the change under way, and it may lead.
    pub(crate) fn may_lead(&self, id: NodeId) -> bool {
        self.stays_voter(id) && !self.is_witness(id)
    }

    /// Whether the node was a member, and is none any more.
    #[must_use]
    pub fn has_removed(&self, id: NodeId) -> bool {
        id <= self.highest && !self.contains(id)
    }

    /// The change under way, if its voters count already.
    #[must_use]
    pub fn joint(&self) -> Option<&Change> {
        self.change.as_deref().filter(|change| change.is_joint)
    }

    /// All nodes, each once, in ascending order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let nodes: BTreeSet<NodeId> = self.sets().flatten().copied().collect();
        nodes.into_iter()
    }

    fn sets(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        let change = self.change.as_deref();
        let changed = change.map(|change| [&change.voters, &change.learners]);
        [&self.voters, &self.learners]
            .into_iter()
            .chain(changed.into_iter().flatten())
    }

    /// The bytes of a `Kind::Membership` entry and of a snapshot's header:
    ///
    /// - a version;
    /// - the voters, the learners and the witnesses, each set as its size in a byte and its ids as
    ///   little-endian `u64`, ascending;
    /// - 0 without a change, else 1, or 2 if it is joint, and its voters and learners;
    /// - the number of contexts in a byte, and for each the id, its length as `u16`, and its bytes;
    /// - the highest id.
    ///
    /// # Panics
    /// If it is not valid, see [`validate`](Self::validate).
    #[must_use]
    pub fn encode(&self) -> Bytes {
        assert_eq!(self.validate(), Ok(()), "a membership is within its bounds");
        let byte = |len: usize| u8::try_from(len).expect("the bound fits a byte");
        let mut bytes = BytesMut::with_capacity(64);
        let put_set = |bytes: &mut BytesMut, set: &BTreeSet<NodeId>| {
            bytes.put_u8(byte(set.len()));
            set.iter().for_each(|id| bytes.put_u64_le(id.0));
        };
        bytes.put_u8(VERSION);
        put_set(&mut bytes, &self.voters);
        put_set(&mut bytes, &self.learners);
        put_set(&mut bytes, &self.witnesses);
        match self.change.as_deref() {
            None => bytes.put_u8(0),
            Some(change) => {
                bytes.put_u8(1 + u8::from(change.is_joint));
                put_set(&mut bytes, &change.voters);
                put_set(&mut bytes, &change.learners);
            }
        }
        bytes.put_u8(byte(self.contexts.len()));
        for (id, context) in &self.contexts {
            bytes.put_u64_le(id.0);
            bytes.put_u16_le(u16::try_from(context.len()).expect("the bound fits two bytes"));
            bytes.put_slice(context);
        }
        bytes.put_u64_le(self.highest.0);
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
            learners: decode_set(&mut bytes)?,
            witnesses: decode_set(&mut bytes)?,
            change: decode_change(&mut bytes)?,
            contexts: decode_contexts(&mut bytes)?,
            highest: decode_id(&mut bytes)?,
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
        let change = self.change.as_deref();
        if self.sets().map(BTreeSet::len).sum::<usize>() > Self::NODES_MAX
            && self.nodes().count() > Self::NODES_MAX
        {
            return Err(MembershipError::TooManyNodes);
        }
        let learner_votes = !self.learners.is_disjoint(&self.voters);
        if learner_votes || change.is_some_and(|it| !it.learners.is_disjoint(&it.voters)) {
            return Err(MembershipError::LearnerVotes);
        }
        if change.is_some_and(|it| it.voters.is_empty() || self.voters.is_empty()) {
            return Err(MembershipError::NoVoters);
        }
        let votes = |id: &NodeId| {
            self.voters.contains(id) || change.is_some_and(|it| it.voters.contains(id))
        };
        let learns = |id: &NodeId| {
            self.learners.contains(id) || change.is_some_and(|it| it.learners.contains(id))
        };
        if !self.witnesses.iter().all(|id| votes(id) && !learns(id)) {
            return Err(MembershipError::WitnessOfNothing);
        }
        if !self.has_full_majority(&self.voters)
            || change.is_some_and(|it| !self.has_full_majority(&it.voters))
        {
            return Err(MembershipError::TooManyWitnesses);
        }
        let is_long = |context: &Bytes| context.len() > Self::CONTEXT_BYTES_MAX;
        if self.contexts.values().any(is_long) {
            return Err(MembershipError::LongContext);
        }
        if self.contexts.keys().any(|id| !self.contains(*id)) {
            return Err(MembershipError::ContextOfNobody);
        }
        if self.nodes().any(|id| id > self.highest) {
            return Err(MembershipError::Highest);
        }
        Ok(())
    }
}

impl Membership {
    /// Whether a majority of these voters store commands, so that every quorum has one that does.
    fn has_full_majority(&self, voters: &BTreeSet<NodeId>) -> bool {
        let witnesses = voters.intersection(&self.witnesses).count();
        witnesses == 0 || 2 * (voters.len() - witnesses) > voters.len()
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

fn decode_id(bytes: &mut &[u8]) -> Result<NodeId, MembershipError> {
    let id = bytes.try_get_u64_le();
    id.map(NodeId).map_err(|_| MembershipError::Length)
}

/// A size, or a mark, of one byte.
fn decode_byte(bytes: &mut &[u8]) -> Result<usize, MembershipError> {
    let byte = bytes.try_get_u8().map_err(|_| MembershipError::Length)?;
    Ok(usize::from(byte))
}

fn decode_set(bytes: &mut &[u8]) -> Result<BTreeSet<NodeId>, MembershipError> {
    let len = decode_byte(bytes)?;
    if len > Membership::NODES_MAX {
        return Err(MembershipError::TooManyNodes);
    }
    let mut set = BTreeSet::new();
    for _ in 0..len {
        let id = decode_id(bytes)?;
        if set.last().is_some_and(|last| *last >= id) {
            return Err(MembershipError::Order);
        }
        set.insert(id);
    }
    Ok(set)
}

fn decode_change(bytes: &mut &[u8]) -> Result<Option<Box<Change>>, MembershipError> {
    let is_joint = match decode_byte(bytes)? {
        0 => return Ok(None),
        1 => false,
        2 => true,
        _ => return Err(MembershipError::Length),
    };
    let change = Change {
        is_joint,
        voters: decode_set(bytes)?,
        learners: decode_set(bytes)?,
    };
    Ok(Some(Box::new(change)))
}

fn decode_contexts(bytes: &mut &[u8]) -> Result<BTreeMap<NodeId, Bytes>, MembershipError> {
    let len = decode_byte(bytes)?;
    if len > Membership::NODES_MAX {
        return Err(MembershipError::TooManyNodes);
    }
    let mut contexts = BTreeMap::new();
    for _ in 0..len {
        let id = decode_id(bytes)?;
        if contexts
            .last_key_value()
            .is_some_and(|(last, _)| *last >= id)
        {
            return Err(MembershipError::Order);
        }
        let len = bytes.try_get_u16_le();
        let len = usize::from(len.map_err(|_| MembershipError::Length)?);
        if len > Membership::CONTEXT_BYTES_MAX {
            return Err(MembershipError::LongContext);
        }
        let context = bytes.split_at_checked(len).ok_or(MembershipError::Length)?;
        contexts.insert(id, Bytes::copy_from_slice(context.0));
        *bytes = context.1;
    }
    Ok(contexts)
}

/// Why bytes, or sets of nodes, are not a valid [`Membership`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Not written by this version.
    #[error("unknown version {version}")]
    Version {
        /// The first byte.
        version: u8,
    },
    /// Too short, or bytes are left over.
    #[error("the length does not fit the content")]
    Length,
    /// More than [`Membership::NODES_MAX`].
    #[error("more nodes than a membership allows")]
    TooManyNodes,
    /// Ids must ascend.
    #[error("ids are not in ascending order")]
    Order,
    /// A node cannot be learner and voter of the same membership.
    #[error("a learner is also a voter")]
    LearnerVotes,
    /// A change from no voters, or to none.
    #[error("a change without voters")]
    NoVoters,
    /// A witness is a voter, before or after a change, and a learner neither before nor after it.
    #[error("a witness that is no voter, or a learner too")]
    WitnessOfNothing,
    /// Of the voters, before and after a change, a majority must not be witnesses.
    #[error("no majority of the voters stores commands")]
    TooManyWitnesses,
    /// Longer than [`Membership::CONTEXT_BYTES_MAX`].
    #[error("the context of a node is too long")]
    LongContext,
    /// A context for a node that is no member.
    #[error("a context without its node")]
    ContextOfNobody,
    /// A member has an id above [`Membership::highest`].
    #[error("a member has an id above the highest")]
    Highest,
}

/// Version 1 had no witnesses. Version 0 had neither contexts nor the highest id, and was never in a log.
const VERSION: u8 = 2;

#[cfg(test)]
mod tests;
