use alloc::boxed::Box;

use crate::asking::Answer;
use crate::counters::count;
use crate::follower::{Beat, Follower};
use crate::invariants::Mark;
use crate::leader::Leader;
use crate::lease::Pledge;
use crate::node::Common;
use crate::promises::{Page, Request};
use crate::role::RoleState;
use crate::step::Step;
use crate::{
    Ballot, Binding, Echo, Entries, Instant, Leap, Message, NodeId, Paxos, Replicate, Slot,
    Snapshot, StepDown, election, teach,
};

/// Applies the rules about ballots to each message and passes it to the node's role. A message that
/// changes the role is handled once more, here, by the new role.
impl Paxos {
    /// Handles a message that arrived. What no correct peer would send is ignored and counted. With leases,
    /// `now` must not be before the message was taken from the network: a pledge counts from there.
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        let common = &mut self.common;
        if common.stop.is_some() {
            return;
        }
        let mark = Mark::of(common, &self.role);
        // Whoever else sends is heard (M1): it may be a member that this node's log does not know yet.
        if from == common.config.id {
            count(&mut common.counters.strangers);
            return;
        }
        let ballot = message.ballot();
        if !is_ballot(ballot) {
            count(&mut common.counters.malformed);
            return;
        }
        // Measured from the durable promise, so that raising the round step by step takes a write
        // each time.
        if ballot.is_leap_from(common.promise_persisted) {
            self.handle_leap(now, from, ballot);
            mark.check(&self.common, &self.role);
            return;
        }
        // It would take a majority along that the group no longer has (M2).
        if message.seeks_leadership() && common.is_dismissed(from) {
            count(&mut common.counters.removed);
            common.dismiss(from);
            mark.check(&self.common, &self.role);
            return;
        }
        common.heard = common.heard.max(ballot);
        match message {
            Message::Replicate(message) => self.deliver_replicate(now, from, message),
            Message::Binding(message) => self.deliver_binding(now, from, message),
            Message::Echo(message) => self.deliver_echo(now, from, message),
        }
        mark.check(&self.common, &self.role);
    }

    /// Treats the message as lost. But a node without a leader may have been left behind, whatever
    /// happened to the rounds of the others, and they must be able to meet again. So it raises its
    /// round, no further than one message could have raised it anyway.
    #[cold]
    fn handle_leap(&mut self, now: Instant, from: NodeId, ballot: Ballot) {
        let common = &mut self.common;
        let stored = common.promise_persisted;
        count(&mut common.counters.leaps);
        common.leap = Some(Leap {
            from,
            ballot,
            stored,
        });
        let reach = Ballot {
            round: stored.round.saturating_add(Ballot::LEAP_MAX),
            node: from,
        };
        if reach > common.promised && !self.role.has_leader_contact(&self.common, now) {
            self.change_role(now, Step::follow(reach, None));
        }
    }

    /// Messages from a leader are handled by followers.
    #[inline]
    fn deliver_replicate(&mut self, now: Instant, from: NodeId, message: Replicate) {
        let Some((common, follower)) = self.as_follower(now, from, message.ballot()) else {
            return;
        };
        let step = match message {
            Replicate::Accept {
                first,
                values,
                chosen,
                ..
            } => follower.handle_accept(common, first, values, chosen),
            Replicate::Heartbeat {
                round,
                chosen,
                through,
                settled,
                lease,
                ..
            } => {
                let beat = Beat {
                    round,
                    chosen,
                    acknowledged: through,
                    lease,
                };
                follower.handle_heartbeat(common, now, &beat);
                common.learn_settled(settled);
                common.dismissal().map_or(Step::Stay, Step::Stop)
            }
            Replicate::Settle { slot, .. } => {
                follower.learn_chosen(common, slot);
                common.handle_settle(from, slot);
                Step::Stay
            }
            Replicate::Chosen { chosen, .. } => {
                follower.learn_chosen(common, chosen);
                Step::Stay
            }
            Replicate::Snapshot { snapshot, .. } => follower.handle_offer(common, from, snapshot),
            Replicate::Invite {
                round,
                chosen,
                last,
                ..
            } => follower.handle_invite(common, now, round, chosen, last),
        };
        self.change_role(now, step);
    }

    /// A request of phase 1 is handled in every role, and an answer by the role that asked.
    #[inline]
    fn deliver_binding(&mut self, now: Instant, from: NodeId, message: Binding) {
        match message {
            Binding::Prepare {
                ballot,
                from: slot,
                number,
                invited,
            } => {
                let request = Request {
                    ballot,
                    from: slot,
                    number,
                    invited,
                };
                self.deliver_prepare(now, from, &request);
            }
            Binding::Promise {
                ballot,
                from: asked,
                votes,
                next,
                chosen,
                configurations,
            } => {
                let page = Page {
                    from: asked,
                    votes,
                    next,
                    chosen,
                    configurations,
                };
                self.deliver_promise(now, from, ballot, page);
            }
            Binding::Accepted {
                ballot,
                first,
                last,
            } => {
                if self.is_own(ballot)
                    && let Some((common, leader, place)) = self.as_leader(now, from)
                {
                    leader.handle_accepted(common, place, first, last);
                    leader.catch_up(common, now);
                }
            }
            Binding::Settled { ballot, slot } => {
                if self.is_own(ballot)
                    && let Some((common, leader, place)) = self.as_leader(now, from)
                {
                    leader.handle_settled(common, place, slot);
                }
            }
        }
    }

    fn deliver_promise(&mut self, now: Instant, from: NodeId, ballot: Ballot, page: Page) {
        if !self.is_own(ballot) {
            return;
        }
        let step = if let RoleState::Candidate(candidate) = &mut self.role {
            candidate.handle_promise(&mut self.common, now, from, page)
        } else if let Some((common, leader, place)) = self.as_leader(now, from) {
            leader.handle_promise(common, now, place, page)
        } else {
            Step::Stay
        };
        self.change_role(now, step);
    }

    fn deliver_prepare(&mut self, now: Instant, from: NodeId, request: &Request) {
        let (ballot, slot) = (request.ballot, request.from);
        let is_sound = slot > Slot(0) && slot <= Slot::MAX;
        if !self.may_act(from, ballot, is_sound) {
            return;
        }
        if self.is_leased(now, from, request.invited) {
            count(&mut self.common.counters.leased);
            return;
        }
        if ballot > self.common.promised {
            // If a pledge is on, its holder leads no more, or has given up the lease.
            self.common.pledge = Pledge::default();
            self.change_role(now, Step::follow(ballot, None));
        } else if self.leader().is_some() && request.number == 0 {
            // A late request: its sender leads already. In a group that has changed, it may ask for a
            // configuration that comes into force.
            count(&mut self.common.counters.out_of_role);
            return;
        }
        election::handle_prepare(&mut self.common, now, from, request);
    }

    /// Whether a candidate is refused because of a lease: one that this acceptor has granted to another node,
    /// or its own. That it said to have no leader, when it was asked, is not enough: it may have granted a
    /// lease since.
    fn is_leased(&self, now: Instant, from: NodeId, invited: Option<Ballot>) -> bool {
        let common = &self.common;
        let holds = match &self.role {
            RoleState::Leader(leader) => leader.read_by_lease(common, now).is_ok(),
            _ => false,
        };
        holds || common.pledge.forbids(now, from, invited)
    }

    fn deliver_echo(&mut self, now: Instant, from: NodeId, message: Echo) {
        match message {
            Echo::Ask { attempt, disk, .. } => {
                self.common.handle_disk_report(now, disk);
                let has_leader_contact = self.role.has_leader_contact(&self.common, now);
                election::handle_ask(&mut self.common, now, from, attempt, has_leader_contact);
            }
            Echo::Answer {
                attempt,
                no_leader,
                chosen,
                disk,
                priority,
                ..
            } => {
                self.common.handle_disk_report(now, disk);
                let answer = Answer {
                    attempt,
                    no_leader,
                    chosen,
                    disk,
                    priority,
                };
                self.deliver_answer(now, from, &answer);
            }
            Echo::HowFar { life, number, .. } => self.common.answer_how_far(from, life, number),
            Echo::Voted {
                life, number, last, ..
            } => self.common.handle_voted(from, life, number, last),
            Echo::Preempted { promised } => self.deliver_preempted(now, promised),
            Echo::Removed { number, .. } => self.deliver_removed(now, number),
            Echo::Learn {
                ballot,
                from: first,
                to,
            } => {
                let is_sound = first > Slot(0) && first <= to && to <= Slot::MAX;
                if self.may_act(from, ballot, is_sound) {
                    teach::handle_learn(&mut self.common, from, ballot, first, to);
                }
            }
            Echo::Heartbeat { .. } => self.deliver_heartbeat_echo(now, from, &message),
            Echo::Learned {
                ballot,
                first,
                values,
            } => {
                if self.is_own(ballot) {
                    self.deliver_learned(now, from, first, &values);
                }
            }
            Echo::Offer { ballot, snapshot } => {
                if self.is_own(ballot) {
                    self.deliver_offer(now, from, snapshot);
                }
            }
        }
    }

    fn deliver_heartbeat_echo(&mut self, now: Instant, from: NodeId, echo: &Echo) {
        let Echo::Heartbeat {
            ballot,
            round,
            through,
            chosen,
            behind,
            disk,
            priority,
            lease,
        } = *echo
        else {
            return;
        };
        if !self.is_own(ballot) {
            return;
        }
        self.common.handle_disk_report(now, disk);
        if let Some((common, leader, place)) = self.as_leader(now, from) {
            leader.note_fitness(place, round, disk, priority);
            leader.note_grant(common, place, round, lease);
            let step = leader.handle_heartbeat_echo(common, place, round, through, chosen, behind);
            leader.catch_up(common, now);
            let step = match step {
                Step::Stay => leader.give_way(common, now),
                step => step,
            };
            self.change_role(now, step);
        }
    }

    /// Another node knows that this one was removed.
    fn deliver_removed(&mut self, now: Instant, number: u64) {
        if let Some(stop) = self.common.handle_removed(number) {
            self.change_role(now, Step::Stop(stop));
        }
    }

    fn deliver_answer(&mut self, now: Instant, from: NodeId, answer: &Answer) {
        let common = &mut self.common;
        if let RoleState::Asking(asking) = &mut self.role {
            let step = asking.handle_answer(common, now, from, answer);
            self.change_role(now, step);
        } else {
            count(&mut common.counters.out_of_role);
        }
    }

    /// Handles a refusal: an acceptor has promised more than this node's ballot. A candidate or
    /// leader in it can no longer have that acceptor, and gives way. The higher ballot is not
    /// promised here.
    fn deliver_preempted(&mut self, now: Instant, promised: Ballot) {
        let own = self.common.promised;
        if let RoleState::Candidate(_) | RoleState::Leader(_) = self.role
            && promised > own
        {
            self.change_role(now, Step::give_up(own, StepDown::Deposed));
        }
    }

    fn deliver_learned(&mut self, now: Instant, from: NodeId, first: Slot, values: &Entries) {
        let Some(last) = self.common.last_of(first, values) else {
            count(&mut self.common.counters.malformed);
            return;
        };
        if let Some((common, leader, _)) = self.as_leader(now, from) {
            leader.handle_learned(common, now, first, last, values);
        }
    }

    fn deliver_offer(&mut self, now: Instant, from: NodeId, snapshot: Box<Snapshot>) {
        if !self.common.is_position(snapshot.last) {
            count(&mut self.common.counters.malformed);
            return;
        }
        if let Some((common, leader, _)) = self.as_leader(now, from) {
            let step = leader.handle_offer(common, from, snapshot);
            self.change_role(now, step);
        }
    }

    /// Whether `from` may act in `ballot`: the ballot is its own, and no higher one is promised
    /// here. If one is, the sender is told, or it might continue for ever (etcd#8501).
    ///
    /// No correct node sends a message that is not `is_sound`, in any ballot.
    #[inline]
    fn may_act(&mut self, from: NodeId, ballot: Ballot, is_sound: bool) -> bool {
        let common = &mut self.common;
        if ballot.node != from || !is_sound {
            count(&mut common.counters.malformed);
            return false;
        }
        let promised = common.promised;
        if ballot < promised {
            count(&mut common.counters.stale);
            common.echo(from, Echo::Preempted { promised });
        }
        ballot >= promised
    }

    /// Whether an answer is for this node's current ballot.
    fn is_own(&mut self, ballot: Ballot) -> bool {
        let common = &mut self.common;
        if ballot.node != common.config.id {
            count(&mut common.counters.malformed);
        } else if ballot != common.promised {
            count(&mut common.counters.stale);
        }
        ballot == common.promised && ballot.node == common.config.id
    }

    /// This node as a follower of `from`, the leader of `ballot`: accepting implies a promise.
    #[inline]
    fn as_follower(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
    ) -> Option<(&mut Common, &mut Follower)> {
        if !self.may_act(from, ballot, ballot != Ballot::ZERO) {
            return None;
        }
        if ballot > self.common.promised || !matches!(self.role, RoleState::Follower(_)) {
            let leader = Some(from);
            self.change_role(now, Step::follow(ballot, leader));
        }
        match &mut self.role {
            RoleState::Follower(follower) => {
                follower.hear(&mut self.common, now, from);
                Some((&mut self.common, follower))
            }
            _ => None,
        }
    }

    /// This node as the leader of its ballot, in contact with `from`, whose position is returned
    /// too.
    #[inline]
    fn as_leader(
        &mut self,
        now: Instant,
        from: NodeId,
    ) -> Option<(&mut Common, &mut Leader, usize)> {
        if let RoleState::Leader(leader) = &mut self.role
            && let Some(place) = leader.place(from)
        {
            leader.hear(now, place);
            return Some((&mut self.common, leader, place));
        }
        count(&mut self.common.counters.out_of_role);
        None
    }
}

/// Whether a message may carry this ballot: one that a node could issue, or none at all.
#[inline]
fn is_ballot(ballot: Ballot) -> bool {
    let is_issued = ballot.round > 0 && ballot.round <= Ballot::ROUND_MAX;
    is_issued || ballot == Ballot::ZERO
}
