//! What happens to a node is told in its log, once, with who and why.

use std::time::Duration;

use synod_replica::sim::SimDisk;
use synod_replica::{Group, GroupId, Node, NodeConfig, NodeId, Outcome, Reason, Role, Status};
use synod_transport::MemoryNetwork;
use tokio::time::timeout;

use super::config;
use super::heard::Heard;
use super::rig::{Counter, NEVER, alone, rejected, start, three};

#[tokio::test]
async fn elections_snapshots_and_the_end_are_told() {
    let (heard, _guard) = Heard::listen();
    let disk = SimDisk::new(1);
    let (node, group) = alone(&disk, |config| config.snapshot_log_bytes = 2_000).await;
    for count in 1..=30 {
        let answer = timeout(NEVER, group.propose(vec![0; 200])).await.unwrap();
        assert_eq!(answer, Outcome::Ok(count));
    }
    let mut status = group.watch();
    let taken = status.wait_for(|status| status.snapshots_taken > 0);
    timeout(NEVER, taken).await.unwrap().unwrap();
    disk.0.fail_syncs(true);
    // A snapshot under way syncs as well: the node may have stopped before it takes the command.
    let answer = group.propose("b").await;
    let stopped = [Outcome::Unknown, rejected(Reason::Poisoned)];
    assert!(stopped.contains(&answer), "{answer:?}");
    timeout(NEVER, node.closed()).await.unwrap();
    assert_eq!(group.propose("c").await, rejected(Reason::Poisoned));

    assert_eq!(heard.of("election_won").len(), 1);
    let taken = heard.of("snapshot_taken");
    assert!(taken[0].contains("took a snapshot up to "), "{taken:?}");
    for name in ["group_stopped", "node_stopped"] {
        let stopped = heard.of(name);
        assert_eq!(stopped.len(), 1, "{stopped:?}");
        assert!(stopped[0].contains("storage failed: "), "{stopped:?}");
    }
}

#[tokio::test]
async fn whom_a_follower_follows_is_told() {
    let (heard, _guard) = Heard::listen();
    let (_nodes, groups) = three(|_| {}).await;
    for group in &groups {
        let leader = timeout(NEVER, group.leader()).await.unwrap().unwrap();
        let mut status = group.watch();
        let peers = status.wait_for(|status| status.id != leader || status.peers.len() == 2);
        timeout(NEVER, peers).await.unwrap().unwrap();
    }
    let begun = heard.of("election_begun").len();
    assert!(begun >= 1 && !heard.of("election_won").is_empty());
    let followed = heard.of("leader_changed");
    assert!(followed.len() >= 2, "{followed:?}");
    assert!(followed.iter().all(|line| line.contains("follows n")));
}

/// A disk that is full is one line, however often it is asked, and one when it has space again.
#[tokio::test]
async fn a_full_disk_is_told_once() {
    let (heard, _guard) = Heard::listen();
    let disk = SimDisk::new(1);
    let (_node, group) = alone(&disk, |_| {}).await;
    assert_eq!(group.propose("a").await, Outcome::Ok(1));
    disk.0.capacity(disk.0.used());
    while group.propose(vec![0; 1 << 19]).await.ok().is_some() {}
    let mut status = group.watch();
    let full = status.wait_for(|status| status.disk_full_since.is_some());
    timeout(NEVER, full).await.unwrap().unwrap();
    for _ in 0..20 {
        assert_eq!(group.propose("b").await.ok(), None);
    }
    disk.0.capacity(u64::MAX);
    let space = status.wait_for(|status| status.disk_full_since.is_none());
    timeout(NEVER, space).await.unwrap().unwrap();
    assert_eq!(heard.of("disk_full").len(), 1);
    assert_eq!(heard.of("disk_space").len(), 1);
}

/// Three nodes of which the first leads: the others wait longer.
async fn led_by_the_first(
    network: &MemoryNetwork,
    snapshot_log_bytes: u64,
) -> (Vec<Node>, Vec<Group<Counter>>) {
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let mut node_config = NodeConfig::default();
        node_config.snapshot_log_bytes = snapshot_log_bytes;
        node_config.kept_log_bytes_max = 0;
        let node = start(&SimDisk::new(id), node_config, network.join(NodeId(id)));
        let mut config = config(id, 3);
        let least = if id == 1 { 300 } else { 1_500 };
        config.election_timeout_min = Duration::from_millis(least);
        config.election_timeout_max = Duration::from_millis(least + 500);
        let opened = node.open(GroupId(1), config, Counter::default());
        groups.push(timeout(NEVER, opened).await.unwrap().unwrap());
        nodes.push(node);
    }
    until(&groups[0], |status| status.role == Role::Leader).await;
    assert_eq!(propose(&groups[0], "a").await, Outcome::Ok(1));
    (nodes, groups)
}

async fn until(group: &Group<Counter>, holds: impl FnMut(&Status) -> bool) {
    let mut status = group.watch();
    timeout(NEVER, status.wait_for(holds))
        .await
        .unwrap()
        .unwrap();
}

async fn propose(group: &Group<Counter>, command: impl Into<Vec<u8>>) -> Outcome<u64> {
    timeout(NEVER, group.propose(command.into())).await.unwrap()
}

fn part(network: &MemoryNetwork, node: u64, is_cut: bool) {
    for peer in (1..=3).filter(|id| *id != node) {
        for (from, to) in [(node, peer), (peer, node)] {
            let act = if is_cut {
                MemoryNetwork::cut
            } else {
                MemoryNetwork::heal
            };
            act(network, NodeId(from), NodeId(to));
        }
    }
}

#[tokio::test]
async fn a_leader_that_hears_nobody_says_so() {
    let (heard, _guard) = Heard::listen();
    let network = MemoryNetwork::new();
    let (_nodes, groups) = led_by_the_first(&network, 1 << 20).await;
    part(&network, 1, true);
    until(&groups[0], |status| status.role != Role::Leader).await;
    let told = heard.of("quorum_lost");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains(": it heard too few of its peers"),
        "{told:?}"
    );
    assert_eq!(
        heard.of("stepped_down").len() + heard.of("deposed").len(),
        0
    );
}

/// A follower that was away is given a snapshot, and tells of it.
#[tokio::test]
async fn a_snapshot_that_is_received_is_told() {
    let (heard, _guard) = Heard::listen();
    let network = MemoryNetwork::new();
    let (_nodes, groups) = led_by_the_first(&network, 2_000).await;
    part(&network, 3, true);
    let mut last = 1;
    // Until the log that it would need is gone.
    while groups[0].status().start < 10 {
        last += 1;
        assert_eq!(propose(&groups[0], vec![0; 200]).await, Outcome::Ok(last));
    }
    part(&network, 3, false);
    until(&groups[2], |status| status.snapshots_received > 0).await;
    until(&groups[2], |status| status.applied >= last).await;
    for name in ["snapshot_received", "snapshot_restored"] {
        let told = heard.of(name);
        assert!(
            !told.is_empty() && told[0].contains("the snapshot up to "),
            "{name}: {told:?}"
        );
    }
}
