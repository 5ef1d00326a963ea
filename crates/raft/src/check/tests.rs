use super::*;
use crate::follower::Follower;
use crate::outbox::Outbox;
use crate::output::Head;
use crate::role::RoleState;
use crate::step::Step;
use crate::{
    Binding, Config, DiskHealth, Echo, Entries, Entry, Envelope, Index, Instant, Kind, LogId,
    Membership, Message, NodeId, Output, Raft, Receipt, Record, Recovered, Replicate, Snapshot,
    Term, Write,
};
use bytes::Bytes;
use core::convert::Infallible;
use std::collections::BTreeMap;
use synod_durable::Few;

mod commits;
mod disks;
mod leaders;

const NOW: Instant = Instant::ZERO;
/// Past every timeout.
const LATER: Instant = Instant(core::time::Duration::from_secs(9));

fn id(term: u64, index: u64) -> LogId {
    LogId {
        term: Term(term),
        index: Index(index),
    }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        id: id(term, index),
        kind: Kind::Command,
        body: Bytes::from_static(b"content"),
    }
}

fn write(record: Record) -> Write {
    Outbox::new().write(|| record).unwrap()
}

fn record(entries: &[Entry]) -> Record {
    let run = Entries::from(entries.to_vec());
    Record::new(Head::default(), Few::from(vec![run]))
}

fn head(head: Head) -> Record {
    Record::new(head, Few::default())
}

fn snapshot(last: LogId) -> Snapshot {
    Snapshot {
        last,
        membership: Membership::of_voters([1, 2, 3].map(NodeId)),
    }
}

fn start(id: u64, disk: &[Entry], vote: Option<(Term, Option<NodeId>)>) -> Raft {
    let mut config = Config::new(NodeId(id), [1, 2, 3].map(NodeId));
    (config.pre_vote, config.check_quorum) = (false, false);
    let recovered = Recovered {
        vote,
        start: LogId::ZERO,
        snapshot: None,
        entries: disk.iter().cloned().map(Ok::<_, Infallible>),
    };
    Raft::new(config, recovered, NOW).unwrap()
}

/// Three nodes and their disks, with a checker.
struct Group {
    rafts: BTreeMap<u64, Raft>,
    disks: BTreeMap<u64, Vec<Entry>>,
    writes: BTreeMap<u64, Write>,
    net: Vec<(u64, Envelope)>,
    checker: Checker,
}

impl Group {
    fn new() -> Self {
        let rafts: BTreeMap<u64, Raft> = (1..=3).map(|id| (id, start(id, &[], None))).collect();
        let mut checker = Checker::default();
        rafts
            .values()
            .for_each(|raft| checker.started(raft).unwrap());
        Self {
            rafts,
            disks: (1..=3).map(|id| (id, Vec::new())).collect(),
            writes: BTreeMap::new(),
            net: Vec::new(),
            checker,
        }
    }

    /// Node 1 leads term 1, and its first entry is committed and durable on 1 and 2. Node 3 voted.
    fn led() -> Self {
        let mut group = Self::new();
        group
            .step(1, |raft| {
                raft.handle_timeout(LATER);
            })
            .unwrap();
        group.settle();
        group
    }

    fn raft(&mut self, id: u64) -> &mut Raft {
        self.rafts.get_mut(&id).unwrap()
    }

    fn step(&mut self, id: u64, input: impl FnOnce(&mut Raft)) -> Result<(), Violation> {
        let raft = self.rafts.get_mut(&id).unwrap();
        input(raft);
        self.checker.stepped(raft)?;
        while let Some(output) = raft.poll_output() {
            self.checker.polled(NodeId(id), &output)?;
            match output {
                Output::Persist(write) => drop(self.writes.insert(id, write)),
                Output::Send(envelope) => self.net.push((id, envelope)),
                _ => {}
            }
        }
        Ok(())
    }

    fn propose(&mut self, id: u64) {
        let proposed = |raft: &mut Raft| {
            raft.propose(NOW, Bytes::new()).unwrap();
        };
        self.step(id, proposed).unwrap();
    }

    fn persist(&mut self, id: u64) -> Result<(), Violation> {
        let Some(write) = self.writes.remove(&id) else {
            return Ok(());
        };
        let disk = self.disks.get_mut(&id).unwrap();
        let Ok((messages, receipt)) = write.persist(|record| {
            disk.retain(|entry| {
                let head = record.head();
                head.truncate_from.is_none_or(|from| entry.id.index < from)
            });
            disk.extend(record.entries.iter().flatten().cloned());
            Ok::<_, Infallible>(())
        });
        self.checker.persisted(NodeId(id))?;
        self.net
            .extend(messages.into_iter().map(|envelope| (id, envelope.into())));
        self.step(id, |raft| raft.handle_persisted(NOW, receipt))
    }

    /// Delivers everything, except messages from a leader to node 3.
    fn settle(&mut self) {
        for _ in 0..20 {
            (1..=3).for_each(|id| self.persist(id).unwrap());
            for (from, envelope) in core::mem::take(&mut self.net) {
                let appends = matches!(envelope.message, Message::Replicate(_));
                if envelope.to != NodeId(3) || !appends {
                    self.step(envelope.to.0, |raft| {
                        raft.handle_message(NOW, NodeId(from), envelope.message);
                    })
                    .unwrap();
                }
            }
        }
    }

    fn crash(&mut self, id: u64, forget: usize) -> Result<(), Violation> {
        let disk = &self.disks[&id];
        let vote = self.checker.durable(NodeId(id)).unwrap();
        let vote = Some((vote.term(), vote.vote()));
        let raft = start(id, &disk[..disk.len() - forget], vote);
        self.writes.remove(&id);
        self.checker.crashed(NodeId(id));
        self.checker.started(&raft)?;
        self.rafts.insert(id, raft);
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

fn append(prev: LogId, entries: &[Entry], commit: u64) -> Replicate {
    Replicate::Append {
        term: Term(1),
        prev,
        entries: entries.to_vec().into(),
        commit: Index(commit),
    }
}

fn appended(term: u64, last: u64) -> Binding {
    Binding::Appended {
        term: Term(term),
        last: Index(last),
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
    assert_eq!(group.checker.commit(), Index(1));
    let durable = |group: &Group, id| group.checker.durable(NodeId(id)).unwrap().last();
    assert_eq!(durable(&group, 1), id(1, 1));
    assert_eq!(durable(&group, 2), id(1, 1));
    assert_eq!(durable(&group, 3), LogId::ZERO);
    (1..=3).for_each(|id| group.crash(id, 0).unwrap());
    group
        .step(2, |raft| {
            raft.handle_timeout(LATER);
        })
        .unwrap();
    group.settle();
    assert!(matches!(group.raft(2).role, RoleState::Leader(_)));
    assert_eq!(group.checker.commit(), Index(2));
}

#[test]
fn names_do_not_matter() {
    let group = Group::led();
    let turn = |NodeId(id)| NodeId(id % 3 + 1);
    let once = group.checker.renamed(turn);
    assert_ne!(once, group.checker);
    assert_eq!(once.renamed(turn).renamed(turn), group.checker);
    assert_eq!(
        once.durable(NodeId(2)),
        group.checker.renamed(turn).durable(NodeId(2))
    );
}
