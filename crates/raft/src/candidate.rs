use alloc::collections::BTreeSet;

use synod_durable::Durable;

use crate::counters::count;
use crate::node::Common;
use crate::step::Step;
use crate::{Binding, Echo, Instant, NodeId, Own, Term};

/// Asks whether it would be elected, which changes no state on any node (thesis §9.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PreCandidate {
    granted: BTreeSet<NodeId>,
    /// Whether one of those who granted it is preferred as a leader.
    is_outranked: bool,
}

/// Requests votes (§5.2). They are kept in a set, so a repeated vote counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    granted: BTreeSet<NodeId>,
    /// Whether its leader asked it to campaign.
    by_transfer: bool,
}

impl PreCandidate {
    /// Asks about `term`, the next one. A node that is alone in its group has its quorum at once.
    pub(crate) fn begin(common: &mut Common, term: Term) -> (Self, Step) {
        let (last, disk) = (common.log.last(), common.disk);
        for peer in common.voting_peers() {
            common.echo(peer, Echo::RequestPreVote { term, last, disk });
        }
        let mut candidate = Self::default();
        let step = candidate.handle_pre_vote(common, common.id(), term, None);
        (candidate, step)
    }

    /// Counts a pre-vote if it was granted for the term of the present attempt.
    ///
    /// If a node of higher priority is there, that one is to go first: this node waits once more, and
    /// campaigns then whatever it is told, because the other may not be able to win.
    pub(crate) fn handle_pre_vote(
        &mut self,
        common: &mut Common,
        from: NodeId,
        term: Term,
        priority: Option<u8>,
    ) -> Step {
        if common.term.next() != Some(term) {
            count(&mut common.counters.out_of_role);
            return Step::Stay;
        }
        insert(common, &mut self.granted, from);
        let is_higher = priority.is_some_and(|priority| priority > common.config.priority);
        self.is_outranked |= is_higher && common.membership().may_lead(from);
        if !is_quorum(common, &self.granted) {
            Step::Stay
        } else if self.is_outranked && !common.has_deferred {
            common.has_deferred = true;
            Step::follow(common.term, None)
        } else {
            let transfer = false;
            Step::BecomeCandidate { term, transfer }
        }
    }
}

impl Candidate {
    /// Enters `term`, the next, and asks. The requests wait, with our own vote, for the record that
    /// holds both.
    pub(crate) fn begin(common: &mut Common, now: Instant, term: Term, transfer: bool) -> Self {
        let last = common.log.last();
        common.enter_term(term, Some(common.id()));
        common.reset_election(now);
        for peer in common.voting_peers() {
            let request = Binding::RequestVote {
                term,
                last,
                transfer,
            };
            common.send_after_write(peer, request);
        }
        let by_transfer = transfer;
        Self {
            by_transfer,
            ..Self::default()
        }
    }

    /// Counts a vote; the own vote too, once it is durable. Without the own vote a candidate cannot
    /// win, so a leader's term and vote are on its disk before its first message (thesis §10.2.1);
    /// not even one that the membership in force drops, whose vote counts for nothing else.
    pub(crate) fn handle_vote(&mut self, common: &Common, from: NodeId) -> Step {
        insert(common, &mut self.granted, from);
        if self.granted.contains(&common.id()) && is_quorum(common, &self.granted) {
            let by_transfer = self.by_transfer;
            Step::BecomeLeader { by_transfer }
        } else {
            Step::Stay
        }
    }

    /// Handles a completed write, which may be from before the candidacy.
    pub(crate) fn handle_persisted(
        &mut self,
        common: &mut Common,
        now: Instant,
        own: Durable<Own>,
    ) -> Step {
        let id = common.id();
        if own.vote != Some((common.term, Some(id))) {
            return Step::Stay;
        }
        // The requests are only sent now. If the timeout started with the candidacy, a write as
        // long as the timeout would end each candidacy before any peer was asked.
        common.reset_election(now);
        self.handle_vote(common, id)
    }
}

/// Everybody answers a request for a vote, also those that do not know yet whether they are members.
/// Only votes of members, and the own one, are kept.
fn insert(common: &Common, granted: &mut BTreeSet<NodeId>, from: NodeId) {
    if common.members().has(from) || from == common.id() {
        granted.insert(from);
    }
}

fn is_quorum(common: &Common, granted: &BTreeSet<NodeId>) -> bool {
    let ids = common.members().ids();
    let has_granted = |place: usize| granted.contains(&ids[place]);
    common.members().quorum().agrees(has_granted)
}
