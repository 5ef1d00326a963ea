use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Leader;
use crate::counters::count;
use crate::due::Task;
use crate::node::Common;
use crate::step::Step;
use crate::{Echo, Entries, Instant, NodeId, Output, Slot, Snapshot};

/// A leader that lacks values which were chosen before its phase 1 ended. It does not propose them:
/// it asks those who hold them, one after the other, and leads meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Learning {
    /// Who was asked last.
    pub(super) teacher: NodeId,
    /// By then something must have been learned, else it resigns: another node has the values.
    pub(super) deadline: Instant,
}

impl Leader {
    /// Asks for the first values that are missing.
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

    /// With each heartbeat the next of those who know more is asked, so that a teacher that fell
    /// silent is not waited for.
    pub(super) fn learn_from_another(&mut self, common: &mut Common) {
        let chosen = common.log.chosen();
        let Some(learning) = &mut self.learning else {
            return;
        };
        let peers = common.peers();
        let teachers = peers.filter(|place| self.peers[*place].chosen > chosen);
        let teachers = teachers.map(|place| common.acceptor(place));
        let teachers: Vec<NodeId> = teachers.collect();
        let next = teachers.iter().find(|id| **id > learning.teacher);
        if let Some(id) = next.or_else(|| teachers.first()) {
            learning.teacher = *id;
        }
        self.ask_to_learn(common);
    }

    /// Chosen values came, from `first` to `last`.
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
        // A vote for the same value in another ballot needs no new one.
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

    /// The values are cut away at `from`, and this snapshot has them.
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

    /// A snapshot to pull, and from whom.
    pub(crate) fn poll_pull(&mut self) -> Option<Output> {
        let (from, snapshot) = self.pull.take()?;
        Some(Output::PullSnapshot { from, snapshot })
    }

    /// A pull is over, also if it is of no use any more: its place must not stay taken.
    pub(crate) fn end_pull_if(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        self.pulling.take_if(|pulling| is_over(pulling));
    }

    /// The log begins behind a snapshot, whose last slot this is: what it lacked it may have now.
    pub(crate) fn handle_installed(&mut self, common: &mut Common, now: Instant, last: Slot) {
        self.pull.take_if(|(_, pull)| pull.last.slot <= last);
        self.learned(common, now);
    }

    /// The chosen prefix grew by learning, or by a snapshot. Peers whose stream went over what was
    /// missing are sent it now.
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
        for peer in self.peers.iter_mut().filter(|peer| peer.skipped) {
            peer.skipped = false;
            peer.rewind_to(peer.through);
        }
        self.advance_chosen(common);
        self.replicate_to_all(common);
    }
}
