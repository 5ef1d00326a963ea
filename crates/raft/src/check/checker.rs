use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::check::durable::{Change, Durable};
use crate::check::history::History;
use crate::check::watch::{Seen, Staged, Watch};
use crate::check::{Violation, recovery, rules};
use crate::role::RoleState;
use crate::{
    Echo, Entry, Envelope, Index, Message, NodeId, Output, Raft, Snapshot, Stop, Term, Write,
};

/// Observes a group; see the [module](super).
///
/// Must not be used after a violation: its view of the node is then incomplete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checker {
    pub(super) nodes: BTreeMap<NodeId, Watch>,
    pub(super) history: History,
}

impl Checker {
    /// Report that a node has started from its disk, for the first time or again. The first time,
    /// the checker accepts whatever is there.
    ///
    /// # Errors
    /// The violated rule, as for the other inputs.
    pub fn started(&mut self, raft: &Raft) -> Result<(), Violation> {
        let node = raft.common.id();
        let before = self.nodes.get(&node);
        let durable = match before {
            Some(watch) => recovery::recovered(watch, raft)?,
            None => recovery::adopted(raft),
        };
        let incarnation = before.map_or(1, |watch| watch.incarnation + 1);
        if let (term, Some(vote)) = durable.vote {
            self.history.vote(node, term, vote)?;
        }
        if before.is_none() {
            self.history.adopt_start(durable.start);
            let start = Some(durable.start);
            let whole = durable
                .entries()
                .filter(|(id, _)| raft.common.log.cached(id.index).is_some());
            let whole: Vec<_> = whole.collect();
            let prev = whole
                .first()
                .and_then(|(id, _)| durable.id_at(id.index.prev()))
                .or(start);
            self.history.learn(node, prev, whole.into_iter())?;
        }
        let own = raft.common.config.priority;
        let watch = Watch {
            incarnation,
            priority: before.map_or(own, |watch| watch.priority.max(own)),
            durable,
            staged: None,
            rotted: before.is_some_and(|watch| watch.rotted),
            forgot: before.is_some_and(|watch| watch.forgot),
            seen: Seen::of(raft),
            applied: Index(0),
            acknowledged: (Term(0), Index(0)),
        };
        self.nodes.insert(node, watch);
        self.learn_memberships(raft, raft.common.log.start().index);
        Ok(())
    }

    /// Report that a node crashed. Optional, since [`started`](Self::started) implies it. It makes
    /// states equal that differ only in what the crash loses.
    pub fn crashed(&mut self, node: NodeId) {
        if let Some(watch) = self.nodes.get_mut(&node) {
            watch.seen = Seen::default();
            watch.applied = Index(0);
            watch.acknowledged = (Term(0), Index(0));
        }
    }

    /// Report that a node's disk lost the log after the index `last`. No protocol can prevent that,
    /// but a node that notices it must not continue.
    pub fn lost(&mut self, node: NodeId, last: Index) {
        if let Some(watch) = self.nodes.get_mut(&node) {
            watch.durable.lose(last);
            watch.forgot = true;
        }
    }

    /// Report that a part of what a node had stored is corrupted, which no protocol can prevent:
    /// when it starts, its newest snapshot may be gone and replaced by an older one with more of
    /// the log.
    pub fn rotted(&mut self, node: NodeId) {
        if let Some(watch) = self.nodes.get_mut(&node) {
            watch.rotted = true;
        }
    }

    /// Report that a node has handled one input. Call it after each, before polling outputs.
    ///
    /// # Errors
    /// The rule that the step violated.
    pub fn stepped(&mut self, raft: &Raft) -> Result<(), Violation> {
        let node = raft.common.id();
        let now = Seen::of(raft);
        let watch = self.nodes.entry(node).or_default();
        let before = core::mem::replace(&mut watch.seen, now);
        let snapshot = recovery::newest_snapshot(raft);
        watch.durable.snapshot = watch.durable.snapshot.max_by_index(snapshot);
        let incarnation = watch.incarnation;
        rules::check_order(node, &before, &now)?;
        self.check_membership(raft, &before, &now)?;
        self.history.check_snapshot(raft)?;
        if let Some(from) = now.newly_cut(&before) {
            self.check_cut(node, now.term, from)?;
        }
        if let RoleState::Leader(leader) = &raft.role {
            self.history.leads(raft, incarnation, leader.first)?;
        }
        if now.commit > before.commit {
            self.check_commit(raft, before.last.index)?;
        }
        self.check_preference(node, raft.common.config.priority, &before, &now)
    }

    /// Report an output of a node.
    ///
    /// # Errors
    /// The rule that the output violates.
    pub fn polled(&mut self, node: NodeId, output: &Output) -> Result<(), Violation> {
        match output {
            Output::Persist(write) => self.staged(node, write),
            Output::Send(envelope) => self.sent(node, envelope),
            Output::Apply(entries) => {
                let mut entries = entries.iter();
                entries.try_for_each(|entry| self.applied(node, entry))
            }
            Output::Restore(snapshot) => self.restored(node, snapshot),
            Output::Stop(why) => self.stopped(node, *why),
            Output::Fetch(_) | Output::Read { .. } | Output::PullSnapshot { .. } => Ok(()),
        }
    }

    /// Report that a node's write was passed to its disk and is not durable yet.
    ///
    /// # Errors
    /// The rule that the record violates.
    pub fn staged(&mut self, node: NodeId, write: &Write) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        if watch.staged.is_some() {
            return Err(Violation::WriteInFlight { node });
        }
        watch.seen.cut = None;
        let change = Change::of(write.record());
        let prev = change.prev(&watch.durable);
        let entries = change.entries().iter().copied();
        self.history.learn(node, prev, entries)?;
        let Ok((messages, _)) = write.clone().persist(|_| Ok::<_, Infallible>(()));
        let messages = messages.into_iter().map(Envelope::from).collect();
        watch.staged = Some(Staged { change, messages });
        Ok(())
    }

    /// Report that a node's write is durable: its messages may now be sent, and are checked. Call
    /// it before the core is told.
    ///
    /// # Errors
    /// The rule that the record or one of its messages violates.
    pub fn persisted(&mut self, node: NodeId) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        let Some(staged) = watch.staged.take() else {
            return Ok(());
        };
        let before = watch.durable.vote;
        watch.durable.store(node, staged.change)?;
        if let (term, Some(second)) = watch.durable.vote {
            self.history.vote(node, term, second)?;
        } else if let (term, Some(first)) = before
            && term == watch.durable.vote.0
        {
            return Err(Violation::VoteForgotten { node, term, first });
        }
        let mut messages = staged.messages.iter();
        messages.try_for_each(|envelope| self.sent(node, envelope))
    }

    /// Report that a node sends a message. [`persisted`](Self::persisted) already does this for the
    /// messages that waited in a write.
    ///
    /// # Errors
    /// If the node must not send this message.
    pub fn sent(&mut self, node: NodeId, envelope: &Envelope) -> Result<(), Violation> {
        match &envelope.message {
            Message::Replicate(message) => self.check_replicate(node, envelope.to, message),
            Message::Binding(message) => self.check_binding(node, envelope.to, message),
            Message::Echo(Echo::Heartbeat { term, .. }) => {
                let durable = self
                    .nodes
                    .get(&node)
                    .map_or(Term(0), |watch| watch.durable.term());
                if durable > *term {
                    let term = *term;
                    return Err(Violation::TermLeft {
                        node,
                        term,
                        durable,
                    });
                }
                Ok(())
            }
            Message::Echo(_) => Ok(()),
        }
    }

    /// Report that an entry is delivered to a node's state machine.
    ///
    /// # Errors
    /// If it is not the committed entry, is not durable, or is out of order.
    pub fn applied(&mut self, node: NodeId, entry: &Entry) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        let (index, last) = (entry.id.index, watch.applied);
        if index != last.next() {
            return Err(Violation::AppliedOutOfOrder { node, index, last });
        }
        if !watch.durable.holds(entry.id) {
            let id = entry.id;
            return Err(Violation::AppliedNotDurable { node, id });
        }
        watch.applied = index;
        self.history.check_committed(node, entry.id)?;
        self.history.check_content(node, entry)
    }

    /// Report that a node's state machine is reset to a snapshot.
    ///
    /// # Errors
    /// If the snapshot is not of the committed log, the durable log does not begin after it, or the
    /// machine is already ahead of it.
    pub fn restored(&mut self, node: NodeId, snapshot: &Snapshot) -> Result<(), Violation> {
        let watch = self.nodes.entry(node).or_default();
        let (id, last) = (snapshot.last, watch.applied);
        if id.index < last {
            let index = id.index;
            return Err(Violation::AppliedOutOfOrder { node, index, last });
        }
        if watch.durable.start.index < id.index {
            return Err(Violation::AppliedNotDurable { node, id });
        }
        watch.applied = id.index;
        self.history.check_committed(node, id)
    }

    /// Report that a node stops for good.
    ///
    /// # Errors
    /// If it was not removed, or for another reason if no disk of the group has lost anything.
    pub fn stopped(&mut self, node: NodeId, why: Stop) -> Result<(), Violation> {
        let somebody_lost = |watch: &Watch| watch.forgot || watch.rotted;
        let is_lawful = match why {
            Stop::Removed => self.history.has_removed(node),
            _ => self.nodes.values().any(somebody_lost),
        };
        match is_lawful {
            true => Ok(()),
            false => Err(Violation::NeedlessStop { node, why }),
        }
    }

    /// The contents of a node's disk, if the checker knows the node.
    #[must_use]
    pub fn durable(&self, node: NodeId) -> Option<&Durable> {
        self.nodes.get(&node).map(|watch| &watch.durable)
    }

    /// The highest index that any leader has committed.
    #[must_use]
    pub fn commit(&self) -> Index {
        self.history.committed_to()
    }

    /// The same history with renamed nodes. A search that treats states as equal if they differ
    /// only in names compares the smallest of all renamings. `names` must be injective.
    #[must_use]
    pub fn renamed(&self, names: impl Fn(NodeId) -> NodeId) -> Self {
        let watches = self.nodes.iter();
        Self {
            nodes: watches
                .map(|(node, watch)| (names(*node), watch.renamed(&names)))
                .collect(),
            history: self.history.renamed(&names),
        }
    }
}
