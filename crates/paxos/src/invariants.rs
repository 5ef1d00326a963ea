use crate::Paxos;
#[cfg(debug_assertions)]
use crate::role::Duty;
#[cfg(debug_assertions)]
use crate::{Ballot, Role, Slot};

/// What a step may not take back, remembered from before it. Nothing in release builds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    #[cfg(debug_assertions)]
    before: Before,
}

#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug)]
struct Before {
    promised: Ballot,
    role: Role,
    chosen: Slot,
    settled: Slot,
    handed: Slot,
}

#[cfg(debug_assertions)]
impl Mark {
    pub(crate) fn of(paxos: &Paxos) -> Self {
        let before = Before {
            promised: paxos.promised,
            role: paxos.duty.role(),
            chosen: paxos.log.chosen(),
            settled: paxos.log.settled(),
            handed: paxos.handed,
        };
        Self { before }
    }

    /// The invariants of [`Paxos`] and of what it is made of.
    pub(crate) fn check(self, paxos: &Paxos) {
        let Before {
            promised,
            role,
            chosen,
            settled,
            handed,
        } = self.before;
        assert!(paxos.promised >= promised, "a promise never falls");
        assert!(paxos.log.chosen() >= chosen, "what is chosen stays chosen");
        assert!(
            paxos.log.settled() >= settled,
            "what is durable stays durable"
        );
        assert!(
            paxos.handed >= handed,
            "what was handed out is not taken back"
        );
        paxos.log.check();
        assert!(
            paxos.log.start().slot <= paxos.handed,
            "what is cut was handed out"
        );
        assert!(
            paxos.handed <= paxos.log.settled(),
            "only what is chosen and durable is handed out"
        );
        assert!(
            paxos.promise_persisted <= paxos.promised,
            "the disk promises no more than the node"
        );
        match &paxos.duty {
            Duty::Leader(leader) => {
                assert_eq!(
                    paxos.promised.node, paxos.config.id,
                    "a leader has promised nothing above its own ballot"
                );
                assert_eq!(
                    paxos.promise_persisted, paxos.promised,
                    "a leader's ballot is durable"
                );
                if role == Role::Leader {
                    assert_eq!(paxos.promised, promised, "a leader keeps its ballot");
                }
                assert!(
                    leader.learning.is_some() == (paxos.log.chosen().next() < leader.first),
                    "a leader learns what it lacks, and nothing else"
                );
                leader
                    .peers
                    .values()
                    .for_each(crate::progress::Progress::check);
            }
            Duty::Candidate(_) => {
                assert_eq!(
                    paxos.promised.node, paxos.config.id,
                    "a candidate's ballot is its own"
                );
            }
            Duty::Follower(follower) => {
                assert!(
                    follower.leader.is_none() || follower.leader == Some(paxos.promised.node),
                    "the leader is the one of the promised ballot"
                );
            }
            Duty::Asking(_) => {}
        }
    }
}

#[cfg(not(debug_assertions))]
impl Mark {
    pub(crate) fn of(_: &Paxos) -> Self {
        Self {}
    }

    pub(crate) fn check(self, _: &Paxos) {}
}
