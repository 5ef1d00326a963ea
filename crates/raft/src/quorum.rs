use alloc::vec::Vec;

use crate::{Membership, NodeId};

/// The nodes of a [`Membership`], each with its position in ascending order of ids, and the voters
/// among them. Callers mostly look up a node by position, which is an index into a vector. A node that
/// is no member has no position, so whatever it says is not counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Members {
    ids: Vec<NodeId>,
    own: usize,
    is_alone: bool,
    quorum: Quorum,
}

/// Majority and joint decisions over a membership. Nodes are given by position.
///
/// Invariant: any two quorums of one membership intersect; so do a quorum of a joint membership and
/// a quorum of either half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Quorum {
    voters: Vec<usize>,
    /// The voters of a joint change.
    incoming: Vec<usize>,
}

impl Members {
    /// The members of a membership, as the node `own` sees them.
    pub(crate) fn of(membership: &Membership, own: NodeId) -> Self {
        let ids: Vec<_> = membership.nodes().collect();
        let place = |id: &NodeId| ids.binary_search(id).unwrap_or(usize::MAX);
        let incoming = membership.joint().map(|change| &change.voters);
        let is_other = |id: &NodeId| *id != own && membership.is_voter(*id);
        Self {
            own: place(&own),
            is_alone: !ids.iter().any(is_other),
            quorum: Quorum {
                voters: membership.voters.iter().map(place).collect(),
                incoming: incoming.into_iter().flatten().map(place).collect(),
            },
            ids,
        }
    }

    /// The position of this node; behind all others if it is no member.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    pub(crate) fn has(&self, id: NodeId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Whether no other node has a vote.
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// The ids by position.
    pub(crate) fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    pub(crate) fn quorum(&self) -> &Quorum {
        &self.quorum
    }
}

impl Quorum {
    /// The largest value above `floor` that a quorum has reached, else `floor`.
    ///
    /// If one half is empty the membership is not joint, and only the other half decides; without
    /// any voter nothing is ever reached.
    pub(crate) fn reached<T: Ord + Copy>(&self, floor: T, of: impl Fn(usize) -> T) -> T {
        let mut reached = floor;
        for place in self.voters.iter().chain(&self.incoming) {
            let value = of(*place);
            if value > reached && self.agrees(|other| of(other) >= value) {
                reached = value;
            }
        }
        reached
    }

    /// Whether a quorum agrees. Counts instead of sorting: the sets are small, and nothing is
    /// allocated.
    pub(crate) fn agrees(&self, yes: impl Fn(usize) -> bool) -> bool {
        let has_majority = |half: &[usize]| {
            let count = half.iter().filter(|place| yes(**place)).count();
            2 * count > half.len()
        };
        match (&*self.voters, &*self.incoming) {
            ([], half) | (half, []) => has_majority(half),
            (voters, incoming) => has_majority(voters) && has_majority(incoming),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Change;
    use proptest::prelude::*;

    fn reference(mut values: Vec<u64>) -> u64 {
        values.sort_unstable_by(|a, b| b.cmp(a));
        values[values.len() / 2]
    }

    fn reached(membership: &Membership, of: impl Fn(NodeId) -> u64) -> u64 {
        let members = Members::of(membership, NodeId(0));
        members.quorum().reached(0, |at| of(members.ids()[at]))
    }

    fn agrees(membership: &Membership, yes: impl Fn(NodeId) -> bool) -> bool {
        let members = Members::of(membership, NodeId(0));
        members.quorum().agrees(|at| yes(members.ids()[at]))
    }

    proptest! {
        #[test]
        fn a_majority_reached_is_the_median(values in proptest::collection::vec(0u64..20, 1..10)) {
            let membership = Membership::of_voters((0..values.len() as u64).map(NodeId));
            let reached = reached(&membership, |id| values[id.0 as usize]);
            prop_assert_eq!(reached, reference(values));
        }

        #[test]
        fn a_joint_quorum_needs_both_halves(values in proptest::collection::vec(0u64..20, 9), cut in 1usize..8) {
            let incoming = Change {
                is_joint: true,
                voters: (cut as u64 - 1..9).map(NodeId).collect(),
                ..Change::default()
            };
            let membership = Membership {
                change: Some(Box::new(incoming)),
                ..Membership::of_voters((0..cut as u64).map(NodeId))
            };
            let reached = reached(&membership, |id| values[id.0 as usize]);
            let expected = reference(values[..cut].to_vec()).min(reference(values[cut - 1..].to_vec()));
            prop_assert_eq!(reached, expected);
        }
    }

    #[test]
    fn half_of_an_even_set_is_no_quorum() {
        let membership = Membership::of_voters([1, 2, 3, 4].map(NodeId));
        assert!(!agrees(&membership, |id| id.0 <= 2));
        assert!(agrees(&membership, |id| id.0 <= 3));
    }

    #[test]
    fn nobody_is_no_quorum() {
        assert!(!agrees(&Membership::default(), |_| true));
    }

    #[test]
    fn ids_may_be_sparse() {
        let membership = Membership::of_voters([5, 900, u64::MAX].map(NodeId));
        assert_eq!(reached(&membership, |id| id.0), 900);
    }
}
