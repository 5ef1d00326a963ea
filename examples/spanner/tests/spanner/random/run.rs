//! The world: time, logs, the wire, and what goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_replica::Applying;
use synod_sim::Rng;
use synod_sim::serializability::Verdict;
use synod_spanner::{
    Act, Answer, Command, Decision, Leader, Limits, Output, Peer, Promise, Reign, Reply, Request,
    ScanLimit, ShardId, Stamped, TxnId,
};
use synod_truetime::{Floor, Interval, NamedFloor, Timestamp};

use super::audits::Audit;
use super::node::{Entry, Node};
use crate::bank::SHARDS;
use crate::bank::book::{Book, Record};
use crate::bank::client::{Client, Step};
use crate::bank::clock::{Clock, Reading};
use crate::bank::watch::Watch;
use crate::bank::witness::{Counts, Event, Violation};

pub(super) const REPLICAS: usize = 2;
const EPSILON_US: i64 = 4000;

pub(super) const LIMITS: Limits = Limits {
    locks_max: 100,
    transactions_max: 40,
    prepared_max: 20,
    outcomes_max: 100_000,
    scan: ScanLimit {
        versions_max: 3,
        bytes_max: 1000,
    },
    client_lease: Duration::from_millis(60),
    leader_lease: Duration::from_millis(150),
    versions_kept: Duration::from_millis(200),
    outcomes_kept: Duration::from_millis(400),
};

/// What is drawn, beside the usual.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// Whose clock lies how, if any.
    pub(super) lie: Option<Lie>,
    /// Whether messages and commands carry the floor and are held against it.
    pub(super) floor: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    /// Everybody says to know the time exactly.
    NoCommitWait,
    /// The first node of the first shard is off by so much; `leads` or not.
    Off { us: i64, leads: bool },
}

/// What is on its way.
#[derive(Clone, Debug)]
pub(super) enum Wire {
    Request(ShardId, Stamped<Request>),
    Peer(ShardId, Stamped<Peer>),
    Client(ShardId, Stamped<(TxnId, Answer)>),
    Promise(usize, Stamped<Promise>),
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) rng: Rng,
    pub(super) options: Options,
    /// True time.
    pub(super) us: i64,
    pub(super) nodes: Vec<Node>,
    pub(super) logs: BTreeMap<ShardId, Vec<Entry>>,
    pub(super) wire: Vec<Wire>,
    pub(super) book: Book,
    /// Clients share what they have heard, as if they spoke to each other.
    pub(super) heard: NamedFloor,
    pub(super) clients: Vec<Client>,
    pub(super) audits: Vec<Audit>,
    pub(super) names: u64,
    /// Contradictions that the floor has found.
    pub(super) refused: Vec<synod_truetime::Contradiction>,
    /// Leaders change and nodes fail so many times less often.
    mildness: u64,
    leaders: u64,
    steps: u64,
}

impl Run {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let mildness = [1, 5, 25][rng.index(3)];
        // With wide intervals much happens while somebody waits for them; lies are told by how far they are beyond.
        let epsilon_us = match options.lie {
            None => [EPSILON_US, 6 * EPSILON_US][rng.index(2)],
            Some(_) => EPSILON_US,
        };
        let mut nodes = Vec::new();
        for shard in SHARDS {
            for replica in 0..REPLICAS {
                let id = nodes.len() as u64;
                let mut clock = Clock {
                    offset_us: rng.below(2 * epsilon_us as u64 + 1) as i64 - epsilon_us,
                    epsilon_us,
                    claims_no_doubt: matches!(options.lie, Some(Lie::NoCommitWait)),
                };
                if let Some(Lie::Off { us, .. }) = options.lie
                    && shard == SHARDS[0]
                    && replica == 0
                {
                    clock.offset_us = us;
                }
                nodes.push(Node::new(id, shard, clock));
            }
        }
        let mut book = Book::default();
        for shard in SHARDS {
            book.watch.shards.insert(shard, Default::default());
        }
        Self {
            rng,
            options,
            us: 100_000_000,
            nodes,
            logs: SHARDS.map(|shard| (shard, Vec::new())).into(),
            wire: Vec::new(),
            book,
            heard: NamedFloor::new(u64::MAX),
            clients: Vec::new(),
            audits: Vec::new(),
            names: 0,
            refused: Vec::new(),
            mildness,
            leaders: 0,
            steps: 0,
        }
    }

    /// Everything goes wrong.
    pub(super) fn storm(&mut self, steps: u64) {
        for _ in 0..steps {
            self.step(false);
        }
    }

    /// All clients go away, and nobody knows what they have heard.
    pub(super) fn part(&mut self) {
        let clients = std::mem::take(&mut self.clients).into_iter();
        self.book
            .records
            .extend(clients.filter_map(|client| client.record(None)));
    }

    /// Nothing goes wrong any more, and nobody begins anything: all that was begun must end.
    pub(super) fn calm(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            self.step(true);
            if self.is_over() {
                return Ok(());
            }
        }
        let node = |node: &Node| {
            let rows = node.machine.state().prepared().len();
            let behind = self.logs[&node.shard].len() - node.next;
            let proposed = node.pending.len();
            format!(
                "{rows} prepared, {behind} behind, {proposed} proposed, {:?}",
                node.leader
            )
        };
        let nodes: Vec<String> = self.nodes.iter().map(node).collect();
        Err(format!(
            "waits: {:#?} {:#?} {nodes:#?}",
            self.clients, self.audits
        ))
    }

    pub(super) fn is_over(&self) -> bool {
        let node_rests = |node: &Node| {
            node.machine.state().prepared().is_empty()
                && node.next == self.logs[&node.shard].len()
                && node.pending.is_empty()
                && node
                    .leader
                    .as_ref()
                    .is_none_or(|(_, leader)| leader.is_idle())
        };
        self.clients.is_empty() && self.audits.is_empty() && self.nodes.iter().all(node_rests)
    }

    /// What must hold of all that has happened.
    pub(super) fn check(&mut self) -> Result<Counts, Violation> {
        self.book.is_over = self.is_over();
        self.book.check()
    }

    pub(super) fn committed(&self) -> Result<Vec<(Event, &Record)>, Violation> {
        self.book.committed()
    }

    pub(super) fn verdicts(&self, committed: &[(Event, &Record)]) -> (Verdict, Verdict) {
        self.book.verdicts(committed)
    }

    fn begin(&mut self) {
        self.names += 1;
        let client = Client::begin(&mut self.rng, self.us, 1, self.names);
        self.clients.push(client);
        self.ask(self.clients.len() - 1);
    }

    fn ask(&mut self, c: usize) {
        let requests = self.clients[c].ask(&mut self.rng);
        requests
            .into_iter()
            .for_each(|(to, request)| self.send(to, request));
    }

    /// Somebody who has heard nothing for a while says it again.
    fn nudge(&mut self, calm: bool) {
        let after = if calm { 20_000 } else { 30_000 };
        let late = |client: &&mut Client| self.us - client.heard > after;
        let Some(client) = self.clients.iter_mut().find(late) else {
            return;
        };
        let requests = client.nudge(&mut self.rng, self.us);
        requests
            .into_iter()
            .for_each(|(to, request)| self.send(to, request));
    }

    fn answer(&mut self, from: ShardId, txn: TxnId, answer: Answer) {
        let Some(c) = self.clients.iter().position(|client| client.txn == txn) else {
            return;
        };
        match self.clients[c].answer(self.us, from, answer) {
            Step::Wait => {}
            Step::Ask => self.ask(c),
            Step::End(decision) => self.end(c, decision),
        }
    }

    fn end(&mut self, c: usize, decision: Option<Decision>) {
        let client = self.clients.swap_remove(c);
        if decision == Some(Decision::Aborted) {
            let txn = client.txn;
            for shard in SHARDS {
                self.send(shard, Request::Rollback { txn });
            }
            if self.rng.below(3) > 0 {
                self.names += 1;
                self.clients.push(client.again(self.us, self.names));
                self.ask(self.clients.len() - 1);
            }
        }
        let us = self.us;
        let record = client.record(decision.map(|decision| (us, decision)));
        self.book.records.extend(record);
    }

    fn step(&mut self, calm: bool) {
        self.steps += 1;
        let i = self.rng.index(self.nodes.len());
        match self.rng.below(100) {
            0..=19 => self.us += self.rng.below(400) as i64,
            20..=49 => self.deliver(calm),
            50..=61 => self.follow(i, calm),
            62..=71 => self.choose(i, calm),
            72..=78 => self.timeout(i),
            79..=82 => self.close(i),
            83..=85 if !calm && self.clients.len() < 6 => self.begin(),
            86..=90 => self.nudge(calm),
            91 | 92 if !calm && self.audits.len() < 8 => self.audit(),
            91..=96 => self.look(i),
            97 if !calm && self.rng.below(self.mildness) == 0 => self.misfortune(i),
            _ => self.lead(i, calm),
        }
        if self.steps.is_multiple_of(64) {
            for node in &self.nodes {
                let sound = node
                    .leader
                    .as_ref()
                    .is_none_or(|(_, l)| l.locks().is_sound());
                assert!(sound, "two hold what only one may: {:?}", node.leader);
            }
        }
    }

    pub(super) fn read_clock(&mut self, i: usize) -> Reading {
        let reading = self.nodes[i].read_clock(self.us);
        if self.options.lie.is_none() {
            self.book.watch.read(&reading);
        }
        reading
    }

    fn misfortune(&mut self, i: usize) {
        match self.rng.below(12) {
            0 => self.nodes[i].crash(),
            1 | 2 => self.nodes[i].write_snapshot(),
            3 => {
                // From another node, which is ahead.
                let shard = self.nodes[i].shard;
                let other = self
                    .nodes
                    .iter()
                    .find(|n| n.shard == shard && n.snapshot.1 > self.nodes[i].next);
                if let Some(snapshot) = other.map(|node| node.snapshot.clone()) {
                    self.nodes[i].leader = None;
                    self.nodes[i].restore(&snapshot);
                }
            }
            4 => {
                let reading = self.read_clock(i);
                if let Node {
                    leader: Some((_, leader)),
                    machine,
                    ..
                } = &mut self.nodes[i]
                {
                    leader.hand_over(&reading.now(machine.state()));
                    self.drain(i, &reading);
                }
            }
            5 => self.us += self.rng.below(100_000) as i64,
            6..=8 => {
                if let Some(client) = self.clients.pop() {
                    self.book.records.extend(client.record(None));
                }
            }
            _ => {
                let clock = &mut self.nodes[i].clock;
                let epsilon = clock.epsilon_us;
                if clock.offset_us.abs() <= epsilon {
                    clock.wander(self.rng.below(epsilon as u64 / 4) as i64 - epsilon / 8);
                }
            }
        }
    }

    /// The node may try to lead: when nobody does, or, in a storm, now and then.
    fn lead(&mut self, i: usize, calm: bool) {
        let shard = self.nodes[i].shard;
        if let Some(Lie::Off { leads, .. }) = self.options.lie
            && shard == SHARDS[0]
            && leads != (i == 0)
            && !self.nodes[0].is_doubted(self.us)
        {
            return;
        }
        if self.nodes[i].is_doubted(self.us) {
            return;
        }
        let tries = |node: &Node| {
            node.leader.is_some() || node.pending.iter().any(|entry| entry.number == 0)
        };
        let led = self
            .nodes
            .iter()
            .any(|node| node.shard == shard && tries(node));
        let behind = self.nodes[i].next < self.logs[&shard].len();
        if (led || behind) && (calm || self.rng.below(40 * self.mildness) > 0) {
            return;
        }
        let reading = self.read_clock(i);
        self.leaders += 1;
        let node = &mut self.nodes[i];
        node.took = self.leaders;
        let lease_end = reading.time.earliest() + LIMITS.leader_lease;
        let command = Command {
            reign: Reign(node.machine.state().reign().0 + 1),
            number: 0,
            floor: reading.floor,
            act: Act::TakeOver { lease_end },
        };
        node.pending.push_back(Entry {
            by: self.leaders,
            number: 0,
            command: command.encode(),
        });
    }

    /// What the node has proposed gets into the log: in order as a rule, and at all as a rule.
    fn choose(&mut self, i: usize, calm: bool) {
        let node = &mut self.nodes[i];
        let at = match self.rng.below(30) {
            0 if !calm => self.rng.index(node.pending.len()),
            _ => 0,
        };
        let Some(entry) = node.pending.remove(at) else {
            return;
        };
        if !calm && self.rng.below(150 * self.mildness) == 0 {
            node.lost = Some(entry.by);
            return;
        }
        let shard = node.shard;
        let log = self.logs.get_mut(&shard).unwrap();
        let place = Applying {
            index: log.len() as u64 + 1,
            offset: 0,
        };
        self.book.watch.chosen(shard, place, &entry.command);
        log.push(entry);
    }

    /// The node follows its log by one entry.
    fn follow(&mut self, i: usize, calm: bool) {
        if self.nodes[i].paused.is_some() {
            if calm || self.rng.below(8) == 0 {
                self.wake(i);
            }
            return;
        }
        let node = &mut self.nodes[i];
        let Some(entry) = self.logs[&node.shard].get(node.next).cloned() else {
            return;
        };
        let (state, served) = (node.machine.state(), node.served());
        self.book.watch.applies(state, served, &entry.command);
        let applied = node.apply(&entry);
        let reading = self.read_clock(i);
        if self.options.floor
            && let Some(floor) = applied.floor
        {
            // It must apply it; but its own clock is not to be believed until it says otherwise.
            self.judge(i, floor, &reading);
        }
        let node = &mut self.nodes[i];
        let now = reading.now(node.machine.state());
        if entry.number == 0 && node.took == entry.by {
            if let Reply::TookOver(standing) = applied.reply {
                let leader = Leader::new(node.shard, LIMITS, *standing, applied.index, &now);
                node.leader = Some((entry.by, leader));
            }
        } else if let Some((by, leader)) = &mut node.leader
            && *by == entry.by
            && leader.handle_applied(&now, entry.number, applied).is_err()
        {
            node.leader = None;
        }
        self.drain(i, &reading);
    }

    fn timeout(&mut self, i: usize) {
        let reading = self.read_clock(i);
        let hears = self.rng.below(4) == 0;
        let node = &mut self.nodes[i];
        // Sooner or later it hears that nobody knows what became of a command.
        if hears && node.lost.is_some() && node.lost == node.leader.as_ref().map(|(by, _)| *by) {
            node.leader = None;
        }
        if node.is_doubted(self.us) {
            node.leader = None;
        }
        if node.paused.is_none()
            && let Some((_, leader)) = &mut node.leader
        {
            leader.handle_timeout(&reading.now(node.machine.state()));
            self.drain(i, &reading);
        }
    }

    /// The leader closes by word, to one of its shard's nodes.
    fn close(&mut self, i: usize) {
        let reading = self.read_clock(i);
        let node = &mut self.nodes[i];
        let Some((_, leader)) = &mut node.leader else {
            return;
        };
        let promise = leader.close(Timestamp::MAX, &reading.time);
        self.book.watch.promised(node.shard, promise);
        let j = i - i % REPLICAS + self.rng.index(REPLICAS);
        let floor = reading.floor;
        self.wire.push(Wire::Promise(
            j,
            Stamped {
                floor,
                message: promise,
            },
        ));
    }

    /// What the leader wants done, by the reading that it was given.
    fn drain(&mut self, i: usize, reading: &Reading) {
        let node = &mut self.nodes[i];
        let Some((by, leader)) = &mut node.leader else {
            return;
        };
        let floor = reading.floor;
        while let Some(output) = leader.poll_output() {
            match output {
                Output::Propose(command) => {
                    if self.options.lie.is_none() {
                        self.book.watch.proposed(&command, reading);
                    }
                    let (by, number) = (*by, command.number);
                    let command = command.encode();
                    node.pending.push_back(Entry {
                        by,
                        number,
                        command,
                    });
                }
                Output::Peer(to, message) => {
                    if let Peer::Outcome { txn, decision } = message {
                        told(&mut self.book.watch, &self.options, txn, decision, reading);
                    }
                    self.wire.push(Wire::Peer(to, Stamped { floor, message }));
                }
                Output::Client(txn, answer) => {
                    match &answer {
                        Answer::Decided(decision, _) => {
                            told(&mut self.book.watch, &self.options, txn, *decision, reading);
                        }
                        Answer::Read { scan, .. } if self.options.lie.is_none() => {
                            for version in &scan.versions {
                                self.book
                                    .watch
                                    .told(version.written, reading, "a locked read");
                            }
                        }
                        _ => {}
                    }
                    let message = (txn, answer);
                    self.wire
                        .push(Wire::Client(node.shard, Stamped { floor, message }));
                }
            }
        }
    }

    fn deliver(&mut self, calm: bool) {
        if self.wire.is_empty() {
            return;
        }
        let at = self.rng.index(self.wire.len());
        let luck = if calm { 9 } else { self.rng.below(20) };
        let message = match luck {
            0 => self.wire[at].clone(),
            _ => self.wire.swap_remove(at),
        };
        if luck == 1 {
            return;
        }
        let to = match &message {
            Wire::Client(from, answer) => {
                // A client has no clock: it only carries on what it has heard.
                let _ = self.heard.incoming(answer.floor, &Interval::ALL);
                let (txn, answer) = answer.message.clone();
                return self.answer(*from, txn, answer);
            }
            Wire::Promise(to, promise) => {
                let (to, promise) = (*to, promise.clone());
                let reading = self.read_clock(to);
                if self.lets_in(to, promise.floor, &reading) {
                    self.nodes[to].promised(promise.message);
                }
                return;
            }
            Wire::Request(to, _) | Wire::Peer(to, _) => *to,
        };
        // To any that believes to lead.
        let leads = |i: &usize| self.nodes[*i].shard == to && self.nodes[*i].leader.is_some();
        let leaders: Vec<usize> = (0..self.nodes.len()).filter(leads).collect();
        if leaders.is_empty() {
            return;
        }
        let i = leaders[self.rng.index(leaders.len())];
        // Who is paused goes on first, by the clock it has looked at before.
        self.wake(i);
        let reading = self.read_clock(i);
        if !calm && self.rng.below(40) == 0 {
            self.nodes[i].paused = Some((reading, message));
        } else {
            self.hand_in(i, reading, message);
        }
    }

    fn wake(&mut self, i: usize) {
        if let Some((reading, paused)) = self.nodes[i].paused.take() {
            self.hand_in(i, reading, paused);
        }
    }

    fn hand_in(&mut self, i: usize, reading: Reading, message: Wire) {
        let floor = match &message {
            Wire::Request(_, stamped) => stamped.floor,
            Wire::Peer(_, stamped) => stamped.floor,
            Wire::Client(..) | Wire::Promise(..) => return,
        };
        if !self.lets_in(i, floor, &reading) {
            return;
        }
        let node = &mut self.nodes[i];
        let Some((_, leader)) = &mut node.leader else {
            return;
        };
        let now = reading.now(node.machine.state());
        match message {
            Wire::Request(_, request) => leader.handle_request(&now, request.message),
            Wire::Peer(_, peer) => leader.handle_peer(&now, peer.message),
            Wire::Client(..) | Wire::Promise(..) => {}
        }
        self.drain(i, &reading);
    }

    /// Whether the reading may be acted by, after what has been heard.
    pub(super) fn lets_in(&mut self, i: usize, floor: Floor, reading: &Reading) -> bool {
        if !self.options.floor {
            return true;
        }
        self.judge(i, floor, reading)
    }

    /// Holds what somebody knows to be past against the reading; both hear of a contradiction.
    fn judge(&mut self, i: usize, floor: Floor, reading: &Reading) -> bool {
        let Err(found) = self.nodes[i].floor.incoming(floor, &reading.time) else {
            return true;
        };
        for id in [found.said_by, found.contradicted_by] {
            self.nodes[id as usize]
                .doubt
                .handle_contradiction(&found, reading.local);
        }
        self.refused.push(found);
        false
    }

    pub(super) fn send(&mut self, to: ShardId, message: Request) {
        let floor = self.heard.floor();
        self.wire
            .push(Wire::Request(to, Stamped { floor, message }));
    }
}

/// A decision leaves a leader.
fn told(watch: &mut Watch, options: &Options, txn: TxnId, decision: Decision, by: &Reading) {
    watch.told_decision(txn, decision);
    if let Decision::Committed(at) = decision
        && options.lie.is_none()
    {
        watch.told(at, by, "an outcome");
    }
}
