//! A node that stops waits for no snapshot.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synod_replica::sim::SimDisk;
use synod_replica::{Applying, Bytes, Group, GroupId, Node, NodeConfig, NodeId, StateMachine};
use synod_transport::MemoryNetwork;
use tokio::time::timeout;

use super::config;
use super::rig::{NEVER, alone_in_a_life, start_life};

/// Its `write` reports that it has begun, waits for a signal, and writes a thousand pieces; it
/// reports how that ended.
struct Endless(Arc<Talk>);

struct Talk {
    begun: Sender<()>,
    go_on: Mutex<Receiver<()>>,
    ended: Sender<io::Result<()>>,
}

impl StateMachine for Endless {
    type Response = ();
    type Frozen = Arc<Talk>;

    fn apply(&mut self, _: Applying, _: Bytes) {}

    fn freeze(&self) -> Arc<Talk> {
        self.0.clone()
    }

    fn write(talk: Arc<Talk>, to: &mut dyn Write) -> io::Result<()> {
        talk.begun.send(()).unwrap();
        // The test is over when the sender is dropped.
        let _over = talk.go_on.lock().unwrap().recv();
        let mut pieces = (0..1_000).map(|_| to.write_all(&[7; 1_000]));
        let ended = pieces.find(Result::is_err).unwrap_or(Ok(()));
        let failed = ended.is_err();
        talk.ended.send(ended).unwrap();
        if failed {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

struct Stage {
    node: Node,
    group: Group<Endless>,
    go_on: Sender<()>,
    ended: Receiver<io::Result<()>>,
}

/// A node whose machine is being written.
async fn writing(disk: &SimDisk, tune: impl FnOnce(&mut NodeConfig)) -> Stage {
    let (begun_to, begun) = channel();
    let (go_on, go_on_from) = channel();
    let (ended_to, ended) = channel();
    let mut node_config = NodeConfig::default();
    node_config.bounds.snapshot_log_bytes = 1_000;
    tune(&mut node_config);
    let transport = MemoryNetwork::new().join(NodeId(1));
    let node = start_life(disk, 1, node_config, transport);
    let machine = Endless(Arc::new(Talk {
        begun: begun_to,
        go_on: Mutex::new(go_on_from),
        ended: ended_to,
    }));
    let group = node.open(GroupId(1), config(1, 1), machine).await.unwrap();
    let answer = timeout(NEVER, group.propose(vec![0; 2_000])).await.unwrap();
    assert_eq!(answer.ok(), Some(()));
    let begins = tokio::task::spawn_blocking(move || begun.recv_timeout(NEVER));
    begins.await.unwrap().unwrap();
    Stage {
        node,
        group,
        go_on,
        ended,
    }
}

#[tokio::test]
async fn a_snapshot_that_is_being_written_is_given_up() {
    let disk = SimDisk::new(1);
    let Stage {
        node,
        group,
        go_on,
        ended,
    } = writing(&disk, |_| {}).await;
    let shutdown = tokio::spawn(node.shutdown());
    timeout(NEVER, group.closed()).await.unwrap();
    go_on.send(()).unwrap();
    timeout(NEVER, shutdown).await.unwrap().unwrap();
    assert!(ended.recv().unwrap().is_err(), "it was written to its end");
    // The next incarnation does not mistake the rest for a snapshot.
    let (_node, group) = alone_in_a_life(&disk, |_| {}).await;
    assert_eq!(group.status().start, 0);
}

/// What it does on its thread does not matter any more.
#[tokio::test]
async fn a_write_that_never_returns_is_left_behind() {
    let disk = SimDisk::new(1);
    let bound = |config: &mut NodeConfig| config.shutdown_wait_max = Duration::from_millis(10);
    let stage = writing(&disk, bound).await;
    timeout(NEVER, stage.node.shutdown()).await.unwrap();
    assert!(stage.ended.try_recv().is_err(), "it is still writing");
    stage.go_on.send(()).unwrap();
}
