//! Engines stepped by hand: a frame can be held back and delivered whenever a test likes, also to a
//! later life of its receiver. Each test is named for the lie or the halt it keeps away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::sim::SimDisk;
use synod_replica::{
    Applier, Applying, Configured, Consistency, DiskHealth, Effect, Engine, EngineConfig,
    EngineStatus, Failure, GroupId, Instant, Log, LogSpace, NodeId, Proposal, Protocol, Reason,
    Role, StateMachine, Ticket,
};
use synod_wal::{Options, Wal};

const GROUP: GroupId = GroupId(1);
/// Where a frame says what it is.
const KIND_AT: usize = 8;
const MESSAGE: u8 = 0;
const REFUSED: u8 = 2;
const INDEX: u8 = 4;

/// Of each protocol.
macro_rules! tests {
    ($($name:ident,)*) => {
        #[cfg(feature = "raft")]
        mod raft {
            $(#[test] fn $name() { super::$name::<synod_replica::raft::Config>(); })*
        }
        #[cfg(feature = "paxos")]
        mod paxos {
            $(#[test] fn $name() { super::$name::<synod_replica::paxos::Config>(); })*
        }
    };
}

tests! {
    a_refusal_to_an_earlier_life_ends_nothing,
    an_index_for_an_earlier_life_confirms_nothing,
    a_command_that_a_snapshot_covers_is_not_called_lost,
    a_pull_slower_than_the_snapshots_comes_to_an_end,
    a_state_far_larger_than_the_setting_is_moved_under_load,
    a_follower_without_space_for_a_snapshot_waits_and_fills_no_leader,
    a_full_leader_says_so_through_a_follower,
    a_leader_stops_when_the_snapshot_that_it_gives_away_has_rotted,
    a_follower_without_room_takes_no_entries_and_goes_on_when_it_has_some,
    a_burst_that_is_more_than_the_log_has_space_for_is_dropped,
}

fn a_refusal_to_an_earlier_life_ends_nothing<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    // Nobody has room, so it leads on; then 2 has some, and it has yet to hear of that.
    (2..=3).for_each(|id| nodes.set_room(id, false));
    nodes.run(100);
    (1..=2).for_each(|id| nodes.set_room(id, id == 2));
    nodes.hold = |from, to, kind| {
        let refusal = (from, to, kind) == (1, 2, REFUSED);
        refusal || (from, to, kind) == (2, 1, MESSAGE)
    };
    nodes.propose(2, "first life");
    nodes.run(20);
    let refusal = |(from, _, _): &(u64, u64, Bytes)| *from == 1;
    let at = nodes.held.iter().position(refusal).unwrap();
    let late = nodes.held.remove(at);
    nodes.hold = |_, _, _| false;
    nodes.restart(2);
    [1, 3].iter().for_each(|id| nodes.set_room(*id, true));
    nodes.run(100);
    nodes.propose(2, "second life");
    nodes.deliver(late);
    nodes.run(100);
    assert_eq!(
        nodes.ends(),
        ["first life: dropped", "second life: applied 1"]
    );
}

fn an_index_for_an_earlier_life_confirms_nothing<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes.hold = |from, to, kind| (from, to, kind) == (1, 2, INDEX);
    nodes.read(2, "old read");
    nodes.run(20);
    let late = nodes.held.pop().unwrap();
    nodes.restart(2);
    nodes.run(100);
    // From here on nothing but the late frame reaches node 2.
    nodes.hold = |_, to, _| to == 2;
    nodes.propose(1, "write");
    nodes.run(20);
    nodes.read(2, "new read");
    nodes.deliver(late);
    nodes.run(5);
    assert_eq!(nodes.ends(), ["old read: dropped", "write: applied 1"]);
}

/// Its command was applied, but within a snapshot: the follower never sees it pass.
fn a_command_that_a_snapshot_covers_is_not_called_lost<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 1_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.propose(3, "covered");
    for _ in 0..100 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    nodes.hold = |_, _, _| false;
    nodes.run(1_000);
    assert!(
        nodes.status(3).snapshots_received > 0,
        "{:?}",
        nodes.status(3)
    );
    nodes.propose(3, "later");
    nodes.run(100);
    let ends = nodes.ends();
    assert_eq!(
        ends[ends.len() - 2..],
        ["covered: unknown", "later: applied 102"]
    );
}

/// The leader takes a snapshot every few entries; the follower needs longer than that for one.
fn a_pull_slower_than_the_snapshots_comes_to_an_end<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        piece_bytes_max: 16,
        pad: 2_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    for _ in 0..400 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    for _ in 0..4_000 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    let (leader, follower) = (nodes.status(1), nodes.status(3));
    assert!(follower.snapshots_received > 0, "{follower:?}");
    assert!(
        follower.applied + 100 > leader.applied,
        "{leader:?} {follower:?}"
    );
}

/// The state is fifty times what is applied between two snapshots by the setting. Were the next one
/// taken after so little, every transfer would be overtaken before its end.
fn a_state_far_larger_than_the_setting_is_moved_under_load<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 400,
        piece_bytes_max: 64,
        pad: 20_000,
        kept_log_bytes_max: 0,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.write(400, 4);
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    nodes.write(4_000, 4);
    let (leader, follower) = (nodes.status(1), nodes.status(3));
    assert!(follower.snapshots_received > 0, "{follower:?}");
    assert!(
        follower.applied + 100 > leader.applied,
        "{leader:?} {follower:?}"
    );
}

fn a_follower_without_space_for_a_snapshot_waits_and_fills_no_leader<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        piece_bytes_max: 500,
        pad: 2_000,
        kept_log_bytes_max: 10_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.write(400, 1);
    let disk = nodes.nodes[&3].disk.clone();
    disk.0.capacity(disk.0.used());
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    nodes.run(3_000);
    let follower = nodes.status(3);
    let ends = (follower.snapshots_received, follower.snapshots_failed);
    assert_eq!(ends, (0, 0), "it waits");
    // A peer that waits for too much log has to begin anew.
    nodes.write(6_000, 3);
    let leader = nodes.status(1);
    let kept = leader.core.last - leader.core.start;
    assert!(
        kept < 400,
        "{kept} entries are kept for a peer that is full"
    );
    disk.0.capacity(u64::MAX);
    nodes.write(3_000, 3);
    let (leader, follower) = (nodes.status(1), nodes.status(3));
    assert!(follower.snapshots_received > 0, "{follower:?}");
    assert!(
        follower.applied + 100 > leader.applied,
        "{leader:?} {follower:?}"
    );
}

fn a_full_leader_says_so_through_a_follower<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    // Nobody has room, so it leads on; then 2 has some, and it has yet to hear of that.
    (2..=3).for_each(|id| nodes.set_room(id, false));
    nodes.run(100);
    (1..=2).for_each(|id| nodes.set_room(id, id == 2));
    nodes.hold = |from, to, kind| (from, to, kind) == (2, 1, MESSAGE);
    nodes.propose(2, "at a follower");
    nodes.run(20);
    assert_eq!(nodes.ends(), ["at a follower: no space"]);
}

/// Found by simulation: the snapshot of a leader had rotted, the follower that needed it threw it
/// away again and again, and the group waited for ever, because the leader heard a quorum.
fn a_leader_stops_when_the_snapshot_that_it_gives_away_has_rotted<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    for _ in 0..400 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    let disk = nodes.nodes[&1].disk.0.clone();
    let snapshots = disk.names().unwrap();
    for name in snapshots.iter().filter(|name| name.ends_with(".snap")) {
        disk.flip(name, disk.len(name).unwrap() - 20, 1).unwrap();
    }
    (0..100).for_each(|_| nodes.step());
    nodes.propose(1, "at the rotten leader");
    let ends = nodes.ends();
    assert_eq!(ends.last().unwrap(), "at the rotten leader: poisoned");
}

/// Torture list G6: a full disk neither stops a node for good nor lets it lie.
fn a_follower_without_room_takes_no_entries_and_goes_on_when_it_has_some<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes.set_room(3, false);
    nodes.propose(1, "while full");
    nodes.propose(3, "at the full node");
    nodes.run(1_000);
    assert_eq!(nodes.status(3).core.last, nodes.status(1).core.last - 1);
    nodes.set_room(3, true);
    nodes.run(1_000);
    assert_eq!(nodes.status(3).core.last, nodes.status(1).core.last);
    assert_eq!(
        nodes.ends(),
        ["at the full node: no space", "while full: applied 1"]
    );
}

/// Found by real processes: what came in one turn was more than the log had space for when it was
/// asked, and the node ended with a log that failed.
fn a_burst_that_is_more_than_the_log_has_space_for_is_dropped<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        segment_bytes: 4 << 20,
        ..Tuning::default()
    });
    nodes.run(600);
    let disk = nodes.nodes[&3].disk.clone();
    disk.0.capacity(disk.0.used());
    nodes.hold = |_, to, _| to == 3;
    let long: &str = Box::leak("0123456789".repeat(50_000).into_boxed_str());
    for _ in 0..12 {
        nodes.propose(1, long);
        nodes.run(5);
    }
    nodes.hold = |_, _, _| false;
    let now = nodes.now;
    for (from, _, frame) in std::mem::take(&mut nodes.held) {
        let engine = nodes.engine(3);
        engine.handle_frame(now, NodeId(from), frame.slice(KIND_AT..));
    }
    nodes.pump(3);
    nodes.set_room(3, false);
    nodes.run(1_000);
    let (leader, full) = (nodes.status(1).core.last, nodes.status(3).core.last);
    assert!((leader - 11..leader).contains(&full), "{full} of {leader}");
    disk.0.capacity(u64::MAX);
    let has_room = Log::has_room(&mut nodes.nodes.get_mut(&3).unwrap().log);
    nodes.set_room(3, has_room);
    nodes.run(1_000);
    assert_eq!(nodes.status(3).core.last, leader);
}

#[cfg(feature = "raft")]
#[test]
fn a_membership_over_its_bound_is_ignored() {
    use synod_replica::raft;

    let offer = |voters: u64| {
        let membership = raft::Membership::of_voters((0..voters).map(raft::NodeId));
        let last = raft::LogId {
            term: raft::Term(49),
            index: raft::Index(1000),
        };
        let snapshot = raft::Snapshot { last, membership };
        raft::Message::Replicate(raft::Replicate::Snapshot {
            term: raft::Term(50),
            snapshot,
        })
    };
    let (mut head, mut parts) = (Vec::new(), Vec::new());
    <raft::Raft as Protocol>::encode(&offer(64), &mut head, &mut parts);
    assert!(<raft::Raft as Protocol>::decode(head.clone().into()).is_some());
    // One voter more, by hand: the sizes of the bytes and of the set, and one id behind the last.
    let size = head.iter().rposition(|byte| *byte == 64).unwrap();
    head[size] = 65;
    head.splice(head.len() - 2..head.len() - 2, 64u64.to_le_bytes());
    assert!(<raft::Raft as Protocol>::decode(head.into()).is_none());
}

type Ends = Arc<Mutex<Vec<String>>>;
type Frame = (u64, u64, Bytes);

struct Named(&'static str, Option<Ends>);

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

    fn read(self, machine: &Count) {
        self.end(&format!("read {}", machine.count));
    }

    fn failed(self, failure: Failure) {
        self.end(&match failure {
            Failure::Rejected { reason, .. } => reason.to_string(),
            Failure::Unknown => "unknown".to_owned(),
        });
    }
}

/// Counts commands; its snapshots are as long as a test wants them.
#[derive(Default)]
struct Count {
    count: u64,
    pad: usize,
}

impl StateMachine for Count {
    type Response = u64;
    type Frozen = Vec<u8>;

    fn apply(&mut self, _: Applying, _: &[u8]) -> u64 {
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
struct Tuning {
    snapshot_log_bytes: u64,
    piece_bytes_max: usize,
    pad: usize,
    kept_log_bytes_max: u64,
    segment_bytes: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            snapshot_log_bytes: 1 << 20,
            piece_bytes_max: 1 << 10,
            pad: 0,
            kept_log_bytes_max: 256 << 20,
            segment_bytes: 64 << 20,
        }
    }
}

/// A protocol under test. Node 1 is the first to campaign.
trait Rig: Configured {
    fn new(id: u64) -> Self;
}

#[cfg(feature = "raft")]
impl Rig for synod_replica::raft::Config {
    fn new(id: u64) -> Self {
        use synod_replica::raft::NodeId;

        let mut config = Self::new(NodeId(id), (1..=3).map(NodeId));
        if id != 1 {
            (config.election_timeout_min, config.election_timeout_max) = LATE;
        }
        config
    }
}

#[cfg(feature = "paxos")]
impl Rig for synod_replica::paxos::Config {
    fn new(id: u64) -> Self {
        use synod_replica::paxos::{NodeId, Quorums};

        let mut config = Self::new(NodeId(id), Quorums::majority((1..=3).map(NodeId)).unwrap());
        if id != 1 {
            (config.election_timeout_min, config.election_timeout_max) = LATE;
        }
        config
    }
}

/// The timeouts of whoever shall not be the first.
const LATE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));

struct Node<C: Rig> {
    engine: Engine<C::Protocol, Named>,
    applier: Applier<Count>,
    log: Wal<SimDisk>,
    space: LogSpace,
    disk: SimDisk,
    incarnation: u64,
}

impl<C: Rig> Node<C> {
    fn start(id: u64, disk: SimDisk, incarnation: u64, now: Instant, tuning: Tuning) -> Self {
        let mut options = Options::default();
        // A disk without space has none for a snapshot either.
        options.reserve_bytes = 0;
        (options.segment_bytes, options.record_bytes_max) = (tuning.segment_bytes, 1 << 20);
        let mut log = Wal::open(disk.clone(), options).unwrap();
        let recovered = Log::recover(&mut log, GROUP).unwrap();
        let core = C::Protocol::recover(C::new(id), recovered, now).unwrap();
        let mut config = EngineConfig::new(GROUP, NodeId(id), incarnation);
        config.snapshot_log_bytes = tuning.snapshot_log_bytes;
        config.piece_bytes_max = tuning.piece_bytes_max;
        config.kept_log_bytes_max = tuning.kept_log_bytes_max;
        let space = config.space.clone();
        let machine = Count {
            count: 0,
            pad: tuning.pad,
        };
        let membership = Protocol::membership(&core);
        let applier = Applier::new(GROUP, machine, membership, Log::snapshots(&log));
        Self {
            engine: Engine::new(config, core),
            applier,
            log,
            space,
            disk,
            incarnation,
        }
    }
}

struct Nodes<C: Rig> {
    nodes: BTreeMap<u64, Node<C>>,
    now: Instant,
    wire: Vec<Frame>,
    /// Frames that `hold` picked, by sender, receiver and kind.
    held: Vec<Frame>,
    hold: fn(u64, u64, u8) -> bool,
    ends: Ends,
    tuning: Tuning,
}

impl<C: Rig> Nodes<C> {
    fn new(tuning: Tuning) -> Self {
        let now = Instant::default();
        let start = |id| (id, Node::start(id, SimDisk::new(id), 1, now, tuning));
        let nodes = (1..=3).map(start).collect();
        let (wire, held, ends) = Default::default();
        Self {
            nodes,
            now,
            wire,
            held,
            hold: |_, _, _| false,
            ends,
            tuning,
        }
    }

    /// A millisecond: deadlines, then every frame that is on the wire.
    fn step(&mut self) {
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

    fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
        assert_eq!(self.status(1).core.role, Role::Leader);
    }

    /// Milliseconds in which every so many one something is written at node 1.
    fn write(&mut self, ms: u64, every: u64) {
        for at in 0..ms {
            if at % every == 0 {
                self.propose(1, "0123456789");
            }
            self.step();
        }
    }

    fn deliver(&mut self, (from, to, frame): Frame) {
        let now = self.now;
        self.engine(to)
            .handle_frame(now, NodeId(from), frame.slice(KIND_AT..));
        self.pump(to);
    }

    fn propose(&mut self, id: u64, command: &'static str) {
        let ticket = Named(&command[..command.len().min(40)], Some(self.ends.clone()));
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

    fn read(&mut self, id: u64, name: &'static str) {
        let ticket = Named(name, Some(self.ends.clone()));
        let (now, deadline) = (self.now, self.now + Duration::from_secs(60));
        self.engine(id)
            .read(now, Consistency::Linearizable, deadline, ticket);
        self.pump(id);
    }

    fn set_room(&mut self, id: u64, has_room: bool) {
        let now = self.now;
        let disk = DiskHealth {
            has_room,
            ..DiskHealth::default()
        };
        self.engine(id).set_disk(now, disk);
    }

    fn restart(&mut self, id: u64) {
        let Node {
            disk, incarnation, ..
        } = self.nodes.remove(&id).unwrap();
        disk.0.power_loss();
        self.wire.retain(|(from, to, _)| *from != id && *to != id);
        let node = Node::start(id, disk, incarnation + 1, self.now, self.tuning);
        self.nodes.insert(id, node);
        self.pump(id);
    }

    fn pump(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        loop {
            node.space.set(Log::room_bytes(&node.log));
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
                    Effect::Job(job) => {
                        if let Some(done) = node.applier.run(job).unwrap() {
                            node.engine.handle_done(done);
                        }
                    }
                    Effect::Stop(why) => panic!("{why}"),
                    Effect::Task(task) => {
                        let (reader, snapshots) =
                            (Log::reader(&node.log), Log::snapshots(&node.log));
                        let completion = task.run(GROUP, &*reader, &*snapshots);
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

    fn engine(&mut self, id: u64) -> &mut Engine<C::Protocol, Named> {
        &mut self.nodes.get_mut(&id).unwrap().engine
    }

    fn status(&self, id: u64) -> EngineStatus {
        self.nodes[&id].engine.status()
    }

    /// How requests ended, in alphabetical order.
    fn ends(&self) -> Vec<String> {
        let mut ends = self.ends.lock().unwrap().clone();
        ends.sort();
        ends
    }
}
