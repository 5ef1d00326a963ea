//! Group F of the list of known bugs: snapshots and compaction.

use bytes::Bytes;
use synod_raft::{
    Entries, Entry, Index, Kind, LogId, Membership, Message, NodeId, PeerState, Replicate,
    Snapshot, Term,
};

use crate::harness::cluster::{Cluster, to};

fn id(term: u64, index: u64) -> LogId {
    LogId {
        term: Term(term),
        index: Index(index),
    }
}

fn entries(terms: &[u64]) -> Vec<Entry> {
    let entry = |(at, term): (usize, &u64)| Entry {
        id: id(*term, at as u64 + 1),
        kind: Kind::Command,
        body: Bytes::new(),
    };
    terms.iter().enumerate().map(entry).collect()
}

fn append(term: u64, entries: Vec<Entry>, commit: u64) -> Message {
    let (term, commit, prev) = (Term(term), Index(commit), LogId::ZERO);
    Message::Replicate(Replicate::Append {
        term,
        prev,
        entries: entries.into(),
        commit,
    })
}

fn snapshot(last: LogId) -> Snapshot {
    Snapshot {
        last,
        membership: Membership::of_voters([1, 2, 3].map(NodeId)),
    }
}

/// Delivers a made-up message.
fn say(cluster: &mut Cluster, from: u64, to: u64, message: Message) {
    cluster.watch.made_up = true;
    cluster.step(to, |raft, now| {
        raft.handle_message(now, NodeId(from), message);
    });
}

/// Node 1 with a log, following node 2 in `term`.
fn with_log(terms: &[u64], term: u64, commit: u64) -> Cluster {
    let mut cluster = Cluster::new(3, |_| {});
    say(&mut cluster, 2, 1, append(term, entries(terms), commit));
    cluster.net.clear();
    cluster
}

/// A snapshot file of a machine that was given `terms`, durable on node 1.
fn pulled(cluster: &mut Cluster, terms: &[u64], tell: bool) -> Snapshot {
    let machine: Vec<LogId> = entries(terms).iter().map(|entry| entry.id).collect();
    let snapshot = snapshot(*machine.last().unwrap());
    cluster.finish_pull(1, (snapshot.clone(), machine), tell);
    snapshot
}

fn offer(term: u64, snapshot: &Snapshot) -> Message {
    Message::Replicate(Replicate::Snapshot {
        term: Term(term),
        snapshot: Box::new(snapshot.clone()),
    })
}

/// A follower that was away until the log was compacted, end to end.
fn away(config: impl Fn(&mut synod_raft::Config)) -> Cluster {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..6 {
        cluster.propose(1, "x").unwrap();
        cluster.settle();
    }
    cluster.take_snapshot(1);
    cluster.heal();
    cluster
}

#[test]
fn a_follower_that_was_away_is_brought_back_by_a_snapshot() {
    let mut cluster = away(|_| {});
    for _ in 0..3 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(cluster.status(3).commit, Index(7));
    assert_eq!(cluster.nodes[&NodeId(3)].restores, 1);
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Replicate);
    cluster.propose(1, "y").unwrap();
    cluster.settle();
    assert_eq!(cluster.nodes[&NodeId(3)].machine.len(), 8);
}

/// An offer is pulled once, and no other meanwhile: a leader that takes snapshots faster than they
/// are transferred would restart each pull. After a failure the next offer is accepted, and that of
/// a new leader at once.
#[test]
fn an_offer_is_pulled_once() {
    let mut cluster = with_log(&[], 1, 0);
    cluster.slow_pulls = true;
    let (first, second) = (snapshot(id(1, 5)), snapshot(id(1, 9)));
    for _ in 0..3 {
        say(&mut cluster, 2, 1, offer(1, &first));
    }
    assert_eq!(cluster.nodes[&NodeId(1)].pulls.len(), 1);
    say(&mut cluster, 2, 1, offer(1, &second));
    assert_eq!(cluster.nodes[&NodeId(1)].pulls.len(), 1);
    cluster.step(1, |raft, now| raft.handle_pull_failed(now, &first));
    for _ in 0..3 {
        say(&mut cluster, 2, 1, offer(1, &second));
    }
    say(&mut cluster, 3, 1, offer(2, &second));
    let wanted = [(2, &first), (2, &second), (3, &second)];
    let pulls = cluster.nodes[&NodeId(1)].pulls.iter();
    assert!(pulls.map(|(from, pulled)| (from.0, pulled)).eq(wanted));
}

/// The log gets past the snapshot that is being pulled in another way. The pull does not block the
/// next offer, whether it ends or not.
#[test]
fn a_pull_that_became_needless_does_not_block_the_next() {
    let mut cluster = with_log(&[], 1, 0);
    cluster.slow_pulls = true;
    say(&mut cluster, 2, 1, offer(1, &snapshot(id(1, 3))));
    say(&mut cluster, 2, 1, append(1, entries(&[1, 1, 1, 1]), 4));
    say(&mut cluster, 2, 1, offer(1, &snapshot(id(1, 9))));
    assert_eq!(cluster.nodes[&NodeId(1)].pulls.len(), 2);
}

/// During a transfer the leader takes more snapshots and compacts its log. The installed snapshot
/// ends before the leader's log begins, and the newest snapshot is pulled next.
#[test]
fn an_install_behind_the_leaders_start_is_followed_by_the_next() {
    let mut cluster = away(|_| {});
    cluster.slow_pulls = true;
    cluster.exhaust_backoff(1);
    let old = cluster.nodes[&NodeId(1)].disk.snapshot.clone().unwrap();
    for _ in 0..3 {
        cluster.propose(1, "y").unwrap();
        cluster.settle();
        cluster.take_snapshot(1);
        cluster.heartbeat(1);
        cluster.settle();
    }
    let pulls = std::mem::take(&mut cluster.node(3).pulls);
    assert_eq!(pulls, [(NodeId(1), old.0.clone())]);
    cluster.finish_pull(3, old, true);
    cluster.settle();
    assert_eq!(cluster.status(3).start, Index(7));
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Snapshot);
    cluster.slow_pulls = false;
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(cluster.status(3).start, Index(10));
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Replicate);
}

/// A membership that no decoder would accept is malformed, however it arrived.
#[test]
fn an_offer_with_an_impossible_membership_is_malformed() {
    let voters = Membership::of_voters([NodeId(1)]);
    let crowd = Membership {
        learners: (0..Membership::NODES_MAX as u64).map(NodeId).collect(),
        ..Membership::of_voters([NodeId(100)])
    };
    let both = Membership {
        learners: voters.voters.clone(),
        ..voters
    };
    for membership in [crowd, both] {
        let mut cluster = with_log(&[], 1, 0);
        cluster.slow_pulls = true;
        let last = id(1, 9);
        say(&mut cluster, 2, 1, offer(1, &Snapshot { last, membership }));
        assert_eq!(cluster.node(1).core().counters().malformed, 1);
        assert!(cluster.nodes[&NodeId(1)].pulls.is_empty());
    }
}

/// The acknowledgement of a snapshot and the restore wait for the record that begins the log after
/// it.
#[test]
fn an_install_waits_for_its_record() {
    let mut cluster = with_log(&[1, 1], 3, 1);
    cluster.slow_disks.insert(NodeId(1));
    pulled(&mut cluster, &[1, 1, 2, 2], true);
    assert_eq!(cluster.nodes[&NodeId(1)].restores, 0);
    assert!(cluster.net.is_empty());
    cluster.persist(1);
    assert_eq!(cluster.nodes[&NodeId(1)].restores, 1);
    assert_eq!(cluster.take(to(2)).len(), 1);
}

/// A snapshot is installed while an older write is in flight, whose receipt does not complete the
/// installation.
#[test]
fn an_install_does_not_end_with_an_older_write() {
    let mut cluster = with_log(&[1, 1], 3, 1);
    cluster.slow_disks.insert(NodeId(1));
    let mut more = entries(&[1, 1, 1]);
    more.drain(..2);
    let (term, prev, commit) = (Term(3), id(1, 2), Index(0));
    say(
        &mut cluster,
        2,
        1,
        Message::Replicate(Replicate::Append {
            term,
            prev,
            entries: more.into(),
            commit,
        }),
    );
    pulled(&mut cluster, &[1, 1, 2, 2], true);
    cluster.persist(1);
    assert_eq!(cluster.nodes[&NodeId(1)].restores, 0);
    cluster.persist(1);
    assert_eq!(cluster.nodes[&NodeId(1)].restores, 1);
    assert_eq!(cluster.nodes[&NodeId(1)].disk.start, id(2, 4));
}

/// A driver answers each fetch once. A second answer is useless, and counted.
#[test]
fn a_fetch_is_answered_once() {
    let mut cluster = Cluster::new(3, |config| config.cache_bytes_max = 0);
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..3 {
        cluster.propose(1, "x").unwrap();
        cluster.settle();
    }
    cluster.heal();
    cluster.slow_disks.insert(NodeId(1));
    while cluster.nodes[&NodeId(1)].fetches.is_empty() {
        cluster.heartbeat(1);
        cluster.settle();
    }
    let fetch = cluster.node(1).fetches.remove(0);
    let again = fetch.clone();
    cluster.step(1, |raft, now| {
        raft.handle_fetched(now, fetch, Err(synod_raft::FetchError::Unavailable));
    });
    cluster.step(1, |raft, now| {
        raft.handle_fetched(now, again, Ok(Entries::default()));
    });
    assert_eq!(
        cluster.node(1).core().counters().fetches_stale,
        1,
        "it was answered already"
    );
}
