use crate::node::Common;
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
    pub(crate) fn of(common: &Common, duty: &Duty) -> Self {
        let before = Before {
            promised: common.promised,
            role: duty.role(),
            chosen: common.log.chosen(),
            settled: common.log.settled(),
            handed: common.machine.handed(),
        };
        Self { before }
    }

    /// The invariants of [`Paxos`](crate::Paxos) and of what it is made of.
    pub(crate) fn check(self, common: &Common, duty: &Duty) {
        let Before {
            promised,
            role,
            chosen,
            settled,
            handed,
        } = self.before;
        assert!(common.promised >= promised, "a promise never falls");
        assert!(common.log.chosen() >= chosen, "what is chosen stays chosen");
        assert!(
            common.log.settled() >= settled,
            "what is durable stays durable"
        );
        assert!(
            common.machine.handed() >= handed,
            "what was handed out is not taken back"
        );
        common.log.check();
        assert!(
            common.log.start().slot <= common.machine.handed(),
            "what is cut was handed out"
        );
        assert!(
            common.machine.handed() <= common.log.settled(),
            "only what is chosen and durable is handed out"
        );
        assert!(
            common.promise_persisted <= common.promised,
            "the disk promises no more than the node"
        );
        match duty {
            Duty::Leader(leader) => {
                assert_eq!(
                    common.promised.node, common.config.id,
                    "a leader has promised nothing above its own ballot"
                );
                assert_eq!(
                    common.promise_persisted, common.promised,
                    "a leader's ballot is durable"
                );
                if role == Role::Leader {
                    assert_eq!(common.promised, promised, "a leader keeps its ballot");
                }
                leader.check(common);
            }
            Duty::Candidate(_) => {
                assert_eq!(
                    common.promised.node, common.config.id,
                    "a candidate's ballot is its own"
                );
            }
            Duty::Follower(follower) => {
                assert!(
                    follower.leader.is_none() || follower.leader == Some(common.promised.node),
                    "the leader is the one of the promised ballot"
                );
            }
            Duty::Asking(_) => {}
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
