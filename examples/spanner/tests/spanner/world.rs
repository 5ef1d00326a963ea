//! Two shards whose logs decide at once unless they are held, messages by hand, one clock for all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::Instant;
use synod_replica::{Applying, StateMachine};
use synod_spanner::{
    Act, Answer, Applied, Attempt, Command, Decision, Ended, Leader, Limits, Now, Outcome, Output,
    Part, Peer, Reign, Reply, Request, Scan, ScanLimit, Shard, ShardId, Span, TxnId,
};
use synod_truetime::{Floor, Interval, Timestamp};

pub(super) const A: ShardId = ShardId(1);
pub(super) const B: ShardId = ShardId(2);
/// Half the width of every reading.
pub(super) const EPSILON_MS: u64 = 4;
pub(super) const LIMITS: Limits = Limits {
    locks_max: 100,
    transactions_max: 20,
    prepared_max: 5,
    outcomes_max: 50,
    scan: ScanLimit {
        versions_max: 100,
        bytes_max: 1000,
    },
    client_lease: Duration::from_secs(3),
    leader_lease: Duration::from_secs(1),
    versions_kept: Duration::from_secs(60),
    outcomes_kept: Duration::from_secs(60),
};

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) machine: Shard,
    pub(super) log: Vec<Command>,
    pub(super) leader: Option<Leader>,
    pub(super) ended: Option<Ended>,
    /// Proposed, and not in the log while it is held.
    pub(super) pending: VecDeque<Command>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) ms: i64,
    pub(super) groups: BTreeMap<ShardId, Group>,
    pub(super) answers: Vec<(TxnId, Answer)>,
    /// What leaders say to each other goes nowhere.
    pub(super) parted: bool,
    /// Whose logs take nothing.
    pub(super) held: BTreeSet<ShardId>,
    /// What leaders said to each other.
    pub(super) said: Vec<(ShardId, Peer)>,
}

/// A transaction that begins in the order of its number.
pub(super) fn txn(number: u64, coordinator: ShardId) -> TxnId {
    TxnId::first(at_ms(100_000), number, number, coordinator)
}

pub(super) fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

impl World {
    /// At 100 s; both shards have a leader in its first reign.
    pub(super) fn new() -> Self {
        let groups = [A, B].map(|id| (id, Group::default()));
        let mut world = Self {
            ms: 100_000,
            groups: groups.into(),
            answers: vec![],
            parted: false,
            held: BTreeSet::new(),
            said: vec![],
        };
        [A, B].into_iter().for_each(|shard| world.take_over(shard));
        world
    }

    pub(super) fn reading(&self) -> Interval {
        Interval::around(at_ms(self.ms), Duration::from_millis(EPSILON_MS))
    }

    /// The leader does something, beside its machine.
    pub(super) fn lead<T>(
        &mut self,
        shard: ShardId,
        act: impl FnOnce(&mut Leader, &Now<'_>) -> T,
    ) -> Option<T> {
        let time = self.reading();
        let group = self.groups.get_mut(&shard).unwrap();
        let now = Now {
            local: Instant(Duration::from_millis(self.ms.unsigned_abs())),
            time,
            floor: Floor {
                earliest: time.earliest(),
                said_by: u64::from(shard.0),
            },
            state: group.machine.state(),
        };
        group.leader.as_mut().map(|leader| act(leader, &now))
    }

    pub(super) fn apply(&mut self, shard: ShardId, command: Command) -> Applied {
        let group = self.groups.get_mut(&shard).unwrap();
        let bytes = command.encode();
        group.log.push(command);
        let place = Applying {
            index: group.log.len() as u64,
            offset: 0,
        };
        group.machine.apply(place, bytes)
    }

    /// Another node leads from here on, and has applied all that the log has.
    pub(super) fn take_over(&mut self, shard: ShardId) {
        let reading = self.reading();
        let reign = Reign(self.state(shard).reign().0 + 1);
        let command = Command {
            reign,
            number: 0,
            floor: Floor {
                earliest: reading.earliest(),
                said_by: 0,
            },
            act: Act::TakeOver {
                lease_end: reading.earliest() + LIMITS.leader_lease,
            },
        };
        let Applied {
            index,
            reply: Reply::TookOver(standing),
            ..
        } = self.apply(shard, command)
        else {
            panic!("no reign")
        };
        let group = self.groups.get_mut(&shard).unwrap();
        group.pending.clear();
        let now = Now {
            local: Instant(Duration::from_millis(self.ms.unsigned_abs())),
            time: reading,
            floor: Floor {
                earliest: reading.earliest(),
                said_by: 0,
            },
            state: group.machine.state(),
        };
        group.leader = Some(Leader::new(shard, LIMITS, *standing, index, &now));
    }

    pub(super) fn state(&self, shard: ShardId) -> &synod_spanner::State {
        self.groups[&shard].machine.state()
    }

    /// Until nothing is left to do now.
    pub(super) fn settle(&mut self) {
        while let Some((shard, output)) = self.next_output() {
            match output {
                Output::Propose(command) => {
                    let group = self.groups.get_mut(&shard).unwrap();
                    group.pending.push_back(command);
                    if !self.held.contains(&shard) {
                        self.decide(shard);
                    }
                }
                Output::Peer(to, peer) => {
                    self.said.push((to, peer));
                    if !self.parted {
                        self.lead(to, |leader, now| leader.handle_peer(now, peer));
                    }
                }
                Output::Client(txn, answer) => self.answers.push((txn, answer)),
            }
        }
    }

    fn next_output(&mut self) -> Option<(ShardId, Output)> {
        let mut groups = self.groups.iter_mut();
        groups.find_map(|(shard, group)| {
            let output = group.leader.as_mut()?.poll_output()?;
            Some((*shard, output))
        })
    }

    /// The log takes what is proposed.
    pub(super) fn decide(&mut self, shard: ShardId) {
        while let Some(command) = self.groups.get_mut(&shard).unwrap().pending.pop_front() {
            let number = command.number;
            let applied = self.apply(shard, command);
            let handled = self.lead(shard, |leader, now| {
                leader.handle_applied(now, number, applied)
            });
            if let Some(Err(ended)) = handled {
                let group = self.groups.get_mut(&shard).unwrap();
                (group.leader, group.ended) = (None, Some(ended));
            }
        }
    }

    pub(super) fn release_log(&mut self, shard: ShardId) {
        self.held.remove(&shard);
        self.decide(shard);
        self.settle();
    }

    pub(super) fn peer(&mut self, to: ShardId, peer: Peer) {
        self.lead(to, |leader, now| leader.handle_peer(now, peer));
        self.settle();
    }

    pub(super) fn ask(&mut self, shard: ShardId, request: Request) {
        self.lead(shard, |leader, now| leader.handle_request(now, request));
        self.settle();
    }

    pub(super) fn pass(&mut self, ms: i64) {
        self.ms += ms;
        for shard in [A, B] {
            self.lead(shard, Leader::handle_timeout);
        }
        self.settle();
    }

    /// Locks and reads, if that is answered at once.
    pub(super) fn scan(
        &mut self,
        attempt: &mut Attempt,
        shard: ShardId,
        span: Span,
    ) -> Option<Scan> {
        let (txn, asked) = (attempt.id(), span.clone());
        self.answers.clear();
        self.ask(shard, Request::Read { txn, span });
        let own = self.answers.iter().position(|(of, _)| *of == txn)?;
        match self.answers.remove(own).1 {
            Answer::Read { scan, hold, .. } => {
                attempt.read(shard, &asked, &scan, hold).unwrap();
                Some(scan)
            }
            answer => panic!("{answer:?}"),
        }
    }

    pub(super) fn read(
        &mut self,
        attempt: &mut Attempt,
        shard: ShardId,
        key: &str,
    ) -> Option<Option<Bytes>> {
        let scan = self.scan(attempt, shard, Span::key(key))?;
        Some(
            scan.versions
                .first()
                .and_then(|version| version.value.clone()),
        )
    }

    pub(super) fn commit(&mut self, attempt: &Attempt) {
        self.answers.clear();
        for (shard, request) in attempt.commit() {
            self.ask(shard, request);
        }
    }

    pub(super) fn value(&self, shard: ShardId, key: &str) -> Option<Bytes> {
        let found = self
            .state(shard)
            .store()
            .get(key.as_bytes(), Timestamp::MAX);
        found.unwrap().and_then(|version| version.value)
    }

    pub(super) fn outcome(&self, shard: ShardId, txn: TxnId) -> Outcome {
        self.state(shard).outcome(txn)
    }

    pub(super) fn committed(&self, shard: ShardId, txn: TxnId) -> Timestamp {
        match self.outcome(shard, txn) {
            Outcome::Decided(Decision::Committed(at)) => at,
            other => panic!("{txn:?} is {other:?} on {shard:?}"),
        }
    }

    pub(super) fn is_committed(&self, shard: ShardId, txn: TxnId) -> bool {
        let outcome = self.outcome(shard, txn);
        matches!(outcome, Outcome::Decided(Decision::Committed(_)))
    }

    pub(super) fn locks(&self, shard: ShardId) -> usize {
        self.groups[&shard].leader.as_ref().unwrap().locks().len()
    }

    pub(super) fn answer_to(&self, txn: TxnId) -> Option<&Answer> {
        let own = self.answers.iter().find(|(of, _)| *of == txn);
        own.map(|(_, answer)| answer)
    }
}

/// An attempt that writes these keys and has read nothing.
pub(super) fn writer(txn: TxnId, writes: &[(ShardId, &'static str, &'static str)]) -> Attempt {
    let mut attempt = Attempt::new(txn);
    for (shard, key, value) in writes {
        attempt
            .write(*shard, (*key).into(), Some((*value).into()))
            .unwrap();
    }
    attempt
}

/// The part of an attempt that goes to that shard.
pub(super) fn part(attempt: &Attempt, shard: ShardId) -> Part {
    let mut requests = attempt.commit().into_iter();
    match requests.find(|(to, _)| *to == shard).unwrap().1 {
        Request::Commit { part, .. } | Request::Prepare(part) => part,
        other => panic!("{other:?}"),
    }
}

pub(super) const ABORTED: Outcome = Outcome::Decided(Decision::Aborted);
