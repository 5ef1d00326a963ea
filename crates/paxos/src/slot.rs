use bytes::Bytes;

use crate::{Ballot, Entries};

/// A place in the sequence of chosen values (The Part-Time Parliament: a *decree number*; Paxos Made
/// Simple §3: an *instance*). The first is 1; 0 is before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot(pub u64);

impl Slot {
    /// The last slot there is. Messages that name a later one are nonsense.
    pub const MAX: Self = Self(u64::MAX >> 8);

    /// How far behind its own chosen prefix an acceptor votes, in slots: a vote far beyond it would
    /// oblige every later leader to fill the gap. A leader keeps within half of it, so that
    /// followers which have not heard the newest yet still accept (Paxos Made Simple §3 calls the
    /// distance α).
    ///
    /// So below an acceptor's last vote no more than this many slots are neither chosen nor voted
    /// for, and whatever a promise tells, a new leader fills no more gaps.
    pub const AHEAD_MAX: u64 = 1 << 16;

    /// How far behind the chosen prefix that it remembers an acceptor's votes go, in slots, when it
    /// has restarted or is asked for them: that prefix is noted lazily, and may be behind the one
    /// that it knew as it voted by all that was under way.
    pub const SPAN_MAX: u64 = 1 << 20;

    /// The slot after this one. Held at `u64::MAX`, which no value has.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The slot before this one; 0 stays 0.
    #[must_use]
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// What names a chosen value on every node alike.
///
/// The ballot under which a node happens to hold a value differs from node to node; the ballot in
/// which it was first proposed does not. Along the slots origins need not rise: see the table of
/// the [crate](crate#where-the-twins-differ).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// Where.
    pub slot: Slot,
    /// [`Value::origin`] of what was chosen there.
    pub origin: Ballot,
}

impl Position {
    /// Before the first slot.
    pub const ZERO: Self = Self {
        slot: Slot(0),
        origin: Ballot::ZERO,
    };
}

/// What a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// Fills a gap: a slot of which a new leader learned nothing, below one of which it did (Paxos
    /// Made Simple §3).
    Noop,
    /// A command of the driver, opaque here.
    Command,
    /// An encoded [`Configuration`](crate::Configuration). Carried and applied in order; this
    /// version never creates one.
    Configuration,
}

/// A value that is proposed, voted for and chosen. `body` is encoded once by whoever proposes it
/// first: the same `Bytes` go to the disk and to every peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Value {
    /// What it is for.
    pub kind: Kind,
    /// The ballot in which it was proposed first; a later leader that proposes it again keeps it.
    pub origin: Ballot,
    /// The command, or nothing.
    pub body: Bytes,
}

impl Value {
    /// What a value counts for besides its body, so that a flood of empty values has a size.
    pub const HEAD_BYTES: usize = 48;

    /// Bytes this value counts for against every bound of [`Config`](crate::Config).
    #[must_use]
    pub fn size(&self) -> usize {
        Self::HEAD_BYTES.saturating_add(self.body.len())
    }

    /// Nothing, first proposed in `origin`.
    pub(crate) fn noop(origin: Ballot) -> Self {
        Self {
            kind: Kind::Noop,
            origin,
            body: Bytes::new(),
        }
    }
}

/// An acceptor's vote: in `ballot` it accepted `value` for `slot` (The Part-Time Parliament §2.1).
/// This is what a log holds. In one ballot and slot all votes are for one value, because a ballot
/// has one leader and a leader proposes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vote<V = Value> {
    /// Where.
    pub slot: Slot,
    /// In which ballot.
    pub ballot: Ballot,
    /// For what.
    pub value: V,
}

impl Vote<&Value> {
    /// The same with a value of its own.
    #[must_use]
    pub fn cloned(self) -> Vote {
        let Self {
            slot,
            ballot,
            value,
        } = self;
        Vote {
            slot,
            ballot,
            value: value.clone(),
        }
    }
}

impl Vote {
    /// The same, of a value elsewhere.
    #[must_use]
    pub fn by_ref(&self) -> Vote<&Value> {
        Vote {
            slot: self.slot,
            ballot: self.ballot,
            value: &self.value,
        }
    }
}

/// Votes in one ballot for slots that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Votes {
    /// In which ballot.
    pub ballot: Ballot,
    /// The slot of the first of `values`.
    pub first: Slot,
    /// For what, one value a slot and at least one. To keep them takes no copy.
    pub values: Entries,
}

impl Votes {
    /// The last slot.
    #[must_use]
    #[inline]
    pub fn last(&self) -> Slot {
        last(self.first, &self.values)
    }

    /// Each vote.
    pub fn iter(&self) -> impl Iterator<Item = Vote<&Value>> + Clone {
        votes(self.first, self.ballot, &self.values)
    }

    /// The one for a slot.
    pub(crate) fn vote(&self, slot: Slot) -> Option<Vote<&Value>> {
        let place = usize::try_from(slot.0.checked_sub(self.first.0)?).ok()?;
        let (ballot, value) = (self.ballot, self.values.get(place)?);
        Some(Vote {
            slot,
            ballot,
            value,
        })
    }

    /// Bytes of those from `from` to `to`.
    #[inline]
    pub(crate) fn bytes(&self, from: Slot, to: Slot) -> usize {
        if from <= self.first && self.last() <= to {
            return self.values.bytes();
        }
        self.within(from, to).map_or(0, |part| part.values.bytes())
    }

    /// Those from `from` to `to`, if there are any.
    #[inline]
    pub(crate) fn within(&self, from: Slot, to: Slot) -> Option<Self> {
        if from <= self.first && self.last() <= to {
            return Some(self.clone());
        }
        let (first, last) = (from.max(self.first), to.min(self.last()));
        let place = |slot: Slot| usize::try_from(slot.0 - self.first.0).unwrap_or(usize::MAX);
        (first <= last).then(|| Self {
            ballot: self.ballot,
            first,
            values: self.values.part(place(first)..place(last) + 1),
        })
    }
}

/// Values that are chosen for slots that follow each other, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chosen {
    /// The slot of the first of `values`.
    pub first: Slot,
    /// One value a slot, at least one.
    pub values: Entries,
}

impl Chosen {
    /// The last slot.
    #[must_use]
    pub fn last(&self) -> Slot {
        last(self.first, &self.values)
    }

    /// Each value, with what names it.
    pub fn iter(&self) -> impl Iterator<Item = (Position, &Value)> {
        let slots = (self.first.0..).map(Slot);
        slots.zip(&self.values).map(|(slot, value)| {
            let origin = value.origin;
            (Position { slot, origin }, value)
        })
    }
}

/// Votes in `ballot` for values that follow each other.
pub(crate) fn votes(
    first: Slot,
    ballot: Ballot,
    values: &[Value],
) -> impl Iterator<Item = Vote<&Value>> + Clone {
    let slots = (first.0..).map(Slot);
    slots.zip(values).map(move |(slot, value)| Vote {
        slot,
        ballot,
        value,
    })
}

#[inline]
fn last(first: Slot, values: &Entries) -> Slot {
    let more = (values.len() as u64).saturating_sub(1);
    Slot(first.0.saturating_add(more))
}
