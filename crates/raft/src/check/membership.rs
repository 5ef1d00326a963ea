//! Which membership is in force, and how it may change (§6, thesis §4.2, §4.3).

use alloc::vec::Vec;

use crate::check::history::History;
use crate::check::watch::Seen;
use crate::check::{Checker, Violation};
use crate::recover::membership_of;
use crate::role::RoleState;
use crate::{Index, Kind, LogId, Membership, NodeId, Raft};

impl Checker {
    /// Checks what a step made of a node's membership: the last in its log is in force; a leader
    /// changes it step by step, and only when it may; who has no vote does not campaign.
    pub(super) fn check_membership(
        &mut self,
        raft: &Raft,
        before: &Seen,
        now: &Seen,
    ) -> Result<(), Violation> {
        let cut = now.cut.map_or(before.last.index, Index::prev);
        let added = self.learn_memberships(raft, cut.min(before.last.index));
        let node = raft.common.id();
        if self.history.in_force(raft) != raft.membership() {
            return Err(Violation::MembershipInForce { node });
        }
        let candidate = matches!(raft.role, RoleState::Candidate(_));
        if candidate && now.term > before.term && !self.history.may_campaign(raft) {
            let term = now.term;
            return Err(Violation::CampaignWithoutVote { node, term });
        }
        match &raft.role {
            RoleState::Leader(leader) if before.leads && before.term == now.term => {
                let mut added = added.into_iter();
                added.try_for_each(|id| self.check_change(raft, leader.first, id))
            }
            _ => Ok(()),
        }
    }

    /// Notes the memberships in the log after `from`.
    pub(super) fn learn_memberships(&mut self, raft: &Raft, from: Index) -> Vec<LogId> {
        let log = &raft.common.log;
        let mut index = from.max(log.start().index).next();
        let mut added = Vec::new();
        while index <= log.last().index {
            let entry = log.cached(index);
            if let Some(entry) = entry.filter(|entry| entry.kind == Kind::Membership)
                && let Some(membership) = membership_of(entry)
            {
                self.history.memberships.insert(entry.id, membership);
                added.push(entry.id);
            }
            index = index.next();
        }
        added
    }

    /// A leader has appended a membership.
    fn check_change(&self, raft: &Raft, first: Index, id: LogId) -> Result<(), Violation> {
        let (node, commit) = (raft.common.id(), raft.common.committed);
        let (next, index) = (&self.history.memberships[&id], id.index);
        let (before_at, before) = self.history.as_of(raft, index.prev());
        if !follows(next, before) {
            return Err(Violation::MembershipStep { node, index });
        }
        let is_abort = before.change.is_some() && *next == before.aborted();
        if commit < first || !is_abort && before_at > commit {
            return Err(Violation::MembershipTooEarly { node, index });
        }
        Ok(())
    }
}

impl History {
    /// The membership in force for a node with this log.
    pub(super) fn in_force<'a>(&'a self, raft: &'a Raft) -> &'a Membership {
        self.as_of(raft, raft.common.log.last().index).1
    }

    /// The membership as of an index of the node's log, and the index of its entry.
    pub(super) fn as_of<'a>(&'a self, raft: &'a Raft, index: Index) -> (Index, &'a Membership) {
        let log = &raft.common.log;
        let is_there = |(id, _): &(&LogId, &Membership)| {
            id.index > log.start().index && id.index <= index && log.matches(**id)
        };
        let there = self.memberships.iter().filter(is_there);
        match there.max_by_key(|(id, _)| id.index) {
            Some((id, membership)) => (id.index, membership),
            None => (log.start().index, self.base(raft)),
        }
    }

    /// The membership with which the node's log begins: that of its snapshot, if it names one.
    fn base<'a>(&'a self, raft: &'a Raft) -> &'a Membership {
        let start = raft.common.log.start();
        let snapshot = raft.common.snapshot.as_deref();
        let named = snapshot.filter(|it| it.last == start && !it.membership.voters.is_empty());
        let known = named.map(|it| &it.membership);
        known.unwrap_or_else(|| raft.common.configs.first())
    }

    /// Whether the node has a vote by its last committed membership, or by a later one.
    fn may_campaign(&self, raft: &Raft) -> bool {
        let (node, last) = (raft.common.id(), raft.common.log.last().index);
        let mut index = raft.common.committed;
        while index <= last {
            let membership = self.as_of(raft, index).1;
            if membership.is_voter(node) && !membership.witnesses.contains(&node) {
                return true;
            }
            index = index.next();
        }
        false
    }

    /// Whether a membership is committed that has removed the node.
    pub(super) fn has_removed(&self, node: NodeId) -> bool {
        let committed = |id: &LogId| self.committed_at(id.index) == Some(*id);
        let mut all = self.memberships.iter();
        all.any(|(id, membership)| committed(id) && membership.has_removed(node))
    }

    /// Checks that a snapshot carries the membership as of its last entry, if that is known.
    pub(super) fn check_snapshot(&self, raft: &Raft) -> Result<(), Violation> {
        let Some(snapshot) = raft.common.snapshot.as_deref() else {
            return Ok(());
        };
        let last = snapshot.last.index;
        let committed = |id: &LogId| id.index <= last && self.committed_at(id.index) == Some(*id);
        let known = self.memberships.iter().filter(|(id, _)| committed(id));
        match known.max_by_key(|(id, _)| id.index) {
            Some((_, known)) if *known != snapshot.membership => {
                let node = raft.common.id();
                Err(Violation::SnapshotMembership { node, last })
            }
            _ => Ok(()),
        }
    }
}

/// Whether the nodes for which `yes` holds are a quorum. Written anew, so that a mistake in the core's
/// own counting is noticed.
pub(super) fn agrees(membership: &Membership, yes: impl Fn(NodeId) -> bool) -> bool {
    let majority = |voters: &alloc::collections::BTreeSet<NodeId>| {
        let count = voters.iter().filter(|id| yes(**id)).count();
        2 * count > voters.len()
    };
    let joint = membership.change.as_deref().filter(|it| it.is_joint);
    majority(&membership.voters) && joint.is_none_or(|it| majority(&it.voters))
}

/// Whether `next` follows `before` in one step of a change, or ends one.
fn follows(next: &Membership, before: &Membership) -> bool {
    match (before.change.as_deref(), next.change.as_deref()) {
        (None, Some(change)) => {
            let adds = !change.voters.is_subset(&before.voters);
            next.voters == before.voters
                && next.learners == before.learners
                && change.voters != next.voters
                && (adds != change.is_joint)
        }
        (None, None) => next.voters == before.voters,
        (Some(_), Some(_)) => *next == before.joined() && next != before,
        (Some(change), None) => {
            *next == before.aborted() || change.is_joint && *next == before.finished()
        }
    }
}

pub(super) fn renamed(membership: &Membership, names: &impl Fn(NodeId) -> NodeId) -> Membership {
    let set =
        |ids: &alloc::collections::BTreeSet<NodeId>| ids.iter().map(|id| names(*id)).collect();
    let mut renamed = membership.clone();
    renamed.voters = set(&membership.voters);
    renamed.learners = set(&membership.learners);
    renamed.witnesses = set(&membership.witnesses);
    if let (Some(change), Some(old)) = (&mut renamed.change, &membership.change) {
        change.voters = set(&old.voters);
        change.learners = set(&old.learners);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(voters: &[u64]) -> Membership {
        Membership {
            highest: NodeId(9),
            ..Membership::of_voters(voters.iter().map(|id| NodeId(*id)))
        }
    }

    proptest! {
        /// Any two memberships that follow each other have intersecting quorums, and each step is
        /// a valid one.
        #[test]
        fn quorums_of_neighbours_intersect(old in 1u8..128, new in 1u8..128, yes in any::<u8>()) {
            let set = |bits: u8| (0..7).filter(|at| bits >> at & 1 == 1).collect::<Vec<u64>>();
            let (old, target) = (of(&set(old)), of(&set(new)));
            let first = old.begin(&target);
            let mut steps = vec![old.clone(), first.clone()];
            if first.change.is_some() {
                steps.extend([first.joined(), first.finished(), ]);
            }
            steps.dedup();
            for pair in steps.windows(2) {
                prop_assert!(follows(&pair[1], &pair[0]), "{pair:?}");
                prop_assert_eq!(pair[1].validate(), Ok(()));
                let agrees = |membership: &Membership, bits: u8| {
                                        agrees(membership, |id| bits >> id.0 & 1 == 1)
                };
                prop_assert!(!(agrees(&pair[0], yes) && agrees(&pair[1], !yes)), "{pair:?}");
            }
        }
    }

    #[test]
    fn steps_cannot_be_left_out() {
        let (old, target) = (of(&[1, 2, 3]), of(&[1, 4]));
        let first = old.begin(&target);
        let joint = first.joined();
        for (next, before) in [
            (&target, &old),
            (&joint, &old),
            (&target, &first),
            (&first, &joint),
            (&old.begin(&of(&[1])), &first),
        ] {
            assert!(!follows(next, before), "{before:?} to {next:?}");
        }
        assert!(follows(&joint.aborted(), &joint));
        assert!(follows(&first.aborted(), &first));
    }
}
