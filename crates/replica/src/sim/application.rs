//! What runs on a simulated node beside its groups: a server of several groups, or a client of them.

use std::time::Duration;

use bytes::Bytes;
use synod_sim as sim;
use synod_transport::NodeId;
use synod_wal::GroupId;

use super::cluster::{Cluster, Core, SimRequest};
use super::group::SimGroup;
use super::packet::Packet;
use crate::time::Instant;

/// A program on each node, which drives the node's groups and talks to the programs of other nodes.
///
/// It lives as long as its node's incarnation, and has no disk but its groups. It acts through its
/// [`AppContext`] only: what it requests of its groups happens when it returns, in order, and the outcomes
/// reach it through its own tickets. Its messages go over the connections that the groups use, and are lost,
/// duplicated and late like theirs.
///
/// `()` is the program that does nothing.
pub trait Application<C: Cluster>: Sized {
    /// The program of a node's next incarnation, whose groups are open. `seed` differs in each of them.
    fn start(cluster: &C, seed: u64, context: &mut AppContext<'_, C>) -> Self;
    /// A message of the program on `from` arrived.
    fn handle_message(&mut self, from: NodeId, message: Bytes, context: &mut AppContext<'_, C>);
    /// The deadline that it has [set](AppContext::set_timer) has come; none is set now.
    fn handle_timeout(&mut self, context: &mut AppContext<'_, C>);
    /// The groups have done what was to be done: tickets may have ended, entries may have been applied, and
    /// roles may have changed. Called in each step of the node, and again after each request of its own in it.
    fn handle_progress(&mut self, context: &mut AppContext<'_, C>);
}

impl<C: Cluster> Application<C> for () {
    fn start(_: &C, _: u64, _: &mut AppContext<'_, C>) -> Self {}
    fn handle_message(&mut self, _: NodeId, _: Bytes, _: &mut AppContext<'_, C>) {}
    fn handle_timeout(&mut self, _: &mut AppContext<'_, C>) {}
    fn handle_progress(&mut self, _: &mut AppContext<'_, C>) {}
}

/// A node as its program sees it in one step.
pub struct AppContext<'a, C: Cluster> {
    pub(super) id: NodeId,
    pub(super) groups: &'a [SimGroup<C>],
    pub(super) context: &'a mut sim::Context<Packet<Core<C>>>,
    pub(super) timer: &'a mut Option<Instant>,
    pub(super) requests: &'a mut Vec<(GroupId, SimRequest<C::Ticket>)>,
}

impl<C: Cluster> AppContext<'_, C> {
    /// This node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The node's monotonic clock, with its errors.
    pub fn now(&self) -> Instant {
        Instant(self.context.now)
    }

    /// The node's wall clock since the epoch of Unix, with its errors.
    pub fn wall(&self) -> Duration {
        self.context.wall
    }

    /// The true time since the world began. A clock with bounded uncertainty is made of it: an interval
    /// around it, or one that lies. Nothing else may depend on it.
    pub fn true_now(&self) -> Duration {
        self.context.true_now
    }

    /// The groups on this node, in rising order.
    pub fn groups(&self) -> &[SimGroup<C>] {
        self.groups
    }

    /// A group on this node.
    pub fn group(&self, id: GroupId) -> Option<&SimGroup<C>> {
        self.groups.iter().find(|group| group.id() == id)
    }

    /// Requests something of a group on this node, when the call is over. Without such a group the
    /// request is dropped, and its ticket with it.
    pub fn request(&mut self, group: GroupId, request: SimRequest<C::Ticket>) {
        self.requests.push((group, request));
    }

    /// Sends a message to the program on a node, which may be this one.
    pub fn send(&mut self, to: NodeId, message: Bytes) {
        self.context
            .send(sim::NodeId(to.0), Packet::application(message));
    }

    /// Sets the one deadline of the program, by the monotonic clock; one that has passed comes at once.
    pub fn set_timer(&mut self, at: Option<Instant>) {
        *self.timer = at;
    }
}

impl<C: Cluster> std::fmt::Debug for AppContext<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppContext")
            .field("id", &self.id)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
