//! Checks every step with the library's checker and panics with the violated rule. Also checks that
//! all state machines, which are this harness's own, are equal, because the checker cannot see
//! them.

use std::collections::BTreeMap;

use synod_raft::check::{Checker, Violation};
use synod_raft::{ChangeEnd, Index, LogId, Membership, Message, NodeId, Output, Raft, Term};
use synod_sim::cluster;

use super::cluster::Node;
use super::core::Cores;
use super::disk::Disk;

#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    checker: Checker,
    /// Leaders or votes are made up by the test. Then only rules about single nodes can hold: its
    /// messages are durable, it votes once per term, it restarts with what was durable, and so on.
    pub(crate) made_up: bool,
    /// The entries that any state machine was given, and the term of its node then.
    pub(crate) applied: Vec<(LogId, Term)>,
    leaders: BTreeMap<Term, NodeId>,
    /// The last membership of each node, and the steps of changes that were met.
    memberships: BTreeMap<NodeId, Membership>,
    /// To whom each node is handing over.
    transfers: BTreeMap<NodeId, Option<NodeId>>,
    pub(crate) steps: BTreeMap<&'static str, u64>,
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
        if raft.leader() == Some(id) && self.leaders.insert(raft.term(), id).is_none() {
            // A change that an earlier leader began.
            self.meet("inherited", raft.membership().change.is_some());
        }
        self.watch_membership(id, raft);
        self.watch_transfer(id, raft);
        let stepped = self.checker.stepped(raft);
        self.expect(stepped);
    }

    fn polled(&mut self, node: NodeId, output: &Output) {
        // If leaders are made up, a violation about one entry must not hide the next.
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
        // All state machines are given the same entries.
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
    fn meet(&mut self, what: &'static str, met: bool) {
        *self.steps.entry(what).or_default() += u64::from(met);
    }

    /// Hand-overs of a leader's own accord.
    fn watch_transfer(&mut self, id: NodeId, raft: &Raft) {
        let now = raft.transfers_to();
        if now == self.transfers.insert(id, now).flatten() {
            return;
        }
        let status = raft.status();
        let mut peers = status.peers.iter();
        let target = peers.find(|peer| Some(peer.id) == now);
        let higher = target.and_then(|peer| peer.priority) > Some(status.priority);
        self.meet("gives up by a transfer", status.giving_up.is_some());
        self.meet("to a higher priority", higher && status.giving_up.is_none());
    }

    fn watch_membership(&mut self, id: NodeId, raft: &Raft) {
        let now = raft.membership();
        let before = self.memberships.get(&id);
        if before == Some(now) {
            return;
        }
        let is_joint = now.joint().is_some();
        let was_changing = before.is_some_and(|it| it.change.is_some());
        let leads = raft.leader() == Some(id);
        let taken_back = raft.status().change_end == Some(ChangeEnd::LeaderLost);
        let has_witness = now.voters.iter().any(|voter| now.is_witness(*voter));
        self.meet("a witness added", leads && has_witness && is_joint);
        self.meet("joint", leads && is_joint);
        self.meet("catching up", leads && now.change.is_some() && !is_joint);
        self.meet("ended", leads && was_changing && now.change.is_none());
        self.meet("rolled back", !leads && was_changing && taken_back);
        self.memberships.insert(id, now.clone());
    }

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

/// Whether a violation can only be judged by seeing the whole group.
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
