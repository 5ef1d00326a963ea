//! One node with its disk, and how it handles inputs.

use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{
    Config, Entry, Envelope, Instant, LogId, Membership, Message, NodeId, Op, Output, Raft, Record,
    Recovered, Term, Write,
};
use synod_sim::page::{self, View};
use synod_sim::search;

use crate::goals;
use crate::model::Model;

/// A message in flight. Once sent, it may arrive at any time, any number of times, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Packet {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// An input of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    Receive,
    /// Its timer fires: a leader sends heartbeats, any other node campaigns.
    Timeout,
    Propose,
    /// It is to hand leadership to that node.
    Transfer(NodeId),
    /// It is to change the membership to that of the model, or to take the change back.
    Change,
    Abort,
    /// Its write is durable, and the messages of that write are sent.
    Persist,
    /// It crashes, loses what is not durable, and restarts. How long that takes does not matter to
    /// other nodes, because messages wait.
    Restart,
}

/// A node, its disk, and its write in flight.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Which nodes begin as voters, and to whom the membership may change.
    roster: Roster,
    pub(crate) raft: Raft,
    pub(crate) write: Option<Write>,
    pub(crate) disk: Disk,
}

/// The voters with which a group begins, which have ids from 1, and those of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) voters: usize,
    /// Who campaigns in the first term, alone.
    pub(crate) first: u64,
    /// Who of them is a witness; 0 for nobody.
    pub(crate) witness: u64,
    pub(crate) target: &'static [u64],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    vote: Option<(Term, Option<NodeId>)>,
    log: Vec<Entry>,
}

/// A step in progress.
struct Step {
    node: Node,
    sent: Vec<Packet>,
    told: Vec<Told>,
}

/// A report to the checker.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Started(Raft),
    Stepped(Raft),
    Polled(Output),
    Persisted,
}

impl Node {
    /// Timers fire at any time, so pre-vote and check-quorum could not work and are off. An append
    /// carries one entry, so that each entry may be acknowledged by itself.
    ///
    /// A node that joins knows no membership.
    pub(crate) fn new(id: NodeId, roster: Roster, disk: Disk) -> Self {
        let voters = 1..=roster.voters as u64;
        let known = voters.contains(&id.0);
        let mut config = Config::new(id, voters.filter(|_| known).map(NodeId));
        (config.pre_vote, config.check_quorum) = (false, false);
        let is_witness = |id: &NodeId| id.0 == roster.witness;
        config.witnesses = config.voters.iter().copied().filter(is_witness).collect();
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
            roster,
            raft,
            write: None,
            disk,
        }
    }

    /// The record of the write in flight, which a crash would lose.
    pub(crate) fn unsynced(&self) -> Record {
        let write = self.write.as_ref();
        write.map_or_else(Record::default, |write| write.record().clone())
    }

    pub(crate) fn take(self, input: Input, packet: Option<&Packet>) -> search::Step<Model> {
        let before = self.clone();
        let mut step = Step {
            node: self,
            sent: Vec::new(),
            told: Vec::new(),
        };
        step.handle(input, packet);
        step.poll();
        // A write without a record waits for no disk.
        while step.node.unsynced().is_empty() && step.node.write.is_some() {
            step.handle(Input::Persist, None);
            step.poll();
        }
        let Step { node, sent, told } = step;
        search::Step {
            goals: goals::reached(&before, input, &node, &sent),
            node,
            sent,
            note: told,
        }
    }

    /// Whether it takes no part any more.
    pub(crate) fn has_stopped(&self) -> bool {
        self.raft.poll_timeout().is_none()
    }

    /// As a page shows it: the log is the one on its disk.
    pub(crate) fn view(&self) -> View {
        let status = self.raft.status();
        let log = self.disk.log.iter().map(|entry| {
            let shown = page::Entry {
                epoch: entry.id.term.0.to_string(),
                text: format!("{:?}", entry.kind),
            };
            (entry.id.index.0, shown)
        });
        let mut view = View::default();
        view.role = format!("{:?}", status.role).to_lowercase();
        view.epoch = format!("term {}", status.term.0);
        view.leads = self.leads();
        view.committed = status.commit.0;
        view.log = log.collect();
        if self.write.is_some() {
            view.text = "is writing".to_owned();
        }
        view
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.leader() == Some(self.id)
    }
}

/// The identity of this state: without time, random generator, counters and write numbers.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let write = self.write.clone().map(|write| {
            let record = write.record().clone();
            let Ok((messages, _receipt)) = write.persist(|_| Ok::<_, Infallible>(()));
            (record, messages)
        });
        (self.id, self.raft.without_time(), write, &self.disk).hash(state);
    }
}

/// More than the longest election timeout.
const LATE: Duration = Duration::from_secs(1);

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
    fn handle(&mut self, input: Input, packet: Option<&Packet>) {
        let now = Instant::ZERO;
        let node = &mut self.node;
        match input {
            Input::Receive => {
                let Packet { from, message, .. } = packet.expect("it is received").clone();
                node.raft.handle_message(now, from, message);
            }
            Input::Timeout => {
                // So late that a transfer is over too.
                let due = node.raft.poll_timeout().expect("a deadline");
                node.raft.handle_timeout(due.plus(LATE));
            }
            Input::Propose => {
                let _ = node.raft.propose(now, Bytes::from_static(b"x"));
            }
            Input::Transfer(to) => {
                let _ = node.raft.transfer(now, Some(to));
            }
            Input::Change => {
                let voters = node.roster.target.iter().copied().map(NodeId);
                let target = Membership::of_voters(voters);
                let _ = node.raft.change_membership(now, target);
            }
            Input::Abort => {
                let _ = node.raft.abort_change(now);
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
                *node = Node::new(node.id, node.roster, node.disk.clone());
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
}
