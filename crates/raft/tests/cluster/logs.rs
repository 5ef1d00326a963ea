//! The log and what is replicated of it, where counting messages is the point.

use bytes::Bytes;
use synod_raft::{Binding, Entry, Index, Kind, LogId, Message, NodeId, Replicate, Term};

use crate::harness::cluster::{Cluster, Packet};

fn is_append(packet: &Packet) -> bool {
    matches!(
        &packet.message,
        Message::Replicate(Replicate::Append { .. })
    )
}

fn is_ack(packet: &Packet) -> bool {
    matches!(packet.message, Message::Binding(Binding::Appended { .. }))
}

fn id(term: u64, index: u64) -> LogId {
    LogId {
        term: Term(term),
        index: Index(index),
    }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        id: id(term, index),
        kind: Kind::Command,
        body: Bytes::from(format!("{term}.{index}")),
    }
}

/// As a leader of `term` would say it.
fn append(term: u64, prev: LogId, entries: &[Entry], commit: u64) -> Message {
    let (term, entries, commit) = (Term(term), entries.to_vec(), Index(commit));
    Message::Replicate(Replicate::Append {
        term,
        prev,
        entries,
        commit,
    })
}

/// A message that nobody sent.
fn say(cluster: &mut Cluster, from: u64, to: u64, message: Message) {
    cluster.watch.made_up = true;
    cluster.step(to, |raft, now| {
        raft.handle_message(now, NodeId(from), message);
    });
}

/// A committed entry is never replaced, whoever asks.
#[test]
fn what_is_committed_is_not_truncated() {
    let mut cluster = Cluster::new(3, |_| {});
    let old: Vec<Entry> = (1..=3).map(|index| entry(1, index)).collect();
    say(&mut cluster, 2, 1, append(1, LogId::ZERO, &old, 3));
    say(&mut cluster, 3, 1, append(2, id(1, 1), &[entry(2, 2)], 0));
    assert_eq!(cluster.terms(1), [1, 1, 1]);
    assert_eq!(cluster.node(1).raft().counters().conflicts_with_commit, 1);
}

/// The last append of a burst is lost and nothing follows it: heartbeats bring it to light, after
/// as many as it might as well be under way, and not later. If the acknowledgement is lost, the
/// first one does, because the follower knows what it said.
#[test]
fn h2_a_lost_append_or_acknowledgement_is_made_good() {
    let is_own_ack = |packet: &Packet| is_ack(packet) && packet.from == NodeId(2);
    for (lose, beats) in [(is_append as fn(&Packet) -> bool, 3), (is_own_ack, 1)] {
        let mut cluster = Cluster::new(2, |_| {});
        cluster.elect(1);
        let wanted = cluster.propose(1, "x").unwrap();
        while cluster.status(1).peers[0].matched < wanted.index {
            if !cluster.take(lose).is_empty() {
                break;
            }
            cluster.deliver(|_| true);
        }
        cluster.settle();
        for _ in 0..beats {
            assert_eq!(cluster.status(1).commit, Index(1));
            cluster.heartbeat(1);
            cluster.settle();
        }
        assert_eq!(cluster.status(1).commit, wanted.index);
    }
}

/// A follower that restarts in an idle group learns again what is committed.
#[test]
fn a_restarted_follower_learns_the_commit_index_of_an_idle_group() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.propose(1, "x").unwrap();
    cluster.settle();
    cluster.crash(2);
    cluster.restart(2);
    assert_eq!(cluster.nodes[&NodeId(2)].machine.len(), 0);
    for _ in 0..2 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(cluster.nodes[&NodeId(2)].machine.len(), 2);
}
