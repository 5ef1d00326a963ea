//! The options of a run, drawn from its seed.

use std::fmt;
use std::time::Duration;

use synod_replica::embed::EngineConfig;
use synod_sim::{FaultKind, Rng, Swarm, Trial, WorldOptions};

use super::Subject;

/// Everything that is drawn before a run begins. Bounds range from tiny to usual: what is never
/// full hides bugs of the full case.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) nodes: u64,
    /// The first of them are the first members; the others wait to be added.
    pub(crate) founders: u64,
    /// Followers ask a quorum for a read's place, where the protocol can do that.
    pub(crate) quorum_reads: bool,
    /// Another group with the same faults has a decorated machine.
    pub(crate) decorated: bool,
    pub(crate) load: Load,
    pub(crate) core: CoreOptions,
    pub(crate) engine: EngineOptions,
    pub(crate) log: LogOptions,
    pub(crate) world: WorldOptions,
}

/// The clients' behavior.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// Mean time between the end of a client's request and its next one.
    pub(crate) gap: Duration,
    /// The length of the first phase.
    pub(crate) horizon: Duration,
    /// With this share of the requests somebody wants another node to lead, too.
    pub(crate) transfers: f64,
    /// With this share somebody changes the members.
    pub(crate) changes: f64,
    /// With this share somebody takes a backup; the last one is restored in the end.
    pub(crate) backups: f64,
    /// With this share a disk is emptied, or put back to what it was.
    pub(crate) losses: f64,
    pub(crate) keys: u64,
    /// How many of a hundred requests are reads.
    pub(crate) reads_percent: u64,
    /// Half of the others may be answered by a lease.
    pub(crate) leased: bool,
    /// How many of a hundred reads may be stale.
    pub(crate) stale_percent: u64,
    /// Most stale reads tell how stale they may be.
    pub(crate) bounded: bool,
    /// The longest token, in bytes.
    pub(crate) token_bytes_max: u64,
    pub(crate) timeout: Duration,
    /// How often a rejected request is retried at another node.
    pub(crate) retries_max: u32,
}

/// The bounds of a core, common to the protocols.
#[derive(Clone, Debug)]
pub(crate) struct CoreOptions {
    #[cfg_attr(not(feature = "raft"), allow(dead_code, reason = "used by Raft only"))]
    pub(crate) pre_vote: bool,
    pub(crate) cache_bytes_max: usize,
    pub(crate) append_bytes_max: usize,
    pub(crate) inflight_bytes_max: usize,
    pub(crate) inflight_messages_max: usize,
    pub(crate) uncommitted_bytes_max: usize,
    pub(crate) reads_max: usize,
    /// Modulo the number of nodes, one less than the size of a phase-2 quorum; majorities if `None`.
    #[cfg_attr(
        not(feature = "paxos"),
        allow(dead_code, reason = "used by Paxos only")
    )]
    pub(crate) flexible: Option<u64>,
    /// How many slots after its decision a configuration governs: few where the members change, for so
    /// many no-ops are sent, one by one with the smallest windows.
    #[cfg_attr(
        not(feature = "paxos"),
        allow(dead_code, reason = "used by Paxos only")
    )]
    pub(crate) alpha: Option<u64>,
    /// The length of a lease, and the bound on clocks in parts per million.
    pub(crate) lease: Option<(Duration, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) body_bytes_max: usize,
    pub(crate) write_bytes_max: usize,
    pub(crate) queued_bytes_max: usize,
    pub(crate) requests_max: usize,
    pub(crate) forwards_max: usize,
    pub(crate) snapshot_log_bytes: u64,
    pub(crate) chunk_bytes_max: usize,
    pub(crate) retry_after: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    pub(crate) segment_bytes: u64,
    pub(crate) record_bytes_max: usize,
}

impl Options {
    /// Three nodes with the usual bounds and no faults.
    pub(crate) fn calm() -> Self {
        Self {
            nodes: 3,
            founders: 3,
            quorum_reads: false,
            decorated: false,
            load: Load {
                clients: 4,
                gap: ms(40),
                horizon: secs(3),
                transfers: 0.0,
                changes: 0.0,
                losses: 0.0,
                backups: 0.0,
                keys: 5,
                reads_percent: 40,
                leased: false,
                stale_percent: 0,
                bounded: false,
                token_bytes_max: 8,
                timeout: secs(1),
                retries_max: 0,
            },
            core: CoreOptions::usual(),
            engine: EngineOptions {
                body_bytes_max: 4 << 10,
                write_bytes_max: 4 << 20,
                queued_bytes_max: 64 << 20,
                requests_max: 1 << 16,
                // With one, no forwarded body can overtake another.
                forwards_max: 1,
                snapshot_log_bytes: 4 << 10,
                chunk_bytes_max: 1 << 10,
                retry_after: ms(200),
            },
            log: LogOptions {
                segment_bytes: 16 << 10,
                record_bytes_max: 8 << 10 >> 1,
            },
            world: WorldOptions::default(),
        }
    }

    /// What a trial specifies; the rest is drawn from its seed.
    pub(crate) fn of<S: Subject>(trial: &Trial) -> Self {
        let mut options = Self::drawn::<S>(trial.seed);
        options.nodes = trial.nodes;
        options.founders = options.founders.min(trial.nodes);
        options.load.clients = trial.clients;
        options.load.horizon = trial.horizon;
        options.world = trial.options.clone();
        options
    }

    /// The part that can be shrunk.
    pub(crate) fn trial(self, seed: u64) -> Trial {
        Trial {
            seed,
            nodes: self.nodes,
            clients: self.load.clients,
            horizon: self.load.horizon,
            options: self.world,
        }
    }

    /// All options, drawn from a seed.
    pub(crate) fn drawn<S: Subject>(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ OPTIONS);
        let nodes = pick(&mut rng, &[1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7]);
        let load = Load::drawn(&mut rng);
        let core = CoreOptions::drawn(&mut rng);
        let engine = EngineOptions::drawn(&mut rng);
        let segment_bytes = pick(&mut rng, &[16 << 10, 16 << 10, 32 << 10, 64 << 10]);
        let world = Swarm::new(load.horizon).draw(seed);
        let record_bytes_max =
            engine.body_bytes_max + RECORD_SPARE_BYTES + pick(&mut rng, &[0, 500, 2 << 10]);
        // Drawn separately, so that a seed means the same for each protocol.
        let mut rng = Rng::new(seed ^ QUORUMS);
        let flexible = rng.chance(0.5).then(|| rng.below(64));
        let mut options = Self {
            nodes,
            founders: nodes,
            quorum_reads: false,
            decorated: false,
            load,
            core: CoreOptions { flexible, ..core },
            engine,
            log: LogOptions {
                segment_bytes,
                record_bytes_max,
            },
            world,
        };
        let mut rng = Rng::new(seed ^ DISKS);
        if rng.chance(SLOW_DISKS) {
            options.world.sync_min = ms(100 + rng.below(200));
            options.world.sync_mean = ms(20 + rng.below(80));
            // With tiny bounds, or clients that give up too early, working off the queues takes
            // minutes.
            let (pre_vote, flexible) = (options.core.pre_vote, options.core.flexible);
            let calm = Self::calm();
            options.core = CoreOptions {
                pre_vote,
                flexible,
                ..calm.core
            };
            options.engine = EngineOptions {
                snapshot_log_bytes: 64 << 10,
                chunk_bytes_max: 256 << 10,
                ..calm.engine
            };
            options.load.timeout = secs(4);
            options.log.record_bytes_max =
                calm.log.record_bytes_max.max(options.log.record_bytes_max);
        }
        options.draw_losses(seed);
        if Rng::new(seed ^ BACKUPS).chance(BACKING_UP) {
            options.load.backups = BACKUP;
        }
        let mut rng = Rng::new(seed ^ READS);
        options.quorum_reads = rng.chance(QUORUM_READS);
        if rng.chance(BOUNDED) {
            options.load.bounded = true;
            options.load.stale_percent = 30;
        }
        let mut rng = Rng::new(seed ^ CHANGES);
        if !options.load.loses_disks() && rng.chance(CHANGING) {
            options.nodes += rng.below(4);
            options.load.changes = CHANGE;
            // The runtime changes majorities only.
            options.core.flexible = None;
            options.core.alpha = Some(pick(&mut rng, &[4, 16, 64, 256]));
        }
        options.draw_leases(seed);
        options.decorated =
            !options.changes_members() && Rng::new(seed ^ DECORATED).chance(DECORATES);
        S::fit(&mut options);
        if options.changes_members() {
            // Which disks a quorum may lose is not known beforehand.
            options.world.switch_off(FaultKind::Rot);
        }
        options
    }

    /// In some runs disks are lost, and there are spare nodes to replace theirs.
    fn draw_losses(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ LOSSES);
        if self.founders < 3 || !rng.chance(LOSING) {
            return;
        }
        self.nodes += (self.founders - 1) / 2;
        self.load.losses = LOSS;
        // The runtime changes majorities only.
        self.core.flexible = None;
        self.core.alpha = Some(pick(&mut rng, &[4, 16, 64, 256]));
    }

    /// In some runs leaders hold leases, and no clock is worse than these suppose.
    fn draw_leases(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ LEASES);
        if !rng.chance(LEASING) {
            return;
        }
        let length = ms(pick(&mut rng, &[20, 80, 150]));
        for kind in [FaultKind::Freeze, FaultKind::Jump] {
            self.world.switch_off(kind);
        }
        let drift = &mut self.world.drift_ppm_max;
        *drift = u32::min(*drift, LEASE_DRIFT_MAX);
        self.core.lease = Some((length, u32::max(*drift, 1)));
        self.load.leased = true;
    }

    /// Whether the members may be others in the end.
    pub(crate) fn changes_members(&self) -> bool {
        self.load.changes > 0.0 || self.load.loses_disks()
    }

    pub(crate) fn tune(&self, engine: &mut EngineConfig) {
        let EngineOptions {
            body_bytes_max,
            write_bytes_max,
            queued_bytes_max,
            requests_max,
            forwards_max,
            snapshot_log_bytes,
            chunk_bytes_max,
            retry_after,
        } = self.engine.clone();
        engine.quorum_reads = self.quorum_reads;
        engine.bounds.body_bytes_max = body_bytes_max;
        engine.bounds.write_bytes_max = write_bytes_max;
        engine.bounds.queued_bytes_max = queued_bytes_max;
        engine.bounds.requests_max = requests_max;
        engine.bounds.forwards_max = forwards_max;
        engine.bounds.snapshot_log_bytes = snapshot_log_bytes;
        engine.bounds.chunk_bytes_max = chunk_bytes_max;
        engine.bounds.retry_after = retry_after;
    }

    pub(crate) fn log(&self) -> synod_wal::Options {
        let mut options = synod_wal::Options::default();
        options.segment_bytes = self.log.segment_bytes;
        options.reserve_bytes = self.log.segment_bytes;
        options.record_bytes_max = self.log.record_bytes_max;
        options
    }
}

impl Load {
    pub(crate) fn loses_disks(&self) -> bool {
        self.losses > 0.0
    }

    fn drawn(rng: &mut Rng) -> Self {
        let clients = 1 + rng.below(10);
        let requests = 100 + rng.below(300);
        let horizon = ms(1500 + rng.below(3500));
        Self {
            clients: clients as usize,
            gap: horizon * clients as u32 / requests as u32,
            horizon,
            transfers: TRANSFERS,
            changes: 0.0,
            losses: 0.0,
            backups: 0.0,
            keys: 1 + rng.below(5),
            reads_percent: pick(rng, &[10, 30, 50, 50, 70]),
            leased: false,
            stale_percent: pick(rng, &[0, 0, 10]),
            bounded: false,
            token_bytes_max: pick(rng, &[6, 6, 40, 40, 300]),
            timeout: ms(pick(rng, &[60, 150, 300, 300, 600])),
            retries_max: pick(rng, &[0, 3, 3, 10]),
        }
    }
}

impl CoreOptions {
    fn usual() -> Self {
        Self {
            pre_vote: true,
            cache_bytes_max: 4 << 10,
            append_bytes_max: 1 << 20,
            inflight_bytes_max: 8 << 20,
            inflight_messages_max: 256,
            uncommitted_bytes_max: 32 << 20,
            reads_max: 4096,
            flexible: None,
            alpha: None,
            lease: None,
        }
    }

    fn drawn(rng: &mut Rng) -> Self {
        Self {
            pre_vote: rng.chance(0.9),
            cache_bytes_max: pick(rng, &[0, 256, 1 << 10, 1 << 20]),
            append_bytes_max: pick(rng, &[1, 256, 1 << 10, 1 << 20]),
            inflight_bytes_max: pick(rng, &[1, 512, 4 << 10, 8 << 20]),
            inflight_messages_max: pick(rng, &[1, 2, 256, 256]),
            uncommitted_bytes_max: pick(rng, &[600, 4 << 10, 32 << 20, 32 << 20]),
            reads_max: pick(rng, &[1, 3, 4096, 4096]),
            flexible: None,
            alpha: None,
            lease: None,
        }
    }
}

impl EngineOptions {
    fn drawn(rng: &mut Rng) -> Self {
        Self {
            body_bytes_max: pick(rng, &[256, 1 << 10, 4 << 10]),
            write_bytes_max: pick(rng, &[1, 512, 4 << 20]),
            queued_bytes_max: pick(rng, &[300, 4 << 10, 64 << 20, 64 << 20]),
            requests_max: pick(rng, &[2, 8, 1 << 16, 1 << 16]),
            forwards_max: pick(rng, &[1, 2, 4, 4]),
            snapshot_log_bytes: pick(rng, &[500, 1 << 10, 4 << 10, 16 << 10, 1 << 30]),
            chunk_bytes_max: pick(rng, &[256, 1 << 10, 256 << 10]),
            retry_after: ms(pick(rng, &[50, 200])),
        }
    }
}

/// The options that the world does not print itself.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.load)?;
        write!(f, "{:?}\n{:?}\n{:?}", self.core, self.engine, self.log)
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn pick<T: Copy>(rng: &mut Rng, among: &[T]) -> T {
    among[rng.index(among.len())]
}

/// The most that a record takes besides the body of an entry; the value that `synod_replica` uses.
const RECORD_SPARE_BYTES: usize = 1024;
const OPTIONS: u64 = 0x6f70_7469_6f6e_7321;
/// The fraction of runs in which each sync takes as long as an election timeout.
const SLOW_DISKS: f64 = 0.05;
const DISKS: u64 = 0x6469_736b_7321_2121;
const QUORUMS: u64 = 0x7175_6f72_756d_7321;

const TRANSFERS: f64 = 0.02;
/// The fraction of runs in which the members change, and how often they do.
const CHANGING: f64 = 0.25;
const CHANGE: f64 = 0.04;
/// The fraction of runs in which leaders hold leases, and the most that their clocks drift.
const LEASING: f64 = 0.3;
const LEASE_DRIFT_MAX: u32 = 50_000;
const LEASES: u64 = 0x6c65_6173_6573_2121;
/// The fraction of runs in which disks are lost, and how often they are.
const LOSING: f64 = 0.12;
const LOSS: f64 = 0.05;
const LOSSES: u64 = 0x656d_7074_6965_6421;
/// The fraction of runs in which backups are taken, and how often they are.
const BACKING_UP: f64 = 0.08;
const BACKUP: f64 = 0.02;
const BACKUPS: u64 = 0x6261_636b_7570_7321;
/// The fraction of runs with reads of quorums, and with bounded reads.
const QUORUM_READS: f64 = 0.4;
const BOUNDED: f64 = 0.2;
const READS: u64 = 0x7265_6164_7321_2121;
/// The fraction of runs with a group whose machine is decorated.
const DECORATES: f64 = 0.06;
const DECORATED: u64 = 0x6465_636f_7261_7465;
const CHANGES: u64 = 0x6d65_6d62_6572_7321;
