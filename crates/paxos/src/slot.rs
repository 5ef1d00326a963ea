use bytes::Bytes;

use crate::{Ballot, Entries};

/// A position in the sequence of chosen values (The Part-Time Parliament: a *decree number*; Paxos
/// Made Simple §3: an *instance*). The first is 1; 0 is the position before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot(pub u64);

impl Slot {
    /// The last slot. Messages that name a later one are malformed.
    pub const MAX: Self = Self(u64::MAX >> 8);

    /// How far beyond its own chosen prefix an acceptor votes, in slots: a vote far beyond it would
    /// oblige every later leader to fill the gap. A leader stays within half of it, so that
    /// followers that have not received the newest prefix still accept. (This is a bound of memory
    /// and of work. How far a leader may propose at all is
    /// [`Configuration::alpha`](crate::Configuration::alpha), which is at most half of it.)
    ///
    /// So at most this many slots below an acceptor's last vote are neither chosen nor voted for,
    /// and no promise makes a new leader fill more gaps than that.
    pub const AHEAD_MAX: u64 = 1 << 16;

    /// How far beyond its remembered chosen prefix an acceptor's votes may go, in slots, when it
    /// has restarted or reports them. That prefix is written lazily, and may lag behind the one
    /// that the acceptor knew when it voted by everything that was in flight.
    pub const SPAN_MAX: u64 = 1 << 20;

    /// The next slot. Saturates at `u64::MAX`, which no value has.
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

/// The identity of a chosen value, which is the same on every node.
///
/// The ballot in which a node holds a value differs from node to node; the ballot in which it was
/// first proposed does not. Origins need not increase along the slots: see the table of the
/// [crate](crate#how-it-differs-from-synod_raft).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// The slot of the value.
    pub slot: Slot,
    /// [`Value::origin`] of the value chosen in that slot.
    pub origin: Ballot,
}

impl Position {
    /// The position before the first slot.
    pub const ZERO: Self = Self {
        slot: Slot(0),
        origin: Ballot::ZERO,
    };
}

/// The purpose of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// Fills a gap: a slot of which a new leader learned nothing, below one of which it did (Paxos
    /// Made Simple §3).
    Noop,
    /// A command from the driver, opaque to this crate.
    Command,
    /// An encoded [`Configuration`](crate::Configuration). Only the core proposes one, see
    /// [`Paxos::change_membership`](crate::Paxos::change_membership). It is delivered in order, also
    /// if it has no effect, see [`Configurations::is_decided_in`](crate::Configurations::is_decided_in).
    Configuration,
}

/// A value that is proposed, voted for and chosen. `body` is encoded once, by its first proposer:
/// the disk and every peer share the same `Bytes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Value {
    /// How `body` is to be read.
    pub kind: Kind,
    /// The ballot in which it was first proposed; a later leader that proposes it again keeps it.
    pub origin: Ballot,
    /// The command; empty for a no-op.
    pub body: Bytes,
}

impl Value {
    /// What each value counts in addition to its body, so that many empty values have a size.
    pub const HEAD_BYTES: usize = 48;

    /// The bytes that this value counts towards every bound of [`Config`](crate::Config).
    #[must_use]
    pub fn size(&self) -> usize {
        Self::HEAD_BYTES.saturating_add(self.body.len())
    }

    /// A no-op first proposed in `origin`.
    pub(crate) fn noop(origin: Ballot) -> Self {
        Self {
            kind: Kind::Noop,
            origin,
            body: Bytes::new(),
        }
    }
}

/// An acceptor's vote: in `ballot` it accepted `value` for `slot` (The Part-Time Parliament §2.1).
/// A log consists of votes. In one ballot and slot all votes are for one value, because a ballot
/// has one leader and a leader proposes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vote<V = Value> {
    /// The slot of the vote.
    pub slot: Slot,
    /// The ballot in which it was cast.
    pub ballot: Ballot,
    /// The value that was accepted.
    pub value: V,
}

impl Vote<&Value> {
    /// This vote with an owned value.
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
    /// This vote with a borrowed value.
    #[must_use]
    pub fn by_ref(&self) -> Vote<&Value> {
        Vote {
            slot: self.slot,
            ballot: self.ballot,
            value: &self.value,
        }
    }
}

/// Votes in one ballot for consecutive slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Votes {
    /// The ballot in which they were cast.
    pub ballot: Ballot,
    /// The slot of the first of `values`.
    pub first: Slot,
    /// One value per slot, at least one. Keeping them needs no copy.
    pub values: Entries,
}

impl Votes {
    /// The last slot.
    #[must_use]
    #[inline]
    pub fn last(&self) -> Slot {
        last(self.first, &self.values)
    }

    /// The votes in order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = Vote<&Value>> + Clone {
        votes(self.first, self.ballot, &self.values)
    }

    /// The vote for this slot.
    pub(crate) fn vote(&self, slot: Slot) -> Option<Vote<&Value>> {
        let place = usize::try_from(slot.0.checked_sub(self.first.0)?).ok()?;
        let (ballot, value) = (self.ballot, self.values.get(place)?);
        Some(Vote {
            slot,
            ballot,
            value,
        })
    }

    /// The bytes of the values from `from` to `to`.
    #[inline]
    pub(crate) fn bytes(&self, from: Slot, to: Slot) -> usize {
        if from <= self.first && self.last() <= to {
            return self.values.bytes();
        }
        self.within(from, to).map_or(0, |part| part.values.bytes())
    }

    /// The votes from `from` to `to`, if there are any.
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

/// Chosen values of consecutive slots. They never change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chosen {
    /// The slot of the first of `values`.
    pub first: Slot,
    /// One value per slot, at least one.
    pub values: Entries,
}

impl Chosen {
    /// The last slot.
    #[must_use]
    pub fn last(&self) -> Slot {
        last(self.first, &self.values)
    }

    /// The values with their positions, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Position, &Value)> {
        let slots = (self.first.0..).map(Slot);
        slots.zip(&self.values).map(|(slot, value)| {
            let origin = value.origin;
            (Position { slot, origin }, value)
        })
    }
}

/// Votes in `ballot` for values of consecutive slots.
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
