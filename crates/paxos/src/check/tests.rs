use super::*;
use crate::outbox::Outbox;
use crate::{
    Ballot, Binding, Chosen, Config, Configuration, Configurations, DiskHealth, Echo, Envelope,
    Instant, Kind, Membership, Message, NodeId, Output, Paxos, Position, Quorums, ReadId, Record,
    Recovered, Replicate, Role, Slot, Snapshot, State, Value, Vote, Votes, Write,
};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::convert::Infallible;
use core::time::Duration;
use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use synod_durable::Few;

mod ballots;
mod disks;
mod values;

/// The ballot of this round and node.
fn ballot(round: u64, node: u64) -> Ballot {
    let node = NodeId(node);
    Ballot { round, node }
}

/// A command first proposed in this ballot.
fn value(origin: Ballot, body: &'static str) -> Value {
    Value {
        kind: Kind::Command,
        origin,
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn vote(slot: u64, ballot: Ballot, value: Value) -> Vote {
    let slot = Slot(slot);
    Vote {
        slot,
        ballot,
        value,
    }
}

fn write(record: Record) -> Write {
    Outbox::new().write(|| record).expect("none is in flight")
}

fn runs(votes: &[Vote]) -> Few<Votes> {
    let run = |vote: &Vote| Votes {
        ballot: vote.ballot,
        first: vote.slot,
        values: vec![vote.value.clone()].into(),
    };
    votes.iter().map(run).collect::<Vec<_>>().into()
}

fn votes(votes: &[Vote]) -> Record {
    Record {
        votes: runs(votes),
        ..Record::default()
    }
}

fn state(promised: Ballot, chosen: u64) -> Record {
    let chosen = Slot(chosen);
    Record {
        state: Some(State { promised, chosen }),
        ..Record::default()
    }
}

fn quorums() -> Quorums {
    Quorums::majority([1, 2, 3].map(NodeId)).unwrap()
}

fn snapshot(slot: u64, origin: Ballot) -> Snapshot {
    let slot = Slot(slot);
    Snapshot {
        last: Position { slot, origin },
        configurations: Configurations::first(Configuration::first(Membership::of(quorums()))),
    }
}

#[derive(Clone, Debug, Default)]
struct Disk {
    state: Option<State>,
    start: Position,
    snapshot: Option<Snapshot>,
    votes: BTreeMap<Slot, Vote>,
}

impl Disk {
    fn store(&mut self, record: &Record) {
        self.state = record.state.or(self.state);
        let votes = record.votes.iter().flat_map(Votes::iter);
        self.votes
            .extend(votes.map(|vote| (vote.slot, vote.cloned())));
        if let Some(start) = record.start.as_deref().copied() {
            self.start = start;
            self.votes = self.votes.split_off(&start.slot.next());
        }
    }

    fn start(&self, id: u64) -> Paxos {
        let recovered = Recovered {
            state: self.state,
            start: self.start,
            snapshot: self.snapshot.clone(),
            votes: self.votes.values().cloned().map(Ok::<_, Infallible>),
        };
        Paxos::new(Config::new(NodeId(id), quorums()), recovered, Instant::ZERO).unwrap()
    }
}

/// Three nodes and their disks, with a checker.
struct Group {
    nodes: BTreeMap<u64, Paxos>,
    disks: BTreeMap<u64, Disk>,
    writes: BTreeMap<u64, Write>,
    net: Vec<(u64, Envelope)>,
    checker: Checker,
    now: Instant,
}

impl Group {
    fn new() -> Self {
        let disks: BTreeMap<u64, Disk> = (1..=3).map(|id| (id, Disk::default())).collect();
        let nodes: BTreeMap<u64, Paxos> = disks
            .iter()
            .map(|(id, disk)| (*id, disk.start(*id)))
            .collect();
        let mut checker = Checker::default();
        nodes
            .values()
            .for_each(|paxos| checker.started(paxos).unwrap());
        Self {
            nodes,
            disks,
            writes: BTreeMap::new(),
            net: Vec::new(),
            checker,
            now: Instant::ZERO,
        }
    }

    /// Node 1 leads in ballot 1.1, and a command is chosen in slot 1, by the disks of 1 and 2. Node
    /// 3 has promised.
    fn led() -> Self {
        let mut group = Self::new();
        group.campaign(1);
        group.propose(1, "x");
        group.settle();
        group
    }

    fn first() -> Value {
        value(ballot(1, 1), "x")
    }

    fn campaign(&mut self, id: u64) {
        self.now = self.now.plus(Duration::from_secs(9));
        let now = self.now;
        self.step(id, |paxos| paxos.handle_timeout(now)).unwrap();
        self.settle();
        assert_eq!(self.nodes[&id].status().role, Role::Leader);
    }

    fn propose(&mut self, id: u64, body: &'static str) {
        let now = self.now;
        let body = Bytes::from_static(body.as_bytes());
        let proposed = |paxos: &mut Paxos| {
            paxos.propose(now, body).unwrap();
        };
        self.step(id, proposed).unwrap();
    }

    fn step(&mut self, id: u64, input: impl FnOnce(&mut Paxos)) -> Result<(), Violation> {
        let paxos = self.nodes.get_mut(&id).unwrap();
        input(paxos);
        self.checker.stepped(paxos)?;
        while let Some(output) = paxos.poll_output() {
            self.checker.polled(NodeId(id), &output)?;
            match output {
                Output::Persist(write) => drop(self.writes.insert(id, write)),
                Output::Send(envelope) => self.net.push((id, envelope)),
                _ => {}
            }
        }
        Ok(())
    }

    fn persist(&mut self, id: u64) -> Result<(), Violation> {
        let Some(write) = self.writes.remove(&id) else {
            return Ok(());
        };
        let disk = self.disks.get_mut(&id).unwrap();
        let Ok((messages, receipt)) = write.persist(|record| {
            disk.store(&record);
            Ok::<_, Infallible>(())
        });
        self.checker.persisted(NodeId(id))?;
        let messages = messages.into_iter();
        self.net
            .extend(messages.map(|said| (id, Envelope::from(said))));
        let now = self.now;
        self.step(id, |paxos| paxos.handle_persisted(now, receipt))
    }

    /// Delivers everything, except messages from a leader to node 3.
    fn settle(&mut self) {
        for _ in 0..20 {
            (1..=3).for_each(|id| self.persist(id).unwrap());
            for (from, envelope) in core::mem::take(&mut self.net) {
                let leads = matches!(envelope.message, Message::Replicate(_));
                if envelope.to != NodeId(3) || !leads {
                    let (now, to) = (self.now, envelope.to.0);
                    self.step(to, |paxos| {
                        paxos.handle_message(now, NodeId(from), envelope.message);
                    })
                    .unwrap();
                }
            }
        }
    }

    fn crash(&mut self, id: u64) -> Result<(), Violation> {
        self.writes.remove(&id);
        self.checker.crashed(NodeId(id));
        let paxos = self.disks[&id].start(id);
        self.checker.started(&paxos)?;
        self.nodes.insert(id, paxos);
        Ok(())
    }

    fn say(&mut self, from: u64, message: impl Into<Message>) -> Result<(), Violation> {
        let (to, message) = (NodeId(if from == 1 { 2 } else { 1 }), message.into());
        self.checker.sent(NodeId(from), &Envelope { to, message })
    }

    /// Stores a record: staged, then durable.
    fn store(&mut self, id: u64, record: Record) -> Result<(), Violation> {
        self.checker.staged(NodeId(id), &write(record))?;
        self.checker.persisted(NodeId(id))
    }
}

impl From<Binding> for Message {
    fn from(message: Binding) -> Self {
        Self::Binding(message)
    }
}

impl From<Replicate> for Message {
    fn from(message: Replicate) -> Self {
        Self::Replicate(message)
    }
}

impl From<Echo> for Message {
    fn from(message: Echo) -> Self {
        Self::Echo(message)
    }
}

fn accept(ballot: Ballot, first: u64, values: &[Value]) -> Replicate {
    Replicate::Accept {
        ballot,
        first: Slot(first),
        values: values.to_vec().into(),
        chosen: Slot(0),
    }
}

/// The name of the violated rule.
fn rule(violation: Result<(), Violation>) -> String {
    let text = violation.expect_err("a violation").to_string();
    text.split(':').next().unwrap().to_owned()
}

#[test]
fn a_lawful_group_is_left_alone() {
    let mut group = Group::led();
    assert_eq!(group.checker.chosen(), Slot(1));
    assert_eq!(group.checker.origin(Slot(1)), Some(ballot(1, 1)));
    let last = |group: &Group, id| group.checker.durable(NodeId(id)).unwrap().last();
    assert_eq!([1, 2, 3].map(|id| last(&group, id)), [1, 1, 0].map(Slot));
    (1..=3).for_each(|id| group.crash(id).unwrap());
    group.campaign(2);
    group.propose(2, "y");
    group.settle();
    assert_eq!(group.checker.chosen(), Slot(2));
    assert_eq!(group.checker.origin(Slot(2)).unwrap().node, NodeId(2));
    assert_eq!(group.nodes[&2].status().delivered, Slot(2));
}

/// The checker knows what is chosen before any node does.
#[test]
fn chosen_is_what_a_quorum_of_disks_has() {
    let mut group = Group::led();
    group.propose(1, "y");
    group.persist(1).unwrap();
    assert_eq!(group.checker.chosen(), Slot(1));
    let second = vote(2, ballot(1, 1), value(ballot(1, 1), "y"));
    group.store(3, votes(&[second])).unwrap();
    assert_eq!(group.checker.chosen(), Slot(2));
    assert_eq!(group.nodes[&1].status().chosen, Slot(1));
}
