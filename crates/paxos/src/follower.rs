use alloc::boxed::Box;

use crate::counters::count;
use crate::due::Task;
use crate::election;
use crate::node::Common;
use crate::step::Step;
use crate::{Echo, Entries, Instant, NodeId, Output, Slot, Snapshot, Value};

/// Votes for what a leader proposes (phase 2, Paxos Made Simple §2.2 and §3), or waits for one.
///
/// What a leader says never makes a follower anything else, unless it contradicts what is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    /// The node of the promised ballot, once it was heard to lead.
    pub(crate) leader: Option<NodeId>,
    /// When the leader was last heard.
    heard: Option<Instant>,
    /// The last broadcast of heartbeats of this leader that has come here.
    round: u64,
    /// What the leader says to be chosen, held here or not.
    told: Slot,
    /// Up to here each slot is known to be chosen or has a vote in this leader's ballot.
    through: Slot,
    /// The snapshot whose bytes the driver is pulling. Other offers wait until it has ended.
    pulling: Option<Box<Snapshot>>,
    /// It, and who has it, until the driver is told to pull it.
    pull: Option<(NodeId, Box<Snapshot>)>,
}

impl Follower {
    /// Of `leader`, if it is known. Of the votes only those up to `chosen` are known to be for what
    /// it proposes.
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

    /// A message of the leader came, whatever it says.
    #[inline]
    pub(crate) fn hear(&mut self, common: &mut Common, now: Instant, leader: NodeId) {
        self.leader = Some(leader);
        self.heard = Some(now);
        common.reset_election(now);
    }

    /// Whether the leader was heard within the shortest election timeout.
    pub(crate) fn has_leader_contact(&self, common: &Common, now: Instant) -> bool {
        self.heard
            .is_some_and(|heard| now.since(heard) < common.config.election_timeout_min)
    }

    /// Phase 2b. Values are taken in any order: that of one slot says nothing about another.
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
        // With a gap filled, what lies behind it counts too; before that `last` is beyond `through`.
        let last = last.max(self.through);
        common.send_accepted(leader, first, last);
        Step::Stay
    }

    /// Whether one of them differs from what is chosen at its slot, or from the value of this same
    /// ballot there. No correct leader sends such a thing, and then nothing of it is taken: `Err`
    /// has what becomes of this node.
    ///
    /// What is chosen is what every later leader proposes at its slot (P2b), so the first stops this
    /// node: the leader has lost something, or this node has. Of an honest group no message proves
    /// it wrongly, because one of a lower ballot is not looked at.
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

    pub(crate) fn handle_heartbeat(
        &mut self,
        common: &mut Common,
        round: u64,
        chosen: Slot,
        acknowledged: Slot,
    ) {
        common.retry_fetch();
        self.round = self.round.max(round);
        self.learn_chosen(common, chosen);
        let (ballot, through) = (common.promised, self.through);
        common.echo(
            ballot.node,
            Echo::Heartbeat {
                ballot,
                round,
                through,
                chosen: common.log.chosen(),
                behind: through < acknowledged,
                disk: common.disk,
            },
        );
        // Our word was lost; it is said again once it is true, which it may be already.
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
        round: u64,
        chosen: Slot,
        last: Slot,
    ) -> Step {
        self.learn_chosen(common, chosen);
        if round < self.round || common.log.chosen() < chosen || self.through < last {
            count(&mut common.counters.transfers_stale);
            return Step::Stay;
        }
        election::campaign_by_invitation(common)
    }

    /// The leader says how far the slots are chosen. Here they are as far as this node has voted in
    /// this leader's ballot without a gap: votes of other ballots may be for other values.
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

    /// The leader no longer holds the values that this node needs.
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
        // One pull at a time: a leader that takes snapshots faster than they travel would else
        // make each begin anew and none end. Once it has ended, the newest is on offer again. A
        // pull of what became known by another way is not waited for, and one from the leader of
        // an earlier ballot was forgotten with that ballot.
        let pulling = self.pulling.as_ref().map(|pulling| pulling.last.slot);
        if pulling.is_none_or(|last| last <= chosen) {
            self.pulling = Some(snapshot.clone());
            self.pull = Some((leader, snapshot));
            common.due.set(Task::Pull);
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

    /// The log begins behind a snapshot, whose last slot this is: the leader is told.
    pub(crate) fn handle_installed(&mut self, common: &mut Common, last: Slot) {
        self.pull.take_if(|(_, pull)| pull.last.slot <= last);
        if let Some(leader) = self.leader {
            self.learn_chosen(common, last);
            common.send_accepted(leader, Slot(1), last);
        }
    }

    /// Takes out what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.heard = None;
    }
}
