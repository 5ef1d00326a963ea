use alloc::collections::{BTreeMap, BTreeSet};

use crate::NodeId;

/// Which sets of acceptors are a quorum of phase 1 (of promises) and which of phase 2 (of
/// acceptances).
///
/// Invariant, by construction: every phase-1 quorum meets every phase-2 quorum. That two quorums of the same phase
/// meet is not needed (Howard, Malkhi, Spiegelman, *Flexible Paxos*, 2016).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quorums {
    /// The weight of each acceptor; every one is above zero.
    weights: BTreeMap<NodeId, u64>,
    phase1: u64,
    phase2: u64,
}

/// A set of the acceptors of one [`Quorums`], by position: cheap to copy, and an acceptor counts in it once however
/// often it is put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceptorSet(u64);

/// Why a quorum system was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// There must be an acceptor.
    #[error("there are no acceptors")]
    Empty,
    /// More than [`Quorums::ACCEPTORS_MAX`].
    #[error("more acceptors than a quorum system may have")]
    TooMany,
    /// A phase-1 quorum need not meet a phase-2 quorum, so two values could be chosen.
    #[error("a quorum of phase 1 need not meet one of phase 2")]
    NoIntersection,
}

impl Quorums {
    /// More acceptors than anybody has.
    pub const ACCEPTORS_MAX: usize = 64;

    /// Any majority, in both phases.
    ///
    /// # Errors
    /// No acceptors, or too many.
    pub fn majority(acceptors: impl IntoIterator<Item = NodeId>) -> Result<Self, QuorumError> {
        let acceptors: BTreeSet<NodeId> = acceptors.into_iter().collect();
        let half = acceptors.len() / 2 + 1;
        Self::flexible(acceptors, half, half)
    }

    /// Any `phase1` acceptors promise, any `phase2` accept.
    ///
    /// # Errors
    /// Also when `phase1 + phase2` is not above the number of acceptors.
    pub fn flexible(
        acceptors: impl IntoIterator<Item = NodeId>,
        phase1: usize,
        phase2: usize,
    ) -> Result<Self, QuorumError> {
        let weights: BTreeMap<_, _> = acceptors.into_iter().map(|id| (id, 1)).collect();
        let (count, both) = (weights.len(), phase1.saturating_add(phase2));
        if count == 0 {
            return Err(QuorumError::Empty);
        }
        if count > Self::ACCEPTORS_MAX {
            return Err(QuorumError::TooMany);
        }
        if phase1 > count || phase2 > count || phase1 == 0 || phase2 == 0 || both <= count {
            return Err(QuorumError::NoIntersection);
        }
        Ok(Self {
            weights,
            phase1: phase1 as u64,
            phase2: phase2 as u64,
        })
    }

    /// The acceptors, in order.
    pub fn acceptors(&self) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.weights.keys().copied()
    }

    /// Whether this node is an acceptor.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.weights.contains_key(&node)
    }

    /// Puts an acceptor into a set; tells whether it is new there. A stranger is not put in.
    pub fn insert(&self, set: &mut AcceptorSet, node: NodeId) -> bool {
        let Some(position) = self.weights.keys().position(|id| *id == node) else {
            return false;
        };
        let before = set.0;
        set.0 |= 1 << position;
        set.0 != before
    }

    /// Whether the set is, or contains, a quorum of phase 1.
    #[must_use]
    pub fn is_phase1(&self, set: AcceptorSet) -> bool {
        self.weight(set) >= self.phase1
    }

    /// Whether the set is, or contains, a quorum of phase 2.
    #[must_use]
    pub fn is_phase2(&self, set: AcceptorSet) -> bool {
        self.weight(set) >= self.phase2
    }

    fn weight(&self, set: AcceptorSet) -> u64 {
        let weights = self.weights.values().enumerate();
        let inside = weights.filter(|(position, _)| set.0 >> position & 1 == 1);
        inside.map(|(_, weight)| weight).sum()
    }
}
