//! The members of a group, the same for every protocol, and how they change.

use std::collections::BTreeMap;

#[cfg(any(feature = "raft", feature = "paxos", test))]
use bytes::Bytes;
use synod_transport::NodeId;

use crate::machine::Reason;

/// The members of a group, as its log decides them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Nodes whose votes and acknowledgements count. In Paxos: the acceptors.
    pub voters: BTreeMap<NodeId, Member>,
    /// Nodes that receive the log and do not count.
    pub learners: BTreeMap<NodeId, Member>,
}

/// What the log keeps for a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where its transport listens (`host:port` for TCP). Empty if the log does not say: then
    /// [`NodeConfig::peers`](crate::NodeConfig::peers) does.
    pub address: String,
    /// What the application keeps for it, such as where clients reach it.
    pub note: String,
}

impl Members {
    /// Whether the node is a voter or a learner.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.get(id).is_some()
    }

    /// The member of this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Member> {
        self.voters.get(&id).or_else(|| self.learners.get(&id))
    }

    /// All members: the voters, then the learners.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        let all = self.voters.iter().chain(&self.learners);
        all.map(|(id, member)| (*id, member))
    }
}

impl Member {
    /// The most bytes of both texts together.
    pub const BYTES_MAX: usize = 252;

    /// A member that is reached at this address.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            note: String::new(),
        }
    }

    #[cfg(any(feature = "raft", feature = "paxos", test))]
    /// The bytes that a core keeps for the member: a version, the length of the address as
    /// little-endian `u16`, the address, and the note. Nothing for a member without texts.
    pub(crate) fn encode(&self) -> Result<Bytes, ChangeError> {
        let Self { address, note } = self;
        let len = u16::try_from(address.len()).ok();
        let len = len.filter(|_| address.len() + note.len() <= Self::BYTES_MAX);
        let Some(len) = len else {
            return Err(ChangeError::TooLong);
        };
        if address.is_empty() && note.is_empty() {
            return Ok(Bytes::new());
        }
        let parts: [&[u8]; 4] = [
            &[VERSION],
            &len.to_le_bytes(),
            address.as_bytes(),
            note.as_bytes(),
        ];
        Ok(parts.concat().into())
    }

    #[cfg(any(feature = "raft", feature = "paxos", test))]
    /// What [`encode`](Self::encode) wrote. Anything else was written by another program, or by a
    /// later version, and is no address of this one.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let read = || {
            let rest = bytes.strip_prefix(&[VERSION])?;
            let (len, rest) = rest.split_first_chunk()?;
            let (address, note) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
            let [address, note] = [address, note].map(|text| String::from_utf8(text.into()));
            Some(Self {
                address: address.ok()?,
                note: note.ok()?,
            })
        };
        read().unwrap_or_default()
    }
}

/// A change of the members, relative to what they are when the leader takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a learner, or moves a member to another address.
    Add(NodeId, Member),
    /// Makes a learner a voter, once it has caught up.
    Promote(NodeId),
    /// Removes a member. Its id never returns.
    Remove(NodeId),
    /// Makes a new node a voter in the place of another, which is removed: the way to replace a dead
    /// machine. The new node has caught up before the other stops to count.
    Replace {
        /// The node that goes.
        old: NodeId,
        /// The id of the new node, above all ids that the group ever had.
        new: NodeId,
        /// Where the new node is reached.
        member: Member,
    },
    /// The members that there are to be.
    Set(Members),
}

impl Change {
    /// The members after the change.
    pub(crate) fn applied_to(&self, members: &Members) -> Result<Members, ChangeError> {
        let mut next = members.clone();
        match self {
            Self::Add(id, member) => {
                let known = next.voters.get_mut(id);
                match known {
                    Some(known) => known.clone_from(member),
                    None => drop(next.learners.insert(*id, member.clone())),
                }
            }
            Self::Promote(id) => {
                if let Some(member) = next.learners.remove(id) {
                    next.voters.insert(*id, member);
                } else if !next.voters.contains_key(id) {
                    return Err(ChangeError::NoMember(*id));
                }
            }
            Self::Remove(id) => {
                let was = [next.voters.remove(id), next.learners.remove(id)];
                if was.iter().all(Option::is_none) {
                    return Err(ChangeError::NoMember(*id));
                }
            }
            Self::Replace { old, new, member } => {
                let is_done = !next.contains(*old) && next.voters.get(new) == Some(member);
                if next.voters.remove(old).is_none() && !is_done {
                    return Err(ChangeError::NoMember(*old));
                }
                next.learners.remove(new);
                next.voters.insert(*new, member.clone());
            }
            Self::Set(members) => next.clone_from(members),
        }
        Ok(next)
    }
}

/// A change of the members that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeStatus {
    /// How far it is.
    pub phase: ChangePhase,
    /// The members after it.
    pub target: Members,
    /// On the leader: new voters, and the last index that each is known to hold.
    pub catching_up: Vec<(NodeId, u64)>,
}

/// How far a change of the members is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangePhase {
    /// New voters receive the log and do not count yet. The change can be aborted.
    CatchingUp,
    /// The change is in the log. In Raft the old and the new voters decide together, and the change
    /// can still be aborted; in Paxos the old acceptors decide until the new ones govern.
    Deciding,
    /// Only in Paxos: the new acceptors decide, and the old ones are needed until a quorum of the new
    /// holds everything.
    Settling,
}

/// How the last change of the members ended, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeEnd {
    /// The members are those that were wanted.
    Done,
    /// It was aborted, and the members are those from before.
    Aborted,
    /// This node did not catch up in time, and the members are those from before.
    TooSlow(NodeId),
    /// Its leader was lost before it was decided.
    LeaderLost,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Only the leader changes the members; it is to be asked.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// Another change is under way. Wait for its end, or abort it.
    #[error("another change is under way")]
    UnderWay,
    /// The leader has just been elected, or the last change is not committed yet. Ask again.
    #[error("the leader does not know yet what was decided before it")]
    NotReady,
    /// Leadership is being handed over.
    #[error("leadership is being handed to node {}", to.0)]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// No voter would be left.
    #[error("no voter would be left")]
    NoVoters,
    /// Before and after the change together there are too many members.
    #[error("more members than a group may have")]
    TooManyNodes,
    /// The node was removed, or a higher id was given before.
    #[error("node {} was removed, or is below an id that was given before: a new node needs a higher id", .0.0)]
    IdUsed(NodeId),
    /// The node is no member, or none that this can be done with.
    #[error("node {} is no such member", .0.0)]
    NoMember(NodeId),
    /// An address and a note longer than [`Member::BYTES_MAX`].
    #[error("the texts of a member are too long")]
    TooLong,
    /// The group has quorums other than majorities, which only its own core can change.
    #[error("the group's quorums are no majorities")]
    Quorums,
    /// The target breaks another rule of the protocol.
    #[error("{0}")]
    Invalid(String),
    /// No quorum has space for what a change writes.
    #[error("no quorum has space")]
    Full,
    /// There is no change to abort.
    #[error("no change is under way")]
    NothingUnderWay,
    /// It is too late to abort: only another change leads back.
    #[error("it is too late to abort: only another change leads back")]
    TooLate,
    /// The change ended otherwise. Nothing has changed.
    #[error("the change was given up: {}", ended(*.0))]
    Ended(ChangeEnd),
    /// This node leads no more, and the change may go on under the next leader. To ask that one for
    /// the same is safe.
    #[error("this node leads no more, and the change may go on")]
    LeaderLost(Option<NodeId>),
    /// The change goes on, and did not end within the time of the request.
    #[error("the change goes on")]
    GoesOn,
    /// The group takes no requests.
    #[error("the request was not taken: {0}")]
    Closed(Reason),
}

fn ended(end: ChangeEnd) -> String {
    match end {
        ChangeEnd::Done => "another one was made".into(),
        ChangeEnd::Aborted => "it was aborted".into(),
        ChangeEnd::TooSlow(node) => format!("node {} did not catch up in time", node.0),
        ChangeEnd::LeaderLost => "its leader was lost".into(),
    }
}

#[cfg(any(feature = "raft", feature = "paxos", test))]
const VERSION: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_kept_as_golden_bytes() {
        let member = Member {
            address: "a:1".into(),
            note: "n".into(),
        };
        let bytes = member.encode().unwrap();
        assert_eq!(&bytes[..], b"\0\x03\0a:1n");
        assert_eq!(Member::decode(&bytes), member);
        assert_eq!(Member::default().encode().unwrap(), Bytes::new());
        for cut in 0..3 {
            assert_eq!(Member::decode(&bytes[..cut]), Member::default());
        }
        assert_eq!(Member::decode(b"\x01\x01\0a"), Member::default());
        assert_eq!(Member::decode(b"\0\x01\0\xff"), Member::default());
        let long = Member::at("x".repeat(Member::BYTES_MAX + 1));
        assert_eq!(long.encode(), Err(ChangeError::TooLong));
        let longest = Member::at("x".repeat(Member::BYTES_MAX));
        assert_eq!(Member::decode(&longest.encode().unwrap()), longest);
    }

    #[test]
    fn changes_lead_where_they_say() {
        let of = |voters: &[u64], learners: &[u64]| {
            let side = |ids: &[u64]| {
                let member = |id: &u64| (NodeId(*id), Member::at(format!("n{id}:1")));
                ids.iter().map(member).collect()
            };
            Members {
                voters: side(voters),
                learners: side(learners),
            }
        };
        let three = of(&[1, 2, 3], &[]);
        let member = Member::at("n4:1");
        let added = Change::Add(NodeId(4), member.clone()).applied_to(&three);
        let added = added.unwrap();
        assert_eq!(added, of(&[1, 2, 3], &[4]));
        let promoted = Change::Promote(NodeId(4)).applied_to(&added).unwrap();
        assert_eq!(promoted, of(&[1, 2, 3, 4], &[]));
        let again = Change::Promote(NodeId(4)).applied_to(&promoted).unwrap();
        assert_eq!(again, promoted, "asked for what is so already");
        let removed = Change::Remove(NodeId(2)).applied_to(&promoted).unwrap();
        assert_eq!(removed, of(&[1, 3, 4], &[]));
        let (old, new) = (NodeId(2), NodeId(4));
        let replace = Change::Replace { old, new, member };
        let replaced = replace.applied_to(&three).unwrap();
        assert_eq!(replaced, removed);
        assert_eq!(replace.applied_to(&replaced).unwrap(), replaced);
        let stranger = NodeId(9);
        for change in [Change::Promote(stranger), Change::Remove(stranger)] {
            assert_eq!(
                change.applied_to(&three),
                Err(ChangeError::NoMember(stranger))
            );
        }
    }
}
