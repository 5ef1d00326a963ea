//! Groups that are destroyed on a node, while the node lives on.

use synod_replica::sim::SimDisk;
use synod_replica::{
    Birth, Closed, Consistency, GroupId, Identity, Node, NodeConfig, NodeId, OpenGroupError, Reason,
};
use synod_transport::{ClusterId, MemoryNetwork};
use synod_wal::{Options, Wal};
use tokio::time::timeout;

use super::closed::stopped;
use super::config;
use super::rig::{Counter, NEVER};

/// A node that was founded on three groups.
fn life(disk: &SimDisk) -> Node {
    let mut small = NodeConfig::default();
    small.bounds.snapshot_log_bytes = 1_000;
    let birth = Birth::new(ClusterId(7), NodeId(1));
    let groups = [1, 2, 9].map(GroupId);
    let birth = groups
        .iter()
        .fold(birth, |birth, id| birth.group(*id, &config(1, 1)));
    let identity = Identity::load(disk.clone(), &birth, || disk.0.operations()).unwrap();
    let log = identity.open_log(Options::default()).unwrap();
    let transport = MemoryNetwork::new().join(NodeId(1));
    Node::start(identity.incarnation().unwrap(), small, log, transport)
}

/// What the log and the files beside it hold of a group.
fn stored(disk: &SimDisk, group: u64) -> (usize, usize) {
    let log = Wal::open(disk.clone(), Options::default()).unwrap();
    let slots = log.recover(GroupId(group)).unwrap().slots.count();
    let snapshots = log.snapshots().list(GroupId(group)).unwrap().len();
    (slots, snapshots)
}

#[tokio::test]
async fn a_destroyed_group_is_gone_for_good_and_the_node_lives_on() {
    let disk = SimDisk::new(1);
    let node = life(&disk);
    let open = |id| node.open(GroupId(id), config(1, 1), Counter::default());
    let (going, staying) = (open(1).await.unwrap(), open(2).await.unwrap());
    for count in 1..=10 {
        assert_eq!(going.propose(vec![0; 500]).await, Ok(count));
        assert_eq!(staying.propose(vec![0; 500]).await, Ok(count));
    }
    let mut status = going.watch();
    let cut = status.wait_for(|status| status.start > 0);
    timeout(NEVER, cut).await.unwrap().unwrap();

    let destroyed = timeout(NEVER, node.destroy(GroupId(1)));
    destroyed.await.unwrap().unwrap();
    assert_eq!(stopped(&going, Reason::Removed).await, Closed::Destroyed);
    assert_eq!(staying.propose("go on").await, Ok(11));
    let again = timeout(NEVER, open(1)).await.unwrap();
    assert!(matches!(again, Err(OpenGroupError::Destroyed)), "{again:?}");
    // To destroy it again changes nothing.
    node.destroy(GroupId(1)).await.unwrap();
    timeout(NEVER, node.shutdown()).await.unwrap();
    assert_eq!(stored(&disk, 1), (0, 0));

    let node = life(&disk);
    let open = |id| node.open(GroupId(id), config(1, 1), Counter::default());
    let again = timeout(NEVER, open(1)).await.unwrap();
    assert!(matches!(again, Err(OpenGroupError::Destroyed)), "{again:?}");
    let staying = open(2).await.unwrap();
    let read = staying.read(Consistency::Linearizable, |counter: &Counter| counter.count);
    assert_eq!(timeout(NEVER, read).await.unwrap(), Ok(11));
    timeout(NEVER, node.shutdown()).await.unwrap();
}

/// The tombstone is durable when the answer is given.
#[tokio::test]
async fn a_destroyed_group_does_not_come_back_with_a_power_loss() {
    let disk = SimDisk::new(1);
    let node = life(&disk);
    let open = node.open(GroupId(1), config(1, 1), Counter::default());
    let group = open.await.unwrap();
    assert_eq!(group.propose("a").await, Ok(1));
    timeout(NEVER, node.destroy(GroupId(1)))
        .await
        .unwrap()
        .unwrap();
    disk.0.power_loss();
    timeout(NEVER, node.shutdown()).await.unwrap();
    disk.0.restart();
    let node = life(&disk);
    let again = node.open(GroupId(1), config(1, 1), Counter::default());
    let again = timeout(NEVER, again).await.unwrap();
    assert!(matches!(again, Err(OpenGroupError::Destroyed)), "{again:?}");
}

/// Who was never there may not come either.
#[tokio::test]
async fn a_group_that_was_never_opened_can_be_destroyed() {
    let disk = SimDisk::new(1);
    let node = life(&disk);
    timeout(NEVER, node.destroy(GroupId(9)))
        .await
        .unwrap()
        .unwrap();
    let open = node.open(GroupId(9), config(1, 1), Counter::default());
    let refused = timeout(NEVER, open).await.unwrap();
    assert!(
        matches!(refused, Err(OpenGroupError::Destroyed)),
        "{refused:?}"
    );
}
