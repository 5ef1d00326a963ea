//! The members of the group, as the driver of an engine sees and changes them.

use std::sync::Arc;

use super::Engine;
use crate::members::{Change, ChangeError, Members};
use crate::protocol::Protocol;
use crate::time::Instant;

/// The members as they were last looked at, so that they are translated only when they change.
pub(super) struct Known<M> {
    membership: Option<M>,
    members: Arc<Members>,
}

impl<M> Default for Known<M> {
    fn default() -> Self {
        Self {
            membership: None,
            members: Arc::default(),
        }
    }
}

impl<P: Protocol, T> Engine<P, T> {
    /// The members that this node's log names last; nobody on a node that waits to be added. The same
    /// value as long as nothing changes.
    pub fn members(&mut self) -> Arc<Members> {
        let latest = self.core.members();
        if self.known.membership.as_ref() != latest {
            let members = latest.map(P::members_of).unwrap_or_default();
            self.known = Known {
                membership: latest.cloned(),
                members: Arc::new(members),
            };
        }
        self.known.members.clone()
    }

    /// Begins a change of the members; returns what they will be. Asking for what is under way, or so
    /// already, changes nothing.
    ///
    /// # Errors
    /// Nothing was begun.
    pub fn change_members(
        &mut self,
        now: Instant,
        change: &Change,
    ) -> Result<Members, ChangeError> {
        if let Some(reason) = self.refuses() {
            return Err(ChangeError::Closed(reason));
        }
        let leader = self.leader();
        if leader != Some(self.node()) {
            return Err(ChangeError::NotLeader(leader));
        }
        let members = self.members();
        // A change that is asked for again leads from where the first one leads.
        let target = match self.core.status().change {
            Some(under_way) => change
                .applied_to(&under_way.target)
                .or_else(|_| change.applied_to(&members)),
            None => change.applied_to(&members),
        }?;
        self.core.change_members(now, &target)?;
        Ok(target)
    }

    /// Leads the change that is under way back to the members from before.
    ///
    /// # Errors
    /// It goes on, or there is none.
    pub fn abort_change(&mut self, now: Instant) -> Result<(), ChangeError> {
        match self.closed {
            Some(reason) => Err(ChangeError::Closed(reason)),
            None => self.core.abort_change(now),
        }
    }
}
