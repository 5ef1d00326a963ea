//! Group H of the list of known bugs: everything that waits is bounded, and pending work is
//! batched.

use bytes::Bytes;
use synod_raft::{Entry, Index, Message, NodeId, ProposeError, ReadError, Replicate};

use crate::harness::cluster::{Cluster, Packet, between};

/// H1: without acknowledgements a leader takes proposals up to its bound, and sends up to the bound
/// of each peer.
#[test]
fn h1_what_waits_is_bounded() {
    let mut cluster = Cluster::new(3, |config| {
        config.uncommitted_bytes_max = 1000;
        config.inflight_messages_max = 4;
        config.cache_bytes_max = 100;
    });
    cluster.elect(1);
    let accepted = (0..100)
        .filter(|_| cluster.propose(1, "0123456789").is_ok())
        .count();
    assert_eq!(accepted, 1000 / (10 + Entry::HEAD_BYTES));
    assert_eq!(
        cluster.propose(1, "0123456789").unwrap_err(),
        ProposeError::Busy
    );
    assert_eq!(cluster.take(between(1, 2)).len(), 4);
    cluster.net.clear();
    assert!(
        cluster.status(1).cache_bytes <= 100,
        "what is durable leaves the cache"
    );
    for _ in 0..5 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(cluster.status(1).commit.0, 1 + accepted as u64);
    assert!(cluster.propose(1, "x").is_ok());
}

/// H1: an append has a bound on its entries, whether they come from the cache or from the log.
#[test]
fn h1_an_append_has_no_more_entries_than_it_may() {
    for cache in [0, 1 << 20] {
        let mut cluster = Cluster::new(3, |config| {
            config.append_entries_max = 3;
            config.cache_bytes_max = cache;
        });
        cluster.elect(1);
        cluster.isolate(3);
        for _ in 0..10 {
            cluster.propose(1, "").unwrap();
            cluster.settle();
        }
        cluster.heal();
        let mut most = 0;
        for _ in 0..5 {
            cluster.heartbeat(1);
            while !cluster.net.is_empty() {
                let sent = cluster.net.iter().map(|packet| entries_of(packet).len());
                most = sent.fold(most, usize::max);
                cluster.deliver(|_| true);
            }
        }
        assert_eq!(most, 3, "cache of {cache} bytes");
        assert_eq!(cluster.status(3).commit, cluster.status(1).commit);
    }
}

/// H1: a leader whose own disk stalls is bounded too, although the others commit without it.
#[test]
fn h1_what_is_not_durable_here_is_bounded() {
    let mut cluster = Cluster::new(3, |config| config.uncommitted_bytes_max = 1000);
    cluster.elect(1);
    cluster.slow_disks.insert(NodeId(1));
    for _ in 0..100 {
        let _ = cluster.propose(1, "0123456789");
        cluster.settle();
    }
    assert_eq!(
        cluster.status(1).commit.0,
        1 + 1000 / (10 + Entry::HEAD_BYTES as u64)
    );
}

/// H5: an entry larger than an append is sent alone; one larger than the bound on entries is
/// refused with a reason.
#[test]
fn h5_an_oversize_entry_goes_alone_or_is_refused() {
    let mut cluster = Cluster::new(3, |config| {
        config.append_bytes_max = 40;
        config.inflight_bytes_max = 50;
        config.entry_bytes_max = 100;
        config.cache_bytes_max = 0;
    });
    cluster.elect(1);
    let body = Bytes::from(vec![0; 101]);
    let error = cluster
        .step(1, |raft, now| raft.propose(now, body.clone()))
        .unwrap_err();
    assert_eq!(
        error,
        ProposeError::TooLarge {
            bytes: 101,
            bytes_max: 100
        }
    );
    for _ in 0..4 {
        cluster
            .step(1, |raft, now| raft.propose(now, body.slice(1..)))
            .unwrap();
    }
    cluster.settle();
    assert_eq!(cluster.nodes[&NodeId(3)].disk.last().index, Index(5));
    assert_eq!(cluster.status(1).commit, Index(5));
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
    assert_eq!(cluster.status(1).persisted, Index(11));
    assert_eq!(cluster.nodes[&NodeId(1)].writes - writes, 2);
}

/// Proposals are sent when the node is polled: all of them in one message to each peer, in one
/// write and to the state machine in one run, without copies. Draining after each proposal costs a
/// message and a write each, with the same result.
#[test]
fn what_is_proposed_together_travels_together() {
    let bodies = ["a", "b", "c", "d"];
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    let writes = cluster.nodes[&NodeId(1)].writes;
    cluster.step(1, |raft, now| {
        let body = |body: &'static str| Bytes::from_static(body.as_bytes());
        for text in bodies {
            raft.propose(now, body(text)).unwrap();
        }
    });
    let runs: Vec<_> = cluster.net.iter().map(entries_of).collect();
    assert_eq!(runs.len(), 2, "one append for each peer");
    assert_eq!((runs[0].len(), runs[1].len()), (4, 4));
    assert!(core::ptr::eq(runs[0], runs[1]), "shared");
    cluster.settle();
    assert_eq!(cluster.nodes[&NodeId(1)].writes - writes, 1);
    assert_eq!(cluster.status(1).commit, Index(5));

    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    let writes = cluster.nodes[&NodeId(1)].writes;
    for body in bodies {
        cluster.propose(1, body).unwrap();
    }
    assert_eq!(cluster.net.len(), 2 * 4);
    cluster.settle();
    assert_eq!(cluster.nodes[&NodeId(1)].writes - writes, 4);
    assert_eq!(cluster.status(1).commit, Index(5));
}

fn entries_of(packet: &Packet) -> &[Entry] {
    match &packet.message {
        Message::Replicate(Replicate::Append { entries, .. }) => entries,
        _ => &[],
    }
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
