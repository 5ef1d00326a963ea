//! One node and three, in one process, and a machine that counts.

use std::io;
use std::time::Duration;

use synod_replica::sim::SimDisk;
use synod_replica::{
    Applying, Group, GroupId, Life, Node, NodeConfig, NodeId, Outcome, Reason, StateMachine,
};
use synod_transport::{Memory, MemoryNetwork};
use synod_wal::{Options, Wal};

use super::config;

/// Nothing here takes long; whatever takes this long never ends.
pub(crate) const NEVER: Duration = Duration::from_secs(20);

/// Counts the commands it is given. A command `boom` makes its next snapshot panic.
#[derive(Default)]
pub(crate) struct Counter(pub(crate) u64, bool);

impl StateMachine for Counter {
    type Response = u64;
    type Frozen = (u64, bool);

    fn apply(&mut self, _: Applying, command: &[u8]) -> u64 {
        self.0 += 1;
        self.1 |= command == b"boom";
        self.0
    }

    fn freeze(&self) -> (u64, bool) {
        (self.0, self.1)
    }

    fn write((count, boom): (u64, bool), to: &mut dyn io::Write) -> io::Result<()> {
        assert!(!boom, "the machine was told to");
        to.write_all(&count.to_le_bytes())
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

pub(crate) fn start(disk: &SimDisk, config: NodeConfig, transport: Memory) -> Node {
    Node::start(
        Life::ephemeral(transport.id()),
        config,
        Wal::open(disk.clone(), Options::default()).unwrap(),
        transport,
    )
}

/// A request ends by what happens to it, and not because this machine has much else to do.
fn patient() -> NodeConfig {
    let mut config = NodeConfig::default();
    config.request_timeout = 3 * NEVER;
    config
}

/// One node by itself, and its group.
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

pub(crate) async fn three(tune: impl Fn(&mut NodeConfig)) -> (Vec<Node>, Vec<Group<Counter>>) {
    let network = MemoryNetwork::new();
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

pub(crate) fn rejected(reason: Reason) -> Outcome<u64> {
    Outcome::Rejected {
        reason,
        leader: None,
    }
}

pub(crate) trait LedBy {
    fn led_by(self, node: u64) -> Self;
}

impl LedBy for Outcome<u64> {
    fn led_by(mut self, node: u64) -> Self {
        if let Self::Rejected { leader, .. } = &mut self {
            *leader = Some(NodeId(node));
        }
        self
    }
}
