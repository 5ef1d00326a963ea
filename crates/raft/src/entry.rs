use bytes::Bytes;

/// A term: Raft's logical clock, at most one leader in each (§5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Term(pub u64);

impl Term {
    /// The last term a node takes part in. A message beyond it is ignored and counted, and a node
    /// in it does not campaign again: terms never wrap.
    pub const MAX: Self = Self(u64::MAX - 1);

    /// A message whose term is further above what this node has stored is not believed, and counted:
    /// see [`Leap`](crate::Leap). No honest history gets there, each term costing an election and a
    /// write; without it one message of the last term would end a group for ever. With it whoever
    /// would end one waits for 2^32 writes, one after the other.
    pub const LEAP_MAX: u64 = 1 << 32;

    /// The term after this one, if there is one left.
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
    /// The last position an entry may have. Messages beyond it are ignored and counted.
    pub const MAX: Self = Self(u64::MAX - 1);

    /// The position after this one. Held at `u64::MAX`, which no entry has.
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

/// The identity of an entry: with the same term and index, two logs are the same up to here
/// (Log Matching, §5.3).
///
/// The order is the paper's "at least as up-to-date" (§5.4.1): by term, then by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Its position.
    pub index: Index,
}

impl LogId {
    /// The position before the first entry of every log.
    pub const ZERO: Self = Self {
        term: Term(0),
        index: Index(0),
    };
}

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// A new leader's first entry: it carries nothing and makes earlier entries committable (§8).
    Noop,
    /// A command of the driver, opaque here.
    Command,
    /// An encoded [`Membership`](crate::Membership). Carried and applied in order; this version
    /// never creates one.
    Membership,
}

/// One entry of the replicated log. `body` is encoded once by whoever proposes: the same `Bytes`
/// go to the disk and to every peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// Which entry it is.
    pub id: LogId,
    /// What it is for.
    pub kind: Kind,
    /// The command, or nothing.
    pub body: Bytes,
}

impl Entry {
    /// What an entry counts for besides its body, so that a flood of empty entries has a size.
    pub const HEAD_BYTES: usize = 32;

    /// Bytes this entry counts for against every bound of [`Config`](crate::Config).
    #[must_use]
    pub fn size(&self) -> usize {
        Self::HEAD_BYTES.saturating_add(self.body.len())
    }
}
