//! What a node is started as, and what it leaves behind for its next life.

use synod_replica::sim::SimDisk;
use synod_replica::{
    Birth, Group, GroupId, Identity, Life, Node, NodeConfig, NodeId, OpenGroupError, Outcome,
};
use synod_transport::{ClusterId, MemoryNetwork};
use synod_wal::{Disk as _, OpenError, Options, Wal};
use tokio::time::timeout;

use super::config;
use super::rig::{Counter, NEVER, alone};

fn birth() -> Birth {
    Birth::new(ClusterId(7), NodeId(1)).group(GroupId(1), &config(1, 1))
}

/// As a program starts a node on a disk, with identity and log on it.
async fn live(disk: &SimDisk) -> (Node, Group<Counter>) {
    let mut nonce = disk.0.used()..;
    let identity = Identity::load(disk.clone(), &birth(), || nonce.next().unwrap()).unwrap();
    let wal = Wal::open(disk.clone(), noting(&identity)).unwrap();
    let transport = MemoryNetwork::new().join(NodeId(1));
    let life = identity.life().unwrap();
    let node = Node::start(life, NodeConfig::default(), wal, transport);
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let group = timeout(NEVER, opened).await.unwrap().unwrap();
    (node, group)
}

fn noting(identity: &Identity<SimDisk>) -> Options {
    let mut options = Options::default();
    options.least = identity.log();
    options
}

/// Each life goes on where the last one ended; with the files of its log gone there is none.
#[tokio::test]
async fn a_node_notes_how_far_its_log_has_come() {
    let disk = SimDisk::new(1);
    for count in 1..=3 {
        let (node, group) = live(&disk).await;
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Outcome::Ok(count));
        timeout(NEVER, node.shutdown()).await.unwrap();
        disk.0.power_loss();
    }
    let logs = disk.list().unwrap().into_iter();
    for log in logs.filter(|name| name.ends_with(".log")) {
        disk.remove(&log).unwrap();
    }
    let identity = Identity::load(disk.clone(), &birth(), || 9).unwrap();
    let opened = Wal::open(disk.clone(), noting(&identity));
    let refused = opened.map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Lost { .. }), "{refused}");
}

/// That a log was begun is noted with its first segment, and not only by a life that ends as it should.
#[tokio::test]
async fn a_node_notes_that_its_log_was_begun() {
    let disk = SimDisk::new(1);
    let (node, group) = live(&disk).await;
    let answer = timeout(NEVER, group.propose("a")).await.unwrap();
    assert_eq!(answer, Outcome::Ok(1));
    // The note is made beside the loop.
    let noted = async {
        while disk.0.fork(7).image("identity")[57..65] == [0; 8] {
            tokio::task::yield_now().await;
        }
    };
    timeout(NEVER, noted).await.unwrap();
    drop(node);
}

#[tokio::test]
async fn a_group_of_another_node_or_another_founding_is_not_opened() {
    let (node, _group) = alone(&SimDisk::new(1), |_| {}).await;
    let opened = node.open(GroupId(2), config(2, 3), Counter::default());
    let refused = timeout(NEVER, opened).await.unwrap().unwrap_err();
    let (asked, own) = (NodeId(2), NodeId(1));
    assert!(
        matches!(refused, OpenGroupError::Node { asked: a, own: o } if (a, o) == (asked, own)),
        "{refused}"
    );

    let (node, _group) = live(&SimDisk::new(1)).await;
    for (group, voters) in [(2, 1), (2, 3)] {
        let opened = node.open(GroupId(group), config(1, voters), Counter::default());
        let refused = timeout(NEVER, opened).await.unwrap().unwrap_err();
        let told = refused.to_string();
        assert!(
            told.starts_with("the group was founded as [nothing], and is"),
            "{told}"
        );
    }
}

#[test]
fn no_two_lives_of_a_process_are_the_same() {
    let lives = [Life::ephemeral(NodeId(1)), Life::ephemeral(NodeId(1))];
    assert!(lives[0].incarnation() < lives[1].incarnation());
}
