//! The loop around the core: inputs in, outputs out, and the checker sees all of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::{iter, mem, time};

use bytes::Bytes;
use synod_raft::check::Checker;
use synod_raft::{
    Config, Entry, Envelope, Fetch, Index, Instant, Kind, LogId, Message, NodeId, Output,
    ProposeError, Raft, Term,
};

use crate::log::Log;

/// What reaches a node.
pub(crate) enum Input {
    Message {
        from: NodeId,
        message: Message,
    },
    /// To be committed by a leader of a later term than this, if not by this node.
    Propose {
        body: Bytes,
        after: Term,
        answer: Answer,
    },
    /// Stop at once, as if the power had failed.
    Crash,
    /// Send what is applied, once the last of it is this command.
    Report {
        after: Bytes,
        to: Sender<Vec<Bytes>>,
    },
}

/// Committed, or who leads instead, and in which term. Dropped when the command is lost.
pub(crate) type Answer = Sender<Result<(), (NodeId, Term)>>;

/// Where each node takes its inputs. Without an entry the node is down, and messages to it are lost.
#[derive(Clone, Default)]
pub(crate) struct Peers(Arc<Mutex<BTreeMap<NodeId, Sender<Input>>>>);

impl Peers {
    pub(crate) fn send(&self, to: NodeId, input: Input) {
        if let Some(node) = lock(&self.0).get(&to) {
            // Whoever has just ended takes nothing: lost.
            let _ = node.send(input);
        }
    }
}

/// A node that runs in its thread.
pub(crate) struct Running {
    id: NodeId,
    peers: Peers,
    thread: JoinHandle<Result<(), String>>,
}

impl Running {
    pub(crate) fn crash(self) -> Result<(), Box<dyn Error>> {
        self.peers.send(self.id, Input::Crash);
        Ok(self.thread.join().map_err(|_| "a node panicked")??)
    }

    /// All that it has applied, once the last of it is this command.
    pub(crate) fn applied(&self, after: Bytes) -> Result<Vec<Bytes>, Box<dyn Error>> {
        let (to, report) = mpsc::channel();
        self.peers.send(self.id, Input::Report { after, to });
        Ok(report.recv()?)
    }
}

/// A node, as its thread has it.
pub(crate) struct Node {
    id: NodeId,
    raft: Raft,
    log: Log,
    inputs: Receiver<Input>,
    peers: Peers,
    checker: Arc<Mutex<Checker>>,
    began: time::Instant,
    applied: Vec<Bytes>,
    /// Commands for a leader that this node does not know yet.
    waiting: Vec<(Bytes, Term, Answer)>,
    report: Option<(Bytes, Sender<Vec<Bytes>>)>,
    /// Whom to answer when the entry at this index is applied.
    proposed: BTreeMap<Index, (LogId, Answer)>,
}

impl Node {
    #[allow(clippy::disallowed_methods, reason = "a driver reads the clock")]
    pub(crate) fn start(
        id: NodeId,
        voters: [NodeId; 3],
        path: &Path,
        peers: Peers,
        checker: Arc<Mutex<Checker>>,
    ) -> Result<Running, Box<dyn Error>> {
        let log = Log::open(path)?;
        let mut config = Config::new(id, voters);
        // Else all nodes would campaign at once.
        config.seed = id.0;
        let raft = Raft::new(config, log.recovered(), Instant::ZERO)?;
        lock(&checker).started(&raft)?;
        let (sender, inputs) = mpsc::channel();
        lock(&peers.0).insert(id, sender);
        let node = Self {
            id,
            raft,
            log,
            inputs,
            peers: peers.clone(),
            checker,
            began: time::Instant::now(),
            applied: Vec::new(),
            waiting: Vec::new(),
            report: None,
            proposed: BTreeMap::new(),
        };
        let thread = thread::spawn(move || {
            let ended = node
                .run()
                .map_err(|error| format!("node {}: {error}", id.0));
            ended.inspect_err(|error| eprintln!("{error}"))
        });
        Ok(Running { id, peers, thread })
    }

    fn run(mut self) -> Result<(), Box<dyn Error>> {
        loop {
            let Some(first) = self.wait() else {
                self.raft.handle_timeout(self.now());
                self.stepped()?;
                self.drain()?;
                continue;
            };
            // All that is there goes in before anything comes out: together it is one write and one message a peer.
            let more: Vec<_> = self.inputs.try_iter().collect();
            for input in iter::once(first).chain(more) {
                match input {
                    Input::Message { from, message } => {
                        self.raft.handle_message(self.now(), from, message);
                    }
                    Input::Propose {
                        body,
                        after,
                        answer,
                    } => self.propose(body, after, answer),
                    Input::Report { after, to } => self.report = Some((after, to)),
                    Input::Crash => {
                        lock(&self.peers.0).remove(&self.id);
                        return Ok(());
                    }
                }
                self.stepped()?;
            }
            self.drain()?;
            for (body, after, answer) in mem::take(&mut self.waiting) {
                self.propose(body, after, answer);
                self.stepped()?;
            }
            self.drain()?;
            if let Some((_, to)) = self
                .report
                .take_if(|(after, _)| self.applied.last() == Some(after))
            {
                let _ = to.send(self.applied.clone());
            }
        }
    }

    /// The next input, or None when the core wants to be called.
    fn wait(&self) -> Option<Input> {
        let due = self.raft.poll_timeout()?;
        let left = due.since(self.now());
        self.inputs.recv_timeout(left).ok()
    }

    fn now(&self) -> Instant {
        Instant(self.began.elapsed())
    }

    fn propose(&mut self, body: Bytes, after: Term, answer: Answer) {
        let term = self.raft.term();
        match self.raft.propose(self.now(), body.clone()) {
            Ok(id) => drop(self.proposed.insert(id.index, (id, answer))),
            Err(ProposeError::NotLeader(Some(leader))) if term > after => {
                let _ = answer.send(Err((leader, term)));
            }
            Err(_) => self.waiting.push((body, after, answer)),
        }
    }

    fn drain(&mut self) -> Result<(), Box<dyn Error>> {
        while let Some(output) = self.raft.poll_output() {
            lock(&self.checker).polled(self.id, &output)?;
            match output {
                Output::Persist(write) => {
                    let log = &mut self.log;
                    let (messages, receipt) = write.persist(|record| log.store(&record))?;
                    lock(&self.checker).persisted(self.id)?;
                    for envelope in messages {
                        self.send(envelope.into());
                    }
                    self.raft.handle_persisted(self.now(), receipt);
                    self.stepped()?;
                }
                Output::Send(envelope) => self.send(envelope),
                Output::Apply(entries) => {
                    for entry in entries.iter() {
                        self.apply(entry);
                    }
                }
                Output::Fetch(fetch) => self.fetch(fetch)?,
                Output::Read { .. } => {}
                Output::PullSnapshot { .. } | Output::Restore(_) => {
                    return Err("nobody here takes snapshots".into());
                }
                Output::Stop(why) => return Err(why.to_string().into()),
            }
        }
        Ok(())
    }

    fn send(&self, Envelope { to, message }: Envelope) {
        let from = self.id;
        self.peers.send(to, Input::Message { from, message });
    }

    fn apply(&mut self, entry: &Entry) {
        if entry.kind == Kind::Command {
            self.applied.push(entry.body.clone());
        }
        // Another entry at the index is the proof that the proposed one is lost: its answer is dropped.
        if let Some((id, answer)) = self.proposed.remove(&entry.id.index)
            && id == entry.id
        {
            let _ = answer.send(Ok(()));
        }
    }

    /// Entries that the core keeps no longer in memory.
    fn fetch(&mut self, fetch: Fetch) -> Result<(), Box<dyn Error>> {
        let entries = self.log.read(fetch.from(), fetch.to());
        self.raft.handle_fetched(self.now(), fetch, Ok(entries));
        self.stepped()
    }

    fn stepped(&self) -> Result<(), Box<dyn Error>> {
        Ok(lock(&self.checker).stepped(&self.raft)?)
    }
}

/// A lock that survives the panic of another thread, which is reported there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
