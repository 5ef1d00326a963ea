//! One node or three, in one process, and a counting machine.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use synod_replica::sim::SimDisk;
use synod_replica::{
    Applying, Birth, Bytes, Failure, Group, GroupId, Identity, Incarnation, Node, NodeConfig,
    NodeId, Reason, StateMachine,
};
use synod_transport::{ClusterId, Memory, MemoryNetwork};
use synod_wal::{Options, Wal};

use super::config;

/// Longer than anything here takes; whatever takes this long never ends.
pub(crate) const NEVER: Duration = Duration::from_secs(20);

/// Counts the commands it is given. A command `boom` makes its next snapshot panic, `fail` makes it
/// fail, and `hold` blocks until the counter is released.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) count: u64,
    next_snapshot: NextSnapshot,
    held: Option<mpsc::Receiver<()>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NextSnapshot {
    #[default]
    Succeeds,
    Fails,
    Panics,
}

impl Counter {
    /// A counter that `hold` blocks until something is sent, or the sender is dropped.
    pub(crate) fn held() -> (Self, mpsc::Sender<()>) {
        let (let_go, held) = mpsc::channel();
        let held = Some(held);
        (
            Self {
                held,
                ..Self::default()
            },
            let_go,
        )
    }
}

impl StateMachine for Counter {
    type Response = u64;
    type Frozen = (u64, NextSnapshot);

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
        self.count += 1;
        match &command[..] {
            b"boom" => self.next_snapshot = NextSnapshot::Panics,
            b"fail" => self.next_snapshot = NextSnapshot::Fails,
            b"hold" => drop(self.held.as_ref().map(mpsc::Receiver::recv)),
            _ => {}
        }
        self.count
    }

    fn freeze(&self) -> Self::Frozen {
        (self.count, self.next_snapshot)
    }

    fn write((count, next): Self::Frozen, to: &mut dyn io::Write) -> io::Result<()> {
        match next {
            NextSnapshot::Succeeds => to.write_all(&count.to_le_bytes()),
            NextSnapshot::Fails => Err(io::Error::other("the machine was told to fail")),
            NextSnapshot::Panics => panic!("the machine was told to"),
        }
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.count = u64::from_le_bytes(bytes);
        Ok(())
    }
}

pub(crate) fn start(disk: &SimDisk, config: NodeConfig, transport: Memory) -> Node {
    Node::start(
        Incarnation::ephemeral(transport.id()),
        config,
        Wal::open(disk.clone(), Options::default()).unwrap(),
        transport,
    )
}

/// Like [`start`], with an identity on the disk, for a node with several incarnations on it.
pub(crate) fn start_life(
    disk: &SimDisk,
    voters: u64,
    node_config: NodeConfig,
    transport: Memory,
) -> Node {
    let id = transport.id();
    let birth = Birth::new(ClusterId(7), id).group(GroupId(1), &config(id.0, voters));
    let identity = Identity::load(disk.clone(), &birth, || disk.0.operations()).unwrap();
    let log = identity.open_log(Options::default()).unwrap();
    Node::start(identity.incarnation().unwrap(), node_config, log, transport)
}

/// Requests end by what happens to them, and not because this machine is busy.
fn patient() -> NodeConfig {
    let mut config = NodeConfig::default();
    config.request_timeout = 3 * NEVER;
    config
}

/// A single node and its group.
pub(crate) async fn alone(
    disk: &SimDisk,
    tune: impl FnOnce(&mut NodeConfig),
) -> (Node, Group<Counter>) {
    let mut node_config = patient();
    tune(&mut node_config);
    let node = start(disk, node_config, MemoryNetwork::new().join(NodeId(1)));
    let group = node
        .open(GroupId(1), config(1, 1), Counter::default())
        .await
        .unwrap();
    (node, group)
}

/// Like [`alone`], in one of several incarnations on a disk.
pub(crate) async fn alone_in_a_life(
    disk: &SimDisk,
    tune: impl FnOnce(&mut NodeConfig),
) -> (Node, Group<Counter>) {
    let mut node_config = patient();
    tune(&mut node_config);
    let transport = MemoryNetwork::new().join(NodeId(1));
    let node = start_life(disk, 1, node_config, transport);
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let group = opened.await.unwrap();
    (node, group)
}

pub(crate) async fn three(tune: impl Fn(&mut NodeConfig)) -> (Vec<Node>, Vec<Group<Counter>>) {
    three_on(&MemoryNetwork::new(), tune).await
}

/// A node with an empty disk that waits to be added.
pub(crate) async fn joining(network: &MemoryNetwork, id: u64) -> (Node, Group<Counter>) {
    let node = start(&SimDisk::new(id), patient(), network.join(NodeId(id)));
    let opened = node.open(GroupId(1), super::joining(id), Counter::default());
    let group = opened.await.unwrap();
    (node, group)
}

pub(crate) async fn three_on(
    network: &MemoryNetwork,
    tune: impl Fn(&mut NodeConfig),
) -> (Vec<Node>, Vec<Group<Counter>>) {
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let mut node_config = patient();
        tune(&mut node_config);
        let node = start(&SimDisk::new(id), node_config, network.join(NodeId(id)));
        groups.push(
            node.open(GroupId(1), config(id, 3), Counter::default())
                .await
                .unwrap(),
        );
        nodes.push(node);
    }
    (nodes, groups)
}

pub(crate) fn rejected(reason: Reason) -> Result<u64, Failure> {
    Err(Failure::Rejected {
        reason,
        leader: None,
    })
}

pub(crate) trait LedBy {
    fn led_by(self, node: u64) -> Self;
}

impl LedBy for Result<u64, Failure> {
    fn led_by(mut self, node: u64) -> Self {
        if let Err(Failure::Rejected { leader, .. }) = &mut self {
            *leader = Some(NodeId(node));
        }
        self
    }
}
