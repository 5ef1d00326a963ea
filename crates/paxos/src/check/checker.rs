use alloc::collections::BTreeMap;
use core::convert::Infallible;

use crate::check::durable::{Change, Durable, Held};
use crate::check::history::History;
use crate::check::watch::{Seen, Staged, Watch};
use crate::check::{Named, Violation, recovery};
use crate::role::RoleState;
use crate::{
    Ballot, Chosen, Envelope, NodeId, Output, Paxos, ReadId, Slot, Snapshot, Stop, Votes, Write,
};

mod rules;

/// Observes a group; see the [module](super).
///
/// Must not be used after a violation: its view of the node is then incomplete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checker {
    pub(super) nodes: BTreeMap<NodeId, Watch>,
    pub(super) history: History,
}

impl Checker {
    /// Report that a node has started from its disk, for the first time or again. The first time,
    /// the checker accepts whatever is there.
    ///
    /// # Errors
    /// The violated rule, as for the other inputs.
    pub fn started(&mut self, paxos: &Paxos) -> Result<(), Violation> {
        let node = paxos.common.config.id;
        let before = self.nodes.get(&node);
        if before.is_none() {
            let known = paxos.common.configurations.clone();
            self.history.members.meet(node, &known);
        }
        let durable = match before {
            Some(watch) => recovery::recovered(watch, paxos)?,
            None => recovery::adopted(paxos),
        };
        let watch = Watch {
            incarnation: before.map_or(1, |watch| watch.incarnation + 1),
            priority: before
                .map_or(0, |watch| watch.priority)
                .max(paxos.common.config.priority),
            rotted: before.is_some_and(|watch| watch.rotted),
            forgot: before.is_some_and(|watch| watch.forgot),
            seen: Seen::of(paxos),
            settled: before.map_or(Slot(0), |watch| watch.settled),
            durable,
            ..Watch::default()
        };
        if before.is_none() {
            self.history.adopt(paxos.common.log.chosen());
            let votes = paxos.common.log.votes_from(Slot(0));
            votes.for_each(|vote| self.history.members.note_proposed(vote.slot, vote.value));
            for (slot, held) in &watch.durable.votes {
                self.history.believe(*slot, *held);
            }
        }
        // A write that was in flight during a crash may be durable, and then its votes count.
        self.history.promise(node, watch.durable.promised());
        let durable = watch.durable.clone();
        self.nodes.insert(node, watch);
        for (slot, held) in &durable.votes {
            self.history.vote(node, *slot, *held)?;
        }
        self.settle();
        self.history.announce(node, paxos.common.log.chosen())?;
        self.history
            .check_position(node, paxos.common.log.start())?;
        for (slot, value) in recovery::taken_as_chosen(paxos, &durable) {
            self.history.check_chosen(node, slot, value)?;
        }
        Ok(())
    }

    /// Report that a node crashed. Optional, since [`started`](Self::started) implies it. It makes
    /// states equal that differ only in what the crash loses.
    pub fn crashed(&mut self, node: NodeId) {
        if let Some(watch) = self.nodes.get_mut(&node) {
            watch.seen = Seen::default();
            watch.applied = Slot(0);
            watch.reads.clear();
        }
    }

    /// Report that a node's disk lost the votes after the slot `last`, which no protocol can
    /// prevent.
    pub fn lost(&mut self, node: NodeId, last: Slot) {
        if let Some(watch) = self.nodes.get_mut(&node) {
            watch.durable.lose(last);
            watch.settled = watch.settled.min(last);
            watch.forgot = true;
        }
    }

    /// Report that a part of what a node had stored is corrupted, which no protocol can prevent:
    /// when it starts, its newest snapshot may be gone and replaced by an older one with more of
    /// the log.
    pub fn rotted(&mut self, node: NodeId) {
        if let Some(watch) = self.nodes.get_mut(&node) {
            watch.rotted = true;
        }
    }

    /// Report that a node has handled one input. Call it after each, before polling outputs.
    ///
    /// # Errors
    /// The rule that the step violated.
    pub fn stepped(&mut self, paxos: &Paxos) -> Result<(), Violation> {
        let node = paxos.common.config.id;
        let now = Seen::of(paxos);
        self.check_preferred(node, &now)?;
        let watch = self.nodes.entry(node).or_default();
        let before = core::mem::replace(&mut watch.seen, now);
        let incarnation = watch.incarnation;
        rules::check_order(node, &before, &now)?;
        let snapshot = recovery::newest_snapshot(paxos);
        if snapshot.slot > watch.durable.snapshot.slot {
            watch.durable.snapshot = snapshot;
            self.settle();
            self.history.check_position(node, snapshot)?;
        }
        if let RoleState::Leader(_) = &paxos.role {
            self.history.leads(node, incarnation, now.promised)?;
        }
        if now.chosen > before.chosen {
            self.check_prefix(before.chosen, paxos)?;
        }
        if now.configuration > before.configuration {
            self.check_configurations(node, &paxos.common.configurations)?;
        }
        Ok(())
    }

    /// Report that a read is about to be requested from a node. Only needed to have
    /// [`Output::Read`] checked. Call it before the core is asked.
    pub fn asked(&mut self, node: NodeId, read: ReadId) {
        let known = self.history.known_to;
        let watch = self.nodes.entry(node).or_default();
        watch.reads.insert(read, known);
    }

    /// Report an output of a node.
    ///
    /// # Errors
    /// The rule that the output violates.
    pub fn polled(&mut self, node: NodeId, output: &Output) -> Result<(), Violation> {
        match output {
            Output::Persist(write) => self.staged(node, write),
            Output::Send(envelope) => self.sent(node, envelope),
            Output::Apply(chosen) => self.applied(node, chosen),
            Output::Restore(snapshot) => self.restored(node, snapshot),
            Output::Stop(why) => self.stopped(node, *why),
            Output::Read { id, slot } => {
                let watch = self.nodes.entry(node).or_default();
                let (asked, slot) = (watch.reads.remove(id), slot.ok());
                match (asked, slot) {
                    (Some(known), Some(slot)) if slot < known => {
                        Err(Violation::StaleRead { node, slot, known })
                    }
                    _ => Ok(()),
                }
            }
            Output::Fetch(_) | Output::PullSnapshot { .. } => Ok(()),
        }
    }

    /// Report that a node's write was passed to its disk and is not durable yet.
    ///
    /// # Errors
    /// The rule that the record violates.
    pub fn staged(&mut self, node: NodeId, write: &Write) -> Result<(), Violation> {
        for vote in write.record().votes.iter().flat_map(Votes::iter) {
            self.history.members.note_proposed(vote.slot, vote.value);
            self.check_change_begins(node, vote)?;
        }
        let watch = self.nodes.entry(node).or_default();
        if watch.staged.is_some() {
            return Err(Violation::WriteInFlight { node });
        }
        let change = Change::of(write.record());
        if let Some(state) = change.state {
            check_order_on_disk(node, watch, &self.history, &change, state.chosen)?;
            self.history.announce(node, state.chosen)?;
        }
        let (incarnation, votes) = (watch.incarnation, change.votes.clone());
        // A copy reveals the messages that wait; its receipt is dropped.
        let Ok((messages, _)) = write.clone().persist(|_| Ok::<_, Infallible>(()));
        watch.staged = Some(Staged { change, messages });
        for (slot, held) in votes {
            self.history.propose(node, incarnation, slot, held)?;
        }
        Ok(())
    }

    /// Report that a node's write is durable: its messages may now be sent, and are checked. Call
    /// it before the core is told.
    ///
    /// # Errors
    /// The rule that the record or one of its messages violates.
    pub fn persisted(&mut self, node: NodeId) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        let Some(staged) = watch.staged.take() else {
            return Ok(());
        };
        watch.durable.store(node, &staged.change)?;
        self.history.promise(node, watch.durable.promised());
        for (slot, held) in &staged.change.votes {
            self.history.vote(node, *slot, *held)?;
        }
        if let Some(start) = staged.change.start {
            self.history.check_position(node, start)?;
        }
        self.settle();
        let mut messages = staged.messages.iter();
        messages.try_for_each(|said| self.check_binding(node, said.to, &said.message))
    }

    /// Report that a node sends a message. [`persisted`](Self::persisted) already does this for the
    /// messages that waited in a write.
    ///
    /// # Errors
    /// If the node must not send this message.
    pub fn sent(&mut self, node: NodeId, envelope: &Envelope) -> Result<(), Violation> {
        self.check_message(node, envelope.to, &envelope.message)
    }

    /// Report that values are delivered to a node's state machine.
    ///
    /// # Errors
    /// If one is not the chosen value, is not durable, or is out of order.
    pub fn applied(&mut self, node: NodeId, chosen: &Chosen) -> Result<(), Violation> {
        let mut values = chosen.iter();
        values.try_for_each(|(at, value)| self.applied_one(node, at.slot, Named::of(value)))
    }

    fn applied_one(&mut self, node: NodeId, slot: Slot, value: Named) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        let last = watch.applied;
        if slot != last.next() {
            return Err(Violation::AppliedOutOfOrder { node, slot, last });
        }
        let held = watch.durable.votes.get(&slot);
        let covered = slot <= watch.durable.covered();
        let is_held = held.map_or(covered, |held| held.value.is(value));
        watch.applied = slot;
        self.history.check_chosen(node, slot, value)?;
        match is_held {
            true => self.history.learn(node, slot, value),
            false => Err(Violation::AppliedNotDurable { node, slot }),
        }
    }

    /// Report that a node's state machine is reset to a snapshot.
    ///
    /// # Errors
    /// If the snapshot is not of the chosen values, the durable log does not begin after it, or the
    /// machine is already ahead of it.
    pub fn restored(&mut self, node: NodeId, snapshot: &Snapshot) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        let (slot, last) = (snapshot.last.slot, watch.applied);
        if slot < last {
            return Err(Violation::AppliedOutOfOrder { node, slot, last });
        }
        if watch.durable.start.slot < slot {
            return Err(Violation::AppliedNotDurable { node, slot });
        }
        watch.applied = slot;
        self.check_configurations(node, &snapshot.configurations)?;
        self.history.check_position(node, snapshot.last)
    }

    /// Report that a node stops for good.
    ///
    /// # Errors
    /// If it was not removed, or is still needed, and no disk of the group has lost anything.
    pub fn stopped(&mut self, node: NodeId, why: Stop) -> Result<(), Violation> {
        if let Stop::Removed { number } = why {
            self.check_settled(node, number)?;
            let settled = self.history.members.numbered(number);
            let is_member = settled.is_some_and(|(_, it)| it.membership.contains(node));
            return match is_member {
                true => Err(Violation::NeedlessStop { node, why }),
                false => Ok(()),
            };
        }
        let somebody_lost = |watch: &Watch| watch.forgot || watch.rotted;
        match self.nodes.values().any(somebody_lost) {
            true => Ok(()),
            false => Err(Violation::NeedlessStop { node, why }),
        }
    }

    /// The contents of a node's disk, if the checker knows the node.
    #[must_use]
    pub fn durable(&self, node: NodeId) -> Option<&Durable> {
        self.nodes.get(&node).map(|watch| &watch.durable)
    }

    /// The prefix of slots that are chosen by votes on disks, whether any node knows it or not.
    #[must_use]
    pub fn chosen(&self) -> Slot {
        self.history.chosen_to()
    }

    /// The ballot in which the value chosen in a slot was first proposed.
    #[must_use]
    pub fn origin(&self, slot: Slot) -> Option<Ballot> {
        self.history.chosen_at(slot).map(|value| value.origin)
    }

    /// Updates for each disk the prefix of chosen values that it holds. It never shrinks, because a
    /// later vote for a slot is for the same value.
    fn settle(&mut self) {
        for watch in self.nodes.values_mut() {
            let covered = watch.durable.covered();
            watch.settled = watch.settled.max(covered.min(self.history.chosen_to()));
            loop {
                let next = watch.settled.next();
                let held = watch.durable.votes.get(&next);
                let chosen = self.history.chosen_at(next);
                let is_chosen = |held: &Held| chosen.is_some_and(|chosen| chosen.is(held.value));
                if next > self.history.chosen_to() || !held.is_some_and(is_chosen) {
                    break;
                }
                watch.settled = next;
            }
        }
    }
}

/// Checks that the prefix in a record is chosen, and held by the disk including that record.
fn check_order_on_disk(
    node: NodeId,
    watch: &Watch,
    history: &History,
    change: &Change,
    chosen: Slot,
) -> Result<(), Violation> {
    let mut slot = watch
        .settled
        .max(change.start.map_or(Slot(0), |start| start.slot));
    let mut votes = change.votes.iter().peekable();
    while slot < chosen {
        slot = slot.next();
        while votes.next_if(|(at, _)| *at < slot).is_some() {}
        let chosen_here = history.chosen_at(slot);
        let is_it = |held: &Held| chosen_here.is_none_or(|chosen| chosen.is(held.value));
        let in_record = votes.next_if(|(at, _)| *at == slot);
        let on_disk = watch.durable.votes.get(&slot);
        if !in_record
            .map_or(on_disk, |(_, held)| Some(held))
            .is_some_and(is_it)
        {
            return Err(Violation::ChosenAheadOfVotes { node, slot, chosen });
        }
    }
    Ok(())
}
