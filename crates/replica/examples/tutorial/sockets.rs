//! Part 4: the same on disks and sockets. One node is stopped, misses a vote, and comes back.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use synod_replica::transport::{ClusterId, Tcp};
use synod_replica::wal::{Directory, Options};
use synod_replica::{Birth, Consistency, Group, GroupId, Identity, Node, NodeConfig, NodeId, raft};

use crate::machine::Poll;

const POLL: GroupId = GroupId(1);

pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    // Real nodes have addresses that somebody chose. These take what is free.
    let mut listeners = Vec::new();
    let mut peers = BTreeMap::new();
    for id in [1, 2, 3] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        peers.insert(NodeId(id), listener.local_addr()?.to_string());
        listeners.push(listener);
    }
    let start = |id: u64| {
        let listener = listeners[id as usize - 1].try_clone();
        let (peers, directory) = (peers.clone(), home.path().join(id.to_string()));
        async move { serve(id, listener?, peers, &directory).await }
    };
    let (first, poll) = start(1).await?;
    let (second, _) = start(2).await?;
    let (third, _) = start(3).await?;
    println!("grace has {:?} votes", poll.propose("grace").await??);

    third.shutdown().await;
    println!("and without node 3 {:?}", poll.propose("grace").await??);

    // It reads its log, learns what it missed, and answers with it.
    let (third, poll) = start(3).await?;
    let votes = poll
        .read(Consistency::Linearizable, |poll| poll.votes("grace"))
        .await?;
    println!("node 3 is back and knows of {votes}");
    for node in [first, second, third] {
        node.shutdown().await;
    }
    Ok(())
}

async fn serve(
    id: u64,
    listener: TcpListener,
    peers: BTreeMap<NodeId, String>,
    directory: &Path,
) -> Result<(Node, Group<Poll>), Box<dyn Error>> {
    let config = raft::Config::new(raft::NodeId(id), [1, 2, 3].map(raft::NodeId));
    let birth = Birth::new(ClusterId(7), NodeId(id)).group(POLL, &config);
    // Who this node is, by what its directory says: with another disk it would be refused.
    let identity = Identity::open(Directory::open(directory)?, &birth)?;
    let log = identity.open_log(Options::default())?;
    let transport = Tcp::bind(identity.tcp(listener, peers)).await?;
    let incarnation = identity.incarnation().ok_or("taken already")?;
    let node = Node::start(incarnation, NodeConfig::default(), log, transport);
    let group = node.open(POLL, config, Poll::default()).await?;
    Ok((node, group))
}
