//! A process without a free file descriptor.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use synod_replica::sim::SimDisk;
use synod_replica::{
    Birth, GroupId, Identity, Log, LogError, LogReader, LogStats, Node, NodeConfig, NodeId,
    Recovered, SnapshotStore,
};
use synod_transport::{ClusterId, MemoryNetwork};
use synod_wal::{Lsn, Mark, Op, Options, Seal, Snapshot, SnapshotError, Wal};
use tokio::time::timeout;

use super::config;
use super::rig::{Counter, NEVER, alone_in_a_life};

/// A log whose snapshots cannot be opened this many times.
struct Scarce(Wal<SimDisk>, Arc<AtomicU32>);

impl Log for Scarce {
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError> {
        Log::append(&mut self.0, group, ops)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Log::sync(&mut self.0)
    }

    fn durable(&self) -> Lsn {
        Log::durable(&self.0)
    }

    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError> {
        Log::recover(&mut self.0, group)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Log::reader(&self.0)
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(Shut(Log::snapshots(&self.0), self.1.clone()))
    }

    fn stats(&self) -> LogStats {
        Log::stats(&self.0)
    }

    fn has_room(&mut self) -> bool {
        Log::has_room(&mut self.0)
    }

    fn mark(&self) -> Option<Mark> {
        Log::mark(&self.0)
    }

    fn record_bytes_max(&self) -> usize {
        Log::record_bytes_max(&self.0)
    }
}

struct Shut(Arc<dyn SnapshotStore>, Arc<AtomicU32>);

impl SnapshotStore for Shut {
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        self.0.create(group, snapshot, write)
    }

    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        self.0.write_part(group, snapshot, seal, at, bytes)
    }

    fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError> {
        self.0.finish_part(group, snapshot, seal)
    }

    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.0.discard_part(group, snapshot)
    }

    fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError> {
        self.0.seal(group, index)
    }

    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError> {
        self.0.read(group, index, at, into)
    }

    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn io::Read + Send>), SnapshotError> {
        let left = |left: u32| left.checked_sub(1);
        let (order, tries) = (Ordering::Relaxed, &self.1);
        match tries.fetch_update(order, order, left) {
            Ok(_) => Err(SnapshotError::Full),
            Err(_) => self.0.open(group, index),
        }
    }

    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        self.0.remove_before(group, index)
    }
}

/// The node tries again after a while, not in each turn, and later jobs wait.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test measures a lower bound of how long a node takes"
)]
async fn a_machine_is_restored_when_a_descriptor_is_free() {
    let disk = SimDisk::new(1);
    let small = |config: &mut NodeConfig| config.bounds.snapshot_log_bytes = 1_000;
    let (node, group) = alone_in_a_life(&disk, small).await;
    for count in 1..=10 {
        let answer = timeout(NEVER, group.propose(vec![0; 500])).await.unwrap();
        assert_eq!(answer, Ok(count));
    }
    let mut status = group.watch();
    let cut = status.wait_for(|status| status.start > 0);
    timeout(NEVER, cut).await.unwrap().unwrap();
    timeout(NEVER, node.shutdown()).await.unwrap();

    let tries = Arc::new(AtomicU32::new(3));
    let birth = Birth::new(ClusterId(7), NodeId(1)).group(GroupId(1), &config(1, 1));
    let identity = Identity::load(disk, &birth, || 9).unwrap();
    let log = Scarce(
        identity.open_log(Options::default()).unwrap(),
        tries.clone(),
    );
    let transport = MemoryNetwork::new().join(NodeId(1));
    let incarnation = identity.incarnation().unwrap();
    let node = Node::start(incarnation, NodeConfig::default(), log, transport);
    let begun = Instant::now();
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let group = timeout(NEVER, opened).await.unwrap().unwrap();
    let answer = timeout(NEVER, group.propose("behind it")).await.unwrap();
    assert_eq!(answer, Ok(11));
    assert_eq!(tries.load(Ordering::Relaxed), 0);
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(300),
        "{took:?} for three tries"
    );
}
