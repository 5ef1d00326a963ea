//! The steps of a change of membership: which membership follows which (§6, thesis §4.3).
//!
//! ```text
//!                       every new voter          committed by
//!             begin     has caught up            both majorities
//!   plain ────────────▶ catching up ──────────▶ joint ──────────▶ plain, the new one
//!     │  ▲                   │                    │
//!     │  └───────────────────┴────────────────────┘
//!     │                abort: the old one
//!     └───▶ plain, if no voter is added or removed
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::membership::Change;
use crate::{Index, Membership, NodeId};

/// Why the last change of membership ended. Exhaustive on purpose: a driver reports each reason to
/// people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeEnd {
    /// The new membership is committed.
    Done,
    /// The old membership is in force again, and committed: somebody asked for that, or, on a node
    /// that did not lead then, perhaps [`TooSlow`](Self::TooSlow).
    Aborted,
    /// The old membership is in force again, and committed, because this node did not catch up.
    TooSlow {
        /// The node.
        node: NodeId,
    },
    /// Its entry was not committed, and another leader's entry took its place.
    LeaderLost,
}

/// How far a change of membership is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChangeStatus {
    /// Its present step.
    pub phase: ChangePhase,
    /// Whether the entry of this step is known to be committed.
    pub is_committed: bool,
    /// What it leads to.
    pub target: Change,
    /// On the leader, and while they catch up: the new voters.
    pub catching_up: Vec<CatchingUp>,
}

/// A step of a change of membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangePhase {
    /// The new voters receive the log and do not count.
    CatchingUp,
    /// Decisions need a majority of the old voters and a majority of the new ones.
    Joint,
}

/// How far a new voter has caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CatchingUp {
    /// The new voter.
    pub id: NodeId,
    /// The number of its round, from 1.
    pub round: u32,
    /// The index at which the round ends.
    pub to: Index,
    /// The last index that it has acknowledged.
    pub matched: Index,
    /// Whether its last round was short enough.
    pub is_done: bool,
}

impl Membership {
    /// The first step of the change to `target`: of that the voters, the learners and the contexts
    /// count. Contexts change at once and stay if the change is aborted.
    pub(crate) fn begin(&self, target: &Self) -> Self {
        let change = Change {
            is_joint: target.voters.is_subset(&self.voters),
            voters: target.voters.clone(),
            learners: target.learners.clone(),
        };
        let mut contexts = self.contexts.clone();
        contexts.retain(|id, _| !target.contains(*id));
        contexts.extend(target.contexts.clone());
        let highest = target.nodes().fold(self.highest, NodeId::max);
        let next = Self {
            witnesses: self.witnesses.union(&target.witnesses).copied().collect(),
            change: Some(Box::new(change)),
            contexts,
            highest,
            ..self.clone()
        };
        if target.voters == self.voters {
            next.finished()
        } else {
            next
        }
    }

    /// The joint step of the change under way.
    pub(crate) fn joined(&self) -> Self {
        let mut joint = self.clone();
        if let Some(change) = &mut joint.change {
            change.is_joint = true;
        }
        joint
    }

    /// The new side of the change under way.
    pub(crate) fn finished(&self) -> Self {
        let change = self.change.as_deref().cloned().unwrap_or_default();
        self.side(change)
    }

    /// The old side of the change under way.
    pub(crate) fn aborted(&self) -> Self {
        self.side(Change {
            is_joint: false,
            voters: self.voters.clone(),
            learners: self.learners.clone(),
        })
    }

    fn side(
        &self,
        Change {
            voters, learners, ..
        }: Change,
    ) -> Self {
        let mut side = Self {
            witnesses: self.witnesses.intersection(&voters).copied().collect(),
            voters,
            learners,
            change: None,
            contexts: BTreeMap::new(),
            highest: self.highest,
        };
        let contexts = self.contexts.iter();
        let kept = contexts.filter(|(id, _)| side.contains(**id));
        side.contexts = kept.map(|(id, it)| (*id, Bytes::clone(it))).collect();
        side
    }

    /// How the change under way has ended with `next`, if it has.
    pub(crate) fn ended_by(&self, next: &Self) -> Option<ChangeEnd> {
        if next.change.is_some() {
            return None;
        }
        Some(match &self.change {
            Some(change) if change.voters != next.voters => ChangeEnd::Aborted,
            _ => ChangeEnd::Done,
        })
    }

    /// The phase of the change under way.
    pub(crate) fn phase(&self) -> Option<ChangePhase> {
        let change = self.change.as_deref()?;
        Some(match change.is_joint {
            true => ChangePhase::Joint,
            false => ChangePhase::CatchingUp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(voters: &[u64], learners: &[u64]) -> Membership {
        let id = |id: &u64| NodeId(*id);
        Membership {
            learners: learners.iter().map(id).collect(),
            highest: NodeId(9),
            ..Membership::of_voters(voters.iter().map(id))
        }
    }

    #[test]
    fn a_change_without_new_voters_needs_fewer_steps() {
        let old = of(&[1, 2, 3], &[4]);
        let learners = old.begin(&of(&[1, 2, 3], &[5]));
        assert_eq!(learners, of(&[1, 2, 3], &[5]));
        let fewer = old.begin(&of(&[1, 2], &[4]));
        assert_eq!(fewer.phase(), Some(ChangePhase::Joint));
        let more = old.begin(&of(&[1, 2, 3, 4], &[]));
        assert_eq!(more.phase(), Some(ChangePhase::CatchingUp));
    }

    #[test]
    fn contexts_follow_their_nodes() {
        let with = |mut membership: Membership, contexts: &[(u64, &'static str)]| {
            let context = |(id, text): &(u64, &'static str)| {
                (NodeId(*id), Bytes::from_static(text.as_bytes()))
            };
            membership.contexts = contexts.iter().map(context).collect();
            membership
        };
        let old = with(of(&[1, 2], &[]), &[(1, "a"), (2, "b")]);
        let target = with(of(&[2, 3], &[]), &[(2, "B"), (3, "c")]);
        let first = old.begin(&target);
        assert_eq!(first.contexts.len(), 3);
        assert_eq!(
            first.joined().finished(),
            with(of(&[2, 3], &[]), &[(2, "B"), (3, "c")])
        );
        assert_eq!(
            first.aborted(),
            with(of(&[1, 2], &[]), &[(1, "a"), (2, "B")])
        );
    }
}
