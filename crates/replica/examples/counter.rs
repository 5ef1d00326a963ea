//! A counter on three nodes in one process: `cargo run -p synod-replica --example counter`

use std::io::{self, Read, Write};

use synod_replica::sim::SimDisk;
use synod_replica::{
    Applying, Consistency, GroupId, Life, Node, NodeConfig, NodeId, StateMachine, raft,
};
use synod_transport::MemoryNetwork;
use synod_wal::{Options, Wal};

#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    type Response = u64;
    type Frozen = u64;

    fn apply(&mut self, _: Applying, command: &[u8]) -> u64 {
        self.0 += command.len() as u64;
        self.0
    }

    fn freeze(&self) -> u64 {
        self.0
    }

    fn write(frozen: u64, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&frozen.to_le_bytes())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = MemoryNetwork::new();
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let wal = Wal::open(SimDisk::new(id), Options::default())?;
        // The log ends with this process, and so does the life. With a log on a disk it is
        // `Identity::load(..)?.life()`, whose counter is on that disk as well.
        let life = Life::ephemeral(NodeId(id));
        let node = Node::start(life, NodeConfig::default(), wal, network.join(NodeId(id)));
        let config = raft::Config::new(raft::NodeId(id), (1..=3).map(raft::NodeId));
        groups.push(node.open(GroupId(1), config, Counter::default()).await?);
        nodes.push(node);
    }
    for group in &groups {
        println!("add one: {:?}", group.propose("+").await);
    }
    let total = groups[2]
        .read(Consistency::Linearizable, |counter| counter.0)
        .await;
    println!("total:   {total:?}");
    Ok(())
}
