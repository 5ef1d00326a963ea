//! One node as a driver runs it: the core, a disk that keeps what was written to it, a machine that
//! remembers what it was given.

use std::collections::BTreeMap;
use std::convert::Infallible;

use synod_raft::{
    Config, Entries, Entry, Envelope, Fetch, FetchError, Index, Instant, LogId, NodeId, Op, Output,
    Raft, ReadId, Record, RecoverError, Recovered, Refusal, Role, Snapshot, Stop, Term, Write,
};

use super::watch::Watch;

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
    /// It takes no part any more.
    pub(crate) stopped: Option<Stop>,
    /// What it did, for who wants to tell of it.
    pub(crate) journal: Option<Vec<Deed>>,
    seen: Standing,
}

/// What a node did, or what became of it, in order.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// With what it was before.
    Stands(Role, Standing),
    Commits(Role, Index),
    Sends(Envelope),
    Writes(Record),
    Stores(Record),
    Applies(Entry),
    Fetches(Fetch),
    Pulls(NodeId, Snapshot),
    Restores(Snapshot),
    Stops(Stop),
    Answers(ReadId, Result<Index, Refusal>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) commit: Index,
}

impl Standing {
    fn of(raft: &Raft) -> Self {
        let status = raft.status();
        Self {
            role: status.role,
            term: status.term,
            leader: status.leader,
            commit: status.commit,
        }
    }
}

impl Disk {
    fn store(&mut self, record: &Record) {
        for op in record.ops() {
            match op {
                Op::Vote(term, vote) => self.vote = Some((term, vote)),
                Op::Truncate(from) => {
                    self.truncations += 1;
                    self.log.split_off(&from.0);
                }
                Op::Start(start) => self.begin_after(start),
                Op::Append(entries) => entries.iter().for_each(|entry| {
                    let next = self.last().index.next();
                    assert_eq!(entry.id.index, next, "a stored log has no gap");
                    self.log.insert(entry.id.index.0, entry.clone());
                }),
            }
        }
    }

    fn begin_after(&mut self, start: LogId) {
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

    /// The last entry that the newest snapshot covers.
    pub(crate) fn covered(&self) -> LogId {
        self.snapshot
            .as_ref()
            .map_or(LogId::ZERO, |(snapshot, _)| snapshot.last)
    }

    /// Whether this disk alone can bring the entry back, as itself or inside a snapshot.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        id.index <= self.covered().index || self.id_at(id.index.0) == Some(id)
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
    /// # Errors
    /// If what the disk holds is no storage of a node.
    pub(crate) fn recover(
        config: Config,
        disk: Disk,
        now: Instant,
    ) -> Result<Self, RecoverError<Infallible>> {
        let recovered = Recovered {
            vote: disk.vote,
            start: disk.start,
            snapshot: disk.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()),
            entries: disk.log.values().cloned().map(Ok::<Entry, Infallible>),
        };
        let raft = Raft::new(config.clone(), recovered, now)?;
        let seen = Standing::of(&raft);
        Ok(Self {
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
            stopped: None,
            journal: None,
            seen,
        })
    }

    pub(crate) fn new(config: Config, disk: Disk, now: Instant) -> Self {
        Self::recover(config, disk, now).expect("a disk of our own recovers")
    }

    pub(crate) fn raft(&mut self) -> &mut Raft {
        self.raft.as_mut().expect("the node is up")
    }

    /// Something happens to the core.
    pub(crate) fn input<R>(&mut self, input: impl FnOnce(&mut Raft) -> R) -> R {
        let result = input(self.raft());
        self.look();
        result
    }

    /// Notes what the last input made of the node.
    fn look(&mut self) {
        if self.journal.is_none() {
            return;
        }
        let now = Standing::of(self.raft());
        let before = std::mem::replace(&mut self.seen, now);
        if (before.role, before.term, before.leader) != (now.role, now.term, now.leader) {
            self.note(|| Deed::Stands(before.role, now));
        }
        if before.commit != now.commit {
            self.note(|| Deed::Commits(now.role, now.commit));
        }
    }

    fn note(&mut self, deed: impl FnOnce() -> Deed) {
        if let Some(journal) = &mut self.journal {
            journal.push(deed());
        }
    }

    /// Drains the outputs and gives back what leaves at once.
    pub(crate) fn pump(&mut self, watch: &mut Watch) -> Vec<Envelope> {
        let mut sent = Vec::new();
        while let Some(output) = self.raft.as_mut().and_then(Raft::poll_output) {
            watch.polled(self.config.id, &output);
            match output {
                Output::Persist(write) => {
                    assert!(self.write.is_none(), "one write is in flight");
                    self.note(|| Deed::Writes(write.record().clone()));
                    self.write = Some(write);
                    self.writes += 1;
                }
                Output::Send(envelope) => {
                    self.note(|| Deed::Sends(envelope.clone()));
                    sent.push(envelope);
                }
                Output::Apply(entries) => {
                    entries.iter().for_each(|entry| self.apply(entry));
                }
                Output::Fetch(fetch) => {
                    self.note(|| Deed::Fetches(fetch.clone()));
                    self.fetches.push(fetch);
                }
                Output::Read { id, index } => {
                    self.note(|| Deed::Answers(id, index));
                    self.reads.push((id, index));
                }
                Output::PullSnapshot { from, snapshot } => {
                    self.note(|| Deed::Pulls(from, (*snapshot).clone()));
                    self.pulls.push((from, *snapshot));
                }
                Output::Restore(snapshot) => self.restore(&snapshot),
                Output::Stop(why) => {
                    self.note(|| Deed::Stops(why));
                    self.stopped = Some(why);
                }
            }
        }
        sent
    }

    fn apply(&mut self, entry: &Entry) {
        let next = self.machine.len() as u64 + 1;
        assert_eq!(entry.id.index.0, next, "applied in order");
        assert!(self.disk.holds(entry.id), "applied before it was durable");
        self.machine.push(entry.id);
        self.note(|| Deed::Applies(entry.clone()));
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
        self.note(|| Deed::Restores(snapshot.clone()));
    }

    /// The write in flight becomes durable; what waited for it leaves.
    pub(crate) fn persist(&mut self, now: Instant, watch: &mut Watch) -> Vec<Envelope> {
        let Some((record, messages, receipt)) = self.store() else {
            return Vec::new();
        };
        watch.persisted(self.config.id);
        self.note(|| Deed::Stores(record));
        for envelope in &messages {
            self.note(|| Deed::Sends(envelope.clone()));
        }
        self.input(|raft| raft.handle_persisted(now, receipt));
        messages
    }

    /// The write in flight reaches the disk, and the node learns nothing of it.
    pub(crate) fn store_untold(&mut self) {
        drop(self.store());
    }

    fn store(&mut self) -> Option<(Record, Vec<Envelope>, synod_raft::Receipt)> {
        let write = self.write.take()?;
        let stored = write.record().clone();
        let Ok((messages, receipt)) = write.persist(|record| {
            self.disk.store(&record);
            Ok::<(), Infallible>(())
        });
        let messages = messages.into_iter().map(Envelope::from);
        Some((stored, messages.collect(), receipt))
    }

    pub(crate) fn serve_fetch(&mut self, now: Instant) {
        if let Some(fetch) = self.fetches.pop() {
            let entries = self.disk.read(&fetch).map(Entries::from);
            self.input(|raft| raft.handle_fetched(now, fetch, entries));
        }
    }

    /// Takes a snapshot of the machine as it is.
    pub(crate) fn take_snapshot(&mut self, now: Instant) {
        let Some(last) = self.machine.last().copied() else {
            return;
        };
        if self.disk.covered() >= last {
            return;
        }
        let membership = self.raft().membership().clone();
        let snapshot = Snapshot { last, membership };
        self.disk.snapshot = Some((snapshot.clone(), self.machine.clone()));
        self.input(|raft| raft.handle_snapshot(now, snapshot));
    }

    /// A pulled file is complete; `tell` is false if the node crashes before its core learns of it.
    pub(crate) fn finish_pull(&mut self, now: Instant, file: (Snapshot, Vec<LogId>), tell: bool) {
        let snapshot = file.0.clone();
        if snapshot.last.index <= self.disk.covered().index {
            return;
        }
        self.disk.snapshot = Some(file);
        if tell {
            self.input(|raft| raft.handle_snapshot(now, snapshot));
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

    /// # Errors
    /// As for [`Self::recover`]; then the node stays down.
    pub(crate) fn restart(&mut self, now: Instant) -> Result<(), RecoverError<Infallible>> {
        let journal = self.journal.is_some().then(Vec::new);
        let (restores, writes) = (self.restores, self.writes);
        *self = Self::recover(self.config.clone(), self.disk.clone(), now)?;
        (self.journal, self.restores, self.writes) = (journal, restores, writes);
        Ok(())
    }
}
