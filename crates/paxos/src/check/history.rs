use alloc::collections::BTreeMap;

use crate::check::durable::Held;
use crate::check::members::{Members, NodeSet};
use crate::check::{Named, Violation};
use crate::{Ballot, NodeId, Position, Slot};

/// Facts that remain true whatever is lost later: promises, proposals, votes, and the values that
/// they choose.
///
/// Invariant: `chosen` has every slot up to `chosen_to`, except those that were adopted from the
/// first nodes and not seen since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(super) members: Members,
    ballots: BTreeMap<Ballot, Use>,
    proposals: BTreeMap<(Slot, Ballot), Proposal>,
    chosen: BTreeMap<Slot, Named>,
    chosen_to: Slot,
    /// The highest prefix that any node has reported, or acted on, as chosen.
    pub(crate) known_to: Slot,
}

/// How a ballot was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Use {
    /// The incarnation of its node in which it was used.
    incarnation: Option<u64>,
    leads: bool,
    /// The nodes whose disks have promised it.
    promised: NodeSet,
}

/// The proposal in one slot and ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Proposal {
    value: Named,
    /// The nodes whose disks have, or had, a vote for it.
    voters: NodeSet,
}

impl History {
    /// The prefix of slots that are chosen.
    pub(crate) fn chosen_to(&self) -> Slot {
        self.chosen_to
    }

    pub(crate) fn chosen_at(&self, slot: Slot) -> Option<Named> {
        self.chosen.get(&slot).copied()
    }

    /// Records a durable promise.
    pub(crate) fn promise(&mut self, node: NodeId, ballot: Ballot) {
        if ballot > Ballot::ZERO {
            let used = self.ballots.entry(ballot).or_default();
            self.members.insert(&mut used.promised, node);
        }
    }

    /// Records that a node uses the ballot as its own.
    pub(crate) fn uses(
        &mut self,
        node: NodeId,
        incarnation: u64,
        ballot: Ballot,
    ) -> Result<(), Violation> {
        if ballot.node != node {
            return Err(Violation::NotItsBallot { node, ballot });
        }
        let used = self.ballots.entry(ballot).or_default();
        if *used.incarnation.get_or_insert(incarnation) != incarnation {
            return Err(Violation::BallotUsedTwice { node, ballot });
        }
        Ok(())
    }

    /// Records that a node leads in its ballot. The first time, a phase-1 quorum of disks must have
    /// promised it. In which slots it may propose, each proposal shows.
    pub(crate) fn leads(
        &mut self,
        node: NodeId,
        incarnation: u64,
        ballot: Ballot,
    ) -> Result<(), Violation> {
        self.uses(node, incarnation, ballot)?;
        let used = self.ballots.entry(ballot).or_default();
        if !used.leads && !self.members.may_lead(used.promised) {
            return Err(Violation::NotPromised { node, ballot });
        }
        used.leads = true;
        Ok(())
    }

    /// Checks that `node` may act as the leader of `ballot`.
    pub(crate) fn speaks(
        &mut self,
        node: NodeId,
        incarnation: u64,
        ballot: Ballot,
    ) -> Result<(), Violation> {
        let leads = self.ballots.get(&ballot).is_some_and(|used| used.leads);
        self.uses(node, incarnation, ballot)?;
        match leads {
            true => Ok(()),
            false => Err(Violation::NotPromised { node, ballot }),
        }
    }

    /// Records a value in a ballot: proposed by its leader, or in the record of a node that votes
    /// for it.
    pub(crate) fn propose(
        &mut self,
        node: NodeId,
        incarnation: u64,
        slot: Slot,
        held: Held,
    ) -> Result<(), Violation> {
        let Held { ballot, value } = held;
        if let Some(known) = self.proposals.get(&(slot, ballot)) {
            return match known.value.is(value) {
                true => Ok(()),
                false => Err(Violation::TwoValues {
                    node,
                    slot,
                    ballot,
                    first: known.value,
                    second: value,
                }),
            };
        }
        if ballot.node != node {
            return Err(Violation::NotProposed { node, slot, ballot });
        }
        self.speaks(node, incarnation, ballot)?;
        let reach = self.members.reach();
        if slot > reach && !self.members.is_unknown() {
            return Err(Violation::ProposedTooFar { node, slot, reach });
        }
        if value.origin == ballot {
            self.check_change(node, slot, ballot)?;
        }
        let is_chosen = self.chosen_at(slot).is_some_and(|chosen| chosen.is(value));
        if !is_chosen && !self.is_safe(slot, held) {
            return Err(Violation::P2c {
                node,
                slot,
                ballot,
                value,
            });
        }
        self.learn(node, slot, value)?;
        self.believe(slot, held);
        Ok(())
    }

    /// P2c: among the nodes that promised the ballot there is a phase-1 quorum that has no vote for
    /// the slot in a lower ballot, or this is the value of the highest of its votes.
    fn is_safe(&self, slot: Slot, held: Held) -> bool {
        if self.members.is_unknown() {
            return true;
        }
        let used = self.ballots.get(&held.ballot);
        let mut left = used.map_or_else(NodeSet::default, |used| used.promised);
        let lower = self
            .proposals
            .range((slot, Ballot::ZERO)..(slot, held.ballot));
        for (_, proposal) in lower.rev() {
            if !self.members.is_phase1(slot, left) {
                return false;
            }
            let others = left.without(proposal.voters);
            if others != left && proposal.value.is(held.value) {
                return true;
            }
            left = others;
        }
        self.members.is_phase1(slot, left) && held.value.origin == held.ballot
    }

    /// A new configuration follows the one that the log decides before its slot, which is in force there.
    /// Of what is chosen later a leader that was overtaken may know nothing: its proposal is lost, as any
    /// other of its ballot.
    pub(super) fn check_change(
        &self,
        node: NodeId,
        slot: Slot,
        ballot: Ballot,
    ) -> Result<(), Violation> {
        let Some(next) = self.members.proposed(slot, ballot) else {
            return Ok(());
        };
        let fits = |(from, latest): (Slot, &crate::Configuration)| {
            slot >= from && latest.admits(next).is_ok()
        };
        match self.members.latest_before(slot).is_none_or(fits) {
            true => Ok(()),
            false => Err(Violation::TwoChanges {
                node,
                slot,
                number: next.number,
            }),
        }
    }

    /// Checks that an origin names only one value in a slot.
    pub(crate) fn learn(&self, node: NodeId, slot: Slot, value: Named) -> Result<(), Violation> {
        let ballot = value.origin;
        let first = self.proposals.get(&(slot, ballot)).map(|known| known.value);
        match first.filter(|first| !first.is(value)) {
            Some(first) => Err(Violation::TwoValues {
                node,
                slot,
                ballot,
                first,
                second: value,
            }),
            None => Ok(()),
        }
    }

    /// Adds a proposal that needs no check, or has passed it.
    pub(crate) fn believe(&mut self, slot: Slot, held: Held) {
        let proposal = Proposal {
            value: held.value,
            voters: NodeSet::default(),
        };
        self.proposals
            .entry((slot, held.ballot))
            .or_insert(proposal);
    }

    /// For tests of the rules after P2c.
    #[cfg(test)]
    pub(crate) fn forget(&mut self, slot: Slot, ballot: Ballot) {
        self.proposals.remove(&(slot, ballot));
    }

    /// Records a durable vote. With a phase-2 quorum of them the value is chosen, whether any node
    /// knows it or not.
    pub(crate) fn vote(&mut self, node: NodeId, slot: Slot, held: Held) -> Result<(), Violation> {
        let Some(proposal) = self.proposals.get_mut(&(slot, held.ballot)) else {
            return Ok(());
        };
        let is_news = self.members.insert(&mut proposal.voters, node);
        let voters = proposal.voters;
        match is_news && self.members.is_phase2(slot, voters) {
            true => self.choose(node, slot, held),
            false => Ok(()),
        }
    }

    fn choose(&mut self, node: NodeId, slot: Slot, held: Held) -> Result<(), Violation> {
        let Held { ballot, value } = held;
        let first = *self.chosen.entry(slot).or_insert(value);
        if !first.is(value) {
            return Err(Violation::ChosenTwice {
                slot,
                ballot,
                first,
                second: value,
            });
        }
        while let Some(next) = self.chosen.get(&self.chosen_to.next()) {
            let origin = next.origin;
            self.chosen_to = self.chosen_to.next();
            self.members.choose(self.chosen_to, origin);
        }
        // P2b, for proposals that were made before this value was chosen.
        let higher = (slot, ballot)..=(slot, LAST);
        let other = self
            .proposals
            .range(higher)
            .find(|(_, p)| !p.value.is(value));
        match other {
            Some(((_, ballot), proposal)) => Err(Violation::P2b {
                node,
                slot,
                ballot: *ballot,
                value: proposal.value,
                chosen: value,
            }),
            None => Ok(()),
        }
    }

    /// Checks that `node` may treat `value` as chosen.
    pub(crate) fn check_chosen(
        &mut self,
        node: NodeId,
        slot: Slot,
        value: Named,
    ) -> Result<(), Violation> {
        if slot > self.chosen_to {
            return self.announce(node, slot);
        }
        let chosen = *self.chosen.entry(slot).or_insert(value);
        if !chosen.is(value) {
            return Err(Violation::NotTheChosen {
                node,
                slot,
                value,
                chosen,
            });
        }
        Ok(())
    }

    /// The same if only the origin is known.
    pub(crate) fn check_position(
        &mut self,
        node: NodeId,
        position: Position,
    ) -> Result<(), Violation> {
        let Position { slot, origin } = position;
        match slot {
            Slot(0) => Ok(()),
            _ => self.check_chosen(node, slot, Named { origin, content: 0 }),
        }
    }

    /// Checks that everything up to `slot` is chosen, which `node` reports or acts on.
    pub(crate) fn announce(&mut self, node: NodeId, slot: Slot) -> Result<(), Violation> {
        self.known_to = self.known_to.max(slot);
        let chosen_to = self.chosen_to;
        match slot <= chosen_to {
            true => Ok(()),
            false => Err(Violation::NotChosen {
                node,
                slot,
                chosen_to,
            }),
        }
    }

    /// Accepts the chosen prefix of a node that the checker did not know before.
    pub(crate) fn adopt(&mut self, chosen_to: Slot) {
        self.chosen_to = self.chosen_to.max(chosen_to);
        self.known_to = self.known_to.max(chosen_to);
    }
}

const LAST: Ballot = Ballot {
    round: u64::MAX,
    node: NodeId(u64::MAX),
};
