use alloc::boxed::Box;

use crate::counters::count;
use crate::due::Task;
use crate::election;
use crate::node::Common;
use crate::step::Step;
use crate::{
    Binding, Echo, Entries, Entry, Index, Instant, LogId, NodeId, Output, Snapshot, Stop, Term,
};

/// Takes entries, heartbeats and snapshots from the leader of its term (§5.2, §5.3, §7), or waits
/// for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// When the leader was last heard.
    heard: Option<Instant>,
    /// The last broadcast of heartbeats of this leader that has come here.
    round: u64,
    /// Our log is known to equal this leader's up to here.
    pub(crate) matched: Index,
    /// So far this node has acknowledged in this term, as its leader says; perhaps in an earlier life.
    acknowledged: Index,
    /// The snapshot whose bytes the driver is pulling. Other offers wait until it has ended.
    pulling: Option<Box<Snapshot>>,
    /// What the driver has not been told to pull yet.
    pull: Option<(NodeId, Box<Snapshot>)>,
}

impl Follower {
    /// Of this leader, if one is known.
    pub(crate) fn new(leader: Option<NodeId>) -> Self {
        Self {
            leader,
            ..Self::default()
        }
    }

    /// A message of its leader came, whatever it says.
    pub(crate) fn hear(&mut self, common: &mut Common, now: Instant, leader: NodeId) {
        self.leader = Some(leader);
        self.heard = Some(now);
        common.reset_election(now);
    }

    /// Whether the leader was heard within the shortest time after which anybody may campaign.
    pub(crate) fn has_leader_contact(&self, common: &Common, now: Instant) -> bool {
        let is_recent = |heard| now.since(heard) < common.config.election_timeout_min;
        self.leader.is_some() && self.heard.is_some_and(is_recent)
    }

    pub(crate) fn forget_time(&mut self) {
        self.heard = None;
    }

    /// AppendEntries (Figure 2, §5.3).
    pub(crate) fn handle_append(
        &mut self,
        common: &mut Common,
        leader: NodeId,
        prev: LogId,
        entries: Entries,
        commit: Index,
    ) -> Step {
        let term = common.term;
        if !is_well_formed(term, prev, &entries) {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        let start = common.log.start();
        // What lies before the start is committed, and so equal in every later leader's log.
        if prev.index >= start.index && !common.log.matches(prev) {
            if prev.index <= common.committed {
                return Step::Stop(common.diverged(prev));
            }
            let hint = common.log.hint(prev);
            // The leader's log up to there is what this node said that its own equals.
            if prev.index <= self.acknowledged {
                return forgot(self.acknowledged, hint.index);
            }
            common.echo(leader, Echo::Rejected { term, prev, hint });
            return Step::Stay;
        }
        // The acknowledgement is of what this append matched. Behind it our log may hold entries of
        // another leader, which a longer answer would claim to be this one's.
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        if let Err(step) = self.append_new(common, entries) {
            return step;
        }
        self.matched = self.matched.max(last);
        common.send_after_write(leader, Binding::Appended { term, last });
        self.learn_commit(common, commit.min(last));
        Step::Stay
    }

    /// Appends what the log does not hold yet. It is truncated only at an entry that differs: a
    /// delayed, shorter append finds everything in place and must not cut what came after it.
    ///
    /// Nothing is changed if an entry differs from a committed one, or from what this same leader
    /// has sent before.
    fn append_new(&self, common: &mut Common, entries: Entries) -> Result<(), Step> {
        let (start, end, log) = (common.log.start(), common.log.last(), &common.log);
        let differs = |entry: &Entry| entry.id.index >= start.index && !log.matches(entry.id);
        // Mostly they stand right behind the end.
        let is_behind = |entry: &Entry| entry.id.index > end.index;
        let known = match entries.first() {
            Some(first) if is_behind(first) => Some(0),
            _ => entries.iter().position(differs),
        };
        let Some(known) = known else { return Ok(()) };
        let first = entries[known].id;
        if first.index <= common.committed {
            return Err(Step::Stop(common.diverged(first)));
        }
        // A leader's log only grows (§5.3), so no leader says this.
        if first.index <= self.matched(common) {
            count(&mut common.counters.malformed);
            return Err(Step::Stay);
        }
        common.log.truncate(first.index);
        common.log.append(entries, known);
        Ok(())
    }

    pub(crate) fn handle_heartbeat(
        &mut self,
        common: &mut Common,
        leader: NodeId,
        round: u64,
        commit: Index,
        acknowledged: Index,
    ) -> Step {
        self.acknowledged = self.acknowledged.max(acknowledged);
        self.round = self.round.max(round);
        let end = common.log.last().index;
        if acknowledged > end {
            return forgot(acknowledged, end);
        }
        common.retry_fetch();
        self.learn_commit(common, commit);
        let (term, matched, disk) = (common.term, self.matched(common), common.disk);
        let echo = Echo::Heartbeat {
            term,
            round,
            matched,
            disk,
        };
        common.echo(leader, echo);
        // Our word was lost, or is still on its way. In an idle group neither is so, and no write
        // is caused; in a busy one this joins an acknowledgement that is due anyway.
        let last = matched.min(common.log.persisted());
        if last > acknowledged {
            common.send_after_write(leader, Binding::Appended { term, last });
        }
        Step::Stay
    }

    /// Its leader asks it to campaign. Whoever lacks something would not be elected, and a message that a
    /// later heartbeat has overtaken may be of a transfer that was given up.
    pub(crate) fn handle_timeout_now(&self, common: &mut Common, round: u64, last: Index) -> Step {
        if round < self.round || self.matched(common) < last {
            count(&mut common.counters.transfers_stale);
            return Step::Stay;
        }
        election::campaign_by_transfer(common)
    }

    /// A leader's commit index is news only as far as our log is known to equal its log: behind
    /// that our entries at those indexes may be others.
    pub(crate) fn learn_commit(&self, common: &mut Common, commit: Index) {
        common.commit_to(commit.min(self.matched(common)));
    }

    /// How far this log is known to equal that of the leader. What is committed is in it by Leader
    /// Completeness.
    fn matched(&self, common: &Common) -> Index {
        self.matched.max(common.committed)
    }

    /// The leader no longer holds the entries that this node needs (§7).
    pub(crate) fn handle_offer(
        &mut self,
        common: &mut Common,
        leader: NodeId,
        snapshot: Box<Snapshot>,
    ) -> Step {
        let (term, last) = (common.term, snapshot.last);
        if last.index > Index::MAX
            || last.term > term
            || last.term == Term(0)
            || last.index == Index(0)
            || snapshot.membership.validate().is_err()
        {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        if last.index >= common.log.start().index && !common.log.matches(last) {
            if last.index <= common.committed {
                return Step::Stop(common.diverged(last));
            }
            if last.index <= self.matched(common) {
                count(&mut common.counters.malformed);
                return Step::Stay;
            }
        }
        // All it covers is committed; a log that holds its last entry holds all of it.
        if last.index > common.committed && common.log.matches(last) {
            self.matched = self.matched.max(last.index);
            common.commit_to(last.index);
        }
        let committed = common.committed;
        if last.index <= committed {
            let last = committed;
            common.send_after_write(leader, Binding::Appended { term, last });
            return Step::Stay;
        }
        // One pull at a time: a leader that takes snapshots faster than they travel would else
        // make each begin anew and none end. Once it has ended, the newest is on offer again. A
        // pull of what became known by another way is not waited for, and one from the leader of
        // an earlier term was forgotten with that term.
        let waits = |pulling: &Snapshot| pulling.last.index > committed;
        if !self.pulling.as_deref().is_some_and(waits) {
            self.pulling = Some(snapshot.clone());
            self.pull = Some((leader, snapshot));
            common.due.set(Task::Pull);
        }
        Step::Stay
    }

    pub(crate) fn poll_pull(&mut self) -> Option<Output> {
        let (from, snapshot) = self.pull.take()?;
        Some(Output::PullSnapshot { from, snapshot })
    }

    /// A pull has ended, or has become needless, if this holds of what is pulled: the slot must not
    /// stay taken.
    pub(crate) fn end_pull_if(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        self.pulling.take_if(|pulling| is_over(pulling));
    }

    /// A snapshot that is durable here, beyond what was delivered: the machine jumps to it.
    pub(crate) fn install(&mut self, common: &mut Common, snapshot: Box<Snapshot>) {
        let last = snapshot.last;
        // It contradicts what the leader of this term has sent. Who is right is not known, and the
        // log that was acknowledged stays.
        if last.index <= self.matched && !common.log.matches(last) {
            count(&mut common.counters.conflicts_with_commit);
            return;
        }
        common.begin_log_at(snapshot);
        if let Some(leader) = self.leader {
            let term = common.term;
            common.send_after_write(leader, Binding::Installed { term, last });
        }
        self.pull.take_if(|(_, pull)| pull.last <= last);
    }
}

/// Contiguous behind `prev`, terms that do not fall and do not pass the leader's, indexes in range.
fn is_well_formed(term: Term, prev: LogId, entries: &Entries) -> bool {
    let follow = entries.first().is_none_or(|first| {
        let id = first.id;
        id.index == prev.index.next() && id.term >= prev.term && id.term > Term(0)
    });
    let prev_exists = (prev.index == Index(0)) == (prev.term == Term(0));
    let last = entries.last().map_or(prev, |entry| entry.id);
    let is_in_range = last.index <= Index::MAX && last.term <= term;
    follow && prev_exists && is_in_range && entries.is_sound()
}

/// Acknowledged was only what was durable, and a leader's log only grows: whoever then holds less, or
/// something else, lost it. Its copy may have made entries committed, so it takes no part any more.
fn forgot(acknowledged: Index, holds: Index) -> Step {
    Step::Stop(Stop::Forgot {
        acknowledged,
        holds,
    })
}
