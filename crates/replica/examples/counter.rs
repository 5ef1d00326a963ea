//! A counter on three nodes in one process, each with its log in its own directory:
//! `cargo run -p synod-replica --example counter`

use std::io::{self, Read, Write};
use std::{env, fs, process};

use synod_replica::transport::{ClusterId, MemoryNetwork};
use synod_replica::wal::{Directory, Options};
use synod_replica::{
    Applying, Birth, Bytes, Consistency, GroupId, Identity, Node, NodeConfig, NodeId, StateMachine,
    raft,
};

#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    type Response = u64;
    type Frozen = u64;

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
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
    let home = env::temp_dir().join(format!("synod-counter-{}", process::id()));
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let config = raft::Config::new(raft::NodeId(id), (1..=3).map(raft::NodeId));
        let birth = Birth::new(ClusterId(7), NodeId(id)).group(COUNTER, &config);
        let identity = Identity::open(Directory::open(home.join(id.to_string()))?, &birth)?;
        let log = identity.open_log(Options::default())?;
        let incarnation = identity
            .incarnation()
            .ok_or("the incarnation was given out before")?;
        let node = Node::start(
            incarnation,
            NodeConfig::default(),
            log,
            network.join(NodeId(id)),
        );
        groups.push(node.open(COUNTER, config, Counter::default()).await?);
        nodes.push(node);
    }
    for group in &groups {
        println!("add one: {:?}", group.propose("+").await);
    }
    let total = groups[2]
        .read(Consistency::Linearizable, |counter| counter.0)
        .await;
    println!("total:   {total:?}");
    for node in nodes {
        node.shutdown().await;
    }
    Ok(fs::remove_dir_all(home)?)
}

const COUNTER: GroupId = GroupId(1);
