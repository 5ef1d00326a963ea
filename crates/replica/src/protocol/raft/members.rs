//! A group's members in Raft's words and in the runtime's.

use std::collections::{BTreeMap, BTreeSet};

use synod_raft::{self as raft, Raft};
use synod_transport::NodeId;

use crate::members::{ChangeEnd, ChangeError, ChangePhase, ChangeStatus, Member, Members};

/// The membership that a change leads to.
pub(super) fn target(members: &Members) -> Result<raft::Membership, ChangeError> {
    let mut membership = raft::Membership::of_voters(ids(&members.voters));
    membership.learners = ids(&members.learners).collect();
    for (id, member) in members.iter() {
        let context = member.encode()?;
        if !context.is_empty() {
            membership.contexts.insert(raft::NodeId(id.0), context);
        }
    }
    Ok(membership)
}

/// The change that is under way.
pub(super) fn change(core: &Raft, status: &raft::Status) -> Option<ChangeStatus> {
    let membership = &status.membership;
    if let Some(change) = &status.change {
        let catching_up = change.catching_up.iter();
        return Some(ChangeStatus {
            phase: match change.phase {
                raft::ChangePhase::CatchingUp => ChangePhase::CatchingUp,
                raft::ChangePhase::Joint => ChangePhase::Deciding,
            },
            target: of(membership, &change.target.voters, &change.target.learners),
            catching_up: catching_up
                .map(|new| (NodeId(new.id.0), new.matched.0))
                .collect(),
        });
    }
    // The last step is one entry, and over when that is committed.
    let is_committed = core.membership_at(status.commit) == Some(membership);
    (!is_committed).then(|| ChangeStatus {
        phase: ChangePhase::Deciding,
        target: of(membership, &membership.voters, &membership.learners),
        catching_up: Vec::new(),
    })
}

fn ids(side: &BTreeMap<NodeId, Member>) -> impl Iterator<Item = raft::NodeId> {
    side.keys().map(|id| raft::NodeId(id.0))
}

pub(super) fn of(
    membership: &raft::Membership,
    voters: &BTreeSet<raft::NodeId>,
    learners: &BTreeSet<raft::NodeId>,
) -> Members {
    let side = |ids: &BTreeSet<raft::NodeId>| {
        let member = |id: &raft::NodeId| {
            let context = membership.contexts.get(id);
            let member = context.map(|context| Member::decode(context));
            (NodeId(id.0), member.unwrap_or_default())
        };
        ids.iter().map(member).collect()
    };
    Members {
        voters: side(voters),
        learners: side(learners),
    }
}

pub(super) fn change_error(error: raft::ChangeError) -> ChangeError {
    use raft::ChangeError as Refused;
    match error {
        Refused::NotLeader(leader) => ChangeError::NotLeader(leader.map(|id| NodeId(id.0))),
        Refused::UnderWay => ChangeError::UnderWay,
        Refused::NotReady => ChangeError::NotReady,
        Refused::Transferring { to } => ChangeError::Transferring { to: NodeId(to.0) },
        Refused::NoVoters => ChangeError::NoVoters,
        Refused::TooManyNodes => ChangeError::TooManyNodes,
        Refused::Readmitted { node } => ChangeError::IdUsed(NodeId(node.0)),
        Refused::Full => ChangeError::Full,
        Refused::Nothing => ChangeError::NothingUnderWay,
        Refused::TooLate => ChangeError::TooLate,
        other => ChangeError::Invalid(other.to_string()),
    }
}

pub(super) fn change_end(end: raft::ChangeEnd) -> ChangeEnd {
    match end {
        raft::ChangeEnd::Done => ChangeEnd::Done,
        raft::ChangeEnd::Aborted => ChangeEnd::Aborted,
        raft::ChangeEnd::TooSlow { node } => ChangeEnd::TooSlow(NodeId(node.0)),
        raft::ChangeEnd::LeaderLost => ChangeEnd::LeaderLost,
    }
}
