use crate::role::{Candidate, Duty};
use crate::status::count;
use crate::{Binding, Echo, Index, Instant, LogId, NodeId, Raft, Role, Term};

/// Elections (§5.2, §5.4.1), and the question before them (thesis §9.6).
impl Raft {
    /// The election timeout has passed without a leader.
    pub(crate) fn campaign(&mut self, now: Instant) {
        // A candidacy is a write. A node whose disk does not finish one would raise its term in
        // memory again and again, never ask anybody, and unseat the next leader by telling of that
        // term.
        if self.in_flight.is_some() {
            self.election_deadline = now.plus(self.config.heartbeat_interval);
            return;
        }
        self.reset_election(now);
        // A leader needs a term of its own, and an index for its first entry.
        if self.term.next().is_none() || self.log.last().index >= Index::MAX {
            count(&mut self.counters.exhausted);
            return;
        }
        if self.config.pre_vote {
            self.ask_for_pre_votes(now);
        } else {
            self.ask_for_votes(now);
        }
    }

    fn ask_for_pre_votes(&mut self, now: Instant) {
        let Some(term) = self.term.next() else { return };
        let last = self.log.last();
        self.pull = None;
        self.duty = Duty::PreCandidate(Candidate::default());
        for peer in self.voting_peers() {
            let disk = self.disk;
            self.outbox
                .echo(peer, Echo::RequestPreVote { term, last, disk });
        }
        self.count_pre_vote(now, self.config.id);
    }

    /// Enters a new term and asks. The requests wait, with our own vote, for the record that holds
    /// both.
    fn ask_for_votes(&mut self, now: Instant) {
        let Some(term) = self.term.next() else { return };
        let last = self.log.last();
        self.pull = None;
        self.enter_term(term, Some(self.config.id));
        self.duty = Duty::Candidate(Candidate::default());
        self.reset_election(now);
        for peer in self.voting_peers() {
            self.outbox
                .send_after_write(peer, Binding::RequestVote { term, last });
        }
    }

    pub(crate) fn handle_request_pre_vote(
        &mut self,
        now: Instant,
        from: NodeId,
        term: Term,
        last: LogId,
    ) {
        if self.hears_a_leader(now) {
            count(&mut self.counters.votes_while_led);
            return;
        }
        let granted = term > self.term && last >= self.log.last();
        // A refusal names our term: a node that is behind must not ask for an old one for ever.
        let term = if granted { term } else { self.term };
        if term > Term(0) {
            let disk = self.disk;
            let answer = Echo::PreVote {
                term,
                granted,
                disk,
            };
            self.outbox.echo(from, answer);
        }
    }

    /// Granted for the term we would campaign for, and not for one of an earlier attempt.
    pub(crate) fn handle_pre_vote(&mut self, now: Instant, from: NodeId, term: Term) {
        if self.duty.role() == Role::PreCandidate && self.term.next() == Some(term) {
            self.count_pre_vote(now, from);
        } else {
            count(&mut self.counters.out_of_role);
        }
    }

    pub(crate) fn handle_request_vote(
        &mut self,
        now: Instant,
        from: NodeId,
        term: Term,
        last: LogId,
    ) {
        if term < self.term {
            count(&mut self.counters.stale);
            self.outbox.echo(from, Echo::Stale { term: self.term });
            return;
        }
        // Not even the term is looked at: a node that was away, or was removed, unseats nobody
        // (thesis §4.2.3).
        if self.hears_a_leader(now) {
            count(&mut self.counters.votes_while_led);
            return;
        }
        if term > self.term {
            self.step_down(now, term, None);
        }
        let free = self.vote.is_none_or(|vote| vote == from);
        let granted = free && last >= self.log.last();
        if granted {
            // Who gives its vote does not go on asking for others'.
            if self.duty.role() == Role::PreCandidate {
                self.step_down(now, term, None);
            }
            self.vote = Some(from);
            self.reset_election(now);
        }
        self.outbox
            .send_after_write(from, Binding::Vote { term, granted });
    }

    pub(crate) fn handle_vote(&mut self, now: Instant, from: NodeId) {
        if self.duty.role() == Role::Candidate {
            self.count_vote(now, from);
        } else {
            count(&mut self.counters.out_of_role);
        }
    }

    /// Our own vote comes through here too, when it is durable. Without it nobody wins, so that a
    /// leader's term and vote are on its disk before its first message (thesis §10.2.1).
    pub(crate) fn count_vote(&mut self, now: Instant, from: NodeId) {
        let Duty::Candidate(candidate) = &mut self.duty else {
            return;
        };
        candidate.granted.insert(from);
        let Duty::Candidate(candidate) = &self.duty else {
            return;
        };
        let granted = &candidate.granted;
        if granted.contains(&self.config.id) && self.quorum().agrees(|id| granted.contains(&id)) {
            self.lead(now);
        }
    }

    fn count_pre_vote(&mut self, now: Instant, from: NodeId) {
        let Duty::PreCandidate(candidate) = &mut self.duty else {
            return;
        };
        candidate.granted.insert(from);
        let Duty::PreCandidate(candidate) = &self.duty else {
            return;
        };
        let granted = &candidate.granted;
        if self.quorum().agrees(|id| granted.contains(&id)) {
            self.ask_for_votes(now);
        }
    }

    /// A leader that hears a quorum is there: this node itself, or one heard within the shortest
    /// time after which anybody may campaign.
    pub(crate) fn hears_a_leader(&self, now: Instant) -> bool {
        if !self.config.check_quorum {
            return false;
        }
        match &self.duty {
            Duty::Leader(_) => true,
            Duty::Follower(follower) => {
                follower.leader.is_some()
                    && follower
                        .heard
                        .is_some_and(|heard| now.since(heard) < self.config.election_timeout_min)
            }
            _ => false,
        }
    }

    fn voting_peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let membership = &self.membership;
        let peers: alloc::collections::BTreeSet<NodeId> = membership
            .voters
            .union(&membership.outgoing)
            .copied()
            .filter(|id| *id != self.config.id)
            .collect();
        peers.into_iter()
    }
}
