use alloc::vec::Vec;

use crate::paxos::ApplyFetch;
use crate::role::{Duty, Follower};
use crate::status::count;
use crate::{
    Ballot, Binding, Echo, Instant, NodeId, Paxos, Position, Slot, Snapshot, Stop, Value, Vote,
};

/// What an acceptor does that hears from a leader (phase 2, Paxos Made Simple §2.2 and §3).
impl Paxos {
    /// The node of `ballot` leads in it, which is the promised one or higher: to accept is to
    /// promise.
    pub(crate) fn follow(&mut self, now: Instant, ballot: Ballot) {
        let leader = ballot.node;
        if ballot > self.promised || !matches!(self.duty, Duty::Follower(_)) {
            self.step_down(now, Some(leader));
        }
        if ballot > self.promised {
            self.promise(ballot);
        }
        if let Duty::Follower(follower) = &mut self.duty {
            follower.leader = Some(leader);
            follower.heard = Some(now);
        }
        self.reset_election(now);
    }

    /// Phase 2b. Values are taken in any order: that of one slot says nothing about another.
    pub(crate) fn handle_accept(
        &mut self,
        now: Instant,
        first: Slot,
        values: Vec<Value>,
        chosen: Slot,
    ) {
        let Some(last) = self.last_of(first, &values) else {
            count(&mut self.counters.malformed);
            return;
        };
        if last.0 > self.log.chosen().0.saturating_add(Slot::AHEAD_MAX) {
            count(&mut self.counters.too_far_ahead);
            return;
        }
        if self.contradict(now, first, &values) {
            return;
        }
        let ballot = self.promised;
        let is_news = |vote: &Vote| {
            let voted = self.log.vote(vote.slot).map(|vote| vote.ballot);
            voted.is_none_or(|voted| voted < ballot)
        };
        let votes = Vote::all_from(first, ballot, values).filter(is_news);
        let votes: Vec<Vote> = votes.collect();
        self.log.accept(votes);
        self.learn_chosen(chosen);
        let through = self.through();
        // With a gap filled, what lies behind it counts too; before that `last` is beyond `through`.
        let last = last.max(through);
        self.outbox.send_after_write(
            ballot.node,
            Binding::Accepted {
                ballot,
                first,
                last,
            },
        );
    }

    /// The slot of the last of `values`, if they are values that could be proposed from `first` on.
    pub(crate) fn last_of(&self, first: Slot, values: &[Value]) -> Option<Slot> {
        let more = u64::try_from(values.len()).ok()?.checked_sub(1)?;
        let last = Slot(first.0.checked_add(more)?);
        let is_value = |value: &Value| value.origin.round > 0 && value.origin <= self.promised;
        (first > Slot(0) && last <= Slot::MAX && values.iter().all(is_value)).then_some(last)
    }

    /// Whether one of them differs from what is chosen at its slot, or from the value of this same
    /// ballot there. No correct leader sends such a thing, and then nothing of it is taken.
    ///
    /// What is chosen is what every later leader proposes at its slot (P2b), so the first stops this
    /// node: the leader has lost something, or this node has. Of an honest group no message proves
    /// it wrongly, because one of a lower ballot is not looked at.
    fn contradict(&mut self, now: Instant, first: Slot, values: &[Value]) -> bool {
        for (slot, value) in (first.0..).map(Slot).zip(values) {
            let Some(vote) = self.log.vote(slot) else {
                continue;
            };
            if slot <= self.log.chosen() && vote.value != *value {
                let (own, theirs) = (vote.value.origin, value.origin);
                self.stop_diverged(now, slot, own, theirs);
                return true;
            }
            if vote.ballot == self.promised && vote.value != *value {
                count(&mut self.counters.malformed);
                return true;
            }
        }
        false
    }

    pub(crate) fn handle_heartbeat(&mut self, round: u64, chosen: Slot, acknowledged: Slot) {
        if self.apply_fetch == ApplyFetch::Failed {
            self.apply_fetch = ApplyFetch::Idle;
        }
        self.learn_chosen(chosen);
        let (ballot, through) = (self.promised, self.through());
        self.outbox.echo(
            ballot.node,
            Echo::Heartbeat {
                ballot,
                round,
                through,
                chosen: self.log.chosen(),
                behind: through < acknowledged,
                disk: self.disk,
            },
        );
        // Our word was lost; it is said again once it is true, which it may be already.
        if through > acknowledged {
            let (first, last) = (acknowledged.next(), through);
            self.outbox.send_after_write(
                ballot.node,
                Binding::Accepted {
                    ballot,
                    first,
                    last,
                },
            );
        }
    }

    /// The leader says how far the slots are chosen. Here they are as far as this node has voted in
    /// this leader's ballot without a gap: votes of other ballots may be for other values.
    pub(crate) fn learn_chosen(&mut self, chosen: Slot) {
        let Duty::Follower(follower) = &mut self.duty else {
            return;
        };
        follower.told = follower.told.max(chosen);
        follower.through = follower.through.max(self.log.chosen());
        let is_own = |vote: &Vote| vote.ballot == self.promised;
        while self.log.vote(follower.through.next()).is_some_and(is_own) {
            follower.through = follower.through.next();
        }
        let chosen = follower.told.min(follower.through);
        if chosen > self.log.chosen() {
            self.log.choose_to(chosen);
        }
    }

    /// Up to here each slot is known to be chosen or has a vote in the leader's ballot.
    fn through(&self) -> Slot {
        match &self.duty {
            Duty::Follower(follower) => follower.through,
            _ => self.log.chosen(),
        }
    }

    /// The leader no longer holds the values that this node needs.
    pub(crate) fn handle_offer(&mut self, now: Instant, leader: NodeId, snapshot: Snapshot) {
        let last = snapshot.last;
        if !self.is_position(last) {
            count(&mut self.counters.malformed);
            return;
        }
        if self.stops_over(now, last) {
            return;
        }
        let (ballot, chosen) = (self.promised, self.log.chosen());
        if last.slot <= chosen {
            let first = Slot(1);
            self.outbox.send_after_write(
                leader,
                Binding::Accepted {
                    ballot,
                    first,
                    last: chosen,
                },
            );
            return;
        }
        let Duty::Follower(Follower { pulling, .. }) = &mut self.duty else {
            return;
        };
        // One pull at a time: a leader that takes snapshots faster than they travel would else
        // make each begin anew and none end. Once it has ended, the newest is on offer again. A
        // pull of what became known by another way is not waited for, and one from the leader of
        // an earlier ballot was forgotten with that ballot.
        let waits = |pulling: &Snapshot| pulling.last.slot > chosen;
        if !pulling.as_ref().is_some_and(waits) {
            *pulling = Some(snapshot.clone());
            self.pull = Some((leader, snapshot));
        }
    }

    /// A pull that a snapshot made needless is over, also if it is of no use any more: the slot must
    /// not stay taken.
    pub(crate) fn end_pull(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        let pulling = match &mut self.duty {
            Duty::Follower(follower) => &mut follower.pulling,
            Duty::Leader(leader) => &mut leader.pulling,
            Duty::Asking(_) | Duty::Candidate(_) => return,
        };
        pulling.take_if(|pulling| is_over(pulling));
    }

    /// The last position of a snapshot. If another value is known to be chosen there, this node
    /// stops: a snapshot covers what is chosen.
    pub(crate) fn stops_over(&mut self, now: Instant, position: Position) -> bool {
        let Position { slot, origin } = position;
        let start = self.log.start();
        let own = match self.log.vote(slot) {
            Some(vote) if slot <= self.log.chosen() => vote.value.origin,
            _ if slot == start.slot && slot > Slot(0) => start.origin,
            _ => return false,
        };
        if own != origin {
            self.stop_diverged(now, slot, own, origin);
        }
        own != origin
    }

    fn stop_diverged(&mut self, now: Instant, slot: Slot, own: Ballot, theirs: Ballot) {
        count(&mut self.counters.conflicts_with_chosen);
        self.stop(now, Stop::Diverged { slot, own, theirs });
    }

    /// A snapshot that is durable here, beyond what was handed out: the machine jumps to it.
    pub(crate) fn install(&mut self, now: Instant, snapshot: Snapshot) {
        let last = snapshot.last;
        // Somebody has chosen more than this leader has proposed: it is not the last one.
        if let Duty::Leader(leader) = &self.duty
            && last.slot >= leader.end()
        {
            self.step_down(now, None);
        }
        self.begin_log_at(snapshot);
        self.pull.take_if(|(_, pull)| pull.last.slot <= last.slot);
        if matches!(self.duty, Duty::Leader(_)) {
            self.learned(now);
        }
        let Duty::Follower(Follower {
            leader: Some(leader),
            ..
        }) = self.duty
        else {
            return;
        };
        self.learn_chosen(last.slot);
        let (ballot, first) = (self.promised, Slot(1));
        self.outbox.send_after_write(
            leader,
            Binding::Accepted {
                ballot,
                first,
                last: last.slot,
            },
        );
    }

    /// The log begins behind the snapshot; the votes that follow it stay.
    pub(crate) fn begin_log_at(&mut self, snapshot: Snapshot) {
        let last = snapshot.last;
        self.log.begin_at(last);
        self.handed = last.slot;
        self.fetched.clear();
        self.apply_fetch = ApplyFetch::Idle;
        self.snapshot = Some(snapshot.clone());
        self.restore = Some(snapshot);
    }
}
