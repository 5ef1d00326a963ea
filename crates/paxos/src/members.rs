use crate::invariants::Mark;
use crate::role::RoleState;
use crate::{ChangeError, ChangeStatus, Configurations, Instant, Membership, Paxos, Slot};

/// The members of the group, and how they change.
impl Paxos {
    /// Changes the members of the group to `target`: acceptors with their quorums, learners, contexts.
    ///
    /// The leader drives it from here on. New acceptors first receive the log, while they count for
    /// nothing. Then the configuration is proposed like any value. Chosen in slot i, it governs from slot
    /// i + α on ([`Configuration::alpha`](crate::Configuration::alpha)): no-ops fill the slots between,
    /// and nothing waits for it. It ends with [`ChangeEnd::Done`](crate::ChangeEnd::Done), also under a
    /// later leader, once the nodes that it drops are not needed; those then stop with
    /// [`Stop::Removed`](crate::Stop::Removed). Progress and end are in [`Paxos::status`].
    ///
    /// Ids of new members are higher than all that were ever given. Asking again for what is under way,
    /// or is so already, is no error.
    ///
    /// # Errors
    /// See [`ChangeError`]; nothing was begun.
    pub fn change_membership(
        &mut self,
        now: Instant,
        target: Membership,
    ) -> Result<(), ChangeError> {
        let mark = Mark::of(&self.common, &self.role);
        match &mut self.role {
            RoleState::Leader(leader) => leader.change_membership(&mut self.common, now, target),
            _ => Err(ChangeError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(())
    }

    /// Ends a change while new acceptors catch up. There is no joint step to leave: once its
    /// configuration is proposed, only another change leads back.
    ///
    /// # Errors
    /// See [`ChangeError`]; the change goes on.
    pub fn abort_change(&mut self, _now: Instant) -> Result<(), ChangeError> {
        let mark = Mark::of(&self.common, &self.role);
        match &mut self.role {
            RoleState::Leader(leader) => leader.abort_change(&mut self.common),
            _ => Err(ChangeError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(())
    }

    /// The latest members that were decided, as far as this node knows. None in a node that waits to be
    /// added.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        let latest = self.common.configurations.latest()?;
        Some(&latest.configuration.membership)
    }

    /// The members that govern the next slot to be chosen, as far as this node knows.
    #[must_use]
    pub fn in_force(&self) -> Option<&Membership> {
        let open = self.common.open().first()?;
        Some(&open.configuration.membership)
    }

    /// The configurations as far as this node knows them, from the start of its log on.
    #[must_use]
    pub fn configurations(&self) -> &Configurations {
        &self.common.configurations
    }

    /// The configurations of a snapshot up to `slot`, which is not before the start of the log and not
    /// after what was delivered.
    #[must_use]
    pub fn configurations_at(&self, slot: Slot) -> Configurations {
        self.common.configurations.at(slot)
    }

    pub(crate) fn change_status(&self) -> Option<ChangeStatus> {
        match &self.role {
            RoleState::Leader(leader) => leader.change_status(&self.common),
            _ => None,
        }
    }
}
