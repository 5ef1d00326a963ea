//! The contents of the log: slots of groups, and the operations on them.

use std::fmt;

use bytes::Bytes;

/// The id of a group of slots. The groups of a node share one log and its syncs.
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
    /// The next number; `None` after the greatest, which only a forged record can have.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 32 bytes that the owner interprets: a term and a vote, a ballot, the kind of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 32]);

/// A numbered slot of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The number of the slot, from 1.
    pub index: u64,
    /// The owner's tag; kept in memory for every slot.
    pub tag: Tag,
    /// The contents; once synced, on disk only.
    pub body: Bytes,
}

/// One operation on a group. The operations of one [`append`](crate::Wal::append) take effect
/// together or not at all.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Replaces the state of the group.
    State(Tag),
    /// Forgets the slots at and above `from`.
    Truncate {
        /// The first slot to forget.
        from: u64,
    },
    /// Writes a slot, in any order and with gaps; the last write of a slot wins. A slot at or below
    /// the group's start is forgotten at once.
    Put {
        /// The number of the slot.
        index: u64,
        /// The owner's tag, kept in memory with the slot's location.
        tag: Tag,
        /// The contents of the slot.
        body: &'a Bytes,
    },
    /// Forgets the slots at and below `after`, which a snapshot contains from now on.
    Start {
        /// The last slot that is not in the log.
        after: u64,
        /// The owner's tag for that slot, which is kept.
        tag: Tag,
    },
}
