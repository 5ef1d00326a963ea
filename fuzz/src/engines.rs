//! Three engines, and a network that is the fuzzer's: it delivers, loses, repeats and changes frames, and makes some
//! up.
//!
//! With frames that nobody sent nothing can be said of what the group decides. What holds all the same: no panic, no
//! work and no memory without bound, a log that opens again, and for each request one end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::{
    Applier, DiskHealth, Effect, Engine, EngineConfig, Instant, Proposal, Protocol, Ticket,
};
use synod_replica::{
    Applying, Configured, Consistency, Failure, GroupId, Log, NodeId, Reason, StateMachine,
};
use synod_wal::{Options, Wal};

use crate::disk::Memory;
use crate::memory::bounded_by;
use crate::script::{Script, noise};

pub(crate) mod paxos {
    //! Engines around Multi-Paxos.

    use synod_paxos::{Config, NodeId, Quorums};

    pub(crate) fn run(data: &[u8]) {
        super::run(data, |id| {
            let quorums = Quorums::majority([1, 2, 3].map(NodeId)).expect("three nodes");
            let mut config = Config::new(NodeId(id), quorums);
            config.cache_bytes_max = 200;
            config
        });
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let messages = crate::decoders::paxos_wire::messages();
        super::seeds(messages.iter().map(crate::decoders::paxos_wire::encode))
    }
}

pub(crate) mod raft {
    //! Engines around Raft.

    use synod_raft::{Config, NodeId};

    pub(crate) fn run(data: &[u8]) {
        super::run(data, |id| {
            let mut config = Config::new(NodeId(id), [1, 2, 3].map(NodeId));
            config.cache_bytes_max = 200;
            config
        });
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let messages = crate::decoders::raft_wire::messages();
        super::seeds(messages.iter().map(crate::decoders::raft_wire::encode))
    }
}

/// A step for every few bytes.
fn run<C: Configured>(data: &[u8], config: fn(u64) -> C) {
    let mut script = Script::new(data);
    let mut rig = Rig::new(config);
    while !script.is_over() {
        bounded_by(STEP_BYTES_MAX, || rig.step(&mut script));
    }
    rig.end();
}

/// Schedules drawn at random, one with frames that carry each of these messages.
fn seeds(messages: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut told = Vec::new();
    for message in messages {
        let frame = [&[MESSAGE][..], &message].concat();
        // Made up, for node 1 from node 2.
        told.extend([INVENT, 0, 1, frame.len() as u8]);
        told.extend(frame);
        told.extend([PASS, 40]);
    }
    let mut seeds = vec![told];
    seeds.extend((1..=8).map(|seed| noise(seed, 300 * seed as usize)));
    seeds
}

struct Rig<C: Configured> {
    config: fn(u64) -> C,
    nodes: BTreeMap<u64, Node<C>>,
    now: Instant,
    /// Frames on their way: from, to, and what follows the group.
    wire: Vec<(u64, u64, Bytes)>,
    requests: Arc<Requests>,
}

struct Node<C: Configured> {
    engine: Engine<C::Protocol, Request>,
    applier: Applier<Count>,
    log: Wal<Memory>,
    disk: Memory,
    incarnation: u64,
    /// Its disk takes its time: what is appended waits for a sync.
    slow: bool,
}

impl<C: Configured> Node<C> {
    fn start(config: C, id: u64, disk: Memory, incarnation: u64, now: Instant) -> Self {
        let mut log = Wal::open(disk.clone(), options()).expect("a log that was closed opens");
        let recovered = Log::recover(&mut log, GROUP).expect("a log that is whole is read");
        let core = C::Protocol::recover(config, recovered, now);
        let core = core.expect("a node starts from what it wrote itself");
        let mut engine = EngineConfig::new(GROUP, NodeId(id), incarnation);
        engine.bounds.body_bytes_max = 1 << 12;
        engine.record_bytes_max = options().record_bytes_max;
        engine.bounds.queued_bytes_max = 1 << 14;
        engine.bounds.requests_max = 64;
        engine.bounds.snapshot_log_bytes = 2_000;
        engine.bounds.chunk_bytes_max = 64;
        let membership = Protocol::membership(&core);
        let applier = Applier::new(GROUP, Count::default(), membership, Log::snapshots(&log));
        Self {
            engine: Engine::new(engine, core),
            applier,
            log,
            disk,
            incarnation,
            slow: false,
        }
    }

    /// Does what the engine wants until it wants nothing; what it sends is given back.
    fn pump(&mut self, now: Instant) -> Vec<(u64, Bytes)> {
        let mut sent = Vec::new();
        for _ in 0..TURNS_MAX {
            let mut idle = true;
            while let Some(effect) = self.engine.poll_effect(now) {
                idle = false;
                self.act(now, effect, &mut sent);
                assert!(sent.len() < FRAMES_MAX, "frames without end");
            }
            if !self.slow {
                self.log.sync().expect("memory takes it");
            }
            self.engine.handle_durable(now, self.log.durable());
            if idle {
                return sent;
            }
        }
        panic!("work without end");
    }

    fn act(
        &mut self,
        now: Instant,
        effect: Effect<C::Protocol, Request>,
        sent: &mut Vec<(u64, Bytes)>,
    ) {
        match effect {
            Effect::Persist(write) => {
                let log = &mut self.log;
                let bytes_max = options().record_bytes_max;
                let staged = self
                    .engine
                    .stage(write, bytes_max, |ops| Log::append(log, GROUP, ops));
                staged.expect("what the engine takes the log takes");
            }
            Effect::Send(to, _, parcel) => {
                sent.push((to.0, parcel.to_bytes().slice(GROUP_BYTES..)));
            }
            Effect::Job(job) => match self.applier.run(job) {
                Ok(Some(done)) => self.engine.handle_done(done),
                Ok(None) => {}
                // A liar's snapshot, or an older one: the group ends here.
                Err(_) => self.engine.close(Reason::Poisoned),
            },
            Effect::Stop(_) => self.engine.close(Reason::Poisoned),
            Effect::Task(task) => {
                let (reader, snapshots) = (Log::reader(&self.log), Log::snapshots(&self.log));
                let completion = task.run(GROUP, &*reader, &*snapshots);
                if self.engine.handle_completion(now, completion).is_err() {
                    self.engine.close(Reason::Poisoned);
                }
            }
        }
    }
}

impl<C: Configured> Rig<C> {
    fn new(config: fn(u64) -> C) -> Self {
        let now = Instant::default();
        let start = |id| (id, Node::start(config(id), id, Memory::default(), 1, now));
        Self {
            config,
            nodes: [1, 2, 3].map(start).into(),
            now,
            wire: Vec::new(),
            requests: Arc::default(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let (deed, id) = (script.below(32) as u8, 1 + script.below(3));
        let now = self.now;
        match deed {
            0..10 => self.deliver(script, false),
            10..13 => self.deliver(script, true),
            INVENT => self.invent(script, id),
            14..19 => {
                self.now = now + Duration::from_millis(script.below(256));
                for node in self.nodes.values_mut() {
                    node.engine.handle_timeout(self.now);
                }
            }
            19..23 => self.propose(script, id),
            23 | 24 => self.read(script, id),
            25 => self.node(id).slow = script.flag(),
            26 => {
                let has_room = !script.flag();
                let disk = DiskHealth {
                    has_room,
                    ..DiskHealth::default()
                };
                self.node(id).engine.set_disk(now, disk);
            }
            27 if script.one_in(4) => self.restart(id),
            28 => {
                let from = usize::from(script.byte());
                self.wire.truncate(from);
            }
            _ => self.node(id).log.sync().expect("memory takes it"),
        }
        (1..=3).for_each(|id| self.pump(id));
    }

    fn node(&mut self, id: u64) -> &mut Node<C> {
        self.nodes.get_mut(&id).expect("one of three")
    }

    fn pump(&mut self, id: u64) {
        let now = self.now;
        let sent = self.node(id).pump(now);
        self.wire
            .extend(sent.into_iter().map(|(to, frame)| (id, to, frame)));
        self.wire.truncate(FRAMES_MAX);
    }

    /// A frame that was sent arrives, perhaps with a byte changed.
    fn deliver(&mut self, script: &mut Script<'_>, changed: bool) {
        let choice = script.byte();
        if self.wire.is_empty() {
            return;
        }
        let at = usize::from(choice & 15) % self.wire.len();
        let (from, to, mut frame) = self.wire.remove(at);
        if choice & 16 != 0 {
            self.wire.push((from, to, frame.clone()));
        }
        if changed {
            let mut bytes = frame.to_vec();
            let at = usize::from(script.byte()) % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = script.byte();
            }
            frame = bytes.into();
        }
        if choice >> 6 != 3 && self.nodes.contains_key(&to) {
            let now = self.now;
            self.node(to).engine.handle_frame(now, NodeId(from), frame);
        }
    }

    fn invent(&mut self, script: &mut Script<'_>, to: u64) {
        let from = script.pick(&[2, 2, 3, 1, 9]);
        let len = usize::from(script.byte());
        let frame = Bytes::copy_from_slice(script.take(len));
        let now = self.now;
        self.node(to).engine.handle_frame(now, NodeId(from), frame);
    }

    fn propose(&mut self, script: &mut Script<'_>, id: u64) {
        let len = script.pick(&[5, 0, 300, 5_000]);
        let proposal = Proposal {
            command: vec![7; len].into(),
            deadline: self.now + Duration::from_millis(4 * script.below(256)),
            ticket: self.requests.begin(),
        };
        let now = self.now;
        self.node(id).engine.propose(now, proposal);
    }

    fn read(&mut self, script: &mut Script<'_>, id: u64) {
        let how = script.pick(&[
            Consistency::Linearizable,
            Consistency::Linearizable,
            Consistency::Stale,
        ]);
        let deadline = self.now + Duration::from_millis(4 * script.below(256));
        let (now, ticket) = (self.now, self.requests.begin());
        self.node(id).engine.read(now, how, deadline, ticket);
    }

    /// A crash: requests of the incarnation before end with it.
    fn restart(&mut self, id: u64) {
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        let (disk, incarnation) = (node.disk.clone(), node.incarnation + 1);
        drop(node);
        let node = Node::start((self.config)(id), id, disk, incarnation, self.now);
        self.nodes.insert(id, node);
    }

    /// Everything ends, and with it every request.
    fn end(mut self) {
        for id in 1..=3 {
            let now = self.now;
            let node = self.node(id);
            node.slow = false;
            node.engine.close(Reason::Shutdown);
            node.pump(now);
            assert_eq!(node.engine.status().requests, 0, "a request without an end");
        }
        let Requests { begun, ended } = &*self.requests;
        drop(self.nodes);
        assert_eq!(begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
    }
}

/// How many requests there were, and how many have ended in some way.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Requests {
    fn begin(self: &Arc<Self>) -> Request {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Request(Arc::clone(self))
    }
}

/// Whoever waits. It cannot be copied, so that it ends at most once.
#[derive(Debug)]
struct Request(Arc<Requests>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Ticket<Count> for Request {
    fn applied(self, _: u64) {}
    fn read(self, _: &Count, _: Option<Instant>) {}
    fn failed(self, _: Failure) {}
}

/// Counts commands.
#[derive(Debug, Default)]
struct Count(u64);

impl StateMachine for Count {
    type Response = u64;
    type Frozen = u64;

    fn apply(&mut self, _: Applying, _: Bytes) -> u64 {
        self.0 += 1;
        self.0
    }

    fn freeze(&self) -> u64 {
        self.0
    }

    fn write(count: u64, to: &mut dyn io::Write) -> io::Result<()> {
        to.write_all(&count.to_le_bytes())?;
        // More than one piece.
        to.write_all(&[0; 200])
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = [0; 208];
        from.read_exact(&mut bytes)?;
        let count = bytes.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        self.0 = u64::from_le_bytes(*count);
        Ok(())
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 64 << 10;
    options.record_bytes_max = 16 << 10;
    options.salt = Some(0x5A17);
    options
}

const GROUP: GroupId = GroupId(1);
const GROUP_BYTES: usize = 8;
/// Of what can be done in a step: to make up a frame, and to let time pass.
const INVENT: u8 = 13;
const PASS: u8 = 14;
/// How a frame with a protocol's message begins.
const MESSAGE: u8 = 0;
const FRAMES_MAX: usize = 300;
const TURNS_MAX: usize = 1_000;
const STEP_BYTES_MAX: usize = 16 << 20;
