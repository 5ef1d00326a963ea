//! The checker of the library looks at every step and panics with the rule that was broken. What it
//! cannot know is added: that the machines, which are this harness's own, are the same.

use std::collections::BTreeMap;

use synod_raft::check::{Checker, Violation};
use synod_raft::{Index, LogId, Message, NodeId, Output, Raft, Term};
use synod_sim::cluster;

use super::cluster::Node;
use super::core::Cores;
use super::disk::Disk;

#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    checker: Checker,
    /// Leaders or voters are made up by the test. Then only what concerns one node alone can hold:
    /// its word is durable, it votes once a term, it comes back as it went, and the like.
    pub(crate) made_up: bool,
    /// What any machine was given, and the term its node was in.
    pub(crate) applied: Vec<(LogId, Term)>,
    leaders: BTreeMap<Term, NodeId>,
}

impl cluster::Watch<Cores> for Watch {
    fn started(&mut self, raft: &Raft) {
        let started = self.checker.started(raft);
        self.expect(started);
    }

    fn lost(&mut self, node: NodeId, last: u64) {
        self.checker.lost(node, Index(last));
    }

    fn crashed(&mut self, node: NodeId) {
        self.checker.crashed(node);
    }

    fn stepped(&mut self, id: NodeId, nodes: &BTreeMap<NodeId, Node>) {
        let Some(raft) = &nodes[&id].core else {
            return;
        };
        if raft.leader() == Some(id) {
            self.leaders.insert(raft.term(), id);
        }
        let stepped = self.checker.stepped(raft);
        self.expect(stepped);
    }

    fn polled(&mut self, node: NodeId, output: &Output) {
        // Where leaders are made up, a word about one entry must not hide the next.
        let entries = match output {
            Output::Apply(entries) => entries,
            other => {
                let polled = self.checker.polled(node, other);
                return self.expect(polled);
            }
        };
        for entry in entries {
            let applied = self.checker.applied(node, entry);
            self.expect(applied);
        }
    }

    fn persisted(&mut self, node: NodeId, _: &Disk, _: &[(NodeId, Message)]) {
        let persisted = self.checker.persisted(node);
        self.expect(persisted);
    }

    fn machine(&mut self, node: &Node) {
        // All machines are given the same.
        let term = node.core.as_ref().map_or(Term(0), Raft::term);
        for (at, applied) in node.machine.iter().enumerate().skip(self.applied.len()) {
            assert_eq!(applied.index.0, at as u64 + 1);
            self.applied.push((*applied, term));
        }
        if let Some(last) = node.machine.last() {
            let (known, _) = self.applied[node.machine.len() - 1];
            assert_eq!(known, *last, "state machine safety: machines differ");
        }
    }

    fn applied(&self) -> u64 {
        self.applied.len() as u64
    }

    fn has_applied(&self, id: LogId) -> bool {
        self.applied.iter().any(|(at, _)| *at == id)
    }
}

impl Watch {
    fn expect(&self, result: Result<(), Violation>) {
        match result {
            Err(violation) if !self.made_up || !is_of_the_group(&violation) => {
                panic!("{violation}")
            }
            _ => {}
        }
    }

    /// Terms that had a leader.
    pub(crate) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }
}

/// What can be said only by who has seen all of the group.
fn is_of_the_group(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::NeedlessStop { .. }
            | Violation::ElectionSafety { .. }
            | Violation::NotElected { .. }
            | Violation::LeaderCompleteness { .. }
            | Violation::StateMachineSafety { .. }
            | Violation::CommitNotDurable { .. }
            | Violation::CommitUnknown { .. }
    )
}
