use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::{DEPTH_MAX, OverlappingIds, TooDeep};

/// The owned part of the interval.
///
/// Invariant: normal form. A node has different halves, that is, never two empty or two whole ones,
/// and no path is deeper than [`DEPTH_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    /// Nothing of it.
    Empty,
    /// All of it.
    Whole,
    /// A part of each half.
    Node(Box<(Self, Self)>),
}

impl Id {
    /// Normalises: two equal halves become a leaf.
    pub(super) fn node(left: Self, right: Self) -> Self {
        match (&left, &right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Whole, Self::Whole) => Self::Whole,
            _ => Self::Node(Box::new((left, right))),
        }
    }

    /// Splits the part into one that is kept and one that is given away: they are disjoint and
    /// together form this one; neither is empty unless this one is.
    ///
    /// The paper halves the owned part, so the depth of a parent equals its number of forks. Here,
    /// after a few forks, children get pieces of a half: a half that is reached by `n` turns to the
    /// left is divided into 2ⁿ⁻⁸ pieces, so that the depth grows with the logarithm of the number of
    /// children. The number of turns is read from the part itself and may be inaccurate; it only
    /// affects the shape.
    ///
    /// ```text
    ///   paper     1/2   1/4   1/8   1/16    ...           one child for each half
    ///   here      1/2 ... 1/256   then   ½·1/512 twice   ¼·1/1024 four times   ...
    /// ```
    ///
    /// # Errors
    /// [`TooDeep`]: the part cannot be halved any more. Nothing is changed.
    pub(super) fn fork(&self) -> Result<(Self, Self), TooDeep> {
        let Some((depth, lefts)) = self.shallowest(0, 0) else {
            return Ok((Self::Empty, Self::Empty));
        };
        if self.leaves() > 1 && lefts > HALVES {
            // Pieces of a half are left, and the shallowest leaf is the other half.
            let target = DEPTH_MAX.min(depth + lefts - HALVES);
            return Ok(self.give_deepest(0, target));
        }
        let (kept, given) = self.halve(0)?;
        if self.leaves() > 1 || lefts < HALVES {
            return Ok((kept, given));
        }
        let target = DEPTH_MAX.min(depth + lefts + 2 - HALVES);
        let (rest, piece) = given.give_deepest(0, target);
        // The two are of one part and do not overlap.
        let kept = kept.sum(&rest).map_err(|_| TooDeep)?;
        Ok((kept, piece))
    }

    /// As many parts, alike in size as far as halving allows.
    ///
    /// # Errors
    /// [`TooDeep`]: the part cannot be halved as often.
    pub(super) fn fork_many(&self, count: usize, parts: &mut Vec<Self>) -> Result<(), TooDeep> {
        if count <= 1 {
            parts.push(self.clone());
            return Ok(());
        }
        let (one, other) = self.halve(0)?;
        one.fork_many(count - count / 2, parts)?;
        other.fork_many(count / 2, parts)
    }

    /// The paper's `split`.
    fn halve(&self, depth: u32) -> Result<(Self, Self), TooDeep> {
        let left = |id| Self::node(id, Self::Empty);
        let right = |id| Self::node(Self::Empty, id);
        match self {
            Self::Empty => Ok((Self::Empty, Self::Empty)),
            Self::Whole if depth >= DEPTH_MAX => Err(TooDeep),
            Self::Whole => Ok((left(Self::Whole), right(Self::Whole))),
            Self::Node(halves) => match &**halves {
                (Self::Empty, id) => {
                    let (one, other) = id.halve(depth + 1)?;
                    Ok((right(one), right(other)))
                }
                (id, Self::Empty) => {
                    let (one, other) = id.halve(depth + 1)?;
                    Ok((left(one), left(other)))
                }
                (one, other) => Ok((left(one.clone()), right(other.clone()))),
            },
        }
    }

    /// Gives away the deepest leaf, or the piece of it that is as deep as `target`.
    fn give_deepest(&self, depth: u32, target: u32) -> (Self, Self) {
        match self {
            Self::Empty => (Self::Empty, Self::Empty),
            Self::Whole if depth >= target => (Self::Empty, Self::Whole),
            Self::Whole => {
                let (kept, given) = Self::Whole.give_deepest(depth + 1, target);
                (
                    Self::node(kept, Self::Whole),
                    Self::node(given, Self::Empty),
                )
            }
            Self::Node(halves) => {
                let (left, right) = &**halves;
                if left.deepest() > right.deepest() {
                    let (kept, given) = left.give_deepest(depth + 1, target);
                    (
                        Self::node(kept, right.clone()),
                        Self::node(given, Self::Empty),
                    )
                } else {
                    let (kept, given) = right.give_deepest(depth + 1, target);
                    (
                        Self::node(left.clone(), kept),
                        Self::node(Self::Empty, given),
                    )
                }
            }
        }
    }

    /// How deep the deepest part lies that is owned whole; `None` if nothing is.
    fn deepest(&self) -> Option<u32> {
        match self {
            Self::Empty => None,
            Self::Whole => Some(0),
            Self::Node(halves) => halves
                .0
                .deepest()
                .max(halves.1.deepest())
                .map(|depth| depth + 1),
        }
    }

    /// How deep the shallowest part lies that is owned whole, and how many turns to the left lead to
    /// it at the end; of two alike the left one.
    fn shallowest(&self, depth: u32, lefts: u32) -> Option<(u32, u32)> {
        match self {
            Self::Empty => None,
            Self::Whole => Some((depth, lefts)),
            Self::Node(halves) => {
                let left = halves.0.shallowest(depth + 1, lefts + 1);
                let right = halves.1.shallowest(depth + 1, 0);
                match (left, right) {
                    (Some(left), Some(right)) if right.0 < left.0 => Some(right),
                    (left, right) => left.or(right),
                }
            }
        }
    }

    /// How many parts are owned whole.
    fn leaves(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Whole => 1,
            Self::Node(halves) => halves.0.leaves() + halves.1.leaves(),
        }
    }

    /// The part that two disjoint parts are together.
    ///
    /// # Errors
    /// [`OverlappingIds`] if something is owned by both.
    pub(super) fn sum(&self, other: &Self) -> Result<Self, OverlappingIds> {
        match (self, other) {
            (Self::Empty, id) | (id, Self::Empty) => Ok(id.clone()),
            (Self::Whole, _) | (_, Self::Whole) => Err(OverlappingIds),
            (Self::Node(one), Self::Node(other)) => {
                Ok(Self::node(one.0.sum(&other.0)?, one.1.sum(&other.1)?))
            }
        }
    }
}

/// The notation of the paper: `0`, `1`, `(i, i)`.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("0"),
            Self::Whole => f.write_str("1"),
            Self::Node(halves) => write!(f, "({}, {})", halves.0, halves.1),
        }
    }
}

/// How often the owned part is halved, as in the paper, before it is divided into smaller pieces.
const HALVES: u32 = 8;
