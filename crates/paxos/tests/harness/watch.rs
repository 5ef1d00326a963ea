//! The rules that no run may break. They are checked twice: by the harness itself, which sees every
//! node, disk and message and shares no code with the core, and by the library's checker.

use std::collections::BTreeMap;

use synod_paxos::check::{Checker, Violation};
use synod_paxos::{
    AcceptorSet, Ballot, Binding, ChangeEnd, ChangePhase, Chosen, Envelope, Message, NodeId,
    Output, Paxos, Position, Quorums, ReadId, Replicate, Slot, Status, StepDown, Value, Vote,
};
use synod_sim::cluster::{self, Disk as _};

use super::cluster::Node;
use super::core::Cores;
use super::disk::Disk;

#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// Messages are made up by the test. Then only rules about single nodes can hold.
    pub(crate) made_up: bool,
    checker: Checker,
    /// The values that any state machine was given, by slot from 1.
    pub(crate) chosen: Vec<Value>,
    /// The proposals of leaders: one value per ballot and slot.
    proposed: BTreeMap<(Ballot, Slot), Value>,
    /// The ballots in which a node led.
    leaders: BTreeMap<Ballot, NodeId>,
    /// The highest ballot in which a node requested promises, over all its incarnations.
    prepared: BTreeMap<NodeId, Ballot>,
    /// The highest promise of a node, over all its incarnations.
    promised: BTreeMap<NodeId, Ballot>,
    /// The longest chosen prefix that any node has shown.
    checked: Slot,
    /// What changes of membership went through, counted: for each node the last that was seen of it.
    pub(crate) steps: BTreeMap<&'static str, u64>,
    phases: BTreeMap<NodeId, (Option<ChangePhase>, Option<ChangeEnd>)>,
    /// To whom each node was handing its leadership when it was last seen, and for which cause.
    transfers: BTreeMap<NodeId, (Option<NodeId>, Option<StepDown>)>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            made_up: false,
            checker: Checker::default(),
            chosen: Vec::new(),
            proposed: BTreeMap::new(),
            leaders: BTreeMap::new(),
            prepared: BTreeMap::new(),
            promised: BTreeMap::new(),
            checked: Slot(0),
            steps: BTreeMap::new(),
            phases: BTreeMap::new(),
            transfers: BTreeMap::new(),
        }
    }

    fn judge(&self, verdict: Result<(), Violation>) {
        if let (Err(violation), false) = (verdict, self.made_up) {
            panic!("{violation}");
        }
    }

    /// Checks that chosen values are on the disks of a phase-2 quorum, and stay there: a node may
    /// replace such a vote only by one for the same value.
    fn check_durable(slot: Slot, quorums: &Quorums, nodes: &BTreeMap<NodeId, Node>) {
        let holders = |value: &Value| {
            let mut set = AcceptorSet::default();
            for (id, node) in nodes {
                let covered = node.disk.covered().slot >= slot;
                if covered || node.disk.value_at(slot) == Some(value) {
                    quorums.insert(&mut set, *id);
                }
            }
            set
        };
        let values = nodes.values().filter_map(|node| node.disk.value_at(slot));
        let mut values: Vec<&Value> = values.collect();
        let all_covered = values.is_empty();
        values.dedup();
        let durable = |value: &&Value| quorums.is_phase2(holders(value));
        assert!(
            all_covered || values.iter().any(durable),
            "{slot:?} counts as chosen and no quorum has it on disk"
        );
    }

    fn apply(&mut self, chosen: &Chosen) {
        for (at, value) in chosen.iter() {
            let place = at.slot.0 as usize - 1;
            if place == self.chosen.len() {
                self.chosen.push(value.clone());
            }
            let known = self.chosen.get(place).expect("a machine skips nothing");
            assert_eq!(known, value, "two values are chosen for {:?}", at.slot);
        }
    }

    /// Counts the phases of changes and how they ended.
    fn count_steps(&mut self, id: NodeId, status: &Status) {
        let phase = status.change.as_ref().map(|change| change.phase);
        let now = (phase, status.change_end);
        let before = self.phases.insert(id, now).unwrap_or_default();
        let step = match now.0.filter(|_| now.0 != before.0) {
            None => None,
            Some(ChangePhase::CatchUp) => Some("catching up"),
            Some(ChangePhase::Proposed) => Some("proposed"),
            Some(ChangePhase::Decided) if before.0.is_none() => Some("inherited"),
            Some(ChangePhase::Settling) if before.0.is_none() => Some("inherited"),
            Some(ChangePhase::Decided) => Some("decided"),
            Some(ChangePhase::Settling) => Some("in force"),
        };
        let end = match now.1.filter(|_| now.1 != before.1) {
            None => None,
            Some(ChangeEnd::Done { .. }) => Some("done"),
            Some(ChangeEnd::Aborted) => Some("aborted"),
            Some(ChangeEnd::TooSlow { .. }) => Some("too slow"),
            Some(ChangeEnd::LeaderLost) => Some("leader lost"),
        };
        for what in step.into_iter().chain(end) {
            *self.steps.entry(what).or_default() += 1;
        }
    }

    /// Counts what leaders give up for a cause, and what they hand to nodes of a higher priority, asked or not.
    fn count_transfers(&mut self, id: NodeId, status: &Status) {
        let now = (status.transfer, status.giving_up);
        let before = self.transfers.insert(id, now).unwrap_or_default();
        let peer = status.peers.iter().find(|peer| Some(peer.id) == now.0);
        let is_higher = peer.is_some_and(|peer| peer.priority > Some(status.priority));
        let what = match now {
            _ if now == before => return,
            (Some(_), Some(_)) => "handed over for a cause",
            (Some(_), None) if is_higher => "handed to one that is preferred",
            _ => return,
        };
        *self.steps.entry(what).or_default() += 1;
    }

    fn prepares(&mut self, node: NodeId, ballot: Ballot, disk: &Disk) {
        assert_eq!(ballot.node, node, "a campaign in another's ballot");
        assert!(ballot <= disk.promised(), "a ballot that may be used again");
        let before = self.prepared.entry(node).or_default();
        assert!(
            *before <= ballot,
            "{node} campaigns below an earlier campaign"
        );
        *before = ballot;
    }

    /// The number of ballots in which a node led.
    pub(crate) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }
}

impl cluster::Watch<Cores> for Watch {
    fn started(&mut self, paxos: &Paxos) {
        let started = self.checker.started(paxos);
        self.judge(started);
    }

    fn lost(&mut self, node: NodeId, last: u64) {
        self.checker.lost(node, Slot(last));
    }

    fn crashed(&mut self, node: NodeId) {
        self.phases.remove(&node);
        self.checker.crashed(node);
    }

    fn asked(&mut self, node: NodeId, read: u64) {
        self.checker.asked(node, ReadId(read));
    }

    fn stepped(&mut self, id: NodeId, nodes: &BTreeMap<NodeId, Node>) {
        let Some(paxos) = &nodes[&id].core else {
            return;
        };
        let stepped = self.checker.stepped(paxos);
        self.judge(stepped);
        if paxos.leader() == Some(id) {
            let ballot = paxos.ballot();
            assert_eq!(ballot.node, id, "somebody leads in another's ballot");
            self.leaders.insert(ballot, id);
        }
        let status = paxos.status();
        self.count_steps(id, &status);
        self.count_transfers(id, &status);
        if !self.made_up && status.chosen > self.checked {
            self.checked = status.chosen;
            let governing = paxos.configurations().governing(status.chosen);
            let governing = governing.expect("who has chosen it is known");
            let quorums = &governing.configuration.membership.quorums;
            Self::check_durable(status.chosen, quorums, nodes);
        }
    }

    fn polled(&mut self, node: NodeId, output: &Output) {
        let polled = self.checker.polled(node, output);
        self.judge(polled);
        let message = match output {
            Output::Send(Envelope { message, .. }) => message,
            Output::Apply(chosen) => return self.apply(chosen),
            _ => return,
        };
        assert!(
            !matches!(message, Message::Binding(_)),
            "a promise that did not wait"
        );
        if let Message::Replicate(Replicate::Accept {
            ballot,
            first,
            values,
            ..
        }) = message
        {
            assert_eq!(ballot.node, node, "a proposal in another's ballot");
            for (slot, value) in (first.0..).zip(values) {
                let known = self.proposed.entry((*ballot, Slot(slot)));
                let known = known.or_insert_with(|| value.clone());
                assert_eq!(known, value, "two values in {ballot} for slot {slot}");
            }
        }
    }

    fn persisted(&mut self, node: NodeId, disk: &Disk, messages: &[(NodeId, Message)]) {
        let persisted = self.checker.persisted(node);
        self.judge(persisted);
        for (_, message) in messages {
            let Message::Binding(binding) = message else {
                panic!("it need not have waited: {message:?}");
            };
            match binding {
                Binding::Prepare { ballot, .. } => self.prepares(node, *ballot, disk),
                Binding::Promise { ballot, votes, .. } => {
                    let before = self.promised.entry(node).or_default();
                    assert!(*before <= *ballot, "{node} promises less than before");
                    *before = *ballot;
                    assert!(*ballot <= disk.promised(), "a promise that is not durable");
                    for vote in votes {
                        let stored = disk.log.get(&vote.slot.0);
                        // It may have voted in the promised ballot since, or taken a snapshot.
                        let is_told = |stored: &Vote| stored == vote || stored.ballot >= *ballot;
                        let is_cut = vote.slot <= disk.covered().slot;
                        let is_stored = is_cut || stored.is_some_and(is_told);
                        assert!(is_stored, "{vote:?} is not {stored:?}");
                    }
                }
                Binding::Settled { slot, .. } => {
                    let known = disk.state.unwrap_or_default().chosen;
                    let known = known.max(disk.covered().slot);
                    assert!(known >= *slot, "{node} has not settled {slot:?}");
                }
                Binding::Accepted {
                    ballot,
                    first,
                    last,
                } => {
                    let before = self.promised.get(&node).copied().unwrap_or_default();
                    assert!(before <= *ballot, "{node} votes against its promise (P1a)");
                    for slot in (first.0..=last.0).filter(|slot| *slot > disk.covered().slot.0) {
                        let vote = disk.log.get(&slot);
                        let chosen = disk.state.unwrap_or_default().chosen.0.max(self.checked.0);
                        assert!(
                            vote.is_some_and(|vote| vote.ballot == *ballot || slot <= chosen),
                            "{node} tells of a vote for {slot} in {ballot} and has {vote:?}"
                        );
                    }
                }
            }
        }
    }

    /// All state machines are given the same values.
    fn machine(&mut self, node: &Node) {
        if let Some(last) = node.machine.last() {
            let known = &self.chosen[node.machine.len() - 1];
            let expected = Position {
                slot: last.slot,
                origin: known.origin,
            };
            assert_eq!(*last, expected, "machines differ");
        }
    }

    fn applied(&self) -> u64 {
        self.chosen.len() as u64
    }

    fn has_applied(&self, position: Position) -> bool {
        let value = self.chosen.get(position.slot.0 as usize - 1);
        value.is_some_and(|value| value.origin == position.origin)
    }
}
