//! What happens to a node is logged once, with who and why.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::Protocol;
use synod_replica::sim::SimDisk;
use synod_replica::{
    Configured, Failure, Group, GroupId, Node, NodeConfig, NodeId, Reason, Role, Status,
};
use synod_transport::{Lane, MemoryNetwork, Parcel, Transport};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::heard::Heard;
use super::rig::{Counter, NEVER, alone, rejected, start, three};
use super::{config, heartbeat};

#[tokio::test]
async fn elections_snapshots_and_the_end_are_told() {
    let (heard, _guard) = Heard::listen();
    let disk = SimDisk::new(1);
    let (node, group) = alone(&disk, |config| config.bounds.snapshot_log_bytes = 2_000).await;
    for count in 1..=30 {
        let answer = timeout(NEVER, group.propose(vec![0; 200])).await.unwrap();
        assert_eq!(answer, Ok(count));
    }
    let mut status = group.watch();
    let taken = status.wait_for(|status| status.snapshots_taken > 0);
    timeout(NEVER, taken).await.unwrap().unwrap();
    disk.0.fail_syncs(true);
    // A snapshot in progress syncs as well: the node may have stopped before it takes the command.
    let answer = group.propose("b").await;
    let stopped = [Err(Failure::Unknown), rejected(Reason::Poisoned)];
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

/// A node without contact asks for votes, and in the end learns that there is a leader.
#[tokio::test]
async fn an_election_that_comes_to_nothing_is_told() {
    let (heard, _guard) = Heard::listen();
    let three = Three::led_by_the_first(1 << 20).await;
    part(&three.network, 3, true);
    until(&three.groups[2], |status| status.role == Role::Candidate).await;
    part(&three.network, 3, false);
    let told = timeout(NEVER, heard.told("election_lost")).await;
    let told = told.expect("that it came to nothing is told");
    assert!(told[0].contains("not elected: in "), "{told:?}");
}

/// A full disk is logged once, however often it is checked, and once when it has space again.
#[tokio::test]
async fn a_full_disk_is_told_once() {
    let (heard, _guard) = Heard::listen();
    let disk = SimDisk::new(1);
    let (_node, group) = alone(&disk, |_| {}).await;
    assert_eq!(group.propose("a").await, Ok(1));
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

/// Three nodes, the first of which leads: the others wait longer.
struct Three {
    network: MemoryNetwork,
    disks: Vec<SimDisk>,
    groups: Vec<Group<Counter>>,
    _nodes: Vec<Node>,
}

impl Three {
    async fn led_by_the_first(snapshot_log_bytes: u64) -> Self {
        let network = MemoryNetwork::new();
        let (mut disks, mut groups, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        for id in 1..=3 {
            let disk = SimDisk::new(id);
            let counter = Counter::default();
            let (node, group) = open(&network, &disk, id, snapshot_log_bytes, counter).await;
            disks.push(disk);
            groups.push(group);
            nodes.push(node);
        }
        until(&groups[0], |status| status.role == Role::Leader).await;
        assert_eq!(propose(&groups[0], "a").await, Ok(1));
        Self {
            network,
            disks,
            groups,
            _nodes: nodes,
        }
    }

    /// Writes until the log that node 3 needs is gone, while node 3 is cut off; returns the count.
    async fn leave_the_third_behind(&self) -> u64 {
        part(&self.network, 3, true);
        let mut last = 1;
        while self.groups[0].status().start < 10 {
            last += 1;
            self.write(last).await;
        }
        last
    }

    async fn write(&self, count: u64) {
        let answer = propose(&self.groups[0], vec![0; 200]).await;
        assert_eq!(answer, Ok(count));
    }
}

async fn open(
    network: &MemoryNetwork,
    disk: &SimDisk,
    id: u64,
    snapshot_log_bytes: u64,
    counter: Counter,
) -> (Node, Group<Counter>) {
    let mut node_config = NodeConfig::default();
    node_config.request_timeout = 3 * NEVER;
    node_config.bounds.snapshot_log_bytes = snapshot_log_bytes;
    node_config.bounds.kept_log_bytes_max = 0;
    let node = start(disk, node_config, network.join(NodeId(id)));
    let mut config = config(id, 3);
    let least = if id == 1 { 300 } else { 1_500 };
    config.election_timeout_min = Duration::from_millis(least);
    config.election_timeout_max = Duration::from_millis(least + 500);
    let opened = node.open(GroupId(1), config, counter);
    let group = timeout(NEVER, opened).await.unwrap().unwrap();
    (node, group)
}

async fn until(group: &Group<Counter>, holds: impl FnMut(&Status) -> bool) {
    let mut status = group.watch();
    timeout(NEVER, status.wait_for(holds))
        .await
        .unwrap()
        .unwrap();
}

async fn propose(group: &Group<Counter>, command: impl Into<Vec<u8>>) -> Result<u64, Failure> {
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
    let three = Three::led_by_the_first(1 << 20).await;
    part(&three.network, 1, true);
    until(&three.groups[0], |status| status.role != Role::Leader).await;
    let told = timeout(NEVER, heard.told("quorum_lost")).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains(": it lost contact with a quorum"),
        "{told:?}"
    );
    assert_eq!(
        heard.of("stepped_down").len() + heard.of("deposed").len(),
        0
    );
}

/// A leader whose machine blocks it learns of another, who was elected in the meantime.
#[tokio::test]
async fn a_leader_that_was_held_up_is_deposed() {
    let network = MemoryNetwork::new();
    let (counter, let_go) = Counter::held();
    let (opened, group) = oneshot::channel();
    let network_of_first = network.clone();
    let first = thread::spawn(move || {
        let (heard, _guard) = Heard::listen();
        // The machine blocks what runs it, and nothing else.
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let disk = SimDisk::new(1);
            let (_node, group) = open(&network_of_first, &disk, 1, 1 << 20, counter).await;
            assert!(opened.send(group.clone()).is_ok());
            until(&group, |status| status.leader.is_some_and(|id| id.0 != 1)).await;
        });
        heard.of("deposed")
    });
    let first_group = timeout(NEVER, group).await.unwrap().unwrap();
    let (mut nodes, mut groups) = (Vec::new(), Vec::new());
    for id in 2..=3 {
        let counter = Counter::default();
        let (node, group) = open(&network, &SimDisk::new(id), id, 1 << 20, counter).await;
        nodes.push(node);
        groups.push(group);
    }
    until(&first_group, |status| status.role == Role::Leader).await;
    let elected = async {
        for group in &groups {
            until(group, |status| status.leader.is_some_and(|id| id.0 != 1)).await;
        }
        drop(let_go);
    };
    let (answer, ()) = tokio::join!(propose(&first_group, "hold"), elected);
    assert_eq!(answer, Ok(1), "it was committed before");
    let told = timeout(NEVER, tokio::task::spawn_blocking(|| first.join()));
    let told = told.await.unwrap().unwrap().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("it follows n"), "{told:?}");
}

/// An operator learns which peer sent a term that no node can have reached, in a bounded number of
/// lines. The node itself continues, and one message advances it by no more than allowed.
#[tokio::test]
async fn a_term_that_nobody_can_have_come_to_is_told() {
    let (heard, _guard) = Heard::listen();
    let network = MemoryNetwork::new();
    let counter = Counter::default();
    let (_node, group) = open(&network, &SimDisk::new(1), 1, 1 << 20, counter).await;
    let (mut stranger, last) = (network.join(NodeId(2)), u64::MAX >> 2);
    let begun = tokio::time::Instant::now();
    for said in 1..=20 {
        let (mut head, mut bodies) = (GroupId(1).0.to_le_bytes().to_vec(), Vec::new());
        head.push(MESSAGE);
        encode(&config(1, 3), &heartbeat(2, last), &mut head, &mut bodies);
        stranger.send(NodeId(1), Lane::Control, Parcel::from(Bytes::from(head)));
        stranger.flush();
        until(&group, |status| status.leaps == said).await;
    }
    let (told, windows) = (heard.of("peer_leapt"), 1 + begun.elapsed().as_secs() / 10);
    let lines = told.len();
    assert!(
        (1..=5 * windows).contains(&(lines as u64)),
        "{lines} lines: {told:?}"
    );
    let words = format!("n2 speaks in {last}");
    assert!(told.iter().all(|line| line.contains(&words)), "{told:?}");
    assert!(told[0].contains(", too far above 0"), "{told:?}");
    let term = group.status().term;
    assert!((1 << 30..=20 << 32).contains(&term), "{term}");
}

fn encode<C: Configured>(
    _of: &C,
    message: &<C::Protocol as Protocol>::Message,
    head: &mut Vec<u8>,
    bodies: &mut Vec<Bytes>,
) {
    <C::Protocol as Protocol>::encode(message, head, bodies);
}

/// The first byte of a frame that carries a message of the protocol.
const MESSAGE: u8 = 0;

/// A follower that was away receives a snapshot, and logs it.
#[tokio::test]
async fn a_snapshot_that_is_received_is_told() {
    let (heard, _guard) = Heard::listen();
    let three = Three::led_by_the_first(2_000).await;
    let last = three.leave_the_third_behind().await;
    part(&three.network, 3, false);
    let third = &three.groups[2];
    until(third, |status| status.snapshots_received > 0).await;
    until(third, |status| status.applied >= last).await;
    for name in ["snapshot_received", "snapshot_restored"] {
        let told = heard.of(name);
        assert!(
            !told.is_empty() && told[0].contains("the snapshot up to "),
            "{name}: {told:?}"
        );
    }
}

/// Both sides log that a snapshot waits for space, and its holder logs when it stops keeping the
/// log for it.
#[tokio::test]
async fn a_snapshot_that_waits_for_space_is_told() {
    let (heard, _guard) = Heard::listen();
    let three = Three::led_by_the_first(2_000).await;
    let mut last = three.leave_the_third_behind().await;
    let disk = &three.disks[2].0;
    disk.fill(true);
    part(&three.network, 3, false);
    // A peer that was left behind before it reports this is no longer waited for.
    timeout(NEVER, heard.told("peer_waits")).await.unwrap();
    while heard.of("peer_left_behind").is_empty() {
        assert!(last < 10_000, "log is kept for ever");
        last += 1;
        three.write(last).await;
    }
    for (name, words) in [
        ("snapshot_waits", "from n1; asks again later"),
        ("peer_waits", "n3 has no space for the rest"),
        ("peer_left_behind", "log that n3 will need was cut"),
    ] {
        let told = heard.of(name);
        let lines = told.iter().filter(|line| line.contains(words)).count();
        assert_eq!(lines, told.len(), "{name}: {told:?}");
        assert!(lines > 0, "{name} is not told");
    }
    disk.fill(false);
    until(&three.groups[2], |status| status.applied >= last).await;
}

/// The node continues without the snapshot, and takes the next one at its usual time.
#[tokio::test]
async fn a_snapshot_that_cannot_be_taken_is_told() {
    let (heard, _guard) = Heard::listen();
    let (_node, group) = alone(&SimDisk::new(1), |config| {
        config.bounds.snapshot_log_bytes = 2_000;
    })
    .await;
    assert_eq!(propose(&group, "fail").await, Ok(1));
    let mut last = 1;
    while group.status().snapshots_failed == 0 {
        assert!(last < 1_000, "no snapshot is taken");
        last += 1;
        assert_eq!(propose(&group, vec![0; 200]).await, Ok(last));
    }
    let told = heard.of("snapshot_failed");
    assert!(
        told[0].contains("could not be taken: ") && told[0].contains("was told to fail"),
        "{told:?}"
    );
}

/// A snapshot that is damaged at its holder: the receiver logs it, and so does the holder, which
/// verifies it.
#[tokio::test]
async fn a_snapshot_that_arrives_damaged_is_told() {
    let (heard, _guard) = Heard::listen();
    let three = Three::led_by_the_first(2_000).await;
    three.leave_the_third_behind().await;
    let (disk, mut rotten) = (&three.disks[0].0, BTreeSet::new());
    let mut rot = || {
        for name in disk.names().unwrap() {
            if name.ends_with(".snap") && rotten.insert(name.clone()) {
                let flipped = disk
                    .len(&name)
                    .and_then(|len| disk.flip(&name, len - 20, 1));
                // A snapshot that was removed meanwhile is not sent.
                assert!(flipped.is_ok() || !disk.names().unwrap().contains(&name));
            }
        }
    };
    rot();
    part(&three.network, 3, false);
    until(&three.groups[0], |status| {
        // One more may have been in progress.
        rot();
        status.closed.is_some()
    })
    .await;
    let failed = heard.of("snapshot_failed");
    assert!(failed[0].contains("could not be received: "), "{failed:?}");
    let damaged = heard.of("snapshot_damaged");
    assert!(damaged[0].contains("n3 got the snapshot "), "{damaged:?}");
}
