//! Raft among liars.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{
    Binding, Change, Config, DiskHealth, Drift, Echo, Entries, Entry, Fetch, FetchError, Index,
    Instant, Kind, Lease, LogId, Membership, Message, NodeId, Op, Output, Raft, ReadId, Record,
    Recovered, Replicate, Snapshot, Term, Write,
};

use super::{INPUT_BYTES_MAX, OUTPUTS_MAX};
use crate::memory::bounded_by;
use crate::script::{Script, noise};

/// First bytes: the node's settings. Then an input for every few bytes.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    config.pre_vote = !script.flag();
    config.check_quorum = !script.flag();
    config.cache_bytes_max = script.pick(&[40, 1 << 20]);
    config.append_bytes_max = script.pick(&[1 << 20, 60]);
    config.uncommitted_bytes_max = script.pick(&[1 << 20, 200]);
    config.reads_max = 8;
    config.lease = Some(Lease {
        length: config.election_timeout_min,
        drift: Drift(1000),
    });
    let mut victim = Victim::new(config, Disk::default(), Instant::ZERO);
    while !script.is_over() && !victim.stopped {
        bounded_by(INPUT_BYTES_MAX, || victim.step(&mut script));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (1..=8)
        .map(|seed| noise(seed, 250 * seed as usize))
        .collect()
}

#[derive(Clone, Debug, Default)]
struct Disk {
    vote: Option<(Term, Option<NodeId>)>,
    start: LogId,
    log: BTreeMap<u64, Entry>,
    snapshot: Option<Snapshot>,
}

impl Disk {
    /// Stores that many changes of a record: a crash may cut it anywhere.
    fn store(&mut self, record: &Record, changes_max: usize) {
        let mut left = changes_max;
        for op in record.ops() {
            let entries_max = left;
            left = match op {
                Op::Append(run) => left.saturating_sub(run.len()),
                _ if left == 0 => return,
                _ => left - 1,
            };
            match op {
                Op::Vote(term, vote) => self.vote = Some((term, vote)),
                Op::Truncate(from) => drop(self.log.split_off(&from.0)),
                Op::Start(start) => {
                    let covered = self.snapshot.as_ref().map(|snapshot| snapshot.last.index);
                    assert!(covered >= Some(start.index), "cut without a snapshot");
                    self.log = self.log.split_off(&start.index.0.saturating_add(1));
                    self.start = start;
                }
                Op::Append(run) => run.iter().take(entries_max).for_each(|entry| {
                    let last = self.log.keys().next_back().copied();
                    let last = last.unwrap_or(self.start.index.0);
                    assert_eq!(entry.id.index.0, last + 1, "a stored log has no gap");
                    self.log.insert(entry.id.index.0, entry.clone());
                }),
            }
        }
    }

    fn read(&self, fetch: &Fetch) -> Result<Entries, FetchError> {
        let start = self.start.index;
        if fetch.from() <= start {
            return Err(FetchError::Cut { start });
        }
        let entries = self.log.range(fetch.from().0..=fetch.to().0);
        Ok(entries.map(|(_, entry)| entry.clone()).collect())
    }
}

struct Victim {
    config: Config,
    raft: Raft,
    now: Instant,
    disk: Disk,
    write: Option<Write>,
    fetches: Vec<Fetch>,
    pulls: Vec<Snapshot>,
    /// Where the machine is.
    applied: u64,
    reads: u64,
    /// It said that it takes no part any more.
    stopped: bool,
}

impl Victim {
    fn new(config: Config, disk: Disk, now: Instant) -> Self {
        let recovered = Recovered {
            vote: disk.vote,
            start: disk.start,
            snapshot: disk.snapshot.clone(),
            entries: disk.log.values().cloned().map(Ok::<_, Infallible>),
        };
        let raft = Raft::new(config.clone(), recovered, now);
        Self {
            config,
            raft: raft.expect("a node starts from what it wrote itself"),
            now,
            disk,
            write: None,
            fetches: Vec::new(),
            pulls: Vec::new(),
            applied: 0,
            reads: 0,
            stopped: false,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.now = self.now.plus(Duration::from_millis(script.below(64)));
        let now = self.now;
        match script.below(32) {
            0..18 => {
                let from = NodeId(script.pick(&[2, 3, 2, 3, 2, 3, 1, 9]));
                let message = self.message(script);
                self.raft.handle_message(now, from, message);
            }
            18..20 => {
                self.now = self.raft.poll_timeout().unwrap_or(now).max(now);
                self.raft.handle_timeout(self.now);
            }
            20 => drop(self.raft.propose(now, Bytes::from_static(b"proposed"))),
            21 if script.one_in(4) => drop(self.raft.abort_change(now)),
            21 => drop(self.raft.change_membership(now, membership(script))),
            22 => {
                self.reads += 1;
                let _refused = self.raft.read(now, ReadId(self.reads));
                let _refused = self.raft.read_by_lease(now);
            }
            23..28 => self.persist(),
            28 => self.serve_fetch(script),
            29 => self.end_pull(script),
            30 => self.take_snapshot(),
            _ if script.one_in(3) => self.crash(script),
            _ => self.persist(),
        }
        self.drain();
        if self.stopped {
            self.bury(script);
        }
    }

    /// A node that stopped wants nothing and does nothing, whatever it is told: the run ends.
    fn bury(&mut self, script: &mut Script<'_>) {
        let message = self.message(script);
        self.raft.handle_message(self.now, NodeId(2), message);
        self.raft
            .handle_timeout(self.now.plus(Duration::from_secs(60)));
        self.persist();
        self.serve_fetch(script);
        self.end_pull(script);
        assert_eq!(
            self.raft.poll_timeout(),
            None,
            "a stopped node waits for nothing"
        );
        self.drain();
    }

    fn persist(&mut self) {
        let Some(write) = self.write.take() else {
            return;
        };
        let disk = &mut self.disk;
        let Ok((messages, receipt)) = write.persist(|record| {
            disk.store(&record, usize::MAX);
            Ok::<_, Infallible>(())
        });
        assert!(messages.len() < OUTPUTS_MAX, "messages without end");
        self.raft.handle_persisted(self.now, receipt);
    }

    /// What was being written is on the disk from its front on.
    fn crash(&mut self, script: &mut Script<'_>) {
        let (disk, changes) = (&mut self.disk, script.below(8) as usize);
        let cut = |record: Record| {
            disk.store(&record, changes);
            Err::<(), ()>(())
        };
        if let Some(write) = self.write.take() {
            assert!(write.persist(cut).is_err());
        }
        *self = Self::new(self.config.clone(), self.disk.clone(), self.now);
    }

    fn serve_fetch(&mut self, script: &mut Script<'_>) {
        if let Some(fetch) = self.fetches.pop() {
            let entries = if script.one_in(4) {
                Err(FetchError::Unavailable)
            } else {
                self.disk.read(&fetch)
            };
            self.raft.handle_fetched(self.now, fetch, entries);
        }
    }

    /// What a liar offers may be pulled whole: the file says of itself what it likes.
    fn end_pull(&mut self, script: &mut Script<'_>) {
        let Some(snapshot) = self.pulls.pop() else {
            return;
        };
        let newest = self.disk.snapshot.as_ref().map(|newest| newest.last.index);
        if script.one_in(3) || Some(snapshot.last.index) <= newest {
            return self.raft.handle_pull_failed(self.now, &snapshot);
        }
        self.disk.snapshot = Some(snapshot.clone());
        self.raft.handle_snapshot(self.now, snapshot);
    }

    fn take_snapshot(&mut self) {
        let Some(entry) = self.disk.log.get(&self.applied) else {
            return;
        };
        let newest = self.disk.snapshot.as_ref().map(|newest| newest.last.index);
        if Some(entry.id.index) <= newest {
            return;
        }
        let Some(membership) = self.raft.membership_at(entry.id.index) else {
            return;
        };
        let snapshot = Snapshot {
            last: entry.id,
            membership: membership.clone(),
        };
        self.disk.snapshot = Some(snapshot.clone());
        self.raft.handle_snapshot(self.now, snapshot);
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.raft.poll_output() {
            assert!(!self.stopped, "said behind the last word: {output:?}");
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "work without end: {output:?}");
            match output {
                Output::Persist(write) => assert!(self.write.replace(write).is_none()),
                Output::Apply(run) => run.iter().for_each(|entry| {
                    assert_eq!(entry.id.index.0, self.applied + 1, "out of order");
                    self.applied = entry.id.index.0;
                }),
                Output::Fetch(fetch) => self.fetches.push(fetch),
                Output::PullSnapshot { snapshot, .. } => {
                    // What is handed on can be written down.
                    assert_eq!(
                        Membership::decode(&snapshot.membership.encode()).as_ref(),
                        Ok(&snapshot.membership)
                    );
                    self.pulls.push(*snapshot);
                }
                Output::Restore(snapshot) => {
                    assert!(snapshot.last.index.0 >= self.applied, "taken back");
                    self.applied = snapshot.last.index.0;
                }
                Output::Send(_) | Output::Read { .. } => {}
                Output::Stop(_) => self.stopped = true,
            }
        }
        assert!(self.fetches.len() < OUTPUTS_MAX && self.pulls.len() < OUTPUTS_MAX);
    }

    /// Mostly what would pass at the first look, else nothing gets past that.
    fn term(&self, script: &mut Script<'_>) -> Term {
        let own = self.raft.term().0;
        match script.below(16) {
            0..12 => Term(own),
            12 | 13 => Term(own.saturating_add(1)),
            14 => Term(own.saturating_sub(1)),
            _ => Term(script.number()),
        }
    }

    fn index(&self, script: &mut Script<'_>) -> Index {
        let status = self.raft.status();
        match script.below(8) {
            0 | 1 => status.last,
            2 => status.commit,
            3 => status.last.next(),
            4 => status.start,
            5 => Index(status.last.0.saturating_add(script.below(6))),
            _ => Index(script.number()),
        }
    }

    /// Of an entry that is there, mostly.
    fn log_id(&self, script: &mut Script<'_>) -> LogId {
        let index = self.index(script);
        let known = self.disk.log.get(&index.0).map(|entry| entry.id);
        match known.filter(|_| script.below(8) < 6) {
            Some(id) => id,
            None if index == self.disk.start.index => self.disk.start,
            None => LogId {
                term: self.term(script),
                index,
            },
        }
    }

    fn entries(&self, script: &mut Script<'_>, term: Term, prev: LogId) -> Entries {
        let mut index = prev.index;
        let count = script.below(5);
        let entry = |_| {
            index = if script.one_in(16) {
                Index(script.number())
            } else {
                index.next()
            };
            let kind = script.pick(&[Kind::Command, Kind::Noop, Kind::Command, Kind::Membership]);
            let body = match kind {
                Kind::Membership if !script.one_in(4) => membership(script).encode(),
                _ => Bytes::from_static(&[b'x'; 64]).slice(..script.below(64) as usize),
            };
            Entry {
                id: LogId {
                    term: if script.one_in(8) {
                        Term(script.number())
                    } else {
                        term
                    },
                    index,
                },
                kind,
                body,
            }
        };
        (0..count).map(entry).collect()
    }

    fn snapshot(&self, script: &mut Script<'_>) -> Snapshot {
        let voters = script.pick(&[3, 0, 3, 70]);
        Snapshot {
            last: self.log_id(script),
            membership: Membership::of_voters((1..=voters).map(NodeId)),
        }
    }

    fn rare_echo(&self, script: &mut Script<'_>, term: Term) -> Echo {
        match script.below(4) {
            1 => Echo::Stale { term },
            2 if script.one_in(8) => Echo::Removed { term },
            2 if script.flag() => Echo::Left { term },
            3 => Echo::Forgot {
                term,
                acknowledged: self.index(script),
                holds: self.index(script),
            },
            _ => Echo::RequestPreVote {
                term,
                last: self.log_id(script),
                disk: disk(script),
            },
        }
    }

    fn heartbeat_echo(&self, script: &mut Script<'_>, term: Term) -> Echo {
        Echo::Heartbeat {
            term,
            round: script.number(),
            matched: self.index(script),
            disk: disk(script),
            lease: lease(script),
            priority: priority(script),
        }
    }

    fn message(&self, script: &mut Script<'_>) -> Message {
        let term = self.term(script);
        match script.below(21) {
            0..6 => {
                let prev = self.log_id(script);
                let entries = self.entries(script, term, prev);
                let commit = self.index(script);
                Message::Replicate(Replicate::Append {
                    term,
                    prev,
                    entries,
                    commit,
                })
            }
            6 => Message::Replicate(Replicate::Heartbeat {
                term,
                round: script.number(),
                commit: self.index(script),
                matched: self.index(script),
                lease: lease(script),
            }),
            7 => Message::Replicate(Replicate::Commit {
                term,
                commit: self.index(script),
            }),
            8 => Message::Replicate(Replicate::Snapshot {
                term,
                snapshot: Box::new(self.snapshot(script)),
            }),
            9 => Message::Binding(Binding::RequestVote {
                term,
                last: self.log_id(script),
                transfer: script.flag(),
            }),
            10 | 11 => Message::Binding(Binding::Vote {
                term,
                granted: !script.flag(),
            }),
            12 | 13 => Message::Binding(Binding::Appended {
                term,
                last: self.index(script),
            }),
            14 => Message::Binding(Binding::Installed {
                term,
                last: self.log_id(script),
            }),
            15 => Message::Echo(self.heartbeat_echo(script, term)),
            20 => Message::Replicate(Replicate::TimeoutNow {
                term,
                round: script.number(),
                last: self.index(script),
            }),
            16 | 17 => Message::Echo(Echo::Rejected {
                term,
                prev: self.log_id(script),
                hint: self.log_id(script),
            }),
            18 => Message::Echo(self.rare_echo(script, term)),
            _ => Message::Echo(Echo::PreVote {
                term,
                granted: !script.flag(),
                disk: disk(script),
                priority: priority(script),
            }),
        }
    }
}

fn priority(script: &mut Script<'_>) -> Option<u8> {
    let priority = u8::try_from(script.number() % 256).ok();
    priority.filter(|_| !script.one_in(4))
}

/// Of a few nodes, in any step of a change.
fn membership(script: &mut Script<'_>) -> Membership {
    let mut some = |of: &[u64]| {
        let kept = of.iter().filter(|_| !script.one_in(3));
        kept.copied().map(NodeId).collect()
    };
    let mut membership = Membership {
        learners: some(&[7, 8]),
        highest: NodeId(9),
        change: Some(Box::new(Change {
            is_joint: false,
            voters: some(&[2, 3, 4, 5]),
            learners: some(&[6, 8, 9]),
        })),
        voters: some(&[1, 2, 3, 4]),
        ..Membership::default()
    };
    let joint = script.flag();
    if let Some(change) = &mut membership.change {
        change.is_joint = joint;
    }
    if script.flag() || membership.validate().is_err() {
        membership.change = None;
    }
    membership
}

fn lease(script: &mut Script<'_>) -> Duration {
    Duration::from_millis(script.number())
}

fn disk(script: &mut Script<'_>) -> DiskHealth {
    DiskHealth {
        has_room: !script.one_in(3),
        sync_time: Duration::from_millis(script.number()),
    }
}
