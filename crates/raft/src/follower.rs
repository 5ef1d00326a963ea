use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::counters::count;
use crate::due::Task;
use crate::election;
use crate::node::Common;
use crate::recover::membership_of;
use crate::step::Step;
use crate::{
    Binding, Echo, Entries, Entry, Index, Instant, Kind, LogId, Membership, NodeId, Output,
    Snapshot, Stop, Term,
};

/// Takes entries, heartbeats and snapshots from the leader of its term (§5.2, §5.3, §7), or waits
/// for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// The time of the leader's last message.
    heard: Option<Instant>,
    /// The last broadcast of heartbeats of this leader that has come here.
    round: u64,
    /// Our log is known to equal this leader's up to this index.
    pub(crate) matched: Index,
    /// How far this node has acknowledged in this term according to the leader, perhaps before a
    /// restart.
    acknowledged: Index,
    /// The snapshot that the driver is pulling. Other offers wait until that pull has ended.
    pulling: Option<Box<Snapshot>>,
    /// A pull that was not yet output to the driver.
    pull: Option<(NodeId, Box<Snapshot>)>,
}

impl Follower {
    /// A follower of this leader, if one is known.
    pub(crate) fn new(leader: Option<NodeId>) -> Self {
        Self {
            leader,
            ..Self::default()
        }
    }

    /// Records contact with the leader, for any of its messages.
    pub(crate) fn hear(&mut self, common: &mut Common, now: Instant, leader: NodeId) {
        self.leader = Some(leader);
        self.heard = Some(now);
        common.has_deferred = false;
        common.reset_election(now);
    }

    /// Whether the leader was in contact within the shortest time after which a node may campaign.
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
        // Everything before the start is committed, and so equal in every later leader's log.
        if prev.index >= start.index && !common.log.matches(prev) {
            if prev.index <= common.committed {
                return Step::Stop(common.diverged(prev));
            }
            let hint = common.log.hint(prev);
            // The leader's log up to there equals what this node acknowledged.
            if prev.index <= self.acknowledged {
                return forgot(self.acknowledged, hint.index);
            }
            common.echo(leader, Echo::Rejected { term, prev, hint });
            return Step::Stay;
        }
        // Acknowledges only what this append matched. Behind that our log may hold entries of
        // another leader, and a higher index would claim that they are this leader's.
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        if let Err(step) = self.append_new(common, entries) {
            return step;
        }
        self.matched = self.matched.max(last);
        common.send_after_write(leader, Binding::Appended { term, last });
        self.learn_commit(common, commit.min(last));
        Step::Stay
    }

    /// Appends the entries that the log does not hold yet. The log is truncated only at an entry
    /// that differs: a delayed, shorter append finds all its entries in place and must not remove
    /// those after them.
    ///
    /// Nothing changes if an entry differs from a committed one, or from one that this same leader
    /// sent earlier.
    fn append_new(&self, common: &mut Common, entries: Entries) -> Result<(), Step> {
        let (start, end, log) = (common.log.start(), common.log.last(), &common.log);
        let differs = |entry: &Entry| entry.id.index >= start.index && !log.matches(entry.id);
        // Usually they directly follow the end.
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
        // A leader's log only grows (§5.3), so no correct leader sends this.
        if first.index <= self.matched(common) {
            count(&mut common.counters.malformed);
            return Err(Step::Stay);
        }
        let Some(memberships) = memberships(&entries[known..]) else {
            count(&mut common.counters.malformed);
            return Err(Step::Stay);
        };
        // Its copy would pass for a whole one. A node that never acknowledges this is not counted by it.
        let mut named = memberships.iter();
        let is_withheld = entries[known..].iter().any(is_withheld);
        if named.any(|(_, it)| common.passes_for_whole(it)) || is_withheld && is_full(common) {
            count(&mut common.counters.malformed);
            return Err(Step::Stay);
        }
        common.lacks_bodies |= is_withheld;
        common.truncate(first.index);
        common.log.append(entries, known);
        for (index, membership) in memberships {
            common.configs.push(index, membership);
        }
        Ok(())
    }

    pub(crate) fn handle_heartbeat(
        &mut self,
        common: &mut Common,
        leader: NodeId,
        round: u64,
        commit: Index,
        acknowledged: Index,
        (lease, priority): (Duration, Option<u8>),
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
            lease,
            priority,
        };
        common.echo(leader, echo);
        // The acknowledgement was lost or is still in flight. In an idle group neither is the case
        // and no write is caused; in a busy one this joins an acknowledgement that is due anyway.
        let last = matched.min(common.log.persisted());
        if last > acknowledged {
            common.send_after_write(leader, Binding::Appended { term, last });
        }
        Step::Stay
    }

    /// Its leader asks it to campaign. Whoever lacks something would not be elected, and a message that a
    /// later heartbeat has overtaken may be of a transfer that was given up.
    pub(crate) fn handle_timeout_now(
        &self,
        common: &mut Common,
        now: Instant,
        round: u64,
        last: Index,
    ) -> Step {
        if round < self.round || self.matched(common) < last {
            count(&mut common.counters.transfers_stale);
            return Step::Stay;
        }
        election::campaign_by_transfer(common, now)
    }

    /// Applies a leader's commit index, but only as far as our log is known to equal its log:
    /// behind that our entries may differ.
    pub(crate) fn learn_commit(&self, common: &mut Common, commit: Index) {
        common.commit_to(commit.min(self.matched(common)));
    }

    /// How far this log is known to equal the leader's. That includes all committed entries (Leader
    /// Completeness).
    fn matched(&self, common: &Common) -> Index {
        self.matched.max(common.committed)
    }

    /// Handles the offer of a snapshot: the leader no longer holds the entries that this node needs
    /// (§7).
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
            || common.passes_for_whole(&snapshot.membership)
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
        // All it covers is committed, and a log that holds its last entry holds all of it.
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
        // One pull at a time. Otherwise a leader that takes snapshots faster than they are
        // transferred would restart each pull, and none would finish. Once a pull has ended, the
        // newest snapshot is offered again. A pull is not waited for if its contents became known
        // in another way, and one from the leader of an earlier term was forgotten with that term.
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

    /// Clears the pull if `is_over` holds for its snapshot: it has ended or is no longer needed,
    /// and must not block the next one.
    pub(crate) fn end_pull_if(&mut self, is_over: impl Fn(&Snapshot) -> bool) {
        self.pulling.take_if(|pulling| is_over(pulling));
    }

    /// Installs a durable snapshot beyond what was delivered; the machine jumps to it.
    pub(crate) fn install(&mut self, common: &mut Common, snapshot: Box<Snapshot>) {
        let last = snapshot.last;
        // It contradicts entries that the leader of this term has sent. Which of them is right is
        // unknown, so the acknowledged log stays.
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

/// Whether the entries follow `prev` without gaps, their terms do not decrease or exceed the
/// leader's, and indexes are in range.
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

fn is_withheld(entry: &Entry) -> bool {
    entry.kind == Kind::Withheld
}

/// Whether the last committed membership counts on this node for commands, and so does each after it.
fn is_full(common: &Common) -> bool {
    let mut since = common.configs.since_committed();
    since.all(|membership| membership.is_full(common.id()))
}

/// The memberships in these entries, mostly none; `None` if one cannot be read.
fn memberships(entries: &[Entry]) -> Option<Vec<(Index, Membership)>> {
    let changes = entries
        .iter()
        .filter(|entry| entry.kind == Kind::Membership);
    changes
        .map(|entry| Some((entry.id.index, membership_of(entry)?)))
        .collect()
}

/// Only durable entries were acknowledged, and a leader's log only grows. A node that holds less
/// afterwards, or something else, has lost entries. Its copy may have made entries committed, so it
/// no longer takes part.
fn forgot(acknowledged: Index, holds: Index) -> Step {
    Step::Stop(Stop::Forgot {
        acknowledged,
        holds,
    })
}
