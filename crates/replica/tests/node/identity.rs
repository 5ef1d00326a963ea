//! What a node is started as, and what it leaves behind for its next life.

use synod_replica::sim::SimDisk;
use synod_replica::{
    Birth, Group, GroupId, Identity, Life, Node, NodeConfig, NodeId, OpenGroupError, Outcome,
    Reason,
};
use synod_transport::{ClusterId, MemoryNetwork};
use synod_wal::{Disk as _, OpenError, Options, Wal};
use tokio::time::timeout;

use super::config;
use super::heard::Heard;
use super::rig::{Counter, NEVER, alone};

fn birth() -> Birth {
    Birth::new(ClusterId(7), NodeId(1)).group(GroupId(1), &config(1, 1))
}

/// As a program starts a node on a disk, with identity and log on it.
async fn live(disk: &SimDisk) -> (Node, Group<Counter>) {
    live_as(disk, || disk.0.operations()).await
}

async fn live_as(disk: &SimDisk, draw: impl FnMut() -> u64) -> (Node, Group<Counter>) {
    live_with(disk, draw, NodeConfig::default()).await
}

async fn live_with(
    disk: &SimDisk,
    draw: impl FnMut() -> u64,
    config_of_node: NodeConfig,
) -> (Node, Group<Counter>) {
    let identity = Identity::load(disk.clone(), &birth(), draw).unwrap();
    let wal = Wal::open(disk.clone(), noting(&identity)).unwrap();
    let transport = MemoryNetwork::new().join(NodeId(1));
    let life = identity.life().unwrap();
    let node = Node::start(life, config_of_node, wal, transport);
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
    noted(&disk, |(generation, _)| generation > 0).await;
    drop(node);
}

/// What the identity says of the log: the generation of its last segment, and its end.
fn note(disk: &SimDisk) -> (u64, u64) {
    let identity = disk.0.fork(7).image("identity");
    let word = |at: usize| u64::from_le_bytes(*identity[at..].first_chunk().unwrap());
    (word(65), word(73))
}

/// Waits for a note, which is made beside the loop.
async fn noted(disk: &SimDisk, is_it: impl Fn((u64, u64)) -> bool) {
    let noted = async {
        while !is_it(note(disk)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(NEVER, noted).await.unwrap();
}

/// Within a segment too: what a snapshot covers was there.
#[tokio::test]
async fn each_snapshot_notes_how_far_the_log_has_come() {
    let disk = SimDisk::new(1);
    let mut small = NodeConfig::default();
    small.snapshot_log_bytes = 1_000;
    let (node, group) = live_with(&disk, || disk.0.operations(), small).await;
    noted(&disk, |(generation, _)| generation > 0).await;
    let mut count = 0;
    for _ in 0..2 {
        let (segment, begun_at) = note(&disk);
        let before = group.status().snapshots_taken;
        while group.status().snapshots_taken == before {
            count += 1;
            let answer = timeout(NEVER, group.propose("a")).await.unwrap();
            assert_eq!(answer, Outcome::Ok(count));
        }
        noted(&disk, |(generation, end)| {
            generation == segment && end > begun_at
        })
        .await;
    }
    drop(node);
}

/// Ends a life, and puts the identity back to what it was before so many others.
async fn put_back(disk: &SimDisk, lives: u64, draw: fn(&SimDisk) -> u64) {
    let (node, _group) = live_as(disk, || draw(disk)).await;
    timeout(NEVER, node.shutdown()).await.unwrap();
    let copy = disk.0.fork(7).image("identity");
    for count in 1..=lives {
        let (node, group) = live_as(disk, || draw(disk)).await;
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Outcome::Ok(count));
        timeout(NEVER, node.shutdown()).await.unwrap();
    }
    disk.0.put_image("identity", &copy);
}

/// With an identity that was put back a life is counted that was lived: in its name much was said, and
/// what it proposes below that is refused as what it is, at once, with a line.
#[tokio::test]
async fn a_life_on_an_identity_that_was_put_back_is_refused() {
    // Of two lives that count alike the later one gives lower names.
    let falls = |disk: &SimDisk| u64::MAX - disk.0.operations();
    for lives in 1..=2 {
        let (heard, _guard) = Heard::listen();
        let disk = SimDisk::new(1);
        put_back(&disk, lives, falls).await;
        let (node, group) = live_as(&disk, || falls(&disk)).await;
        let answer = timeout(NEVER, group.propose("b")).await.unwrap();
        assert!(
            matches!(
                answer,
                Outcome::Rejected {
                    reason: Reason::NameUsed,
                    ..
                }
            ),
            "{answer:?}"
        );
        timeout(NEVER, node.shutdown()).await.unwrap();
        let told = heard.of("name_used");
        let first = told.first().unwrap();
        assert!(first.contains("life 2 speaks in"), "{told:?}");
    }
}

/// Lives that count alike give no name twice: what the one said is not taken for what the other says.
#[tokio::test]
async fn lives_that_count_alike_give_no_name_twice() {
    let disk = SimDisk::new(1);
    put_back(&disk, 1, |disk| disk.0.operations()).await;
    let (_node, group) = live(&disk).await;
    for count in 2..4 {
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Outcome::Ok(count));
    }
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
