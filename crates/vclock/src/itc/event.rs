use alloc::boxed::Box;
use core::fmt;

use super::id::Id;
use crate::{CausalOrder, Overflow};

/// A function from the interval to counters: the known events.
///
/// A node is its base everywhere plus what its halves say.
///
/// Invariant: normal form. One half of a node has base zero, and halves are not two equal leaves, so
/// each function has one tree; and the greatest sum along a path fits a `u64`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Leaf(u64),
    Node(u64, Box<(Self, Self)>),
}

impl Event {
    /// Normalises: moves the common minimum of the halves into the base.
    pub(super) fn node(base: u64, mut left: Self, mut right: Self) -> Self {
        let shared = left.base().min(right.base());
        left.sink(shared);
        right.sink(shared);
        match (&left, &right) {
            (Self::Leaf(0), Self::Leaf(0)) => Self::Leaf(base + shared),
            _ => Self::Node(base + shared, Box::new((left, right))),
        }
    }

    /// Compares two functions in one pass without copying: each tree is read together with the sum
    /// of the bases above it.
    pub(super) fn causal_cmp(&self, other: &Self) -> CausalOrder {
        compare((0, self), (0, other))
    }

    /// Whether the function is greater than another somewhere on a part.
    pub(super) fn exceeds(&self, other: &Self, part: &Id) -> bool {
        exceeds((0, self), (0, other), part)
    }

    /// The greater of both everywhere.
    pub(super) fn join(&self, other: &Self) -> Self {
        join((0, self), (0, other))
    }

    /// The paper's `fill`: raises the function on the owned part as far as this simplifies the tree
    /// without adding information.
    pub(super) fn fill(&self, id: &Id) -> Self {
        let (Id::Node(parts), Self::Node(base, halves)) = (id, self) else {
            return match id {
                Id::Whole => Self::Leaf(self.greatest()),
                Id::Empty | Id::Node(_) => self.clone(),
            };
        };
        let (left, right) = match &**parts {
            (Id::Whole, part) => {
                let right = halves.1.fill(part);
                let left = halves.0.greatest().max(right.base());
                (Self::Leaf(left), right)
            }
            (part, Id::Whole) => {
                let left = halves.0.fill(part);
                let right = halves.1.greatest().max(left.base());
                (left, Self::Leaf(right))
            }
            (one, other) => (halves.0.fill(one), halves.1.fill(other)),
        };
        Self::node(*base, left, right)
    }

    /// The paper's `grow`: raises the function by one somewhere on the own part, where that makes
    /// the tree grow least. Returns `false`, with nothing changed, if no part is owned.
    pub(super) fn grow(&mut self, id: &Id) -> Result<bool, Overflow> {
        let Some(way) = cheapest(id, Some(self)) else {
            return Ok(false);
        };
        self.grow_along(way, 0)?;
        Ok(true)
    }

    fn grow_along(&mut self, way: Way, above: u64) -> Result<(), Overflow> {
        if way.steps == 0 {
            debug_assert!(
                matches!(self, Self::Leaf(_)),
                "what is owned whole was filled"
            );
            let base = self.base();
            // The sum along the path is what must not overflow, and the tree holds it in parts.
            above
                .checked_add(base)
                .and_then(|sum| sum.checked_add(1))
                .ok_or(Overflow)?;
            *self = Self::Leaf(base + 1);
            return Ok(());
        }
        let base = self.base();
        let (mut left, mut right) = match core::mem::replace(self, Self::Leaf(0)) {
            Self::Leaf(_) => (Self::Leaf(0), Self::Leaf(0)),
            Self::Node(_, halves) => *halves,
        };
        let half = if way.turns[0] & 1 == 0 {
            &mut left
        } else {
            &mut right
        };
        let grown = half.grow_along(way.rest(), above + base);
        // Also after a failure, to restore the tree.
        *self = Self::node(base, left, right);
        grown
    }

    /// Whether the halves of the root leave nothing to take into the base.
    pub(super) fn is_normal(&self) -> bool {
        match self {
            Self::Leaf(_) => true,
            Self::Node(_, halves) => {
                halves.0.base().min(halves.1.base()) == 0
                    && **halves != (Self::Leaf(0), Self::Leaf(0))
            }
        }
    }

    /// The function's least value, because the tree is in normal form.
    const fn base(&self) -> u64 {
        match self {
            Self::Leaf(base) | Self::Node(base, _) => *base,
        }
    }

    const fn sink(&mut self, by: u64) {
        match self {
            Self::Leaf(base) | Self::Node(base, _) => *base -= by,
        }
    }

    /// The function's greatest value.
    pub(super) fn greatest(&self) -> u64 {
        match self {
            Self::Leaf(base) => *base,
            Self::Node(base, halves) => base + halves.0.greatest().max(halves.1.greatest()),
        }
    }

    /// The halves, those of a leaf included.
    fn halves(&self) -> (&Self, &Self) {
        match self {
            Self::Leaf(_) => (&ZERO, &ZERO),
            Self::Node(_, halves) => (&halves.0, &halves.1),
        }
    }
}

/// A tree, and the sum of the bases above it.
type At<'a> = (u64, &'a Event);

fn compare(one: At<'_>, other: At<'_>) -> CausalOrder {
    let (base, other_base) = (one.0 + one.1.base(), other.0 + other.1.base());
    if let (Event::Leaf(_), Event::Leaf(_)) = (one.1, other.1) {
        return base.cmp(&other_base).into();
    }
    let (halves, other_halves) = (one.1.halves(), other.1.halves());
    let left = compare((base, halves.0), (other_base, other_halves.0));
    if left == CausalOrder::Concurrent {
        return left;
    }
    left.and(compare((base, halves.1), (other_base, other_halves.1)))
}

fn exceeds(one: At<'_>, other: At<'_>, part: &Id) -> bool {
    let parts = match part {
        Id::Empty => return false,
        Id::Whole => return !compare(other, one).descends(),
        Id::Node(parts) => parts,
    };
    let (base, other_base) = (one.0 + one.1.base(), other.0 + other.1.base());
    let (halves, other_halves) = (one.1.halves(), other.1.halves());
    exceeds((base, halves.0), (other_base, other_halves.0), &parts.0)
        || exceeds((base, halves.1), (other_base, other_halves.1), &parts.1)
}

fn join(one: At<'_>, other: At<'_>) -> Event {
    let (base, other_base) = (one.0 + one.1.base(), other.0 + other.1.base());
    if let (Event::Leaf(_), Event::Leaf(_)) = (one.1, other.1) {
        return Event::Leaf(base.max(other_base));
    }
    let (halves, other_halves) = (one.1.halves(), other.1.halves());
    // The halves include the bases above them, and normalising moves these out again.
    Event::node(
        0,
        join((base, halves.0), (other_base, other_halves.0)),
        join((base, halves.1), (other_base, other_halves.1)),
    )
}

/// A path from the root to a fully owned part, with the cost of growing there.
///
/// The paper adds a large constant for each leaf that becomes a node; a pair in lexicographic order
/// is equivalent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    /// Leaves that become nodes.
    splits: u32,
    /// How deep it leads.
    steps: u32,
    /// Where to turn at each depth, from the lowest bit of the first word: 1 is right. There are as
    /// many bits as a tree may be deep.
    turns: [u128; 2],
}

impl Way {
    const HERE: Self = Self {
        splits: 0,
        steps: 0,
        turns: [0; 2],
    };

    /// The way that first turns and then goes on like this one.
    const fn after(self, turn: u128, splits: u32) -> Self {
        let [low, high] = self.turns;
        Self {
            splits: self.splits + splits,
            steps: self.steps + 1,
            turns: [low << 1 | turn, high << 1 | low >> 127],
        }
    }

    /// What is left of it after the first turn.
    const fn rest(self) -> Self {
        let [low, high] = self.turns;
        Self {
            splits: self.splits,
            steps: self.steps - 1,
            turns: [low >> 1 | high << 127, high >> 1],
        }
    }
}

/// The cheapest way to a part that is owned whole; `None` is a leaf that a split would make.
fn cheapest(id: &Id, event: Option<&Event>) -> Option<Way> {
    let parts = match id {
        Id::Empty => return None,
        // Above a leaf only: what is owned whole and not flat was filled before.
        Id::Whole => return Some(Way::HERE),
        Id::Node(parts) => parts,
    };
    let (halves, splits) = match event {
        Some(Event::Node(_, halves)) => ((Some(&halves.0), Some(&halves.1)), 0),
        Some(Event::Leaf(_)) | None => ((None, None), 1),
    };
    let left = cheapest(&parts.0, halves.0).map(|way| way.after(0, splits));
    let right = cheapest(&parts.1, halves.1).map(|way| way.after(1, splits));
    match (left, right) {
        // The paper takes the right one of two that cost the same.
        (Some(left), Some(right)) if (left.splits, left.steps) < (right.splits, right.steps) => {
            Some(left)
        }
        (left, right) => right.or(left),
    }
}

/// The notation of the paper: `n`, `(n, e, e)`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(base) => write!(f, "{base}"),
            Self::Node(base, halves) => write!(f, "({base}, {}, {})", halves.0, halves.1),
        }
    }
}

const ZERO: Event = Event::Leaf(0);
