//! Who the node's peers are, for its transport and its channels.

use std::collections::BTreeSet;

use super::Host;
use crate::members::Members;
use crate::time::Instant;

impl Host {
    /// The transport's peers are the members of the groups.
    pub(super) fn look_at_members(&mut self, now: Instant) {
        let groups = self.groups.values().flat_map(|group| group.members());
        let groups = groups.collect();
        if let Some(peers) = self.peers.look(now, self.node, groups) {
            self.transport.set_peers(peers);
        }
        if self.peers.have_changed() {
            self.know_peers();
        }
    }

    /// The application may send to everybody who is known from anywhere. The transport is asked too: it
    /// may have been made with peers of its own.
    pub(super) fn know_peers(&mut self) {
        let of_transport = self.transport.status().peers;
        let known = self.peers.ids().chain(of_transport.into_keys());
        let known: BTreeSet<_> = known.filter(|id| *id != self.node).collect();
        self.channels.set_known(known);
    }

    /// The members of a group that was opened just now.
    pub(crate) fn know_members(&self, members: &Members) {
        let members = members.iter().map(|(id, _)| id);
        self.channels
            .add_known(members.filter(|id| *id != self.node));
    }
}
