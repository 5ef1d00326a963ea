//! Whatever stops a node or a group is reported with its reason, and nothing that has stopped looks
//! alive.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use synod_replica::sim::SimDisk;
use synod_replica::{
    Applying, Closed, Consistency, Failure, Group, GroupId, Incarnation, Log, LogError, LogReader,
    LogStats, Node, NodeConfig, NodeId, Parcel, Reason, Recovered, Role, SnapshotStore,
    StateMachine, Transport,
};
use synod_transport::{ClusterId, DiskId, Hello, Lane, MemoryNetwork, Tcp, TcpConfig};
use synod_wal::{Lsn, Mark, Op, Options, Wal};
use tokio::time::timeout;

use super::config;
use super::rig::{Counter, NEVER, alone, rejected, start, start_life};

/// Panics when a command tells it to.
#[derive(Default)]
struct Mine(Option<&'static str>);

impl StateMachine for Mine {
    type Response = u64;
    type Frozen = bool;

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
        assert!(command != b"apply"[..], "told to panic in apply");
        if command == b"freeze"[..] {
            self.0 = Some("told to panic in freeze");
        }
        1
    }

    fn freeze(&self) -> bool {
        assert_eq!(self.0, None, "a mine was laid");
        true
    }

    fn write(_: bool, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(b"mine")
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        panic!("told to panic in restore")
    }
}

async fn open(node: &Node, id: u64) -> Group<Mine> {
    let opened = node.open(GroupId(id), config(1, 1), Mine::default());
    timeout(NEVER, opened).await.unwrap().unwrap()
}

fn node(disk: &SimDisk, snapshot_log_bytes: u64) -> Node {
    let mut node_config = NodeConfig::default();
    node_config.bounds.snapshot_log_bytes = snapshot_log_bytes;
    start(disk, node_config, MemoryNetwork::new().join(NodeId(1)))
}

/// Checks that the group is closed for this reason, reports it in every way, and looks alive in
/// none.
pub(crate) async fn stopped<S: StateMachine>(group: &Group<S>, reason: Reason) -> Closed {
    let closed = timeout(NEVER, group.closed()).await.unwrap();
    assert_eq!(closed.reason(), reason, "{closed}");
    let status = group.status();
    assert_eq!(status.closed, Some(closed.clone()));
    assert_eq!((status.role, status.leader), (Role::Follower, None));
    let refused = timeout(NEVER, group.propose("later")).await.unwrap();
    let expected = Err(Failure::Rejected {
        reason,
        leader: None,
    });
    assert!(refused.map(drop) == expected, "{closed}");
    assert_eq!(timeout(NEVER, group.leader()).await.unwrap(), None);
    closed
}

#[tokio::test]
async fn a_machine_that_panics_stops_its_group_and_no_other() {
    let node = node(&SimDisk::new(1), 1_000);
    let applies = open(&node, 1).await;
    let reads = open(&node, 2).await;
    let freezes = open(&node, 3).await;
    let good = open(&node, 4).await;

    let answer = timeout(NEVER, applies.propose("apply")).await.unwrap();
    assert_eq!(answer, Err(Failure::Unknown), "it may be applied elsewhere");
    let closed = stopped(&applies, Reason::Machine).await;
    assert_eq!(
        closed.to_string(),
        "the machine panicked: told to panic in apply"
    );

    let read = reads.read(Consistency::Linearizable, |_| -> u64 {
        panic!("a look that panics")
    });
    assert_eq!(timeout(NEVER, read).await.unwrap(), Err(Failure::Unknown));
    let closed = stopped(&reads, Reason::Machine).await;
    assert_eq!(closed, Closed::MachinePanicked("a look that panics".into()));

    let _answer = freezes.propose("freeze").await;
    let _answer = freezes.propose(vec![0; 2_000]).await;
    stopped(&freezes, Reason::Machine).await;

    assert_eq!(timeout(NEVER, good.propose("go on")).await.unwrap(), Ok(1));
    assert_eq!(good.status().closed, None);
    timeout(NEVER, node.shutdown()).await.unwrap();
    assert_eq!(good.status().closed, Some(Closed::Shutdown));
    assert_eq!(good.status().role, Role::Follower);
}

#[tokio::test]
async fn a_machine_that_panics_while_it_is_restored_stops_its_group() {
    let disk = SimDisk::new(1);
    let node = || {
        let mut small = NodeConfig::default();
        small.bounds.snapshot_log_bytes = 1_000;
        start_life(&disk, 1, small, MemoryNetwork::new().join(NodeId(1)))
    };
    let first = node();
    let group = open(&first, 1).await;
    for _ in 0..10 {
        assert_eq!(group.propose(vec![0; 500]).await, Ok(1));
    }
    let mut status = group.watch();
    let cut = status.wait_for(|status| status.start > 0);
    timeout(NEVER, cut).await.unwrap().unwrap();
    timeout(NEVER, first.shutdown()).await.unwrap();
    let second = node();
    let closed = stopped(&open(&second, 1).await, Reason::Machine).await;
    assert_eq!(
        closed,
        Closed::MachinePanicked("told to panic in restore".into())
    );
}

#[tokio::test]
async fn a_failed_sync_is_told_with_its_cause() {
    let disk = SimDisk::new(1);
    let (node, group) = alone(&disk, |_| {}).await;
    let mut told = std::pin::pin!(node.closed());
    assert_eq!(group.propose("a").await, Ok(1));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(told.as_mut().poll(&mut context).is_pending());
    disk.0.fail_next_sync();
    assert_eq!(group.propose("b").await, Err(Failure::Unknown));
    let closed = timeout(NEVER, told).await.unwrap();
    assert_eq!(stopped(&group, Reason::Poisoned).await, closed);
    let text = closed.to_string();
    assert!(
        text.starts_with("storage failed: the log has failed: "),
        "{text}"
    );
    let again = node
        .open(GroupId(2), config(1, 1), Counter::default())
        .await;
    let refused = again.unwrap_err().to_string();
    assert_eq!(refused, format!("the node has stopped: {text}"));
}

/// A log that panics in its second sync, which ends the task of the loop.
struct Panics(Wal<SimDisk>, u32);

impl Log for Panics {
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError> {
        Log::append(&mut self.0, group, ops)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.1 += 1;
        assert!(self.1 < 3, "a sync that panics");
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
        Log::snapshots(&self.0)
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

#[tokio::test]
async fn a_loop_that_panics_is_noticed() {
    let log = Panics(Wal::open(SimDisk::new(1), Options::default()).unwrap(), 0);
    let transport = MemoryNetwork::new().join(NodeId(1));
    let node = Node::start(
        Incarnation::ephemeral(NodeId(1)),
        NodeConfig::default(),
        log,
        transport,
    );
    let group = open(&node, 1).await;
    while timeout(NEVER, group.propose("a"))
        .await
        .unwrap()
        .ok()
        .is_some()
    {}
    let closed = timeout(NEVER, node.closed()).await.unwrap();
    assert_eq!(closed, Closed::Panicked("a sync that panics".into()));
    assert_eq!(stopped(&group, Reason::Panicked).await, closed);
    let again = node.open(GroupId(2), config(1, 1), Mine::default()).await;
    assert!(again.is_err());
    timeout(NEVER, node.shutdown()).await.unwrap();
}

/// A transport that ends when it is polled for the first message.
struct Ends;

impl Transport for Ends {
    fn send(&mut self, _: NodeId, _: Lane, _: Parcel) {}
    fn flush(&mut self) {}
    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        Poll::Ready(None)
    }
}

#[tokio::test]
async fn a_transport_that_ends_is_told() {
    let log = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let node = Node::start(
        Incarnation::ephemeral(NodeId(1)),
        NodeConfig::default(),
        log,
        Ends,
    );
    assert_eq!(
        timeout(NEVER, node.closed()).await.unwrap(),
        Closed::Transport
    );
}

/// Without peers nothing is ever sent to the channel of arrivals, which must not end it.
#[tokio::test]
async fn a_group_of_one_serves_over_tcp() {
    let hello = Hello::new(ClusterId(7), NodeId(1), DiskId(1), 1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = Tcp::bind(TcpConfig::new(hello, listener, BTreeMap::new()))
        .await
        .unwrap();
    let log = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let node = Node::start(
        Incarnation::ephemeral(NodeId(1)),
        NodeConfig::default(),
        log,
        tcp,
    );
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let group = timeout(NEVER, opened).await.unwrap().unwrap();
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_node_that_is_dropped_says_so() {
    let (node, group) = alone(&SimDisk::new(1), |_| {}).await;
    let told = node.closed();
    drop(node);
    assert_eq!(timeout(NEVER, told).await.unwrap(), Closed::Shutdown);
    assert_eq!(group.propose("a").await, rejected(Reason::Shutdown));
}

/// The loop is not asked when its runtime ends: it is dropped as it is.
#[test]
fn a_runtime_that_ends_takes_no_group_with_it_in_silence() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (node, group) = runtime.block_on(async {
        let (node, group) = alone(&SimDisk::new(1), |_| {}).await;
        assert_eq!(group.propose("a").await, Ok(1));
        (node, group)
    });
    drop(runtime);
    assert_eq!(group.status().closed, Some(Closed::Shutdown));
    assert_eq!(group.status().role, Role::Follower);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(node.closed()), Closed::Shutdown);
    assert_eq!(runtime.block_on(group.closed()), Closed::Shutdown);
}
