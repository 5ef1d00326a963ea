use super::Checker;
use crate::check::durable::Held;
use crate::check::watch::{Seen, Watch};
use crate::check::{Named, Violation};
use crate::{
    Ballot, Binding, Configuration, Configurations, Echo, Message, NodeId, Paxos, Replicate, Slot,
    Value, Vote,
};

/// Checks everything that must never decrease.
pub(super) fn check_order(node: NodeId, before: &Seen, now: &Seen) -> Result<(), Violation> {
    if now.promised < before.promised {
        let (from, to) = (before.promised, now.promised);
        return Err(Violation::PromiseFell { node, from, to });
    }
    if now.chosen < before.chosen {
        let (from, to) = (before.chosen, now.chosen);
        return Err(Violation::ChosenFell { node, from, to });
    }
    let is_new = now.campaigns && !(before.campaigns && now.promised == before.promised);
    if is_new && now.promised == before.promised {
        let ballot = now.promised;
        return Err(Violation::BallotUsedTwice { node, ballot });
    }
    if before.gives_up && now.leads && now.promised == before.promised && !now.gives_up {
        let ballot = now.promised;
        return Err(Violation::LedOn { node, ballot });
    }
    if let (Some((to, before)), Some((still_to, slot))) = (before.transfer, now.transfer)
        && to == still_to
        && slot > before
    {
        let slot = slot.prev();
        return Err(Violation::ProposedDuringTransfer { node, to, slot });
    }
    Ok(())
}

/// The slots and values of a message that carries them in order.
fn placed(first: Slot, values: &[Value]) -> impl Iterator<Item = (Slot, Named)> {
    let slots = (first.0..).map(Slot);
    slots.zip(values.iter().map(Named::of))
}

impl Checker {
    /// Checks that whom a leader prefers to itself has a higher priority, in one of its lives.
    pub(super) fn check_preferred(&self, node: NodeId, now: &Seen) -> Result<(), Violation> {
        let Some((to, own)) = now.preferred else {
            return Ok(());
        };
        let priority = self.nodes.get(&to).map_or(0, |watch| watch.priority);
        match priority > own {
            true => Ok(()),
            false => Err(Violation::NotPreferred { node, to }),
        }
    }

    /// Checks a chosen prefix of `paxos` that has just grown: every slot is chosen, and its value
    /// is held.
    pub(super) fn check_prefix(&mut self, before: Slot, paxos: &Paxos) -> Result<(), Violation> {
        let (node, chosen) = (paxos.common.config.id, paxos.common.log.chosen());
        self.history.announce(node, chosen)?;
        let start = paxos.common.log.start();
        if start.slot > before {
            self.history.check_position(node, start)?;
        }
        let mut slot = before.max(start.slot).next();
        while slot <= chosen {
            let disk = self.nodes.get(&node).map(|watch| &watch.durable);
            let held = match paxos.common.log.vote(slot) {
                Some(vote) => Some(Named::of(vote.value)),
                None => disk
                    .and_then(|disk| disk.vote(slot))
                    .map(|(_, value)| value),
            };
            let covered = disk.is_some_and(|disk| slot <= disk.covered());
            match held {
                Some(value) => self.history.check_chosen(node, slot, value)?,
                None if covered => {}
                None => return Err(Violation::ChosenNotHeld { node, slot }),
            }
            slot = slot.next();
        }
        Ok(())
    }

    pub(super) fn check_message(
        &mut self,
        node: NodeId,
        to: NodeId,
        message: &Message,
    ) -> Result<(), Violation> {
        match message {
            Message::Replicate(message) => self.check_replicate(node, to, message),
            Message::Binding(said) => self.check_binding(node, to, said),
            Message::Echo(message) => self.check_echo(node, message),
        }
    }

    fn check_replicate(
        &mut self,
        node: NodeId,
        to: NodeId,
        message: &Replicate,
    ) -> Result<(), Violation> {
        let incarnation = self.nodes.get(&node).map_or(0, |watch| watch.incarnation);
        let ballot = message.ballot();
        self.history.speaks(node, incarnation, ballot)?;
        match message {
            Replicate::Accept {
                first,
                values,
                chosen,
                ..
            } => {
                for (slot, value) in (first.0..).map(Slot).zip(values) {
                    self.history.members.note_proposed(slot, value);
                }
                for (slot, value) in placed(*first, values) {
                    self.history
                        .propose(node, incarnation, slot, Held { ballot, value })?;
                }
                self.history.announce(node, *chosen)
            }
            Replicate::Heartbeat {
                chosen, settled, ..
            } => {
                self.check_settled(node, *settled)?;
                self.history.announce(node, *chosen)
            }
            Replicate::Chosen { chosen, .. } => self.history.announce(node, *chosen),
            Replicate::Settle { slot, .. } => self.history.announce(node, *slot),
            Replicate::Snapshot { snapshot, .. } => {
                self.check_configurations(node, &snapshot.configurations)?;
                self.history.check_position(node, snapshot.last)
            }
            Replicate::Invite { chosen, last, .. } => {
                self.history.announce(node, *chosen)?;
                self.check_invite(node, to, ballot, *last)
            }
        }
    }

    /// Whoever is invited has voted, durably, for all that the leader has proposed, or knows it to be chosen:
    /// that its disk holds yet less is no danger, for a quorum holds it. One that has promised a higher ballot
    /// may have voted anew in it; it ignores the invitation.
    fn check_invite(
        &self,
        node: NodeId,
        to: NodeId,
        ballot: Ballot,
        last: Slot,
    ) -> Result<(), Violation> {
        let Some(target) = self.nodes.get(&to).filter(|target| !target.forgot) else {
            return Ok(());
        };
        if target.durable.promised() > ballot {
            return Ok(());
        }
        let held = target.settled.max(target.durable.covered());
        let known = held.max(target.seen.chosen);
        let mut slots = (known.0.saturating_add(1)..=last.0).map(Slot);
        let has_voted = |slot: &Slot| {
            let held = target.durable.votes.get(slot);
            // It may have led since, and an invitation is repeated.
            held.is_some_and(|held| held.ballot >= ballot)
        };
        match slots.find(|slot| !has_voted(slot)) {
            Some(lacks) => Err(Violation::InvitedBehind { node, to, lacks }),
            None => Ok(()),
        }
    }

    pub(super) fn check_binding(
        &mut self,
        node: NodeId,
        to: NodeId,
        said: &Binding,
    ) -> Result<(), Violation> {
        let Some(watch) = self.nodes.get(&node) else {
            return Ok(());
        };
        let ballot = said.ballot();
        let is_promised = watch.durable.promised() >= ballot;
        let is_true = match said {
            Binding::Prepare { .. } => {
                let incarnation = watch.incarnation;
                self.history.uses(node, incarnation, ballot)?;
                is_promised
            }
            Binding::Promise {
                from,
                votes,
                next,
                chosen,
                configurations,
                ..
            } => {
                if let Some(configurations) = configurations {
                    self.check_configurations(node, configurations)?;
                }
                let watch = self.nodes.get(&node);
                let told = |watch: &Watch| {
                    watch.settled >= *chosen
                        && tells_all(watch, ballot, *from, votes, *next, *chosen)
                };
                self.history.announce(node, *chosen)?;
                is_promised && watch.is_some_and(told)
            }
            Binding::Accepted { first, last, .. } => {
                is_promised && has_accepted(watch, ballot, *first, *last)
            }
            Binding::Settled { slot, .. } => {
                let lost = watch.forgot || watch.rotted;
                is_promised && (lost || watch.durable.knows_to() >= *slot)
            }
        };
        match is_true {
            true => Ok(()),
            false => {
                let said = said.clone();
                Err(Violation::Unsayable { node, to, said })
            }
        }
    }

    /// Checks that the configurations that a node knows are those of the log.
    pub(super) fn check_configurations(
        &self,
        node: NodeId,
        known: &Configurations,
    ) -> Result<(), Violation> {
        match self.history.members.difference(known) {
            Some(number) => Err(Violation::WrongConfiguration { node, number }),
            None => Ok(()),
        }
    }

    /// A leader that proposes a configuration knows that the one before is settled.
    pub(super) fn check_change_begins(
        &self,
        node: NodeId,
        vote: Vote<&Value>,
    ) -> Result<(), Violation> {
        let is_own = vote.ballot.node == node && vote.value.origin == vote.ballot;
        let proposed = self.history.members.proposed(vote.slot, vote.ballot);
        match proposed.filter(|_| is_own) {
            Some(next) => self.check_settled(node, next.number.saturating_sub(1)),
            None => Ok(()),
        }
    }

    /// Checks that a phase-2 quorum of a configuration knows durably all that was chosen before it.
    pub(super) fn check_settled(&self, node: NodeId, number: u64) -> Result<(), Violation> {
        if number == 0
            || self
                .nodes
                .values()
                .any(|watch| watch.forgot || watch.rotted)
        {
            return Ok(());
        }
        let is_settled = |(from, it): (Slot, &Configuration)| {
            let knows = |(_, watch): &(&NodeId, &Watch)| watch.durable.knows_to() >= from.prev();
            let nodes = self.nodes.iter().filter(knows).map(|(id, _)| *id);
            let quorums = &it.membership.quorums;
            quorums.is_phase2(quorums.set_of(nodes))
        };
        match self
            .history
            .members
            .numbered(number)
            .is_some_and(is_settled)
        {
            true => Ok(()),
            false => Err(Violation::NotSettled { node, number }),
        }
    }

    fn check_echo(&mut self, node: NodeId, message: &Echo) -> Result<(), Violation> {
        match message {
            Echo::Heartbeat { ballot, chosen, .. } => {
                let disk = self.nodes.get(&node).map(|watch| watch.durable.promised());
                if let Some(durable) = disk.filter(|durable| durable > ballot) {
                    let ballot = *ballot;
                    return Err(Violation::BallotLeft {
                        node,
                        ballot,
                        durable,
                    });
                }
                self.history.announce(node, *chosen)
            }
            Echo::Answer { chosen, .. } => self.history.announce(node, *chosen),
            Echo::Learned { first, values, .. } => {
                for (slot, value) in placed(*first, values) {
                    self.history.check_chosen(node, slot, value)?;
                }
                Ok(())
            }
            Echo::Offer { snapshot, .. } => {
                self.check_configurations(node, &snapshot.configurations)?;
                self.history.check_position(node, snapshot.last)
            }
            Echo::Removed { number, .. } => self.check_settled(node, *number),
            Echo::Voted { last, .. } => {
                let watch = self.nodes.get(&node).filter(|watch| !watch.forgot);
                let held = watch.and_then(|watch| watch.durable.votes.last_key_value());
                let held = held.map_or(Slot(0), |(slot, _)| *slot);
                let last = *last;
                match held > last {
                    true => Err(Violation::VoteHidden { node, last, held }),
                    false => Ok(()),
                }
            }
            Echo::Ask { .. }
            | Echo::HowFar { .. }
            | Echo::Preempted { .. }
            | Echo::Learn { .. } => Ok(()),
        }
    }
}

/// Whether a page of a promise equals the disk: it has all votes in lower ballots, and no others,
/// unless a vote in this ballot or a higher one has replaced one.
fn tells_all(
    watch: &Watch,
    ballot: Ballot,
    from: Slot,
    votes: &[Vote],
    next: Option<Slot>,
    chosen: Slot,
) -> bool {
    let disk = &watch.durable;
    let of = |vote: &Vote| Held::of(vote.ballot, &vote.value);
    let first = from.max(chosen.next());
    let is_told = |(slot, held): (&Slot, &Held)| {
        let at = votes.binary_search_by_key(slot, |vote| vote.slot);
        held.ballot >= ballot || at.is_ok_and(|at| of(&votes[at]) == *held)
    };
    let is_held = |vote: &Vote| {
        let held = disk.votes.get(&vote.slot);
        let covered = vote.slot <= disk.covered();
        held.map_or(covered, |held| *held == of(vote) || held.ballot >= ballot)
    };
    let last = next.map_or(Slot(u64::MAX), Slot::prev);
    let range = (first <= last).then(|| disk.votes.range(first..=last));
    range.into_iter().flatten().all(is_told) && votes.iter().all(is_held)
}

/// Whether the disk has, for each slot of the range, a vote in the ballot, or a value that the node
/// knows to be chosen.
fn has_accepted(watch: &Watch, ballot: Ballot, first: Slot, last: Slot) -> bool {
    let disk = &watch.durable;
    let known = watch.settled.min(watch.seen.chosen).max(disk.start.slot);
    let mut slot = first.max(known.next());
    while slot <= last {
        let vote = disk.votes.get(&slot);
        if vote.is_none_or(|held| held.ballot != ballot) {
            return false;
        }
        slot = slot.next();
    }
    true
}
