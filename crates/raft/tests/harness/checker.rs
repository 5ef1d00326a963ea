//! What must hold whatever happens (Figure 3, and that nothing was said that a crash would unsay).
//! It looks at disks, messages and machines from the outside and shares no code with the core.

use std::collections::BTreeMap;

use synod_raft::{Binding, Envelope, LogId, Message, NodeId, Role, Term};

use super::node::Node;

#[derive(Debug, Default)]
pub(crate) struct Checker {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// What any machine was given, and the term its node was in.
    pub(crate) applied: Vec<(LogId, Term)>,
    announced: BTreeMap<NodeId, (Term, u64)>,
    pub(crate) elections: u64,
}

impl Checker {
    /// A message left its node.
    pub(crate) fn check_sent(&mut self, from: NodeId, node: &Node, envelope: &Envelope) {
        let Message::Binding(binding) = &envelope.message else {
            return;
        };
        let (stored_term, stored_vote) = node.disk.vote.unwrap_or_default();
        match binding {
            Binding::RequestVote { term, .. } => {
                assert!(
                    stored_term >= *term,
                    "{from:?} asks for votes in a term it could forget"
                );
                self.vote(*term, from, from);
            }
            Binding::Vote {
                term,
                granted: true,
            } => {
                let kept =
                    stored_term > *term || (stored_term, stored_vote) == (*term, Some(envelope.to));
                assert!(kept, "{from:?} gives a vote it could forget");
                self.vote(*term, from, envelope.to);
            }
            Binding::Vote { granted: false, .. } => {}
            Binding::Appended { last, term } => {
                let covered = node
                    .disk
                    .snapshot
                    .as_ref()
                    .map_or(0, |(snapshot, _)| snapshot.last.index.0);
                assert!(
                    last.0 <= node.disk.last().index.0.max(covered),
                    "{from:?} acknowledges what is not durable"
                );
                assert!(
                    stored_term >= *term,
                    "{from:?} acknowledges in a term it could forget"
                );
            }
            Binding::Installed { last, .. } => {
                assert!(
                    node.disk.start.index >= last.index,
                    "{from:?} acknowledges a snapshot it has not installed"
                );
            }
        }
    }

    fn vote(&mut self, term: Term, voter: NodeId, candidate: NodeId) {
        let vote = *self.votes.entry((term, voter)).or_insert(candidate);
        assert_eq!(vote, candidate, "{voter:?} votes twice in {term:?}");
    }

    /// After each step of `id`.
    pub(crate) fn check_step(&mut self, id: NodeId, nodes: &BTreeMap<NodeId, Node>) {
        let node = &nodes[&id];
        let Some(raft) = &node.raft else {
            return;
        };
        let status = raft.status();
        if status.role == Role::Leader {
            let known = self.leaders.insert(status.term, id);
            assert!(
                known.is_none_or(|leader| leader == id),
                "two leaders in {:?}",
                status.term
            );
            if known.is_none() {
                self.elections += 1;
                self.check_completeness(status.term, node);
            }
            self.check_commit(id, status.term, status.commit.0, nodes);
        }
        for (at, applied) in node.machine.iter().enumerate().skip(self.applied.len()) {
            assert_eq!(applied.index.0, at as u64 + 1);
            self.applied.push((*applied, status.term));
        }
        if let Some(last) = node.machine.last() {
            assert_eq!(
                self.applied[node.machine.len() - 1].0,
                *last,
                "machines differ at {last:?}"
            );
        }
    }

    /// Leader Completeness: what was applied in an earlier term is in a new leader's log.
    fn check_completeness(&self, term: Term, leader: &Node) {
        for (id, when) in &self.applied {
            assert!(
                *when >= term || leader.disk.holds(*id),
                "the leader of {term:?} lacks {id:?}"
            );
        }
    }

    /// A leader announces an index: its entry of this term is durable on a majority at that moment.
    fn check_commit(
        &mut self,
        id: NodeId,
        term: Term,
        commit: u64,
        nodes: &BTreeMap<NodeId, Node>,
    ) {
        let announced = self.announced.entry(id).or_default();
        if *announced >= (term, commit) {
            return;
        }
        let new_term = announced.0 < term;
        *announced = (term, commit);
        let index = synod_raft::Index(commit);
        if new_term
            && nodes[&id]
                .disk
                .id_at(commit)
                .is_none_or(|at| at.term != term)
        {
            return; // known since before it led
        }
        let holders = nodes
            .values()
            .filter(|node| node.disk.holds(LogId { term, index }))
            .count();
        assert!(
            holders > nodes.len() / 2,
            "{commit} of {term:?} is committed and durable on {holders} only"
        );
    }

    /// Log Matching over all disks, and machines in full.
    pub(crate) fn check_all(&self, nodes: &BTreeMap<NodeId, Node>) {
        for (a, first) in nodes {
            for (at, id) in first.machine.iter().enumerate() {
                assert_eq!(self.applied[at].0, *id, "machine of {a:?} differs");
            }
            for second in nodes.range(..a).map(|(_, node)| node) {
                let mut same = false;
                for (index, entry) in first.disk.log.iter().rev() {
                    let Some(other) = second.disk.log.get(index) else {
                        continue;
                    };
                    assert!(
                        !same || other == entry,
                        "logs match later and differ at {index}"
                    );
                    same |= other.id == entry.id;
                    assert!(
                        other.id != entry.id || other == entry,
                        "one identity, two entries at {index}"
                    );
                }
            }
        }
    }
}
