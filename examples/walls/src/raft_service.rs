//! A replicated key-value store: Raft below, a map above, and patience with both.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_raft::{
    Config, Entry, Instant, Kind, LogId, Op, Output, Raft, Recovered, Role, Term, Write,
};
use synod_sim::{Context, Event, KvInput, KvOutput, NodeId, OpId, Process, Start, Value};

use crate::command;
use crate::scene::{Ask, Board};

/// A node of the store.
///
/// Every request goes through the log, reads too, and is asked again until it is answered: its name
/// stands in the log, and what has been applied under a name is not applied again. So a request that
/// is not answered is late, and never done twice.
#[derive(Debug)]
pub struct RaftService {
    id: NodeId,
    board: Rc<Board>,
    raft: Raft,
    /// The write that the disk has not finished.
    write: Option<Write>,
    map: BTreeMap<Box<[u8]>, Option<Value>>,
    /// What was answered to each request that was applied.
    answers: BTreeMap<OpId, KvOutput>,
    /// Requests of this node's clients.
    pending: BTreeMap<OpId, Vec<u8>>,
    retry_at: Option<Duration>,
}

/// What survives a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stable {
    vote: Option<(Term, Option<synod_raft::NodeId>)>,
    log: Vec<Entry>,
}

/// What nodes send each other.
#[derive(Clone, Debug, Hash)]
pub enum Packet {
    /// Of the protocol.
    Raft(synod_raft::Message),
    /// To the leader: a client of mine asks this.
    Forward(Vec<u8>),
}

impl Process for RaftService {
    type Message = Packet;
    type Input = Ask;
    type Shared = Rc<Board>;

    fn start(start: Start, board: &Rc<Board>, at: &mut Context<Packet>) -> io::Result<Self> {
        let voters = (1..=board.nodes).map(synod_raft::NodeId);
        let mut config = Config::new(synod_raft::NodeId(start.id.0), voters);
        config.seed = board.seed ^ start.incarnation;
        let stable = board.stable.borrow().get(&start.id).cloned();
        let Stable { vote, log } = stable.unwrap_or_default();
        let recovered = Recovered {
            vote,
            start: LogId::ZERO,
            snapshot: None,
            entries: log.into_iter().map(Ok::<Entry, Infallible>),
        };
        let raft = Raft::new(config, recovered, Instant(at.now)).map_err(io::Error::other)?;
        let mut node = Self {
            id: start.id,
            board: Rc::clone(board),
            raft,
            write: None,
            map: BTreeMap::new(),
            answers: BTreeMap::new(),
            pending: BTreeMap::new(),
            retry_at: None,
        };
        node.drain(at);
        Ok(node)
    }

    fn handle(&mut self, event: Event<Packet, Ask>, at: &mut Context<Packet>) -> io::Result<()> {
        let now = Instant(at.now);
        match event {
            Event::Message { from, message } => match message {
                Packet::Raft(message) => {
                    let from = synod_raft::NodeId(from.0);
                    self.raft.handle_message(now, from, message);
                }
                Packet::Forward(body) => {
                    // A follower lets it go: whoever waits asks again.
                    let _asked_again_later = self.raft.propose(now, body.into());
                }
            },
            Event::Input(Ask { op, input, .. }) => {
                let body = command::encode(op, &input);
                self.pending.insert(op, body.clone());
                self.request(at, body);
            }
            Event::SyncDone => self.persisted(at),
            _ => {
                if self.raft.poll_timeout().is_some_and(|due| due <= now) {
                    self.raft.handle_timeout(now);
                }
                if self.retry_at.is_some_and(|due| due <= at.now) {
                    self.retry_at = None;
                    let pending: Vec<_> = self.pending.values().cloned().collect();
                    pending.into_iter().for_each(|body| self.request(at, body));
                }
            }
        }
        self.drain(at);
        Ok(())
    }

    fn leads(&self) -> bool {
        self.raft.status().role == Role::Leader
    }
}

impl RaftService {
    /// What a key holds here, as far as this node has applied.
    #[must_use]
    pub fn local(&self, key: &str) -> Option<Value> {
        self.map.get(key.as_bytes()).cloned().flatten()
    }

    /// The term it is in.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.raft.term().0
    }

    fn request(&mut self, at: &mut Context<Packet>, body: Vec<u8>) {
        self.retry_at.get_or_insert(at.now + RETRY);
        match self.raft.leader() {
            Some(leader) if leader.0 == self.id.0 => {
                let _asked_again_later = self.raft.propose(Instant(at.now), body.into());
            }
            Some(leader) => at.send(NodeId(leader.0), Packet::Forward(body)),
            None => {}
        }
    }

    fn drain(&mut self, at: &mut Context<Packet>) {
        while let Some(output) = self.raft.poll_output() {
            match output {
                Output::Persist(write) => {
                    self.write = Some(write);
                    at.start_sync();
                }
                Output::Send(envelope) => {
                    at.send(NodeId(envelope.to.0), Packet::Raft(envelope.message));
                }
                Output::Apply(entries) => {
                    let commands = entries.iter().filter(|entry| entry.kind == Kind::Command);
                    for (op, input) in commands.filter_map(|entry| command::decode(&entry.body)) {
                        self.apply(at, op, &input);
                    }
                }
                // Logs are never compacted here, and reads go through the log.
                Output::Fetch(_) | Output::Read { .. } => {}
                Output::PullSnapshot { .. } | Output::Restore(_) => {}
                Output::Stop(_) => {}
            }
        }
        let due = self.raft.poll_timeout().map(|due| due.0);
        at.timer = [due, self.retry_at].into_iter().flatten().min();
    }

    /// What was said to be stored is.
    fn persisted(&mut self, at: &mut Context<Packet>) {
        let Some(write) = self.write.take() else {
            return;
        };
        let mut disks = self.board.stable.borrow_mut();
        let disk = disks.entry(self.id).or_default();
        let Ok((messages, receipt)) = write.persist(|record| {
            disk.store(&record);
            Ok::<(), Infallible>(())
        });
        drop(disks);
        for envelope in messages {
            let message = synod_raft::Message::Binding(envelope.message);
            at.send(NodeId(envelope.to.0), Packet::Raft(message));
        }
        self.raft.handle_persisted(Instant(at.now), receipt);
    }

    fn apply(&mut self, at: &Context<Packet>, op: OpId, input: &KvInput) {
        let answer = self.answers.entry(op).or_insert_with(|| {
            let held = self.map.entry(input.key.clone()).or_default();
            input.request.execute(held)
        });
        if self.pending.remove(&op).is_some() {
            self.board.answer(op, at.true_now, answer.clone());
        }
    }
}

impl Stable {
    fn store(&mut self, record: &synod_raft::Record) {
        for op in record.ops() {
            match op {
                Op::Vote(term, vote) => self.vote = Some((term, vote)),
                Op::Truncate(from) => self.log.retain(|entry| entry.id.index < from),
                Op::Start(start) => self.log.retain(|entry| entry.id.index > start.index),
                Op::Append(entries) => self.log.extend(entries.iter().cloned()),
            }
        }
    }
}

/// How long a request waits before it is asked again: longer than an answer takes.
const RETRY: Duration = Duration::from_millis(250);
