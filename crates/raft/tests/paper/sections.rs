//! Sections 5.1 to 5.4: what the text says beyond Figure 2.

use std::collections::BTreeSet;

use bytes::Bytes;
use synod_raft::{Echo, Index, Kind, LogId, Message, NodeId, Raft, Replicate, Role, Term};

use crate::harness::cluster::{Packet, between};
use crate::{
    append, appended, follower, group, id, is_append, request_vote, stale, standing, tell, vote,
};

// Section 5.1, Raft basics.

/// "Current terms are exchanged whenever servers communicate; if one server's current term is
/// smaller than the other's, then it updates its current term to the larger value. If a candidate
/// or leader discovers that its term is out of date, it immediately reverts to follower state."
#[test]
fn s5_1_terms_are_exchanged() {
    let mut cluster = group(3);
    cluster.elect(1);
    tell(&mut cluster, 3, 2, stale(5));
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(standing(&cluster, 1), (Role::Follower, 5));
    cluster.heartbeat(1);
    assert!(cluster.net.is_empty(), "it sends no more heartbeats");
}

/// "If a server receives a request with a stale term number, it rejects the request."
#[test]
fn s5_1_a_stale_request_is_rejected() {
    let mut cluster = group(3);
    tell(&mut cluster, 2, 1, stale(5));
    let heartbeat = Replicate::Heartbeat {
        term: Term(4),
        round: 1,
        commit: Index(0),
        matched: Index(0),
        lease: std::time::Duration::ZERO,
    };
    for request in [
        append(4, &[4], 0, 1),
        Message::Replicate(heartbeat),
        request_vote(4, id(4, 9)),
    ] {
        assert_eq!(tell(&mut cluster, 3, 1, request), [stale(5)]);
    }
    assert_eq!(
        (cluster.status(1).leader, cluster.status(1).last),
        (None, Index(0))
    );
}

/// "Servers retry RPCs if they do not receive a response in a timely manner": an append, and a
/// campaign. Here heartbeats reveal the loss of an append.
#[test]
fn s5_1_requests_are_retried() {
    let mut cluster = group(3);
    cluster.elect(1);
    assert_eq!(cluster.propose(1, "x"), Ok(id(1, 2)));
    assert_eq!(cluster.take(is_append).len(), 2, "lost");
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.status(1).commit, Index(2));
}

// Section 5.2, Leader election.

/// "When servers start up, they begin as followers."
#[test]
fn s5_2_servers_begin_as_followers() {
    let mut cluster = group(3);
    assert_eq!(standing(&cluster, 1), (Role::Follower, 0));
    cluster.elect(1);
    cluster.crash(1);
    cluster.restart(1);
    assert_eq!(standing(&cluster, 1), (Role::Follower, 1));
    assert_eq!(cluster.status(1).leader, None);
}

/// "Each server will vote for at most one candidate in a given term, on a first-come-first-served
/// basis."
#[test]
fn s5_2_first_come_first_served() {
    let mut cluster = group(5);
    for (candidate, term) in [(4, 1), (2, 2), (5, 3)] {
        for other in [candidate, 2, 3, 4, 5] {
            let granted = other == candidate;
            let answers = tell(&mut cluster, other, 1, request_vote(term, LogId::ZERO));
            assert_eq!(answers, [vote(term, granted)]);
        }
    }
    // A candidate voted for itself.
    cluster.campaign(1);
    assert_eq!(
        tell(&mut cluster, 2, 1, request_vote(4, LogId::ZERO)),
        [vote(4, false)]
    );
}

/// "A candidate wins an election if it receives votes from a majority of the servers in the full
/// cluster for the same term."
#[test]
fn s5_2_votes_are_for_one_term() {
    let mut cluster = group(5);
    cluster.campaign(1);
    tell(&mut cluster, 2, 1, vote(1, true));
    cluster.campaign(1);
    tell(&mut cluster, 3, 1, vote(2, true));
    tell(&mut cluster, 2, 1, vote(1, true));
    assert_eq!(standing(&cluster, 1), (Role::Candidate, 2));
    tell(&mut cluster, 2, 1, vote(2, false));
    assert_eq!(standing(&cluster, 1), (Role::Candidate, 2));
    tell(&mut cluster, 4, 1, vote(2, true));
    assert_eq!(standing(&cluster, 1), (Role::Leader, 2));
}

/// "To prevent split votes in the first place, election timeouts are chosen randomly from a fixed
/// interval." "Each candidate restarts its randomized election timeout at the start of an
/// election."
#[test]
fn s5_2_election_timeouts_are_random() {
    let mut cluster = group(3);
    let (min, max) = {
        let config = &cluster.nodes[&NodeId(1)].config;
        (config.election_timeout_min, config.election_timeout_max)
    };
    let mut drawn = BTreeSet::new();
    for _ in 0..50 {
        for node in 1..=3 {
            let due = cluster
                .node(node)
                .core()
                .poll_timeout()
                .expect("an election timeout");
            let timeout = due.since(cluster.now);
            assert!(min <= timeout && timeout < max, "{timeout:?}");
            drawn.insert(timeout);
        }
        cluster.now = cluster.now.plus(max);
        (1..=3).for_each(|node| cluster.step(node, Raft::handle_timeout));
    }
    assert_eq!(drawn.len(), 150, "no two are equal");
}

// Section 5.3, Log replication.

/// "A log entry is committed once the leader that created the entry has replicated it on a majority
/// of the servers. This also commits all preceding entries in the leader's log, including entries
/// created by previous leaders."
#[test]
fn s5_3_what_precedes_is_committed_too() {
    let mut cluster = follower(&[1, 1, 1], 1, 0);
    cluster.isolate(3);
    cluster.elect(1);
    assert_eq!(cluster.status(1).commit, Index(4));
    assert_eq!(
        cluster.nodes[&NodeId(1)].machine,
        [id(1, 1), id(1, 2), id(1, 3), id(2, 4)]
    );
}

/// "The leader keeps track of the highest index it knows to be committed, and it includes that
/// index in future AppendEntries RPCs (including heartbeats) so that the other servers eventually
/// find out." "Once a follower learns that a log entry is committed, it applies the entry to its
/// local state machine (in log order)."
#[test]
fn s5_3_followers_find_out_what_is_committed() {
    let is_commit =
        |packet: &Packet| matches!(packet.message, Message::Replicate(Replicate::Commit { .. }));
    let mut cluster = group(3);
    cluster.elect(1);
    assert_eq!(cluster.propose(1, "x"), Ok(id(1, 2)));
    cluster.deliver(is_append);
    cluster.deliver(|_| true);
    cluster.take(is_commit);
    assert_eq!(
        (cluster.status(1).commit, cluster.status(2).commit),
        (Index(2), Index(1))
    );
    assert_eq!(cluster.propose(1, "y"), Ok(id(1, 3)));
    cluster.deliver(between(1, 2));
    assert_eq!(
        cluster.nodes[&NodeId(2)].machine,
        [id(1, 1), id(1, 2)],
        "by an append"
    );
    cluster.take(is_append);
    cluster.heartbeat(1);
    cluster.deliver(between(1, 3));
    assert_eq!(
        cluster.nodes[&NodeId(3)].machine,
        [id(1, 1), id(1, 2)],
        "by a heartbeat"
    );
}

/// "If followers crash or run slowly, or if network packets are lost, the leader retries
/// AppendEntries RPCs indefinitely (even after it has responded to the client) until all followers
/// eventually store all log entries."
#[test]
fn s5_3_appends_are_retried_for_ever() {
    let mut cluster = group(3);
    cluster.elect(1);
    cluster.crash(3);
    assert_eq!(cluster.propose(1, "x"), Ok(id(1, 2)));
    (0..100).for_each(|_| {
        cluster.heartbeat(1);
        cluster.settle();
    });
    assert_eq!(cluster.status(1).commit, Index(2));
    cluster.restart(3);
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.terms(3), [1, 1]);
}

/// Log Matching: "if two entries in different logs have the same index and term, then they store the
/// same command", and "the logs are identical in all preceding entries": a leader creates one entry
/// with an index in a term, and an entry is taken only behind one that matches.
#[test]
fn s5_3_log_matching() {
    let mut cluster = group(3);
    cluster.elect(1);
    let ids: BTreeSet<LogId> = (0..20)
        .filter_map(|_| cluster.propose(1, "x").ok())
        .collect();
    assert_eq!(ids.len(), 20);
    // Any single append finds its place or is rejected.
    for packet in cluster.take(between(1, 2)).into_iter().rev() {
        cluster.receive(packet);
    }
    assert_eq!(cluster.nodes[&NodeId(2)].disk.last(), id(1, 2));
    cluster.settle();
    let log = |node| cluster.nodes[&NodeId(node)].disk.log.clone();
    assert_eq!((log(2), log(3)), (log(1), log(1)));
}

/// Figure 7, (a) to (f): whatever a follower has, the leader of term 8 makes it equal to its own
/// log. "The leader handles inconsistencies by forcing the followers' logs to duplicate its own."
#[test]
fn s5_3_figure_7() {
    let leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    for terms in [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6][..],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ] {
        let mut cluster = group(3);
        tell(&mut cluster, 3, 1, append(6, &leader, 0, 0));
        tell(&mut cluster, 3, 2, append(7, terms, 0, 0));
        // The third node votes for it and stores nothing.
        tell(&mut cluster, 2, 1, stale(7));
        cluster.campaign(1);
        tell(&mut cluster, 3, 1, vote(8, true));
        cluster.isolate(3);
        cluster.settle();
        assert_eq!(standing(&cluster, 1), (Role::Leader, 8));
        assert_eq!(cluster.terms(2)[..10], leader, "{terms:?}");
        assert_eq!(
            (cluster.terms(2)[10..].to_vec(), cluster.terms(1).len()),
            (vec![8], 11)
        );
    }
}

/// "The protocol can be optimized to reduce the number of rejected AppendEntries RPCs": "one
/// AppendEntries RPC will be required for each term with conflicting entries, rather than one RPC
/// per entry."
#[test]
fn s5_3_one_refusal_a_term() {
    let mut cluster = group(3);
    let log = |terms: [u64; 4]| terms.into_iter().flat_map(|term| [term; 10]);
    let leader: Vec<u64> = log([1, 2, 4, 6]).collect();
    let other: Vec<u64> = log([1, 3, 5, 5]).take(35).collect();
    tell(&mut cluster, 3, 1, append(6, &leader, 0, 0));
    tell(&mut cluster, 3, 2, append(5, &other, 0, 0));
    cluster.isolate(3);
    cluster.campaign(1);
    let mut refusals = 0;
    for _ in 0..20 {
        cluster.deliver(|_| true);
        let refused =
            |packet: &&Packet| matches!(packet.message, Message::Echo(Echo::Rejected { .. }));
        refusals += cluster.net.iter().filter(refused).count();
    }
    assert_eq!(cluster.terms(2), cluster.terms(1));
    assert_eq!(refusals, 3, "of its end, of term 5 and of term 3");
}

/// Leader Append-Only: "a leader never overwrites or deletes entries in its own log".
#[test]
fn s5_3_leader_append_only() {
    let mut cluster = group(3);
    cluster.elect(1);
    assert_eq!(cluster.propose(1, "x"), Ok(id(1, 2)));
    tell(&mut cluster, 2, 1, append(1, &[1], 1, 0));
    let rejected = Echo::Rejected {
        term: Term(1),
        prev: id(1, 1),
        hint: LogId::ZERO,
    };
    tell(&mut cluster, 2, 1, Message::Echo(rejected));
    assert_eq!(
        (cluster.status(1).role, cluster.terms(1)),
        (Role::Leader, vec![1, 1])
    );
    assert_eq!(cluster.nodes[&NodeId(1)].disk.truncations, 0);
}

// Section 5.4, Safety.

/// 5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate".
/// "If the logs have last entries with different terms, then the log with the later term is more
/// up-to-date. If the logs end with the same term, then whichever log is longer is more up-to-date."
#[test]
fn s5_4_1_up_to_date() {
    for (last, granted) in [
        (id(1, 9), false),
        (id(2, 2), false),
        (id(2, 3), true),
        (id(2, 4), true),
        (id(3, 1), true),
        (LogId::ZERO, false),
    ] {
        let mut cluster = follower(&[1, 2, 2], 3, 0);
        assert_eq!(
            tell(&mut cluster, 3, 1, request_vote(4, last)),
            [vote(4, granted)],
            "{last:?}"
        );
    }
}

/// 5.4.1: "Raft uses the voting process to prevent a candidate from winning an election unless its
/// log contains all committed entries."
#[test]
fn s5_4_1_a_leader_has_what_is_committed() {
    let mut cluster = group(5);
    cluster.elect(1);
    cluster.isolate(4);
    cluster.isolate(5);
    assert_eq!(cluster.propose(1, "x"), Ok(id(1, 2)));
    cluster.settle();
    assert_eq!(cluster.status(1).commit, Index(2));
    cluster.crash(1);
    cluster.heal();
    for candidate in [4, 5, 4] {
        cluster.campaign(candidate);
        cluster.settle();
        assert_eq!(cluster.status(candidate).role, Role::Candidate);
    }
    cluster.elect(3);
    assert_eq!(cluster.terms(4)[..2], [1, 1]);
}

/// 5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log entries
/// from the leader's current term are committed by counting replicas."
#[test]
fn s5_4_2_earlier_terms_are_not_counted() {
    let mut cluster = follower(&[1, 1], 1, 0);
    cluster.campaign(1);
    tell(&mut cluster, 2, 1, vote(2, true));
    tell(&mut cluster, 2, 1, appended(2, 2));
    tell(&mut cluster, 3, 1, appended(2, 2));
    assert_eq!(cluster.status(1).commit, Index(0), "all three hold index 2");
    // Durable here, and on 2 according to its message; the checker believes only what it sees.
    let entries = append(2, &[1, 1, 2], 0, 0);
    cluster.cut.insert((NodeId(2), NodeId(1)));
    if let Message::Replicate(Replicate::Append {
        prev,
        commit,
        entries,
        term,
    }) = entries
    {
        let mut entries = entries.to_vec();
        entries[2].kind = Kind::Noop;
        entries[2].body = Bytes::new();
        let append = Replicate::Append {
            term,
            prev,
            entries: entries.into(),
            commit,
        };
        tell(&mut cluster, 1, 2, Message::Replicate(append));
    }
    cluster.heal();
    tell(&mut cluster, 2, 1, appended(2, 3));
    assert_eq!(
        cluster.status(1).commit,
        Index(3),
        "with the first entry of term 2"
    );
}
