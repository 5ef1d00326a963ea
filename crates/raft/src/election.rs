//! Elections: when a node campaigns and which votes it grants (§5.2, §5.4.1; pre-votes, thesis
//! §9.6). This belongs to no role, because a node is bound by its vote in every role.

use crate::counters::count;
use crate::node::Common;
use crate::step::Step;
use crate::{Binding, Echo, Index, Instant, LogId, NodeId, Term};

/// Starts a campaign if the election timeout has passed without a leader.
pub(crate) fn handle_timeout(common: &mut Common, now: Instant) -> Step {
    if now < common.election_deadline {
        return Step::Stay;
    }
    if !common.configs.may_campaign() {
        common.reset_election(now);
        return Step::Stay;
    }
    // A candidacy takes a write. A node whose disk does not complete one would raise its term in
    // memory again and again, never request a vote, and depose the next leader with that term.
    if common.in_flight().is_some() {
        common.election_deadline = now.plus(common.config.heartbeat_interval);
        return Step::Stay;
    }
    common.reset_election(now);
    if common.is_bound_at(now) {
        return Step::Stay;
    }
    match next_term(common) {
        None => Step::Stay,
        Some(term) if common.config.pre_vote => Step::BecomePreCandidate { term },
        Some(term) => Step::BecomeCandidate {
            term,
            transfer: false,
        },
    }
}

/// Its leader asks this node to campaign at once: it need not ask the others whether they would let it
/// (thesis §3.10).
pub(crate) fn campaign_by_transfer(common: &mut Common, now: Instant) -> Step {
    // As at a timeout. The leader asks again.
    if common.in_flight().is_some() || !common.configs.may_campaign() {
        return Step::Stay;
    }
    let transfer = true;
    match next_term(common) {
        Some(term) if !common.promise.forbids(now, term, transfer) => {
            common.promise.release();
            Step::BecomeCandidate { term, transfer }
        }
        _ => Step::Stay,
    }
}

/// A leader needs a term of its own, and an index for its first entry.
fn next_term(common: &mut Common) -> Option<Term> {
    let next = common.term.next();
    let term = next.filter(|_| common.log.last().index < Index::MAX);
    if term.is_none() {
        count(&mut common.counters.exhausted);
    }
    term
}

/// Answers whether this node would grant its vote. Changes no state.
pub(crate) fn handle_request_pre_vote(
    common: &mut Common,
    now: Instant,
    from: NodeId,
    term: Term,
    last: LogId,
) {
    let granted = term > common.term && last >= common.log.last();
    // A refusal carries our term, so that a node that is behind does not ask for an old term for
    // ever.
    let term = if granted { term } else { common.term };
    if term > Term(0) {
        let (disk, priority) = (common.disk, common.priority(now));
        let answer = Echo::PreVote {
            term,
            granted,
            disk,
            priority,
        };
        common.echo(from, answer);
    }
}

/// Handles RequestVote (Figure 2) in the current term. Returns whether the vote is granted.
pub(crate) fn handle_request_vote(
    common: &mut Common,
    now: Instant,
    from: NodeId,
    last: LogId,
) -> bool {
    let free = common.vote.is_none_or(|vote| vote == from);
    let granted = free && last >= common.log.last();
    if granted {
        common.vote = Some(from);
        common.reset_election(now);
    }
    let term = common.term;
    common.send_after_write(from, Binding::Vote { term, granted });
    granted
}
