use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::{
    AcceptorSet, Ballot, Configuration, Configurations, Kind, NodeId, Quorums, Slot, Value,
};

/// The configurations of the group by what the disks have chosen, whatever nodes believe, and sets of
/// nodes that mean the same in all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Members {
    configurations: Configurations,
    /// All nodes, in the order in which they were met.
    ids: Vec<NodeId>,
    /// The configurations that were proposed, by slot and origin.
    proposed: BTreeMap<(Slot, Ballot), Configuration>,
}

/// A set of nodes, by the order in which they were met: 128 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct NodeSet(u128);

impl NodeSet {
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Members {
    /// Takes the configurations of a node that was not seen before, if it knows more.
    pub(super) fn meet(&mut self, node: NodeId, known: &Configurations) {
        if known.known_to() > self.configurations.known_to()
            || self.configurations.latest().is_none()
        {
            self.configurations.merge(known);
        }
        self.place(node);
    }

    fn place(&mut self, node: NodeId) -> usize {
        let place = self.ids.iter().position(|id| *id == node);
        place.unwrap_or_else(|| {
            self.ids.push(node);
            self.ids.len() - 1
        })
    }

    /// Inserts a node. Returns whether it was not there before.
    pub(super) fn insert(&mut self, set: &mut NodeSet, node: NodeId) -> bool {
        let place = self.place(node).min(127);
        let before = *set;
        set.0 |= 1 << place;
        *set != before
    }

    fn acceptors(&self, quorums: &Quorums, set: NodeSet) -> AcceptorSet {
        let ids = self.ids.iter().enumerate();
        let members = ids.filter(|(place, _)| set.0 >> place & 1 == 1);
        quorums.set_of(members.map(|(_, id)| *id))
    }

    /// The quorums that govern a slot, if what is chosen decides that already.
    fn quorums(&self, slot: Slot) -> Option<&Quorums> {
        let governing = self.configurations.governing(slot)?;
        Some(&governing.configuration.membership.quorums)
    }

    /// Whether the set has a phase-1 quorum for the slot; true if nothing is known of the group.
    pub(super) fn is_phase1(&self, slot: Slot, set: NodeSet) -> bool {
        let quorums = self.quorums(slot);
        quorums.is_none_or(|quorums| quorums.is_phase1(self.acceptors(quorums, set)))
    }

    pub(super) fn is_phase2(&self, slot: Slot, set: NodeSet) -> bool {
        let quorums = self.quorums(slot);
        quorums.is_some_and(|quorums| quorums.is_phase2(self.acceptors(quorums, set)))
    }

    /// Whether the set has a phase-1 quorum of any configuration.
    pub(super) fn may_lead(&self, set: NodeSet) -> bool {
        let mut all = self.configurations.iter();
        let has = |quorums: &Quorums| quorums.is_phase1(self.acceptors(quorums, set));
        self.is_unknown() || all.any(|one| has(&one.configuration.membership.quorums))
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.configurations.latest().is_none()
    }

    /// The last slot whose governing configuration is decided.
    pub(super) fn reach(&self) -> Slot {
        self.configurations.reach()
    }

    /// Remembers a configuration that somebody proposed.
    pub(super) fn note_proposed(&mut self, slot: Slot, value: &Value) {
        if value.kind == Kind::Configuration
            && let Ok(configuration) = Configuration::decode(&value.body)
        {
            self.proposed.insert((slot, value.origin), configuration);
        }
    }

    pub(super) fn proposed(&self, slot: Slot, origin: Ballot) -> Option<&Configuration> {
        self.proposed.get(&(slot, origin))
    }

    /// The value of this origin is chosen in a slot, as is everything before.
    pub(super) fn choose(&mut self, slot: Slot, origin: Ballot) {
        if let Some(configuration) = self.proposed(slot, origin).cloned() {
            self.configurations.note(slot, configuration);
        }
        self.configurations.learn_to(slot);
    }

    /// The last configuration decided in a slot before this one, and the first slot that it governs.
    pub(super) fn latest_before(&self, slot: Slot) -> Option<(Slot, &Configuration)> {
        let mut decided = self.configurations.iter().rev();
        let latest = decided.find(|one| one.decided_in() < slot)?;
        Some((latest.from, &latest.configuration))
    }

    /// The configuration of this number and the first slot that it governs, if it is decided.
    pub(super) fn numbered(&self, number: u64) -> Option<(Slot, &Configuration)> {
        let mut all = self.configurations.iter();
        let found = all.find(|one| one.configuration.number == number)?;
        Some((found.from, &found.configuration))
    }

    /// The number of the first configuration that `known` has and the log does not, or of one that has to
    /// be in it and is not.
    pub(super) fn difference(&self, known: &Configurations) -> Option<u64> {
        let own = |number: u64| {
            self.configurations
                .iter()
                .find(|one| one.configuration.number == number)
        };
        let first = self.configurations.iter().next();
        let first = first.map_or(0, |one| one.configuration.number);
        let is_other = |one: &&crate::Governing| {
            let number = one.configuration.number;
            number >= first && own(number).is_none_or(|own| own != *one)
        };
        if let Some(other) = known.iter().find(is_other) {
            return Some(other.configuration.number);
        }
        let decided = self.configurations.iter().rev();
        let mut decided = decided.filter(|one| one.decided_in() <= known.known_to());
        let last = decided.next()?.configuration.number;
        let knows = known.latest().map_or(0, |one| one.configuration.number);
        (knows < last).then_some(last)
    }
}
