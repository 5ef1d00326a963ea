use crate::node::Common;
use crate::role::RoleState;
#[cfg(debug_assertions)]
use crate::{Index, LogId, Role, Term};

/// The state before a step that the step must not take back. Empty in release builds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    #[cfg(debug_assertions)]
    before: Before,
}

#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug)]
struct Before {
    term: Term,
    vote: Option<crate::NodeId>,
    role: Role,
    last: LogId,
    committed: Index,
    delivered: Index,
}

#[cfg(debug_assertions)]
impl Mark {
    pub(crate) fn of(common: &Common, state: &RoleState) -> Self {
        let before = Before {
            term: common.term,
            vote: common.vote,
            role: state.kind(),
            last: common.log.last(),
            committed: common.committed,
            delivered: common.machine.delivered(),
        };
        Self { before }
    }

    /// Checks the invariants of [`Raft`](crate::Raft) and its parts.
    pub(crate) fn check(self, common: &Common, state: &RoleState) {
        let Before {
            term,
            vote,
            role,
            last,
            committed,
            delivered,
        } = self.before;
        assert!(common.term >= term, "a term never falls");
        assert!(common.committed >= committed, "a commit index never falls");
        assert!(
            common.machine.delivered() >= delivered,
            "what was delivered is not taken back"
        );
        if common.term == term {
            assert!(vote.is_none() || common.vote == vote, "one vote a term");
            if role == Role::Leader && state.kind() == Role::Leader {
                assert!(common.log.last() >= last, "a leader's log only grows");
            }
        }
        common.log.check();
        assert!(
            common.log.start().index <= common.machine.delivered(),
            "what is compacted was delivered"
        );
        assert!(
            common.machine.delivered() <= common.committed,
            "only what is committed is delivered"
        );
        assert!(
            common.machine.delivered() <= common.log.persisted(),
            "only what is durable is delivered"
        );
        assert!(
            common.committed <= common.log.last().index,
            "what is committed is in the log"
        );
        assert!(
            common.log.last().term <= common.term,
            "no entry is of a later term"
        );
        if let RoleState::Leader(leader) = state {
            let own = (common.term, Some(common.config.id));
            assert_eq!(
                common.vote_persisted(),
                own,
                "a leader's term and vote are durable"
            );
            for peer in &leader.peers {
                peer.check(&common.config, common.log.last().index);
            }
        }
        if let RoleState::Follower(follower) = state {
            assert!(
                follower.matched <= common.log.last().index,
                "what matches is in the log"
            );
        }
        if let RoleState::Candidate(_) = state {
            assert_eq!(
                common.vote,
                Some(common.config.id),
                "a candidate votes for itself"
            );
        }
    }
}

#[cfg(not(debug_assertions))]
impl Mark {
    pub(crate) fn of(_: &Common, _: &RoleState) -> Self {
        Self {}
    }

    pub(crate) fn check(self, _: &Common, _: &RoleState) {}
}
