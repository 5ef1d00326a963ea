//! Applies the rules about terms to each message and passes it to the node's role. A message that
//! changes the role is handled once more, here, by the new role.

use crate::counters::count;
use crate::election;
use crate::follower::Follower;
use crate::invariants::Mark;
use crate::leader::Leader;
use crate::node::Common;
use crate::role::RoleState;
use crate::step::Step;
use crate::{Binding, Echo, Instant, Leap, LogId, Message, NodeId, Raft, Replicate, Stop, Term};

impl Raft {
    /// Handles a message that arrived, before `now` was read from the clock: a promise counts from then,
    /// see [`Lease`](crate::Lease). What no correct peer would send is ignored and counted.
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        let common = &mut self.common;
        if common.stop.is_some() {
            return;
        }
        let mark = Mark::of(common, &self.role);
        // Every node is listened to, whether or not the membership in force names it: it may lead, or
        // campaign, by entries that are not here yet (§6). Only who counts looks at the membership.
        if from == common.id() {
            count(&mut common.counters.strangers);
            return;
        }
        let term = message.term();
        if term > Term::MAX || term == Term(0) {
            count(&mut common.counters.malformed);
            return;
        }
        if self.is_of_removed(from, &message) {
            return;
        }
        if is_leap(&self.common, term) {
            self.handle_leap(now, from, term);
            mark.check(&self.common, &self.role);
            return;
        }
        match message {
            Message::Replicate(message) => self.deliver_replicate(now, from, message),
            Message::Binding(message) => self.deliver_binding(now, from, message),
            Message::Echo(message) => self.deliver_echo(now, from, message),
        }
        self.follow_up(now);
        mark.check(&self.common, &self.role);
    }

    /// Treats the message as lost. But a node without a leader may have been left behind, whatever
    /// happened to the terms of the others, and they must be able to meet again. So it raises its
    /// term, no further than one message could have raised it anyway.
    fn handle_leap(&mut self, now: Instant, from: NodeId, term: Term) {
        let common = &mut self.common;
        let (stored, _) = common.vote_persisted();
        count(&mut common.counters.leaps);
        common.leap = Some(Leap { from, term, stored });
        if !self.role.has_leader_contact(&self.common, now) {
            let reach = Term(stored.0.saturating_add(Term::LEAP_MAX));
            self.enter(now, reach, None);
        }
    }

    #[inline]
    fn deliver_replicate(&mut self, now: Instant, from: NodeId, message: Replicate) {
        let Some((common, follower)) = self.as_follower(now, from, message.term()) else {
            return;
        };
        let step = match message {
            Replicate::Append {
                prev,
                entries,
                commit,
                ..
            } => follower.handle_append(common, from, prev, entries, commit),
            Replicate::Heartbeat {
                round,
                commit,
                matched,
                lease,
                ..
            } => {
                let says = (common.promise_lease(now, lease), common.priority(now));
                follower.handle_heartbeat(common, from, round, commit, matched, says)
            }
            Replicate::Commit { commit, .. } => {
                follower.learn_commit(common, commit);
                Step::Stay
            }
            Replicate::Snapshot { snapshot, .. } => follower.handle_offer(common, from, snapshot),
            Replicate::TimeoutNow { round, last, .. } => {
                follower.handle_timeout_now(common, now, round, last)
            }
        };
        self.change_role(now, step);
    }

    #[inline]
    fn deliver_binding(&mut self, now: Instant, from: NodeId, message: Binding) {
        match message {
            Binding::RequestVote {
                term,
                last,
                transfer,
            } => self.deliver_request_vote(now, from, term, last, transfer),
            Binding::Vote { term, granted } => {
                if self.is_of_this_term(now, term) && granted {
                    self.deliver_vote(now, from);
                }
            }
            Binding::Appended { term, last } => {
                if let Some((common, leader)) = self.as_leader(now, term) {
                    leader.handle_appended(common, now, from, last);
                }
            }
            Binding::Installed { term, last } => {
                if let Some((common, leader)) = self.as_leader(now, term) {
                    leader.handle_appended(common, now, from, last.index);
                }
            }
        }
    }

    fn deliver_echo(&mut self, now: Instant, from: NodeId, message: Echo) {
        match message {
            Echo::RequestPreVote { term, last, disk } => {
                self.common.handle_disk_report(now, disk);
                if !self.is_led(now) && !self.is_bound(now, term, false) {
                    election::handle_request_pre_vote(&mut self.common, now, from, term, last);
                }
            }
            Echo::PreVote {
                term,
                granted,
                disk,
                priority,
            } => {
                self.common.handle_disk_report(now, disk);
                if granted {
                    self.deliver_pre_vote(now, from, term, priority);
                } else {
                    self.is_of_this_term(now, term);
                }
            }
            Echo::Stale { term } => {
                self.is_of_this_term(now, term);
            }
            Echo::Heartbeat {
                term,
                round,
                matched,
                disk,
                lease,
                priority,
            } => {
                // Also useful to a node that no longer leads.
                if term == self.common.term {
                    self.common.handle_disk_report(now, disk);
                }
                if let Some((common, leader)) = self.as_leader(now, term) {
                    let says = (disk, lease, priority);
                    let step =
                        leader.handle_heartbeat_echo(common, now, from, round, matched, says);
                    self.change_role(now, step);
                }
            }
            Echo::Rejected { term, prev, hint } => {
                if let Some((common, leader)) = self.as_leader(now, term) {
                    leader.handle_rejected(common, now, from, prev, hint);
                }
            }
            Echo::Forgot { term, .. } => {
                if let Some((common, leader)) = self.as_leader(now, term) {
                    leader.handle_forgot(common, from);
                }
            }
            Echo::Removed { .. } => self.deliver_removed(now),
            Echo::Left { term } => {
                if let Some((common, leader)) = self.as_leader(now, term) {
                    leader.handle_left(common, from);
                }
            }
        }
    }

    /// By `transfer` the leader itself wants the election that others are protected from.
    fn deliver_request_vote(
        &mut self,
        now: Instant,
        from: NodeId,
        term: Term,
        last: LogId,
        transfer: bool,
    ) {
        if self.is_over(from, term) || !transfer && self.is_led(now) {
            return;
        }
        if self.is_bound(now, term, transfer) {
            return;
        }
        // Only a candidate that the leader itself asked comes here before the promise is over.
        if transfer {
            self.common.promise.release();
        }
        self.enter(now, term, None);
        let granted = election::handle_request_vote(&mut self.common, now, from, last);
        // A node that grants its vote stops asking for others' votes.
        if granted && let RoleState::PreCandidate(_) = self.role {
            self.change_role(now, Step::follow(term, None));
        }
    }

    /// Whether the sender was removed, that is committed, and it asks for a vote or is in a later
    /// term. Whatever term it has climbed to, it disturbs nobody (thesis §4.2.3). Who asks is told.
    ///
    /// A leader that was removed may be in a later term too: the votes of others were enough for it,
    /// and so are their acknowledgements for what it still has to do.
    #[inline]
    fn is_of_removed(&mut self, from: NodeId, message: &Message) -> bool {
        let common = &mut self.common;
        let asks = matches!(
            message,
            Message::Binding(Binding::RequestVote { .. })
                | Message::Echo(Echo::RequestPreVote { .. })
        );
        let is_later = message.term() > common.term;
        if !(asks || is_later) || !common.configs.has_removed(from) {
            return false;
        }
        count(&mut common.counters.removed);
        if asks {
            let term = common.term;
            common.echo(from, Echo::Removed { term });
        }
        true
    }

    /// A removal that is committed stays so for ever, and so no late message proves it wrongly. A
    /// leader hands over first, and stops when its own log says the same.
    fn deliver_removed(&mut self, now: Instant) {
        match self.role {
            RoleState::Leader(_) => count(&mut self.common.counters.out_of_role),
            _ => self.change_role(now, Step::Stop(Stop::Removed)),
        }
    }

    /// A pre-vote is granted for a term that has not begun, so the rules about terms do not apply.
    fn deliver_pre_vote(&mut self, now: Instant, from: NodeId, term: Term, priority: Option<u8>) {
        let common = &mut self.common;
        match &mut self.role {
            RoleState::PreCandidate(candidate) => {
                let step = candidate.handle_pre_vote(common, from, term, priority);
                self.change_role(now, step);
            }
            _ => count(&mut common.counters.out_of_role),
        }
    }

    fn deliver_vote(&mut self, now: Instant, from: NodeId) {
        let common = &mut self.common;
        match &mut self.role {
            RoleState::Candidate(candidate) => {
                let step = candidate.handle_vote(common, from);
                self.change_role(now, step);
            }
            _ => count(&mut common.counters.out_of_role),
        }
    }

    /// This node as a follower of the leader of `term`. `None` if that term is over or has another
    /// leader.
    fn as_follower(
        &mut self,
        now: Instant,
        from: NodeId,
        term: Term,
    ) -> Option<(&mut Common, &mut Follower)> {
        if self.is_over(from, term) {
            return None;
        }
        let is_another = self.leader().is_some_and(|leader| leader != from);
        if is_another && term == self.common.term {
            count(&mut self.common.counters.malformed);
            return None;
        }
        let leader = Some(from);
        self.enter(now, term, leader);
        if let RoleState::PreCandidate(_) | RoleState::Candidate(_) = self.role {
            self.change_role(now, Step::follow(term, leader));
        }
        match &mut self.role {
            RoleState::Follower(follower) => {
                follower.hear(&mut self.common, now, from);
                Some((&mut self.common, follower))
            }
            _ => None,
        }
    }

    /// This node as the leader of `term`, or `None`.
    fn as_leader(&mut self, now: Instant, term: Term) -> Option<(&mut Common, &mut Leader)> {
        if !self.is_of_this_term(now, term) {
            return None;
        }
        match &mut self.role {
            RoleState::Leader(leader) => Some((&mut self.common, leader)),
            _ => {
                count(&mut self.common.counters.out_of_role);
                None
            }
        }
    }

    /// Whether a request is of an earlier term; its sender is then told the current one. It leads
    /// nobody any more, or requests what nobody would grant. Without this answer it would not learn
    /// the term of a node that waits in a later one and never gets a majority (etcd#8501).
    fn is_over(&mut self, from: NodeId, term: Term) -> bool {
        let current = self.common.term;
        let is_over = term < current;
        if is_over {
            count(&mut self.common.counters.stale);
            self.common.echo(from, Echo::Stale { term: current });
        }
        is_over
    }

    /// Applies the rules for all servers (Figure 2) to an answer: a later term is entered, an
    /// earlier one ignored.
    fn is_of_this_term(&mut self, now: Instant, term: Term) -> bool {
        if term < self.common.term {
            count(&mut self.common.counters.stale);
        }
        !self.enter(now, term, None) && term == self.common.term
    }

    /// Becomes a follower in `term` if that is a later term. Returns whether it is.
    fn enter(&mut self, now: Instant, term: Term, leader: Option<NodeId>) -> bool {
        let is_later = term > self.common.term;
        if is_later {
            self.change_role(now, Step::follow(term, leader));
        }
        is_later
    }

    /// Whether this node is in contact with a leader, so that it elects nobody and does not even
    /// look at a candidate's term. A node that was away or removed thus unseats no leader (thesis
    /// §4.2.3).
    fn is_led(&mut self, now: Instant) -> bool {
        let is_led = self.role.has_leader_contact(&self.common, now);
        if is_led {
            count(&mut self.common.counters.votes_while_led);
        }
        is_led
    }

    /// Whether this node has promised a leader to elect nobody yet. As while it is led, it does not even
    /// look at a candidate's term.
    fn is_bound(&mut self, now: Instant, term: Term, transfer: bool) -> bool {
        let is_bound = self.common.promise.forbids(now, term, transfer);
        if is_bound {
            count(&mut self.common.counters.votes_while_bound);
        }
        is_bound
    }
}

/// Measured from the durable term, so that raising the term step by step takes a write each time.
fn is_leap(common: &Common, term: Term) -> bool {
    let (stored, _) = common.vote_persisted();
    term.0 > stored.0.saturating_add(Term::LEAP_MAX)
}
