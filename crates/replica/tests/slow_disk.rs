//! Nodes on disks whose syncs take longer than an election timeout: the group continues, at the
//! disks' pace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use synod_replica::sim::{SimDisk, SimFile};
use synod_replica::{
    Applying, Bytes, Configured, Consistency, Group, GroupId, Incarnation, Log as _, Node,
    NodeConfig, NodeId, Role, StateMachine, ThreadedLog,
};
use synod_transport::MemoryNetwork;
use synod_wal::{Disk, File, Op, Options, Tag, Wal};
use tokio::time::timeout;

#[path = "node/heard.rs"]
mod heard;

use heard::Heard;

/// Longer than anything here takes.
const NEVER: Duration = Duration::from_secs(60);
/// As long as the longest election timeout, by default.
const SYNC_TIME: Duration = Duration::from_millis(300);

/// A disk on which syncs of log segments take long.
#[derive(Clone)]
struct Slow {
    inner: SimDisk,
    syncs: Arc<AtomicU64>,
    is_slow: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    /// Syncs wait while this is set.
    hangs: Arc<(Mutex<bool>, Condvar)>,
}

struct SlowFile {
    inner: SimFile,
    disk: Slow,
}

impl Slow {
    fn new(seed: u64) -> Self {
        Self {
            inner: SimDisk::new(seed),
            syncs: Arc::default(),
            is_slow: Arc::new(AtomicBool::new(true)),
            panics: Arc::default(),
            hangs: Arc::default(),
        }
    }

    fn hang(&self, hangs: bool) {
        *self.hangs.0.lock().unwrap() = hangs;
        self.hangs.1.notify_all();
    }
}

impl Disk for Slow {
    type File = SlowFile;

    fn open(&self, name: &str) -> io::Result<SlowFile> {
        Ok(SlowFile {
            inner: self.inner.open(name)?,
            disk: self.clone(),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.inner.free_bytes()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl File for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(at, bytes)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a slow medium is what these tests are about"
    )]
    fn sync(&self) -> io::Result<()> {
        assert!(
            !self.disk.panics.load(Ordering::Relaxed),
            "the medium panics"
        );
        if self.disk.is_slow.load(Ordering::Relaxed) {
            std::thread::sleep(SYNC_TIME);
        }
        let (hangs, ends) = &*self.disk.hangs;
        drop(
            ends.wait_while(hangs.lock().unwrap(), |hangs| *hangs)
                .unwrap(),
        );
        self.disk.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync()
    }
}

#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
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
        to.write_all(&count.to_le_bytes())
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.reserve_bytes = 0;
    options
}

fn open(disk: &Slow) -> ThreadedLog<Slow> {
    // Opening it is not part of the test.
    disk.is_slow.store(false, Ordering::Relaxed);
    let wal = Wal::open(disk.clone(), options()).unwrap();
    disk.is_slow.store(true, Ordering::Relaxed);
    ThreadedLog::new(wal)
}

#[cfg(feature = "raft")]
fn raft(id: u64) -> impl Configured {
    use synod_replica::raft::{Config, NodeId};

    Config::new(NodeId(id), (1..=3).map(NodeId))
}

#[cfg(feature = "paxos")]
fn paxos(id: u64) -> impl Configured {
    use synod_replica::paxos::{Config, NodeId, Quorums};

    let majority = Quorums::majority((1..=3).map(NodeId)).unwrap();
    Config::new(NodeId(id), majority)
}

/// Starts three nodes, all on disks that stay slow.
async fn three<C: Configured>(config: impl Fn(u64) -> C) -> (Vec<Node>, Vec<Group<Counter>>) {
    let network = MemoryNetwork::new();
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let log = open(&Slow::new(id));
        let node = Node::start(
            Incarnation::ephemeral(NodeId(id)),
            NodeConfig::default(),
            log,
            network.join(NodeId(id)),
        );
        let opened = node.open(GroupId(1), config(id), Counter::default());
        groups.push(opened.await.unwrap());
        nodes.push(node);
    }
    (nodes, groups)
}

/// The last write must be served in the same term as the first.
async fn serves<C: Configured>(config: impl Fn(u64) -> C) {
    let (_nodes, groups) = three(config).await;
    let first = async {
        loop {
            let leader = timeout(NEVER, groups[0].leader()).await.unwrap().unwrap();
            let group = &groups[leader.0 as usize - 1];
            if let Ok(count) = group.propose("a").await {
                return (leader, group.status().term, count);
            }
        }
    };
    let (leader, term, mut count) = timeout(NEVER, first).await.unwrap();
    let group = &groups[leader.0 as usize - 1];
    let mut watch = group.watch();
    for _ in 0..8 {
        let Ok(at) = timeout(NEVER, group.propose("a")).await.unwrap() else {
            panic!("a write was not served: {:?}", group.status())
        };
        assert_eq!(at, count + 1);
        count = at;
        let read = group.read(Consistency::Linearizable, |counter| counter.0);
        assert_eq!(timeout(NEVER, read).await.unwrap(), Ok(count));
        let status = watch.latest();
        assert_eq!(
            (status.term, status.role),
            (term, Role::Leader),
            "slow disks have cost an election"
        );
    }
}

#[cfg(feature = "raft")]
#[tokio::test]
async fn slow_syncs_on_all_nodes_cost_raft_no_leader() {
    serves(raft).await;
}

#[cfg(feature = "paxos")]
#[tokio::test]
async fn slow_syncs_on_all_nodes_cost_paxos_no_leader() {
    serves(paxos).await;
}

/// A node whose disk becomes slow logs that once, and once when it is fast again.
async fn tells_of_its_disk<C: Configured>(config: C) {
    let (heard, _guard) = Heard::listen();
    let disk = Slow::new(1);
    let log = open(&disk);
    let transport = MemoryNetwork::new().join(NodeId(1));
    let node = Node::start(
        Incarnation::ephemeral(NodeId(1)),
        NodeConfig::default(),
        log,
        transport,
    );
    let opened = node.open(GroupId(1), config, Counter::default());
    let group = timeout(NEVER, opened).await.unwrap().unwrap();
    for (is_slow, event, words) in [
        (true, "slow_sync", "a sync of the log takes "),
        (false, "fast_sync", "; the slowest took "),
    ] {
        disk.is_slow.store(is_slow, Ordering::Relaxed);
        let writes = async {
            while heard.of(event).is_empty() {
                assert!(group.propose("a").await.ok().is_some());
            }
        };
        timeout(NEVER, writes).await.expect(event);
        let told = heard.of(event);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(words), "{told:?}");
    }
    assert_eq!(heard.of("slow_sync").len(), 1);
}

#[cfg(feature = "raft")]
#[tokio::test]
async fn raft_tells_of_slow_syncs_and_of_their_end() {
    use synod_replica::raft::{Config, NodeId};

    tells_of_its_disk(Config::new(NodeId(1), [NodeId(1)])).await;
}

#[cfg(feature = "paxos")]
#[tokio::test]
async fn paxos_tells_of_slow_syncs_and_of_their_end() {
    use synod_replica::paxos::{Config, NodeId, Quorums};

    let alone = Quorums::majority([NodeId(1)]).unwrap();
    tells_of_its_disk(Config::new(NodeId(1), alone)).await;
}

/// A sync of the leader hangs, and its node keeps answering: it steps down, another node leads and
/// serves, and when the disk recovers it catches up.
async fn goes_on_without_a_hung_leader<C: Configured>(config: impl Fn(u64, Duration) -> C) {
    let (heard, _guard) = Heard::listen();
    let network = MemoryNetwork::new();
    let disks: Vec<_> = (1..=3).map(Slow::new).collect();
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for (id, disk) in (1..).zip(&disks) {
        let log = open(disk).in_place_up_to(Duration::ZERO);
        disk.is_slow.store(false, Ordering::Relaxed);
        let (incarnation, transport) =
            (Incarnation::ephemeral(NodeId(id)), network.join(NodeId(id)));
        let node = Node::start(incarnation, NodeConfig::default(), log, transport);
        // Node 1 leads first.
        let timeout_min = Duration::from_millis(if id == 1 { 300 } else { 1_000 });
        let opened = node.open(GroupId(1), config(id, timeout_min), Counter::default());
        groups.push(timeout(NEVER, opened).await.unwrap().unwrap());
        nodes.push(node);
    }
    let mut first = groups[0].watch();
    let leads = first.wait_for(|status| status.role == Role::Leader);
    timeout(NEVER, leads).await.unwrap().unwrap();
    let taken = timeout(NEVER, groups[0].propose("a")).await.unwrap();
    assert_eq!(taken, Ok(1));
    disks[0].hang(true);
    let hung = groups[0].propose("b");
    let gives_up = async {
        let given_up = first.wait_for(|status| status.role != Role::Leader);
        drop(given_up.await.unwrap());
    };
    let both = async { tokio::join!(hung, gives_up) };
    let _told_elsewhere = timeout(NEVER, both).await.unwrap();
    let told = timeout(NEVER, heard.told("stepped_down")).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains(": its disk did not finish a write in time"),
        "{told:?}"
    );
    let served = async {
        loop {
            if let Ok(count) = groups[1].propose("c").await {
                return count;
            }
        }
    };
    let count = timeout(NEVER, served).await.unwrap();
    assert!(groups[0].status().applied < groups[1].status().applied);
    disks[0].hang(false);
    let read = groups[0].read(Consistency::Linearizable, |counter| counter.0);
    assert!(timeout(NEVER, read).await.unwrap().ok() >= Some(count));
}

#[cfg(feature = "raft")]
#[tokio::test]
async fn raft_goes_on_without_a_leader_whose_sync_hangs() {
    use synod_replica::raft::{Config, NodeId};

    goes_on_without_a_hung_leader(|id, timeout_min| {
        let mut config = Config::new(NodeId(id), (1..=3).map(NodeId));
        config.election_timeout_min = timeout_min;
        config.election_timeout_max = timeout_min + Duration::from_millis(500);
        config.write_stall_max = config.election_timeout_max;
        config
    })
    .await;
}

#[cfg(feature = "paxos")]
#[tokio::test]
async fn paxos_goes_on_without_a_leader_whose_sync_hangs() {
    use synod_replica::paxos::{Config, NodeId, Quorums};

    goes_on_without_a_hung_leader(|id, timeout_min| {
        let majority = Quorums::majority((1..=3).map(NodeId)).unwrap();
        let mut config = Config::new(NodeId(id), majority);
        config.election_timeout_min = timeout_min;
        config.election_timeout_max = timeout_min + Duration::from_millis(500);
        config.write_stall_max = config.election_timeout_max;
        config
    })
    .await;
}

/// The loop continues while a sync is in progress: it answers what needs no disk.
#[cfg(feature = "raft")]
#[tokio::test]
async fn a_sync_that_fails_on_the_thread_stops_the_node() {
    use synod_replica::{Closed, Failure, Reason};

    let disk = Slow::new(1);
    let log = open(&disk).in_place_up_to(Duration::ZERO);
    let network = MemoryNetwork::new();
    let node = Node::start(
        Incarnation::ephemeral(NodeId(1)),
        NodeConfig::default(),
        log,
        network.join(NodeId(1)),
    );
    let config = synod_replica::raft::Config::new(
        synod_replica::raft::NodeId(1),
        [synod_replica::raft::NodeId(1)],
    );
    let opened = node.open(GroupId(1), config, Counter::default());
    let group = opened.await.unwrap();
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(1));
    disk.inner.0.fail_next_sync();
    assert_eq!(
        timeout(NEVER, group.propose("b")).await.unwrap(),
        Err(Failure::Unknown)
    );
    let refused = timeout(NEVER, group.propose("c")).await.unwrap();
    assert!(
        matches!(
            refused,
            Err(Failure::Rejected {
                reason: Reason::Poisoned,
                ..
            })
        ),
        "{refused:?}"
    );
    let closed = group.status().closed;
    assert!(matches!(closed, Some(Closed::Log(_))), "{closed:?}");
}

fn append(log: &mut ThreadedLog<Slow>, index: u64) -> synod_wal::Lsn {
    let (tag, body) = (Tag::default(), Bytes::from_static(b"entry"));
    let put = Op::Put {
        index,
        tag,
        body: &body,
    };
    log.append(GroupId(1), &mut [put].into_iter()).unwrap()
}

/// A log and its driver, which runs until the log has woken it and everything is durable.
struct Driver {
    log: ThreadedLog<Slow>,
    bell: std::sync::mpsc::Receiver<()>,
}

impl Driver {
    fn new(mut log: ThreadedLog<Slow>) -> Self {
        let (ring, bell) = std::sync::mpsc::channel();
        log.wake_with(Arc::new(move || {
            let _gone = ring.send(());
        }));
        Self { log, bell }
    }

    fn wait(&mut self) -> Result<(), synod_replica::LogError> {
        self.bell.recv_timeout(NEVER).unwrap();
        self.log.settle()
    }
}

#[test]
fn a_slow_sync_leaves_the_caller_alone_and_a_fast_one_is_done_at_once() {
    let disk = Slow::new(1);
    let mut driver = Driver::new(open(&disk));
    // That it is slow is not known yet.
    let first = append(&mut driver.log, 1);
    driver.log.sync().unwrap();
    assert_eq!(driver.log.durable(), first);
    assert!(driver.log.sync_time() >= SYNC_TIME / 4);
    let second = append(&mut driver.log, 2);
    driver.log.sync().unwrap();
    let third = append(&mut driver.log, 3);
    driver.log.sync().unwrap();
    assert_eq!(driver.log.durable(), first, "both are under way, or wait");
    driver.wait().unwrap();
    assert_eq!(driver.log.durable(), second);
    driver.wait().unwrap();
    assert_eq!(
        driver.log.durable(),
        third,
        "one call for each sync was enough"
    );
    disk.is_slow.store(false, Ordering::Relaxed);
    // Speed is noticed, and then no thread is woken any more.
    let in_place = (4..200).find(|index| {
        let lsn = append(&mut driver.log, *index);
        driver.log.sync().unwrap();
        let in_place = driver.log.durable() == lsn;
        while driver.log.durable() < lsn {
            driver.wait().unwrap();
        }
        in_place
    });
    assert!(in_place.is_some());
}

#[test]
fn what_fails_on_the_thread_is_told_first_of_all() {
    let disk = Slow::new(1);
    let mut driver = Driver::new(open(&disk).in_place_up_to(Duration::ZERO));
    let first = append(&mut driver.log, 1);
    disk.inner.0.fail_next_sync();
    driver.log.sync().unwrap();
    driver.wait().unwrap_err();
    assert!(driver.log.durable() < first);
    driver.log.sync().unwrap_err();
    assert!(driver.log.has_room(), "there is nothing to wait for");
}

#[test]
fn a_thread_that_panics_shuts_the_log() {
    let disk = Slow::new(1);
    let mut driver = Driver::new(open(&disk).in_place_up_to(Duration::ZERO));
    append(&mut driver.log, 1);
    disk.panics.store(true, Ordering::Relaxed);
    driver.log.sync().unwrap();
    driver.wait().unwrap_err();
    driver.log.settle().unwrap_err();
    driver.log.sync().unwrap_err();
    let (tag, body) = (Tag::default(), Bytes::new());
    let put = Op::Put {
        index: 2,
        tag,
        body: &body,
    };
    let refused = driver.log.append(GroupId(1), &mut [put].into_iter());
    refused.unwrap_err();
}

/// A sync that was begun completes before the value is dropped: the next to open the disk finds all
/// of it.
#[test]
fn a_log_that_is_dropped_leaves_nothing_under_way() {
    let disk = Slow::new(1);
    let mut driver = Driver::new(open(&disk).in_place_up_to(Duration::ZERO));
    append(&mut driver.log, 1);
    driver.log.sync().unwrap();
    drop(driver);
    let syncs = disk.syncs.load(Ordering::Relaxed);
    let mut log = open(&disk);
    let recovered = log.recover(GroupId(1)).unwrap();
    assert_eq!(recovered.slots.count(), 1);
    assert!(syncs >= 2, "of the segment, and of the entry: {syncs}");
}
