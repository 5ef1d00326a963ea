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
    // A candidacy takes a write. A node whose disk does not complete one would raise its term in
    // memory again and again, never request a vote, and depose the next leader with that term.
    if common.in_flight().is_some() {
        common.election_deadline = now.plus(common.config.heartbeat_interval);
        return Step::Stay;
    }
    common.reset_election(now);
    // A leader needs a term of its own, and an index for its first entry.
    let next = common.term.next();
    let Some(term) = next.filter(|_| common.log.last().index < Index::MAX) else {
        count(&mut common.counters.exhausted);
        return Step::Stay;
    };
    if common.config.pre_vote {
        Step::BecomePreCandidate { term }
    } else {
        Step::BecomeCandidate { term }
    }
}

/// Answers whether this node would grant its vote. Changes no state.
pub(crate) fn handle_request_pre_vote(common: &mut Common, from: NodeId, term: Term, last: LogId) {
    let granted = term > common.term && last >= common.log.last();
    // A refusal carries our term, so that a node that is behind does not ask for an old term for
    // ever.
    let term = if granted { term } else { common.term };
    if term > Term(0) {
        let disk = common.disk;
        let answer = Echo::PreVote {
            term,
            granted,
            disk,
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
