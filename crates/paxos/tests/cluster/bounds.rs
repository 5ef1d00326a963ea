//! Group H of the list of known bugs: everything that waits is bounded, and pending work is
//! batched.

use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    Binding, Echo, Message, NodeId, ProposeError, ReadError, Replicate, Slot, Value,
};

use crate::harness::cluster::{Cluster, between, to};

/// H1: without acknowledgements a leader takes proposals up to its bound, and sends up to the bound
/// of each peer.
#[test]
fn h1_what_waits_is_bounded() {
    let mut cluster = Cluster::new(3, |config| {
        config.unchosen_bytes_max = 1000;
        config.inflight_messages_max = 4;
        config.cache_bytes_max = 100;
    });
    cluster.elect(1);
    let accepted = (0..100)
        .filter(|_| cluster.propose(1, "0123456789").is_ok())
        .count();
    assert_eq!(accepted, 1000 / (10 + Value::HEAD_BYTES));
    assert_eq!(
        cluster.propose(1, "0123456789").unwrap_err(),
        ProposeError::Busy
    );
    assert_eq!(cluster.take(between(1, 2)).len(), 4);
    cluster.net.clear();
    cluster.exhaust_backoff(1);
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.status(1).chosen.0, accepted as u64);
    assert!(
        cluster.status(1).cache_bytes <= 100,
        "what is chosen and durable leaves the cache"
    );
    assert!(cluster.propose(1, "x").is_ok());
}

/// H1: a message has a bound on its values and votes, whether they come from the cache or from the
/// log.
#[test]
fn h1_a_message_has_no_more_values_than_it_may() {
    for cache in [0, 1 << 20] {
        let mut cluster = Cluster::new(3, |config| {
            config.accept_values_max = 3;
            config.cache_bytes_max = cache;
        });
        cluster.elect(1);
        cluster.isolate(3);
        for _ in 0..10 {
            cluster.propose(1, "").unwrap();
            cluster.settle();
        }
        // The votes that only node 1 has cast are reported in pages.
        cluster.isolate(1);
        for _ in 0..10 {
            cluster.propose(1, "").unwrap();
        }
        cluster.net.clear();
        cluster.heal();
        cluster.campaign(3);
        let mut most = (0, 0, 0);
        for _ in 0..10 {
            while !cluster.net.is_empty() {
                for packet in &cluster.net {
                    match &packet.message {
                        Message::Replicate(Replicate::Accept { values, .. }) => {
                            most.0 = most.0.max(values.len());
                        }
                        Message::Binding(Binding::Promise { votes, .. }) => {
                            most.1 = most.1.max(votes.len());
                        }
                        Message::Echo(Echo::Learned { values, .. }) => {
                            most.2 = most.2.max(values.len());
                        }
                        _ => {}
                    }
                }
                cluster.deliver(|_| true);
            }
            cluster.heartbeat(3);
        }
        assert_eq!(most, (3, 3, 3), "cache of {cache} bytes");
        assert!(
            cluster.status(3).chosen >= Slot(10),
            "it learned what was chosen"
        );
    }
}

/// H1: a leader whose own disk stalls is bounded too, although the others choose without it.
#[test]
fn h1_what_is_not_durable_here_is_bounded() {
    let mut cluster = Cluster::new(3, |config| config.unchosen_bytes_max = 1000);
    cluster.elect(1);
    cluster.slow_disks.insert(NodeId(1));
    for _ in 0..100 {
        let _ = cluster.propose(1, "0123456789");
        cluster.settle();
    }
    assert_eq!(
        cluster.status(1).chosen.0,
        1000 / (10 + Value::HEAD_BYTES as u64)
    );
}

/// H5: a value larger than a message is sent alone; one larger than the bound on values is refused
/// with a reason.
#[test]
fn h5_an_oversize_value_goes_alone_or_is_refused() {
    let mut cluster = Cluster::new(3, |config| {
        config.accept_bytes_max = 40;
        config.inflight_bytes_max = 50;
        config.value_bytes_max = 100;
        config.cache_bytes_max = 0;
    });
    cluster.elect(1);
    let body = Bytes::from(vec![0; 101]);
    let error = cluster
        .step(1, |paxos, now| paxos.propose(now, body.clone()))
        .unwrap_err();
    let (bytes, bytes_max) = (101, 100);
    assert_eq!(error, ProposeError::TooLarge { bytes, bytes_max });
    for _ in 0..4 {
        cluster
            .step(1, |paxos, now| paxos.propose(now, body.slice(1..)))
            .unwrap();
    }
    cluster.settle();
    assert!(cluster.nodes[&NodeId(3)].disk.log.contains_key(&4));
    assert_eq!(cluster.status(1).chosen, Slot(4));
}

/// What arrives during a write is in the next one, together.
#[test]
fn one_write_carries_what_came_meanwhile() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.slow_disks.insert(NodeId(1));
    let writes = cluster.nodes[&NodeId(1)].writes;
    for _ in 0..10 {
        cluster.propose(1, "x").unwrap();
    }
    cluster.persist(1);
    cluster.persist(1);
    assert!(cluster.nodes[&NodeId(1)].disk.log.contains_key(&10));
    assert_eq!(cluster.nodes[&NodeId(1)].writes - writes, 2);
}

/// A lost value holds up the space of later ones, so that a follower which lacks one never holds
/// more than the bound on bytes in flight.
#[test]
fn what_lies_behind_a_gap_is_bounded() {
    let mut cluster = Cluster::new(3, |config| config.inflight_messages_max = 8);
    cluster.elect(1);
    cluster.propose(1, "lost").unwrap();
    cluster.take(to(3));
    for _ in 0..100 {
        cluster.propose(1, "x").unwrap();
        cluster.settle();
    }
    assert_eq!(cluster.status(1).chosen, Slot(101));
    assert_eq!(
        (cluster.status(3).last, cluster.status(3).chosen),
        (Slot(8), Slot(0))
    );
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.status(3).chosen, Slot(101));
}

/// Reads that arrive during a round share the next one; their number is bounded.
#[test]
fn reads_share_rounds_and_are_bounded() {
    let mut cluster = Cluster::new(3, |config| config.reads_max = 10);
    cluster.elect(1);
    (1..=10).for_each(|id| cluster.read(1, id).unwrap());
    assert_eq!(cluster.read(1, 11), Err(ReadError::Busy));
    assert_eq!(cluster.net.len(), 2, "one round for the first read");
    cluster.settle();
    assert_eq!(cluster.answers.len(), 10);
    cluster.isolate(1);
    cluster.read(1, 20).unwrap();
    assert_eq!(cluster.read(1, 20), Err(ReadError::Duplicate));
}

/// An idle follower only has its election deadline, and a heartbeat moves it.
#[test]
fn an_idle_group_has_one_deadline_and_writes_nothing() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.propose(1, "x").unwrap();
    cluster.settle();
    cluster.heartbeat(1);
    cluster.settle();
    let deadline = |cluster: &mut Cluster, id| cluster.node(id).core().poll_timeout().unwrap();
    let ahead = deadline(&mut cluster, 2).since(cluster.now);
    assert!(Duration::from_millis(150) <= ahead && ahead < Duration::from_millis(300));
    let next = deadline(&mut cluster, 1).since(cluster.now);
    assert_eq!(next, Duration::from_millis(40));
    let writes = cluster.nodes[&NodeId(2)].writes;
    for _ in 0..5 {
        cluster.heartbeat(1);
        assert_eq!(cluster.net.len(), 2, "a heartbeat for each peer");
        assert_eq!(cluster.deliver(|_| true), 2);
        assert_eq!(cluster.net.len(), 2, "an echo from each");
        cluster.settle();
    }
    assert_eq!(cluster.nodes[&NodeId(2)].writes, writes);
}
