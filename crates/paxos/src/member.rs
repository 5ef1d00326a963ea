//! What a node knows of its group, in every role: the configurations, and whether it is still needed.

use alloc::collections::BTreeSet;

use crate::due::Task;
use crate::log::Log;
use crate::node::Common;
use crate::{
    Binding, ChangeEnd, Configuration, Configurations, Echo, Governing, Membership, NodeId, Slot,
    Stop,
};

impl Common {
    /// The configurations that govern the slots which may be open here.
    pub(crate) fn open(&self) -> &[Governing] {
        self.configurations.open(self.log.chosen())
    }

    /// The other acceptors of the open slots, in ascending order.
    pub(crate) fn other_acceptors(&self) -> BTreeSet<NodeId> {
        let memberships = self.open().iter().map(|one| &one.configuration.membership);
        let acceptors = memberships.flat_map(|membership| membership.quorums.acceptors());
        acceptors.filter(|id| *id != self.config.id).collect()
    }

    /// Whether this node should lead if nobody else does. Any node that knows the group can. Needed are
    /// acceptors of open slots, and those of the configuration before as long as its successor is not
    /// settled: they may be the only ones who know it.
    pub(crate) fn may_campaign(&self) -> bool {
        let own = self.config.id;
        let accepts = |one: &Governing| one.configuration.membership.quorums.contains(own);
        let unsettled = |one: &&Governing| one.configuration.number >= self.settled;
        let before = self.configurations.before(self.log.chosen().next());
        self.open().iter().any(accepts) || before.filter(unsettled).is_some_and(accepts)
    }

    /// What a candidate or leader that knows the configuration of this number has yet to learn.
    pub(crate) fn configurations_beyond(&self, number: u64) -> Option<Configurations> {
        let is_news = self.configurations.number() > number;
        is_news.then(|| self.configurations.at(self.log.chosen()))
    }

    /// Learns of the configurations among the values that were chosen since.
    #[cold]
    pub(crate) fn note_configurations(&mut self) {
        note_configurations(&mut self.log, &mut self.configurations);
    }

    /// Makes durable, if it is not, that everything up to `slot` is chosen.
    pub(crate) fn keep(&mut self, slot: Slot) {
        debug_assert!(slot <= self.log.chosen(), "only what is known is kept");
        self.keep_to = self.keep_to.max(slot);
        if self.keep_to > self.written.chosen {
            self.due.set(Task::Write);
        }
    }

    /// Handles a leader's request to settle a configuration.
    pub(crate) fn handle_settle(&mut self, leader: NodeId, slot: Slot) {
        if slot > self.log.chosen() {
            return;
        }
        self.keep(slot);
        let ballot = self.promised;
        self.send_after_write(leader, Binding::Settled { ballot, slot });
    }

    /// Learns that a configuration is settled.
    pub(crate) fn learn_settled(&mut self, number: u64) {
        if number > self.settled {
            self.settled = number;
            self.change_end = Some(ChangeEnd::Done { number });
        }
    }

    /// The members of the settled configuration and of those after it, if they are known.
    fn needed(&self) -> Option<impl Iterator<Item = &Membership>> {
        let number = |one: &&Governing| one.configuration.number;
        let settled = self.settled;
        let is_known = self
            .configurations
            .iter()
            .any(|one| number(&one) == settled);
        let list = self.configurations.iter();
        let later = list.filter(move |one| number(one) >= settled);
        is_known.then(|| later.map(|one| &one.configuration.membership))
    }

    /// Whether the node was a member once, and is needed no more (M2). A node that waits to be added
    /// has a higher id than any member.
    pub(crate) fn is_dismissed(&self, node: NodeId) -> bool {
        let highest = self
            .configurations
            .latest()
            .map(|one| one.configuration.highest);
        self.settled > 0
            && highest.is_some_and(|highest| node <= highest)
            && self
                .needed()
                .is_some_and(|mut all| !all.any(|membership| membership.contains(node)))
    }

    /// Tells a node that was removed so.
    pub(crate) fn dismiss(&mut self, node: NodeId) {
        let (promised, number) = (self.promised, self.settled);
        self.echo(node, Echo::Removed { promised, number });
    }

    /// Why this node stops, if it is known here that it was removed.
    pub(crate) fn dismissal(&self) -> Option<Stop> {
        let number = self.settled;
        self.is_dismissed(self.config.id)
            .then_some(Stop::Removed { number })
    }

    /// Handles the word of another node that this one was removed.
    pub(crate) fn handle_removed(&mut self, number: u64) -> Option<Stop> {
        let own = self.config.id;
        // It may be a member of a configuration that the sender does not know yet only if ids came
        // back.
        let is_later = |one: &Governing| {
            one.configuration.number >= number && one.configuration.membership.contains(own)
        };
        let is_member = self.configurations.iter().any(is_later);
        (!is_member && number > 0).then_some(Stop::Removed { number })
    }
}

/// Learns of the configurations among the values that were chosen since, see [`Log::next_configuration`].
pub(crate) fn note_configurations(log: &mut Log, configurations: &mut Configurations) {
    while let Some((slot, value)) = log.next_configuration() {
        // One that does not decode was proposed by no correct leader, and is a no-op everywhere.
        if let Ok(configuration) = Configuration::decode(&value.body) {
            configurations.note(slot, configuration);
        }
    }
}
