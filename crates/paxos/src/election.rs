//! Elections: the duties that a node has in every role. It makes promises, answers whether it is
//! without a leader, and decides when to ask or to campaign.
//!
//! A node that asks only needs answers from a quorum of each phase that say "I had no contact with
//! a leader either". So a node that is connected to quorums becomes leader, however stale its log
//! is and whatever links the others have, and a node that is not disturbs nobody. A leader without
//! contact with a quorum steps down and stops sending, so recent contact with a leader means that it
//! works.

use alloc::boxed::Box;

use crate::counters::count;
use crate::node::Common;
use crate::promises::Request;
use crate::step::Step;
use crate::{Ballot, Binding, Echo, Instant, NodeId, Slot};

/// Handles phase 1b (Paxos Made Simple §2.2) in a ballot that is promised now, by sending one
/// page of this node's votes. A phase 1 of many pages takes longer than an election timeout, and
/// another campaign meanwhile would restart it. So each page delays this node's own campaign.
pub(crate) fn handle_prepare(common: &mut Common, now: Instant, from: NodeId, request: &Request) {
    let (ballot, slot) = (request.ballot, request.from);
    common.reset_election(now);
    let (votes, next) = common.log.page(
        ballot,
        slot,
        common.config.accept_bytes_max,
        common.config.accept_values_max,
    );
    let promise = Binding::Promise {
        ballot,
        from: slot,
        votes,
        next,
        chosen: common.log.chosen(),
        configurations: common.configurations_beyond(request.number).map(Box::new),
    };
    common.send_after_write(from, promise);
}

/// Answers whether this node is without a leader. `has_leader_contact` means that it is not.
pub(crate) fn handle_ask(
    common: &mut Common,
    now: Instant,
    from: NodeId,
    attempt: u64,
    has_leader_contact: bool,
) {
    let answer = Echo::Answer {
        promised: common.promised,
        attempt,
        no_leader: !has_leader_contact,
        chosen: common.log.chosen(),
        disk: common.disk,
        priority: common.preference(now),
    };
    common.echo(from, answer);
}

/// Starts a campaign if the election timeout has passed without a leader.
pub(crate) fn handle_timeout(common: &mut Common, now: Instant) -> Step {
    if waits_for_its_disk(common, now) {
        return Step::Stay;
    }
    common.reset_election(now);
    if common.pledge.is_on(now) {
        return Step::Stay;
    }
    // A learner, a node that waits to be added, one that was removed.
    if !common.may_campaign() {
        return Step::Stay;
    }
    // A leader needs a ballot of its own, and a slot for its first value.
    if next_ballot(common).is_none() || common.log.last() >= Slot::MAX {
        count(&mut common.counters.exhausted);
        return Step::Stay;
    }
    Step::BecomeAsking
}

/// Starts a campaign: enough other nodes are without a leader too.
pub(crate) fn campaign(common: &mut Common, now: Instant) -> Step {
    // Its clock may have been found wrong since it asked.
    if common.pledge.is_on(now) || waits_for_its_disk(common, now) {
        return Step::Stay;
    }
    match next_ballot(common) {
        Some(ballot) => Step::BecomeCandidate {
            ballot,
            invited: None,
        },
        None => Step::Stay,
    }
}

/// Its leader invites this node to a ballot of its own: it need not ask whether others miss a leader.
pub(crate) fn campaign_by_invitation(common: &mut Common, now: Instant) -> Step {
    // A campaign is a write, as ever. The leader asks again.
    if common.in_flight().is_some() {
        return Step::Stay;
    }
    let Some(ballot) = next_ballot(common).filter(|_| common.log.last() < Slot::MAX) else {
        count(&mut common.counters.exhausted);
        return Step::Stay;
    };
    // Whoever invites has given up its lease. Another's, or that of an earlier life, is waited for.
    if !common.release_pledge(now) {
        count(&mut common.counters.leased);
        return Step::Stay;
    }
    Step::BecomeCandidate {
        ballot,
        invited: Some(common.promised),
    }
}

/// A campaign takes a write. A node whose disk does not complete one would use up ballots in
/// memory, never ask any node, and depose the next leader with the ballot that it has reached.
fn waits_for_its_disk(common: &mut Common, now: Instant) -> bool {
    let is_writing = common.in_flight().is_some();
    if is_writing {
        common.election_deadline = now.plus(common.config.heartbeat_interval);
    }
    is_writing
}

/// The next ballot of this node, above all that it has seen.
fn next_ballot(common: &Common) -> Option<Ballot> {
    let round = common.heard.max(common.promised).round;
    let node = common.config.id;
    (round < Ballot::ROUND_MAX).then(|| Ballot {
        round: round + 1,
        node,
    })
}
