use alloc::vec::Vec;

use crate::raft::ApplyFetch;
use crate::role::{Duty, Follower};
use crate::status::count;
use crate::{Binding, Echo, Entry, Index, Instant, LogId, NodeId, Raft, Snapshot, Stop, Term};

/// What a node does that hears from a leader (§5.2, §5.3, §7).
impl Raft {
    /// The sender leads `term`, which is this one or a later one.
    pub(crate) fn follow(&mut self, now: Instant, term: Term, leader: NodeId) {
        if term > self.term || !matches!(self.duty, Duty::Follower(_)) {
            self.step_down(now, term, Some(leader));
        }
        if let Duty::Follower(follower) = &mut self.duty {
            follower.leader = Some(leader);
            follower.heard = Some(now);
        }
        self.reset_election(now);
    }

    /// AppendEntries (Figure 2, §5.3).
    pub(crate) fn handle_append(
        &mut self,
        now: Instant,
        prev: LogId,
        entries: Vec<Entry>,
        commit: Index,
    ) {
        if !self.is_well_formed(prev, &entries) {
            count(&mut self.counters.malformed);
            return;
        }
        let Duty::Follower(Follower {
            leader: Some(leader),
            acknowledged,
            ..
        }) = self.duty
        else {
            return;
        };
        let start = self.log.start();
        // What lies before the start is committed, and so equal in every later leader's log.
        if prev.index >= start.index && !self.log.matches(prev) {
            if prev.index <= self.committed {
                return self.stop_diverged(now, prev);
            }
            let (term, hint) = (self.term, self.log.hint(prev));
            // The leader's log up to there is what this node said that its own equals.
            if prev.index <= acknowledged {
                return self.stop_forgetful(now, leader, acknowledged, hint.index);
            }
            self.outbox
                .echo(leader, Echo::Rejected { term, prev, hint });
            return;
        }
        // The acknowledgement is of what this append matched. Behind it our log may hold entries of
        // another leader, which a longer answer would claim to be this one's.
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        if !self.append_new(now, entries) {
            return;
        }
        if let Duty::Follower(follower) = &mut self.duty {
            follower.matched = follower.matched.max(last);
        }
        self.outbox.send_after_write(
            leader,
            Binding::Appended {
                term: self.term,
                last,
            },
        );
        self.learn_commit(commit.min(last));
    }

    /// Appends what the log does not hold yet. It is truncated only at an entry that differs: a
    /// delayed, shorter append finds everything in place and must not cut what came after it.
    /// `false`: nothing was changed, because an entry differs from a committed one, or from what
    /// this same leader has sent before.
    fn append_new(&mut self, now: Instant, entries: Vec<Entry>) -> bool {
        let start = self.log.start();
        let differs = |entry: &&Entry| entry.id.index >= start.index && !self.log.matches(entry.id);
        let Some(first) = entries.iter().find(differs).map(|entry| entry.id) else {
            return true;
        };
        if first.index <= self.committed {
            self.stop_diverged(now, first);
            return false;
        }
        // A leader's log only grows (§5.3), so no leader says this.
        if first.index <= self.matched() {
            count(&mut self.counters.malformed);
            return false;
        }
        self.log.truncate(first.index);
        let new = entries
            .into_iter()
            .skip_while(|entry| entry.id.index < first.index);
        new.for_each(|entry| self.log.append(entry));
        true
    }

    /// What is committed here is in every later leader's log, at its place (Leader Completeness,
    /// §5.4), and a leader that says otherwise has lost something, or this node has. Of an honest
    /// group no message proves it wrongly: one of an earlier term is not looked at, and what a
    /// leader once had at an index it has there for ever.
    pub(crate) fn stop_diverged(&mut self, now: Instant, leaders: LogId) {
        count(&mut self.counters.conflicts_with_commit);
        let index = leaders.index;
        let own = self.log.term_at(index).unwrap_or_default();
        let leaders = leaders.term;
        self.stop(
            now,
            Stop::Diverged {
                index,
                own,
                leaders,
            },
        );
    }

    /// Acknowledged was only what was durable, and a leader's log only grows: whoever then holds
    /// less, or something else, lost it. Its copy may have made entries committed, so it takes no
    /// part any more, and its last word is that its copy is not to be counted.
    fn stop_forgetful(&mut self, now: Instant, leader: NodeId, acknowledged: Index, holds: Index) {
        let term = self.term;
        self.stop(
            now,
            Stop::Forgot {
                acknowledged,
                holds,
            },
        );
        self.outbox.echo(
            leader,
            Echo::Forgot {
                term,
                acknowledged,
                holds,
            },
        );
    }

    /// Contiguous behind `prev`, terms that do not fall and do not pass the leader's, indexes in
    /// range.
    fn is_well_formed(&self, prev: LogId, entries: &[Entry]) -> bool {
        let mut last = prev;
        let entries_follow = entries.iter().all(|entry| {
            let follows = entry.id.index == last.index.next()
                && entry.id.term >= last.term
                && entry.id.term > Term(0);
            last = entry.id;
            follows
        });
        let prev_exists = (prev.index == Index(0)) == (prev.term == Term(0));
        entries_follow && prev_exists && last.index <= Index::MAX && last.term <= self.term
    }

    pub(crate) fn handle_heartbeat(
        &mut self,
        now: Instant,
        round: u64,
        commit: Index,
        acknowledged: Index,
    ) {
        let Duty::Follower(follower) = &mut self.duty else {
            return;
        };
        follower.acknowledged = follower.acknowledged.max(acknowledged);
        let Some(leader) = follower.leader else {
            return;
        };
        let end = self.log.last().index;
        if acknowledged > end {
            return self.stop_forgetful(now, leader, acknowledged, end);
        }
        if self.apply_fetch == ApplyFetch::Failed {
            self.apply_fetch = ApplyFetch::Idle;
        }
        self.learn_commit(commit);
        let (term, matched) = (self.term, self.matched());
        self.outbox.echo(
            leader,
            Echo::Heartbeat {
                term,
                round,
                matched,
                disk: self.disk,
            },
        );
        // Our word was lost, or is still on its way. In an idle group neither is so, and no write
        // is caused; in a busy one this joins an acknowledgement that is due anyway.
        let last = matched.min(self.log.persisted());
        if last > acknowledged {
            self.outbox
                .send_after_write(leader, Binding::Appended { term, last });
        }
    }

    /// A leader's commit index is news only as far as our log is known to equal its log: behind
    /// that our entries at those indexes may be others.
    pub(crate) fn learn_commit(&mut self, commit: Index) {
        self.committed = self.committed.max(commit.min(self.matched()));
    }

    /// How far this log is known to equal that of the current leader. What is committed is in it by
    /// Leader Completeness.
    fn matched(&self) -> Index {
        match &self.duty {
            Duty::Follower(follower) => follower.matched.max(self.committed),
            _ => self.committed,
        }
    }

    /// The leader no longer holds the entries that this node needs (§7).
    pub(crate) fn handle_offer(&mut self, now: Instant, leader: NodeId, snapshot: Snapshot) {
        let last = snapshot.last;
        if last.index > Index::MAX
            || last.term > self.term
            || last.term == Term(0)
            || last.index == Index(0)
            || snapshot.membership.validate().is_err()
        {
            count(&mut self.counters.malformed);
            return;
        }
        if last.index >= self.log.start().index && !self.log.matches(last) {
            if last.index <= self.committed {
                return self.stop_diverged(now, last);
            }
            if last.index <= self.matched() {
                count(&mut self.counters.malformed);
                return;
            }
        }
        let Duty::Follower(follower) = &mut self.duty else {
            return;
        };
        // All it covers is committed; a log that holds its last entry holds all of it.
        if last.index > self.committed && self.log.matches(last) {
            follower.matched = follower.matched.max(last.index);
            self.committed = last.index;
        }
        if last.index <= self.committed {
            let (term, last) = (self.term, self.committed);
            self.outbox
                .send_after_write(leader, Binding::Appended { term, last });
            return;
        }
        // One pull at a time: a leader that takes snapshots faster than they travel would else
        // make each begin anew and none end. Once it has ended, the newest is on offer again. A
        // pull of what became known by another way is not waited for, and one from the leader of
        // an earlier term was forgotten with that term.
        let committed = self.committed;
        let waits = |pulling: &Snapshot| pulling.last.index > committed;
        if !follower.pulling.as_ref().is_some_and(waits) {
            follower.pulling = Some(snapshot.clone());
            self.pull = Some((leader, snapshot));
        }
    }

    /// A snapshot that is durable here, beyond what was handed out: the machine jumps to it.
    pub(crate) fn install(&mut self, now: Instant, snapshot: Snapshot) {
        let last = snapshot.last;
        match &self.duty {
            // What a snapshot covers was committed, and a leader's log holds all of that at its place
            // (Leader Completeness, §5.4): this one does not.
            Duty::Leader(_) if !self.log.matches(last) => {
                count(&mut self.counters.conflicts_with_commit);
                let stop = Stop::Diverged {
                    index: last.index,
                    own: last.term,
                    leaders: self.log.term_at(last.index).unwrap_or_default(),
                };
                return self.stop(now, stop);
            }
            // It contradicts what the leader of this term has sent. Who is right is not known, and
            // the log that was acknowledged stays.
            Duty::Follower(follower)
                if last.index <= follower.matched && !self.log.matches(last) =>
            {
                count(&mut self.counters.conflicts_with_commit);
                return;
            }
            // It asked for votes with a log that it is about to change.
            Duty::Candidate(_) | Duty::PreCandidate(_) => self.step_down(now, self.term, None),
            _ => {}
        }
        self.begin_log_at(snapshot);
        let Duty::Follower(follower) = &mut self.duty else {
            return;
        };
        if let Some(leader) = follower.leader {
            let term = self.term;
            self.outbox
                .send_after_write(leader, Binding::Installed { term, last });
        }
        self.pull.take_if(|(_, pull)| pull.last <= last);
    }

    /// The log begins behind the snapshot; what follows its last entry stays if the log holds that
    /// entry, and else the whole log goes, in the same record (§7).
    pub(crate) fn begin_log_at(&mut self, snapshot: Snapshot) {
        let last = snapshot.last;
        if self.log.matches(last) {
            self.log.compact(last);
        } else {
            self.log.reset(last);
        }
        self.committed = self.committed.max(last.index);
        self.handed = last.index;
        self.fetched.clear();
        self.apply_fetch = ApplyFetch::Idle;
        self.snapshot = Some(snapshot.clone());
        self.restore = Some(snapshot);
    }
}
