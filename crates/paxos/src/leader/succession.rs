//! How a leader passes from one configuration to the next (M5). One that is chosen in slot i governs
//! from i + α on. The leader asks its acceptors for promises in its own ballot, goes on proposing in the
//! slots before meanwhile, fills those that are left with no-ops, and proposes on behind them. Everything
//! follows from the log: whichever leader finds a configuration decided does the same.

use alloc::vec::Vec;

use crate::counters::count;
use crate::due::Task;
use crate::node::Common;
use crate::promises::Page;
use crate::step::Step;
use crate::{Binding, Instant, NodeId, Slot, StepDown, Value};

use super::Leader;
use super::office::Office;

impl Leader {
    /// Takes up configurations that were decided since, and leaves those behind whose last slot is
    /// chosen.
    #[inline]
    pub(super) fn follow_configurations(&mut self, common: &mut Common) {
        let latest = common.configurations.latest().map(|latest| latest.from);
        let known = self.offices.last().map(|office| office.from);
        if self.offices.len() > 1 || latest > known {
            self.pass_on(common);
        }
        if self.next() <= self.found_to && self.next() <= self.limit(common) {
            self.propose_found(common);
        }
    }

    #[cold]
    fn pass_on(&mut self, common: &mut Common) {
        let known = self.offices.last().map_or(Slot(0), |office| office.from);
        let list = common.configurations.iter();
        // Correct nodes know of none that governs a slot where this leader has proposed.
        let least = self.next().max(known.next());
        let news: Vec<_> = list.filter(|one| one.from >= least).cloned().collect();
        let is_news = !news.is_empty();
        for governing in news {
            for node in governing.configuration.membership.nodes() {
                // All nodes before and after a change have a place; one that left in the change before
                // may still be in it.
                if !self.roster.add(node, self.clock) {
                    self.drop_the_dismissed(common);
                    self.roster.add(node, self.clock);
                }
            }
            let office = Office::new(&governing, self.next(), &self.roster, &self.promises);
            self.offices.push(office);
            self.note_decided(common);
            self.replicate_to_all(common);
        }
        if is_news {
            self.ask_for_promises(common);
        }
        let chosen = common.log.chosen();
        while self
            .offices
            .get(1)
            .is_some_and(|later| later.from <= chosen.next())
        {
            self.offices.remove(0);
            // Reads that wait were to be confirmed by acceptors that are no longer counted. Whatever
            // those have chosen is before this slot.
            self.reads.raise_to(chosen);
            common.due.set_all(&[Task::Read, Task::Round]);
        }
        self.fill(common);
        self.begin_to_settle(common);
    }

    /// Asks acceptors of a configuration that comes into force for the promises that are missing.
    pub(super) fn ask_for_promises(&self, common: &mut Common) {
        let Some(office) = self.offices.iter().find(|office| !office.is_elected) else {
            return;
        };
        let (ballot, number) = (common.promised, common.configurations.number());
        for node in office.quorums().acceptors() {
            if node == common.config.id {
                continue;
            }
            if let Some(from) = self.expected(office, node) {
                let prepare = Binding::Prepare {
                    ballot,
                    from,
                    number,
                    invited: None,
                };
                common.send_after_write(node, prepare);
            }
        }
    }

    /// Where the next page of this acceptor begins, if it has not reported everything.
    fn expected(&self, office: &Office, node: NodeId) -> Option<Slot> {
        match self.promises.answers.get(&node) {
            Some(answer) => answer.next,
            None => Some(office.from),
        }
    }

    /// Handles a page of a promise: one that was asked for, or one that is no longer needed. That one
    /// still reports the chosen prefix of its sender.
    pub(crate) fn handle_promise(
        &mut self,
        common: &mut Common,
        now: Instant,
        place: usize,
        page: Page,
    ) -> Step {
        let from = self.roster.node(place);
        let unelected = self.offices.iter().find(|office| !office.is_elected);
        let awaited = unelected.filter(|office| office.quorums().contains(from));
        let Some(office) = awaited.filter(|office| self.expected(office, from) == Some(page.from))
        else {
            return self.handle_late_promise(common, place, page.chosen);
        };
        let answer = self.promises.answer_with(from, &page);
        if !page.is_sound(common.promised) || answer.gaps > Slot::AHEAD_MAX {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        let border = office.from;
        if let Some(configurations) = &page.configurations {
            common.configurations.merge(configurations);
        }
        common.configurations.learn_to(page.chosen);
        common.go_on_with_inquiries();
        if page.chosen >= border {
            // An earlier leader has come further than this one can: what is chosen there has to be
            // learned by a new phase 1.
            return Step::give_up(common.promised, StepDown::Deposed);
        }
        self.roster.peer_mut(place).handle_chosen(page.chosen);
        self.count_chosen(common, place, page.chosen);
        let last = page.votes.last().map_or(Slot(0), |vote| vote.slot);
        self.found_to = self.found_to.max(last);
        let next = answer.next;
        self.promises.add(from, page.votes, answer);
        if let Some(from_slot) = next {
            let prepare = Binding::Prepare {
                ballot: common.promised,
                from: from_slot,
                number: common.configurations.number(),
                invited: None,
            };
            common.send_after_write(from, prepare);
        }
        self.replicate_to(common, place);
        common.due.set(Task::Notice);
        self.elect(common, now);
        Step::Stay
    }

    /// Counts the promises for each configuration that waits for them.
    fn elect(&mut self, common: &mut Common, now: Instant) {
        self.clock = self.clock.max(now);
        for office in &mut self.offices {
            office.is_elected |= self.promises.has_quorum(&office.configuration);
        }
        self.propose_found(common);
        self.fill(common);
        common.due.set_all(&[Task::Read, Task::Round]);
    }

    /// Fills the slots that the configuration in force still governs with one run of no-ops, once the
    /// next one can go on behind them.
    pub(super) fn fill(&mut self, common: &mut Common) {
        let (next, border) = (self.next(), self.border());
        let is_ready = self.offices.len() > 1
            && self.offices.iter().all(|office| office.is_elected)
            && next > self.found_to
            && next <= border
            && border <= self.limit(common);
        if !is_ready || border == Slot::MAX || self.transfers_to().is_some() {
            return;
        }
        let chosen = common.log.chosen().0;
        if !self.has_room(common) || border.0.saturating_sub(chosen) > Slot::AHEAD_MAX {
            return;
        }
        let noop = Value::noop(common.promised);
        let count = border.0 - next.0 + 1;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.propose_all(common, core::iter::repeat_n(noop, count));
        self.replicate_to_all(common);
    }
}
