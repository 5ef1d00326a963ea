//! A node whose disk does not hold what it acknowledged. Only Raft stops it; Paxos sends it again
//! what it lost, see `tests/engine/stops.rs`.

use std::time::Duration;

use synod_replica::sim::SimDisk;
use synod_replica::{GroupId, NodeConfig, NodeId, Reason, Status};
use synod_transport::MemoryNetwork;
use tokio::time::timeout;

use super::closed::stopped;
use super::config;
use super::heard::Heard;
use super::rig::{Counter, NEVER, start_life};

/// Node 3 begins its next incarnation on an older copy of its disk: what it acknowledged since is
/// gone. It stops for good, and its leader reports it.
#[tokio::test]
async fn a_node_that_has_forgotten_is_stopped() {
    let (heard, _guard) = Heard::listen();
    let network = MemoryNetwork::new();
    let open = async |id: u64, disk: &SimDisk| {
        let transport = network.join(NodeId(id));
        let node = start_life(disk, 3, NodeConfig::default(), transport);
        let mut config = config(id, 3);
        // Node 1 leads, all along.
        let (least, most) = if id == 1 {
            (500, 1_000)
        } else {
            (2_000, 3_000)
        };
        config.election_timeout_min = Duration::from_millis(least);
        config.election_timeout_max = Duration::from_millis(most);
        let opened = node.open(GroupId(1), config, Counter::default());
        let group = timeout(NEVER, opened).await.unwrap().unwrap();
        (node, group)
    };
    let disks: Vec<_> = (1..=3).map(SimDisk::new).collect();
    let (_first, leader) = open(1, &disks[0]).await;
    let (_second, _follower) = open(2, &disks[1]).await;
    let (third, _other) = open(3, &disks[2]).await;
    let led = timeout(NEVER, leader.leader()).await.unwrap();
    assert_eq!(led, Some(NodeId(1)));
    let write = async |from: u64, to: u64| {
        for count in from..to {
            let answer = timeout(NEVER, leader.propose("a")).await.unwrap();
            assert_eq!(answer, Ok(count));
        }
        // The leader knows that node 3 holds all of it.
        let mut status = leader.watch();
        let holds = status.wait_for(|status| {
            let mut peers = status.peers.iter();
            peers.any(|peer| peer.id == NodeId(3) && peer.lag == Some(0))
        });
        timeout(NEVER, holds).await.unwrap().unwrap();
    };
    write(1, 20).await;
    let older = SimDisk(disks[2].0.fork(7));
    write(20, 40).await;
    timeout(NEVER, third.shutdown()).await.unwrap();
    let (third, group) = open(3, &older).await;
    let answer = timeout(NEVER, leader.propose("goes on")).await.unwrap();
    assert_eq!(answer, Ok(40));
    let (mut status, mut seen) = (group.watch(), leader.watch());
    let ended = status.wait_for(|status| status.closed.is_some() || status.applied >= 40);
    timeout(NEVER, ended).await.unwrap().unwrap();
    let forgot = |status: &Status| status.peers.iter().any(|peer| peer.forgot);
    let text = stopped(&group, Reason::Diverged).await.to_string();
    let acknowledged = "this node has diverged: the log was acknowledged up to ";
    assert!(text.starts_with(acknowledged), "{text}");
    timeout(NEVER, seen.wait_for(forgot))
        .await
        .unwrap()
        .unwrap();
    let told = heard.of("peer_forgot");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("n3 "), "{told:?}");
    timeout(NEVER, third.shutdown()).await.unwrap();
}
