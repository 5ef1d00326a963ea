use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::check::Violation;
use crate::check::fingerprint::fingerprint;
use crate::{Entry, Index, LogId, NodeId, Record, Term};

/// The contents of a node's disk: term and vote, the identities of its entries, and its snapshot.
/// This is what would be left after a crash now.
///
/// Invariants: entries are contiguous after `start`; `snapshot` is never before `start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Durable {
    pub(crate) vote: (Term, Option<NodeId>),
    pub(crate) start: LogId,
    /// Identities and fingerprints; 0 stands for an unknown content.
    pub(crate) log: VecDeque<(LogId, u64)>,
    pub(crate) snapshot: LogId,
}

/// A record without its bodies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    truncate_from: Option<Index>,
    entries: Vec<(LogId, u64)>,
    start: Option<LogId>,
}

impl Durable {
    /// The term; 0 before the first one.
    #[must_use]
    pub fn term(&self) -> Term {
        self.vote.0
    }

    /// The vote given in that term.
    #[must_use]
    pub fn vote(&self) -> Option<NodeId> {
        self.vote.1
    }

    /// The log begins after this entry.
    #[must_use]
    pub fn start(&self) -> LogId {
        self.start
    }

    /// The last entry, or the start.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.log.back().map_or(self.start, |(id, _)| *id)
    }

    /// The last entry that the newest snapshot covers.
    #[must_use]
    pub fn snapshot(&self) -> LogId {
        self.snapshot
    }

    /// The entry at `index`; `None` before the start and after the end.
    #[must_use]
    pub fn id_at(&self, index: Index) -> Option<LogId> {
        if index == self.start.index {
            return Some(self.start);
        }
        let at = usize::try_from(index.0.checked_sub(self.start.index.0 + 1)?).ok()?;
        self.log.get(at).map(|(id, _)| *id)
    }

    /// Whether the disk alone can restore the entry, as itself or within the snapshot.
    #[must_use]
    pub fn holds(&self, id: LogId) -> bool {
        id.index <= self.snapshot.index || self.id_at(id.index) == Some(id)
    }

    /// The same, with its body.
    pub(crate) fn holds_body(&self, id: LogId) -> bool {
        let mut log = self.log.iter();
        let stored = log.find(|(at, _)| *at == id);
        id.index <= self.snapshot.index || stored.is_some_and(|(_, content)| *content != 0)
    }

    pub(crate) fn rename(&mut self, names: &impl Fn(NodeId) -> NodeId) {
        self.vote.1 = self.vote.1.map(names);
    }

    /// All entries after the start, with their fingerprints.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (LogId, u64)> {
        self.log.iter().copied()
    }

    /// Stores the whole record, in its order.
    pub(crate) fn store(&mut self, node: NodeId, change: Change) -> Result<(), Violation> {
        if let Some(vote) = change.vote {
            self.store_vote(node, vote)?;
        }
        if let Some(from) = change.truncate_from {
            while self.log.back().is_some_and(|(id, _)| id.index >= from) {
                self.log.pop_back();
            }
        }
        if let Some(start) = change.start {
            self.begin_at(node, start)?;
        }
        for (id, content) in change.entries {
            let last = self.last().index;
            if id.index != last.next() {
                return Err(Violation::Gap { node, id, last });
            }
            self.log.push_back((id, content));
        }
        Ok(())
    }

    /// Removes the entries after `last`.
    pub(crate) fn lose(&mut self, last: Index) {
        while self.log.back().is_some_and(|(id, _)| id.index > last) {
            self.log.pop_back();
        }
    }

    fn store_vote(&mut self, node: NodeId, vote: (Term, Option<NodeId>)) -> Result<(), Violation> {
        let (from, to) = (self.vote.0, vote.0);
        if to < from {
            return Err(Violation::TermFell { node, from, to });
        }
        self.vote = vote;
        Ok(())
    }

    fn begin_at(&mut self, node: NodeId, start: LogId) -> Result<(), Violation> {
        if start.index < self.start.index {
            return Ok(());
        }
        if start.index > self.snapshot.index {
            return Err(Violation::SnapshotLost {
                node,
                needed: start.index,
                snapshot: self.snapshot.index,
            });
        }
        if let Some(known) = self.id_at(start.index).filter(|id| *id != start) {
            let id = start;
            return Err(Violation::StateMachineSafety { node, id, known });
        }
        while self
            .log
            .front()
            .is_some_and(|(id, _)| id.index <= start.index)
        {
            self.log.pop_front();
        }
        self.start = start;
        Ok(())
    }

    /// The state of a node that starts from this disk: a snapshot within the log compacts it; one
    /// ahead of the log, or of another history, replaces it (§7).
    pub(crate) fn recovered(&self, snapshot: LogId) -> Self {
        let mut memory = self.clone();
        if snapshot.term > memory.vote.0 {
            memory.vote = (snapshot.term, None);
        }
        if memory.id_at(snapshot.index) == Some(snapshot) {
            memory.log.retain(|(id, _)| id.index > snapshot.index);
        } else if snapshot.index >= memory.start.index {
            memory.log.clear();
        }
        memory.start = memory.start.max_by_index(snapshot);
        memory
    }
}

impl LogId {
    pub(crate) fn max_by_index(self, other: Self) -> Self {
        if other.index > self.index {
            other
        } else {
            self
        }
    }
}

impl Change {
    pub(crate) fn of(record: &Record) -> Self {
        let entry = |entry: &Entry| (entry.id, fingerprint(entry));
        let head = record.head();
        Self {
            vote: head.vote,
            truncate_from: head.truncate_from,
            entries: record.entries.iter().flatten().map(entry).collect(),
            start: head.start,
        }
    }

    pub(crate) fn rename(&mut self, names: &impl Fn(NodeId) -> NodeId) {
        self.vote = self.vote.map(|(term, vote)| (term, vote.map(names)));
    }

    pub(crate) fn entries(&self) -> &[(LogId, u64)] {
        &self.entries
    }

    /// The same change with only the first `kept` entries.
    pub(crate) fn prefix(&self, kept: usize) -> Self {
        let mut prefix = self.clone();
        prefix.entries.truncate(kept);
        prefix
    }

    /// The entry before the first one, when this change is applied to `durable`.
    pub(crate) fn prev(&self, durable: &Durable) -> Option<LogId> {
        let (first, _) = self.entries.first()?;
        let index = first.index.prev();
        let kept = self.truncate_from.is_none_or(|from| index < from);
        let start = self.start.filter(|start| start.index == index);
        start.or_else(|| durable.id_at(index).filter(|_| kept))
    }
}
