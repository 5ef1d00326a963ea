//! A simulated group, its clients, and what is checked while they work.

mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::sim::{Cluster, SimNode, SimRequest};
use synod_replica::{Consistency, EngineConfig, Failure, NodeId, Reason, Role, Ticket, raft};
use synod_sim as sim;
use synod_sim::{ClientId, History, Kv, KvInput, KvOutput, OpId, Rng, World, WorldOptions};

use tokens::Tokens;

/// Within this every request ends.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// What has ended since the driver last looked.
type Ends = Arc<Mutex<Vec<(OpId, End)>>>;

#[derive(Debug)]
pub(crate) enum End {
    Answered(KvOutput),
    Rejected(Reason),
    Unknown,
}

/// One operation of one client. Whoever drops it leaves the outcome unknown, as a crash does.
pub(crate) struct Noted {
    op: OpId,
    key: u8,
    ends: Option<Ends>,
}

impl Noted {
    fn end(mut self, end: End) {
        let ends = self.ends.take().expect("a ticket ends once");
        ends.lock().unwrap().push((self.op, end));
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            ends.lock().unwrap().push((self.op, End::Unknown));
        }
    }
}

impl Ticket<Tokens> for Noted {
    fn applied(self, length: u64) {
        self.end(End::Answered(KvOutput::Length(length)));
    }

    fn read(self, machine: &Tokens) {
        let value = machine
            .0
            .get(&self.key)
            .map(|value| value.as_slice().into());
        self.end(End::Answered(KvOutput::Value(value)));
    }

    fn failed(self, failure: Failure) {
        self.end(match failure {
            Failure::Rejected { reason, .. } => End::Rejected(reason),
            Failure::Unknown => End::Unknown,
        });
    }
}

/// The group under test.
pub(crate) struct Group {
    nodes: u64,
    forwards_max: usize,
}

impl Cluster for Group {
    type Config = raft::Config;
    type Machine = Tokens;
    type Ticket = Noted;

    fn config(&self, node: NodeId, seed: u64) -> raft::Config {
        let mut config =
            raft::Config::new(raft::NodeId(node.0), (1..=self.nodes).map(raft::NodeId));
        config.seed = seed;
        config.cache_bytes_max = 4 << 10;
        config
    }

    fn machine(&self) -> Tokens {
        Tokens::default()
    }

    fn tune(&self, engine: &mut EngineConfig) {
        engine.forwards_max = self.forwards_max;
        engine.snapshot_log_bytes = 4 << 10;
        engine.body_bytes_max = 4 << 10;
        engine.piece_bytes_max = 1 << 10;
    }

    fn log_options(&self) -> synod_wal::Options {
        let mut options = synod_wal::Options::default();
        options.segment_bytes = 64 << 10;
        options.record_bytes_max = 8 << 10;
        options
    }
}

/// What a run is like.
pub(crate) struct RunOptions {
    nodes: u64,
    /// With one, no forwarded body can overtake another.
    forwards_max: usize,
    clients: usize,
    /// The chance of an idle client, at each event of the world, to ask.
    pace: f64,
    world: WorldOptions,
}

impl RunOptions {
    pub(crate) fn calm() -> Self {
        Self {
            nodes: 3,
            forwards_max: 1,
            clients: 6,
            pace: 0.05,
            world: WorldOptions::default(),
        }
    }

    /// Which faults there are, and how strong, is drawn.
    pub(crate) fn faulty(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xfau64);
        let mut world = WorldOptions::default();
        if rng.chance(0.7) {
            world.loss = 0.001 * rng.below(100) as f64;
        }
        if rng.chance(0.7) {
            world.duplication = 0.001 * rng.below(200) as f64;
        }
        if rng.chance(0.8) {
            world.crash_every = Some(Duration::from_millis(300 + rng.below(2000)));
            world.power_loss_share = 0.5;
        }
        if rng.chance(0.6) {
            world.partition_every = Some(Duration::from_millis(500 + rng.below(2000)));
        }
        world.restart_after = Some(Duration::from_millis(50 + rng.below(600)));
        Self {
            nodes: if rng.chance(0.3) { 5 } else { 3 },
            forwards_max: 4,
            clients: 4 + rng.below(6) as usize,
            pace: 0.05,
            world,
        }
    }
}

/// What has happened, summed up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u64,
    pub(crate) rejected: u64,
    pub(crate) unknown: u64,
    pub(crate) crashes: u64,
    pub(crate) power_losses: u64,
    /// Leaderships.
    pub(crate) leaders: u64,
    /// Times a node's log was seen to begin later than before.
    pub(crate) compactions: u64,
    /// Snapshots that nodes received whole.
    pub(crate) installs: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.rejected += other.rejected;
        self.unknown += other.unknown;
        self.crashes += other.crashes;
        self.power_losses += other.power_losses;
        self.leaders += other.leaders;
        self.compactions += other.compactions;
        self.installs += other.installs;
    }
}

struct Client {
    id: ClientId,
    open: Option<OpId>,
}

/// A world, its clients, and the checks.
pub(crate) struct Run {
    pub(crate) world: World<SimNode<Group>>,
    seed: u64,
    rng: Rng,
    clients: Vec<Client>,
    clients_ever: u64,
    pace: f64,
    history: History<KvInput, KvOutput>,
    called: BTreeMap<OpId, Duration>,
    ends: Ends,
    tokens: u64,
    seen: Seen,
    /// Why requests were rejected.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Of each index, what was decided.
    decided: BTreeMap<u64, (u64, u64)>,
    leaders: BTreeMap<u64, sim::NodeId>,
    /// Of each node where its log begins, what it has applied, and how many snapshots it has
    /// received.
    starts: BTreeMap<sim::NodeId, (u64, u64, u64)>,
}

impl Run {
    pub(crate) fn new(seed: u64, options: RunOptions) -> Self {
        let group = Group {
            nodes: options.nodes,
            forwards_max: options.forwards_max,
        };
        let history = History::new();
        let clients = (0..options.clients)
            .map(|id| Client {
                id: ClientId(id as u64),
                open: None,
            })
            .collect();
        Self {
            world: World::new(seed, options.nodes, options.world, group),
            seed,
            rng: Rng::new(seed ^ 0xc11e47),
            clients_ever: options.clients as u64,
            clients,
            pace: options.pace,
            history,
            called: BTreeMap::new(),
            ends: Ends::default(),
            tokens: 0,
            seen: Seen::default(),
            reasons: BTreeMap::new(),
            decided: BTreeMap::new(),
            leaders: BTreeMap::new(),
            starts: BTreeMap::new(),
        }
    }

    /// Each client has one request open at a time, of a node it draws.
    pub(crate) fn clients_work_until(&mut self, until: Duration) {
        while self.world.next_at().is_some_and(|at| at <= until) {
            self.ask();
            self.world.step();
            self.take_ends();
            self.check_nodes();
        }
    }

    /// The faults stop: every open request ends, a request at every node succeeds within a bound,
    /// all nodes come to the same state, and the history is linearizable.
    pub(crate) fn settle(&mut self) -> Seen {
        self.world.stop_faults();
        let (now, before) = (self.world.now(), self.seen.answered);
        self.clients_work_until(now + Duration::from_secs(5));
        assert!(
            self.seen.answered > before + 50,
            "{}: no progress after the faults",
            self.story()
        );
        let end = self.world.now() + TIMEOUT + Duration::from_secs(2);
        while self.world.next_at().is_some_and(|at| at <= end) {
            self.world.step();
            self.take_ends();
            self.check_nodes();
        }
        assert!(
            self.called.is_empty(),
            "{}: requests without an end",
            self.story()
        );
        let machines: Vec<&Tokens> = self.processes().map(|(_, node)| node.machine()).collect();
        assert!(
            machines.windows(2).all(|pair| pair[0] == pair[1]),
            "{}: states differ",
            self.story()
        );
        let verdict = sim::check(Kv, &self.history);
        assert!(verdict.is_ok(), "{}\n{verdict:?}", self.story());
        self.seen()
    }

    pub(crate) fn seen(&self) -> Seen {
        let stats = self.world.stats();
        Seen {
            crashes: stats.crashes,
            power_losses: stats.power_losses,
            leaders: self.leaders.len() as u64,
            ..self.seen
        }
    }

    pub(crate) fn all_but_the_leader(&self) -> Vec<sim::NodeId> {
        let leads = |node: &SimNode<Group>| node.status().core.role == Role::Leader;
        let followers = self.processes().filter(|(_, node)| !leads(node));
        let followers: Vec<_> = followers.map(|(id, _)| id).collect();
        assert_eq!(
            followers.len() + 1,
            self.world.node_ids().len(),
            "one leads"
        );
        followers
    }

    fn processes(&self) -> impl Iterator<Item = (sim::NodeId, &SimNode<Group>)> {
        let ids = self.world.node_ids().into_iter();
        ids.filter_map(|id| Some((id, self.world.process(id)?)))
    }

    fn ask(&mut self) {
        for at in 0..self.clients.len() {
            if self.clients[at].open.is_some() || !self.rng.chance(self.pace) {
                continue;
            }
            let node = sim::NodeId(1 + self.rng.below(self.world.node_ids().len() as u64));
            if self.world.process(node).is_none() {
                continue;
            }
            let key = self.rng.below(5) as u8;
            let (input, command) = if self.rng.chance(0.4) {
                (KvInput::get([key]), None)
            } else {
                self.tokens += 1;
                let token = format!("{};", self.tokens);
                let command = [&[key], token.as_bytes()].concat();
                (KvInput::append([key], token), Some(Bytes::from(command)))
            };
            let now = self.world.now();
            let op = self.history.call(self.clients[at].id, now, input).unwrap();
            self.clients[at].open = Some(op);
            self.called.insert(op, now);
            let (ticket, timeout) = (
                Noted {
                    op,
                    key,
                    ends: Some(self.ends.clone()),
                },
                TIMEOUT,
            );
            self.world.inject(
                node,
                match command {
                    Some(command) => SimRequest::Propose {
                        command,
                        timeout,
                        ticket,
                    },
                    None => SimRequest::Read {
                        consistency: Consistency::Linearizable,
                        timeout,
                        ticket,
                    },
                },
            );
        }
    }

    fn take_ends(&mut self) {
        let ends = std::mem::take(&mut *self.ends.lock().unwrap());
        for (op, end) in ends {
            let now = self.world.now();
            let called = self.called.remove(&op).expect("a request has one end");
            assert!(
                now - called <= TIMEOUT,
                "{}: a request outlived its deadline",
                self.story()
            );
            let client = self
                .clients
                .iter()
                .position(|client| client.open == Some(op))
                .unwrap();
            self.clients[client].open = None;
            match end {
                End::Answered(output) => {
                    self.seen.answered += 1;
                    self.history.returned(op, now, output).unwrap();
                }
                End::Rejected(reason) => {
                    *self.reasons.entry(reason.to_string()).or_default() += 1;
                    self.seen.rejected += 1;
                    self.history.fail(op).unwrap();
                }
                End::Unknown => {
                    self.seen.unknown += 1;
                    self.history.unknown(op).unwrap();
                    self.clients_ever += 1;
                    self.clients[client].id = ClientId(self.clients_ever);
                }
            }
        }
    }

    /// One leader an epoch; one entry an index.
    fn check_nodes(&mut self) {
        let (mut leaders, mut starts, mut news) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (id, node) in self.processes() {
            let status = node.status();
            if status.core.role == Role::Leader {
                leaders.push((status.core.epoch, id));
            }
            starts.push((
                id,
                (status.core.start, status.applied, status.snapshots_received),
            ));
            let known = self.starts.get(&id).map_or(0, |(_, applied, _)| *applied);
            for (index, entry) in node.decided().range(known.min(status.applied)..) {
                news.insert((*index, *entry));
            }
        }
        for (epoch, id) in leaders {
            let known = *self.leaders.entry(epoch).or_insert(id);
            assert_eq!(known, id, "{}: two leaders of epoch {epoch}", self.story());
        }
        for (index, entry) in news {
            let known = *self.decided.entry(index).or_insert(entry);
            assert_eq!(known, entry, "{}: two entries at {index}", self.story());
        }
        for (id, now) in starts {
            let (start, _, received) = self.starts.insert(id, now).unwrap_or_default();
            self.seen.compactions += u64::from(now.0 > start);
            self.seen.installs += now.2.saturating_sub(received);
        }
    }

    fn story(&self) -> String {
        let events: Vec<String> = self.world.last_events().collect();
        format!("{}\nseed {}", events.join("\n"), self.seed)
    }
}
