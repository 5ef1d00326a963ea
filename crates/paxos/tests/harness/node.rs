//! One node as a driver runs it: the core, a disk that keeps what was written to it, a machine that
//! remembers what it was given.

use std::collections::BTreeMap;
use std::convert::Infallible;

use synod_paxos::{
    Ballot, Chosen, Config, Entries, Envelope, Fetch, FetchError, Instant, NodeId, Op, Output,
    Paxos, Position, ReadId, Receipt, Record, RecoverError, Recovered, Refusal, Role, Slot,
    Snapshot, State, Stop, Value, Vote, Write,
};

use super::watch::Watch;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) state: Option<State>,
    pub(crate) start: Position,
    pub(crate) log: BTreeMap<u64, Vote>,
    /// The newest snapshot file and the machine in it.
    pub(crate) snapshot: Option<(Snapshot, Vec<Position>)>,
    /// Votes that replaced a vote for another value.
    pub(crate) replaced: u64,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) paxos: Option<Paxos>,
    pub(crate) disk: Disk,
    pub(crate) write: Option<Write>,
    /// What the machine was given, by index from 1.
    pub(crate) machine: Vec<Position>,
    /// The values of the commands among it.
    pub(crate) commands: Vec<bytes::Bytes>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) pulls: Vec<(NodeId, Snapshot)>,
    pub(crate) reads: Vec<(ReadId, Result<Slot, Refusal>)>,
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
    Chooses(Role, Slot),
    Sends(Envelope),
    Writes(Record),
    Stores(Record),
    Applies(Chosen),
    Fetches(Fetch),
    Pulls(NodeId, Snapshot),
    Restores(Snapshot),
    Stops(Stop),
    Answers(ReadId, Result<Slot, Refusal>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    pub(crate) ballot: Ballot,
    pub(crate) leader: Option<NodeId>,
    pub(crate) chosen: Slot,
}

impl Standing {
    fn of(paxos: &Paxos) -> Self {
        let status = paxos.status();
        Self {
            role: status.role,
            ballot: status.ballot,
            leader: status.leader,
            chosen: status.chosen,
        }
    }
}

impl Disk {
    fn store(&mut self, record: &Record) {
        let mut last = Slot(0);
        for op in record.ops() {
            match op {
                Op::State(state) => self.state = Some(state),
                Op::Start(start) => self.begin_after(start),
                Op::Votes(votes) => {
                    for vote in votes.iter() {
                        assert!(vote.slot > last, "a record's votes ascend");
                        last = vote.slot;
                        self.cast(vote.cloned());
                    }
                }
            }
        }
    }

    fn cast(&mut self, vote: Vote) {
        let promised = self.state.unwrap_or_default().promised;
        assert!(
            vote.ballot <= promised,
            "a vote is stored before its promise"
        );
        assert!(vote.slot > self.start.slot, "a vote before the start");
        if let Some(old) = self.log.get(&vote.slot.0) {
            assert!(old.ballot < vote.ballot, "a vote of an earlier ballot wins");
            self.replaced += u64::from(old.value != vote.value);
        }
        self.log.insert(vote.slot.0, vote);
    }

    fn begin_after(&mut self, start: Position) {
        let (snapshot, _) = self
            .snapshot
            .as_ref()
            .expect("a log begins behind a snapshot");
        assert!(
            snapshot.last.slot >= start.slot,
            "the snapshot is durable before the log is cut"
        );
        self.log = self.log.split_off(&(start.slot.0 + 1));
        self.start = start;
    }

    pub(crate) fn promised(&self) -> Ballot {
        self.state.unwrap_or_default().promised
    }

    /// The value for which there is a vote.
    pub(crate) fn value_at(&self, slot: Slot) -> Option<&Value> {
        self.log.get(&slot.0).map(|vote| &vote.value)
    }

    /// The last slot that the newest snapshot covers.
    pub(crate) fn covered(&self) -> Position {
        self.snapshot
            .as_ref()
            .map_or(Position::ZERO, |(snapshot, _)| snapshot.last)
    }

    /// Whether this disk alone can bring the value back, as itself or inside a snapshot.
    pub(crate) fn holds(&self, position: Position) -> bool {
        let origin = self.value_at(position.slot).map(|value| value.origin);
        position.slot <= self.covered().slot || origin == Some(position.origin)
    }

    fn read(&self, fetch: &Fetch) -> Result<Entries, FetchError> {
        if fetch.from() <= self.start.slot {
            return Err(FetchError::Cut {
                start: self.start.slot,
            });
        }
        let mut bytes = 0;
        let range = self
            .log
            .range(fetch.from().0..=fetch.to().0)
            .map(|(_, vote)| vote.value.clone());
        let fits = |value: &Value| {
            let first = bytes == 0;
            bytes += value.size();
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
            state: disk.state,
            start: disk.start,
            snapshot: disk.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()),
            votes: disk
                .log
                .values()
                .cloned()
                .collect::<Vec<_>>()
                .into_iter()
                .map(Ok::<Vote, Infallible>),
        };
        let paxos = Paxos::new(config.clone(), recovered, now)?;
        let seen = Standing::of(&paxos);
        Ok(Self {
            config,
            paxos: Some(paxos),
            disk,
            write: None,
            machine: Vec::new(),
            commands: Vec::new(),
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

    pub(crate) fn paxos(&mut self) -> &mut Paxos {
        self.paxos.as_mut().expect("the node is up")
    }

    /// Something happens to the core.
    pub(crate) fn input<R>(&mut self, input: impl FnOnce(&mut Paxos) -> R) -> R {
        let result = input(self.paxos());
        self.look();
        result
    }

    /// Notes what the last input made of the node.
    fn look(&mut self) {
        if self.journal.is_none() {
            return;
        }
        let now = Standing::of(self.paxos());
        let before = std::mem::replace(&mut self.seen, now);
        if (before.role, before.ballot, before.leader) != (now.role, now.ballot, now.leader) {
            self.note(|| Deed::Stands(before.role, now));
        }
        if before.chosen != now.chosen {
            self.note(|| Deed::Chooses(now.role, now.chosen));
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
        while let Some(output) = self.paxos.as_mut().and_then(Paxos::poll_output) {
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
                Output::Apply(chosen) => {
                    for (position, value) in chosen.iter() {
                        let next = self.machine.len() as u64 + 1;
                        assert_eq!(position.slot.0, next, "applied in order");
                        assert!(self.disk.holds(position), "applied before it was durable");
                        self.machine.push(position);
                        self.commands.push(value.body.clone());
                    }
                    watch.applied(&chosen);
                    self.note(|| Deed::Applies(chosen));
                }
                Output::Fetch(fetch) => {
                    self.note(|| Deed::Fetches(fetch.clone()));
                    self.fetches.push(fetch);
                }
                Output::Read { id, slot } => {
                    self.note(|| Deed::Answers(id, slot));
                    self.reads.push((id, slot));
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

    fn restore(&mut self, snapshot: &Snapshot) {
        let (file, machine) = self
            .disk
            .snapshot
            .as_ref()
            .expect("a snapshot to restore is durable");
        assert_eq!(file, snapshot, "the newest snapshot is restored");
        assert!(
            self.disk.start.slot >= snapshot.last.slot,
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
        watch.persisted(self.config.id, &self.disk, &messages);
        self.note(|| Deed::Stores(record));
        for envelope in &messages {
            self.note(|| Deed::Sends(envelope.clone()));
        }
        self.input(|paxos| paxos.handle_persisted(now, receipt));
        messages
    }

    /// The write in flight reaches the disk, and the node learns nothing of it.
    pub(crate) fn store_untold(&mut self) {
        drop(self.store());
    }

    fn store(&mut self) -> Option<(Record, Vec<Envelope>, Receipt)> {
        let write = self.write.take()?;
        let mut stored = Record::default();
        let Ok((messages, receipt)) = write.persist(|record| {
            self.disk.store(&record);
            stored = record;
            Ok::<(), Infallible>(())
        });
        let messages = messages.into_iter().map(Envelope::from).collect();
        Some((stored, messages, receipt))
    }

    pub(crate) fn serve_fetch(&mut self, now: Instant) {
        if let Some(fetch) = self.fetches.pop() {
            let values = self.disk.read(&fetch);
            self.input(|paxos| paxos.handle_fetched(now, fetch, values));
        }
    }

    /// Takes a snapshot of the machine as it is.
    pub(crate) fn take_snapshot(&mut self, now: Instant) {
        let Some(last) = self.machine.last().copied() else {
            return;
        };
        if self.disk.covered().slot >= last.slot {
            return;
        }
        let configuration = self.paxos().configuration().clone();
        let snapshot = Snapshot {
            last,
            configuration,
        };
        self.disk.snapshot = Some((snapshot.clone(), self.machine.clone()));
        self.input(|paxos| paxos.handle_snapshot(now, snapshot));
    }

    /// A pulled file is complete; `tell` is false if the node crashes before its core learns of it.
    pub(crate) fn finish_pull(
        &mut self,
        now: Instant,
        file: (Snapshot, Vec<Position>),
        tell: bool,
    ) {
        let snapshot = file.0.clone();
        if snapshot.last.slot <= self.disk.covered().slot {
            return;
        }
        self.disk.snapshot = Some(file);
        if tell {
            self.input(|paxos| paxos.handle_snapshot(now, snapshot));
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.paxos.is_some()
    }

    /// Everything that was not durable is gone.
    pub(crate) fn crash(&mut self) {
        self.paxos = None;
        self.write = None;
        self.machine.clear();
        self.commands.clear();
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
