use crate::check::fingerprint::fingerprint;
use crate::check::watch::{Seen, Watch};
use crate::check::{Checker, Violation, membership};
use crate::role::RoleState;
use crate::{Binding, Entry, Index, LogId, NodeId, Raft, Replicate, Term};

/// Checks everything that must never decrease.
pub(super) fn check_order(node: NodeId, before: &Seen, now: &Seen) -> Result<(), Violation> {
    if now.term < before.term {
        let (from, to) = (before.term, now.term);
        return Err(Violation::TermFell { node, from, to });
    }
    if now.commit < before.commit {
        let (from, to) = (before.commit, now.commit);
        return Err(Violation::CommitFell { node, from, to });
    }
    if before.leads && now.leads && before.term == now.term && now.last < before.last {
        return Err(Violation::LeaderAppendOnly {
            node,
            term: now.term,
            from: before.last,
            to: now.last,
        });
    }
    let transfers = before.transfers_to.is_some() && now.transfers_to == before.transfers_to;
    if transfers && before.term == now.term && now.last > before.last {
        return Err(Violation::ProposedDuringTransfer {
            node,
            term: now.term,
            id: now.last,
        });
    }
    if before.gives_up && now.leads && before.term == now.term && !now.gives_up {
        let term = now.term;
        return Err(Violation::LedOn { node, term });
    }
    Ok(())
}

impl Checker {
    /// A leader hands over for a priority only upwards, so leadership does not go in circles.
    pub(super) fn check_preference(
        &self,
        node: NodeId,
        own: u8,
        before: &Seen,
        now: &Seen,
    ) -> Result<(), Violation> {
        let begun = now.prefers.filter(|_| before.prefers != now.prefers);
        let Some((to, watch)) = begun.and_then(|to| Some((to, self.nodes.get(&to)?))) else {
            return Ok(());
        };
        match watch.priority > own {
            true => Ok(()),
            false => Err(Violation::NotPreferred { node, to }),
        }
    }

    /// `node` has just truncated its log in `term`, following the leader of that term.
    pub(super) fn check_cut(&self, node: NodeId, term: Term, from: Index) -> Result<(), Violation> {
        let Some(watch) = self.nodes.get(&node) else {
            return Ok(());
        };
        let (said_in, acknowledged) = watch.acknowledged;
        if said_in == term && acknowledged >= from {
            return Err(Violation::AcknowledgementUndone {
                node,
                term,
                acknowledged,
                from,
            });
        }
        let committed = self.history.committed_at(from);
        let committed = committed.filter(|_| from <= self.history.committed_by(term));
        match committed.filter(|id| watch.durable.id_at(from) == Some(*id)) {
            Some(id) => Err(Violation::CommitUndone { node, id }),
            None => Ok(()),
        }
    }

    /// Checks a commit index of `raft` that has just advanced; `before` the step its log ended there.
    pub(super) fn check_commit(&mut self, raft: &Raft, before: Index) -> Result<(), Violation> {
        let core = &raft.common;
        let (node, commit, known) = (core.id(), core.committed, self.history.committed_to());
        let Some(term) = core.log.term_at(commit) else {
            return Err(Violation::CommitUnknown {
                node,
                commit,
                known,
            });
        };
        let id = LogId {
            term,
            index: commit,
        };
        // A snapshot covers only committed entries, so no match is needed.
        let covered = commit == core.log.start().index;
        match &raft.role {
            RoleState::Leader(_) if !covered => {
                if term != core.term {
                    let term = core.term;
                    return Err(Violation::CommitOfOlderTerm { node, term, id });
                }
                let nodes = &self.nodes;
                let holds = |node: &NodeId| {
                    let watch = nodes.get(node);
                    watch.is_some_and(|watch| watch.durable.holds(id))
                };
                // The next membership may have been appended in the same step, after the commit.
                let in_force = self.history.in_force(raft);
                let (_, until_now) = self.history.as_of(raft, before);
                let agrees = |it| membership::agrees(it, |id| holds(&id));
                if !agrees(in_force) && !agrees(until_now) {
                    let holders = in_force.nodes().filter(holds).count();
                    return Err(Violation::CommitNotDurable { node, id, holders });
                }
                let has_body = |node: &NodeId| {
                    let watch = nodes.get(node);
                    let is_full = !in_force.witnesses.contains(node);
                    is_full && watch.is_some_and(|watch| watch.durable.holds_body(id))
                };
                if !in_force
                    .nodes()
                    .chain(until_now.nodes())
                    .any(|node| has_body(&node))
                {
                    return Err(Violation::NoCopy { node, id });
                }
                self.history.commit(raft, id)
            }
            // Who was removed stops in the step in which it learns of that, and follows nobody then.
            RoleState::Follower(follower) if !covered && core.stop.is_none() => {
                self.history.check_committed(node, id)?;
                let matched = follower.matched;
                if commit > matched {
                    return Err(Violation::CommitBeyondMatch {
                        node,
                        commit,
                        matched,
                    });
                }
                Ok(())
            }
            _ => self.history.check_committed(node, id),
        }
    }

    pub(super) fn check_replicate(
        &mut self,
        node: NodeId,
        to: NodeId,
        message: &Replicate,
    ) -> Result<(), Violation> {
        let incarnation = self.nodes.get(&node).map_or(0, |watch| watch.incarnation);
        let (Replicate::Append { term, .. }
        | Replicate::Heartbeat { term, .. }
        | Replicate::Commit { term, .. }
        | Replicate::Snapshot { term, .. }
        | Replicate::TimeoutNow { term, .. }) = message;
        self.history.speaks(node, incarnation, *term)?;
        let commit = match message {
            Replicate::Append {
                prev,
                entries,
                commit,
                ..
            } => {
                self.check_append(node, *term, *prev, entries)?;
                *commit
            }
            Replicate::Heartbeat { commit, .. } | Replicate::Commit { commit, .. } => *commit,
            Replicate::Snapshot { snapshot, .. } => {
                return self.history.check_committed(node, snapshot.last);
            }
            Replicate::TimeoutNow { term, .. } => return self.check_timeout_now(node, to, *term),
        };
        let known = self.history.committed_to();
        if commit > known {
            return Err(Violation::CommitUnknown {
                node,
                commit,
                known,
            });
        }
        Ok(())
    }

    /// Whoever is asked to campaign holds, durably, all that the leader has. One that is in a later term may
    /// have truncated it; it ignores the request.
    fn check_timeout_now(&mut self, node: NodeId, to: NodeId, term: Term) -> Result<(), Violation> {
        let last = self.nodes.get(&node).map(|watch| watch.seen.last);
        let last = last.unwrap_or_default();
        let holds = |watch: &Watch| {
            watch.forgot || watch.durable.term() > term || watch.durable.holds(last)
        };
        if !self.nodes.get(&to).is_some_and(holds) {
            return Err(Violation::InvitedBehind {
                node,
                to,
                lacks: last,
            });
        }
        self.history.invite(term, to);
        Ok(())
    }

    /// Checks that a leader sends entries of its own log.
    pub(super) fn check_append(
        &mut self,
        node: NodeId,
        term: Term,
        prev: LogId,
        entries: &[Entry],
    ) -> Result<(), Violation> {
        let identities = entries.iter().map(|entry| (entry.id, fingerprint(entry)));
        self.history.learn(node, Some(prev), identities)?;
        let last = entries.last().map_or(prev, |entry| entry.id);
        let known = self.history.leaders_id_at(term, last.index);
        match known.filter(|known| *known != last) {
            Some(known) => Err(Violation::LogMatching {
                node,
                id: last,
                prev,
                known,
            }),
            None => Ok(()),
        }
    }

    pub(super) fn check_binding(
        &mut self,
        node: NodeId,
        to: NodeId,
        said: &Binding,
    ) -> Result<(), Violation> {
        let Some(watch) = self.nodes.get_mut(&node) else {
            return Ok(());
        };
        let (term, history) = (said.term(), &self.history);
        if matches!(said, Binding::RequestVote { transfer: true, .. })
            && !history.is_invited(term, node)
        {
            return Err(Violation::NotInvited { node, term });
        }
        let disk = &watch.durable;
        let of_this_term = disk.term() == term;
        let true_now = match said {
            Binding::RequestVote { .. } => of_this_term && history.voted(node, term, node),
            Binding::Vote { granted: true, .. } => of_this_term && disk.vote() == Some(to),
            Binding::Vote { granted: false, .. } => true,
            Binding::Appended { last, .. } => {
                let leaders = history.leaders_id_at(term, *last);
                let covered = disk.snapshot().index.max(disk.start().index);
                let same = match (disk.id_at(*last), leaders) {
                    (Some(id), Some(leaders)) => id == leaders,
                    (Some(_), None) => true,
                    (None, _) => false,
                };
                of_this_term && (same || *last <= covered)
            }
            Binding::Installed { last, .. } => of_this_term && disk.start().index >= last.index,
        };
        if !true_now {
            let said = said.clone();
            return Err(Violation::Unsayable { node, to, said });
        }
        let last = match said {
            Binding::Appended { last, .. } => *last,
            Binding::Installed { last, .. } => last.index,
            Binding::RequestVote { .. } | Binding::Vote { .. } => return Ok(()),
        };
        watch.acknowledged = watch.acknowledged.max((term, last));
        Ok(())
    }
}
