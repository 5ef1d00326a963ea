//! Multi-Paxos among liars.

mod disk;
mod lies;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Config, Configurations, Drift, Echo, Entries, Envelope, Fetch, FetchError,
    Instant, Kind, Lease, Message, NodeId, Output, Paxos, Position, Quorums, ReadId, Record,
    Recovered, Replicate, Slot, Snapshot, Value, Vote, Write,
};

use self::disk::Disk;
use self::lies::{configurations, lease};
use super::{INPUT_BYTES_MAX, OUTPUTS_MAX};
use crate::memory::allocated_by;
use crate::script::{Script, noise};

/// First bytes: the node's settings. Then an input for every few bytes.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let quorums = Quorums::majority([1, 2, 3].map(NodeId)).expect("three nodes");
    let mut config = Config::new(NodeId(1), quorums);
    config.cache_bytes_max = script.pick(&[60, 1 << 20]);
    config.accept_bytes_max = script.pick(&[1 << 20, 100]);
    config.unchosen_bytes_max = script.pick(&[1 << 20, 300]);
    config.reads_max = 8;
    config.lease = Some(Lease {
        length: config.election_timeout_min,
        drift: Drift(1000),
    });
    let mut victim = Victim::new(config, Disk::default(), Instant::ZERO);
    while !script.is_over() && !victim.stopped {
        victim.step_within_bounds(&mut script);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (1..=8)
        .map(|seed| noise(seed, 250 * seed as usize))
        .collect()
}

struct Victim {
    config: Config,
    paxos: Paxos,
    now: Instant,
    disk: Disk,
    write: Option<Write>,
    fetches: Vec<Fetch>,
    pulls: Vec<Snapshot>,
    /// Where the machine is.
    applied: Slot,
    /// The origin of what was applied last.
    last: Option<Position>,
    reads: u64,
    /// It said that it takes no part any more.
    stopped: bool,
    /// Of its last question.
    attempt: u64,
    /// The first slot of its last request.
    from: Slot,
}

impl Victim {
    fn new(config: Config, disk: Disk, now: Instant) -> Self {
        let recovered = Recovered {
            state: disk.state,
            start: disk.start,
            snapshot: disk.snapshot.clone(),
            votes: disk.log.values().cloned().map(Ok::<_, Infallible>),
        };
        let paxos = Paxos::new(config.clone(), recovered, now);
        Self {
            config,
            paxos: paxos.expect("a node starts from what it wrote itself"),
            now,
            disk,
            write: None,
            fetches: Vec::new(),
            pulls: Vec::new(),
            applied: Slot(0),
            last: None,
            reads: 0,
            stopped: false,
            attempt: 0,
            from: Slot(1),
        }
    }

    /// What an input may allocate is a constant and so much for each slot beyond the chosen prefix up
    /// to the last vote. An acceptor votes [`Slot::AHEAD_MAX`] slots beyond that prefix, whoever asks
    /// it to; and when it leads, it must propose a no-op for each slot between that has no vote, all
    /// of them in one step (Paxos Made Simple §3). The crate promises that there are no more.
    fn step_within_bounds(&mut self, script: &mut Script<'_>) {
        let before = self.unchosen();
        let ((), taken) = allocated_by(|| self.step(script));
        let slots = before.max(self.unchosen());
        let allowed = INPUT_BYTES_MAX + SLOT_BYTES_MAX * slots;
        assert!(
            taken <= allowed,
            "{taken} bytes were allocated, and {allowed} are allowed with {slots} slots to be chosen"
        );
    }

    /// How many slots it may have to fill.
    fn unchosen(&self) -> usize {
        let status = self.paxos.status();
        let slots = status.last.0 - status.chosen.0;
        usize::try_from(slots.min(Slot::AHEAD_MAX)).expect("a bound that fits memory")
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.now = self.now.plus(Duration::from_millis(script.below(64)));
        let now = self.now;
        match script.below(32) {
            0..18 => {
                let from = NodeId(script.pick(&[2, 3, 2, 3, 2, 3, 1, 9]));
                let message = self.message(script, from);
                self.paxos.handle_message(now, from, message);
            }
            18..20 => {
                self.now = self.paxos.poll_timeout().unwrap_or(now).max(now);
                self.paxos.handle_timeout(self.now);
            }
            20 | 21 => drop(self.paxos.propose(now, Bytes::from_static(b"proposed"))),
            22 => {
                self.reads += 1;
                let _refused = self.paxos.read(now, ReadId(self.reads));
                let _refused = self.paxos.read_by_lease(now);
                let by_quorum = ReadId(u64::MAX - self.reads);
                let _refused = self.paxos.read_by_quorum(now, by_quorum);
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
        let message = self.message(script, NodeId(2));
        self.paxos.handle_message(self.now, NodeId(2), message);
        self.paxos
            .handle_timeout(self.now.plus(Duration::from_secs(60)));
        self.persist();
        self.serve_fetch(script);
        self.end_pull(script);
        assert_eq!(
            self.paxos.poll_timeout(),
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
        let messages = messages.into_iter().map(Envelope::from);
        messages.for_each(|sent| self.overhear(&sent));
        self.paxos.handle_persisted(self.now, receipt);
    }

    /// Liars know what they are asked.
    fn overhear(&mut self, sent: &Envelope) {
        match &sent.message {
            Message::Echo(Echo::Ask { attempt, .. }) => self.attempt = *attempt,
            Message::Binding(Binding::Prepare { from, .. }) => self.from = *from,
            _ => {}
        }
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
            let votes = if script.one_in(4) {
                Err(FetchError::Unavailable)
            } else {
                self.disk.read(&fetch)
            };
            self.paxos.handle_fetched(self.now, fetch, votes);
        }
    }

    /// What a liar offers may be pulled whole: the file says of itself what it likes.
    fn end_pull(&mut self, script: &mut Script<'_>) {
        let Some(snapshot) = self.pulls.pop() else {
            return;
        };
        let newest = self.disk.snapshot.as_ref().map(|newest| newest.last.slot);
        if script.one_in(3) || Some(snapshot.last.slot) <= newest {
            return self.paxos.handle_pull_failed(self.now, &snapshot);
        }
        self.disk.snapshot = Some(snapshot.clone());
        self.paxos.handle_snapshot(self.now, snapshot);
    }

    fn take_snapshot(&mut self) {
        let Some(last) = self.last else {
            return;
        };
        let newest = self.disk.snapshot.as_ref().map(|newest| newest.last.slot);
        if Some(last.slot) <= newest {
            return;
        }
        let snapshot = Snapshot {
            last,
            configurations: self.paxos.configurations_at(last.slot),
        };
        self.disk.snapshot = Some(snapshot.clone());
        self.paxos.handle_snapshot(self.now, snapshot);
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.paxos.poll_output() {
            assert!(!self.stopped, "said behind the last word: {output:?}");
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "work without end: {output:?}");
            match output {
                Output::Persist(write) => assert!(self.write.replace(write).is_none()),
                Output::Apply(chosen) => {
                    assert_eq!(chosen.first, self.applied.next(), "out of order");
                    self.applied = chosen.last();
                    self.last = chosen.iter().last().map(|(at, _)| at);
                }
                Output::Fetch(fetch) => self.fetches.push(fetch),
                Output::PullSnapshot { snapshot, .. } => {
                    // What is handed on can be written down.
                    let written = snapshot.configurations.encode();
                    assert_eq!(
                        Configurations::decode(&written).as_ref(),
                        Ok(&snapshot.configurations)
                    );
                    self.pulls.push(*snapshot);
                }
                Output::Restore(snapshot) => {
                    assert!(snapshot.last.slot >= self.applied, "taken back");
                    self.applied = snapshot.last.slot;
                    self.last = Some(snapshot.last);
                }
                Output::Send(sent) => self.overhear(&sent),
                Output::Read { .. } => {}
                Output::Stop(_) => self.stopped = true,
            }
        }
        assert!(self.fetches.len() < OUTPUTS_MAX && self.pulls.len() < OUTPUTS_MAX);
    }

    /// Mostly what would pass at the first look, else nothing gets past that.
    fn ballot(&self, script: &mut Script<'_>, from: NodeId) -> Ballot {
        let own = self.paxos.ballot();
        match script.below(16) {
            0..8 => own,
            8..13 => Ballot {
                round: own.round.saturating_add(u64::from(own.node > from)).max(1),
                node: from,
            },
            13 => Ballot {
                round: own.round.saturating_add(1),
                node: from,
            },
            _ => Ballot {
                round: script.number(),
                node: NodeId(script.number()),
            },
        }
    }

    fn slot(&self, script: &mut Script<'_>) -> Slot {
        let status = self.paxos.status();
        match script.below(8) {
            0 | 1 => status.chosen.next(),
            2 => status.chosen,
            3 => self.from,
            4 => Slot(status.chosen.0.saturating_add(script.below(8))),
            5 => Slot(
                Slot::MAX
                    .0
                    .saturating_add(script.below(3))
                    .saturating_sub(1),
            ),
            _ => Slot(script.number()),
        }
    }

    fn value(&self, script: &mut Script<'_>, ballot: Ballot) -> Value {
        Value {
            kind: script.pick(&[
                Kind::Command,
                Kind::Noop,
                Kind::Command,
                Kind::Configuration,
            ]),
            origin: if script.one_in(6) {
                self.ballot(script, NodeId(2))
            } else {
                ballot
            },
            body: Bytes::from_static(&[b'x'; 64]).slice(..script.below(64) as usize),
        }
    }

    fn values(&self, script: &mut Script<'_>, ballot: Ballot) -> Entries {
        (0..script.below(5))
            .map(|_| self.value(script, ballot))
            .collect()
    }

    fn votes(&self, script: &mut Script<'_>, first: Slot) -> Vec<Vote> {
        let mut slot = first;
        let count = script.below(5);
        let vote = |_| {
            slot = match script.below(8) {
                0..5 => slot,
                5 | 6 => Slot(slot.0.saturating_add(script.below(4))),
                _ => self.slot(script),
            };
            let at = slot;
            slot = slot.next();
            let ballot = self.ballot(script, NodeId(2));
            Vote {
                slot: at,
                ballot,
                value: self.value(script, ballot),
            }
        };
        (0..count).map(vote).collect()
    }

    fn snapshot(&self, script: &mut Script<'_>) -> Snapshot {
        let last = match self.last {
            Some(last) if script.flag() => last,
            _ => Position {
                slot: self.slot(script),
                origin: self.ballot(script, NodeId(2)),
            },
        };
        Snapshot {
            last,
            configurations: configurations(script),
        }
    }

    fn message(&self, script: &mut Script<'_>, from: NodeId) -> Message {
        match script.below(24) {
            0..5 => Message::Replicate(self.accept(script, from)),
            5..8 => Message::Replicate(self.replicate(script, from)),
            8..16 => Message::Binding(self.binding(script, from)),
            _ => Message::Echo(self.echo(script, from)),
        }
    }

    fn accept(&self, script: &mut Script<'_>, from: NodeId) -> Replicate {
        let ballot = self.ballot(script, from);
        Replicate::Accept {
            ballot,
            first: self.slot(script),
            values: self.values(script, ballot),
            chosen: self.slot(script),
        }
    }

    fn replicate(&self, script: &mut Script<'_>, from: NodeId) -> Replicate {
        let ballot = self.ballot(script, from);
        match script.below(5) {
            0 => Replicate::Heartbeat {
                ballot,
                round: script.number(),
                chosen: self.slot(script),
                through: self.slot(script),
                settled: script.below(3),
                lease: lease(script),
            },
            4 => Replicate::Settle {
                ballot,
                slot: self.slot(script),
            },
            1 => Replicate::Chosen {
                ballot,
                chosen: self.slot(script),
            },
            2 => Replicate::Invite {
                ballot,
                round: script.number(),
                chosen: self.slot(script),
                last: self.slot(script),
            },
            _ => Replicate::Snapshot {
                ballot,
                snapshot: Box::new(self.snapshot(script)),
            },
        }
    }

    fn binding(&self, script: &mut Script<'_>, from: NodeId) -> Binding {
        let ballot = self.ballot(script, from);
        match script.below(9) {
            0 => Binding::Prepare {
                ballot,
                from: self.slot(script),
                number: script.below(3),
                invited: script.one_in(3).then(|| self.ballot(script, from)),
            },
            8 => Binding::Settled {
                ballot,
                slot: self.slot(script),
            },
            1..4 => Binding::Accepted {
                ballot,
                first: self.slot(script),
                last: self.slot(script),
            },
            _ => {
                let asked = if script.one_in(5) {
                    self.slot(script)
                } else {
                    self.from
                };
                let chosen = if script.one_in(3) {
                    self.slot(script)
                } else {
                    Slot(0)
                };
                Binding::Promise {
                    ballot,
                    from: asked,
                    votes: self.votes(script, asked.max(chosen.next())),
                    next: script.one_in(4).then(|| self.slot(script)),
                    chosen,
                    configurations: script.one_in(4).then(|| Box::new(configurations(script))),
                }
            }
        }
    }
}

/// A no-op that is proposed is held, counted, written and sent to two peers, and each of the vectors
/// it goes through may have doubled.
const SLOT_BYTES_MAX: usize = 1024;
