//! Parts 2 and 3: three nodes in one process, by Raft and by Paxos.

use std::error::Error;

use synod_replica::transport::{ClusterId, MemoryNetwork};
use synod_replica::wal::{Directory, Options};
use synod_replica::{
    Birth, Configured, Consistency, GroupId, Identity, Node, NodeConfig, NodeId, paxos, raft,
};

use crate::machine::Poll;

const POLL: GroupId = GroupId(1);

pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let by_raft = |id| raft::Config::new(raft::NodeId(id), [1, 2, 3].map(raft::NodeId));
    println!("by Raft, ada has {} votes", vote(by_raft).await?);

    let quorums = paxos::Quorums::majority([1, 2, 3].map(paxos::NodeId))?;
    let by_paxos = |id| paxos::Config::new(paxos::NodeId(id), quorums.clone());
    println!("by Paxos, ada has {} votes", vote(by_paxos).await?);
    Ok(())
}

async fn vote<C: Configured>(config: impl Fn(u64) -> C) -> Result<u64, Box<dyn Error>> {
    let network = MemoryNetwork::new();
    let home = tempfile::tempdir()?;
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in [1, 2, 3] {
        let config = config(id);
        let birth = Birth::new(ClusterId(7), NodeId(id)).group(POLL, &config);
        let disk = Directory::open(home.path().join(id.to_string()))?;
        let identity = Identity::open(disk, &birth)?;
        let log = identity.open_log(Options::default())?;
        let incarnation = identity.incarnation().ok_or("taken already")?;
        let transport = network.join(NodeId(id));
        let node = Node::start(incarnation, NodeConfig::default(), log, transport);
        groups.push(node.open(POLL, config, Poll::default()).await?);
        nodes.push(node);
    }
    // Any node takes any command.
    for group in &groups {
        group.propose("ada").await??;
    }
    let votes = groups[2]
        .read(Consistency::Linearizable, |poll| poll.votes("ada"))
        .await?;
    for node in nodes {
        node.shutdown().await;
    }
    Ok(votes)
}
