//! A replicated key-value store: Raft below, a map above, and patience with both.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_raft::{
    Config, Entry, Instant, Kind, LogId, Op, Output, Raft, Recovered, Role, Term, Write,
};
use synod_sim::page::{self, LOG_ENTRIES_MAX, Portrait, View, caption_of};
use synod_sim::{Context, Event, KvInput, KvOutput, NodeId, OpId, Process, Start, Value};

use crate::command;
use crate::scene::{Ask, Board, Founding, map_text};

/// A node of the store.
///
/// Every request goes through the log, reads too, and is asked again until it is answered: its name
/// stands in the log, and what has been applied under a name is not applied again. So a request that
/// is not answered is late, and never done twice.
#[derive(Debug)]
pub struct RaftService {
    id: NodeId,
    board: Rc<Board>,
    founding: Founding,
    raft: Raft,
    /// The write that the disk has not finished.
    write: Option<Write>,
    map: BTreeMap<Box<[u8]>, Option<Value>>,
    /// What was answered to each request that was applied.
    answers: BTreeMap<OpId, KvOutput>,
    /// Requests of this node's clients.
    pending: BTreeMap<OpId, Vec<u8>>,
    retry_at: Option<Duration>,
    /// Came while a write was under way, and is proposed together once that is over.
    queued: Vec<Vec<u8>>,
    /// Messages of nodes that were founded on something else.
    refused: u64,
}

/// What survives a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stable {
    founding: Option<Founding>,
    vote: Option<(Term, Option<synod_raft::NodeId>)>,
    log: Vec<Entry>,
}

/// What nodes send each other.
#[derive(Clone, Debug, Hash)]
pub enum Packet {
    /// Of the protocol, with the digest of what its sender was founded on.
    Raft(u64, synod_raft::Message),
    /// To the leader: a client of mine asks this.
    Forward(Vec<u8>),
}

impl Process for RaftService {
    type Message = Packet;
    type Input = Ask;
    type Shared = Rc<Board>;

    fn start(start: Start, board: &Rc<Board>, at: &mut Context<Packet>) -> io::Result<Self> {
        let founding = board.founding(start.id);
        let mut disks = board.stable.borrow_mut();
        let disk = disks.entry(start.id).or_default();
        let founded = disk.founding.get_or_insert_with(|| founding.clone());
        if *founded != founding && board.heeds_founding.get() {
            return Err(io::Error::other("this node was founded on something else"));
        }
        let Stable { vote, log, .. } = disk.clone();
        drop(disks);
        let voters = founding.voters.iter().map(|id| synod_raft::NodeId(id.0));
        let mut config = Config::new(synod_raft::NodeId(start.id.0), voters);
        config.seed = board.seed ^ start.incarnation;
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
            founding,
            raft,
            write: None,
            map: BTreeMap::new(),
            answers: BTreeMap::new(),
            pending: BTreeMap::new(),
            retry_at: None,
            queued: Vec::new(),
            refused: 0,
        };
        node.drain(at);
        Ok(node)
    }

    fn handle(&mut self, event: Event<Packet, Ask>, at: &mut Context<Packet>) -> io::Result<()> {
        let now = Instant(at.now);
        match event {
            Event::Message { from, message } => match message {
                Packet::Raft(digest, _) if self.refuses(digest) => self.refused += 1,
                Packet::Raft(_, message) => {
                    let from = synod_raft::NodeId(from.0);
                    self.raft.handle_message(now, from, message);
                }
                Packet::Forward(body) => self.propose(now, body),
            },
            Event::Input(Ask {
                op, input, with, ..
            }) => {
                let inputs: Vec<_> = [Some(input), with].into_iter().flatten().collect();
                let body = command::encode(op, &inputs);
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

impl Portrait for RaftService {
    fn view(&self) -> View {
        let status = self.raft.status();
        let mut view = View::default();
        view.role = format!("{:?}", status.role).to_lowercase();
        view.epoch = format!("term {}", status.term.0);
        view.leads = status.role == Role::Leader;
        view.committed = status.commit.0;
        view.log = self.log_on_disk();
        view.text = map_text(&self.map);
        let waits = self
            .pending
            .keys()
            .map(|op| format!("operation {} waits", op.0));
        view.marks = waits.collect();
        view
    }

    fn caption(packet: &Packet) -> (String, String) {
        match packet {
            Packet::Raft(_, message) => caption_of(message),
            Packet::Forward(body) => ("Forward".to_owned(), command_text(body)),
        }
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

    /// How many messages it refused, because their senders were founded on something else.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn refuses(&self, digest: u64) -> bool {
        self.board.heeds_founding.get() && digest != self.founding.digest()
    }

    fn send(&self, at: &mut Context<Packet>, to: synod_raft::NodeId, message: synod_raft::Message) {
        let digest = self.founding.digest();
        at.send(NodeId(to.0), Packet::Raft(digest, message));
    }

    /// A message that says it is of `from`, and is of nobody.
    pub fn forge(&mut self, now: Duration, from: NodeId, message: synod_raft::Message) {
        let from = synod_raft::NodeId(from.0);
        self.raft.handle_message(Instant(now), from, message);
    }

    /// The end of it, as a page shows it.
    fn log_on_disk(&self) -> BTreeMap<u64, page::Entry> {
        let disks = self.board.stable.borrow();
        let log = disks.get(&self.id).map_or(&[][..], |disk| &disk.log);
        let last = log.iter().rev().take(LOG_ENTRIES_MAX);
        let shown = last.map(|entry| {
            let text = match entry.kind {
                Kind::Command => command_text(&entry.body),
                _ => "the term begins".to_owned(),
            };
            let epoch = entry.id.term.0.to_string();
            (entry.id.index.0, page::Entry { epoch, text })
        });
        shown.collect()
    }

    fn request(&mut self, at: &mut Context<Packet>, body: Vec<u8>) {
        self.retry_at.get_or_insert(at.now + RETRY);
        match self.raft.leader() {
            Some(leader) if leader.0 == self.id.0 => {
                self.propose(Instant(at.now), body);
            }
            Some(leader) => at.send(NodeId(leader.0), Packet::Forward(body)),
            None => {}
        }
    }

    /// Who does not lead lets it go, and so does a full queue: whoever waits asks again.
    fn propose(&mut self, now: Instant, body: Vec<u8>) {
        if self.write.is_none() {
            let _asked_again_later = self.raft.propose(now, body.into());
        } else if self.queued.len() < QUEUED_MAX {
            self.queued.push(body);
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
                    self.send(at, envelope.to, envelope.message);
                }
                Output::Apply(entries) => {
                    let version = self.founding.version;
                    let commands = entries.iter().filter(|entry| entry.kind == Kind::Command);
                    // What is of a later version it cannot read, and goes past.
                    let read = commands.filter_map(|entry| command::decode(&entry.body, version));
                    for (op, inputs) in read {
                        self.apply(at, op, &inputs);
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
            self.send(at, envelope.to, message);
        }
        self.raft.handle_persisted(Instant(at.now), receipt);
        for body in std::mem::take(&mut self.queued) {
            self.propose(Instant(at.now), body);
        }
    }

    /// All requests of a command are carried out, and the first is answered.
    fn apply(&mut self, at: &Context<Packet>, op: OpId, inputs: &[KvInput]) {
        let answer = self.answers.entry(op).or_insert_with(|| {
            let outputs = inputs.iter().map(|input| {
                let held = self.map.entry(input.key.clone()).or_default();
                input.request.execute(held)
            });
            let outputs: Vec<_> = outputs.collect();
            outputs.into_iter().next().unwrap_or(KvOutput::Done)
        });
        if self.pending.remove(&op).is_some() {
            self.board.answer(op, at.true_now, answer.clone());
        }
    }
}

fn command_text(body: &[u8]) -> String {
    let Some((_, inputs)) = command::decode(body, u8::MAX) else {
        return "what nobody can read".to_owned();
    };
    let texts = inputs.iter().map(|input| format!("{input:?}"));
    texts.collect::<Vec<_>>().join(" and ")
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
const QUEUED_MAX: usize = 1_024;
