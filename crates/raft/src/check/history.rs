use alloc::collections::{BTreeMap, BTreeSet};

use crate::check::Violation;
use crate::check::fingerprint::fingerprint;
use crate::check::membership;
use crate::{Entry, Index, LogId, Membership, NodeId, Raft, Term};

/// Facts that remain true whatever is lost later: votes, leaders, entries, commits.
///
/// The entries of one term are one run, because one leader appended them. So a log is determined by
/// its last entry and the runs before it, and two logs are equal up to an entry (Log Matching) if
/// their runs begin at the same positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// Durable votes by term and voter.
    votes: BTreeMap<(Term, NodeId), NodeId>,
    terms: BTreeMap<Term, Reign>,
    runs: BTreeMap<Term, Run>,
    contents: BTreeMap<LogId, u64>,
    committed: BTreeMap<Index, LogId>,
    /// The memberships in all logs.
    pub(super) memberships: BTreeMap<LogId, Membership>,
    /// Who was asked by the leader of a term to campaign in the next.
    invited: BTreeSet<(Term, NodeId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reign {
    leader: NodeId,
    /// The incarnation of the leader.
    incarnation: u64,
    /// The highest index that it committed.
    committed: Index,
}

/// The index of a term's first entry, and the entry before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    first: Index,
    base: LogId,
}

impl History {
    /// Records a durable vote.
    pub(crate) fn vote(
        &mut self,
        node: NodeId,
        term: Term,
        candidate: NodeId,
    ) -> Result<(), Violation> {
        let first = *self.votes.entry((term, node)).or_insert(candidate);
        if first != candidate {
            return Err(Violation::VotedTwice {
                node,
                term,
                first,
                second: candidate,
            });
        }
        Ok(())
    }

    pub(crate) fn voted(&self, node: NodeId, term: Term, candidate: NodeId) -> bool {
        self.votes.get(&(term, node)) == Some(&candidate)
    }

    /// The leader of `term` asks `node` to campaign.
    pub(crate) fn invite(&mut self, term: Term, node: NodeId) {
        self.invited.insert((term, node));
    }

    /// Whether the leader of the term before `term` has asked `node` to campaign.
    pub(crate) fn is_invited(&self, term: Term, node: NodeId) -> bool {
        let mut invited = self.invited.iter();
        invited.any(|(in_term, id)| *id == node && in_term.next() == Some(term))
    }

    /// Records that `raft` leads. The first time in a term it must have a quorum of votes, be alone
    /// in the term, and hold everything that was committed before.
    pub(crate) fn leads(
        &mut self,
        raft: &Raft,
        incarnation: u64,
        first: Index,
    ) -> Result<(), Violation> {
        let core = &raft.common;
        let (node, term) = (core.id(), core.term);
        if self.terms.contains_key(&term) {
            return self.speaks(node, incarnation, term);
        }
        let in_force = self.in_force(raft);
        let votes = |id: NodeId| self.voted(id, term, node);
        if !membership::agrees(in_force, votes) {
            let votes = in_force.nodes().filter(|id| votes(*id)).count();
            return Err(Violation::NotElected { node, term, votes });
        }
        let before = self.terms.range(..term);
        let committed = before.max_by_key(|(_, reign)| reign.committed);
        if let Some((committed_in, reign)) = committed {
            let lacks = self.committed.get(&reign.committed);
            let holds = |id: &LogId| id.index <= core.log.start().index || core.log.matches(*id);
            if let Some(lacks) = lacks.filter(|id| !holds(id)) {
                return Err(Violation::LeaderCompleteness {
                    node,
                    term,
                    lacks: *lacks,
                    committed_in: *committed_in,
                });
            }
        }
        let reign = Reign {
            leader: node,
            incarnation,
            committed: Index(0),
        };
        self.terms.insert(term, reign);
        // While it leads and has committed nothing, its first entry is not compacted; this is
        // reported early enough.
        let index = first.prev();
        match core.log.term_at(index) {
            Some(before) => {
                let base = LogId {
                    term: before,
                    index,
                };
                self.learn_id(node, base, LogId { term, index: first })
            }
            None => Ok(()),
        }
    }

    /// Checks that `node` may act as the leader of `term`.
    pub(crate) fn speaks(
        &self,
        node: NodeId,
        incarnation: u64,
        term: Term,
    ) -> Result<(), Violation> {
        let Some(reign) = self.terms.get(&term) else {
            return Err(Violation::NotElected {
                node,
                term,
                votes: 0,
            });
        };
        if (reign.leader, reign.incarnation) != (node, incarnation) {
            let (first, second) = (reign.leader, node);
            return Err(Violation::ElectionSafety {
                term,
                first,
                second,
            });
        }
        Ok(())
    }

    /// Records entries that follow `prev`, with their contents. Without `prev`, only contents and
    /// order are checked, because what precedes is compacted.
    pub(crate) fn learn(
        &mut self,
        node: NodeId,
        mut prev: Option<LogId>,
        entries: impl Iterator<Item = (LogId, u64)>,
    ) -> Result<(), Violation> {
        for (id, content) in entries {
            if let Some(prev) = prev {
                self.learn_id(node, prev, id)?;
            }
            if content != 0 && *self.contents.entry(id).or_insert(content) != content {
                return Err(Violation::EntryDiffers { node, id });
            }
            prev = Some(id);
        }
        Ok(())
    }

    fn learn_id(&mut self, node: NodeId, prev: LogId, id: LogId) -> Result<(), Violation> {
        if id.index != prev.index.next() {
            let last = prev.index;
            return Err(Violation::Gap { node, id, last });
        }
        let begins = Run {
            first: id.index,
            base: prev,
        };
        let run = if prev.term == id.term {
            self.runs.get(&id.term)
        } else {
            Some(&*self.runs.entry(id.term).or_insert(begins))
        };
        let fits = |run: &Run| match prev.term == id.term {
            true => run.first < id.index,
            false => *run == begins,
        };
        match run {
            Some(run) if prev.term > id.term || !fits(run) => Err(Violation::LogMatching {
                node,
                id,
                prev,
                known: run.base,
            }),
            _ => Ok(()),
        }
    }

    /// The entry at `index` in the log of the leader of `term`, if the recorded runs determine it.
    /// The log may not have reached it yet.
    pub(crate) fn leaders_id_at(&self, term: Term, index: Index) -> Option<LogId> {
        let mut term = term;
        loop {
            let run = self.runs.get(&term)?;
            if index >= run.first {
                return Some(LogId { term, index });
            }
            if index == run.base.index {
                return Some(run.base);
            }
            term = run.base.term;
        }
    }

    /// Checks that the content of an entry is the one that was appended.
    pub(crate) fn check_content(&self, node: NodeId, entry: &Entry) -> Result<(), Violation> {
        let known = self.contents.get(&entry.id);
        let content = fingerprint(entry);
        if content != 0 && known.is_some_and(|known| *known != content) {
            let id = entry.id;
            return Err(Violation::AppliedDiffers { node, id });
        }
        Ok(())
    }

    pub(crate) fn committed_to(&self) -> Index {
        self.committed
            .last_key_value()
            .map_or(Index(0), |(index, _)| *index)
    }

    pub(crate) fn committed_at(&self, index: Index) -> Option<LogId> {
        self.committed.get(&index).copied()
    }

    /// The highest index that leaders up to `term` have committed.
    pub(crate) fn committed_by(&self, term: Term) -> Index {
        let reigns = self.terms.range(..=term).map(|(_, reign)| reign.committed);
        reigns.max().unwrap_or_default()
    }

    /// Checks that `node` may treat `id` as committed.
    pub(crate) fn check_committed(&self, node: NodeId, id: LogId) -> Result<(), Violation> {
        match self.committed_at(id.index) {
            Some(known) if known != id => Err(Violation::StateMachineSafety { node, id, known }),
            None if id.index > self.committed_to() => {
                let (commit, known) = (id.index, self.committed_to());
                Err(Violation::CommitUnknown {
                    node,
                    commit,
                    known,
                })
            }
            _ => Ok(()),
        }
    }

    /// Records that the leader `raft` has committed everything up to `id`.
    pub(crate) fn commit(&mut self, raft: &Raft, id: LogId) -> Result<(), Violation> {
        let core = &raft.common;
        let (node, term) = (core.id(), core.term);
        let mut index = self
            .committed_to()
            .max(core.log.start().index)
            .min(id.index);
        while index <= id.index {
            if let Some(term) = core.log.term_at(index).filter(|_| index > Index(0)) {
                let id = LogId { term, index };
                let known = *self.committed.entry(index).or_insert(id);
                if known != id {
                    return Err(Violation::StateMachineSafety { node, id, known });
                }
            }
            index = index.next();
        }
        if let Some(reign) = self.terms.get_mut(&term) {
            reign.committed = reign.committed.max(id.index);
        }
        // A leader of a later term may have been elected before this commit was known.
        for (later, reign) in self.terms.range(term.next().unwrap_or(Term::MAX)..) {
            let has = self.leaders_id_at(*later, id.index);
            if has.is_some_and(|has| has != id) {
                return Err(Violation::LeaderCompleteness {
                    node: reign.leader,
                    term: *later,
                    lacks: id,
                    committed_in: term,
                });
            }
        }
        Ok(())
    }

    /// Accepts the start of the log of a node that the checker did not know before.
    pub(crate) fn adopt_start(&mut self, start: LogId) {
        if start.index > Index(0) {
            self.committed.entry(start.index).or_insert(start);
        }
    }

    pub(crate) fn renamed(&self, names: &impl Fn(NodeId) -> NodeId) -> Self {
        let vote = |((term, node), candidate): (&(Term, NodeId), &NodeId)| {
            ((*term, names(*node)), names(*candidate))
        };
        let reign = |(term, reign): (&Term, &Reign)| {
            let leader = names(reign.leader);
            (*term, Reign { leader, ..*reign })
        };
        Self {
            votes: self.votes.iter().map(vote).collect(),
            terms: self.terms.iter().map(reign).collect(),
            memberships: self
                .memberships
                .iter()
                .map(|(id, it)| (*id, membership::renamed(it, names)))
                .collect(),
            invited: self
                .invited
                .iter()
                .map(|(term, id)| (*term, names(*id)))
                .collect(),
            ..self.clone()
        }
    }
}
