use bytes::Bytes;

/// A term: Raft's logical clock, with at most one leader each (§5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Term(pub u64);

impl Term {
    /// The last term that a node takes part in. Messages of a later term are ignored and counted,
    /// and a node in this term does not campaign again, so terms never wrap.
    pub const MAX: Self = Self(u64::MAX - 1);

    /// A message whose term is further than this above the stored term is not believed, and is
    /// counted: see [`Leap`](crate::Leap). No honest history gets there, since each term costs an
    /// election and a write. Without this bound, one message with the last term would end a group
    /// for ever; with it, an attacker has to wait for 2^32 writes, one after the other.
    pub const LEAP_MAX: u64 = 1 << 32;

    /// The next term, or `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        (self < Self::MAX).then(|| Self(self.0 + 1))
    }
}

/// A position in the log. The first entry has index 1; 0 is the position before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Index(pub u64);

impl Index {
    /// The last position that an entry may have. Messages beyond it are ignored and counted.
    pub const MAX: Self = Self(u64::MAX - 1);

    /// The next position. Saturates at `u64::MAX`, which no entry has.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before this one; 0 stays 0.
    #[must_use]
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// The identity of an entry. Two logs that hold the same entry are equal up to it (Log Matching,
/// §5.3).
///
/// The order is the paper's "at least as up-to-date" (§5.4.1): by term, then by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// The position of the entry.
    pub index: Index,
}

impl LogId {
    /// The position before the first entry of every log.
    pub const ZERO: Self = Self {
        term: Term(0),
        index: Index(0),
    };
}

/// The purpose of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// The first entry of a new leader. It is empty, and makes earlier entries committable (§8).
    Noop,
    /// A command from the driver, opaque to this crate.
    Command,
    /// An encoded [`Membership`](crate::Membership), in force from the moment it is in the log. Only
    /// the core of a leader appends one, see
    /// [`Raft::change_membership`](crate::Raft::change_membership).
    Membership,
    /// A command whose body was left out, in the log of a
    /// [witness](crate::Membership::is_witness) and on the way to it. A driver that is to apply one
    /// has nothing to apply, and no state.
    Withheld,
}

/// One entry of the replicated log. `body` is encoded once, by the proposer: the disk and every
/// peer share the same `Bytes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// The term and index that identify the entry.
    pub id: LogId,
    /// How `body` is to be read.
    pub kind: Kind,
    /// The command; empty for a no-op.
    pub body: Bytes,
}

impl Entry {
    /// The entry as a witness gets it: a command loses its body.
    pub(crate) fn withheld(&self) -> Self {
        match self.kind {
            Kind::Command | Kind::Withheld => Self {
                id: self.id,
                kind: Kind::Withheld,
                body: Bytes::new(),
            },
            Kind::Noop | Kind::Membership => self.clone(),
        }
    }

    /// What each entry counts in addition to its body, so that many empty entries have a size.
    pub const HEAD_BYTES: usize = 32;

    /// The bytes that this entry counts towards every bound of [`Config`](crate::Config).
    #[must_use]
    pub fn size(&self) -> usize {
        Self::HEAD_BYTES.saturating_add(self.body.len())
    }
}
