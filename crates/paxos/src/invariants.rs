use crate::node::Common;
use crate::role::RoleState;
#[cfg(debug_assertions)]
use crate::{Ballot, Role, Slot};

/// The state before a step that the step must not take back. Empty in release builds.
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
    delivered: Slot,
}

#[cfg(debug_assertions)]
impl Mark {
    pub(crate) fn of(common: &Common, state: &RoleState) -> Self {
        let before = Before {
            promised: common.promised,
            role: state.kind(),
            chosen: common.log.chosen(),
            settled: common.log.settled(),
            delivered: common.machine.delivered(),
        };
        Self { before }
    }

    /// Checks the invariants of [`Paxos`](crate::Paxos) and its parts.
    pub(crate) fn check(self, common: &Common, state: &RoleState) {
        let Before {
            promised,
            role,
            chosen,
            settled,
            delivered,
        } = self.before;
        assert!(common.promised >= promised, "a promise never falls");
        assert!(common.log.chosen() >= chosen, "what is chosen stays chosen");
        assert!(
            common.log.settled() >= settled,
            "what is durable stays durable"
        );
        assert!(
            common.machine.delivered() >= delivered,
            "what was delivered is not taken back"
        );
        common.log.check();
        assert!(
            common.log.start().slot <= common.machine.delivered(),
            "what is cut was delivered"
        );
        assert!(
            common.machine.delivered() <= common.log.settled(),
            "only what is chosen and durable is delivered"
        );
        assert!(
            common.promise_persisted <= common.promised,
            "the disk promises no more than the node"
        );
        match state {
            RoleState::Leader(leader) => {
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
            RoleState::Candidate(_) => {
                assert_eq!(
                    common.promised.node, common.config.id,
                    "a candidate's ballot is its own"
                );
            }
            RoleState::Follower(follower) => {
                assert!(
                    follower.leader.is_none() || follower.leader == Some(common.promised.node),
                    "the leader is the one of the promised ballot"
                );
            }
            RoleState::Asking(_) => {}
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
