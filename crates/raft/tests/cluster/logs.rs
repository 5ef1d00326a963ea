//! Groups A and H of the list of known bugs: the log, its commit rule, and bounds.

use bytes::Bytes;
use synod_raft::{
    Binding, Entry, Index, Kind, LogId, Message, NodeId, PeerState, ProposeError, Replicate, Role,
    Term,
};

use crate::harness::cluster::{Cluster, Packet, between, from, to};

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

fn heartbeat(term: u64, commit: u64) -> Message {
    let (term, round, commit, matched) = (Term(term), 1, Index(commit), Index(0));
    Message::Replicate(Replicate::Heartbeat {
        term,
        round,
        commit,
        matched,
    })
}

fn say(cluster: &mut Cluster, from: u64, to: u64, message: Message) {
    cluster.step(to, |raft, now| {
        raft.handle_message(now, NodeId(from), message);
    });
}

/// A1 (Figure 8; logcabin#44, async-raft#108): an entry of an earlier term on a majority is not
/// committed by that. Here it is lost afterwards, and rightly.
#[test]
fn a1_figure_8() {
    let mut cluster = Cluster::new(5, |config| {
        config.pre_vote = false;
        config.check_quorum = false;
    });
    // (a) S1 leads and brings index 2 to S2 only.
    cluster.elect(1);
    cluster.heartbeat(1);
    cluster.settle();
    cluster.propose(1, "two").unwrap();
    cluster.deliver(between(1, 2));
    cluster.net.clear();
    cluster.crash(1);
    // (b) S5 leads with the votes of S3 and S4, and keeps another entry at index 2 to itself.
    cluster.campaign(5);
    cluster.deliver(from(5));
    cluster.take(from(2));
    cluster.deliver(to(5));
    assert_eq!(cluster.status(5).role, Role::Leader);
    cluster.net.clear();
    cluster.crash(5);
    // (c) S1 leads again and brings its old index 2 to S3: a majority holds it.
    cluster.restart(1);
    cluster.campaign(1);
    cluster.deliver(from(1));
    cluster.deliver(to(1));
    if cluster.status(1).role != Role::Leader {
        cluster.campaign(1); // it had to learn of S5's term first
        cluster.deliver(from(1));
        cluster.deliver(to(1));
    }
    assert_eq!(cluster.status(1).role, Role::Leader);
    let term = cluster.status(1).term;
    cluster.net.clear();
    // Only the old entry is delivered: the first entry of the new term is held back.
    let old = cluster.nodes[&NodeId(1)].disk.log[&2].clone();
    let first = cluster.nodes[&NodeId(1)].disk.id_at(1).unwrap();
    for peer in [2, 3] {
        say(
            &mut cluster,
            1,
            peer,
            append(term.0, first, std::slice::from_ref(&old), 1),
        );
    }
    cluster.deliver(is_ack);
    let holders = cluster
        .nodes
        .values()
        .filter(|node| node.disk.id_at(2) == Some(old.id))
        .count();
    assert_eq!(holders, 3, "index 2 is on a majority");
    assert!(cluster.status(1).commit < Index(2), "and not committed");
    // (d) S1 crashes, S5 wins with its later entry, and overwrites it.
    cluster.net.clear();
    cluster.crash(1);
    cluster.restart(5);
    for _ in 0..3 {
        cluster.campaign(5);
        cluster.settle();
    }
    assert_eq!(cluster.status(5).role, Role::Leader);
    cluster.heartbeat(5);
    cluster.settle();
    for peer in [2, 3, 4] {
        assert_ne!(cluster.nodes[&NodeId(peer)].disk.id_at(2), Some(old.id));
    }
    cluster.checker.check_all(&cluster.nodes);
}

/// A2 (copycat#265): what a heartbeat says is committed counts only as far as the log is known to
/// match.
#[test]
fn a2_a_heartbeat_does_not_commit_a_divergent_tail() {
    let mut cluster = Cluster::new(3, |_| {});
    let tail: Vec<Entry> = (1..=6).map(|index| entry(1, index)).collect();
    say(&mut cluster, 2, 1, append(1, LogId::ZERO, &tail, 0));
    // A leader of a later term knows that it matches up to 3, no more, and has committed 6.
    say(&mut cluster, 3, 1, append(2, id(1, 3), &[], 6));
    assert_eq!(cluster.status(1).commit, Index(3));
    say(&mut cluster, 3, 1, heartbeat(2, 6));
    assert_eq!(cluster.status(1).commit, Index(3));
}

/// A4 (openraft cecb5de8, Aeron): late acknowledgements and refusals change nothing, in this term
/// or the next.
#[test]
fn a4_stale_answers_do_not_move_a_peer() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..3 {
        cluster.propose(1, "x").unwrap();
    }
    cluster.deliver(between(1, 2));
    let acks = cluster.take(is_ack);
    acks.iter()
        .for_each(|packet| cluster.receive(packet.clone()));
    let before = cluster.status(1).peers;
    assert_eq!(before[0].matched, Index(4));
    acks.iter()
        .rev()
        .for_each(|packet| cluster.receive(packet.clone()));
    let rejected = synod_raft::Echo::Rejected {
        term: Term(1),
        prev: id(1, 3),
        hint: LogId::ZERO,
    };
    say(&mut cluster, 2, 1, Message::Echo(rejected));
    assert_eq!(cluster.status(1).peers, before);
    // Nor does what nobody can have acknowledged.
    let beyond = Binding::Appended {
        term: Term(1),
        last: Index(99),
    };
    say(&mut cluster, 2, 1, Message::Binding(beyond));
    assert_eq!(cluster.status(1).peers[0].matched, Index(4));
}

/// A5 (etcd `async_storage_writes_append_aba_race`): the receipt for an entry does not make durable
/// the entry that replaced it at its index.
#[test]
fn a5_a_receipt_is_for_what_was_written() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.slow_disks.insert(NodeId(1));
    let old: Vec<Entry> = (1..=3).map(|index| entry(1, index)).collect();
    say(&mut cluster, 2, 1, append(1, LogId::ZERO, &old, 0));
    // Another leader replaces 2 and 3 while the write is under way.
    let new: Vec<Entry> = (2..=3).map(|index| entry(2, index)).collect();
    say(&mut cluster, 3, 1, append(2, id(1, 1), &new, 0));
    cluster.persist(1);
    assert_eq!(
        cluster.status(1).persisted,
        Index(1),
        "the receipt covers 1 only"
    );
    let acks: Vec<Packet> = cluster.take(is_ack);
    assert_eq!(acks.len(), 1);
    assert_eq!(
        acks[0].to,
        NodeId(2),
        "what was acknowledged is what was written, to who sent it"
    );
    cluster.persist(1);
    assert_eq!(cluster.status(1).persisted, Index(3));
    assert_eq!(cluster.terms(1), [1, 2, 2]);
    assert_eq!(cluster.nodes[&NodeId(1)].disk.truncations, 1);
}

/// A7 (etcd raft 76f1249): the log is compacted between the choice of a position and the append for
/// it.
#[test]
fn a7_a_position_that_was_compacted_needs_a_snapshot() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..4 {
        cluster.propose(1, "x").unwrap();
        cluster.settle();
    }
    cluster.take_snapshot(1);
    assert_eq!(cluster.status(1).start, Index(5));
    cluster.heal();
    cluster.slow_pulls = true;
    // Nothing follows the appends that were lost, so it is the echoes that bring the loss to light.
    cluster.exhaust_patience(1);
    assert_eq!(cluster.status(1).peers[1].state, PeerState::Snapshot);
}

/// A10 (etcd#1763): a delayed, shorter append finds everything in place and cuts nothing.
#[test]
fn a10_a_delayed_append_does_not_truncate() {
    let mut cluster = Cluster::new(3, |_| {});
    let all: Vec<Entry> = (1..=5).map(|index| entry(1, index)).collect();
    say(&mut cluster, 2, 1, append(1, LogId::ZERO, &all, 0));
    say(&mut cluster, 2, 1, append(1, LogId::ZERO, &all[..3], 0));
    assert_eq!(cluster.status(1).last, Index(5));
    assert_eq!(cluster.nodes[&NodeId(1)].disk.truncations, 0);
}

/// An acknowledgement is of what the append matched. The rest of the log may be another leader's.
#[test]
fn an_acknowledgement_is_of_the_append_alone() {
    let mut cluster = Cluster::new(3, |_| {});
    let old: Vec<Entry> = (1..=5).map(|index| entry(1, index)).collect();
    say(&mut cluster, 2, 1, append(1, LogId::ZERO, &old, 0));
    cluster.net.clear();
    say(&mut cluster, 3, 1, append(2, id(1, 2), &[], 0));
    let ack = cluster.take(is_ack).remove(0);
    assert_eq!(
        ack.message,
        Message::Binding(Binding::Appended {
            term: Term(2),
            last: Index(2)
        })
    );
}

/// The leader's own copy counts once it is durable.
#[test]
fn a_leader_counts_itself_when_it_is_durable() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.slow_disks.insert(NodeId(1));
    cluster.isolate(3);
    cluster.propose(1, "x").unwrap();
    cluster.settle();
    assert_eq!(cluster.status(1).commit, Index(1), "one durable copy, at 2");
    cluster.persist(1);
    assert_eq!(cluster.status(1).commit, Index(2));
}

/// Two of three suffice without the leader's disk; its machine waits for it all the same.
#[test]
fn a_machine_does_not_get_ahead_of_its_log() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.slow_disks.insert(NodeId(1));
    cluster.propose(1, "x").unwrap();
    cluster.settle();
    assert_eq!(cluster.status(1).commit, Index(2));
    assert_eq!(cluster.nodes[&NodeId(1)].machine.len(), 1);
    cluster.persist(1);
    assert_eq!(cluster.nodes[&NodeId(1)].machine.len(), 2);
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

/// A refusal goes back by whole terms: one question for each term that differs, not for each entry.
#[test]
fn a_refusal_steps_over_terms() {
    let mut cluster = Cluster::new(3, |_| {});
    let common: Vec<Entry> = (1..=2).map(|index| entry(1, index)).collect();
    let mut good = common.clone();
    good.extend((3..=40).map(|index| entry(4, index)));
    let mut bad = common.clone();
    bad.extend((3..=30).map(|index| entry(2, index)));
    bad.extend((31..=60).map(|index| entry(3, index)));
    say(&mut cluster, 3, 1, append(4, LogId::ZERO, &good, 0));
    say(&mut cluster, 3, 2, append(3, LogId::ZERO, &bad, 0));
    cluster.net.clear();
    cluster.isolate(3);
    cluster.campaign(1);
    let mut appends = 0;
    for _ in 0..20 {
        cluster.deliver(from(1));
        cluster.deliver(to(1));
        appends += cluster
            .net
            .iter()
            .filter(|packet| is_append(packet))
            .count();
    }
    assert_eq!(cluster.terms(2), cluster.terms(1));
    assert!(appends <= 5, "{appends} appends for two terms that differ");
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

/// H5: an entry larger than an append goes alone; one larger than an entry may be is refused with a
/// reason.
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

/// What arrives while a write is under way leaves in the next one, together.
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
