mod encoding;
mod error;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::NodeId;

pub use error::{QuorumDecodeError, QuorumError};

/// The sets of acceptors that are quorums of phase 1 (promises) and of phase 2 (acceptances).
///
/// Invariant, by construction: every phase-1 quorum intersects every phase-2 quorum. Quorums of the
/// same phase need not intersect: safety only requires that the phase 1 of a later ballot
/// intersects the phase 2 of an earlier one (Howard, Malkhi, Spiegelman, *Flexible Paxos: Quorum
/// Intersection Revisited*, 2016).
///
/// | system | phase 1 needs | phase 2 needs | they intersect because |
/// |---|---|---|---|
/// | [`majority`](Self::majority) | more than half | more than half | two majorities share an acceptor |
/// | [`flexible`](Self::flexible) | `phase1` acceptors | `phase2` acceptors | their sum exceeds the total |
/// | [`weighted`](Self::weighted) | weight `phase1` | weight `phase2` | their sum exceeds the total |
/// | [`grid`](Self::grid) | one whole row | one of each row | phase 2 has one of that row |
///
/// A value that breaks this rule cannot be constructed. With the feature `serde` it is serialized
/// as the bytes of [`encode`](Self::encode), so a deserialized value is checked again.
///
/// Phase 1 happens once per leader, phase 2 with each value. A group may therefore make phase 2
/// cheaper:
///
/// ```
/// use synod_paxos::{AcceptorSet, NodeId, QuorumError, Quorums};
///
/// let four = [1, 2, 3, 4].map(NodeId);
/// let quorums = Quorums::flexible(four, 3, 2)?;
///
/// let mut voters = AcceptorSet::default();
/// quorums.insert(&mut voters, NodeId(1));
/// quorums.insert(&mut voters, NodeId(1)); // the same message again
/// assert!(!quorums.is_phase2(voters));
/// quorums.insert(&mut voters, NodeId(4));
/// assert!(quorums.is_phase2(voters) && !quorums.is_phase1(voters));
///
/// // Two could promise and two others accept.
/// assert_eq!(Quorums::flexible(four, 2, 2), Err(QuorumError::NoIntersection));
/// # Ok::<(), QuorumError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "bytes::Bytes", into = "bytes::Bytes")
)]
pub struct Quorums {
    /// Ascending, without duplicates. The position of an acceptor is its position in an
    /// [`AcceptorSet`].
    acceptors: Vec<NodeId>,
    system: System,
}

/// A set of the acceptors of one [`Quorums`], by position. Cheap to copy; an acceptor counts once,
/// however often it is inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceptorSet(u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum System {
    /// Positive weights in the order of the acceptors. Their sum is a `u64`; neither threshold
    /// exceeds it, and the sum of the thresholds does.
    Weighted {
        weights: Vec<u64>,
        phase1: u64,
        phase2: u64,
    },
    /// Each acceptor is in one row, no row is empty, and rows are in the order of their first
    /// acceptors, so that equal systems are equal values.
    Grid { rows: Vec<AcceptorSet> },
}

impl fmt::Display for Quorums {
    /// The acceptors and their quorums. Two systems have the same text if and only if they are equal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, nodes: &mut dyn Iterator<Item = String>| {
            nodes.enumerate().try_for_each(|(place, node)| {
                f.write_str(if place > 0 { ", " } else { "" })?;
                f.write_str(&node)
            })
        };
        match &self.system {
            System::Weighted {
                weights,
                phase1,
                phase2,
            } => {
                f.write_str("acceptors ")?;
                let weighed = self.acceptors.iter().zip(weights);
                list(
                    f,
                    &mut weighed.map(|(node, weight)| match weight {
                        1 => node.0.to_string(),
                        _ => format!("{} (weight {weight})", node.0),
                    }),
                )?;
                write!(f, ", phase 1 by {phase1}, phase 2 by {phase2}")
            }
            System::Grid { rows } => {
                f.write_str("acceptors in rows ")?;
                let of = |row: &AcceptorSet| {
                    let places = self.acceptors.iter().enumerate();
                    let nodes = places.filter(|(place, _)| row.0 & (1 << place) != 0);
                    let nodes: Vec<_> = nodes.map(|(_, node)| node.0.to_string()).collect();
                    format!("({})", nodes.join(" "))
                };
                list(f, &mut rows.iter().map(of))
            }
        }
    }
}

impl Quorums {
    /// Maximum number of acceptors.
    pub const ACCEPTORS_MAX: usize = 64;

    /// Any majority, in both phases (Paxos Made Simple §2.2). Duplicates of an acceptor are
    /// ignored.
    ///
    /// # Errors
    /// If there are no acceptors, or too many.
    pub fn majority(acceptors: impl IntoIterator<Item = NodeId>) -> Result<Self, QuorumError> {
        let acceptors: BTreeSet<NodeId> = acceptors.into_iter().collect();
        let half = acceptors.len() / 2 + 1;
        Self::flexible(acceptors, half, half)
    }

    /// Any `phase1` acceptors promise, any `phase2` accept (Flexible Paxos, the "simple quorums").
    /// Duplicates of an acceptor are ignored.
    ///
    /// # Errors
    /// As for [`majority`](Self::majority); also if `phase1 + phase2` does not exceed the number of
    /// acceptors, or one of the two does.
    pub fn flexible(
        acceptors: impl IntoIterator<Item = NodeId>,
        phase1: usize,
        phase2: usize,
    ) -> Result<Self, QuorumError> {
        let acceptors: BTreeSet<NodeId> = acceptors.into_iter().collect();
        let weights = acceptors.into_iter().map(|acceptor| (acceptor, 1));
        Self::weighted(weights, phase1 as u64, phase2 as u64)
    }

    /// Acceptors of different weight, like votes of different weight (Gifford, *Weighted Voting for
    /// Replicated Data*, 1979): any acceptors of total weight `phase1` promise, any of total weight
    /// `phase2` accept.
    ///
    /// ```
    /// use synod_paxos::{AcceptorSet, NodeId, QuorumError, Quorums};
    ///
    /// // Three good machines and two that only break ties.
    /// let weights = [(1, 2), (2, 2), (3, 2), (8, 1), (9, 1)].map(|(id, weight)| (NodeId(id), weight));
    /// let quorums = Quorums::weighted(weights, 5, 4)?;
    /// let mut voters = AcceptorSet::default();
    /// for id in [1, 8, 9] {
    ///     quorums.insert(&mut voters, NodeId(id));
    /// }
    /// assert!(quorums.is_phase2(voters) && !quorums.is_phase1(voters));
    /// # Ok::<(), QuorumError>(())
    /// ```
    ///
    /// # Errors
    /// If there are no acceptors, too many, or duplicates; if a weight is zero, or the sum of
    /// weights exceeds a `u64`; if a threshold exceeds that sum, or the sum of the two thresholds
    /// does not.
    pub fn weighted(
        weights: impl IntoIterator<Item = (NodeId, u64)>,
        phase1: u64,
        phase2: u64,
    ) -> Result<Self, QuorumError> {
        let mut by_acceptor = BTreeMap::new();
        let mut total: u64 = 0;
        for (acceptor, weight) in weights {
            if weight == 0 {
                return Err(QuorumError::ZeroWeight { acceptor });
            }
            if by_acceptor.insert(acceptor, weight).is_some() {
                return Err(QuorumError::Repeated { acceptor });
            }
            total = total.checked_add(weight).ok_or(QuorumError::Overflow)?;
        }
        let (acceptors, weights) = by_acceptor.into_iter().unzip();
        let system = System::Weighted {
            weights,
            phase1,
            phase2,
        };
        let quorums = Self { acceptors, system }.within_bounds()?;
        if phase1 > total || phase2 > total {
            return Err(QuorumError::Unreachable);
        }
        // As a difference, because the sum of the thresholds may exceed a `u64`.
        if phase1 <= total - phase2 {
            return Err(QuorumError::NoIntersection);
        }
        Ok(quorums)
    }

    /// Acceptors in rows: all acceptors of one row promise, one of each row accepts. If all rows
    /// are equally long, which they need not be, a column is a phase-2 quorum (the grid of Cheung,
    /// Ammar and Ahamad, 1992, without the half of each quorum that Flexible Paxos shows to be
    /// unnecessary).
    ///
    /// ```text
    ///            columns
    ///          ┌───┬───┬───┐
    ///        ┌─┼─1─┼─2─┼─3─┼─┐  a row: 1, 2 and 3 have promised
    ///        └─┼───┼───┼───┼─┘
    ///   rows   │ 4 │(5)│ 6 │
    ///          ├───┼───┼───┤     one of each: 2, 5 and 7 have accepted,
    ///          │(7)│ 8 │ 9 │     and 2 is in both
    ///          └───┴───┴───┘
    /// ```
    ///
    /// Phase 2 has the smaller quorum if there are fewer rows than columns. Each value is then
    /// stored in each row, for instance in each data center. Phase 1 becomes unavailable once every
    /// row lacks an acceptor, phase 2 once a whole row is down. For the opposite trade-off, values
    /// that stay within one row, pass the columns instead: one of each column contains a whole row.
    ///
    /// ```
    /// use synod_paxos::{AcceptorSet, NodeId, QuorumError, Quorums};
    ///
    /// let quorums = Quorums::grid([[1, 2, 3], [4, 5, 6]].map(|row| row.map(NodeId)))?;
    /// let mut voters = AcceptorSet::default();
    /// quorums.insert(&mut voters, NodeId(3));
    /// quorums.insert(&mut voters, NodeId(4));
    /// assert!(quorums.is_phase2(voters) && !quorums.is_phase1(voters));
    /// # Ok::<(), QuorumError>(())
    /// ```
    ///
    /// # Errors
    /// If there are no acceptors, too many, or duplicates, or if a row is empty.
    pub fn grid<R>(rows: impl IntoIterator<Item = R>) -> Result<Self, QuorumError>
    where
        R: IntoIterator<Item = NodeId>,
    {
        let mut row_of = BTreeMap::new();
        let mut count = 0;
        for row in rows {
            let before = row_of.len();
            for acceptor in row {
                if row_of.insert(acceptor, count).is_some() {
                    return Err(QuorumError::Repeated { acceptor });
                }
            }
            if row_of.len() == before {
                return Err(QuorumError::EmptyRow);
            }
            count += 1;
        }
        let mut quorums = Self {
            acceptors: row_of.keys().copied().collect(),
            system: System::Grid { rows: Vec::new() },
        }
        .within_bounds()?;
        let mut rows = alloc::vec![AcceptorSet::default(); count];
        for (position, row) in row_of.into_values().enumerate() {
            rows[row].0 |= 1 << position;
        }
        rows.sort_unstable_by_key(|row| row.0.trailing_zeros());
        quorums.system = System::Grid { rows };
        Ok(quorums)
    }

    /// The acceptors in ascending order.
    pub fn acceptors(&self) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.acceptors.iter().copied()
    }

    /// Whether this node is an acceptor.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.place(node).is_some()
    }

    /// Inserts an acceptor into a set. Returns whether it was not there before; other nodes are not
    /// inserted.
    pub fn insert(&self, set: &mut AcceptorSet, node: NodeId) -> bool {
        let Some(place) = self.place(node) else {
            return false;
        };
        let before = *set;
        set.insert(place);
        *set != before
    }

    /// The acceptors among these nodes.
    pub(crate) fn set_of(&self, nodes: impl IntoIterator<Item = NodeId>) -> AcceptorSet {
        let mut set = AcceptorSet::default();
        for node in nodes {
            self.insert(&mut set, node);
        }
        set
    }

    /// Whether the set contains a quorum of phase 1.
    #[must_use]
    pub fn is_phase1(&self, set: AcceptorSet) -> bool {
        match &self.system {
            System::Weighted {
                weights, phase1, ..
            } => set.weight(weights) >= *phase1,
            System::Grid { rows } => rows.iter().any(|row| row.0 & !set.0 == 0),
        }
    }

    /// Whether the set contains a quorum of phase 2.
    #[must_use]
    pub fn is_phase2(&self, set: AcceptorSet) -> bool {
        match &self.system {
            System::Weighted {
                weights, phase2, ..
            } => set.weight(weights) >= *phase2,
            System::Grid { rows } => rows.iter().all(|row| row.0 & set.0 != 0),
        }
    }

    /// The position of an acceptor in ascending order, by which sets and per-acceptor state are
    /// indexed.
    #[inline]
    pub(crate) fn place(&self, node: NodeId) -> Option<usize> {
        self.acceptors.iter().position(|acceptor| *acceptor == node)
    }

    /// The acceptors whose position satisfies the predicate.
    pub(crate) fn all_where(&self, holds: impl Fn(usize) -> bool) -> AcceptorSet {
        let mut set = AcceptorSet::default();
        let places = (0..self.acceptors.len()).filter(|place| holds(*place));
        places.for_each(|place| set.insert(place));
        set
    }

    /// The greatest value that a phase-2 quorum has reached, or `floor`. Counts instead of sorting:
    /// the sets are small, and nothing is allocated.
    pub(crate) fn reached<T: Copy + Ord>(&self, floor: T, of: impl Fn(usize) -> T) -> T {
        let values = (0..self.acceptors.len()).map(&of);
        values.fold(floor, |reached, value| {
            let have = || self.all_where(|place| of(place) >= value);
            match value > reached && self.is_phase2(have()) {
                true => value,
                false => reached,
            }
        })
    }

    fn within_bounds(self) -> Result<Self, QuorumError> {
        match self.acceptors.len() {
            0 => Err(QuorumError::Empty),
            1..=Self::ACCEPTORS_MAX => Ok(self),
            _ => Err(QuorumError::TooMany),
        }
    }
}

impl AcceptorSet {
    /// Inserts the acceptor at this position.
    #[inline]
    pub(crate) fn insert(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    #[inline]
    pub(crate) fn remove(&mut self, place: usize) {
        self.0 &= !(1 << place);
    }

    pub(crate) fn contains(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The position of the first acceptor in the set.
    #[inline]
    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// The positions in the set, ascending.
    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self;
        core::iter::from_fn(move || {
            let place = left.first()?;
            left.remove(place);
            Some(place)
        })
    }

    fn weight(self, weights: &[u64]) -> u64 {
        let (mut sum, mut left) = (0, self);
        while let Some(place) = left.first() {
            sum += weights.get(place).map_or(0, |weight| *weight);
            left.remove(place);
        }
        sum
    }
}
