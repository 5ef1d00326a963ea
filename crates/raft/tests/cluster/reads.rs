//! Group E of the list of known bugs: linearizable reads.

use synod_raft::{Echo, Index, Message, NodeId, ReadError, ReadId, Refusal, Replicate, Role};

use crate::harness::cluster::{Cluster, Packet};

fn is_echo(packet: &Packet) -> bool {
    matches!(packet.message, Message::Echo(Echo::Heartbeat { .. }))
}

fn is_heartbeat(packet: &Packet) -> bool {
    matches!(
        packet.message,
        Message::Replicate(Replicate::Heartbeat { .. })
    )
}

fn read(cluster: &mut Cluster, id: u64, read: u64) -> Result<(), ReadError> {
    cluster.read(id, read)
}

fn answers(cluster: &mut Cluster, id: u64) -> Vec<(ReadId, Result<Index, Refusal>)> {
    let answers = std::mem::take(&mut cluster.answers).into_iter();
    let of_node = answers.filter(|(node, _, _)| node.0 == id);
    of_node.map(|(_, read, answer)| (read, answer)).collect()
}

/// E1 (etcd#7331, tikv#9208): a new leader does not know what is committed before its first entry
/// is. The read waits.
#[test]
fn e1_a_read_waits_for_the_first_entry_of_the_term() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.propose(1, "x").unwrap();
    cluster.settle();
    // 2 wins, and its first entry is held back.
    cluster.campaign(2);
    while cluster.status(2).role != Role::Leader {
        cluster.deliver(|_| true);
    }
    let held = cluster.take(|_| true);
    read(&mut cluster, 2, 1).unwrap();
    assert!(cluster.net.is_empty(), "no round is begun for it yet");
    assert_eq!(answers(&mut cluster, 2), []);
    held.into_iter().for_each(|packet| cluster.receive(packet));
    cluster.settle();
    assert_eq!(answers(&mut cluster, 2), [(ReadId(1), Ok(Index(3)))]);
}

/// E2 (etcd#20418): an echo of a round that began before a read does not confirm it.
#[test]
fn e2_an_old_echo_does_not_confirm_a_newer_read() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    read(&mut cluster, 1, 1).unwrap();
    cluster.deliver(is_heartbeat);
    let old = cluster.take(is_echo);
    assert_eq!(old.len(), 2);
    cluster.receive(old[0].clone());
    assert_eq!(answers(&mut cluster, 1).len(), 1);
    // The leader is cut off; its next read must not live on what was said before.
    cluster.isolate(1);
    read(&mut cluster, 1, 2).unwrap();
    old.into_iter().for_each(|packet| cluster.receive(packet));
    assert_eq!(answers(&mut cluster, 1), []);
}

/// E3 (d-engine#381): a leader that was replaced without knowing it answers no read.
#[test]
fn e3_a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(1);
    cluster.elect(2);
    cluster.propose(2, "x").unwrap();
    cluster.settle();
    read(&mut cluster, 1, 1).unwrap();
    cluster.settle();
    assert_eq!(answers(&mut cluster, 1), []);
    cluster.heal();
    cluster.heartbeat(1);
    cluster.settle();
    assert!(matches!(
        answers(&mut cluster, 1)[..],
        [(ReadId(1), Err(Refusal::NotLeader(_)))]
    ));
}

/// E4 (etcd raft PR#105): a group of one answers from what is durable.
#[test]
fn e4_a_sole_voter_answers_when_it_is_durable() {
    let mut cluster = Cluster::new(1, |_| {});
    cluster.slow_disks.insert(NodeId(1));
    cluster.campaign(1);
    cluster.persist(1);
    read(&mut cluster, 1, 1).unwrap();
    assert_eq!(
        answers(&mut cluster, 1),
        [],
        "its first entry is not durable"
    );
    cluster.persist(1);
    assert_eq!(answers(&mut cluster, 1), [(ReadId(1), Ok(Index(1)))]);
    cluster.propose(1, "x").unwrap();
    read(&mut cluster, 1, 2).unwrap();
    assert_eq!(
        answers(&mut cluster, 1),
        [(ReadId(2), Ok(Index(1)))],
        "what is not durable is not committed"
    );
}

/// E7 (etcd#9566): each accepted read ends, also when its leader steps down.
#[test]
fn e7_reads_end_with_their_leader() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(1);
    (1..=3).for_each(|id| read(&mut cluster, 1, id).unwrap());
    for _ in 0..10 {
        cluster.heartbeat(1);
    }
    let refused = |id| (ReadId(id), Err(Refusal::NotLeader(None)));
    assert_eq!(
        answers(&mut cluster, 1),
        [refused(1), refused(2), refused(3)]
    );
    assert_eq!(read(&mut cluster, 1, 4), Err(ReadError::NotLeader(None)));
}

/// Reads that come while a round is under way share the next one; their number is bounded.
#[test]
fn reads_share_rounds_and_are_bounded() {
    let mut cluster = Cluster::new(3, |config| config.reads_max = 10);
    cluster.elect(1);
    (1..=10).for_each(|id| read(&mut cluster, 1, id).unwrap());
    assert_eq!(read(&mut cluster, 1, 11), Err(ReadError::Busy));
    assert_eq!(cluster.net.len(), 2, "one round for the first read");
    cluster.settle();
    assert_eq!(answers(&mut cluster, 1).len(), 10);
    cluster.isolate(1);
    read(&mut cluster, 1, 20).unwrap();
    assert_eq!(read(&mut cluster, 1, 20), Err(ReadError::Duplicate));
}
