use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::take;

use synod_durable::Durable;

use crate::counters::count;
use crate::node::Common;
use crate::promises::{Answer, Page, Promises};
use crate::step::Step;
use crate::{Ballot, Binding, Instant, NodeId, Own, Slot, Vote};

/// Phase 1: requests promises in a ballot of its own, with the votes of the acceptors. It needs a
/// phase-1 quorum of each configuration that governs a slot which may be open. Promises reveal later
/// configurations, and then those are asked too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    /// The first slot that it asks about.
    from: Slot,
    promises: Promises,
    /// The ballot of the leader that has invited it: who has granted that one a lease need not wait.
    invited: Option<Ballot>,
    pub(crate) retry_deadline: Instant,
}

impl Candidate {
    /// Begins phase 1 in a ballot above all that were seen. The ballot is promised to this node
    /// itself first: the requests and that promise wait for the record that holds it, so that no
    /// later incarnation of this node uses the ballot again.
    pub(crate) fn begin(
        common: &mut Common,
        now: Instant,
        ballot: Ballot,
        invited: Option<Ballot>,
    ) -> Self {
        common.promise(ballot);
        let candidate = Self {
            from: common.log.chosen().next(),
            promises: Promises::default(),
            invited,
            retry_deadline: now.plus(common.config.heartbeat_interval),
        };
        common.reset_election(now);
        candidate.send_prepares(common);
        candidate
    }

    /// Sends a request to each acceptor whose promise, or a page of it, is missing. While some have
    /// pages left, those that are complete are repeatedly sent an empty request: each request
    /// delays their own campaigns, and such a campaign would restart all of this.
    fn send_prepares(&self, common: &mut Common) {
        let ballot = common.promised;
        let answers = &self.promises.answers;
        let is_told_by_pages = answers.values().any(|answer| answer.next.is_some());
        let nothing = is_told_by_pages.then_some(Slot::MAX);
        let number = common.configurations.number();
        for peer in common.other_acceptors() {
            if let Some(from) = self.expected(peer).or(nothing) {
                let prepare = Binding::Prepare {
                    ballot,
                    from,
                    number,
                    invited: self.invited,
                };
                common.send_after_write(peer, prepare);
            }
        }
    }

    /// Whether the leader of its ballot has invited it.
    pub(crate) fn is_invited(&self) -> bool {
        self.invited.is_some()
    }

    /// Where the next page of this acceptor begins.
    fn expected(&self, peer: NodeId) -> Option<Slot> {
        match self.promises.answers.get(&peer) {
            Some(answer) => answer.next,
            None => Some(self.from),
        }
    }

    /// Repeats requests, since they and the promises may be lost.
    pub(crate) fn handle_timeout(&mut self, common: &mut Common, now: Instant) {
        if now < self.retry_deadline {
            return;
        }
        self.retry_deadline = now.plus(common.config.heartbeat_interval);
        // While the first requests wait for the disk there is nothing to repeat.
        if common.promise_persisted == common.promised {
            self.send_prepares(common);
        }
    }

    /// Counts the own promise once the ballot is durable, and with it all votes that were cast
    /// before.
    pub(crate) fn handle_persisted(
        &mut self,
        common: &mut Common,
        now: Instant,
        durable: &Durable<Own>,
    ) -> Step {
        let own = common.config.id;
        if durable.promised != Some(common.promised) || self.promises.answers.contains_key(&own) {
            return Step::Stay;
        }
        // The requests are only sent now. If the timeout started with the candidacy, a write as
        // long as the timeout would end each candidacy before any peer was asked.
        common.reset_election(now);
        self.retry_deadline = now.plus(common.config.heartbeat_interval);
        let (votes, _) = common
            .log
            .page(common.promised, Slot(1), usize::MAX, usize::MAX);
        let page = Page {
            from: Slot(1),
            votes,
            next: None,
            chosen: common.log.chosen(),
            configurations: None,
        };
        let answer = self.promises.answer_with(own, &page);
        self.count_promise(common, own, page.votes, answer)
    }

    /// Handles a page of an acceptor's promise.
    pub(crate) fn handle_promise(
        &mut self,
        common: &mut Common,
        now: Instant,
        from: NodeId,
        page: Page,
    ) -> Step {
        if self.expected(from) != Some(page.from) {
            // This page was received before.
            count(&mut common.counters.out_of_role);
            return Step::Stay;
        }
        let answer = self.promises.answer_with(from, &page);
        if !page.is_sound(common.promised) || answer.gaps > Slot::AHEAD_MAX {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        common.reset_election(now);
        let has_news = Self::learn_configurations(common, &page);
        if let Some(next) = page.next {
            let prepare = Binding::Prepare {
                ballot: common.promised,
                from: next,
                number: common.configurations.number(),
                invited: self.invited,
            };
            common.send_after_write(from, prepare);
        }
        let step = self.count_promise(common, from, page.votes, answer);
        if has_news && matches!(step, Step::Stay) {
            // The acceptors that come up are asked at once.
            self.send_prepares(common);
        }
        step
    }

    /// Whoever knows a later configuration has told it, and so everything is known that was decided in
    /// the chosen prefix of the answer. Returns whether there is a later one than before.
    fn learn_configurations(common: &mut Common, page: &Page) -> bool {
        let before = common.configurations.number();
        if let Some(configurations) = &page.configurations {
            common.configurations.merge(configurations);
        }
        common.configurations.learn_to(page.chosen);
        common.go_on_with_inquiries();
        common.configurations.number() > before
    }

    /// Adds a page. An acceptor counts once it has reported all of its votes.
    fn count_promise(
        &mut self,
        common: &Common,
        from: NodeId,
        votes: Vec<Vote>,
        answer: Answer,
    ) -> Step {
        self.promises.add(from, votes, answer);
        if answer.next.is_some() {
            return Step::Stay;
        }
        let is_durable = common.promise_persisted == common.promised;
        if is_durable && self.has_quorums(common) {
            return Step::BecomeLeader(Box::new(take(&mut self.promises)));
        }
        Step::Stay
    }

    /// Whether phase 1 is complete for each configuration that governs slots after all that any
    /// answer reports as chosen. Those before need no proposal.
    fn has_quorums(&self, common: &Common) -> bool {
        let open = common.configurations.open(self.promises.chosen(common));
        let mut all = open.iter().map(|one| &*one.configuration);
        !open.is_empty() && all.all(|configuration| self.promises.has_quorum(configuration))
    }
}
