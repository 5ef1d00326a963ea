//! What a node does for elections in every role: it promises, it says whether it misses a leader
//! too, and it knows when it is time to ask or to campaign.
//!
//! Who asks needs nothing but answers, from a quorum of each phase, that say "I have heard no leader
//! either". So a node that is connected to quorums becomes leader however stale its log is and
//! whatever the others are connected to, and one that is not disturbs nobody. A leader that no
//! quorum hears resigns and falls silent, so whoever heard one lately heard one that works.

use crate::counters::count;
use crate::node::Common;
use crate::step::Step;
use crate::{Ballot, Binding, Echo, Instant, NodeId, Slot};

/// Phase 1b (Paxos Made Simple §2.2), in `ballot`, which is promised now: one page of this node's
/// votes. A phase 1 of many pages takes longer than an election timeout, and whoever campaigns
/// meanwhile makes it begin anew: so each page puts this node's own campaign off.
pub(crate) fn handle_prepare(
    common: &mut Common,
    now: Instant,
    from: NodeId,
    ballot: Ballot,
    slot: Slot,
) {
    common.reset_election(now);
    let (votes, next) = common.log.page(
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
    };
    common.send_after_write(from, promise);
}

/// Somebody asks whether this node misses a leader too. `has_leader_contact`: it does not.
pub(crate) fn handle_ask(
    common: &mut Common,
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
    };
    common.echo(from, answer);
}

/// The election timeout has passed without a leader.
pub(crate) fn handle_timeout(common: &mut Common, now: Instant) -> Step {
    if waits_for_its_disk(common, now) {
        return Step::Stay;
    }
    common.reset_election(now);
    // A leader needs a ballot of its own, and a slot for its first value.
    if next_ballot(common).is_none() || common.log.last() >= Slot::MAX {
        count(&mut common.counters.exhausted);
        return Step::Stay;
    }
    Step::BecomeAsking
}

/// Enough others miss a leader too.
pub(crate) fn campaign(common: &mut Common, now: Instant) -> Step {
    if waits_for_its_disk(common, now) {
        return Step::Stay;
    }
    match next_ballot(common) {
        Some(ballot) => Step::BecomeCandidate { ballot },
        None => Step::Stay,
    }
}

/// Its leader invites this node to a ballot of its own: it need not ask whether others miss a leader.
pub(crate) fn campaign_by_invitation(common: &mut Common) -> Step {
    // A campaign is a write, as ever. The leader asks again.
    if common.in_flight().is_some() {
        return Step::Stay;
    }
    match next_ballot(common).filter(|_| common.log.last() < Slot::MAX) {
        Some(ballot) => Step::BecomeCandidate { ballot },
        None => {
            count(&mut common.counters.exhausted);
            Step::Stay
        }
    }
}

/// A campaign is a write. A node whose disk does not finish one would use up ballots in memory,
/// never ask anybody, and unseat the next leader with the ballot it has got to.
fn waits_for_its_disk(common: &mut Common, now: Instant) -> bool {
    let is_writing = common.in_flight().is_some();
    if is_writing {
        common.election_deadline = now.plus(common.config.heartbeat_interval);
    }
    is_writing
}

/// Of this node, above all that it heard of.
fn next_ballot(common: &Common) -> Option<Ballot> {
    let round = common.heard.max(common.promised).round;
    let node = common.config.id;
    (round < Ballot::ROUND_MAX).then(|| Ballot {
        round: round + 1,
        node,
    })
}
