use alloc::collections::BTreeSet;

use crate::{Membership, NodeId};

/// Majority and joint decisions over a [`Membership`].
///
/// Invariant: any two quorums of one membership intersect; so do a quorum of a joint membership and
/// a quorum of either half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quorum<'a> {
    voters: &'a BTreeSet<NodeId>,
    outgoing: &'a BTreeSet<NodeId>,
}

impl<'a> Quorum<'a> {
    pub(crate) fn of(membership: &'a Membership) -> Self {
        Self {
            voters: &membership.voters,
            outgoing: &membership.outgoing,
        }
    }

    /// The largest value that a quorum has reached.
    ///
    /// The empty half of a membership that is not joint decides nothing and is left out; without
    /// any voter nothing is ever reached, which `T::default()` stands for.
    pub(crate) fn reached<T: Ord + Copy + Default>(self, of: impl Fn(NodeId) -> T) -> T {
        let first = majority_reached(self.voters, &of);
        let second = majority_reached(self.outgoing, &of);
        match (first, second) {
            (Some(first), Some(second)) => first.min(second),
            (Some(reached), None) | (None, Some(reached)) => reached,
            (None, None) => T::default(),
        }
    }

    /// Whether a quorum said yes.
    pub(crate) fn agrees(self, yes: impl Fn(NodeId) -> bool) -> bool {
        self.reached(yes)
    }
}

/// Counts instead of sorting: sets are small, and this way an acknowledgement allocates nothing
/// and never meets an unsorted vector.
fn majority_reached<T: Ord + Copy>(set: &BTreeSet<NodeId>, of: &impl Fn(NodeId) -> T) -> Option<T> {
    let majority = set.len() / 2 + 1;
    set.iter()
        .map(|id| of(*id))
        .filter(|value| set.iter().filter(|id| of(**id) >= *value).count() >= majority)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn reference(mut values: Vec<u64>) -> u64 {
        values.sort_unstable_by(|a, b| b.cmp(a));
        values[values.len() / 2]
    }

    proptest! {
        #[test]
        fn a_majority_reached_is_the_median(values in proptest::collection::vec(0u64..20, 1..10)) {
            let membership = Membership::of_voters((0..values.len() as u64).map(NodeId));
            let reached = Quorum::of(&membership).reached(|id| values[id.0 as usize]);
            prop_assert_eq!(reached, reference(values));
        }

        #[test]
        fn a_joint_quorum_needs_both_halves(values in proptest::collection::vec(0u64..20, 9), cut in 1usize..8) {
            let membership = Membership {
                voters: (0..cut as u64).map(NodeId).collect(),
                outgoing: (cut as u64 - 1..9).map(NodeId).collect(),
                ..Membership::default()
            };
            let reached = Quorum::of(&membership).reached(|id| values[id.0 as usize]);
            let expected = reference(values[..cut].to_vec()).min(reference(values[cut - 1..].to_vec()));
            prop_assert_eq!(reached, expected);
        }
    }

    #[test]
    fn half_of_an_even_set_is_no_quorum() {
        let membership = Membership::of_voters([1, 2, 3, 4].map(NodeId));
        assert!(!Quorum::of(&membership).agrees(|id| id.0 <= 2));
        assert!(Quorum::of(&membership).agrees(|id| id.0 <= 3));
    }

    #[test]
    fn nobody_is_no_quorum() {
        assert!(!Quorum::of(&Membership::default()).agrees(|_| true));
    }

    #[test]
    fn ids_may_be_sparse() {
        let membership = Membership::of_voters([5, 900, u64::MAX].map(NodeId));
        assert_eq!(Quorum::of(&membership).reached(|id| id.0), 900);
    }
}
