//! Three nodes that a test steps by hand, and their machine.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::{
    Applier, DiskHealth, Effect, Engine, EngineConfig, EngineStatus, Instant, Job, Proposal,
    Protocol, Ran, Ticket,
};
use synod_replica::sim::SimDisk;
use synod_replica::{
    Applying, Configured, Consistency, Divergence, Failure, GroupId, Log, LogSpace, NodeId, Reason,
    Role, StateMachine,
};
use synod_wal::{Options, Wal};

use crate::scarce::Scarce;

pub(crate) const GROUP: GroupId = GroupId(1);
/// The offset of a frame's kind.
pub(crate) const KIND_AT: usize = 8;
pub(crate) const MESSAGE: u8 = 0;
pub(crate) const FORWARD: u8 = 1;
pub(crate) const REFUSED: u8 = 2;
pub(crate) const INDEX: u8 = 4;
pub(crate) const CHUNK: u8 = 6;

pub(crate) type Ends = Arc<Mutex<Vec<String>>>;
pub(crate) type Frame = (u64, u64, Bytes);

/// The last question whose answer a machine had reached when it was read, by the name of the read.
pub(crate) type Freshness = Arc<Mutex<Vec<(&'static str, Option<Instant>)>>>;

pub(crate) struct Named(&'static str, Option<Ends>, Freshness);

impl Named {
    fn end(mut self, what: &str) {
        self.1
            .take()
            .unwrap()
            .lock()
            .unwrap()
            .push(format!("{}: {what}", self.0));
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some(ends) = self.1.take() {
            ends.lock().unwrap().push(format!("{}: dropped", self.0));
        }
    }
}

impl Ticket<Count> for Named {
    fn applied(self, count: u64) {
        self.end(&format!("applied {count}"));
    }

    fn read(self, machine: &Count, fresh: Option<Instant>) {
        self.2.lock().unwrap().push((self.0, fresh));
        self.end(&format!("read {}", machine.count));
    }

    fn failed(self, failure: Failure) {
        self.end(&match failure {
            Failure::Rejected { reason, .. } => reason.to_string(),
            Failure::Unknown => "unknown".to_owned(),
        });
    }
}

/// Counts commands; its snapshots are as long as a test wants.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pad: usize,
}

impl StateMachine for Count {
    type Response = u64;
    type Frozen = Vec<u8>;

    fn apply(&mut self, _: Applying, _: Bytes) -> u64 {
        self.count += 1;
        self.count
    }

    fn freeze(&self) -> Vec<u8> {
        [&self.count.to_le_bytes()[..], &vec![0; self.pad]].concat()
    }

    fn write(frozen: Vec<u8>, to: &mut dyn io::Write) -> io::Result<()> {
        to.write_all(&frozen)
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let count = bytes.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        self.count = u64::from_le_bytes(*count);
        Ok(())
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) snapshot_log_bytes: u64,
    pub(crate) chunk_bytes_max: usize,
    pub(crate) pad: usize,
    pub(crate) kept_log_bytes_max: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) quorum_reads: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            snapshot_log_bytes: 1 << 20,
            chunk_bytes_max: 1 << 10,
            pad: 0,
            kept_log_bytes_max: 256 << 20,
            segment_bytes: 64 << 20,
            quorum_reads: false,
        }
    }
}

/// A protocol under test. Node 1 is the first to campaign.
pub(crate) trait Rig: Configured {
    fn new(id: u64) -> Self;
}

#[cfg(feature = "raft")]
impl Rig for synod_replica::raft::Config {
    fn new(id: u64) -> Self {
        use synod_replica::raft::{Drift, Lease, NodeId};

        let mut config = Self::new(NodeId(id), (1..=3).map(NodeId));
        config.lease = Some(Lease {
            length: Duration::from_millis(100),
            drift: Drift(500),
        });
        if id != 1 {
            (config.election_timeout_min, config.election_timeout_max) = LATE;
        }
        config
    }
}

#[cfg(feature = "paxos")]
impl Rig for synod_replica::paxos::Config {
    fn new(id: u64) -> Self {
        use synod_replica::paxos::{Drift, Lease, NodeId, Quorums};

        let mut config = Self::new(NodeId(id), Quorums::majority((1..=3).map(NodeId)).unwrap());
        config.lease = Some(Lease {
            length: Duration::from_millis(100),
            drift: Drift(500),
        });
        if id != 1 {
            (config.election_timeout_min, config.election_timeout_max) = LATE;
        }
        config
    }
}

/// The timeouts of the nodes that must not campaign first.
const LATE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));

pub(crate) struct Node<C: Rig> {
    pub(crate) engine: Engine<C::Protocol, Named>,
    pub(crate) applier: Applier<Count>,
    pub(crate) log: Wal<SimDisk>,
    pub(crate) space: LogSpace,
    pub(crate) disk: SimDisk,
    /// Its snapshot store, which also controls whether file descriptors are left.
    pub(crate) snapshots: Arc<Scarce>,
    /// A job that the machine must finish before any other.
    left: Option<Job<Named>>,
    pub(crate) incarnation: u64,
}

impl<C: Rig> Node<C> {
    fn start(id: u64, disk: SimDisk, incarnation: u64, now: Instant, tuning: Tuning) -> Self {
        let mut options = Options::default();
        // A full disk has no reserve for a snapshot either.
        options.reserve_bytes = 0;
        (options.segment_bytes, options.record_bytes_max) = (tuning.segment_bytes, 1 << 20);
        let mut log = Wal::open(disk.clone(), options).unwrap();
        let recovered = Log::recover(&mut log, GROUP).unwrap();
        let mut protocol = C::new(id);
        protocol.begin_life(incarnation);
        let core = C::Protocol::recover(protocol, recovered, now).unwrap();
        let mut config = EngineConfig::new(GROUP, NodeId(id), incarnation);
        config.bounds.snapshot_log_bytes = tuning.snapshot_log_bytes;
        config.bounds.chunk_bytes_max = tuning.chunk_bytes_max;
        config.bounds.kept_log_bytes_max = tuning.kept_log_bytes_max;
        config.quorum_reads = tuning.quorum_reads;
        let space = config.space.clone();
        let machine = Count {
            count: 0,
            pad: tuning.pad,
        };
        let membership = Protocol::membership(&core);
        let snapshots = Arc::new(Scarce::new(Log::snapshots(&log)));
        let applier = Applier::new(GROUP, machine, membership, snapshots.clone());
        Self {
            engine: Engine::new(config, core),
            applier,
            log,
            space,
            disk,
            snapshots,
            left: None,
            incarnation,
        }
    }

    /// Runs a job, unless a resource that it needs has run out.
    fn run(&mut self, job: Job<Named>) {
        match self.applier.run_within(job, &mut |_| true).unwrap() {
            Ran::Whole(Some(done)) => self.engine.handle_done(done),
            Ran::Whole(None) => {}
            Ran::Left(job) | Ran::Later(job, _) => self.left = Some(job),
        }
        self.engine.hold_jobs(self.left.is_some());
    }
}

pub(crate) struct Nodes<C: Rig> {
    pub(crate) nodes: BTreeMap<u64, Node<C>>,
    pub(crate) now: Instant,
    pub(crate) wire: Vec<Frame>,
    /// Frames that `hold` selected, by sender, receiver and kind.
    pub(crate) held: Vec<Frame>,
    pub(crate) hold: fn(u64, u64, u8) -> bool,
    ends: Ends,
    fresh: Freshness,
    /// Nodes whose core has stopped them, and why; unexpected stops are failures.
    pub(crate) stopped: BTreeMap<u64, Divergence>,
    pub(crate) may_stop: bool,
    pub(crate) tuning: Tuning,
}

impl<C: Rig> Nodes<C> {
    pub(crate) fn new(tuning: Tuning) -> Self {
        let now = Instant::default();
        let start = |id| (id, Node::start(id, SimDisk::new(id), 1, now, tuning));
        let nodes = (1..=3).map(start).collect();
        let (wire, held, ends, fresh) = Default::default();
        Self {
            nodes,
            now,
            wire,
            held,
            hold: |_, _, _| false,
            ends,
            fresh,
            stopped: BTreeMap::new(),
            may_stop: false,
            tuning,
        }
    }

    /// One millisecond: deadlines, then every frame in transit.
    pub(crate) fn step(&mut self) {
        for id in 1..=3 {
            let now = self.now;
            self.engine(id).handle_timeout(now);
            self.pump(id);
        }
        for frame in std::mem::take(&mut self.wire) {
            self.deliver(frame);
        }
        self.now = self.now + Duration::from_millis(1);
    }

    pub(crate) fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
        assert_eq!(self.status(1).core.role, Role::Leader);
    }

    /// Steps `ms` milliseconds, and writes at node 1 in every `every`th.
    pub(crate) fn write(&mut self, ms: u64, every: u64) {
        for at in 0..ms {
            if at % every == 0 {
                self.propose(1, "0123456789");
            }
            self.step();
        }
    }

    pub(crate) fn deliver(&mut self, (from, to, frame): Frame) {
        let (now, incarnation) = (self.now, self.nodes[&from].incarnation);
        self.engine(to).meet(NodeId(from), incarnation);
        self.engine(to)
            .handle_frame(now, NodeId(from), frame.slice(KIND_AT..));
        self.pump(to);
    }

    pub(crate) fn propose(&mut self, id: u64, command: &'static str) {
        let ticket = self.ticket(&command[..command.len().min(40)]);
        let (now, deadline) = (self.now, self.now + Duration::from_secs(60));
        self.engine(id).propose(
            now,
            Proposal {
                command: command.into(),
                deadline,
                ticket,
            },
        );
        self.pump(id);
    }

    pub(crate) fn read(&mut self, id: u64, name: &'static str) {
        self.read_as(id, Consistency::Linearizable, name);
    }

    pub(crate) fn read_as(&mut self, id: u64, consistency: Consistency, name: &'static str) {
        let ticket = self.ticket(name);
        let (now, deadline) = (self.now, self.now + Duration::from_secs(60));
        self.engine(id).read(now, consistency, deadline, ticket);
        self.pump(id);
    }

    fn ticket(&self, name: &'static str) -> Named {
        Named(name, Some(self.ends.clone()), self.fresh.clone())
    }

    /// How old the state is now, at most, that each read has seen; in the order of the reads.
    pub(crate) fn ages(&self) -> Vec<(&'static str, Option<Duration>)> {
        let fresh = self.fresh.lock().unwrap();
        let age = |(name, at): &(_, Option<Instant>)| (*name, at.map(|at| self.now.since(at)));
        fresh.iter().map(age).collect()
    }

    pub(crate) fn set_room(&mut self, id: u64, has_room: bool) {
        let now = self.now;
        let disk = DiskHealth {
            has_room,
            ..DiskHealth::default()
        };
        self.engine(id).set_disk(now, disk);
    }

    pub(crate) fn restart(&mut self, id: u64) {
        let Node {
            disk, incarnation, ..
        } = self.nodes.remove(&id).unwrap();
        disk.0.power_loss();
        self.start(id, disk, incarnation + 1);
    }

    /// Starts a node's next incarnation on this disk, which need not be its previous one.
    pub(crate) fn start(&mut self, id: u64, disk: SimDisk, incarnation: u64) {
        self.wire.retain(|(from, to, _)| *from != id && *to != id);
        let node = Node::start(id, disk, incarnation, self.now, self.tuning);
        self.nodes.insert(id, node);
        self.pump(id);
    }

    pub(crate) fn pump(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        if let Some(job) = node.left.take() {
            node.run(job);
        }
        loop {
            node.space
                .set(Log::room_bytes(&node.log), node.log.takes_a_record());
            let mut idle = true;
            while let Some(effect) = node.engine.poll_effect(self.now) {
                idle = false;
                match effect {
                    Effect::Persist(write) => {
                        let log = &mut node.log;
                        let staged = node
                            .engine
                            .stage(write, 1 << 20, |ops| Log::append(log, GROUP, ops));
                        staged.unwrap();
                    }
                    Effect::Send(to, _, parcel) => {
                        let frame = (id, to.0, parcel.to_bytes());
                        let held = (self.hold)(id, to.0, frame.2[KIND_AT]);
                        if held { &mut self.held } else { &mut self.wire }.push(frame);
                    }
                    Effect::Job(job) => node.run(job),
                    Effect::Stop(why) => {
                        assert!(self.may_stop, "{why}");
                        self.stopped.insert(id, why);
                        node.engine.close(Reason::Diverged);
                    }
                    Effect::Task(task) => {
                        let reader = Log::reader(&node.log);
                        let completion = task.run(GROUP, &*reader, &*node.snapshots);
                        if node.engine.handle_completion(self.now, completion).is_err() {
                            node.engine.close(Reason::Poisoned);
                        }
                    }
                }
            }
            node.log.sync().unwrap();
            node.engine.handle_durable(self.now, node.log.durable());
            if idle {
                return;
            }
        }
    }

    pub(crate) fn engine(&mut self, id: u64) -> &mut Engine<C::Protocol, Named> {
        &mut self.nodes.get_mut(&id).unwrap().engine
    }

    pub(crate) fn status(&self, id: u64) -> EngineStatus {
        self.nodes[&id].engine.status()
    }

    /// How requests ended, in alphabetical order.
    pub(crate) fn ends(&self) -> Vec<String> {
        let mut ends = self.ends.lock().unwrap().clone();
        ends.sort();
        ends
    }
}
