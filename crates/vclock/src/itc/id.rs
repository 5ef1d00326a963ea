use alloc::boxed::Box;
use core::fmt;

use super::{DEPTH_MAX, OverlappingIds, TooDeep};

/// Which part of the interval is owned.
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
    /// Normalises: two halves that are alike are no halves.
    pub(super) fn node(left: Self, right: Self) -> Self {
        match (&left, &right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Whole, Self::Whole) => Self::Whole,
            _ => Self::Node(Box::new((left, right))),
        }
    }

    /// Two parts that do not overlap and together are this one; both are owned if this is not empty.
    ///
    /// # Errors
    /// [`TooDeep`]: the part cannot be halved any more. Nothing is changed.
    pub(super) fn split(&self) -> Result<(Self, Self), TooDeep> {
        self.split_at(0)
    }

    fn split_at(&self, depth: u32) -> Result<(Self, Self), TooDeep> {
        let left = |id| Self::node(id, Self::Empty);
        let right = |id| Self::node(Self::Empty, id);
        match self {
            Self::Empty => Ok((Self::Empty, Self::Empty)),
            Self::Whole if depth >= DEPTH_MAX => Err(TooDeep),
            Self::Whole => Ok((left(Self::Whole), right(Self::Whole))),
            Self::Node(halves) => match &**halves {
                (Self::Empty, id) => {
                    let (one, other) = id.split_at(depth + 1)?;
                    Ok((right(one), right(other)))
                }
                (id, Self::Empty) => {
                    let (one, other) = id.split_at(depth + 1)?;
                    Ok((left(one), left(other)))
                }
                (one, other) => Ok((left(one.clone()), right(other.clone()))),
            },
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
