//! What a node is started as, and what it leaves for its next incarnation.

use std::collections::BTreeMap;

use synod_replica::sim::SimDisk;
use synod_replica::{
    Birth, Failure, Group, GroupId, Identity, IdentityError, Incarnation, Log, Misfit, Node,
    NodeConfig, NodeId, OpenGroupError, Reason,
};
use synod_transport::{ClusterId, Founding, Hello, MemoryNetwork, Tcp, TcpConfig, Transport};
use synod_wal::{Disk as _, Lsn, Mark, OpenError, Options, Wal};
use tokio::time::timeout;

use super::config;
use super::heard::Heard;
use super::rig::{Counter, NEVER, alone, start};

fn birth() -> Birth {
    Birth::new(ClusterId(7), NodeId(1)).group(GroupId(1), &config(1, 1))
}

/// Starts a node like a program would, with identity and log on this disk.
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
    let incarnation = identity.incarnation().unwrap();
    let node = Node::start(incarnation, config_of_node, wal, transport);
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let group = timeout(NEVER, opened).await.unwrap().unwrap();
    (node, group)
}

fn noting(identity: &Identity<SimDisk>) -> Options {
    let mut options = Options::default();
    options.least = identity.log();
    options
}

/// Each incarnation continues where the last one ended; without the files of its log the next one
/// does not start.
#[tokio::test]
async fn a_node_notes_how_far_its_log_has_come() {
    let disk = SimDisk::new(1);
    for count in 1..=3 {
        let (node, group) = live(&disk).await;
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(count));
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

/// The mark is recorded with the log's first segment, and not only by an orderly shutdown.
#[tokio::test]
async fn a_node_notes_that_its_log_was_begun() {
    let disk = SimDisk::new(1);
    let (node, group) = live(&disk).await;
    let answer = timeout(NEVER, group.propose("a")).await.unwrap();
    assert_eq!(answer, Ok(1));
    noted(&disk, |(generation, _)| generation > 0).await;
    drop(node);
}

/// The mark in the identity: the generation of the last segment, and the end.
fn note(disk: &SimDisk) -> (u64, u64) {
    let identity = disk.0.fork(7).image("identity");
    let word = |at: usize| u64::from_le_bytes(*identity[at..].first_chunk().unwrap());
    (word(65), word(73))
}

/// Waits for a mark, which is recorded beside the loop.
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
    small.bounds.snapshot_log_bytes = 1_000;
    let (node, group) = live_with(&disk, || disk.0.operations(), small).await;
    noted(&disk, |(generation, _)| generation > 0).await;
    let mut count = 0;
    for _ in 0..2 {
        let (segment, begun_at) = note(&disk);
        let before = group.status().snapshots_taken;
        while group.status().snapshots_taken == before {
            count += 1;
            let answer = timeout(NEVER, group.propose("a")).await.unwrap();
            assert_eq!(answer, Ok(count));
        }
        noted(&disk, |(generation, end)| {
            generation == segment && end > begun_at
        })
        .await;
    }
    drop(node);
}

/// Ends an incarnation, and rolls the identity back by this many others.
async fn put_back(disk: &SimDisk, lives: u64, draw: fn(&SimDisk) -> u64) {
    let (node, _group) = live_as(disk, || draw(disk)).await;
    timeout(NEVER, node.shutdown()).await.unwrap();
    let copy = disk.0.fork(7).image("identity");
    for count in 1..=lives {
        let (node, group) = live_as(disk, || draw(disk)).await;
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(count));
        timeout(NEVER, node.shutdown()).await.unwrap();
    }
    disk.0.put_image("identity", &copy);
}

/// An identity that was rolled back begins an incarnation whose number was used. Commands were
/// proposed under its name, and what it proposes below those is rejected with the right reason, at
/// once, with a log line.
#[tokio::test]
async fn a_life_on_an_identity_that_was_put_back_is_refused() {
    // Of two incarnations with equal numbers the later one uses lower names.
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
                Err(Failure::Rejected {
                    reason: Reason::NameUsed,
                    ..
                })
            ),
            "{answer:?}"
        );
        timeout(NEVER, node.shutdown()).await.unwrap();
        let told = heard.of("name_used");
        let first = told.first().unwrap();
        assert!(first.contains("incarnation 2 speaks in"), "{told:?}");
    }
}

/// Incarnations with equal numbers never use the same name: their commands are not confused.
#[tokio::test]
async fn lives_that_count_alike_give_no_name_twice() {
    let disk = SimDisk::new(1);
    put_back(&disk, 1, |disk| disk.0.operations()).await;
    let (_node, group) = live(&disk).await;
    for count in 2..4 {
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(count));
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

/// The next incarnation must not continue the log of an ephemeral one: which names were used is
/// unknown.
#[tokio::test]
async fn an_ephemeral_life_goes_on_with_no_log() {
    let disk = SimDisk::new(1);
    let small = |config: &mut NodeConfig| config.bounds.snapshot_log_bytes = 2_000;
    let (node, group) = alone(&disk, small).await;
    for count in 1..=5 {
        let answer = timeout(NEVER, group.propose("a")).await.unwrap();
        assert_eq!(answer, Ok(count));
    }
    timeout(NEVER, node.shutdown()).await.unwrap();
    let before = Wal::open(disk.clone(), Options::default()).unwrap();
    let slots = before.recover(GroupId(1)).unwrap().slots.count();
    drop(before);
    let node = start(
        &disk,
        NodeConfig::default(),
        MemoryNetwork::new().join(NodeId(1)),
    );
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let refused = timeout(NEVER, opened).await.unwrap().unwrap_err();
    assert!(
        matches!(refused, OpenGroupError::Ephemeral { group: GroupId(1) }),
        "{refused}"
    );
    // A group of which the log holds nothing may be opened.
    let opened = node.open(GroupId(2), config(1, 1), Counter::default());
    timeout(NEVER, opened).await.unwrap().unwrap();
    timeout(NEVER, node.shutdown()).await.unwrap();
    let after = Wal::open(disk, Options::default()).unwrap();
    assert_eq!(after.recover(GroupId(1)).unwrap().slots.count(), slots);
}

/// Starts a node with parts that do not belong together; returns the error.
async fn refused(incarnation: Incarnation, log: impl Log, transport: impl Transport) -> Misfit {
    let node = Node::start(incarnation, NodeConfig::default(), log, transport);
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let refused = timeout(NEVER, opened).await.unwrap().unwrap_err();
    timeout(NEVER, node.shutdown()).await.unwrap();
    let OpenGroupError::Misfit(misfit) = refused else {
        panic!("{refused}")
    };
    misfit
}

/// A disk with an incarnation on it that has ended, and the recorded mark of its log.
async fn lived() -> (SimDisk, Mark) {
    let disk = SimDisk::new(1);
    let (node, group) = live(&disk).await;
    let answer = timeout(NEVER, group.propose("a")).await.unwrap();
    assert_eq!(answer, Ok(1));
    timeout(NEVER, node.shutdown()).await.unwrap();
    let noted = Identity::load(SimDisk(disk.0.fork(7)), &birth(), || 9)
        .unwrap()
        .log();
    (disk, noted.unwrap())
}

/// A log that was not opened by its identity is refused by the node and its mark is not recorded,
/// so later incarnations still notice what is missing.
#[tokio::test]
async fn a_log_that_is_not_what_was_noted_serves_no_group() {
    let (disk, noted) = lived().await;
    for log in disk
        .list()
        .unwrap()
        .iter()
        .filter(|name| name.ends_with(".log"))
    {
        disk.remove(log).unwrap();
    }
    let join = || MemoryNetwork::new().join(NodeId(1));
    let load = || Identity::load(disk.clone(), &birth(), || disk.0.operations()).unwrap();
    let identity = load();
    let emptied = Wal::open(disk.clone(), Options::default()).unwrap();
    let misfit = refused(identity.incarnation().unwrap(), emptied, join()).await;
    let expected = Misfit::Lost {
        end: Lsn(0),
        least: noted.end,
    };
    assert_eq!(misfit, expected);
    let identity = load();
    assert_eq!(identity.log(), Some(noted), "the mark stays");

    let (other, _) = lived().await;
    let another = Wal::open(other, Options::default()).unwrap();
    let misfit = refused(identity.incarnation().unwrap(), another, join()).await;
    assert_eq!(misfit, Misfit::AnotherLog);
    assert_eq!(load().log(), Some(noted), "nor is another's noted");
}

#[tokio::test]
async fn a_transport_that_speaks_for_another_life_serves_no_group() {
    let bind = async |hello: Hello| {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = TcpConfig::new(hello, listen, BTreeMap::new());
        Tcp::bind(config).await.unwrap()
    };
    let fresh = || {
        let disk = SimDisk::new(1);
        let identity = Identity::load(disk.clone(), &birth(), || 9).unwrap();
        let log = identity.open_log(Options::default()).unwrap();
        (identity, log)
    };
    let own = NodeId(1);
    let (identity, _) = fresh();
    let said = identity.hello();
    let later = said.boot + 1;
    for (hello, expected) in [
        (
            Hello {
                node: NodeId(2),
                ..said
            },
            Misfit::Node {
                said: NodeId(2),
                own,
            },
        ),
        (
            Hello {
                boot: later,
                ..said
            },
            Misfit::Hello { own },
        ),
        (Hello { nonce: 1, ..said }, Misfit::Hello { own }),
        (
            Hello {
                founding: Founding::default(),
                ..said
            },
            Misfit::Hello { own },
        ),
    ] {
        let (identity, log) = fresh();
        let transport = bind(hello).await;
        let misfit = refused(identity.incarnation().unwrap(), log, transport).await;
        assert_eq!(misfit, expected, "{hello:?}");
    }
    // A transport that names no incarnation is checked for the node's id alone.
    let log = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let transport = bind(Hello {
        node: NodeId(2),
        ..said
    })
    .await;
    let misfit = refused(Incarnation::ephemeral(own), log, transport).await;
    let said_two = Misfit::Node {
        said: NodeId(2),
        own,
    };
    assert_eq!(misfit, said_two);
    let (identity, log) = fresh();
    let transport = bind(identity.hello()).await;
    let node = Node::start(
        identity.incarnation().unwrap(),
        NodeConfig::default(),
        log,
        transport,
    );
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    timeout(NEVER, opened).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_node_that_was_founded_on_no_group_opens_none() {
    let disk = SimDisk::new(1);
    let birth = Birth::new(ClusterId(7), NodeId(1));
    let identity = Identity::load(disk, &birth, || 9).unwrap();
    let log = identity.open_log(Options::default()).unwrap();
    let transport = MemoryNetwork::new().join(NodeId(1));
    let node = Node::start(
        identity.incarnation().unwrap(),
        NodeConfig::default(),
        log,
        transport,
    );
    let opened = node.open(GroupId(1), config(1, 1), Counter::default());
    let refused = timeout(NEVER, opened).await.unwrap().unwrap_err();
    let told = refused.to_string();
    assert!(
        told.starts_with("the group was founded as [nothing], and is"),
        "{told}"
    );
}

#[test]
fn no_two_lives_of_a_process_are_the_same() {
    let lives = [
        Incarnation::ephemeral(NodeId(1)),
        Incarnation::ephemeral(NodeId(1)),
    ];
    assert!(lives[0].number() < lives[1].number());
}

/// A directory that was created with one group accepts another if its log holds nothing of it, and
/// is founded on both from then on.
#[tokio::test]
async fn a_directory_takes_a_new_group_of_which_its_log_holds_nothing() {
    let disk = SimDisk::new(1);
    let (node, group) = live(&disk).await;
    let answer = timeout(NEVER, group.propose("a")).await.unwrap();
    assert_eq!(answer, Ok(1));
    timeout(NEVER, node.shutdown()).await.unwrap();
    let before = disk.0.fork(7).image("identity");

    let both = birth().group(GroupId(2), &config(1, 1));
    for count in 1..=2 {
        let node = start_as(&disk, &both);
        for (id, count) in [(2, count), (1, count + 1)] {
            let group = open(&node, id).await.unwrap();
            let answer = timeout(NEVER, group.propose("a")).await.unwrap();
            assert_eq!(answer, Ok(count), "group {id}");
        }
        let again = open(&node, 2).await.map(|_| ()).unwrap_err();
        assert!(matches!(again, OpenGroupError::Open), "{again}");
        timeout(NEVER, node.shutdown()).await.unwrap();
        disk.0.power_loss();
        let forgotten = Identity::load(disk.clone(), &birth(), || 9);
        let forgotten = forgotten.map(|_| ()).unwrap_err();
        assert!(
            matches!(forgotten, IdentityError::Founding { .. }),
            "{forgotten}"
        );
    }

    // As if that had never happened: then its log holds what the directory was not founded on.
    disk.0.put_image("identity", &before);
    let node = start_as(&disk, &both);
    let refused = open(&node, 2).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(&refused, OpenGroupError::Founding { found, .. } if found == "nothing"),
        "{refused}"
    );
    open(&node, 1).await.unwrap();
}

fn start_as(disk: &SimDisk, birth: &Birth) -> Node {
    let identity = Identity::load(disk.clone(), birth, || disk.0.operations()).unwrap();
    let log = identity.open_log(Options::default()).unwrap();
    let transport = MemoryNetwork::new().join(NodeId(1));
    let incarnation = identity.incarnation().unwrap();
    Node::start(incarnation, NodeConfig::default(), log, transport)
}

async fn open(node: &Node, id: u64) -> Result<Group<Counter>, OpenGroupError> {
    let opened = node.open(GroupId(id), config(1, 1), Counter::default());
    timeout(NEVER, opened).await.unwrap()
}
