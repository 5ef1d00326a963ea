use crate::node::Common;
use crate::role::Duty;
#[cfg(debug_assertions)]
use crate::{Index, LogId, Role, Term};

/// What a step may not take back, remembered from before it. Nothing in release builds.
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
    handed: Index,
}

#[cfg(debug_assertions)]
impl Mark {
    pub(crate) fn of(common: &Common, duty: &Duty) -> Self {
        let before = Before {
            term: common.term,
            vote: common.vote,
            role: duty.role(),
            last: common.log.last(),
            committed: common.committed,
            handed: common.machine.handed(),
        };
        Self { before }
    }

    /// The invariants of [`Raft`](crate::Raft) and of what it is made of.
    pub(crate) fn check(self, common: &Common, duty: &Duty) {
        let Before {
            term,
            vote,
            role,
            last,
            committed,
            handed,
        } = self.before;
        assert!(common.term >= term, "a term never falls");
        assert!(common.committed >= committed, "a commit index never falls");
        assert!(
            common.machine.handed() >= handed,
            "what was handed out is not taken back"
        );
        if common.term == term {
            assert!(vote.is_none() || common.vote == vote, "one vote a term");
            if role == Role::Leader && duty.role() == Role::Leader {
                assert!(common.log.last() >= last, "a leader's log only grows");
            }
        }
        common.log.check();
        assert!(
            common.log.start().index <= common.machine.handed(),
            "what is compacted was handed out"
        );
        assert!(
            common.machine.handed() <= common.committed,
            "only what is committed is handed out"
        );
        assert!(
            common.machine.handed() <= common.log.persisted(),
            "only what is durable is handed out"
        );
        assert!(
            common.committed <= common.log.last().index,
            "what is committed is in the log"
        );
        assert!(
            common.log.last().term <= common.term,
            "no entry is of a later term"
        );
        if let Duty::Leader(leader) = duty {
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
        if let Duty::Follower(follower) = duty {
            assert!(
                follower.matched <= common.log.last().index,
                "what matches is in the log"
            );
        }
        if let Duty::Candidate(_) = duty {
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
    pub(crate) fn of(_: &Common, _: &Duty) -> Self {
        Self {}
    }

    pub(crate) fn check(self, _: &Common, _: &Duty) {}
}
