use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Leader;
use crate::counters::count;
use crate::due::Task;
use crate::node::Common;
use crate::step::Step;
use crate::{Echo, Entries, Instant, NodeId, Output, Slot, Snapshot};

/// The state of a leader that lacks values which were chosen before its phase 1 ended. It does not
/// propose them: it requests them from nodes that hold them, one after the other, and leads
/// meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Learning {
    /// The node that was asked last.
    pub(super) teacher: NodeId,
    /// Unless something was learned by then, the leader steps down: another node has the values.
    pub(super) deadline: Instant,
}

impl Leader {
    /// Requests the first values that are missing.
    pub(super) fn ask_to_learn(&self, common: &mut Common) {
        let (ballot, from, to) = (
            common.promised,
            common.log.chosen().next(),
            self.first.prev(),
        );
        if let Some(learning) = &self.learning
            && self.pulling.is_none()
        {
            let learn = Echo::Learn { ballot, from, to };
            common.echo(learning.teacher, learn);
        }
    }

    /// With each heartbeat asks the next of the nodes that know more, so that a teacher that
    /// stopped answering is not waited for.
    pub(super) fn learn_from_another(&mut self, common: &mut Common) {
        let chosen = common.log.chosen();
        let Some(learning) = &mut self.learning else {
            return;
        };
        let peers = self.roster.others.iter();
        let teachers = peers.filter(|place| self.roster.peer(*place).chosen > chosen);
        let teachers = teachers.map(|place| self.roster.node(place));
        let teachers: Vec<NodeId> = teachers.collect();
        let next = teachers.iter().find(|id| **id > learning.teacher);
        if let Some(id) = next.or_else(|| teachers.first()) {
            learning.teacher = *id;
        }
        self.ask_to_learn(common);
    }

    /// Handles chosen values, from `first` to `last`.
    pub(crate) fn handle_learned(
        &mut self,
        common: &mut Common,
        now: Instant,
        first: Slot,
        last: Slot,
        values: &Entries,
    ) {
        let (chosen, to) = (common.log.chosen(), self.first.prev());
        if self.learning.is_none() || first > chosen.next() || last <= chosen || last > to {
            count(&mut common.counters.out_of_role);
            return;
        }
        // If there is a vote for the same value in another ballot, no new one is needed.
        let is_news = |at: &usize| {
            let held = common.log.vote(Slot(first.0 + *at as u64));
            held.is_none_or(|held| *held.value != values[*at])
        };
        let news: Vec<usize> = (0..values.len()).filter(is_news).collect();
        for places in news.chunk_by(|at, next| at + 1 == *next) {
            let (from, to) = (places[0], places[places.len() - 1]);
            common.accept(Slot(first.0 + from as u64), values.part(from..to + 1));
        }
        self.choose_to(common, last);
        self.learned(common, now);
    }

    /// Handles the offer of a snapshot by `from`, where the values are compacted away.
    pub(crate) fn handle_offer(
        &mut self,
        common: &mut Common,
        from: NodeId,
        snapshot: Box<Snapshot>,
    ) -> Step {
        if let Err(stop) = common.check_position(snapshot.last) {
            return Step::Stop(stop);
        }
        let is_wanted = self.learning.is_some() && self.pulling.is_none();
        if is_wanted && snapshot.last.slot > common.log.chosen() {
            self.pulling = Some(snapshot.clone());
            self.pull = Some((from, snapshot));
            common.due.set(Task::Pull);
        } else {
            count(&mut common.counters.out_of_role);
        }
        Step::Stay
    }

    /// The next snapshot to pull, and its source.
    pub(crate) fn poll_pull(&mut self) -> Option<Output> {
        let (from, snapshot) = self.pull.take()?;
        Some(Output::PullSnapshot { from, snapshot })
    }

    /// Clears the pull if `is_over` holds for its snapshot: it has ended or is no longer needed,
    /// and must not block the next one.
    pub(crate) fn end_pull_if(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        self.pulling.take_if(|pulling| is_over(pulling));
    }

    /// The log now begins after a snapshot up to `last`, which may cover what was missing.
    pub(crate) fn handle_installed(&mut self, common: &mut Common, now: Instant, last: Slot) {
        self.pull.take_if(|(_, pull)| pull.last.slot <= last);
        self.learned(common, now);
    }

    /// Continues after the chosen prefix grew by learning or by a snapshot. Peers whose stream
    /// skipped the missing slots are sent them now.
    fn learned(&mut self, common: &mut Common, now: Instant) {
        self.propose_found(common);
        if common.log.chosen().next() < self.first {
            if let Some(learning) = &mut self.learning {
                learning.deadline = now.plus(common.config.election_timeout_max);
            }
            return self.ask_to_learn(common);
        }
        self.learning = None;
        self.pulling = None;
        for peer in self.roster.all_mut().filter(|peer| peer.skipped) {
            peer.skipped = false;
            peer.rewind_to(peer.through);
        }
        self.advance_chosen(common);
        self.replicate_to_all(common);
    }
}
