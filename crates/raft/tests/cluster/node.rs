//! One node as a driver runs it: the core, a disk that keeps what was written to it, a machine that
//! remembers what it was given.

use std::collections::BTreeMap;
use std::convert::Infallible;

use synod_raft::{
    Config, Entry, Envelope, Fetch, FetchError, Index, Instant, LogId, NodeId, Output, Raft,
    ReadId, Record, Recovered, Refusal, Snapshot, Term, Write,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    pub(crate) start: LogId,
    pub(crate) log: BTreeMap<u64, Entry>,
    /// The newest snapshot file and the machine in it.
    pub(crate) snapshot: Option<(Snapshot, Vec<LogId>)>,
    pub(crate) truncations: u64,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) raft: Option<Raft>,
    pub(crate) disk: Disk,
    pub(crate) write: Option<Write>,
    /// What the machine was given, by index from 1.
    pub(crate) machine: Vec<LogId>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) pulls: Vec<(NodeId, Snapshot)>,
    pub(crate) reads: Vec<(ReadId, Result<Index, Refusal>)>,
    pub(crate) restores: u64,
    pub(crate) writes: u64,
}

impl Disk {
    fn store(&mut self, record: &Record) {
        if let Some(vote) = record.vote {
            assert!(
                self.vote.is_none_or(|old| old.0 <= vote.0),
                "a stored term never falls"
            );
            self.vote = Some(vote);
        }
        if let Some(from) = record.truncate_from {
            self.truncations += 1;
            self.log.split_off(&from.0);
        }
        for entry in &record.entries {
            self.log.insert(entry.id.index.0, entry.clone());
        }
        if let Some(start) = record.start {
            let (snapshot, _) = self
                .snapshot
                .as_ref()
                .expect("a log begins behind a snapshot");
            assert!(
                snapshot.last.index >= start.index,
                "the snapshot is durable before the log is cut"
            );
            self.log = self.log.split_off(&(start.index.0 + 1));
            self.start = start;
        }
        for (at, index) in self.log.keys().enumerate() {
            assert_eq!(
                *index,
                self.start.index.0 + 1 + at as u64,
                "a stored log has no gap"
            );
        }
    }

    pub(crate) fn last(&self) -> LogId {
        self.log
            .values()
            .next_back()
            .map_or(self.start, |entry| entry.id)
    }

    pub(crate) fn id_at(&self, index: u64) -> Option<LogId> {
        if index == self.start.index.0 {
            return Some(self.start);
        }
        self.log.get(&index).map(|entry| entry.id)
    }

    /// Whether this disk alone can bring the entry back, as itself or inside a snapshot.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        let covered = self
            .snapshot
            .as_ref()
            .map_or(0, |(snapshot, _)| snapshot.last.index.0);
        id.index.0 <= covered || self.id_at(id.index.0) == Some(id)
    }

    fn read(&self, fetch: &Fetch) -> Result<Vec<Entry>, FetchError> {
        if fetch.from() <= self.start.index {
            return Err(FetchError::Cut {
                start: self.start.index,
            });
        }
        let mut bytes = 0;
        let range = self
            .log
            .range(fetch.from().0..=fetch.to().0)
            .map(|(_, entry)| entry.clone());
        let fits = |entry: &Entry| {
            let first = bytes == 0;
            bytes += entry.size();
            first || bytes <= fetch.bytes_max()
        };
        Ok(range.take_while(fits).collect())
    }
}

impl Node {
    pub(crate) fn new(config: Config, disk: Disk, now: Instant) -> Self {
        let recovered = Recovered {
            vote: disk.vote,
            start: disk.start,
            snapshot: disk.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()),
            entries: disk.log.values().cloned().map(Ok::<Entry, Infallible>),
        };
        let raft = Raft::new(config.clone(), recovered, now).expect("a disk of our own recovers");
        Self {
            config,
            raft: Some(raft),
            disk,
            write: None,
            machine: Vec::new(),
            fetches: Vec::new(),
            pulls: Vec::new(),
            reads: Vec::new(),
            restores: 0,
            writes: 0,
        }
    }

    pub(crate) fn raft(&mut self) -> &mut Raft {
        self.raft.as_mut().expect("the node is up")
    }

    /// Drains the outputs and gives back what leaves at once.
    pub(crate) fn pump(&mut self) -> Vec<Envelope> {
        let mut sent = Vec::new();
        while let Some(output) = self.raft.as_mut().and_then(Raft::poll_output) {
            match output {
                Output::Persist(write) => {
                    assert!(self.write.is_none(), "one write is in flight");
                    self.write = Some(write);
                    self.writes += 1;
                }
                Output::Send(envelope) => sent.push(envelope),
                Output::Apply(entry) => {
                    assert_eq!(
                        entry.id.index.0,
                        self.machine.len() as u64 + 1,
                        "applied in order"
                    );
                    assert!(self.disk.holds(entry.id), "applied before it was durable");
                    self.machine.push(entry.id);
                }
                Output::Fetch(fetch) => self.fetches.push(fetch),
                Output::Read { id, index } => self.reads.push((id, index)),
                Output::PullSnapshot { from, snapshot } => self.pulls.push((from, snapshot)),
                Output::Restore(snapshot) => self.restore(&snapshot),
            }
        }
        sent
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        let (file, machine) = self
            .disk
            .snapshot
            .as_ref()
            .expect("a snapshot to restore is durable");
        assert_eq!(file, snapshot, "the newest snapshot is restored");
        assert!(
            self.disk.start.index >= snapshot.last.index,
            "restored before its start is durable"
        );
        assert!(
            machine.len() >= self.machine.len(),
            "a machine is never taken back"
        );
        self.machine = machine.clone();
        self.restores += 1;
    }

    /// The write in flight becomes durable.
    pub(crate) fn persist(&mut self, now: Instant) -> Vec<Envelope> {
        let Some(write) = self.write.take() else {
            return Vec::new();
        };
        let Ok((messages, receipt)) = write.persist(|record| {
            self.disk.store(record);
            Ok::<(), Infallible>(())
        });
        self.raft().handle_persisted(now, receipt);
        messages
    }

    pub(crate) fn serve_fetch(&mut self, now: Instant) {
        if let Some(fetch) = self.fetches.pop() {
            let entries = self.disk.read(&fetch);
            self.raft().handle_fetched(now, fetch, entries);
        }
    }

    /// Takes a snapshot of the machine as it is.
    pub(crate) fn take_snapshot(&mut self, now: Instant) {
        let Some(last) = self.machine.last().copied() else {
            return;
        };
        if self
            .disk
            .snapshot
            .as_ref()
            .is_some_and(|(snapshot, _)| snapshot.last >= last)
        {
            return;
        }
        let membership = self.raft().membership().clone();
        let snapshot = Snapshot { last, membership };
        self.disk.snapshot = Some((snapshot.clone(), self.machine.clone()));
        self.raft().handle_snapshot(now, snapshot);
    }

    /// A pulled file is complete; `tell` is false if the node crashes before its core learns of it.
    pub(crate) fn finish_pull(&mut self, now: Instant, file: (Snapshot, Vec<LogId>), tell: bool) {
        let snapshot = file.0.clone();
        let newest = self
            .disk
            .snapshot
            .as_ref()
            .map_or(0, |(snapshot, _)| snapshot.last.index.0);
        if snapshot.last.index.0 <= newest {
            return;
        }
        self.disk.snapshot = Some(file);
        if tell {
            self.raft().handle_snapshot(now, snapshot);
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.raft.is_some()
    }

    /// Everything that was not durable is gone.
    pub(crate) fn crash(&mut self) {
        self.raft = None;
        self.write = None;
        self.machine.clear();
        self.fetches.clear();
        self.pulls.clear();
        self.reads.clear();
    }

    pub(crate) fn restart(&mut self, now: Instant) {
        *self = Self::new(self.config.clone(), self.disk.clone(), now);
    }
}
