//! What a directory holds is carried into another one, of another group.

use synod_replica::sim::SimDisk;
use synod_replica::{
    Birth, Consistency, Group, GroupId, Identity, Node, NodeConfig, NodeId, SeedError, owner,
    salvage, seed,
};
use synod_transport::{ClusterId, MemoryNetwork};
use synod_wal::{Disk as _, Options};
use tokio::time::timeout;

use super::rig::{Counter, NEVER, alone_in_a_life};
use super::{config, joining};

const GROUP: GroupId = GroupId(1);

fn birth(id: u64, nodes: u64) -> Birth {
    Birth::new(ClusterId(8), NodeId(id)).group(GROUP, &config(id, nodes))
}

/// A directory of a group that begins with this count.
fn seeded(id: u64, nodes: u64, machine: &Counter) -> SimDisk {
    let disk = SimDisk::new(10 + id);
    let of = (GROUP, config(id, nodes));
    seed(
        disk.clone(),
        &birth(id, nodes),
        Options::default(),
        of,
        machine,
    )
    .unwrap();
    disk
}

async fn open(
    disk: &SimDisk,
    (id, nodes): (u64, u64),
    network: &MemoryNetwork,
) -> Result<(Node, Group<Counter>), String> {
    let loaded = Identity::load(disk.clone(), &birth(id, nodes), || disk.0.operations());
    let identity = loaded.map_err(|error| error.to_string())?;
    let log = identity.open_log(Options::default());
    let log = log.map_err(|error| error.to_string())?;
    let incarnation = identity.incarnation().unwrap();
    let transport = network.join(NodeId(id));
    let node = Node::start(incarnation, NodeConfig::default(), log, transport);
    let opened = node
        .open(GROUP, config(id, nodes), Counter::default())
        .await;
    let group = opened.map_err(|error| error.to_string())?;
    Ok((node, group))
}

async fn count(group: &Group<Counter>) -> u64 {
    let read = group.read(Consistency::Linearizable, |counter| counter.count);
    timeout(NEVER, read).await.unwrap().unwrap()
}

/// Everything that a directory holds is found, also what nobody there knows to be decided. As a single node goes on
/// with it, its commands are new ones, although those of the node before had higher names.
#[tokio::test]
async fn what_a_directory_holds_begins_another_group() {
    let disk = SimDisk::new(1);
    for life in 1..=5 {
        let (node, group) = alone_in_a_life(&disk, |_| ()).await;
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(life));
        timeout(NEVER, node.shutdown()).await.unwrap();
    }
    let found = salvage(
        disk.clone(),
        Options::default(),
        (GROUP, joining(1)),
        Counter::default(),
    );
    let found = found.unwrap();
    assert_eq!((found.machine.count, found.missing), (5, 0));
    assert!(
        found.decided <= found.last && found.last >= 5,
        "{} of {}",
        found.decided,
        found.last
    );
    let of = owner(&disk).unwrap().unwrap();
    assert_eq!((of.cluster, of.node), (ClusterId(7), NodeId(1)));
    assert_eq!(owner(&SimDisk::new(2)).unwrap(), None);

    let other = seeded(1, 1, &found.machine);
    let again = seed(
        other.clone(),
        &birth(1, 1),
        Options::default(),
        (GROUP, config(1, 1)),
        &found.machine,
    );
    assert!(matches!(again, Err(SeedError::NotEmpty(_))), "{again:?}");
    for life in 6..=7 {
        let (node, group) = open(&other, (1, 1), &MemoryNetwork::new()).await.unwrap();
        assert_eq!(count(&group).await, life - 1);
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(life), "its name is taken for an earlier one");
        timeout(NEVER, node.shutdown()).await.unwrap();
    }
}

/// Founders that begin with one state are a group, and all of them have it.
#[tokio::test]
async fn three_directories_with_a_state_are_a_group() {
    let mut machine = Counter::default();
    machine.count = 41;
    let network = MemoryNetwork::new();
    let mut opened = Vec::new();
    for id in 1..=3 {
        let disk = seeded(id, 3, &machine);
        opened.push(open(&disk, (id, 3), &network).await.unwrap());
    }
    let answer = timeout(NEVER, opened[0].1.propose("a")).await.unwrap();
    assert_eq!(answer, Ok(42));
    for (_, group) in &opened {
        assert_eq!(count(group).await, 42);
    }
    for (node, _) in opened {
        timeout(NEVER, node.shutdown()).await.unwrap();
    }
}

/// A directory that lost a part of what it began with does not begin as an empty one.
#[tokio::test]
async fn a_directory_that_lost_its_state_does_not_open() {
    let disk = seeded(1, 1, &Counter::default());
    let mut lost = 0;
    for name in disk.list().unwrap() {
        let other = SimDisk(disk.0.fork(7));
        let is_needed = ["identity", "log", "snap"]
            .iter()
            .any(|part| name.contains(part));
        if !is_needed || name.ends_with(".part") {
            continue;
        }
        other.remove(&name).unwrap();
        other.sync().unwrap();
        let opened = open(&other, (1, 1), &MemoryNetwork::new()).await;
        // A spare segment holds nothing.
        if let Ok((node, group)) = opened {
            assert_eq!(count(&group).await, 0);
            timeout(NEVER, node.shutdown()).await.unwrap();
        } else {
            lost += 1;
        }
    }
    assert!(lost >= 3, "{lost} of {:?}", disk.list());
}
