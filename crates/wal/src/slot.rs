//! What the log holds: slots of groups, and the operations on them.

use std::fmt;

use bytes::Bytes;

/// Whose slots these are. The groups of a node share one log, and one sync answers for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Log sequence number: the position of a record in the one log of all groups. The first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The one behind it; nothing behind the last, at which only a forged record can stand.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 32 bytes to which the owner gives a meaning: a term and a vote, a ballot, the kind of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 32]);

/// A numbered slot of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its number, from 1.
    pub index: u64,
    /// What the owner wrote beside the body; kept in memory for every slot.
    pub tag: Tag,
    /// The contents; on disk only, once synced.
    pub body: Bytes,
}

/// One operation on a group. The operations of one [`append`](crate::Wal::append) happen together
/// or not at all.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Replaces the state of the group.
    State(Tag),
    /// Forgets the slots at and above `from`.
    Truncate {
        /// The first slot to forget.
        from: u64,
    },
    /// Writes a slot, in any order and with gaps; the last write of a slot wins. At or below the
    /// group's start it is forgotten at once.
    Put {
        /// Number of the slot.
        index: u64,
        /// Kept in memory beside the slot's place.
        tag: Tag,
        /// The contents.
        body: &'a Bytes,
    },
    /// Forgets the slots at and below `after`, whose contents are elsewhere from now on: in a
    /// snapshot.
    Start {
        /// The last slot that is not in the log.
        after: u64,
        /// What the owner wants to remember of that slot.
        tag: Tag,
    },
}
