use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem::take;

use crate::role::{Answer, Asking, Candidate, Duty};
use crate::status::count;
use crate::{AcceptorSet, Ballot, Binding, Echo, Instant, NodeId, Paxos, Slot, Vote};

/// How a leader comes about: first others are asked whether they miss one too, then phase 1.
///
/// Who asks needs nothing but answers, from a quorum of each phase, that say "I have heard no leader
/// either". So a node that is connected to quorums becomes leader however stale its log is and
/// whatever the others are connected to, and one that is not disturbs nobody. A leader that no
/// quorum hears resigns and falls silent, so whoever heard one lately heard one that works.
impl Paxos {
    /// The election timeout has passed without a leader.
    pub(crate) fn ask(&mut self, now: Instant) {
        if self.waits_for_its_disk(now) {
            return;
        }
        self.reset_election(now);
        // A leader needs a ballot of its own, and a slot for its first value.
        if self.next_round().is_none() || self.log.last() >= Slot::MAX {
            count(&mut self.counters.exhausted);
            return;
        }
        self.pull = None;
        self.attempt = self.attempt.wrapping_add(1);
        let waited = match &self.duty {
            Duty::Asking(asking) => asking.waits || asking.waited,
            _ => false,
        };
        let (attempt, promised) = (self.attempt, self.promised);
        self.duty = Duty::Asking(Asking {
            attempt,
            unhappy: AcceptorSet::default(),
            behind: false,
            waits: false,
            waited,
        });
        let disk = self.disk;
        for peer in self.peers() {
            let ask = Echo::Ask {
                promised,
                attempt,
                disk,
            };
            self.outbox.echo(peer, ask);
        }
        let (id, chosen) = (self.config.id, self.log.chosen());
        self.handle_answer(now, id, attempt, true, chosen);
    }

    /// A campaign is a write. A node whose disk does not finish one would use up ballots in memory,
    /// never ask anybody, and unseat the next leader with the ballot it has got to.
    fn waits_for_its_disk(&mut self, now: Instant) -> bool {
        if self.in_flight.is_some() {
            self.election_deadline = now.plus(self.config.heartbeat_interval);
        }
        self.in_flight.is_some()
    }

    pub(crate) fn handle_ask(&mut self, now: Instant, from: NodeId, attempt: u64) {
        let hears = match &self.duty {
            // One that no quorum hears is about to resign.
            Duty::Leader(leader) => {
                now.since(self.heard_by_quorum(leader, now)) < self.config.election_timeout_max
            }
            Duty::Follower(follower) => follower
                .heard
                .is_some_and(|heard| now.since(heard) < self.config.election_timeout_min),
            Duty::Asking(_) | Duty::Candidate(_) => false,
        };
        let answer = Echo::Answer {
            promised: self.promised,
            attempt,
            unhappy: !hears,
            chosen: self.log.chosen(),
            disk: self.disk,
        };
        self.outbox.echo(from, answer);
    }

    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        from: NodeId,
        attempt: u64,
        unhappy: bool,
        chosen: Slot,
    ) {
        let known = self.log.chosen().0.saturating_add(BEHIND_SLOTS);
        let asking = match &mut self.duty {
            Duty::Asking(asking) if asking.attempt == attempt && !asking.waits => asking,
            _ => return count(&mut self.counters.out_of_role),
        };
        if chosen > Slot::MAX {
            return count(&mut self.counters.malformed);
        }
        asking.behind |= chosen.0 > known;
        if !unhappy {
            return;
        }
        let quorums = &self.config.quorums;
        quorums.insert(&mut asking.unhappy, from);
        if !quorums.is_phase1(asking.unhappy) || !quorums.is_phase2(asking.unhappy) {
            return;
        }
        if asking.behind && !asking.waited {
            asking.waits = true;
            self.reset_election(now);
        } else {
            self.campaign(now);
        }
    }

    fn next_round(&self) -> Option<u64> {
        let round = self.heard.max(self.promised).round;
        (round < Ballot::ROUND_MAX).then(|| round + 1)
    }

    /// Begins phase 1 in a ballot above all that were heard of. It is promised to this node itself
    /// first: the requests wait, with that promise, for the record that holds it, so that no later
    /// incarnation of this node uses the ballot again.
    fn campaign(&mut self, now: Instant) {
        if self.waits_for_its_disk(now) {
            return;
        }
        let Some(round) = self.next_round() else {
            return;
        };
        let node = self.config.id;
        self.promise(Ballot { round, node });
        self.duty = Duty::Candidate(Candidate {
            from: self.log.chosen().next(),
            promised: AcceptorSet::default(),
            answers: BTreeMap::new(),
            found: BTreeMap::new(),
            retry_deadline: now.plus(self.config.heartbeat_interval),
        });
        self.reset_election(now);
        self.send_prepares();
    }

    /// To each acceptor whose promise is missing, or a page of it.
    fn send_prepares(&mut self) {
        let ballot = self.promised;
        for peer in self.peers() {
            if let Some(from) = self.expected(peer) {
                self.outbox
                    .send_after_write(peer, Binding::Prepare { ballot, from });
            }
        }
    }

    /// Where the next page of this acceptor begins.
    fn expected(&self, peer: NodeId) -> Option<Slot> {
        let Duty::Candidate(candidate) = &self.duty else {
            return None;
        };
        match candidate.answers.get(&peer) {
            Some(answer) => answer.next,
            None => Some(candidate.from),
        }
    }

    /// Requests and promises get lost.
    pub(crate) fn prepare_again(&mut self, now: Instant) {
        let retry = now.plus(self.config.heartbeat_interval);
        if let Duty::Candidate(candidate) = &mut self.duty
            && now >= candidate.retry_deadline
        {
            candidate.retry_deadline = retry;
            // While the first requests wait for the disk there is nothing to repeat.
            if self.promise_persisted == self.promised {
                self.send_prepares();
            }
        }
    }

    /// Phase 1b (Paxos Made Simple §2.2).
    pub(crate) fn handle_prepare(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
    ) {
        if ballot.node != from || slot == Slot(0) || slot > Slot::MAX {
            count(&mut self.counters.malformed);
            return;
        }
        if self.is_preempted(from, ballot) {
            return;
        }
        if ballot > self.promised {
            self.step_down(now, None);
            self.promise(ballot);
            self.reset_election(now);
        } else if self.leader().is_some() {
            // Late: it leads already.
            count(&mut self.counters.out_of_role);
            return;
        } else {
            // The next page: a phase 1 of many takes longer than an election timeout, and whoever
            // campaigns meanwhile makes it begin anew.
            self.reset_election(now);
        }
        let (votes, next) = self.log.page(
            slot,
            self.config.accept_bytes_max,
            self.config.accept_values_max,
        );
        let promise = Binding::Promise {
            ballot,
            from: slot,
            votes,
            next,
            chosen: self.log.chosen(),
        };
        self.outbox.send_after_write(from, promise);
    }

    /// The ballot is durable, and with it all votes that were cast before.
    pub(crate) fn count_own_promise(&mut self, now: Instant) {
        // Only now do the requests leave. Counted from the start of the candidacy, a write as long
        // as the timeout would end each candidacy before anybody was asked.
        self.reset_election(now);
        let retry = now.plus(self.config.heartbeat_interval);
        let (votes, _) = self.log.page(Slot(1), usize::MAX, usize::MAX);
        let chosen = self.log.chosen();
        if let Duty::Candidate(candidate) = &mut self.duty {
            candidate.retry_deadline = retry;
        }
        let answer = self.answer_with(self.config.id, &votes, None, chosen);
        self.count_promise(now, self.config.id, votes, answer);
    }

    pub(crate) fn handle_promise(
        &mut self,
        now: Instant,
        from: NodeId,
        asked: Slot,
        votes: Vec<Vote>,
        next: Option<Slot>,
        chosen: Slot,
    ) {
        if self.expected(from) != Some(asked) {
            // A page that was told already.
            count(&mut self.counters.out_of_role);
            return;
        }
        let answer = self.answer_with(from, &votes, next, chosen);
        if !self.is_page(asked, &votes, next, chosen) || answer.gaps > Slot::AHEAD_MAX {
            count(&mut self.counters.malformed);
            return;
        }
        self.reset_election(now);
        if let Some(from_slot) = next {
            let (ballot, from_slot) = (self.promised, from_slot);
            self.outbox.send_after_write(
                from,
                Binding::Prepare {
                    ballot,
                    from: from_slot,
                },
            );
        }
        self.count_promise(now, from, votes, answer);
    }

    /// What an acceptor has told with this page. Whoever says more than once how far it knows the
    /// slots chosen is believed the first time: pages fit each other as of the promise.
    fn answer_with(
        &self,
        from: NodeId,
        votes: &[Vote],
        next: Option<Slot>,
        chosen: Slot,
    ) -> Answer {
        let before = match &self.duty {
            Duty::Candidate(candidate) => candidate.answers.get(&from),
            _ => None,
        };
        let (mut told, mut gaps) = before.map_or((chosen, 0u64), |a| (a.told.max(chosen), a.gaps));
        for vote in votes {
            let between = vote.slot.0.saturating_sub(told.next().0);
            gaps = gaps.saturating_add(between);
            told = told.max(vote.slot);
        }
        Answer {
            next,
            told,
            gaps,
            chosen,
        }
    }

    /// Ascending votes of lower ballots, not too far ahead, and a next page behind them.
    fn is_page(&self, asked: Slot, votes: &[Vote], next: Option<Slot>, chosen: Slot) -> bool {
        let ahead = Slot(chosen.0.saturating_add(Slot::SPAN_MAX)).min(Slot::MAX);
        let mut least = asked.max(chosen.next());
        let ascend = votes.iter().all(|vote| {
            let fits = vote.slot >= least
                && vote.slot <= ahead
                && vote.ballot < self.promised
                && vote.ballot.round > 0
                && vote.value.origin.round > 0
                && vote.value.origin <= vote.ballot;
            least = vote.slot.next();
            fits
        });
        let is_further = |next: Slot| next >= least && next > asked && next <= ahead;
        ascend && chosen <= Slot::MAX && next.is_none_or(is_further)
    }

    /// P2c: of the votes for a slot the one of the highest ballot stands. An acceptor counts when it
    /// has told all of its votes.
    fn count_promise(&mut self, now: Instant, from: NodeId, votes: Vec<Vote>, answer: Answer) {
        let Duty::Candidate(candidate) = &mut self.duty else {
            return;
        };
        for vote in votes {
            let found = candidate.found.get(&vote.slot);
            if found.is_none_or(|found| found.ballot < vote.ballot) {
                candidate.found.insert(vote.slot, vote);
            }
        }
        candidate.answers.insert(from, answer);
        if answer.next.is_some() {
            return;
        }
        self.config.quorums.insert(&mut candidate.promised, from);
        let is_durable = self.promise_persisted == self.promised;
        if is_durable && self.config.quorums.is_phase1(candidate.promised) {
            let answers = take(&mut candidate.answers);
            let found = take(&mut candidate.found);
            self.lead(now, &answers, found);
        }
    }
}

/// A candidate that lacks more chosen values than this lets others go first, once: it would have to
/// learn them before it can serve anything.
const BEHIND_SLOTS: u64 = 1024;
