use alloc::boxed::Box;
use core::time::Duration;

use crate::counters::count;
use crate::due::Task;
use crate::election;
use crate::node::Common;
use crate::step::Step;
use crate::{Echo, Entries, Instant, NodeId, Output, Slot, Snapshot, Value};

/// Votes for the proposals of a leader (phase 2, Paxos Made Simple §2.2 and §3), or waits for one.
///
/// A message from a leader never changes this role, unless it contradicts a chosen value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    /// The node of the promised ballot, once it is known to lead.
    pub(crate) leader: Option<NodeId>,
    /// The time of the leader's last message.
    heard: Option<Instant>,
    /// The last broadcast of heartbeats of this leader that has come here.
    round: u64,
    /// The leader's chosen prefix, whose values this node may not hold.
    told: Slot,
    /// Up to here each slot is known to be chosen or has a vote in this leader's ballot.
    through: Slot,
    /// The snapshot that the driver is pulling. Other offers wait until that pull has ended.
    pulling: Option<Box<Snapshot>>,
    /// A pull that was not yet output to the driver.
    pull: Option<(NodeId, Box<Snapshot>)>,
}

/// What a heartbeat carries, see [`Replicate::Heartbeat`](crate::Replicate::Heartbeat).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    pub(crate) round: u64,
    pub(crate) chosen: Slot,
    /// How far the leader knows this node to have acknowledged.
    pub(crate) acknowledged: Slot,
    /// The length of the lease that it asks for.
    pub(crate) lease: Duration,
}

impl Follower {
    /// A follower of `leader`, if it is known. Only the votes up to `chosen` are known to be for
    /// what it proposes.
    pub(crate) fn new(leader: Option<NodeId>, chosen: Slot) -> Self {
        Self {
            leader,
            heard: None,
            round: 0,
            told: Slot(0),
            through: chosen,
            pulling: None,
            pull: None,
        }
    }

    /// Records contact with the leader, for any of its messages.
    #[inline]
    pub(crate) fn hear(&mut self, common: &mut Common, now: Instant, leader: NodeId) {
        self.leader = Some(leader);
        self.heard = Some(now);
        common.reset_election(now);
    }

    /// Whether the leader was in contact within the shortest election timeout.
    pub(crate) fn has_leader_contact(&self, common: &Common, now: Instant) -> bool {
        self.heard
            .is_some_and(|heard| now.since(heard) < common.config.election_timeout_min)
    }

    /// Handles phase 2a. Values are accepted in any order: one slot does not depend on another.
    #[inline]
    pub(crate) fn handle_accept(
        &mut self,
        common: &mut Common,
        first: Slot,
        values: Entries,
        chosen: Slot,
    ) -> Step {
        let Some(last) = common.last_of(first, &values) else {
            count(&mut common.counters.malformed);
            return Step::Stay;
        };
        if last.0 > common.log.chosen().0.saturating_add(Slot::AHEAD_MAX) {
            count(&mut common.counters.too_far_ahead);
            return Step::Stay;
        }
        if let Err(step) = Self::check_values(common, first, &values) {
            return step;
        }
        let leader = common.promised.node;
        common.accept(first, values);
        self.learn_chosen(common, chosen);
        // If a gap was filled, the votes after it count too; otherwise `last` is beyond `through`.
        let last = last.max(self.through);
        common.send_accepted(leader, first, last);
        Step::Stay
    }

    /// Checks that no value differs from the one chosen in its slot, or from the value of this same
    /// ballot there. No correct leader sends such values, and then none of them is accepted; `Err`
    /// has the next step of this node.
    ///
    /// Every later leader proposes the chosen value in its slot (P2b), so a difference to a chosen
    /// value stops this node: the leader has lost something, or this node has. In an honest group
    /// no message can prove this wrongly, because messages of lower ballots are ignored.
    fn check_values(common: &mut Common, first: Slot, values: &[Value]) -> Result<(), Step> {
        let held = (first.0..=common.log.last().0).map(Slot);
        for (slot, value) in held.zip(values) {
            let Some(vote) = common.log.vote(slot) else {
                continue;
            };
            if slot <= common.log.chosen() && vote.value != value {
                let (own, theirs) = (vote.value.origin, value.origin);
                return Err(Step::Stop(common.diverged(slot, own, theirs)));
            }
            if vote.ballot == common.promised && vote.value != value {
                count(&mut common.counters.malformed);
                return Err(Step::Stay);
            }
        }
        Ok(())
    }

    pub(crate) fn handle_heartbeat(&mut self, common: &mut Common, now: Instant, beat: &Beat) {
        let Beat {
            round,
            chosen,
            acknowledged,
            lease,
        } = *beat;
        common.retry_fetch();
        self.round = self.round.max(round);
        self.learn_chosen(common, chosen);
        let (ballot, through) = (common.promised, self.through);
        let lease = common.grant_lease(now, lease);
        common.echo(
            ballot.node,
            Echo::Heartbeat {
                ballot,
                round,
                through,
                chosen: common.log.chosen(),
                behind: through < acknowledged,
                disk: common.disk,
                priority: common.preference(now),
                lease,
            },
        );
        // The acceptance was lost. It is sent again once it is true, which it may be already.
        if through > acknowledged {
            common.send_accepted(ballot.node, acknowledged.next(), through);
        }
    }

    /// Its leader invites it to a ballot of its own. Whoever lacks something would have to learn it
    /// before it can lead, and a message that a later heartbeat has overtaken may be of a transfer that
    /// was given up.
    pub(crate) fn handle_invite(
        &mut self,
        common: &mut Common,
        now: Instant,
        round: u64,
        chosen: Slot,
        last: Slot,
    ) -> Step {
        self.learn_chosen(common, chosen);
        if round < self.round || common.log.chosen() < chosen || self.through < last {
            count(&mut common.counters.transfers_stale);
            return Step::Stay;
        }
        election::campaign_by_invitation(common, now)
    }

    /// Applies the leader's chosen prefix, but only as far as this node has voted in this leader's
    /// ballot without a gap: votes of other ballots may be for other values.
    pub(crate) fn learn_chosen(&mut self, common: &mut Common, chosen: Slot) {
        self.told = self.told.max(chosen);
        self.through = self.through.max(common.log.chosen());
        let ballot = common.promised;
        let last = common.log.last();
        while self.through < last
            && let Some(through) = common.log.voted_to(self.through.next(), ballot)
        {
            self.through = through;
        }
        let chosen = self.told.min(self.through);
        if chosen > common.log.chosen() {
            common.choose_to(chosen);
        }
    }

    /// Handles the offer of a snapshot: the leader no longer holds the values that this node needs.
    pub(crate) fn handle_offer(
        &mut self,
        common: &mut Common,
        leader: NodeId,
        snapshot: Box<Snapshot>,
    ) -> Step {
        let last = snapshot.last;
        if !common.is_position(last) {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        if let Err(stop) = common.check_position(last) {
            return Step::Stop(stop);
        }
        let chosen = common.log.chosen();
        if last.slot <= chosen {
            common.send_accepted(leader, Slot(1), chosen);
            return Step::Stay;
        }
        // One pull at a time. Otherwise a leader that takes snapshots faster than they are
        // transferred would restart each pull, and none would finish. Once a pull has ended, the
        // newest snapshot is offered again. A pull is not waited for if its contents became known
        // in another way, and one from the leader of an earlier ballot was forgotten with that
        // ballot.
        let pulling = self.pulling.as_ref().map(|pulling| pulling.last.slot);
        if pulling.is_none_or(|last| last <= chosen) {
            self.pulling = Some(snapshot.clone());
            self.pull = Some((leader, snapshot));
            common.due.set(Task::Pull);
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

    /// Notifies the leader that the log now begins after a snapshot up to `last`.
    pub(crate) fn handle_installed(&mut self, common: &mut Common, last: Slot) {
        self.pull.take_if(|(_, pull)| pull.last.slot <= last);
        if let Some(leader) = self.leader {
            self.learn_chosen(common, last);
            common.send_accepted(leader, Slot(1), last);
        }
    }

    /// Resets what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.heard = None;
    }
}
