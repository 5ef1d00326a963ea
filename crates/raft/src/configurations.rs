use alloc::collections::VecDeque;

use crate::quorum::Members;
use crate::{ChangeEnd, Index, Membership, NodeId};

/// The memberships of the log. The last one is in force, committed or not (§6: "a server always uses
/// the latest configuration in its log").
///
/// There is one for each membership entry of the log, and before them the one with which the log
/// begins. Like the terms of the log they are kept until they are compacted: a snapshot names the
/// membership as of its last entry.
///
/// Invariants: never empty; indexes ascend; all but the first are after the log's start; `members` is
/// of the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Configurations {
    own: NodeId,
    all: VecDeque<(Index, Membership)>,
    members: Members,
    /// The first that is not known to be committed.
    next: Index,
    /// One has become known to be committed, or a node stopped leading; nobody has looked yet.
    news: bool,
    /// Why the last change ended.
    pub(crate) ended: Option<ChangeEnd>,
}

impl Configurations {
    /// The first membership of a group, as the node `own` knows it.
    pub(crate) fn new(first: Membership, own: NodeId) -> Self {
        Self {
            own,
            members: Members::of(&first, own),
            all: VecDeque::from([(Index(0), first)]),
            next: NONE,
            news: false,
            ended: None,
        }
    }

    /// The membership with which the log begins.
    #[cfg(feature = "check")]
    pub(crate) fn first(&self) -> &Membership {
        let (_, first) = self.all.front().expect("never empty");
        first
    }

    /// The membership in force.
    pub(crate) fn latest(&self) -> &Membership {
        let (_, latest) = self.all.back().expect("never empty");
        latest
    }

    /// The index of its entry, or at most the log's start.
    pub(crate) fn latest_at(&self) -> Index {
        self.all.back().map_or(Index(0), |(at, _)| *at)
    }

    /// The nodes and quorums of the membership in force.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The membership as of an index; `None` before the log's start.
    pub(crate) fn at(&self, index: Index) -> Option<&Membership> {
        let mut all = self.all.iter().rev();
        all.find(|(at, _)| *at <= index).map(|(_, it)| it)
    }

    /// The last that is committed, and those after it.
    pub(crate) fn since_committed(&self) -> impl Iterator<Item = &Membership> {
        let next = self.all.iter().position(|(at, _)| *at >= self.next);
        let committed = next.unwrap_or(self.all.len()).saturating_sub(1);
        self.all.range(committed..).map(|(_, it)| it)
    }

    /// Whether the membership in force is known to be committed.
    pub(crate) fn is_committed(&self) -> bool {
        self.next == NONE
    }

    /// The last membership of the log that is known to be committed; `None` if that is the first of
    /// the group, which only this node's own configuration names.
    fn committed(&self) -> Option<&Membership> {
        let mut all = self.all.iter().rev();
        let known = |(at, _): &&(Index, Membership)| *at < self.next;
        let (at, committed) = all.find(known)?;
        (*at > Index(0)).then_some(committed)
    }

    /// Whether the node's removal is known to be committed.
    pub(crate) fn has_removed(&self, id: NodeId) -> bool {
        self.committed().is_some_and(|it| it.has_removed(id))
    }

    /// Whether this node has no vote in a membership that is in force, plain and known to be
    /// committed.
    pub(crate) fn has_dismissed_own(&self) -> bool {
        let latest = self.latest();
        self.is_committed() && latest.change.is_none() && !latest.is_voter(self.own)
    }

    /// Whether this node may campaign: it is a voter of the last membership that is committed, or of
    /// a later one. Who is dropped by an uncommitted one may be the only node that can win.
    pub(crate) fn may_campaign(&self) -> bool {
        let mut since = self.since_committed();
        let may_lead = |it: &Membership| it.is_voter(self.own) && !it.is_witness(self.own);
        since.any(may_lead)
    }

    /// Adds the membership of an entry at the end of the log.
    pub(crate) fn push(&mut self, index: Index, membership: Membership) {
        self.members = Members::of(&membership, self.own);
        self.all.push_back((index, membership));
        self.next = self.next.min(index);
    }

    /// Drops those of entries from `from` on, which are not committed.
    pub(crate) fn truncate(&mut self, from: Index) {
        if self.latest_at() < from || self.all.len() == 1 {
            return;
        }
        while self.all.len() > 1 && self.latest_at() >= from {
            self.all.pop_back();
        }
        if self.latest_at() < self.next {
            self.next = NONE;
        }
        if self.latest().change.is_none() {
            self.ended = Some(ChangeEnd::LeaderLost);
        }
        self.members = Members::of(self.latest(), self.own);
    }

    /// The log begins after `start` and is the same from there on.
    pub(crate) fn compact(&mut self, start: Index) {
        while self.all.get(1).is_some_and(|(at, _)| *at <= start) {
            self.all.pop_front();
        }
    }

    /// The log begins after `start` with this membership. Without voters it is unknown, and the one
    /// of before counts. What comes after the start is kept, or dropped too.
    pub(crate) fn begin_at(&mut self, start: Index, membership: &Membership, keeps_later: bool) {
        let is_later = |(at, _): &(Index, Membership)| keeps_later && *at > start;
        let known = match membership.voters.is_empty() {
            true => self.at(start).or_else(|| self.at(NONE)),
            false => Some(membership),
        };
        let known = known.cloned().unwrap_or_default();
        self.all.retain(is_later);
        self.all.push_front((start, known));
        self.next = self.all.get(1).map_or(NONE, |(at, _)| *at);
        self.news = true;
        self.members = Members::of(self.latest(), self.own);
    }

    /// The first index whose commitment is news here.
    #[inline]
    pub(crate) fn next(&self) -> Index {
        self.next
    }

    /// Everything up to `committed` is committed.
    #[cold]
    pub(crate) fn commit_to(&mut self, committed: Index) {
        let mut before: Option<&Membership> = None;
        let mut next = NONE;
        for (at, membership) in &self.all {
            if *at > committed {
                next = *at;
                break;
            }
            if *at >= self.next
                && let Some(before) = before
            {
                self.ended = before.ended_by(membership).or(self.ended);
            }
            before = Some(membership);
        }
        self.next = next;
        self.news = true;
    }

    /// Somebody has to look at the change and at who is removed.
    pub(crate) fn set_news(&mut self) {
        self.news = true;
    }

    #[inline]
    pub(crate) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.news)
    }
}

/// After every index that an entry can have.
const NONE: Index = Index(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Change;
    use alloc::boxed::Box;

    fn of(voters: &[u64]) -> Membership {
        Membership {
            highest: NodeId(9),
            ..Membership::of_voters(voters.iter().map(|id| NodeId(*id)))
        }
    }

    fn towards(membership: Membership, voters: &[u64]) -> Membership {
        let change = Change {
            is_joint: true,
            voters: of(voters).voters,
            ..Change::default()
        };
        Membership {
            change: Some(Box::new(change)),
            ..membership
        }
    }

    /// As node 1 sees it: joint at 3, and at 5 without node 1.
    fn removing() -> Configurations {
        let mut configs = Configurations::new(of(&[1, 2, 3]), NodeId(1));
        configs.push(Index(3), towards(of(&[1, 2, 3]), &[2, 3]));
        configs.push(Index(5), of(&[2, 3]));
        configs
    }

    #[test]
    fn the_last_is_in_force_until_it_is_cut() {
        let mut configs = removing();
        assert_eq!(configs.latest(), &of(&[2, 3]));
        assert_eq!(configs.members().ids(), [2, 3].map(NodeId));
        configs.truncate(Index(6));
        assert_eq!(configs.latest(), &of(&[2, 3]));
        configs.truncate(Index(5));
        assert_eq!(configs.latest_at(), Index(3));
        assert_eq!(configs.members().ids(), [1, 2, 3].map(NodeId));
        assert_eq!(configs.ended, None, "the change goes on");
        configs.truncate(Index(2));
        assert_eq!(configs.latest(), &of(&[1, 2, 3]));
        assert!(configs.is_committed());
        assert_eq!(configs.ended, Some(ChangeEnd::LeaderLost));
    }

    #[test]
    fn who_is_dropped_may_campaign_until_that_is_committed() {
        let mut configs = removing();
        for (committed, may, gone) in [(2, true, false), (4, true, false), (5, false, true)] {
            configs.commit_to(Index(committed));
            assert_eq!(configs.may_campaign(), may, "{committed}");
            assert_eq!(configs.has_removed(NodeId(1)), gone, "{committed}");
        }
        assert_eq!(configs.ended, Some(ChangeEnd::Done));
    }

    #[test]
    fn compaction_keeps_what_is_in_force_at_the_start() {
        let mut configs = removing();
        configs.commit_to(Index(5));
        configs.compact(Index(4));
        assert_eq!(
            configs.at(Index(4)),
            Some(&towards(of(&[1, 2, 3]), &[2, 3]))
        );
        assert_eq!(configs.at(Index(5)), Some(&of(&[2, 3])));
        assert_eq!(configs.at(Index(2)), None);
        configs.compact(Index(7));
        assert_eq!(configs.at(Index(7)), Some(&of(&[2, 3])));
    }

    #[test]
    fn a_snapshot_names_the_membership_unless_it_knows_none() {
        let mut configs = removing();
        configs.begin_at(Index(4), &of(&[4]), true);
        assert_eq!(configs.at(Index(4)), Some(&of(&[4])));
        assert_eq!(configs.latest(), &of(&[2, 3]), "later entries stay");
        configs.begin_at(Index(9), &of(&[4]), false);
        assert_eq!(configs.latest(), &of(&[4]));
        configs.begin_at(Index(12), &Membership::default(), false);
        assert_eq!(configs.latest(), &of(&[4]));
    }

    #[test]
    fn nobody_is_removed_by_what_only_a_node_itself_was_told() {
        let configs = Configurations::new(of(&[1, 2, 3]), NodeId(4));
        assert!(!configs.has_removed(NodeId(4)));
        assert!(!configs.may_campaign());
    }
}
