//! One node with its disk, and how it handles inputs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use synod_durable::Few;
use synod_paxos::{
    Ballot, Binding, Config, DiskHealth, Echo, Envelope, Instant, Membership, Message, NodeId, Op,
    Output, Paxos, Position, Quorums, ReadId, Record, Recovered, Slot, State, Value, Vote, Votes,
    Write,
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
    /// Its election timeout expires, and the nodes that it asks have no leader either. Their
    /// answers are no separate events: an answer changes nothing but the round.
    Campaign,
    /// Its heartbeat is due, as a leader.
    Heartbeat,
    Propose,
    Read,
    /// It is to hand leadership to that node.
    Transfer(NodeId),
    /// It is to change the members.
    Change,
    /// Its write is durable, and the messages of that write are sent.
    Persist,
    /// It crashes, loses what is not durable, and restarts. How long that takes does not matter to
    /// other nodes, because messages wait.
    Restart,
    /// The same in the middle of a write with several steps: its last vote is lost.
    Torn,
}

/// A node, its disk, and its write in flight.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    group: Group,
    pub(crate) paxos: Paxos,
    pub(crate) write: Option<Write>,
    pub(crate) disk: Disk,
}

/// The configuration that all nodes share.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) quorums: Quorums,
    /// One value per message, and one vote per page of a promise.
    pub(crate) one_by_one: bool,
    /// The acceptors after a change, which governs from the slot after its own on.
    pub(crate) after: Option<Quorums>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    state: Option<State>,
    log: BTreeMap<Slot, Vote>,
}

/// A step on its way.
pub(crate) struct Step {
    pub(crate) node: Node,
    pub(crate) sent: Vec<Packet>,
    told: Vec<Told>,
}

/// A report to the checker.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Started(Paxos),
    Asked,
    Stepped(Paxos),
    Polled(Output),
    Persisted,
}

impl Node {
    pub(crate) fn new(id: NodeId, group: Group, disk: Disk) -> Self {
        let mut config = Config::new(id, group.quorums.clone());
        if let (Some(first), Some(_)) = (&mut config.first, &group.after) {
            first.alpha = 1;
        }
        if group.one_by_one {
            config.accept_bytes_max = 1;
        }
        let recovered = Recovered {
            state: disk.state,
            start: Position::ZERO,
            snapshot: None,
            votes: disk.log.values().cloned().map(Ok::<_, Infallible>),
        };
        let paxos = Paxos::new(config, recovered, Instant::ZERO);
        let paxos = paxos.expect("a disk of our own recovers");
        Self {
            id,
            group,
            paxos,
            write: None,
            disk,
        }
    }

    /// The record of the write in flight, which a crash would lose.
    pub(crate) fn unsynced(&self) -> Record {
        let record = self.write.clone().map(|write| open(write).0);
        record.unwrap_or_default()
    }

    pub(crate) fn vote_on_disk(&self, slot: Slot) -> Option<&Vote> {
        self.disk.log.get(&slot)
    }

    /// As a page shows it: the log is the one on its disk.
    pub(crate) fn view(&self) -> View {
        let status = self.paxos.status();
        let text = |ballot: Ballot| format!("{}.{}", ballot.round, ballot.node.0);
        let log = self.disk.log.iter().map(|(slot, vote)| {
            let shown = page::Entry {
                epoch: text(vote.ballot),
                text: format!("first proposed in {}", text(vote.value.origin)),
            };
            (slot.0, shown)
        });
        let mut view = View::default();
        view.role = format!("{:?}", status.role).to_lowercase();
        view.epoch = format!("ballot {}", text(status.ballot));
        view.leads = self.leads();
        view.committed = status.chosen.0;
        view.log = log.collect();
        if self.write.is_some() {
            view.text = "is writing".to_owned();
        }
        view
    }

    pub(crate) fn leads(&self) -> bool {
        self.paxos.leader() == Some(self.id)
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
        let message = packet.map(|packet| &packet.message);
        search::Step {
            goals: goals::reached(&before, input, message, &step),
            node: step.node,
            sent: step.sent,
            note: step.told,
        }
    }
}

/// The identity of this state: without time, random generator, counters and write numbers.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let write = self.write.clone().map(open);
        (self.id, self.paxos.without_time(), write, &self.disk).hash(state);
    }
}

impl Disk {
    fn store(&mut self, record: &Record) {
        record.ops().for_each(|op| self.apply(op));
    }

    fn apply(&mut self, op: Op<'_>) {
        match op {
            Op::State(state) => self.state = Some(state),
            Op::Votes(votes) => votes.iter().for_each(|vote| self.cast(vote)),
            Op::Start(_) => unreachable!("no snapshots here"),
        }
    }

    fn cast(&mut self, vote: Vote<&Value>) {
        self.log.insert(vote.slot, vote.cloned());
    }

    /// The write without its last vote.
    fn store_without_end(&mut self, record: &Record) {
        let last = votes_of(record).last().map(|vote| vote.slot);
        for op in record.ops() {
            match op {
                Op::Votes(votes) if last.is_none_or(|last| votes.last() >= last) => {
                    let before = votes.iter().filter(|vote| Some(vote.slot) < last);
                    return before.for_each(|vote| self.cast(vote));
                }
                op => self.apply(op),
            }
        }
    }
}

pub(crate) fn votes_of(record: &Record) -> Vec<Vote> {
    let runs = record.ops().filter_map(|op| match op {
        Op::Votes(votes) => Some(votes),
        Op::State(_) | Op::Start(_) => None,
    });
    runs.flat_map(Votes::iter).map(Vote::cloned).collect()
}

/// The record of a write, for inspection only.
fn open(write: Write) -> (Record, Few<Envelope<Binding>>) {
    let mut looked_at = Record::default();
    let Ok((messages, _receipt)) = write.persist(|record| {
        looked_at = record;
        Ok::<_, Infallible>(())
    });
    (looked_at, messages)
}

impl Step {
    fn handle(&mut self, input: Input, packet: Option<&Packet>) {
        let now = Instant::ZERO;
        let node = &mut self.node;
        match input {
            Input::Receive => {
                let Packet { from, message, .. } = packet.expect("it is received").clone();
                node.paxos.handle_message(now, from, message);
            }
            Input::Campaign => self.campaign(),
            Input::Heartbeat => {
                let due = node.paxos.poll_timeout().expect("a deadline");
                node.paxos.handle_timeout(due);
            }
            Input::Transfer(to) => {
                let _ = node.paxos.transfer(now, Some(to));
            }
            Input::Change => {
                let after = node.group.after.clone().expect("a group to become");
                let _ = node.paxos.change_membership(now, Membership::of(after));
            }
            Input::Propose => {
                let _ = node.paxos.propose(now, Bytes::from_static(b"x"));
            }
            Input::Read => {
                self.told.push(Told::Asked);
                let _ = node.paxos.read(now, READ);
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
                node.paxos.handle_persisted(now, receipt);
                self.told.push(Told::Persisted);
                messages.into_iter().for_each(|said| self.send(said.into()));
            }
            Input::Restart => self.restart(),
            Input::Torn => {
                let record = node.unsynced();
                node.disk.store_without_end(&record);
                self.restart();
            }
        }
        let paxos = self.node.paxos.clone();
        self.told.push(Told::Stepped(paxos));
    }

    fn restart(&mut self) {
        let node = &mut self.node;
        *node = Node::new(node.id, node.group.clone(), node.disk.clone());
        self.told.push(Told::Started(node.paxos.clone()));
    }

    fn campaign(&mut self) {
        let paxos = &mut self.node.paxos;
        paxos.handle_timeout(LATER);
        let (mut asked, mut others) = (None, Vec::new());
        while let Some(output) = paxos.poll_output() {
            self.told.push(Told::Polled(output.clone()));
            if let Output::Send(Envelope { to, message }) = output
                && let Message::Echo(Echo::Ask { attempt, .. }) = message
            {
                asked = Some(attempt);
                others.push(to);
            }
        }
        for peer in others {
            let answer = Echo::Answer {
                promised: Ballot::ZERO,
                attempt: asked.unwrap_or_default(),
                no_leader: true,
                chosen: Slot(0),
                disk: DiskHealth::default(),
                priority: None,
            };
            paxos.handle_message(LATER, peer, Message::Echo(answer));
        }
    }

    fn poll(&mut self) {
        while let Some(output) = self.node.paxos.poll_output() {
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

    /// Whether it answered a read, and with what.
    pub(crate) fn has_confirmed(&self) -> bool {
        let is_answer =
            |told: &Told| matches!(told, Told::Polled(Output::Read { slot: Ok(_), .. }));
        self.told.iter().any(is_answer)
    }
}

/// Past every timeout.
const LATER: Instant = Instant(Duration::from_secs(9));
/// One read is requested at a time.
pub(crate) const READ: ReadId = ReadId(1);
