//! Groups B and C of the list of known bugs: terms, votes, and elections that must come to an end.

use std::time::Duration;

use synod_raft::{
    Binding, Config, ConfigError, Echo, Entry, Index, Instant, Kind, LogId, Message, NodeId, Raft,
    RecoverError, Recovered, Replicate, Role, Snapshot, Term,
};

use crate::harness::cluster::{Cluster, Packet, between, from, to};

fn is_request(packet: &Packet) -> bool {
    matches!(
        packet.message,
        Message::Binding(Binding::RequestVote { .. })
    )
}

fn is_grant(packet: &Packet) -> bool {
    matches!(
        packet.message,
        Message::Binding(Binding::Vote { granted: true, .. })
    )
}

fn plain(config: &mut Config) {
    config.pre_vote = false;
    config.check_quorum = false;
}

/// B1 (sofa-jraft#1241): the vote leaves with the record that holds it. A voter that crashes before
/// forgets the vote, and nobody was told.
#[test]
fn b1_a_vote_that_was_not_durable_was_never_given() {
    let mut cluster = Cluster::new(3, plain);
    cluster.slow_disks.insert(NodeId(3));
    cluster.campaign(1);
    cluster.deliver(between(1, 3));
    assert_eq!(
        cluster.deliver(is_grant),
        0,
        "the vote waits for the disk of 3"
    );
    cluster.crash(3);
    cluster.restart(3);
    cluster.slow_disks.clear();
    cluster.net.clear();
    // 2 asks in the same term, and 3 may give its vote, because it gave none.
    cluster.campaign(2);
    assert_eq!(cluster.status(2).term, Term(1));
    cluster.deliver(is_request);
    assert_eq!(cluster.take(is_grant).len(), 1);
}

/// B1: once durable, a vote is remembered through a crash and given to nobody else.
#[test]
fn b1_a_durable_vote_survives_a_crash() {
    let mut cluster = Cluster::new(3, plain);
    cluster.campaign(1);
    cluster.deliver(between(1, 3));
    assert_eq!(cluster.take(is_grant).len(), 1);
    cluster.crash(3);
    cluster.restart(3);
    cluster.net.clear();
    cluster.campaign(2);
    cluster.deliver(between(2, 3));
    assert_eq!(cluster.take(is_grant).len(), 0);
}

/// B1, the other half: a candidate does not ask in a term that it could forget, and its own vote
/// counts only once it is durable.
#[test]
fn b1_a_candidate_asks_only_in_a_durable_term() {
    let mut cluster = Cluster::new(3, plain);
    cluster.slow_disks.insert(NodeId(1));
    cluster.campaign(1);
    assert!(cluster.net.is_empty());
    assert_eq!(cluster.nodes[&NodeId(1)].disk.vote, None);
    cluster.persist(1);
    assert_eq!(cluster.deliver(is_request), 2);
}

/// B1: a group of one leads when its vote is durable, not before.
#[test]
fn b1_a_sole_voter_counts_its_vote_when_it_is_durable() {
    let mut cluster = Cluster::new(1, |_| {});
    cluster.slow_disks.insert(NodeId(1));
    cluster.campaign(1);
    assert_eq!(cluster.status(1).role, Role::Candidate);
    cluster.persist(1);
    assert_eq!(cluster.status(1).role, Role::Leader);
    assert_eq!(
        cluster.status(1).commit,
        Index(0),
        "its first entry is not durable yet"
    );
    cluster.persist(1);
    assert_eq!(cluster.status(1).commit, Index(1));
}

fn recover(
    vote: Option<(Term, Option<NodeId>)>,
    start: LogId,
    snapshot: Option<Snapshot>,
    terms: &[u64],
) -> Result<Raft, RecoverError<()>> {
    let entry = |(at, term): (usize, &u64)| {
        let id = LogId {
            term: Term(*term),
            index: Index(start.index.0 + 1 + at as u64),
        };
        Ok(Entry {
            id,
            kind: Kind::Noop,
            body: bytes::Bytes::new(),
        })
    };
    let entries = terms
        .iter()
        .enumerate()
        .map(entry)
        .collect::<Vec<_>>()
        .into_iter();
    let recovered = Recovered {
        vote,
        start,
        snapshot,
        entries,
    };
    Raft::new(
        Config::new(NodeId(1), [1, 2, 3].map(NodeId)),
        recovered,
        Instant::ZERO,
    )
}

fn snapshot(term: u64, index: u64) -> Snapshot {
    let last = LogId {
        term: Term(term),
        index: Index(index),
    };
    let membership = synod_raft::Membership::of_voters([1, 2, 3].map(NodeId));
    Snapshot { last, membership }
}

/// B3 (sofa-jraft): a log without a term and vote must not start as term 0; nor any other storage
/// that contradicts itself.
#[test]
fn b3_a_log_without_its_vote_does_not_start() {
    let vote = Some((Term(2), None));
    let at = |term, index| LogId {
        term: Term(term),
        index: Index(index),
    };
    assert_eq!(
        recover(None, LogId::ZERO, None, &[1]).unwrap_err(),
        RecoverError::VoteMissing
    );
    assert_eq!(
        recover(None, LogId::ZERO, Some(snapshot(1, 1)), &[1]).unwrap_err(),
        RecoverError::VoteMissing
    );
    assert_eq!(
        recover(None, at(1, 4), Some(snapshot(1, 4)), &[]).unwrap_err(),
        RecoverError::VoteMissing
    );
    assert_eq!(
        recover(vote, LogId::ZERO, None, &[1, 3]).unwrap_err(),
        RecoverError::TermOutOfRange
    );
    let missing = RecoverError::SnapshotMissing { start: Index(4) };
    assert_eq!(recover(vote, at(1, 4), None, &[]).unwrap_err(), missing);
    assert_eq!(
        recover(vote, at(1, 4), Some(snapshot(1, 3)), &[]).unwrap_err(),
        missing
    );
    let conflict = RecoverError::SnapshotConflict { index: Index(4) };
    assert_eq!(
        recover(vote, at(1, 4), Some(snapshot(2, 4)), &[]).unwrap_err(),
        conflict
    );
    let hole = RecoverError::NotContiguous { index: Index(2) };
    assert_eq!(recover(vote, LogId::ZERO, None, &[2, 1]).unwrap_err(), hole);
    assert!(recover(vote, at(1, 4), Some(snapshot(1, 4)), &[1, 2]).is_ok());
    assert!(recover(None, LogId::ZERO, None, &[]).is_ok());
    let mut config = Config::new(NodeId(9), [NodeId(1)]);
    config.seed = 1;
    assert_eq!(config.validate(), Err(ConfigError::NotAVoter));
}

/// B5 (etcd `TestCandidateDeliversPreCandidateSelfVoteAfterBecomingCandidate`): an answer to the
/// question before the election is no vote in it, however late it comes.
#[test]
fn b5_a_late_pre_vote_is_not_a_vote() {
    let mut cluster = Cluster::new(5, |_| {});
    cluster.campaign(1);
    cluster.deliver(from(1));
    let pre_votes = cluster.take(to(1));
    assert_eq!(pre_votes.len(), 4);
    pre_votes
        .iter()
        .take(2)
        .for_each(|packet| cluster.receive(packet.clone()));
    assert_eq!(cluster.status(1).role, Role::Candidate);
    pre_votes
        .iter()
        .for_each(|packet| cluster.receive(packet.clone()));
    assert_eq!(
        cluster.status(1).role,
        Role::Candidate,
        "nobody gave a vote yet"
    );
}

/// A vote that arrives three times is one vote.
#[test]
fn a_repeated_vote_counts_once() {
    let mut cluster = Cluster::new(5, plain);
    cluster.campaign(1);
    cluster.deliver(between(1, 2));
    let vote = cluster.take(is_grant).remove(0);
    (0..3).for_each(|_| cluster.receive(vote.clone()));
    assert_eq!(cluster.status(1).role, Role::Candidate);
}

/// B7 (hashicorp#586): terms do not wrap. In the last term nobody campaigns; a message beyond it is
/// nonsense.
#[test]
fn b7_the_last_term_is_the_last() {
    let mut cluster = Cluster::new(3, plain);
    let last = LogId::ZERO;
    let request = |term| Message::Binding(Binding::RequestVote { term, last });
    cluster.step(1, |raft, now| {
        raft.handle_message(now, NodeId(2), request(Term(u64::MAX)));
    });
    assert_eq!(cluster.status(1).term, Term(0));
    cluster.step(1, |raft, now| {
        raft.handle_message(now, NodeId(2), request(Term::MAX));
    });
    assert_eq!(cluster.status(1).term, Term::MAX);
    cluster.campaign(1);
    assert_eq!(
        (cluster.status(1).role, cluster.status(1).term),
        (Role::Follower, Term::MAX)
    );
    let counters = cluster.node(1).raft().counters();
    assert_eq!((counters.malformed, counters.exhausted), (1, 1));
    let vote = Some((Term(u64::MAX), None));
    assert_eq!(
        recover(vote, LogId::ZERO, None, &[]).unwrap_err(),
        RecoverError::TermOutOfRange
    );
}

/// C1 (etcd#8501, #10355): a node waits alone in a later term, and refuses what the leader sends.
/// The leader hears of that term and the group meets in a new one, instead of the node being left
/// out for ever.
#[test]
fn c1_a_node_stuck_in_a_later_term_comes_back() {
    let mut cluster = Cluster::new(3, |config| config.check_quorum = true);
    cluster.elect(1);
    cluster.isolate(3);
    // As if it had campaigned without the question before: its term is ahead.
    let ahead = Message::Echo(Echo::Stale { term: Term(9) });
    cluster.step(3, |raft, now| raft.handle_message(now, NodeId(2), ahead));
    cluster.heal();
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(cluster.status(1).term, Term(9));
    assert_eq!(cluster.status(1).role, Role::Follower);
    cluster.elect(1);
    assert_eq!(cluster.status(3).leader, Some(NodeId(1)));
}

/// C1 (etcd#8243): a node that was cut off and whose log is behind asks first, and unseats nobody.
#[test]
fn c1_a_node_that_was_away_unseats_nobody() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    let term = cluster.status(1).term;
    for _ in 0..30 {
        cluster.heartbeat(1);
        cluster.settle();
        cluster.step(3, Raft::handle_timeout);
    }
    assert_eq!(cluster.status(3).role, Role::PreCandidate);
    assert_eq!(cluster.status(3).term, term);
    cluster.heal();
    cluster.step(3, |raft, now| {
        raft.handle_timeout(now.plus(Duration::from_secs(1)));
    });
    cluster.settle();
    assert_eq!(
        (cluster.status(1).role, cluster.status(1).term),
        (Role::Leader, term)
    );
}

/// C6 (openraft#2080): a leader that a quorum does not hear falls silent, so that whoever hears it
/// still is free to elect another.
#[test]
fn c6_a_leader_without_a_quorum_falls_silent() {
    let mut cluster = Cluster::new(5, |_| {});
    cluster.elect(1);
    // 2 is the bridge: it hears both the leader and the other three.
    for other in 3..=5 {
        cluster
            .cut
            .extend([(NodeId(1), NodeId(other)), (NodeId(other), NodeId(1))]);
    }
    for _ in 0..10 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(cluster.status(1).role, Role::Follower);
    assert_eq!(cluster.status(1).leader, None);
    cluster.elect(3);
}

/// C7 (hashicorp#503): a leader whose disk does not finish a write steps down, although everybody
/// hears it.
#[test]
fn c7_a_leader_with_a_stalled_disk_steps_down() {
    let mut cluster = Cluster::new(3, |config| {
        config.write_stall_max = Duration::from_millis(300);
    });
    cluster.elect(1);
    cluster.slow_disks.insert(NodeId(1));
    cluster.propose(1, "x").unwrap();
    for _ in 0..30 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    let status = cluster.status(1);
    assert_eq!(
        (status.role, status.term),
        (Role::Follower, Term(1)),
        "nor does it campaign (C9)"
    );
    cluster.elect(2);
    cluster.step(1, Raft::handle_timeout);
    cluster.settle();
    assert_eq!(cluster.status(2).role, Role::Leader);
}

/// C7: a write is looked at once in an election timeout, so a shorter bound would not be kept.
#[test]
fn c7_a_stall_is_not_shorter_than_an_election_timeout() {
    let mut config = Config::new(NodeId(1), [NodeId(1)]);
    config.write_stall_max = config.election_timeout_max;
    assert_eq!(config.validate(), Ok(()));
    config.write_stall_max -= Duration::from_nanos(1);
    assert_eq!(config.validate(), Err(ConfigError::WriteStall));
}

/// C8 (hashicorp#666): an answer from a later term is no contact; the leader steps down at once.
#[test]
fn c8_a_refusal_from_a_later_term_is_no_contact() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    let stale = Message::Echo(Echo::Stale { term: Term(7) });
    cluster.step(1, |raft, now| raft.handle_message(now, NodeId(2), stale));
    let status = cluster.status(1);
    assert_eq!(
        (status.role, status.term, status.leader),
        (Role::Follower, Term(7), None)
    );
}

/// C10 (dragonboat): a peer that pulls a long snapshot answers heartbeats, and that is contact.
#[test]
fn c10_a_peer_that_pulls_a_snapshot_is_in_contact() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..3 {
        cluster.propose(1, "x").unwrap();
        cluster.settle();
    }
    cluster.take_snapshot(1);
    cluster.slow_pulls = true;
    cluster.heal();
    cluster.isolate(2);
    for _ in 0..40 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(cluster.status(1).role, Role::Leader);
    assert_eq!(
        cluster.nodes[&NodeId(3)].pulls.len(),
        1,
        "and the offer is taken once"
    );
}

/// D13: strangers, and messages under our own name, are ignored and counted.
#[test]
fn d13_strangers_are_ignored() {
    let mut cluster = Cluster::new(3, |_| {});
    let append = |term| {
        Message::Replicate(Replicate::Heartbeat {
            term,
            round: 1,
            commit: Index(0),
            matched: Index(0),
        })
    };
    for id in [1, 4, u64::MAX] {
        cluster.step(1, |raft, now| {
            raft.handle_message(now, NodeId(id), append(Term(5)));
        });
    }
    assert_eq!(cluster.status(1).term, Term(0));
    assert_eq!(cluster.node(1).raft().counters().strangers, 3);
}

/// An idle follower has its election deadline and nothing else, and a heartbeat moves it.
#[test]
fn an_idle_group_has_one_deadline() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.heartbeat(1);
    cluster.settle();
    let deadline = |cluster: &Cluster, id| {
        cluster.nodes[&NodeId(id)]
            .raft
            .as_ref()
            .unwrap()
            .poll_timeout()
            .unwrap()
    };
    let ahead = deadline(&cluster, 2).since(cluster.now);
    assert!(
        Duration::from_millis(150) <= ahead && ahead < Duration::from_millis(300),
        "{ahead:?}"
    );
    assert_eq!(
        deadline(&cluster, 1).since(cluster.now),
        Duration::from_millis(40)
    );
    let writes = cluster.nodes[&NodeId(2)].writes;
    for _ in 0..5 {
        cluster.heartbeat(1);
        assert_eq!(cluster.net.len(), 2, "a heartbeat for each peer");
        assert_eq!(cluster.deliver(|_| true), 2);
        assert_eq!(cluster.net.len(), 2, "an echo from each");
        cluster.settle();
    }
    assert_eq!(
        cluster.nodes[&NodeId(2)].writes,
        writes,
        "an idle group does not write"
    );
}
