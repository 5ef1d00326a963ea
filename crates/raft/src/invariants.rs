use crate::Raft;
#[cfg(debug_assertions)]
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
    pub(crate) fn of(raft: &Raft) -> Self {
        let before = Before {
            term: raft.term,
            vote: raft.vote,
            role: raft.duty.role(),
            last: raft.log.last(),
            committed: raft.committed,
            handed: raft.handed,
        };
        Self { before }
    }

    /// The invariants of [`Raft`] and of what it is made of.
    pub(crate) fn check(self, raft: &Raft) {
        let Before {
            term,
            vote,
            role,
            last,
            committed,
            handed,
        } = self.before;
        assert!(raft.term >= term, "a term never falls");
        assert!(raft.committed >= committed, "a commit index never falls");
        assert!(
            raft.handed >= handed,
            "what was handed out is not taken back"
        );
        if raft.term == term {
            assert!(vote.is_none() || raft.vote == vote, "one vote a term");
            if role == Role::Leader && raft.duty.role() == Role::Leader {
                assert!(raft.log.last() >= last, "a leader's log only grows");
            }
        }
        raft.log.check();
        assert!(
            raft.log.start().index <= raft.handed,
            "what is compacted was handed out"
        );
        assert!(
            raft.handed <= raft.committed,
            "only what is committed is handed out"
        );
        assert!(
            raft.handed <= raft.log.persisted(),
            "only what is durable is handed out"
        );
        assert!(
            raft.committed <= raft.log.last().index,
            "what is committed is in the log"
        );
        assert!(
            raft.log.last().term <= raft.term,
            "no entry is of a later term"
        );
        if let Duty::Leader(leader) = &raft.duty {
            let own = (raft.term, Some(raft.config.id));
            assert_eq!(
                raft.vote_persisted, own,
                "a leader's term and vote are durable"
            );
            leader
                .peers
                .values()
                .for_each(|peer| peer.check(raft.log.last().index));
        }
        if let Duty::Follower(follower) = &raft.duty {
            assert!(
                follower.matched <= raft.log.last().index,
                "what matches is in the log"
            );
        }
        if let Duty::Candidate(_) = &raft.duty {
            assert_eq!(
                raft.vote,
                Some(raft.config.id),
                "a candidate votes for itself"
            );
        }
    }
}

#[cfg(not(debug_assertions))]
impl Mark {
    pub(crate) fn of(_: &Raft) -> Self {
        Self {}
    }

    pub(crate) fn check(self, _: &Raft) {}
}
