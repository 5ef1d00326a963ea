//! A group's members in Paxos' words and in the runtime's.

use synod_paxos::{self as paxos, Quorums};
use synod_transport::NodeId;

use crate::members::{ChangeEnd, ChangeError, ChangePhase, ChangeStatus, Member, Members};

/// The members in the runtime's words.
pub(super) fn of(membership: &paxos::Membership) -> Members {
    let member = |id: paxos::NodeId| {
        let context = membership.contexts.get(&id);
        let member = context.map(|context| Member::decode(context));
        (NodeId(id.0), member.unwrap_or_default())
    };
    Members {
        voters: membership.quorums.acceptors().map(member).collect(),
        learners: membership.learners.iter().copied().map(member).collect(),
    }
}

/// The membership that a change from `own` leads to: majorities follow majorities.
pub(super) fn target(
    own: Option<&paxos::Membership>,
    members: &Members,
) -> Result<paxos::Membership, ChangeError> {
    let is_majority = |quorums: &Quorums| {
        let acceptors: Vec<_> = quorums.acceptors().collect();
        Quorums::majority(acceptors).as_ref() == Ok(quorums)
    };
    if own.is_some_and(|own| !is_majority(&own.quorums)) {
        return Err(ChangeError::Quorums);
    }
    if members.voters.is_empty() {
        return Err(ChangeError::NoVoters);
    }
    let acceptors = members.voters.keys().map(|id| paxos::NodeId(id.0));
    let quorums = Quorums::majority(acceptors);
    let quorums = quorums.map_err(|error| ChangeError::Invalid(error.to_string()))?;
    let mut membership = paxos::Membership::of(quorums);
    membership.learners = members
        .learners
        .keys()
        .map(|id| paxos::NodeId(id.0))
        .collect();
    for (id, member) in members.iter() {
        let context = member.encode()?;
        if !context.is_empty() {
            membership.contexts.insert(paxos::NodeId(id.0), context);
        }
    }
    Ok(membership)
}

/// The change that is under way.
pub(super) fn change(change: &paxos::ChangeStatus) -> ChangeStatus {
    let newcomers = change.newcomers.iter();
    ChangeStatus {
        phase: match change.phase {
            paxos::ChangePhase::CatchUp => ChangePhase::CatchingUp,
            paxos::ChangePhase::Proposed | paxos::ChangePhase::Decided => ChangePhase::Deciding,
            paxos::ChangePhase::Settling => ChangePhase::Settling,
        },
        target: of(&change.target),
        catching_up: newcomers
            .map(|(id, through)| (NodeId(id.0), through.0))
            .collect(),
    }
}

pub(super) fn change_error(error: paxos::ChangeError) -> ChangeError {
    use paxos::ChangeError as Refused;
    match error {
        Refused::NotLeader(leader) => ChangeError::NotLeader(leader.map(|id| NodeId(id.0))),
        Refused::UnderWay => ChangeError::UnderWay,
        Refused::NotReady => ChangeError::NotReady,
        Refused::Transferring { to } => ChangeError::Transferring { to: NodeId(to.0) },
        Refused::TooManyNodes => ChangeError::TooManyNodes,
        Refused::Readmitted { node } => ChangeError::IdUsed(NodeId(node.0)),
        Refused::Full => ChangeError::Full,
        Refused::Nothing => ChangeError::NothingUnderWay,
        Refused::Proposed => ChangeError::TooLate,
        other => ChangeError::Invalid(other.to_string()),
    }
}

pub(super) fn change_end(end: paxos::ChangeEnd) -> ChangeEnd {
    match end {
        paxos::ChangeEnd::Done { .. } => ChangeEnd::Done,
        paxos::ChangeEnd::Aborted => ChangeEnd::Aborted,
        paxos::ChangeEnd::TooSlow { node } => ChangeEnd::TooSlow(NodeId(node.0)),
        paxos::ChangeEnd::LeaderLost => ChangeEnd::LeaderLost,
    }
}
