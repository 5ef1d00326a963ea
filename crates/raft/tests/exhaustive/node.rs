//! One node with its disk, and what it makes of an input.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use synod_raft::check::{Checker, Violation};
use synod_raft::{
    Config, Entry, Envelope, Instant, LogId, Message, NodeId, Op, Output, Raft, Record, Recovered,
    Term, Write,
};

use crate::goals::Goals;

/// A message on its way. Sent once, it may arrive at any time, any number of times, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Packet {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// What may happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input<P> {
    Receive(P),
    /// Its timer fires: a heartbeat of a leader, a candidacy of everybody else.
    Timeout,
    Propose,
    /// Its write is durable, and what waited for it leaves.
    Persist,
    /// It crashes, loses what is not durable, and is there again. How long it is away does not
    /// matter to others: messages wait.
    Restart,
}

/// A node, its disk, and the write between the two.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// How many nodes the group has, numbered from 1.
    size: usize,
    pub(crate) raft: Raft,
    pub(crate) write: Option<Write>,
    pub(crate) disk: Disk,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    vote: Option<(Term, Option<NodeId>)>,
    log: Vec<Entry>,
}

/// What a node made of an input.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) node: Node,
    pub(crate) sent: Vec<Packet>,
    pub(crate) goals: Goals,
    /// What the checker is told of it.
    told: Vec<Told>,
}

#[derive(Clone, Debug)]
enum Told {
    Started(Raft),
    Stepped(Raft),
    Polled(Output),
    Persisted,
}

impl Node {
    /// Timers fire at will, so there is nothing that pre-vote and check-quorum could rest on. An
    /// append carries one entry, so that each may be acknowledged by itself.
    pub(crate) fn new(id: NodeId, size: usize, disk: Disk) -> Self {
        let mut config = Config::new(id, (1..=size as u64).map(NodeId));
        (config.pre_vote, config.check_quorum) = (false, false);
        config.append_bytes_max = 1;
        let recovered = Recovered {
            vote: disk.vote,
            start: LogId::ZERO,
            snapshot: None,
            entries: disk.log.iter().cloned().map(Ok::<_, Infallible>),
        };
        let raft = Raft::new(config, recovered, Instant::ZERO).expect("a disk of our own recovers");
        Self {
            id,
            size,
            raft,
            write: None,
            disk,
        }
    }

    /// What tells this state from others: without time, generator, counters and numbers of writes.
    pub(crate) fn projection(&self) -> impl std::hash::Hash {
        let write = self.write.clone().map(|write| {
            let record = write.record().clone();
            let Ok((messages, _receipt)) = write.persist(|_| Ok::<_, Infallible>(()));
            (record, messages)
        });
        (self.id, self.raft.without_time(), write, self.disk.clone())
    }

    /// The record of the write in flight, which a crash would lose.
    pub(crate) fn unsynced(&self) -> Record {
        let write = self.write.as_ref();
        write.map_or_else(Record::default, |write| write.record().clone())
    }

    /// `Err`: the core broke an assertion of its own.
    pub(crate) fn step(&self, input: &Input<Packet>) -> Result<Step, String> {
        let step = catch_unwind(AssertUnwindSafe(|| self.clone().take(input)));
        step.map_err(|panic| match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic
                .downcast::<&str>()
                .map_or_else(|_| "a panic".to_owned(), |text| (*text).to_owned()),
        })
    }

    fn take(self, input: &Input<Packet>) -> Step {
        let before = self.clone();
        let mut step = Step {
            node: self,
            sent: Vec::new(),
            goals: Goals::default(),
            told: Vec::new(),
        };
        step.handle(input);
        step.poll();
        // What has nothing to store waits for no disk.
        while step.node.unsynced().is_empty() && step.node.write.is_some() {
            step.handle(&Input::Persist);
            step.poll();
        }
        step.goals = Goals::of(&before, input, &step.node, &step.sent);
        step
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.leader() == Some(self.id)
    }
}

impl Disk {
    fn store(&mut self, record: &Record) {
        for op in record.ops() {
            match op {
                Op::Vote(term, vote) => self.vote = Some((term, vote)),
                Op::Truncate(from) => self.log.retain(|entry| entry.id.index < from),
                Op::Append(entries) => self.log.extend_from_slice(entries),
                Op::Start(_) => unreachable!("no snapshots here"),
            }
        }
    }
}

impl Step {
    fn handle(&mut self, input: &Input<Packet>) {
        let now = Instant::ZERO;
        let node = &mut self.node;
        match input {
            Input::Receive(Packet { from, message, .. }) => {
                node.raft.handle_message(now, *from, message.clone());
            }
            Input::Timeout => {
                let due = node.raft.poll_timeout().expect("a deadline");
                node.raft.handle_timeout(due);
            }
            Input::Propose => {
                let _ = node.raft.propose(now, Bytes::from_static(b"x"));
            }
            Input::Persist => {
                let Some(write) = node.write.take() else {
                    return;
                };
                let disk = &mut node.disk;
                let Ok((messages, receipt)) = write.persist(|record| {
                    disk.store(&record);
                    Ok::<_, Infallible>(())
                });
                node.raft.handle_persisted(now, receipt);
                self.told.push(Told::Persisted);
                let messages = messages.into_iter().map(Envelope::from);
                messages.for_each(|message| self.send(message));
            }
            Input::Restart => {
                *node = Node::new(node.id, node.size, node.disk.clone());
                self.told.push(Told::Started(node.raft.clone()));
            }
        }
        self.told.push(Told::Stepped(self.node.raft.clone()));
    }

    fn poll(&mut self) {
        while let Some(output) = self.node.raft.poll_output() {
            self.told.push(Told::Polled(output.clone()));
            match output {
                Output::Persist(write) => self.node.write = Some(write),
                Output::Send(envelope) => self.send(envelope),
                _ => {}
            }
        }
    }

    fn send(&mut self, envelope: Envelope) {
        let Envelope { to, message } = envelope;
        let from = self.node.id;
        self.sent.push(Packet { from, to, message });
    }

    /// What the checker knows after it, if it breaks no rule.
    pub(crate) fn check(&self, checker: &Checker) -> Result<Checker, Violation> {
        let mut checker = checker.clone();
        let id = self.node.id;
        for told in &self.told {
            match told {
                Told::Started(raft) => checker.started(raft)?,
                Told::Stepped(raft) => checker.stepped(raft)?,
                Told::Polled(output) => checker.polled(id, output)?,
                Told::Persisted => checker.persisted(id)?,
            }
        }
        Ok(checker)
    }
}
