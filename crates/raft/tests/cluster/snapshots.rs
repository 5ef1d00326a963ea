//! Group F of the list of known bugs: snapshots and compaction.

use bytes::Bytes;
use synod_raft::{
    Binding, Entry, Index, Kind, LogId, Membership, Message, NodeId, PeerState, Replicate,
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
        entries,
        commit,
    })
}

fn snapshot(last: LogId) -> Snapshot {
    Snapshot {
        last,
        membership: Membership::of_voters([1, 2, 3].map(NodeId)),
    }
}

fn say(cluster: &mut Cluster, from: u64, to: u64, message: Message) {
    cluster.step(to, |raft, now| {
        raft.handle_message(now, NodeId(from), message);
    });
}

/// Node 1 with a log, hearing node 2 in `term`.
fn with_log(terms: &[u64], term: u64, commit: u64) -> Cluster {
    let mut cluster = Cluster::new(3, |_| {});
    say(&mut cluster, 2, 1, append(term, entries(terms), commit));
    cluster.net.clear();
    cluster
}

/// A file with a machine that was given `terms`, durable at node 1.
fn pulled(cluster: &mut Cluster, terms: &[u64], tell: bool) -> Snapshot {
    let machine: Vec<LogId> = entries(terms).iter().map(|entry| entry.id).collect();
    let snapshot = snapshot(*machine.last().unwrap());
    let now = cluster.now;
    cluster
        .node(1)
        .finish_pull(now, (snapshot.clone(), machine), tell);
    if tell {
        cluster.pump(NodeId(1));
    }
    snapshot
}

fn offer(term: u64, snapshot: &Snapshot) -> Message {
    Message::Replicate(Replicate::Snapshot {
        term: Term(term),
        snapshot: snapshot.clone(),
    })
}

/// A follower that was away past the compaction, end to end.
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

/// F1 (hashicorp#697): the log holds another entry at the snapshot's last index. The whole log
/// goes.
#[test]
fn f1_a_conflicting_entry_at_the_snapshots_index_goes() {
    let mut cluster = with_log(&[1, 1, 1, 1], 3, 1);
    pulled(&mut cluster, &[1, 2, 2], true);
    assert_eq!(cluster.nodes[&NodeId(1)].disk.start, id(2, 3));
    assert_eq!(
        cluster.status(1).last,
        Index(3),
        "the entry behind it was of the old log"
    );
    assert_eq!(cluster.nodes[&NodeId(1)].machine.len(), 3);
}

/// §7: the log holds the snapshot's last entry, so what follows it stays.
#[test]
fn f1_what_follows_a_matching_entry_stays() {
    let mut cluster = with_log(&[1, 1, 1, 1], 3, 1);
    pulled(&mut cluster, &[1, 1, 1], true);
    assert_eq!(cluster.status(1).start, Index(3));
    assert_eq!(cluster.terms(1), [1]);
    let installed = Message::Binding(Binding::Installed {
        term: Term(3),
        last: id(1, 3),
    });
    assert_eq!(cluster.take(to(2)).remove(0).message, installed);
}

/// F2 (camunda#6092): a snapshot older than the commit index changes nothing, and the leader hears
/// how far we are.
#[test]
fn f2_a_stale_offer_is_answered_and_not_pulled() {
    let mut cluster = with_log(&[1, 1, 1, 1], 1, 4);
    cluster.slow_pulls = true;
    say(&mut cluster, 2, 1, offer(1, &snapshot(id(1, 2))));
    assert!(cluster.nodes[&NodeId(1)].pulls.is_empty());
    assert_eq!(cluster.status(1).last, Index(4));
    let appended = Message::Binding(Binding::Appended {
        term: Term(1),
        last: Index(4),
    });
    assert_eq!(cluster.take(to(2)).remove(0).message, appended);
}

/// An offer is pulled once, and while that is under way no other: a leader that takes snapshots
/// faster than they travel would make each pull begin anew. After a failure the next offer is taken
/// up, and that of a new leader at once.
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

/// The log gets past what is being pulled by another way. The pull does not keep the next offer
/// waiting, whether it ends or not.
#[test]
fn a_pull_that_became_needless_does_not_block_the_next() {
    let mut cluster = with_log(&[], 1, 0);
    cluster.slow_pulls = true;
    say(&mut cluster, 2, 1, offer(1, &snapshot(id(1, 3))));
    say(&mut cluster, 2, 1, append(1, entries(&[1, 1, 1, 1]), 4));
    say(&mut cluster, 2, 1, offer(1, &snapshot(id(1, 9))));
    assert_eq!(cluster.nodes[&NodeId(1)].pulls.len(), 2);
}

/// While a snapshot travels, its leader takes further ones and cuts its log behind them. The install
/// ends before the leader's log begins, and the newest snapshot is pulled next.
#[test]
fn an_install_behind_the_leaders_start_is_followed_by_the_next() {
    let mut cluster = away(|_| {});
    cluster.slow_pulls = true;
    cluster.exhaust_patience(1);
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
    let now = cluster.now;
    cluster.node(3).finish_pull(now, old, true);
    cluster.pump(NodeId(3));
    cluster.settle();
    assert_eq!(cluster.status(3).start, Index(7));
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Snapshot);
    cluster.slow_pulls = false;
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(cluster.status(3).start, Index(10));
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Replicate);
}

/// A membership that no decoder would let through is nonsense, however it got here.
#[test]
fn an_offer_with_an_impossible_membership_is_malformed() {
    let voters = Membership::of_voters([NodeId(1)]);
    let crowd = Membership {
        learners: (0..=Membership::NODES_MAX as u64).map(NodeId).collect(),
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
        assert_eq!(cluster.node(1).raft().counters().malformed, 1);
        assert!(cluster.nodes[&NodeId(1)].pulls.is_empty());
    }
}

/// F3 (openraft#1892): a snapshot that contradicts what is committed is refused and counted.
#[test]
fn f3_a_snapshot_that_contradicts_what_is_committed_is_refused() {
    let mut cluster = with_log(&[1, 1, 1, 1], 3, 3);
    let before = cluster.status(1);
    cluster.step(1, |raft, now| raft.handle_snapshot(now, snapshot(id(2, 2))));
    assert_eq!(cluster.status(1), before);
    assert_eq!(cluster.node(1).raft().counters().conflicts_with_commit, 1);
}

/// F4 (openraft#1828): a leader whose log is compacted to its end can still bring in an empty
/// follower.
#[test]
fn f4_a_leader_without_entries_serves_an_empty_follower() {
    let mut cluster = away(|_| {});
    assert_eq!(
        (cluster.status(1).start, cluster.status(1).last),
        (Index(7), Index(7))
    );
    cluster.crash(1);
    cluster.restart(1);
    cluster.elect(1);
    for _ in 0..4 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(
        cluster.nodes[&NodeId(3)].machine.len(),
        cluster.nodes[&NodeId(1)].machine.len()
    );
}

/// F5 (etcd raft#124): a peer that got beyond the offer by another way leaves the snapshot state.
#[test]
fn f5_a_peer_beyond_the_offer_goes_on() {
    let mut cluster = away(|_| {});
    cluster.slow_pulls = true;
    // What it missed was lost on the way, which only the echoes tell.
    cluster.exhaust_patience(1);
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Snapshot);
    cluster.isolate(3);
    let last = cluster.propose(1, "y").unwrap();
    cluster.settle();
    let beyond = Binding::Appended {
        term: last.term,
        last: last.index,
    };
    say(&mut cluster, 3, 1, Message::Binding(beyond));
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Replicate);
}

/// F6: a crash between the snapshot file and the record that begins the log behind it, for each
/// case that the log may be in.
#[test]
fn f6_a_crash_between_file_and_record_is_decided_at_the_start() {
    for (log, file, kept) in [
        (&[1, 1, 1, 1][..], &[1, 1, 1][..], &[1][..]),
        (&[1, 1, 1, 1], &[1, 2, 2], &[]),
        (&[1, 1], &[1, 1, 2, 2], &[]),
        (&[], &[1], &[]),
    ] {
        let mut cluster = with_log(log, 3, 0);
        let snapshot = pulled(&mut cluster, file, false);
        cluster.crash(1);
        cluster.restart(1);
        let node = &cluster.nodes[&NodeId(1)];
        assert_eq!(node.disk.start, snapshot.last);
        assert_eq!((node.machine.len(), node.restores), (file.len(), 1));
        assert_eq!(cluster.terms(1), kept);
    }
}

/// F6: the file that a fresh node pulled may be the first thing that it stores at all. It never
/// voted, else there were a record of that, so it may start, in the term of the snapshot.
#[test]
fn f6_a_snapshot_may_be_the_first_thing_a_node_stores() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.slow_disks.insert(NodeId(1));
    let snapshot = pulled(&mut cluster, &[1, 1, 4], false);
    assert_eq!(cluster.nodes[&NodeId(1)].disk.vote, None);
    cluster.crash(1);
    cluster.restart(1);
    assert_eq!(
        cluster.nodes[&NodeId(1)].restores,
        0,
        "its start is not durable"
    );
    cluster.persist(1);
    let node = &cluster.nodes[&NodeId(1)];
    assert_eq!(
        (node.disk.vote, node.disk.start),
        (Some((Term(4), None)), snapshot.last)
    );
    assert_eq!((node.machine.len(), node.restores), (3, 1));
}

/// F11 (sofa-jraft#1092, etcd#20426): after a restart the commit index is not behind the snapshot,
/// and the machine is restored before anything is applied.
#[test]
fn f11_a_restart_begins_at_the_snapshot() {
    let mut cluster = away(|_| {});
    cluster.propose(1, "y").unwrap();
    cluster.settle();
    cluster.crash(1);
    cluster.restart(1);
    let status = cluster.status(1);
    assert_eq!(
        (status.start, status.commit, status.handed, status.last),
        (Index(7), Index(7), Index(7), Index(8))
    );
    assert_eq!(cluster.nodes[&NodeId(1)].restores, 1);
    assert_eq!(cluster.nodes[&NodeId(1)].machine.len(), 7);
}

/// The acknowledgement of a snapshot and the restore wait for the record that begins the log behind
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

/// A snapshot is installed while an older write is under way: its receipt does not end the install.
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
            entries: more,
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

/// Entries that a peer needs and the cache no longer holds are fetched; if the log cannot be read,
/// the peer waits for the next heartbeat and nothing malformed is sent (A8).
#[test]
fn a8_a_failed_fetch_waits_for_the_next_heartbeat() {
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
    assert!(cluster.nodes[&NodeId(1)].fetches.is_empty());
    cluster.step(1, |raft, now| {
        raft.handle_fetched(now, again, Ok(Vec::new()));
    });
    assert_eq!(
        cluster.node(1).raft().counters().fetches_stale,
        1,
        "it was answered already"
    );
    cluster.slow_disks.clear();
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(
        cluster.nodes[&NodeId(3)].disk.last(),
        cluster.nodes[&NodeId(1)].disk.last()
    );
}
